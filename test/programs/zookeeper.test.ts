/**
 * Apache ZooKeeper, standalone: some forty threads of a Java virtual machine, and a log on disk
 * with fsync. Besides lists, versions and data: an ephemeral node that stays while its session
 * does, and a watch that is told of a change after its server has died.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { skipUnless } from '../support/requirements.ts';
import { eventually, within } from '../support/wait.ts';
import { retried } from './load.ts';
import { type Companion, testProgram } from './suite.ts';
import { ZooKeeperConnection, ZooKeeperSession } from './zookeeper-session.ts';

const java = '/usr/bin/java';
const jar = '/usr/share/java/zookeeper.jar';
const logger = '/usr/share/java/slf4j-simple.jar';
const watchTimeoutMs = 20_000;

/**
 * A session that comes before it is ready may get no answer at all: in 3.8 an exception of its own
 * keeps such a connection from being closed.
 */
async function isReady(port: number): Promise<boolean> {
  const socket = createConnection(port, '127.0.0.1');
  try {
    socket.write('srvr');
    const [text] = (await within(once(socket, 'data'), 1000, 'srvr')) as [Buffer];
    return text.toString().startsWith('Zookeeper version');
  } finally {
    socket.destroy();
  }
}

class WatcherAndHolder implements Companion {
  readonly #writer: ZooKeeperSession;
  readonly #watcher: ZooKeeperSession;
  readonly #holder: ZooKeeperSession;
  #version = 0;
  #heldBy = 0;
  #told: string[] = [];

  constructor(port: number) {
    this.#writer = new ZooKeeperSession(port);
    this.#watcher = new ZooKeeperSession(port);
    this.#holder = new ZooKeeperSession(port);
  }

  async begin(): Promise<void> {
    await this.#writer.create('/watched', '', 'PERSISTENT');
    await this.#watch();
    await this.#hold();
  }

  async afterDeath(): Promise<void> {
    const version = await retried(() => this.#writer.set('/watched', 'changed'));
    assert.ok(version > this.#version, `version ${version} after ${this.#version}`);
    this.#version = version;
    await eventually('the watch is told', watchTimeoutMs, async () => {
      // A client that is asked nothing may not have seen yet that its connection is gone.
      await retried(() => this.#watcher.version('/'));
      return this.#told.includes('NODE_DATA_CHANGED');
    });
    await this.#watch();
    await retried(() => this.#holder.version('/'));
    if (this.#holder.sessions !== this.#heldBy) await this.#hold();
    const held = await retried(() => this.#writer.version('/held'));
    assert.notEqual(held, null, 'an ephemeral node is gone, its session is not');
  }

  async end(): Promise<void> {
    this.#holder.close();
    await eventually('the ephemeral node goes', watchTimeoutMs, async () => {
      return (await retried(() => this.#writer.version('/held'))) === null;
    });
    this.#watcher.close();
    this.#writer.close();
  }

  async #watch(): Promise<void> {
    this.#told = [];
    const tell = (name: string): void => {
      this.#told.push(name);
    };
    await retried(() => this.#watcher.version('/watched', tell));
  }

  async #hold(): Promise<void> {
    await this.#holder.create('/held', '', 'EPHEMERAL');
    this.#heldBy = this.#holder.sessions;
  }
}

testProgram({
  title: 'zookeeper',
  skip: skipUnless(java, jar, logger, 'cli'),
  program: java,
  guestPort: 2181,
  args: (port, folder) => {
    const data = join(folder, 'data');
    mkdirSync(data);
    const lines = ['tickTime=2000', `dataDir=${data}`, `clientPort=${port}`];
    const path = join(folder, 'zoo.cfg');
    writeFileSync(path, [...lines, 'admin.enableServer=false', ''].join('\n'));
    return [
      ...['-Xmx256m', '-cp', `${jar}:${logger}`],
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      ...['org.apache.zookeeper.server.quorum.QuorumPeerMain', path],
    ];
  },
  isReady,
  connect: (port) => new ZooKeeperConnection(port),
  kinds: ['log', 'counter', 'register'],
  besides: async (port) => {
    const companion = new WatcherAndHolder(port);
    await companion.begin();
    return companion;
  },
});

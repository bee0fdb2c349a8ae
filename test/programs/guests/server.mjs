/**
 * A guest: an HTTP server that holds lists and counters in memory. The counters are a worker
 * thread's; each entry of a list is written to a file too, by fs.promises, before it is
 * acknowledged; timers count. `GET /self/check` tells whether all of that goes together.
 * Usage: node server.mjs PORT FOLDER
 */
import { appendFile, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const [port, folder] = process.argv.slice(2);

/** In the worker: counters by name, and their sum in shared memory. */
function count() {
  const counters = new Map();
  const total = new Int32Array(workerData);
  parentPort.on('message', ({ id, verb, key }) => {
    if (verb === 'increment') {
      counters.set(key, (counters.get(key) ?? 0) + 1);
      Atomics.add(total, 0, 1);
    }
    parentPort.postMessage({ id, value: counters.get(key) ?? 0 });
  });
}

async function serve() {
  const files = join(folder, 'lists');
  await mkdir(files, { recursive: true });
  const lists = new Map();
  const shared = new SharedArrayBuffer(4);
  const worker = new Worker(new URL(import.meta.url), { workerData: shared });
  const asked = new Map();
  let ids = 0;
  let increments = 0;
  let ticks = 0;
  setInterval(() => {
    ticks += 1;
  }, 5);
  worker.on('message', ({ id, value }) => {
    asked.get(id)(value);
    asked.delete(id);
  });
  const askWorker = (verb, key) => {
    ids += 1;
    return new Promise((resolve) => {
      asked.set(ids, resolve);
      worker.postMessage({ id: ids, verb, key });
    });
  };

  /** Throws unless files, memory, worker and timers agree. */
  async function check() {
    const before = ticks;
    await delay(20);
    if (ticks === before) throw new Error('the timer stands still');
    const names = await readdir(files);
    if (names.length > lists.size) throw new Error(`${names.length} files, ${lists.size} lists`);
    for (const [key, list] of lists) {
      // Memory is written first, so files may only lack what came meanwhile.
      const known = list.length - list.pending;
      const lines = (await readFile(join(files, key), 'latin1')).trimEnd().split('\n');
      if (lines.length < known) throw new Error(`${key}: ${lines.length} lines of ${known}`);
      if (lines.some((line, at) => line !== list[at])) throw new Error(`${key}: another order`);
    }
    const total = Atomics.load(new Int32Array(shared), 0);
    if (total > increments) throw new Error(`${total} increments of ${increments}`);
    await writeFile(join(folder, 'checked.new'), `${ticks}`);
    await rename(join(folder, 'checked.new'), join(folder, 'checked'));
  }

  async function answer(verb, key, body) {
    switch (verb) {
      case 'append': {
        const list = lists.get(key) ?? Object.assign([], { pending: 0 });
        lists.set(key, list);
        list.push(body);
        list.pending += 1;
        await appendFile(join(files, key), `${body}\n`);
        list.pending -= 1;
        return '';
      }
      case 'entries':
        return (lists.get(key) ?? []).join(' ');
      case 'increment':
        increments += 1;
        return String(await askWorker(verb, key));
      case 'value':
        return String(await askWorker(verb, key));
      case 'self':
        await check();
        return '';
      default:
        throw new Error(`what is ${verb}?`);
    }
  }

  const server = createServer(async (request, response) => {
    try {
      let body = '';
      for await (const chunk of request) body += chunk;
      const [, verb, key] = request.url.split('/');
      response.end(await answer(verb, key, body));
    } catch (error) {
      response.statusCode = 500;
      response.end(`${error}`);
    }
  });
  server.listen(Number(port));
}

if (isMainThread) await serve();
else count();

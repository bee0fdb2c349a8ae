/** What the tests use of node-zookeeper-client, which comes without types. */

declare module 'node-zookeeper-client' {
  import type { EventEmitter } from 'node:events';

  export interface Stat {
    readonly version: number;
  }

  export interface Event {
    getName(): string;
  }

  /** An error of the server has a name such as `NO_NODE`. */
  export interface Exception extends Error {
    getName?(): string;
  }

  type Callback<T extends unknown[]> = (error: Exception | null, ...results: T) => void;
  type Watcher = (event: Event) => void;

  export interface Client extends EventEmitter {
    connect(): void;
    close(): void;
    getState(): { getName(): string };
    create(path: string, data: Buffer, mode: number, callback: Callback<[path: string]>): void;
    setData(path: string, data: Buffer, version: number, callback: Callback<[stat: Stat]>): void;
    getData(path: string, callback: Callback<[data: Buffer | undefined, stat: Stat]>): void;
    exists(path: string, callback: Callback<[stat: Stat | null]>): void;
    exists(path: string, watcher: Watcher, callback: Callback<[stat: Stat | null]>): void;
    getChildren(path: string, callback: Callback<[names: string[]]>): void;
  }

  interface Library {
    createClient(servers: string, options: { sessionTimeout: number; retries: number }): Client;
    readonly CreateMode: Readonly<
      Record<'PERSISTENT' | 'PERSISTENT_SEQUENTIAL' | 'EPHEMERAL', number>
    >;
  }

  const library: Library;
  export default library;
}

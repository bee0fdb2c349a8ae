/**
 * `npm run demo`: Debian's unmodified redis-server survives kill -9 of its primary, again and
 * again, while clients write. Shows what happened and ends with 1 if anything that was acknowledged
 * is lost.
 */
import { ensureRedis } from './install.ts';
import { RedisConnection } from './resp.ts';
import { RedisService, until } from './service.ts';
import { type Verdict, Writer } from './writers.ts';

const REPLICAS = 2;
const WRITERS = 5;
const ROUNDS = 3;
const WRITE_MS = 2_000;
const STEP_TIMEOUT_MS = 30_000;
/** The whole of it; a hang must end too. */
const TOTAL_TIMEOUT_MS = 180_000;

const say = (line = ''): void => console.log(line === '' ? '' : `  ${line}`);
const number = (value: number): string => value.toLocaleString('en-US');
const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const row = (label: string, value: string): void => say(`${label.padEnd(24)}${value}`);

/** Waits until Redis itself answers. */
async function answering(port: number): Promise<string> {
  const connection = await RedisConnection.open('127.0.0.1', port, STEP_TIMEOUT_MS);
  try {
    const reply = await connection.call(STEP_TIMEOUT_MS, 'INFO', 'server');
    return /redis_version:(\S+)/.exec(String(reply))?.[1] ?? 'unknown version';
  } finally {
    connection.close();
  }
}

/** Kills the primary while all write, and waits for what follows. */
async function round(index: number, service: RedisService, writers: readonly Writer[]) {
  await service.atStrength(REPLICAS, STEP_TIMEOUT_MS);
  await delay(WRITE_MS);
  const { id, pid } = service.primary();
  say();
  say(`round ${index + 1}: kill -9 ${pid}   (replica ${id}, the primary)`);
  const killedMs = performance.now();
  for (const writer of writers) writer.watch(killedMs);
  process.kill(pid, 'SIGKILL');
  const answeredMs = await until('the next answered write', STEP_TIMEOUT_MS, () => {
    const answers = writers.map((writer) => writer.firstAnswerMs).filter((ms) => ms !== null);
    return answers.length === 0 ? null : Math.min(...answers);
  });
  const takeover = await service.takeover(index, STEP_TIMEOUT_MS);
  row('taken over', `by replica ${takeover.replica} at epoch ${number(takeover.epoch)}`);
  row('restored in', `${takeover.restoreMs.toFixed(1)} ms`);
  row('next answered write', `${(answeredMs - killedMs).toFixed(0)} ms after the kill`);
  await service.atStrength(REPLICAS, STEP_TIMEOUT_MS);
  const seconds = ((performance.now() - killedMs) / 1000).toFixed(1);
  row('back at full strength', `${seconds} s after the kill`);
}

function conclude(verdicts: readonly Verdict[]): number {
  const sum = (of: (verdict: Verdict) => number): number =>
    verdicts.reduce((total, verdict) => total + of(verdict), 0);
  const acknowledged = sum((verdict) => verdict.acknowledged);
  const lost = sum((verdict) => verdict.lost);
  const wrong = sum((verdict) => verdict.wrong);
  say();
  row('primaries killed', number(ROUNDS));
  row('writes acknowledged', number(acknowledged));
  row('writes lost', `${number(lost)}${lost === 0 ? '   (every one was read back)' : ''}`);
  if (wrong > 0) row('values out of place', number(wrong));
  say();
  return lost === 0 && wrong === 0 && acknowledged > 0 ? 0 : 1;
}

async function demo(service: RedisService): Promise<number> {
  const port = await service.port(STEP_TIMEOUT_MS);
  const version = await answering(port);
  row('program', `redis-server ${version}, as Debian ships it`);
  row('service', `${service.name}: ${REPLICAS} replicas, 127.0.0.1:${port}`);
  row('clients', `${WRITERS}, each writing as fast as it is answered`);
  const writers = Array.from({ length: WRITERS }, (_, index) => new Writer(index, port));
  try {
    for (let index = 0; index < ROUNDS; index += 1) await round(index, service, writers);
    await delay(WRITE_MS / 2);
  } finally {
    await Promise.all(writers.map((writer) => writer.stop()));
  }
  return conclude(await Promise.all(writers.map((writer) => writer.verify())));
}

async function main(): Promise<number> {
  console.log('tardigrade: a server that survives kill -9\n');
  const redis = ensureRedis(say);
  if ('todo' in redis) {
    console.error(`tardigrade: ${redis.todo}`);
    return 1;
  }
  const service = new RedisService(`redis-demo-${process.pid}`, REPLICAS);
  const end = (status: number): void => {
    void service.stop().then(() => process.exit(status));
  };
  process.once('SIGINT', () => end(130));
  process.once('SIGTERM', () => end(143));
  const limit = setTimeout(() => {
    console.error(`tardigrade: the demo did not end within ${TOTAL_TIMEOUT_MS / 1000} s`);
    end(1);
  }, TOTAL_TIMEOUT_MS);
  try {
    return await demo(service);
  } catch (error) {
    console.error(`tardigrade: the demo failed: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    clearTimeout(limit);
    await service.stop();
  }
}

process.exitCode = await main();

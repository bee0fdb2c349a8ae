/**
 * The commands and options of `tardigrade`, their help, and how they become validated values. What
 * they do is behind `Actions`, so that tests see what would be done. Throws usage errors.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import type { TardigradeError } from '../base/errors.ts';
import { oneLine } from './exit-codes.ts';
import {
  defaultName,
  type FaultOption,
  type GuestOptions,
  type OutputMode,
  parseDirectory,
  parseEnv,
  parseFailureTimeout,
  parseFault,
  parseInterposer,
  parseName,
  parseReplicas,
  type ServiceOptions,
  usage,
} from './options.ts';
import { checkPublished, type PublishSpec, parsePublish } from './publish.ts';

/** What the command line does; each resolves with the status to exit with. */
export interface Actions {
  run(options: ServiceOptions, program: string, args: readonly string[]): Promise<number>;
  exec(options: GuestOptions, program: string, args: readonly string[]): Promise<number>;
  restore(options: ServiceOptions, file: string): Promise<number>;
  status(name: string | undefined, isJson: boolean): Promise<number>;
  stop(name: string): Promise<number>;
  checkpoint(name: string, file: string): Promise<number>;
  inspect(file: string, isJson: boolean): Promise<number>;
  doctor(isJson: boolean): Promise<number>;
}

const FAILURE_TIMEOUT_MS_DEFAULT = 250;
const REPLICAS_DEFAULT = 2;

/** What commander makes of the options. */
interface Given {
  readonly name?: string;
  readonly root: string;
  readonly cwd: string;
  readonly env: readonly string[];
  readonly publish: readonly PublishSpec[];
  readonly interpose: readonly string[];
  readonly replicas: number;
  readonly failureTimeout: number;
  readonly fault: readonly FaultOption[];
  readonly keepDeposed?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly testSentry?: string;
}

const many =
  <T>(parse: (text: string) => T) =>
  (text: string, before: readonly T[]): readonly T[] => [...before, parse(text)];

function guestOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '-p, --publish <[ADDR:]HOST[:GUEST]>',
        'lead port HOST of this machine (0: any free one) to port GUEST of the program; repeatable',
      )
        .argParser(many(parsePublish))
        .default([], 'none'),
    )
    .addOption(new Option('--name <NAME>', 'name of the service').argParser(parseName))
    .addOption(
      new Option('-e, --env <K=V>', "set a variable of the program's environment; repeatable")
        .argParser(many(parseEnv))
        .default([], 'PATH, HOME, LANG and TERM only'),
    )
    .addOption(
      new Option('--cwd <DIR>', 'where the program starts, in its root')
        .argParser(parseDirectory('--cwd'))
        .default('/'),
    )
    .addOption(
      new Option('--root <DIR>', 'directory that the program sees as /, read-only')
        .argParser(parseDirectory('--root'))
        .default('/'),
    )
    .addOption(
      new Option('--interpose <NAME>').argParser(many(parseInterposer)).default([]).hideHelp(),
    );
}

function serviceOptions(command: Command): Command {
  return guestOptions(command)
    .addOption(
      new Option('-n, --replicas <N>', 'how many replicas hold the state: N-1 may fail at once')
        .argParser(parseReplicas)
        .default(REPLICAS_DEFAULT),
    )
    .option('--json', 'show events, and the output of the program, as JSON lines')
    .option('-q, --quiet', 'show nothing but the output of the program')
    .addOption(
      new Option('--failure-timeout <MS>', 'silence after which a primary counts as dead')
        .argParser(parseFailureTimeout)
        .default(FAILURE_TIMEOUT_MS_DEFAULT),
    )
    .addOption(new Option('--fault <SPEC>').argParser(many(parseFault)).default([]).hideHelp())
    .addOption(new Option('--keep-deposed').hideHelp())
    .addOption(new Option('--test-sentry <FILE>').hideHelp());
}

function guestOf(given: Given, fallbackName: string): GuestOptions {
  checkPublished(given.publish);
  return {
    name: given.name ?? defaultName(fallbackName),
    root: given.root,
    cwd: given.cwd,
    env: given.env,
    publish: given.publish,
    interposers: given.interpose,
  };
}

function serviceOf(given: Given, fallbackName: string): ServiceOptions {
  if (given.json && given.quiet) throw usage('--json and --quiet exclude each other', 'give one');
  const output: OutputMode = given.json ? 'json' : given.quiet ? 'quiet' : 'auto';
  return {
    ...guestOf(given, fallbackName),
    replicas: given.replicas,
    failureTimeoutMs: given.failureTimeout,
    faults: given.fault,
    keepDeposed: given.keepDeposed ?? false,
    output,
    sentry: given.testSentry ?? null,
  };
}

function version(): string {
  // Compiled to dist/src/cli.
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The whole command line. `done` gets the status to exit with. */
function makeProgram(actions: Actions, done: (status: number) => void): Command {
  const program = new Command('tardigrade')
    .description('Runs an unmodified Linux program so that it survives the death of its machine.')
    .version(version(), '-V, --version', 'show the version')
    .helpCommand('help [command]', 'show the help of a command')
    .enablePositionalOptions()
    .addHelpText('after', OVERVIEW);
  serviceOptions(program.command('run'))
    .description('run a program replicated, in the foreground, until it ends')
    .argument('<PROGRAM>', 'looked up in the PATH of the root')
    .argument('[ARG...]', 'its arguments; everything from PROGRAM on is passed on as it is')
    .passThroughOptions()
    .addHelpText('after', RUN_EXAMPLES)
    .action(async (name: string, args: string[], given: Given) => {
      done(await actions.run(serviceOf(given, name), name, args));
    });
  guestOptions(program.command('exec'))
    .description('run a program in the sandbox, without replicas')
    .argument('<PROGRAM>', 'looked up in the PATH of the root')
    .argument('[ARG...]', 'its arguments; everything from PROGRAM on is passed on as it is')
    .passThroughOptions()
    .action(async (name: string, args: string[], given: Given) => {
      done(await actions.exec(guestOf(given, name), name, args));
    });
  addAdminCommands(program, actions, done);
  serviceOptions(program.command('restore'))
    .description('go on from a checkpoint file, replicated; the options are those of run')
    .argument('<FILE>', 'what `tardigrade checkpoint` wrote')
    .action(async (file: string, given: Given) => {
      done(await actions.restore(serviceOf(given, file), file));
    });
  for (const command of [program, ...program.commands]) {
    // Errors are thrown and printed in one place; help still goes to standard output.
    command
      .exitOverride()
      .configureOutput({ outputError: () => {} })
      .showSuggestionAfterError();
  }
  return program;
}

function addAdminCommands(program: Command, actions: Actions, done: (status: number) => void) {
  program
    .command('status')
    .description('show a service, or all of this user')
    .argument('[NAME]', 'all if left out')
    .option('--json', 'as JSON, for programs')
    .action(async (name: string | undefined, { json }: { json?: boolean }) => {
      done(await actions.status(name && parseName(name), json ?? false));
    });
  program
    .command('stop')
    .description('end a service and its program')
    .argument('<NAME>', 'as `tardigrade status` shows it')
    .action(async (name: string) => {
      done(await actions.stop(parseName(name)));
    });
  program
    .command('checkpoint')
    .description('write the state of a running service to a file; it goes on')
    .argument('<NAME>', 'as `tardigrade status` shows it')
    .argument('<FILE>', 'replaced if it exists, once the new one is whole')
    .action(async (name: string, file: string) => {
      done(await actions.checkpoint(parseName(name), file));
    });
  program
    .command('inspect')
    .description('show what is in a checkpoint file')
    .argument('<FILE>', 'what `tardigrade checkpoint` wrote')
    .option('--json', 'as JSON, for programs')
    .action(async (file: string, { json }: { json?: boolean }) => {
      done(await actions.inspect(file, json ?? false));
    });
  program
    .command('doctor')
    .description('show what this machine can do, and what to do about what is missing')
    .option('--json', 'as JSON, for programs')
    .action(async ({ json }: { json?: boolean }) => {
      done(await actions.doctor(json ?? false));
    });
}

const OVERVIEW = `
Start here:
  $ tardigrade doctor                                   can this machine do it?
  $ tardigrade run -p 6379 -- redis-server --save ''    a redis that survives its primary
  $ tardigrade status                                   who is primary now?

docs/commands.md has every option, and the status that each command ends with.`;

const RUN_EXAMPLES = `
Examples:
  $ tardigrade run -p 6379 -- redis-server --protected-mode no
  $ tardigrade run -n 3 -p 0.0.0.0:80:8080 --name web -e MODE=live -- /opt/web/server

The program sees the root read-only and keeps what it writes in memory, as part of its replicated
state. It reaches no other network than its published ports and its own loopback. Ctrl-C ends it.`;

/** Runs the command line. Resolves with the status to exit with; throws what a person is told. */
export async function runCommandLine(argv: readonly string[], actions: Actions): Promise<number> {
  let status = 0;
  const program = makeProgram(actions, (code) => {
    status = code;
  });
  const [first, about] = argv;
  if (first === 'help' && about !== undefined && !isCommand(program, about)) {
    throw usage(`unknown command '${about}'`, 'see tardigrade --help');
  }
  if (argv.length === 0) {
    program.outputHelp({ error: true });
    return 2;
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return status;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help was asked for and has been shown.
    if (error.exitCode === 0) return 0;
    throw usageOf(error, argv[0] ?? '', program);
  }
}

const isCommand = (program: Command, name: string): boolean =>
  name === 'help' || program.commands.some((command) => command.name() === name);

/** Commander's message as one of ours. */
function usageOf(error: CommanderError, first: string, program: Command): TardigradeError {
  const known = isCommand(program, first);
  const message = oneLine(error.message.replace(/^error: /, '')).replace(/\.$/, '');
  const remedy = `see tardigrade ${known ? `${first} ` : ''}--help`;
  return usage(message, remedy);
}

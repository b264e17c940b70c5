// The command line: parse, call, print.

import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { STAT_EVENTS } from '../trace/index.ts';
import {
  type Arguments,
  ASSEMBLY_FLAGS,
  address,
  assemblyOptions,
  codeSize,
  count,
  fileOf,
  filesOf,
  HELP_FLAGS,
  JSON_FLAGS,
  LISTEN_FLAGS,
  listenOptions,
  machineOptions,
  once,
  oneOf,
  REPEATABLE,
  SETTING_FLAGS,
} from './arguments.ts';
import { asmCommand } from './asm-command.ts';
import { CHECK_FORMATS, checkCommand as checkPrograms } from './check-command.ts';
import { checkCommand, checkFlags, type Flags, spellOut, usageMessage } from './command-line.ts';
import { crashLines } from './crash.ts';
import { dapCommand } from './dap-command.ts';
import { debugCommand } from './debug-command.ts';
import { disasmCommand } from './disasm-command.ts';
import {
  CHECK_EXIT_CODE_TEXT,
  EXIT_CODE_TEXT,
  EXPERIMENT_EXIT_CODE_TEXT,
  EXPLORE_EXIT_CODE_TEXT,
  FUZZ_EXIT_CODE_TEXT,
  REPLAY_EXIT_CODE_TEXT,
  RUN_EXIT_CODE_TEXT,
} from './exit-codes.ts';
import { exitsCommand } from './exits-command.ts';
import { EXPERIMENT_FLAGS, experimentOptions } from './experiment-arguments.ts';
import { experimentCommand } from './experiment-command.ts';
import { EXPLORE_FLAGS, exploreCommand, exploreOptions } from './explore-command.ts';
import { EXIT_BAD_INPUT, EXIT_INTERNAL, Failure } from './failure.ts';
import { reasonOf } from './files.ts';
import { FUZZ_FLAGS, fuzzCommand, fuzzOptions } from './fuzz-command.ts';
import { gdbCommand } from './gdb-command.ts';
import { presetsCommand } from './presets-command.ts';
import { profileCommand } from './profile-command.ts';
import { recordCommand, replayCommand } from './record-command.ts';
import { RUN_FLAGS, runCommand, runOptions } from './run-command.ts';
import { schemaCommand } from './schema-command.ts';
import { traceCommand } from './trace-command.ts';
import { FILE_FORMATS } from './trace-file.ts';
import { VERSION } from './version.ts';

/** What a command is: how it is called, its flags, and what it does, giving the exit code. */
interface Command {
  readonly name: string;
  /** How yargs writes what follows the name, and what that is. */
  readonly argument: readonly [usage: string, describe: string] | null;
  /** What to say if the argument is missing. */
  readonly missing?: readonly string[];
  readonly summary: string;
  readonly flags: Flags;
  readonly examples: readonly (readonly [command: string, effect: string])[];
  readonly epilogue?: string;
  readonly execute: (args: Arguments) => number | Promise<number>;
}

const run: Command = {
  name: 'run',
  argument: ['<file..>', 'program, scenario, or sources of one program'],
  missing: [
    'run needs a file: a program (.asm, .s, ELF, flat binary) or a scenario (.yaml, .json), such as',
    '  vmxlab run guest-programs/hello.asm',
  ],
  summary: 'run a program (.asm, .s, ELF, flat binary) or a scenario (.yaml, .json)',
  flags: {
    ...SETTING_FLAGS,
    ...JSON_FLAGS,
    ...ASSEMBLY_FLAGS,
    ...RUN_FLAGS,
  },
  examples: [
    ['run guest-programs/hello.asm', 'one vCPU says hello'],
    ['run lock.asm --vcpus 4 --pcpus 2 --hogs 2', 'four vCPUs contend on two pCPUs'],
    ['run scenario.yaml --json', 'a scenario, reported as JSON'],
    ['run guest-programs/hello.asm --check', 'and is it what the program says it does'],
  ],
  epilogue: RUN_EXIT_CODE_TEXT,
  execute: (args) => runCommand({ ...machineOptions(args), ...runOptions(args) }),
};

const profile: Command = {
  name: 'profile',
  argument: ['<file..>', 'program, scenario, or sources of one program'],
  missing: [
    'profile needs a file, as run does, such as',
    '  vmxlab profile guest-programs/lock-ticket.asm',
  ],
  summary: 'run a program or a scenario, and say where the time goes',
  flags: {
    ...SETTING_FLAGS,
    ...JSON_FLAGS,
    ...ASSEMBLY_FLAGS,
    output: {
      alias: 'o',
      type: 'string',
      describe: 'flame graph to write, for speedscope (- for stdout)',
    },
    step: {
      type: 'string',
      describe: 'cycles between two looks at the guest (default: a 10,000th of the run)',
    },
    top: { type: 'string', describe: 'blocks to show (default 20)' },
  },
  examples: [
    ['profile lock.asm --vcpus 4', 'the hottest blocks of the guest'],
    ['profile lock.asm -o lock.speedscope.json', 'with a flame graph'],
  ],
  epilogue: EXIT_CODE_TEXT,
  execute: (args) => {
    return profileCommand({
      ...machineOptions(args),
      output: once(args, 'output'),
      step: count(args, 'step', 0),
      top: count(args, 'top', 20),
    });
  },
};

const explore: Command = {
  name: 'explore',
  argument: ['<file..>', 'program, scenario, or sources of one program'],
  missing: [
    'explore needs a file, as run does, such as',
    '  vmxlab explore guest-programs/lock-tas.asm -D ITERATIONS=2 --vcpus 2',
  ],
  summary: 'run a program on every schedule, or on many, and look for one that goes wrong',
  flags: { ...EXPLORE_FLAGS, ...SETTING_FLAGS, ...JSON_FLAGS, ...ASSEMBLY_FLAGS },
  examples: [
    ['explore lock.asm --vcpus 2 -D ITERATIONS=2', 'every schedule of two vCPUs'],
    ['explore lock.asm --store-buffers', 'with the stores that x86 delays'],
    ['explore lock.asm --strategy pct --runs 1000', 'what is too large for that, by chance'],
  ],
  epilogue: EXPLORE_EXIT_CODE_TEXT,
  execute: (args) => exploreCommand({ ...machineOptions(args), ...exploreOptions(args) }),
};

const fuzz: Command = {
  name: 'fuzz',
  argument: ['<file..>', 'program, scenario, or sources of one program'],
  missing: [
    'fuzz needs a file, as run does, such as',
    '  vmxlab fuzz guest-programs/hidden-fault.asm',
  ],
  summary: 'run a program with ever other input, values and orders, led by what is new',
  flags: { ...FUZZ_FLAGS, ...SETTING_FLAGS, ...JSON_FLAGS, ...ASSEMBLY_FLAGS },
  examples: [
    ['fuzz parser.asm --for 5m', 'input at the label fuzz_input'],
    ['fuzz lock.yaml --vary vms[].kvm.ple_window --vary seed', 'values of a scenario'],
    ['fuzz lock.asm --strategy pct', 'orders of steps'],
  ],
  epilogue: FUZZ_EXIT_CODE_TEXT,
  execute: (args) => fuzzCommand({ ...machineOptions(args), ...fuzzOptions(args) }),
};

const check: Command = {
  name: 'check',
  argument: ['<file..>', 'programs (.asm, .s), scenarios (.yaml, .json), folders of them'],
  missing: [
    'check needs files or folders: programs and scenarios that say what they expect, such as',
    '  vmxlab check guest-programs',
  ],
  summary: 'run programs and scenarios, and compare with what they say they do',
  flags: {
    ...SETTING_FLAGS,
    ...ASSEMBLY_FLAGS,
    format: {
      type: 'string',
      describe: `how to report: ${CHECK_FORMATS.join(', ')} (default text)`,
    },
    jobs: { alias: 'j', type: 'string', describe: 'runs at a time (default: one a processor)' },
    filter: { type: 'string', describe: 'only files and configurations whose name contains this' },
    update: { type: 'boolean', describe: 'write golden lines as they come out' },
  },
  examples: [
    ['check guest-programs', 'everything in a folder'],
    ['check lock.asm --seed 3 --filter PV', 'one configuration with one seed'],
    ['check guest-programs --format junit', 'for CI systems'],
  ],
  epilogue: CHECK_EXIT_CODE_TEXT,
  execute: (args) => {
    const [first, ...more] = filesOf(args);
    const { flags, defines, includes, syntax } = machineOptions(args);
    const jobs = args.jobs === undefined ? null : count(args, 'jobs', 1);
    if (jobs === 0) throw new Failure('--jobs: expected a number from 1, not 0');
    return checkPrograms({
      paths: [first, ...more],
      ...{ flags, defines, includes, syntax, linked: [] },
      format: oneOf(args, 'format', CHECK_FORMATS, 'text'),
      jobs,
      filter: once(args, 'filter') ?? null,
      update: args.update === true,
    });
  },
};

const asm: Command = {
  name: 'asm',
  argument: ['<file..>', 'sources, in NASM syntax or GAS syntax (.s, .S); linked in this order'],
  missing: [
    'asm needs a file: an assembly source, such as',
    '  vmxlab asm guest-programs/hello.asm -o hello.bin',
  ],
  summary: 'assemble sources to a flat binary',
  flags: {
    ...JSON_FLAGS,
    ...ASSEMBLY_FLAGS,
    output: {
      alias: 'o',
      type: 'string',
      describe: 'file to write (- for stdout; default: the source with .bin)',
    },
    listing: { alias: 'l', type: 'string', describe: 'listing to write (- for stdout)' },
    symbols: { type: 'boolean', describe: 'print the symbols' },
  },
  examples: [
    ['asm hello.asm -o hello.bin -l -', 'assemble, and print the listing'],
    ['asm start.asm lib.s -o all.bin', 'two files, one program'],
  ],
  execute: (args) => {
    const [file, ...linked] = filesOf(args);
    return asmCommand({
      file,
      output: once(args, 'output'),
      listing: once(args, 'listing'),
      symbols: args.symbols === true,
      ...assemblyOptions(args),
      linked,
      json: args.json === true,
    });
  },
};

const disasm: Command = {
  name: 'disasm',
  argument: ['<file>', 'ELF image, flat binary or source'],
  missing: [
    'disasm needs a file: an ELF image, a flat binary or an assembly source, such as',
    '  vmxlab disasm guest-programs/hello.asm',
  ],
  summary: 'disassemble an ELF image, a flat binary or an assembled source',
  flags: {
    ...JSON_FLAGS,
    ...ASSEMBLY_FLAGS,
    origin: {
      type: 'string',
      describe: "address of a flat binary's first byte (default: the source's, or 0x100000)",
    },
    bits: {
      type: 'string',
      describe:
        'code size, 16, 32 or 64 (default: that of an ELF image; 32 for multiboot; else 64)',
    },
    skip: { type: 'string', describe: 'bytes of code to pass over (default 0)' },
    length: { type: 'string', describe: 'bytes to look at (default all)' },
  },
  examples: [['disasm hello.bin --length 32', 'the first 32 bytes']],
  execute: (args) =>
    disasmCommand({
      file: fileOf(args),
      origin: address(args, 'origin'),
      bits: codeSize(args),
      skip: count(args, 'skip', 0),
      length: count(args, 'length', Number.MAX_SAFE_INTEGER),
      ...assemblyOptions(args),
      json: args.json === true,
    }),
};

const exits: Command = {
  name: 'exits',
  argument: ['[reason]', 'only this one, by name or number'],
  summary: 'list the VM-exit reasons, with numbers and meanings',
  flags: JSON_FLAGS,
  examples: [['exits HLT', 'what exit reason 12 is']],
  execute: (args) => exitsCommand({ reason: once(args, 'reason'), json: args.json === true }),
};

const presets: Command = {
  name: 'presets',
  argument: ['[name]', 'only this machine or kernel'],
  summary: 'list machines and kernels, with every value and its source',
  flags: JSON_FLAGS,
  examples: [['presets linux-4.12', 'what a host with Linux 4.12 does']],
  execute: (args) => presetsCommand({ name: once(args, 'name'), json: args.json === true }),
};

const experiment: Command = {
  name: 'experiment',
  argument: [
    '[what..]',
    'name or definition file; or merge, it, and stores of shards; or submit and it',
  ],
  summary: 'run a scenario with factors and seeds varied, and report with intervals',
  flags: EXPERIMENT_FLAGS,
  examples: [
    ['experiment --list', 'those that come with vmxlab'],
    ['experiment locks.yaml', 'one of your own'],
    ['experiment locks.yaml --cell lock=ticket -o out', 'some cells; reports in files'],
    ['experiment submit locks.yaml --shards 64', 'the same as a Slurm job array'],
    ['experiment merge locks.yaml store1 store2', 'what shards have run elsewhere'],
  ],
  epilogue: EXPERIMENT_EXIT_CODE_TEXT,
  execute: (args) => experimentCommand(experimentOptions(args)),
};

const trace: Command = {
  name: 'trace',
  argument: ['<what..>', 'convert FROM TO, report FILE, or stat FILE'],
  missing: [
    'trace needs to know what to do with which file, such as',
    '  vmxlab trace report trace.dat',
  ],
  summary: 'convert, print or sum up traces (trace.dat, ftrace text)',
  flags: {
    to: {
      type: 'string',
      describe: `convert to ${FILE_FORMATS.join(', ')} (default: by the name)`,
    },
    ns: { type: 'boolean', describe: 'report nanoseconds, as trace-cmd report -t' },
    event: {
      type: 'string',
      describe: `sum up ${STAT_EVENTS.join(', ')} or tracepoints (default vmexit)`,
    },
    vcpu: { type: 'string', describe: 'sum up one vCPU' },
    key: { type: 'string', describe: 'sort by sample or time (default sample)' },
  },
  examples: [
    ['trace convert trace.dat trace.pftrace', 'for ui.perfetto.dev'],
    ['trace report trace.dat', 'as trace-cmd report prints it'],
    ['trace stat trace.dat --event msr', 'as perf kvm stat report does'],
  ],
  execute: (args) =>
    traceCommand({
      words: ((args.what ?? []) as readonly unknown[]).map(String),
      to: once(args, 'to'),
      ns: args.ns === true,
      event: once(args, 'event'),
      vcpu: args.vcpu === undefined ? null : count(args, 'vcpu', 0),
      key: once(args, 'key'),
    }),
};

const debug: Command = {
  name: 'debug',
  argument: ['<file..>', 'program, scenario, or sources of one program'],
  missing: [
    'debug needs a file, as run does, such as',
    '  vmxlab debug guest-programs/lock-ticket.asm',
  ],
  summary: 'step through a program or a scenario, by instruction or VM exit, backwards too',
  flags: {
    ...SETTING_FLAGS,
    ...JSON_FLAGS,
    ...ASSEMBLY_FLAGS,
    command: {
      alias: 'x',
      ...REPEATABLE,
      describe: 'execute the commands in this file first',
    },
    ex: { alias: 'e', ...REPEATABLE, describe: 'execute this command; may be repeated' },
    batch: { type: 'boolean', describe: 'leave behind these commands' },
    'no-tui': { type: 'boolean', describe: 'lines only, no full-screen view' },
    'no-history': { type: 'boolean', describe: 'neither read nor keep the lines that are typed' },
  },
  examples: [
    ['debug lock.asm --vcpus 4', "in full screen; '?' lists the keys, 'help' the commands"],
    ["debug lock.asm --batch -ex 'exit' -ex 'why'", 'why the first VM exit happened'],
  ],
  execute: (args) =>
    debugCommand({
      ...machineOptions(args),
      json: args.json === true,
      commandFiles: textsOf(args.command),
      commands: textsOf(args.ex),
      batch: args.batch === true,
      tui: args['no-tui'] !== true,
      history: args['no-history'] !== true,
    }),
};

/** What a flag was given, once or several times. */
function textsOf(value: unknown): readonly string[] {
  return value === undefined ? [] : [value].flat().map(String);
}

const record: Command = {
  name: 'record',
  argument: ['<file..>', 'program, scenario, or sources of one program'],
  missing: [
    'record needs a file, as run does, such as',
    '  vmxlab record guest-programs/lock-ticket.asm -o lock.recording',
  ],
  summary: 'run a program or a scenario, and keep the run in a file',
  flags: {
    ...SETTING_FLAGS,
    ...ASSEMBLY_FLAGS,
    output: { alias: 'o', type: 'string', describe: 'recording to write' },
  },
  examples: [['record lock.asm --vcpus 4 -o lock.recording', 'for replay, run, debug, gdb, dap']],
  epilogue: EXIT_CODE_TEXT,
  execute: (args) => {
    const output = once(args, 'output');
    if (output === undefined) throw new Failure('record needs --output (-o), the file to write');
    return recordCommand({ ...machineOptions(args), output });
  },
};

const replay: Command = {
  name: 'replay',
  argument: ['<file>', 'recording'],
  missing: [
    'replay needs a file: a recording, as record makes it, such as',
    '  vmxlab replay lock.recording',
  ],
  summary: 'run again what was recorded, and say where it is not the same',
  flags: { engine: SETTING_FLAGS.engine, skip: SETTING_FLAGS.skip, ...JSON_FLAGS },
  examples: [
    ['replay lock.recording', 'the same run, or the place where it diverges'],
    ['replay lock.recording --engine interpreter', 'the same by another engine'],
  ],
  epilogue: REPLAY_EXIT_CODE_TEXT,
  execute: (args) => replayCommand(machineOptions(args)),
};

const gdb: Command = {
  name: 'gdb',
  argument: ['<file..>', 'program, scenario, or sources of one program'],
  missing: [
    'gdb needs a file, as run does, such as',
    '  vmxlab gdb guest-programs/lock-ticket.asm',
  ],
  summary: "serve gdb's remote protocol: debug a program or a scenario, backwards too",
  flags: { ...SETTING_FLAGS, ...ASSEMBLY_FLAGS, ...LISTEN_FLAGS },
  examples: [['gdb lock.asm --vcpus 4', 'then, in gdb: target remote :1234']],
  execute: (args) => gdbCommand({ ...machineOptions(args), listen: listenOptions(args, 1234) }),
};

const dap: Command = {
  name: 'dap',
  argument: ['[file..]', 'what a client may attach to: program, scenario or sources'],
  summary: 'serve the Debug Adapter Protocol on standard input and output, for VS Code and others',
  flags: { ...SETTING_FLAGS, ...ASSEMBLY_FLAGS, ...LISTEN_FLAGS },
  examples: [
    ['dap', 'what an editor starts'],
    ['dap lock.asm --vcpus 4 --port 4711', 'wait for an editor to attach'],
  ],
  execute: (args) => {
    const listens = args.port !== undefined || args.listen !== undefined;
    const listen = listens ? listenOptions(args, 4711) : null;
    const isGiven = Array.isArray(args.file) ? args.file.length > 0 : args.file !== undefined;
    const options = isGiven ? machineOptions(args) : { ...assemblyOptions(args), flags: [] };
    return dapCommand({ file: null, ...options, listen });
  },
};

const schema: Command = {
  name: 'schema',
  argument: ['[of]', 'scenario, or experiment'],
  summary: 'print the JSON schema of scenarios, or of definitions of experiments',
  flags: {},
  examples: [
    ['schema > scenario.schema.json', 'for editors that check YAML as it is typed'],
    ['schema experiment > experiment.schema.json', 'the same for experiments'],
  ],
  execute: (args) => schemaCommand(once(args, 'of')),
};

const COMMANDS: readonly Command[] = [
  run,
  check,
  explore,
  fuzz,
  experiment,
  profile,
  record,
  replay,
  debug,
  gdb,
  dap,
  asm,
  disasm,
  exits,
  presets,
  trace,
  schema,
];

/** What yargs is told of a command. */
function declare(command: Argv, { argument, flags, examples, epilogue }: Command): Argv {
  if (argument !== null) {
    const [usage, describe] = argument;
    command.positional(usage.slice(1, -1).replace('..', ''), { type: 'string', describe });
  }
  command.options(flags);
  for (const [line, effect] of examples) command.example(`$0 ${line}`, effect);
  return epilogue === undefined ? command : command.epilogue(epilogue);
}

/** yargs lays out the help of every command that it calls, which takes time, mostly for wrapping. */
function asksForHelp(words: readonly string[]): boolean {
  return words.some((word) => ['help', '--help', '-h'].includes(word));
}

async function main(): Promise<void> {
  const words = spellOut(hideBin(process.argv));
  const command = COMMANDS.find(({ name }) => name === words[0]);
  if (!words.includes('--get-yargs-completions')) {
    checkCommand(words[0], [...COMMANDS.map(({ name }) => name), 'completion']);
    const flags = { ...command?.flags, ...HELP_FLAGS };
    checkFlags(command?.name ?? '', words.slice(1), flags);
  }
  const parser = yargs(words)
    .scriptName('vmxlab')
    .usage('$0 <command>\n\nA deterministic laboratory for virtualization.')
    .detectLocale(false)
    .parserConfiguration({ 'boolean-negation': false, 'dot-notation': false })
    .version(VERSION);
  for (const one of COMMANDS) {
    const usage = `${one.name} ${one.argument?.[0] ?? ''}`.trim();
    const build = (builder: Argv) => declare(builder, one);
    parser.command(usage, one.summary, build, async (args: Arguments) => {
      process.exitCode = await one.execute(args);
    });
  }
  await parser
    .completion('completion', 'print a completion script for bash or zsh')
    .strict()
    .wrap(asksForHelp(words) ? Math.min(100, process.stdout.columns ?? 100) : null)
    .fail((message, error: unknown) => {
      const isUsage = error === undefined || (error instanceof Error && error.name === 'YError');
      throw isUsage ? usageFailure(message, command) : error;
    })
    .help()
    .alias('help', 'h')
    .parseAsync();
}

function usageFailure(message: string, command: Command | undefined): Failure {
  if (!/^Not enough non-option/.test(message) || command?.missing === undefined) {
    return new Failure(usageMessage(message, command?.flags ?? {}));
  }
  const [first, ...rest] = command.missing;
  const help = `'vmxlab ${command.name} --help' says more.`;
  return new Failure([`vmxlab: ${first}`, ...rest, help]);
}

/** A reader that has gone away (`| head`) is no error; a full disk is not ours. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`vmxlab: cannot write standard output: ${reasonOf(error)}\n`);
  process.exit(EXIT_BAD_INPUT);
});

/** Nobody is left to tell. */
process.stderr.on('error', () => undefined);

main().catch((thrown: unknown) => {
  const lines = thrown instanceof Failure ? thrown.lines : crashLines(thrown);
  process.stderr.write(`${lines.join('\n')}\n`);
  process.exitCode = thrown instanceof Failure ? thrown.exitCode : EXIT_INTERNAL;
});

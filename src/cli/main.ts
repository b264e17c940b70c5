#!/usr/bin/env node
// The command line: parse, call, print.

import Long from 'long';
import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { EXIT_CODES, jsonSchema, LOAD_ADDRESS, SCENARIO, SETTINGS } from '../machine/index.ts';
import { asmCommand } from './asm-command.ts';
import { crashLines } from './crash.ts';
import { disasmCommand } from './disasm-command.ts';
import { exitsCommand } from './exits-command.ts';
import { EXIT_BAD_INPUT, EXIT_INTERNAL, EXIT_INTERRUPTED, Failure } from './failure.ts';
import type { AssemblyOptions, FlagSetting } from './program.ts';
import { runCommand } from './run-command.ts';
import { VERSION } from './version.ts';

const EXIT_CODE_TEXT = `Exit codes: 0 all vCPUs halted; odd: (value << 1) | 1, what the guest wrote to port 0xF4; ${[
  `${EXIT_BAD_INPUT} wrong usage or input`,
  `${EXIT_CODES.limit} limit reached`,
  `${EXIT_CODES.tripleFault} triple fault`,
  `${EXIT_CODES.deadlock} deadlock`,
  `${EXIT_CODES.notImplemented} not implemented`,
  `${EXIT_CODES.entryFailed} VM entry failed`,
  `${EXIT_CODES.kvmError} KVM internal error`,
  `${EXIT_INTERNAL} error in vmxlab`,
  `${EXIT_INTERRUPTED} interrupted`,
].join('; ')}.`;

type Arguments = Readonly<Record<string, unknown>>;

/** A value given once; a flag given twice is a mistake. */
function once(args: Arguments, name: string): string | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value)) throw new Failure(`--${name} is given ${value.length} times`);
  if (value === '') throw new Failure(`--${name} needs a value`);
  return String(value);
}

/** `-D NAME` and `-D NAME=VALUE`. */
function definesOf(args: Arguments): Record<string, string> {
  const given = args.define as readonly string[] | undefined;
  return Object.fromEntries(
    (given ?? []).map((text) => {
      const at = String(text).indexOf('=');
      return at < 0 ? [String(text), ''] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

function assemblyOptions(args: Arguments): AssemblyOptions {
  return { defines: definesOf(args), includes: (args.include as readonly string[]) ?? [] };
}

function flagsOf(args: Arguments): FlagSetting[] {
  return SETTINGS.flatMap((setting) => {
    const value = once(args, setting.flag);
    return value === undefined ? [] : [{ setting, value }];
  });
}

function count(args: Arguments, name: string, fallback: number): number {
  const text = once(args, name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new Failure(`--${name}: expected a whole number such as 64 or 0x40, not '${text}'`);
}

const DEFINE = {
  alias: 'D',
  type: 'string',
  array: true,
  nargs: 1,
  describe: 'define an assembler macro: NAME or NAME=VALUE',
} as const;

const INCLUDE = {
  alias: 'I',
  type: 'string',
  array: true,
  nargs: 1,
  describe: 'folder to look for %include files in',
} as const;

const JSON_OPTION = {
  type: 'boolean',
  default: false,
  describe: 'print one JSON document',
} as const;

function withFile(command: Argv, describe: string): Argv {
  return command.positional('file', { type: 'string', demandOption: true, describe });
}

function withSettings(command: Argv): Argv {
  return SETTINGS.reduce(
    (built, { flag, summary, expected, fallback }) =>
      built.option(flag, {
        type: 'string',
        group: 'Scenario:',
        describe: `${summary}: ${expected}${fallback === '' ? '' : ` (default ${fallback})`}`,
      }),
    command,
  );
}

async function main(): Promise<void> {
  let exitCode = 0;
  const parser = yargs(hideBin(process.argv))
    .scriptName('vmxlab')
    .usage('$0 <command>\n\nA deterministic laboratory for virtualization.')
    .version(VERSION)
    .command(
      'run <file>',
      'run a program (.asm, flat binary) or a scenario (.yaml, .json)',
      (command) =>
        withSettings(withFile(command, 'program or scenario'))
          .option('trace', { type: 'string', describe: "write a trace in ftrace's text format" })
          .option('json', JSON_OPTION)
          .option('quiet', {
            alias: 'q',
            type: 'boolean',
            default: false,
            describe: 'print only what the guest prints',
          })
          .option('define', DEFINE)
          .option('include', INCLUDE)
          .example('$0 run guest-programs/hello.asm', 'one vCPU says hello')
          .example(
            '$0 run lock.asm --vcpus 4 --pcpus 2 --hogs 2',
            'four vCPUs contend on two pCPUs',
          )
          .example('$0 run scenario.yaml --json', 'a scenario, reported as JSON')
          .epilogue(EXIT_CODE_TEXT),
      async (args: Arguments) => {
        exitCode = await runCommand({
          file: String(args.file),
          flags: flagsOf(args),
          ...assemblyOptions(args),
          json: args.json === true,
          quiet: args.quiet === true,
          trace: once(args, 'trace'),
        });
      },
    )
    .command(
      'asm <file>',
      'assemble a source to a flat binary',
      (command) =>
        withFile(command, 'assembly source, in NASM syntax')
          .option('output', {
            alias: 'o',
            type: 'string',
            describe: 'file to write (- for stdout)',
          })
          .option('listing', {
            alias: 'l',
            type: 'string',
            describe: 'listing to write (- for stdout)',
          })
          .option('symbols', { type: 'boolean', default: false, describe: 'print the symbols' })
          .option('json', JSON_OPTION)
          .option('define', DEFINE)
          .option('include', INCLUDE)
          .example('$0 asm hello.asm -o hello.bin -l -', 'assemble, and print the listing'),
      (args: Arguments) => {
        exitCode = asmCommand({
          file: String(args.file),
          output: once(args, 'output'),
          listing: once(args, 'listing'),
          symbols: args.symbols === true,
          ...assemblyOptions(args),
          json: args.json === true,
        });
      },
    )
    .command(
      'disasm <file>',
      'disassemble a flat binary (or an assembled source)',
      (command) =>
        withFile(command, 'flat binary or source')
          .option('origin', {
            type: 'string',
            describe: 'address of the first byte (default 0x100000)',
          })
          .option('skip', { type: 'string', describe: 'bytes to pass over (default 0)' })
          .option('length', { type: 'string', describe: 'bytes to look at (default all)' })
          .option('json', JSON_OPTION)
          .option('define', DEFINE)
          .option('include', INCLUDE)
          .example('$0 disasm hello.bin --length 32', 'the first 32 bytes'),
      (args: Arguments) => {
        exitCode = disasmCommand({
          file: String(args.file),
          origin: Long.fromNumber(count(args, 'origin', LOAD_ADDRESS)),
          skip: count(args, 'skip', 0),
          length: count(args, 'length', Number.MAX_SAFE_INTEGER),
          ...assemblyOptions(args),
          json: args.json === true,
        });
      },
    )
    .command(
      'exits [reason]',
      'list the VM-exit reasons, with numbers and meanings',
      (command) =>
        command
          .positional('reason', { type: 'string', describe: 'only this one, by name or number' })
          .option('json', JSON_OPTION)
          .example('$0 exits HLT', 'what exit reason 12 is'),
      (args: Arguments) => {
        exitCode = exitsCommand({ reason: once(args, 'reason'), json: args.json === true });
      },
    )
    .command('schema', 'print the JSON schema of scenarios', {}, () => {
      const schema = {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        ...jsonSchema(SCENARIO),
      };
      process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
    })
    .completion('completion', 'print a completion script for bash or zsh')
    .demandCommand(1, 'expected a command; see vmxlab --help')
    .recommendCommands()
    .strict()
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .fail((message, error) => {
      throw error ?? new Failure(message);
    })
    .help();
  await parser.parseAsync();
  process.exitCode = exitCode;
}

/** A reader that has gone away (`| head`) is no error. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

main().catch((thrown: unknown) => {
  const lines = thrown instanceof Failure ? thrown.lines : crashLines(thrown);
  process.stderr.write(`${lines.join('\n')}\n`);
  process.exitCode = thrown instanceof Failure ? thrown.exitCode : EXIT_INTERNAL;
});

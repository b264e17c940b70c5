#!/usr/bin/env node
// The command line: parse, call, print.

import Long from 'long';
import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { jsonSchema, LOAD_ADDRESS, SCENARIO } from '../machine/index.ts';
import {
  type Arguments,
  assemblyOptions,
  count,
  flagSettings,
  once,
  withAssembly,
  withFile,
  withJson,
  withSettings,
} from './arguments.ts';
import { asmCommand } from './asm-command.ts';
import { crashLines } from './crash.ts';
import { disasmCommand } from './disasm-command.ts';
import { EXIT_CODE_TEXT } from './exit-codes.ts';
import { exitsCommand } from './exits-command.ts';
import { EXIT_INTERNAL, Failure } from './failure.ts';
import { runCommand } from './run-command.ts';
import { VERSION } from './version.ts';

/** What a command is: how it is called, its options, and what it does, giving the exit code. */
interface Command {
  readonly usage: string;
  readonly summary: string;
  readonly options: (command: Argv) => Argv;
  readonly execute: (args: Arguments) => number | Promise<number>;
}

const run: Command = {
  usage: 'run <file>',
  summary: 'run a program (.asm, flat binary) or a scenario (.yaml, .json)',
  options: (command) =>
    withAssembly(withJson(withSettings(withFile(command, 'program or scenario'))))
      .option('trace', { type: 'string', describe: "write a trace in ftrace's text format" })
      .option('quiet', {
        alias: 'q',
        type: 'boolean',
        default: false,
        describe: 'print only what the guest prints',
      })
      .example('$0 run guest-programs/hello.asm', 'one vCPU says hello')
      .example('$0 run lock.asm --vcpus 4 --pcpus 2 --hogs 2', 'four vCPUs contend on two pCPUs')
      .example('$0 run scenario.yaml --json', 'a scenario, reported as JSON')
      .epilogue(EXIT_CODE_TEXT),
  execute: (args) =>
    runCommand({
      file: String(args.file),
      flags: flagSettings(args),
      ...assemblyOptions(args),
      json: args.json === true,
      quiet: args.quiet === true,
      trace: once(args, 'trace'),
    }),
};

const asm: Command = {
  usage: 'asm <file>',
  summary: 'assemble a source to a flat binary',
  options: (command) =>
    withAssembly(withJson(withFile(command, 'assembly source, in NASM syntax')))
      .option('output', {
        alias: 'o',
        type: 'string',
        describe: 'file to write (- for stdout; default: the source with .bin)',
      })
      .option('listing', {
        alias: 'l',
        type: 'string',
        describe: 'listing to write (- for stdout)',
      })
      .option('symbols', { type: 'boolean', default: false, describe: 'print the symbols' })
      .example('$0 asm hello.asm -o hello.bin -l -', 'assemble, and print the listing'),
  execute: (args) =>
    asmCommand({
      file: String(args.file),
      output: once(args, 'output'),
      listing: once(args, 'listing'),
      symbols: args.symbols === true,
      ...assemblyOptions(args),
      json: args.json === true,
    }),
};

const disasm: Command = {
  usage: 'disasm <file>',
  summary: 'disassemble a flat binary (or an assembled source)',
  options: (command) =>
    withAssembly(withJson(withFile(command, 'flat binary or source')))
      .option('origin', {
        type: 'string',
        describe: 'address of the first byte (default 0x100000)',
      })
      .option('skip', { type: 'string', describe: 'bytes to pass over (default 0)' })
      .option('length', { type: 'string', describe: 'bytes to look at (default all)' })
      .example('$0 disasm hello.bin --length 32', 'the first 32 bytes'),
  execute: (args) =>
    disasmCommand({
      file: String(args.file),
      origin: Long.fromNumber(count(args, 'origin', LOAD_ADDRESS)),
      skip: count(args, 'skip', 0),
      length: count(args, 'length', Number.MAX_SAFE_INTEGER),
      ...assemblyOptions(args),
      json: args.json === true,
    }),
};

const exits: Command = {
  usage: 'exits [reason]',
  summary: 'list the VM-exit reasons, with numbers and meanings',
  options: (command) =>
    withJson(command)
      .positional('reason', { type: 'string', describe: 'only this one, by name or number' })
      .example('$0 exits HLT', 'what exit reason 12 is'),
  execute: (args) => exitsCommand({ reason: once(args, 'reason'), json: args.json === true }),
};

const schema: Command = {
  usage: 'schema',
  summary: 'print the JSON schema of scenarios',
  options: (command) => command,
  execute: () => {
    const $schema = 'https://json-schema.org/draft/2020-12/schema';
    process.stdout.write(`${JSON.stringify({ $schema, ...jsonSchema(SCENARIO) }, null, 2)}\n`);
    return 0;
  },
};

async function main(): Promise<void> {
  const parser = yargs(hideBin(process.argv))
    .scriptName('vmxlab')
    .usage('$0 <command>\n\nA deterministic laboratory for virtualization.')
    .version(VERSION);
  for (const { usage, summary, options, execute } of [run, asm, disasm, exits, schema]) {
    parser.command(usage, summary, options, async (args: Arguments) => {
      process.exitCode = await execute(args);
    });
  }
  await parser
    .completion('completion', 'print a completion script for bash or zsh')
    .demandCommand(1, 'expected a command; see vmxlab --help')
    .recommendCommands()
    .strict()
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .fail((message, error) => {
      throw error ?? new Failure(message);
    })
    .help()
    .parseAsync();
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

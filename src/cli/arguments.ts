// What yargs makes of the command line, and the options that several commands share.

import Long from 'long';
import type { Syntax } from '../asm/index.ts';
import { CODE_SIZES, type CodeSize } from '../isa/index.ts';
import { type GivenSetting, SETTINGS } from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import type { Flags } from './command-line.ts';
import { Failure } from './failure.ts';
import type { AssemblyOptions } from './program.ts';
import { type ListenOptions, LOOPBACK } from './protocol-server.ts';

export type Arguments = Readonly<Record<string, unknown>>;

/** A value given once; a flag given twice is a mistake. */
export function once(args: Arguments, name: string): string | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value)) throw new Failure(`--${name} is given ${value.length} times`);
  if (value === '') throw new Failure(`--${name} needs a value`);
  return String(value);
}

/** A whole number, decimal or with 0x. */
export function count(args: Arguments, name: string, fallback: number): number {
  const text = once(args, name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Failure(`--${name}: expected a whole number such as 64 or 0x40, not '${text}'`);
}

/** A list of known words, separated by commas; none if the flag is not given. */
export function someOf<T extends string>(
  args: Arguments,
  name: string,
  known: readonly T[],
): readonly T[] {
  const words = once(args, name)?.split(',') ?? [];
  return words.map((word) => {
    const found = known.find((candidate) => candidate === word);
    if (found !== undefined) return found;
    const meant = nearest(word, known);
    const hint =
      meant === null ? `expected one of ${known.join(', ')}` : `did you mean '${meant}'?`;
    throw new Failure(`--${name}: unknown '${word}'; ${hint}`);
  });
}

/** One of several words. */
export function oneOf<T extends string>(
  args: Arguments,
  name: string,
  known: readonly T[],
  fallback: T,
): T {
  const text = once(args, name);
  if (text === undefined) return fallback;
  const found = known.find((candidate) => candidate === text);
  if (found !== undefined) return found;
  throw new Failure(`--${name}: expected one of ${known.join(', ')}, not '${text}'`);
}

/** An address of up to 64 bits, decimal or with 0x. */
export function address(args: Arguments, name: string): Long | undefined {
  const text = once(args, name);
  if (text === undefined) return undefined;
  const [, hex, decimal] = /^(?:0x([\da-f]{1,16})|(\d{1,15}))$/i.exec(text) ?? [];
  if (hex !== undefined) return Long.fromString(hex, true, 16).toSigned();
  if (decimal !== undefined) return Long.fromString(decimal);
  throw new Failure(`--${name}: expected an address such as 0x100000, not '${text}'`);
}

/** `--bits`, or undefined. */
export function codeSize(args: Arguments): CodeSize | undefined {
  const text = once(args, 'bits');
  const size = CODE_SIZES.find((candidate) => String(candidate) === text);
  if (text === undefined || size !== undefined) return size;
  throw new Failure(`--bits: expected ${CODE_SIZES.join(', ')}, not '${text}'`);
}

/** The file that the command works on. */
export function fileOf(args: Arguments): string {
  const file = String(args.file);
  if (file === '') throw new Failure('the name of the file is empty');
  return file;
}

/** The files that the command works on, the first by itself. */
export function filesOf(args: Arguments): readonly [string, ...string[]] {
  const given = (Array.isArray(args.file) ? args.file : [args.file]).map(String);
  if (given.includes('')) throw new Failure('the name of the file is empty');
  const [first = '', ...more] = given;
  return [first, ...more];
}

export function assemblyOptions(args: Arguments): AssemblyOptions {
  return {
    linked: [],
    syntax: syntaxOf(args),
    defines: definesOf((args.define as readonly string[] | undefined) ?? []),
    includes: (args.include as readonly string[] | undefined) ?? [],
  };
}

/** What makes a machine, for the commands that run one. */
export function machineOptions(args: Arguments) {
  const [file, ...linked] = filesOf(args);
  const flags = flagSettings(args);
  return { ...assemblyOptions(args), file, linked, flags, json: args.json === true };
}

/** `--syntax`, or undefined if the names of the files decide. */
function syntaxOf(args: Arguments): Syntax | undefined {
  const text = once(args, 'syntax');
  if (text === undefined || text === 'nasm' || text === 'gas') return text;
  throw new Failure(`--syntax: expected nasm or gas, not '${text}'`);
}

/** What the assembler takes for a name. */
const MACRO_NAME = /^[A-Za-z_.?@][\w.?@$#~]*$/;

/** `-D NAME` and `-D NAME=VALUE`. */
function definesOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      const [name, value] = at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
      if (MACRO_NAME.test(name)) return [name, value];
      throw new Failure(`--define: '${name}' cannot be the name of a macro`);
    }),
  );
}

/** The scenario's settings that are given as flags. */
function flagSettings(args: Arguments): GivenSetting[] {
  return SETTINGS.flatMap((setting) => {
    if (setting.isRepeatable) {
      const values = (args[setting.flag] as readonly string[] | undefined) ?? [];
      return values.map((value) => ({ setting, value: String(value) }));
    }
    const value = once(args, setting.flag);
    return value === undefined ? [] : [{ setting, value }];
  });
}

/** What every command has. */
export const HELP_FLAGS: Flags = {
  help: { alias: 'h', type: 'boolean', describe: 'show this text' },
  version: { type: 'boolean', describe: 'show the version' },
};

export const JSON_FLAGS: Flags = {
  json: { type: 'boolean', describe: 'print one JSON document' },
};

/** Where a command that serves others listens. */
export const LISTEN_FLAGS: Flags = {
  port: { type: 'string', describe: 'TCP port to listen on; 0 for any that is free' },
  listen: {
    type: 'string',
    describe: `address to listen on (default ${LOOPBACK}: this machine only)`,
  },
};

const MAX_PORT = 65535;

export function listenOptions(args: Arguments, port: number): ListenOptions {
  const given = count(args, 'port', port);
  if (given > MAX_PORT) throw new Failure(`--port: ${given} is above ${MAX_PORT}`);
  return { port: given, address: once(args, 'listen') ?? LOOPBACK };
}

/** Of a flag that may be given several times, each time with one value. */
export const REPEATABLE = { type: 'string', array: true, nargs: 1 } as const;

/** What decides how sources are assembled. */
export const ASSEMBLY_FLAGS: Flags = {
  define: {
    alias: 'D',
    ...REPEATABLE,
    describe: 'define an assembler macro: NAME or NAME=VALUE',
  },
  syntax: {
    type: 'string',
    describe: 'language of sources: nasm or gas (default: gas for .s and .S, else nasm)',
  },
  include: {
    alias: 'I',
    ...REPEATABLE,
    describe: 'folder to look for included files in',
  },
};

/** A flag for every setting of a scenario that has one. */
export const SETTING_FLAGS: Flags = Object.fromEntries(
  SETTINGS.map(({ key, flag, summary, expected, fallback, isRepeatable }) => {
    // The default of a list's entry is not what holds if the list is empty.
    const without = key.startsWith('hogs[]') ? '0' : fallback;
    const describe = `${summary}: ${expected}${without === '' ? '' : ` (default ${without})`}`;
    const kind = isRepeatable ? REPEATABLE : ({ type: 'string' } as const);
    return [flag, { ...kind, group: 'Scenario:', describe }];
  }),
);

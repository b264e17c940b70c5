// What yargs makes of the command line, and the options that several commands share.

import type { Argv } from 'yargs';
import { SETTINGS } from '../machine/index.ts';
import { Failure } from './failure.ts';
import type { AssemblyOptions, FlagSetting } from './program.ts';

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

export function assemblyOptions(args: Arguments): AssemblyOptions {
  return {
    defines: definesOf((args.define as readonly string[] | undefined) ?? []),
    includes: (args.include as readonly string[] | undefined) ?? [],
  };
}

/** `-D NAME` and `-D NAME=VALUE`. */
function definesOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** The scenario's settings that are given as flags. */
export function flagSettings(args: Arguments): FlagSetting[] {
  return SETTINGS.flatMap((setting) => {
    const value = once(args, setting.flag);
    return value === undefined ? [] : [{ setting, value }];
  });
}

export function withFile(command: Argv, describe: string): Argv {
  return command.positional('file', { type: 'string', demandOption: true, describe });
}

/** `--json`, which every command has. */
export function withJson(command: Argv): Argv {
  return command.option('json', {
    type: 'boolean',
    default: false,
    describe: 'print one JSON document',
  });
}

/** What decides how sources are assembled. */
export function withAssembly(command: Argv): Argv {
  return command
    .option('define', {
      alias: 'D',
      type: 'string',
      array: true,
      nargs: 1,
      describe: 'define an assembler macro: NAME or NAME=VALUE',
    })
    .option('include', {
      alias: 'I',
      type: 'string',
      array: true,
      nargs: 1,
      describe: 'folder to look for %include files in',
    });
}

/** A flag for every setting of a scenario that has one. */
export function withSettings(command: Argv): Argv {
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

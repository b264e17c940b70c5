// What `launch` may say about the machine: a program, settings of the scenario by the names of
// their flags, macros for the assembler.

import { type GivenSetting, SETTINGS } from '../../machine/index.ts';
import { nearest } from '../../sim/index.ts';
import { type Arguments, textOf } from './arguments.ts';
import { isRecord } from './messages.ts';
import { BadRequest } from './target.ts';

export interface LaunchArguments {
  readonly program: string;
  readonly settings: readonly GivenSetting[];
  readonly defines: Readonly<Record<string, string>>;
}

/** Throws {@link BadRequest} with what is wrong. */
export function launchArguments(args: Arguments): LaunchArguments {
  return {
    program: textOf(args, 'program'),
    settings: Object.entries(recordOf(args, 'settings')).flatMap(([flag, value]) =>
      settingsOf(flag, value),
    ),
    defines: Object.fromEntries(
      Object.entries(recordOf(args, 'defines')).map(([name, value]) => [name, printed(value)]),
    ),
  };
}

function recordOf(args: Arguments, name: string): Arguments {
  const value = args[name] ?? {};
  if (isRecord(value)) return value;
  throw new BadRequest(`'${name}': expected an object`);
}

function settingsOf(flag: string, value: unknown): GivenSetting[] {
  const setting = SETTINGS.find((candidate) => candidate.flag === flag);
  if (setting === undefined) {
    const flags = SETTINGS.map((candidate) => candidate.flag);
    const meant = nearest(flag, flags);
    const hint = meant === null ? `known are ${flags.join(', ')}` : `did you mean '${meant}'?`;
    throw new BadRequest(`'settings': unknown '${flag}'; ${hint}`);
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.map((one) => ({ setting, value: printed(one) }));
}

/** JSON's numbers, texts and truth values as the command line would have them. */
function printed(value: unknown): string {
  if (['string', 'number', 'boolean'].includes(typeof value)) return String(value);
  throw new BadRequest(`expected a text or a number, not ${JSON.stringify(value)}`);
}

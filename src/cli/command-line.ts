// The words of the command line before yargs sees them: short flags are spelt out, and unknown
// commands and flags are reported with what was probably meant, all at once.

import type { Options } from 'yargs';
import { nearest } from '../sim/index.ts';
import { Failure } from './failure.ts';

/** The flags of a command, as yargs declares them. */
export type Flags = Readonly<Record<string, Options>>;

/**
 * The words as yargs understands them: `-DNAME=1` and `-ofile`, which compilers take and yargs does
 * not, become two words, and what stands behind `--` is no flag, whatever it begins with.
 */
export function spellOut(words: readonly string[]): string[] {
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  return [
    ...words.slice(0, end).flatMap((word) => {
      // As gdb has it.
      if (word === '-ex') return ['--ex'];
      const isJoined = /^-[DIjol][^=]/.test(word);
      return isJoined ? [word.slice(0, 2), word.slice(2)] : [word];
    }),
    ...words.slice(end + 1).map((word) => (word.startsWith('-') ? `./${word}` : word)),
  ];
}

/** Throws {@link Failure} unless the first word is one of the commands, or asks for help. */
export function checkCommand(word: string | undefined, commands: readonly string[]): void {
  const list = `the commands are ${commands.join(', ')}`;
  if (word === undefined) throw new Failure(`expected a command; ${list}; see 'vmxlab --help'`);
  if (commands.includes(word) || ['--help', '-h', '--version', 'help'].includes(word)) return;
  if (word.startsWith('-')) {
    throw new Failure(`expected a command before '${word}'; ${list}; see 'vmxlab --help'`);
  }
  const meant = nearest(word, commands);
  const hint = meant === null ? list : `did you mean '${meant}'?`;
  throw new Failure(`unknown command '${word}'; ${hint}`);
}

/** Throws {@link Failure} if there are flags among the words that the command does not have. */
export function checkFlags(command: string, words: readonly string[], flags: Flags): void {
  const problems = words.flatMap((word) => flagProblem(word, flags) ?? []);
  if (problems.length === 0) return;
  const help = `'vmxlab ${command} --help' lists the flags`;
  throw new Failure([...problems.map((problem) => `vmxlab: ${problem}`), help]);
}

function flagProblem(word: string, flags: Flags): string | null {
  const [, dashes, name, value] = /^(--?)([a-zA-Z][^=]*)(=.*)?$/.exec(word) ?? [];
  if (dashes === undefined || name === undefined) return null;
  const letters = Object.values(flags).flatMap(({ alias }) => alias ?? []);
  const names = Object.keys(flags);
  const isKnown =
    dashes === '--' ? names.includes(name) : [...name].every((letter) => letters.includes(letter));
  if (!isKnown) {
    const meant = nearest(name, names);
    return `unknown flag '${dashes}${name}'${meant === null ? '' : `; did you mean '--${meant}'?`}`;
  }
  const takesNone = dashes === '--' && flags[name]?.type === 'boolean';
  return takesNone && value !== undefined ? `--${name} takes no value` : null;
}

/** What yargs has to say about wrong usage, in our words. */
export function usageMessage(message: string, flags: Flags): string {
  const [, unknown] = /^Unknown arguments?: (.*)$/.exec(message) ?? [];
  if (unknown !== undefined) {
    const names = unknown.split(', ').map((name) => `'${name}'`);
    return `unexpected argument${names.length > 1 ? 's' : ''} ${names.join(', ')}`;
  }
  const [, flag] = /^Not enough arguments following: (.*)$/.exec(message) ?? [];
  if (flag === undefined) return message;
  const { nargs = 1 } = flags[flag] ?? {};
  const values = nargs === 1 ? 'a value' : `${nargs} values`;
  return `${flag.length > 1 ? '--' : '-'}${flag} needs ${values}`;
}

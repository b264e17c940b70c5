// What becomes of a judged run: a result, with the commands that repeat it and open the debugger.

import type { CheckResult, Expectations, Verdict } from '../check/index.ts';
import type { InputOptions } from './program.ts';
import { shellLine } from './shell-words.ts';

/** What a result is about. */
export interface Judged {
  readonly path: string;
  /** {@link CheckResult}'s. */
  readonly configuration: string;
  /** Null if it was not run. */
  readonly seed: number | null;
  /** What the command line says. */
  readonly options: InputOptions;
  readonly expectations: Expectations | null;
  /** How to repeat it, but for what the command line says: `vmxlab check PATH`. */
  readonly again: readonly string[];
}

type ResultHead = Omit<CheckResult, 'status' | 'reason'>;

/** A result of nothing yet. */
export function resultHead(judged: Judged): ResultHead {
  const { path, configuration, seed, options, expectations, again } = judged;
  const given = options.flags
    .filter(({ setting }) => setting.flag !== 'seed')
    .flatMap(({ setting, value }) => [`--${setting.flag}`, value]);
  const settings = expectations?.configuration.settings ?? [];
  const own = settings
    .filter(({ setting }) => !options.flags.some((flag) => flag.setting === setting))
    .flatMap(({ setting, value }) => [`--${setting.flag}`, value]);
  const assembly = [
    ...options.includes.flatMap((folder) => ['-I', folder]),
    ...(options.syntax === undefined ? [] : ['--syntax', options.syntax]),
  ];
  const seeds = seed === null ? [] : ['--seed', String(seed)];
  const check = [...given, ...seeds, ...definesOf(options.defines), ...assembly];
  const allDefines = { ...expectations?.configuration.defines, ...options.defines };
  const run = [...own, ...given, ...seeds, ...definesOf(allDefines), ...assembly];
  const debug = ['vmxlab', 'debug', path, ...options.linked, ...run];
  return {
    path,
    configuration,
    seed,
    testCount: 0,
    failures: [],
    repeatCommand: shellLine([...again, ...check]),
    debugCommand: (timeNs) => shellLine([...debug, '--ex', `goto ${timeNs}ns`]),
  };
}

function definesOf(all: Readonly<Record<string, string>>): string[] {
  return Object.entries(all).flatMap(([name, value]) => [
    '-D',
    value === '' ? name : `${name}=${value}`,
  ]);
}

/** The result of a run that was judged. */
export function resultOfVerdict(judged: Judged, verdict: Verdict): CheckResult {
  const known = judged.expectations?.expectedFailure ?? null;
  const status =
    known === null ? (verdict.holds ? 'pass' : 'fail') : verdict.holds ? 'xpass' : 'xfail';
  const { testCount, failures } = verdict;
  const reason = known === null ? [] : [known];
  return { ...resultHead(judged), status, testCount, failures, reason };
}

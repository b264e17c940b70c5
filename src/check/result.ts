// What became of checks, whatever the format that it is reported in.

import type { Failure } from './checked-run.ts';

/**
 * `fail`: something is not as expected. `error`: it could not be run, or its expectations could not
 * be read. `xfail`: it fails, as it is known to. `xpass`: it is known to fail, but does not.
 */
export type ResultStatus = 'pass' | 'fail' | 'skip' | 'error' | 'xfail' | 'xpass';

/** One run, or what was not run. */
export interface CheckResult {
  readonly path: string;
  /** Name of the configuration, or its number among several without one; else empty. */
  readonly configuration: string;
  /** Null if it was not run. */
  readonly seed: number | null;
  readonly status: ResultStatus;
  /** How many things were expected. */
  readonly testCount: number;
  readonly failures: readonly Failure[];
  /** Why it was skipped or is known to fail; what is wrong, for errors. */
  readonly reason: readonly string[];
  /** Shell commands: to run it again, and to look at a moment (virtual ns) in the debugger. */
  readonly repeatCommand: string;
  readonly debugCommand: (timeNs: number) => string;
}

/** True if whoever reads the results has something to do. */
export function isBad({ status }: CheckResult): boolean {
  return status === 'fail' || status === 'error' || status === 'xpass';
}

/** `guest-programs/lock.asm PV` */
export function nameOf({ path, configuration }: CheckResult): string {
  return configuration === '' ? path : `${path} ${configuration}`;
}

/** The lines that tell of a failure. */
function failureLines(result: CheckResult, failure: Failure): string[] {
  const { line, column, message, expected, heading, lines } = failure;
  const place = line === null ? result.path : `${result.path}:${line}:${column}`;
  const width = Math.max(0, ...lines.map(({ number }) => String(number ?? '').length));
  return [
    `${place}: ${message}`,
    `    expected: ${expected}`,
    `    ${heading}${lines.length > 0 ? ':' : ''}`,
    ...lines.map(({ number, text, isMarked }) => {
      const mark = isMarked ? '>' : ' ';
      const count = width === 0 ? '' : `${String(number ?? '').padStart(width)} `;
      return `    ${mark} ${count}${text}`.trimEnd();
    }),
    `    debug: ${result.debugCommand(failure.timeNs)}`,
  ];
}

/** Everything that there is to tell of a result, none if all is well. */
export function detailLines(result: CheckResult): string[] {
  switch (result.status) {
    case 'error':
      return result.reason.flatMap((line) => line.split('\n'));
    case 'fail':
      return [
        ...result.failures.flatMap((failure) => failureLines(result, failure)),
        `seed ${result.seed}; again: ${result.repeatCommand}`,
      ];
    case 'xpass':
      return [`is known to fail (${result.reason.join(' ')}), but does not`];
    default:
      return [];
  }
}

// Results in the style of kvm-unit-tests: a line for each configuration of each file, with the
// number of tests, and what failed below it.

import { NO_PAINT, type Paint } from '../machine/index.ts';
import { type CheckResult, detailLines, isBad, nameOf } from './result.ts';

/** The lines about one configuration: the results of its seeds. */
export function groupLines(results: readonly CheckResult[], paint: Paint = NO_PAINT): string[] {
  const [first] = results;
  const bad = results.filter(isBad);
  const tests = results.reduce((sum, { testCount }) => sum + testCount, 0);
  const [shown, ...others] = bad;
  const seeds = others.map(({ seed }) => seed).join(', ');
  const lines = [
    ...(shown === undefined ? [] : detailLines(shown)),
    // They fail alike, mostly.
    ...(others.length > 0 ? [`so do other seeds: ${seeds}`] : []),
  ];
  return [
    `${wordOf(results, paint)} ${nameOf(first)} (${countOf(results, tests)})`,
    ...lines.map((line) => (line === '' ? '' : `  ${line}`)),
  ];
}

function wordOf(results: readonly CheckResult[], paint: Paint): string {
  if (results.some(isBad)) return paint('FAIL', 'bad');
  if (results.every(({ status }) => status === 'skip')) return paint('SKIP', 'dim');
  return paint('PASS', 'good');
}

function countOf(results: readonly CheckResult[], tests: number): string {
  const [first] = results;
  if (results.every(({ status }) => status === 'skip')) return first.reason.join(' ');
  if (results.some(({ status }) => status === 'error')) return 'could not be run';
  const failures = results.reduce(
    (sum, { status, failures: found }) => sum + (status === 'fail' ? found.length : 0),
    0,
  );
  const known = results.filter(({ status }) => status === 'xfail').length;
  const passed = results.filter(({ status }) => status === 'xpass').length;
  return [
    `${tests} tests`,
    ...(failures > 0 ? [`${failures} unexpected failures`] : []),
    ...(known > 0 ? [`${known} expected failures`] : []),
    ...(passed > 0 ? [`${passed} unexpected passes`] : []),
  ].join(', ');
}

/** The line below all others. */
export function summaryLine(groups: readonly (readonly CheckResult[])[]): string {
  const skipped = groups.filter((group) => group.every(({ status }) => status === 'skip')).length;
  const failed = groups.filter((group) => group.some(isBad)).length;
  const passed = groups.length - skipped - failed;
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

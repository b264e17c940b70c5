// `npm run catalogue`: how long the built command takes to find each known bug of
// guest-programs/bugs, with default settings, and to find nothing in its twin. Exit code 18 if one
// is not found, or takes too long, or a twin does not survive.

import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { EXIT_BAD_INPUT, EXIT_UNEXPECTED } from '../../src/cli/failure.ts';
import { BUGS, runBugs, type ScheduleBug, scheduleBugs, twinOf } from '../support/bugs.ts';
import { writeMeasured } from '../support/measured-block.ts';

const USAGE = `npm run catalogue -- [--write]
  --write  put the tables into docs/exploring.md and docs/checking.md`;

/** What was built; npm starts at the root. */
const MAIN = 'dist/cli/launch.js';

/** Seconds that each may take, for bug and twin. */
const MOST_SECONDS = 60;

/** Of one command: what it printed, and how long it took from start to end. */
interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly seconds: number;
}

function vmxlab(...words: readonly string[]): Finished {
  const begun = performance.now();
  const options = { encoding: 'utf8', maxBuffer: 2 ** 26 } as const;
  const { status, stdout } = spawnSync(process.execPath, [MAIN, ...words], options);
  return { status, stdout, seconds: (performance.now() - begun) / 1000 };
}

/** What is wrong with any of them, as sentences. */
const mistakes: string[] = [];

function expectStatus(what: string, { status, seconds }: Finished, wanted: number): void {
  if (status !== wanted) mistakes.push(`${what}: exit code ${status}, not ${wanted}`);
  if (seconds > MOST_SECONDS) mistakes.push(`${what}: ${seconds.toFixed(1)} s`);
}

/** Schedules, states, and schedules a second of the search alone, as they are printed. */
function countsIn({ stdout }: Finished): readonly string[] {
  const [, states, schedules] = /^([\d,]+) states, .* ([\d,]+) schedules, /m.exec(stdout) ?? [];
  const [, rate] = / ([\d,]+) schedules a second\)/.exec(stdout) ?? [];
  return [schedules ?? '?', states ?? '?', rate ?? '?'];
}

function exploreRows(bugs: readonly ScheduleBug[]): string[] {
  const rows = bugs.map(({ name, flags }) => {
    const words = ['explore', `${BUGS}/${name}.asm`, ...flags];
    const bug = vmxlab(...words);
    const twin = vmxlab(...words, '-D', 'FIXED');
    expectStatus(name, bug, EXIT_UNEXPECTED);
    expectStatus(`${name}, FIXED`, twin, 0);
    const cells = [bug, twin].flatMap((finished) => {
      return [finished.seconds.toFixed(1), ...countsIn(finished)];
    });
    return `| \`${name}\` | ${cells.join(' | ')} |`;
  });
  return [
    '| program | found in (s) | schedules | states | schedules/s ' +
      '| twin passes in (s) | schedules | states | schedules/s |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ];
}

function checkRows(names: readonly string[]): string[] {
  const rows = names.map((file) => {
    const check = (path: string, name: string) =>
      vmxlab('check', `${BUGS}/${path}`, '--filter', name, '--format', 'json');
    const bug = check(file, 'BUG');
    const twin = check(twinOf(file), 'FIXED');
    for (const [what, finished] of [['BUG', bug] as const, ['FIXED', twin] as const]) {
      expectStatus(`${file}, ${what}`, finished, 0);
    }
    if (!hasStatus(bug, 'xfail')) mistakes.push(`${file}: the bug is not found`);
    if (!hasStatus(twin, 'pass')) mistakes.push(`${file}: the twin does not pass`);
    const seconds = [bug, twin].map((finished) => finished.seconds.toFixed(1));
    return `| \`${file.replace(/\.\w+$/, '')}\` | ${seconds.join(' | ')} |`;
  });
  return ['| program | found in (s) | twin passes in (s) |', '| --- | --- | --- |', ...rows];
}

/** True if runs were checked, and each came out like this. */
function hasStatus({ stdout }: Finished, status: string): boolean {
  const { results } = JSON.parse(stdout) as { results: readonly { readonly status: string }[] };
  return results.length > 0 && results.every((result) => result.status === status);
}

function main(): void {
  let write = false;
  try {
    const options = { write: { type: 'boolean' } } as const;
    write = parseArgs({ args: process.argv.slice(2), options, strict: true }).values.write === true;
  } catch (thrown) {
    console.error(`${(thrown as Error).message}\n\n${USAGE}`);
    process.exitCode = EXIT_BAD_INPUT;
    return;
  }
  const explored = exploreRows(scheduleBugs('.'));
  console.log(`${explored.join('\n')}\n`);
  const checked = checkRows(runBugs('.'));
  console.log(checked.join('\n'));
  for (const mistake of mistakes) console.error(`FAIL ${mistake}`);
  if (mistakes.length > 0) process.exitCode = EXIT_UNEXPECTED;
  else if (write) {
    writeMeasured('docs/exploring.md', 'catalogue', explored);
    writeMeasured('docs/checking.md', 'catalogue', checked);
  }
}

main();

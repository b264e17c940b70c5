// `npm run locks`: every lock of guest-programs/locks on every schedule, as far as the searches of
// explore-lock.ts go, as a table. Exit code 18 if one is found wrong, 4 if none is but a search
// came to its limit.

import { parseArgs } from 'node:util';
import { EXIT_BAD_INPUT, EXIT_UNEXPECTED } from '../../src/cli/failure.ts';
import { EVERY_SCHEDULE, type ExploreReport, printSchedule } from '../../src/explore/index.ts';
import { EXIT_CODES } from '../../src/machine/index.ts';
import { writeMeasured } from '../support/measured-block.ts';
import { exploreLock, type LockSearch, SEARCHES } from './explore-lock.ts';
import { LOCKS, type LockEntry } from './lock-table.ts';

const USAGE = `npm run locks -- [--lock NAME]... [--search N]... [--most-states N] [--write]
  --lock         only this one: ${LOCKS.map(({ name }) => name).join(', ')}
  --search       only this one:
${SEARCHES.map((search, i) => `                 ${i + 1}  ${textOf(search)}`).join('\n')}
  --most-states  of each search (default ${EVERY_SCHEDULE.states})
  --write        put the results into docs/locks.md; of all locks and searches`;

interface Wanted {
  readonly locks: readonly LockEntry[];
  readonly searches: readonly LockSearch[];
  readonly states: number;
  readonly write: boolean;
}

/** What came of one search. */
interface Searched {
  readonly lock: LockEntry;
  readonly search: LockSearch;
  readonly report: ExploreReport;
  /** Of a CPU. */
  readonly seconds: number;
}

function textOf({ vcpus, rounds, storeBuffers, preemptions }: LockSearch): string {
  const memory = storeBuffers ? 'x86-TSO' : 'SC';
  const bound = preemptions === Number.POSITIVE_INFINITY ? '' : `, ${preemptions} preemptions`;
  return `${vcpus} vCPUs x ${rounds}, ${memory}${bound}`;
}

/** Throws RangeError and TypeError, with what was expected. */
function wantedFrom(args: readonly string[]): Wanted {
  const texts = { type: 'string', multiple: true } as const;
  const one = { 'most-states': { type: 'string' }, write: { type: 'boolean' } } as const;
  const options = { lock: texts, search: texts, ...one } as const;
  const { values } = parseArgs({ args: [...args], options, strict: true });
  const { write = false } = values;
  if (write && (values.lock ?? values.search) !== undefined) {
    throw new RangeError('--write: docs/locks.md has all locks and searches');
  }
  const numbers = values.search?.map((text) => count(text, '--search', SEARCHES.length));
  return {
    locks: values.lock?.map(lockOf) ?? LOCKS,
    searches: numbers?.map((number) => SEARCHES[number - 1]) ?? SEARCHES,
    states: count(values['most-states'] ?? `${EVERY_SCHEDULE.states}`, '--most-states', 1e9),
    write,
  };
}

function lockOf(name: string): LockEntry {
  const lock = LOCKS.find((candidate) => candidate.name === name);
  if (lock === undefined) throw new RangeError(`--lock: there is no lock '${name}'`);
  return lock;
}

function count(text: string, name: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= most) return value;
  throw new RangeError(`${name}: expected a number from 1 to ${most}, not '${text}'`);
}

function main(): void {
  let wanted: Wanted;
  try {
    wanted = wantedFrom(process.argv.slice(2));
  } catch (thrown) {
    console.error(`${(thrown as Error).message}\n\n${USAGE}`);
    process.exitCode = EXIT_BAD_INPUT;
    return;
  }
  console.log('| lock | searched | states | schedules | CPU seconds | found |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  const all = wanted.locks.flatMap((lock) =>
    wanted.searches.map((search) => {
      const begun = process.cpuUsage();
      const report = exploreLock(lock, search, wanted.states);
      const { user, system } = process.cpuUsage(begun);
      const searched = { lock, search, report, seconds: (user + system) / 1e6 };
      console.log(rowOf(searched));
      return searched;
    }),
  );
  const verdicts = new Set(all.map(({ report }) => report.verdict));
  if (verdicts.has('violation')) process.exitCode = EXIT_UNEXPECTED;
  else if (verdicts.has('incomplete')) process.exitCode = EXIT_CODES.limit;
  if (wanted.write) writeMeasured('docs/locks.md', 'locks', pageLines(all));
}

const numberText = (value: number) => value.toLocaleString('en-US');

function rowOf({ lock, search, report, seconds }: Searched) {
  const { states, schedules } = report;
  const cells = [
    `\`${lock.name}\``,
    textOf(search),
    numberText(states),
    numberText(schedules),
    seconds.toFixed(1),
    foundText(report),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** For docs/locks.md: a column for each search. */
function pageLines(all: readonly Searched[]): string[] {
  const rows = LOCKS.map((lock) => {
    const cells = all
      .filter((searched) => searched.lock === lock)
      .map(({ report: { verdict, states }, seconds }) => {
        const found = { pass: '', incomplete: ' of more', violation: ' **wrong**' }[verdict];
        return `${numberText(states)}${found} (${seconds.toFixed(1)} s)`;
      });
    return `| \`${lock.name}\` | ${cells.join(' | ')} |`;
  });
  const sum = (value: (searched: Searched) => number) =>
    all.reduce((total, searched) => total + value(searched), 0);
  const seconds = sum((searched) => searched.seconds);
  const [states, schedules] = [
    sum(({ report }) => report.states),
    sum(({ report }) => report.schedules),
  ].map((total) => numberText(Math.round(total / seconds)));
  return [
    `| lock | ${SEARCHES.map(textOf).join(' | ')} |`,
    `| --- |${' --- |'.repeat(SEARCHES.length)}`,
    ...rows,
    '',
    `Together ${seconds.toFixed(0)} CPU seconds, each with ${states} states and ${schedules} schedules.`,
  ];
}

function foundText({ verdict, violation, schedule, notes }: ExploreReport): string {
  if (violation !== null && schedule !== null) {
    return `${violation.kind}: ${violation.message}: ${printSchedule(schedule)}`;
  }
  if (notes.length > 0 && verdict === 'pass') return notes.join('; ');
  return verdict === 'pass' ? 'nothing, complete' : 'nothing, not complete';
}

main();

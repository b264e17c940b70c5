// `npm run locks`: every lock of guest-programs/locks on every schedule, as far as the searches of
// explore-lock.ts go, as a table. Exit code 18 if one is found wrong, 4 if none is but a search
// came to its limit.

import { parseArgs } from 'node:util';
import { EXIT_BAD_INPUT, EXIT_UNEXPECTED } from '../../src/cli/failure.ts';
import { EVERY_SCHEDULE, type ExploreReport, printSchedule } from '../../src/explore/index.ts';
import { EXIT_CODES } from '../../src/machine/index.ts';
import { exploreLock, type LockSearch, SEARCHES } from './explore-lock.ts';
import { LOCKS, type LockEntry } from './lock-table.ts';

const USAGE = `npm run locks -- [--lock NAME]... [--search N]... [--most-states N]
  --lock         only this one: ${LOCKS.map(({ name }) => name).join(', ')}
  --search       only this one:
${SEARCHES.map((search, i) => `                 ${i + 1}  ${textOf(search)}`).join('\n')}
  --most-states  of each search (default ${EVERY_SCHEDULE.states})`;

interface Wanted {
  readonly locks: readonly LockEntry[];
  readonly searches: readonly LockSearch[];
  readonly states: number;
}

function textOf({ vcpus, rounds, storeBuffers, preemptions }: LockSearch): string {
  const memory = storeBuffers ? 'x86-TSO' : 'SC';
  const bound = preemptions === Number.POSITIVE_INFINITY ? '' : `, ${preemptions} preemptions`;
  return `${vcpus} vCPUs x ${rounds}, ${memory}${bound}`;
}

/** Throws RangeError and TypeError, with what was expected. */
function wantedFrom(args: readonly string[]): Wanted {
  const texts = { type: 'string', multiple: true } as const;
  const options = { lock: texts, search: texts, 'most-states': { type: 'string' } } as const;
  const { values } = parseArgs({ args: [...args], options, strict: true });
  const numbers = values.search?.map((text) => count(text, '--search', SEARCHES.length));
  return {
    locks: values.lock?.map(lockOf) ?? LOCKS,
    searches: numbers?.map((number) => SEARCHES[number - 1]) ?? SEARCHES,
    states: count(values['most-states'] ?? `${EVERY_SCHEDULE.states}`, '--most-states', 1e9),
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
  const verdicts = new Set<ExploreReport['verdict']>();
  for (const lock of wanted.locks) {
    for (const search of wanted.searches) {
      const begun = process.cpuUsage();
      const report = exploreLock(lock, search, wanted.states);
      const { user, system } = process.cpuUsage(begun);
      verdicts.add(report.verdict);
      console.log(rowOf(lock, search, report, (user + system) / 1e6));
    }
  }
  if (verdicts.has('violation')) process.exitCode = EXIT_UNEXPECTED;
  else if (verdicts.has('incomplete')) process.exitCode = EXIT_CODES.limit;
}

function rowOf(lock: LockEntry, search: LockSearch, report: ExploreReport, seconds: number) {
  const number = (value: number) => value.toLocaleString('en-US');
  const { states, schedules } = report;
  const cells = [
    `\`${lock.name}\``,
    textOf(search),
    number(states),
    number(schedules),
    seconds.toFixed(1),
    foundText(report),
  ];
  return `| ${cells.join(' | ')} |`;
}

function foundText({ verdict, violation, schedule, notes }: ExploreReport): string {
  if (violation !== null && schedule !== null) {
    return `${violation.kind}: ${violation.message}: ${printSchedule(schedule)}`;
  }
  if (notes.length > 0 && verdict === 'pass') return notes.join('; ');
  return verdict === 'pass' ? 'nothing, complete' : 'nothing, not complete';
}

main();

// The catalogue of known bugs: in each program of guest-programs/bugs the expectation that is meant
// finds the bug, with no other help, and the corrected twin passes every one. Those that need a
// certain schedule (EXPLORE) are left to test/explore/catalogue.test.ts. Of a scenario the twin is
// NAME-fixed.yaml, with the same expectations.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCheckJob } from '../../src/cli/check-job.ts';
import { readCheckedFile } from '../../src/cli/check-plan.ts';
import { BUGS, runBugs, twinOf } from '../support/bugs.ts';
import { measuredNames, withoutMeasured } from '../support/measured-block.ts';

const ROOT = join(import.meta.dirname, '../..');
const FOLDER = join(ROOT, BUGS);
const ASSEMBLY = { defines: {}, includes: [], syntax: undefined, linked: [] };

/** What each bug shows first, by file. */
const FOUND: Readonly<Record<string, string>> = {
  'deadline-before-mode.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'double-injection.yaml': 'OUTPUT: not found, in output: 6',
  'eoi-forgotten.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'eoi-twice.asm': 'OUTPUT: not found, in output: (())',
  'error-code-left.asm': 'EXPECT: ended otherwise than expected: tripleFault',
  'interrupt-for-nothing.asm': 'EXPECT: ended otherwise than expected: exited, exit code 3',
  'interrupt-window-missed.yaml': 'OUTPUT: not found, in output: 0',
  'interrupts-counted.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'ipi-sent-once.asm': 'EXPECT: ended otherwise than expected: limit',
  'ipi-taken-for-done.asm': 'EXPECT: ended otherwise than expected: exited, exit code 3',
  'kick-taken-for-news.asm': 'OUTPUT: not found, in output: ?',
  'kick-the-wrong-one.asm': 'OUTPUT: not found, in output: there are no lines',
  'lock-broken-open.asm': 'PROPERTY: 2 between guest_code(at=critical) and guest_code(at=leave)',
  'lock-handed-to-preempted.asm':
    'PROPERTY: guest_code(at=released, vcpu=0) is not followed by guest_code(at=critical)',
  'lost-kick.asm': 'OUTPUT: not found, in output: there are no lines',
  'missed-interrupt.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'one-kick-for-two.asm': 'OUTPUT: not found, in output: w',
  'priority-left-high.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'spin-without-pause.asm': 'CHECK: not found, in exits: ',
  'starvation-under-yield.yaml':
    'PROPERTY: sched_switch(prev.comm=vcpu2, prevState=R) is not followed by',
  'ticks-taken-for-time.asm': 'EXPECT: ended otherwise than expected: exited, exit code 3',
  'time-goes-back.asm': 'EXPECT: ended otherwise than expected: exited, exit code 3',
  'timer-not-rearmed.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'timer-not-switched.yaml': 'the run ended otherwise than expected: deadlock',
  'torn-lock.asm': 'PROPERTY: 2 between kvm_pio(port=0x80, value=1)',
  'window-never-reset.yaml':
    'PROPERTY: guest_code(at=waits, vcpu=1) is not followed by kvm_exit(reason=PAUSE_INSTRUCTION',
  'yield-to-self.asm': 'PROPERTY: kvm_hypercall(nr=11, a0=$v, thread=vcpu$v) happened',
};

test('every program and scenario is in the table, or is for every schedule', () => {
  expect(runBugs(ROOT)).toEqual(Object.keys(FOUND).toSorted());
});

test('the tables in docs/checking.md are of these', () => {
  const path = join(ROOT, 'docs/checking.md');
  const page = withoutMeasured(path, 'catalogue');
  const catalogue = page.slice(page.indexOf('## Catalogue'), page.indexOf('## Fields'));
  const rows = [...catalogue.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name);
  const names = Object.keys(FOUND).map((name) => name.replace(/\.\w+$/, ''));
  expect(rows.sort()).toEqual(names);
  expect(measuredNames(path, 'catalogue').toSorted()).toEqual(names);
});

/** What a configuration fails, of those that a file has. */
function failuresOf(name: string, configuration: string, seed: number) {
  const path = join(FOLDER, name);
  const names = expectationsOf(name).map((one) => one.configuration.name);
  const index = names.indexOf(configuration);
  const outcome = runCheckJob({ path, index, seed, flags: [], assembly: ASSEMBLY });
  if (outcome.kind === 'error') throw new Error(outcome.lines.join('\n'));
  return outcome.verdict.failures;
}

const expectationsOf = (name: string) =>
  readCheckedFile(join(FOLDER, name)).plan?.expectations ?? [];

test.each(Object.entries(FOUND))('%s: %s', (name, found) => {
  const twin = twinOf(name);
  const files = twin === name ? [name] : [name, twin];
  const configurations = files.flatMap(expectationsOf).map(({ configuration }) => configuration);
  expect(configurations.map((one) => one.name)).toEqual(['BUG', 'FIXED']);
  const [{ seeds }] = configurations;
  for (const seed of seeds.length === 0 ? [1] : seeds) {
    const [{ message, heading, lines }] = failuresOf(name, 'BUG', seed);
    const shown = lines.length === 0 ? heading : lines[0].text;
    expect(`${message}: ${shown}`.slice(0, found.length)).toBe(found);
    expect(failuresOf(twin, 'FIXED', seed)).toEqual([]);
  }
});

const SCENARIOS = Object.keys(FOUND).filter((name) => name.endsWith('.yaml'));

test.each(SCENARIOS)('%s and its twin expect the same', (name) => {
  const expected = (file: string) => {
    const section = readFileSync(join(FOLDER, file), 'utf8').split(/^check: \|\n/m)[1];
    return section.replace('name=FIXED', 'name=BUG').replace(/^ *XFAIL-BUG: .*\n/m, '');
  };
  expect(expected(twinOf(name))).toBe(expected(name));
});

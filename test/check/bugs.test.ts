// The catalogue of known bugs: in each program of guest-programs/bugs the expectation that is meant
// finds the bug, with no other help, and the corrected twin passes every one. Those that need a
// certain schedule (EXPLORE) are left to test/explore/catalogue.test.ts.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCheckJob } from '../../src/cli/check-job.ts';
import { readCheckedFile } from '../../src/cli/check-plan.ts';

const FOLDER = join(import.meta.dirname, '../../guest-programs/bugs');
const ASSEMBLY = { defines: {}, includes: [], syntax: undefined, linked: [] };

/** What each bug shows first, by file. */
const FOUND: Readonly<Record<string, string>> = {
  'deadline-before-mode.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'eoi-forgotten.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'eoi-twice.asm': 'OUTPUT: not found, in output: (())',
  'error-code-left.asm': 'EXPECT: ended otherwise than expected: tripleFault',
  'interrupts-counted.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'kick-the-wrong-one.asm': 'OUTPUT: not found, in output: there are no lines',
  'lost-kick.asm': 'OUTPUT: not found, in output: there are no lines',
  'missed-interrupt.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'one-kick-for-two.asm': 'OUTPUT: not found, in output: w',
  'priority-left-high.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'spin-without-pause.asm': 'CHECK: not found, in exits: ',
  'timer-not-rearmed.asm': 'EXPECT: ended otherwise than expected: deadlock',
  'torn-lock.asm': 'PROPERTY: 2 between kvm_pio(port=0x80, value=1)',
  'yield-to-self.asm': 'PROPERTY: kvm_hypercall(nr=11, a0=$v, thread=vcpu$v) happened',
};

test('every program is in the table, or is for every schedule', () => {
  const isExplored = (name: string) =>
    /^; EXPLORE: /m.test(readFileSync(join(FOLDER, name), 'utf8'));
  const checked = readdirSync(FOLDER).filter((name) => !isExplored(name));
  expect(checked.sort()).toEqual(Object.keys(FOUND));
});

test.each(Object.entries(FOUND))('%s: %s', (name, found) => {
  const path = join(FOLDER, name);
  const expectations = readCheckedFile(path).plan?.expectations ?? [];
  expect(expectations.map(({ configuration }) => configuration.name)).toEqual(['BUG', 'FIXED']);
  const seeds = expectations[0].configuration.seeds;
  for (const seed of seeds.length === 0 ? [1] : seeds) {
    const [bug, fixed] = [0, 1].map((index) => {
      const outcome = runCheckJob({ path, index, seed, flags: [], assembly: ASSEMBLY });
      if (outcome.kind === 'error') throw new Error(outcome.lines.join('\n'));
      return outcome.verdict.failures;
    });
    const [{ message, heading, lines }] = bug;
    const shown = lines.length === 0 ? heading : lines[0].text;
    expect(`${message}: ${shown}`.slice(0, found.length)).toBe(found);
    expect(fixed).toEqual([]);
  }
});

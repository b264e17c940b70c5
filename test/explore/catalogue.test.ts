// The catalogue of known bugs that depend on the schedule: each program of guest-programs/bugs with
// an EXPLORE line (the kind of violation, and flags) shows it, and its corrected twin shows none.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BUGS, type ScheduleBug, scheduleBugs } from '../support/bugs.ts';
import { buildCommand, type Finished, folderWith, vmxlabMany } from '../support/command-line.ts';
import { measuredNames } from '../support/measured-block.ts';

const ROOT = join(import.meta.dirname, '../..');
const ENTRIES = scheduleBugs(ROOT);

const lineOf = ({ name, flags }: ScheduleBug) => ['explore', `${BUGS}/${name}.asm`, ...flags];

describe('programs', () => {
  let folder = '';
  const reports = new Map<string, readonly Finished[]>();

  beforeAll(async () => {
    buildCommand();
    folder = folderWith({});
    const lines = ENTRIES.flatMap((entry) => [
      [...lineOf(entry), '--json', '--save', `${entry.name}.json`],
      [...lineOf(entry), '--json', '-D', 'FIXED'],
      [...lineOf(entry), '--replay', `${entry.name}.json`],
    ]);
    const finished = await vmxlabMany(folder, lines);
    for (const [i, { name }] of ENTRIES.entries()) {
      reports.set(name, finished.slice(3 * i, 3 * i + 3));
    }
  }, 120_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(ENTRIES)('$name: $kind', ({ name, kind }) => {
    const [bug, fixed, again] = reports.get(name) ?? [];
    expect([bug.status, bug.stderr]).toEqual([18, '']);
    const { violation, states } = JSON.parse(bug.stdout);
    expect(violation.kind).toBe(kind);
    expect([fixed.status, fixed.stderr]).toEqual([0, '']);
    const { verdict, notes, outcomes } = JSON.parse(fixed.stdout);
    expect({ verdict, notes }).toEqual({ verdict: 'pass', notes: [] });
    expect(outcomes.length).toBeGreaterThan(0);
    // Little is left to explore at the end of the schedule; much, where it leads nowhere.
    expect([again.status, again.stderr]).toEqual([18, '']);
    expect(again.stdout).toMatch(new RegExp(`^FAIL ${kind}: `, 'm'));
    const left = Number(/^([\d,]+) states/m.exec(again.stdout)?.[1]);
    expect(left).toBeLessThan(states / 2);
  });
});

test('the tables in docs/exploring.md are of these programs', () => {
  const path = join(ROOT, 'docs/exploring.md');
  expect(measuredNames(path, 'catalogue')).toEqual(ENTRIES.map(({ name }) => name));
  const page = readFileSync(path, 'utf8');
  const rows = [...page.matchAll(/^\| `([\w-]+)` \| .* \| (\w+) \|(?: `(.*)`)? \|$/gm)];
  const shown = rows.map(([, name, kind, flags = '']) => [name, kind, flags]);
  expect(shown).toEqual(ENTRIES.map(({ name, kind, flags }) => [name, kind, flags.join(' ')]));
});

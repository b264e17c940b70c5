// Directives give LLVM's verdicts: on every case ours is the one that stands in the table, and
// where FileCheck is installed so is its own.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { collapse } from '../../src/check/directive.ts';
import { type DirectiveKind, SUFFIXES } from '../../src/check/directive-words.ts';
import { readPlan, sheetOfSource } from '../../src/check/index.ts';
import { matchText } from '../../src/check/matcher.ts';
import { noVariables, type Part } from '../../src/check/pattern.ts';
import { CASES, type Case } from './filecheck-cases.ts';

/** Debian keeps it with its version. */
function findFileCheck(): string | null {
  const folder = '/usr/lib';
  const found = readdirSync(folder)
    .filter((name) => /^llvm-\d+$/.test(name))
    .map((name) => join(folder, name, 'bin/FileCheck'))
    .filter((path) => existsSync(path));
  if (found.length === 0 && process.env.CI) throw new Error('FileCheck must be installed here');
  return found[0] ?? null;
}

const FILECHECK = findFileCheck();

function ours({ directives, text }: Case): Case['verdict'] {
  const source = directives.map((line) => `; ${line}`).join('\n');
  const read = readPlan(sheetOfSource(source));
  if ('problems' in read) return 'malformed';
  const [{ directives: found }] = read.plan.expectations;
  const whole = text.map((line) => `${collapse(line)}\n`).join('');
  return matchText(found, whole, noVariables()).length === 0 ? 'holds' : 'fails';
}

/** It ends with 1 for what does not hold and with 2 for what it cannot read. */
function theirs({ directives, text }: Case): Case['verdict'] {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-filecheck-'));
  try {
    const file = join(folder, 'checks.txt');
    writeFileSync(file, directives.map((line) => `; ${line}\n`).join(''));
    const input = text.map((line) => `${line}\n`).join('');
    const { status } = spawnSync(FILECHECK ?? '', [file], { input, encoding: 'utf8' });
    if (status === 0) return 'holds';
    return status === 2 ? 'malformed' : 'fails';
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The words a directive can be made of, and the parts of patterns; a new one needs an entry. */
const FEATURES: Readonly<Record<DirectiveKind | Part['kind'], string | null>> = {
  plain: 'CHECK',
  next: 'CHECK-NEXT',
  same: 'CHECK-SAME',
  empty: 'CHECK-EMPTY',
  not: 'CHECK-NOT',
  dag: 'CHECK-DAG',
  label: 'CHECK-LABEL',
  count: 'CHECK-COUNT',
  // No directive: the end of the text.
  end: null,
  text: 'CHECK',
  regex: 'regex',
  define: 'string variables',
  use: 'string variables',
  number: 'numeric variables',
};

/** True if the case has a directive that asks this, or a pattern with such a part. */
function uses({ directives }: Case, feature: string): boolean {
  const read = readPlan(sheetOfSource(directives.map((line) => `; ${line}`).join('\n')));
  if ('problems' in read) return false;
  return read.plan.expectations[0].directives.some(
    ({ kind, pattern }) => kind === feature || pattern.parts.some((part) => part.kind === feature),
  );
}

/** True if the line asks this; some may not be the first. */
function asks(line: string, kind: string): boolean {
  const read = readPlan(sheetOfSource(`; CHECK: before\n; ${line}`));
  return 'plan' in read && read.plan.expectations[0].directives[1].kind === kind;
}

describe('every directive and every part of a pattern', () => {
  const asked = Object.entries(FEATURES).filter(([, group]) => group !== null);

  test.each(asked)('%s has cases that hold and that must fail', (feature, group) => {
    const cases = (CASES[group ?? ''] ?? []).filter((one) => uses(one, feature));
    const verdicts = new Set(cases.map(ours));
    expect([...verdicts].sort()).toEqual(['fails', 'holds']);
  });

  test('that the tool knows is asked of', () => {
    const suffixes = Object.keys(SUFFIXES).map((suffix) => `CHECK-${suffix}`);
    expect(Object.keys(CASES)).toEqual(expect.arrayContaining(['CHECK', ...suffixes]));
  });

  // A directive that was never looked at would pass here.
  test.each(Object.values(SUFFIXES))('%s decides the verdict of a case that fails', (kind) => {
    const failing = Object.values(CASES)
      .flat()
      .filter((one) => one.verdict === 'fails' && uses(one, kind));
    const decided = failing.filter((one) => {
      const without = one.directives.filter((line) => !asks(line, kind));
      return ours({ ...one, directives: without }) === 'holds';
    });
    expect(decided.map(({ name }) => name)).not.toEqual([]);
  });
});

describe.each(Object.entries(CASES))('%s', (_directive, cases) => {
  test.each(cases)('$name: $verdict', (one) => {
    expect(ours(one)).toBe(one.verdict);
  });

  test('some hold and some must fail', () => {
    const verdicts = cases.map(({ verdict }) => verdict);
    expect([verdicts.includes('holds'), verdicts.includes('fails')]).toEqual([true, true]);
  });

  test.skipIf(FILECHECK === null)('FileCheck says the same', () => {
    const named = cases.map((one) => [one.name, theirs(one)]);
    expect(named).toEqual(cases.map(({ name, verdict }) => [name, verdict]));
  });
});

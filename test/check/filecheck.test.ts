// Directives give LLVM's verdicts: on every case ours is the one that stands in the table, and
// where FileCheck is installed so is its own.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { collapse } from '../../src/check/directive.ts';
import { readPlan, sheetOfSource } from '../../src/check/index.ts';
import { matchText } from '../../src/check/matcher.ts';
import { noVariables } from '../../src/check/pattern.ts';
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

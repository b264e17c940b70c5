// The guest programs that come with the laboratory are NASM programs, too: the same bytes, the same
// listing, no warning from either.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/asm/index.ts';
import { missing } from '../support/outside-tools.ts';
import { hex } from './snippets.ts';

const PROGRAMS = join(import.meta.dirname, '../../guest-programs');
const NAMES = readdirSync(PROGRAMS).filter((name) => name.endsWith('.asm'));

const noNasm = missing('nasm');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmxlab-guests-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

function ours(name: string) {
  return assemble(
    { name, text: readFileSync(join(PROGRAMS, name), 'utf8') },
    { readFile: (path) => readFileSync(join(PROGRAMS, path), 'utf8') },
  );
}

test.each(NAMES)('%s assembles without a warning', (name) => {
  const assembled = ours(name);
  const said = [
    ...(assembled.kind === 'errors' ? assembled.errors : []),
    ...assembled.warnings,
  ].map(formatDiagnostic);
  expect(said).toEqual([]);
});

test('all of them, and their listings, as NASM makes them', (context) => {
  if (noNasm !== null) context.skip(noNasm);
  expect(NAMES.length).toBeGreaterThan(5);
  for (const name of NAMES) {
    const [program, list] = [join(folder, 'out.bin'), join(folder, 'out.lst')];
    const words = ['-Werror', '-f', 'bin', '-o', program, '-l', list, name];
    execFileSync('nasm', words, { cwd: PROGRAMS, stdio: 'pipe' });
    const assembled = ours(name);
    if (assembled.kind === 'errors') throw new Error(`${name} does not assemble`);
    expect(`${name}: ${hex(assembled.bytes)}`).toBe(`${name}: ${hex(readFileSync(program))}`);
    expect(assembled.listing()).toBe(readFileSync(list, 'utf8'));
  }
});

// The C guest of guest-programs/, with the very commands that docs/guest-programs.md shows. They
// need gcc, so the test of the documents' other commands does not run them.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bash, buildCommand, folderWith } from '../support/command-line.ts';
import { missing } from '../support/outside-tools.ts';

const noGcc = missing('gcc');
if (noGcc !== null) console.log(`the C guest is skipped: ${noGcc}`);

const ROOT = join(import.meta.dirname, '../..');
const DOCUMENT = readFileSync(join(ROOT, 'docs/guest-programs.md'), 'utf8');
const SOURCE = readFileSync(join(ROOT, 'guest-programs/hello.c'), 'utf8');

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith({});
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const commands = /```bash\n([\s\S]*?)```/.exec(DOCUMENT)?.[1] ?? '';

test.skipIf(noGcc !== null)('the documented commands run the C guest', async () => {
  const script = `set -e\n${commands.replaceAll('npx vmxlab', 'vmxlab')}`;
  const { status, stdout, stderr } = await bash(folder, script);
  expect([status, stderr]).toEqual([0, '']);
  const hellos = [0, 1, 2, 3].map((i) => `Hello from vCPU ${i} of 4, with 16 MiB\n`).join('');
  expect(stdout.slice(0, hellos.length)).toBe(hellos);
  expect(stdout).toContain('Halted: every vCPU is halted with interrupts off.');
  expect(stdout).toMatch(/^[\da-f]{8} {2}[\dA-F]+ +call 0x[\da-f]+ {2}; <guest>$/m);
});

test('the source shows the same commands', () => {
  const shown = SOURCE.split('\n')
    .filter((line) => line.startsWith('//   '))
    .map((line) => `${line.slice(5)}\n`)
    .join('');
  expect(shown.length).toBeGreaterThan(100);
  expect(commands.startsWith(shown)).toBe(true);
});

// C programs of our own, built by the machine's gcc, print as guests what they print natively: at
// every level of optimisation, and with the integer extensions of a later processor. The native
// formatter is the C library's printf, and SHA-256 is compared with Node's as well.

import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildGuest, C_PROGRAMS, nativeOutput } from '../support/c-programs.ts';
import { runGuest } from '../support/guest-run.ts';
import { missing } from '../support/outside-tools.ts';

const noGcc = missing('gcc');
if (noGcc !== null) console.log(`C programs are skipped: ${noGcc}`);

const LEVELS: readonly (readonly string[])[] = [
  ['-O0'],
  ['-O2'],
  ['-Os'],
  // BMI1, BMI2, LZCNT, MOVBE and POPCNT.
  ['-O2', '-march=haswell'],
];

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmxlab-c-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function guestOutput(program: string, options: readonly string[]) {
  const bytes = readFileSync(await buildGuest(folder, program, options));
  const { report } = runGuest(bytes, { vcpus: 2 });
  // A message says more than a difference in the output does.
  expect([report.status, report.message]).toEqual(['halted', expect.any(String)]);
  return report.output;
}

describe.skipIf(noGcc !== null).each(C_PROGRAMS)('%s.c', (program) => {
  let native = '';

  beforeAll(async () => {
    native = await nativeOutput(folder, program);
    expect(native.length).toBeGreaterThan(100);
  });

  test.each(LEVELS)('%s %s', async (...options) => {
    expect(await guestOutput(program, options)).toBe(native);
  });
});

test.skipIf(noGcc !== null)('sha256.c gives the digests that Node gives', async () => {
  const messages = [
    '',
    'abc',
    'vmxlab'.repeat(100),
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
  ];
  const digests = messages.map((text) => createHash('sha256').update(text).digest('hex'));
  expect(await guestOutput('sha256', ['-O2'])).toBe(`${digests.join('\n')}\n`);
});

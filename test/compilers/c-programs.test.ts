// C programs of our own, built by the machine's gcc, print as guests what they print natively: at
// every level of optimisation, for 64 and 32 bits, and with the integer extensions of a later
// processor. The native
// formatter is the C library's printf, and SHA-256 is compared with Node's as well.

import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Bits,
  buildGuest,
  C_PROGRAMS,
  FLOATING_PROGRAMS,
  nativeOutput,
} from '../support/c-programs.ts';
import { runGuest } from '../support/guest-run.ts';
import { missing } from '../support/outside-tools.ts';

const noGcc = missing('gcc');
if (noGcc !== null) console.log(`C programs are skipped: ${noGcc}`);

/** What gcc is told; it takes SSE and SSE2 for granted. */
const LEVELS = ['-O0', '-O2', '-Os'];
const VECTORIZED = '-O3';
/** BMI1, BMI2, LZCNT, MOVBE and POPCNT, but not AVX. */
const LATER = '-O2 -march=haswell -mgeneral-regs-only';

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmxlab-c-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function guestOutput(program: string, level: string, bits: Bits = 64) {
  const bytes = readFileSync(await buildGuest(folder, program, level.split(' '), bits));
  const { report } = runGuest(bytes, { vcpus: bits === 64 ? 2 : 1 });
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

  const isFloating = FLOATING_PROGRAMS.includes(program);

  test.each(isFloating ? [...LEVELS, VECTORIZED] : [...LEVELS, LATER])('%s', async (level) => {
    expect(await guestOutput(program, level)).toBe(native);
  });

  test.each(isFloating ? [] : [...LEVELS, LATER])('%s, 32 bits', async (level) => {
    expect(await guestOutput(program, level, 32)).toBe(native);
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
  expect(await guestOutput('sha256', '-O2')).toBe(`${digests.join('\n')}\n`);
});

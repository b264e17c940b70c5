// Privileged and mode-dependent behaviour, observed by small multiboot images under QEMU's TCG,
// Bochs and ours. The golden files hold what ours has to print, so that it is compared without the
// other two as well.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { missing } from '../support/outside-tools.ts';
import { expectation } from './comparison.ts';
import { DECISIONS } from './decisions.ts';
import { assembleImageWithNasm, type Emulator, missingEmulator, runUnder } from './emulators.ts';
import { runUnderOurs } from './ours.ts';
import { assembleImage, IMAGES, processorsOf, sourceFile } from './sources.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

const goldenFile = (name: string) => join(FOLDER, 'golden', `${name}.txt`);

const reasons = [missing('nasm'), missingEmulator('qemu'), missingEmulator('bochs')];
const reason = reasons.find((one) => one !== null) ?? null;
if (reason !== null) console.log(`images are compared with golden files only: ${reason}`);

describe.skipIf(reason !== null).concurrent('QEMU and Bochs', () => {
  test.each(IMAGES)('%s', async (name) => {
    const image = assembleImageWithNasm(sourceFile(name));
    const processors = processorsOf(name);
    const decisions = DECISIONS.filter((decision) => decision.image === name);
    const run = (emulator: Emulator) => {
      const hangs = decisions.some(({ stops }) => stops === emulator);
      return runUnder(emulator, image, { processors, hangs });
    };
    const qemu = await run('qemu');
    const bochs = await run('bochs');
    const { lines, undecided, used } = expectation(decisions, qemu, bochs);
    expect(undecided.join('\n')).toBe('');
    expect(decisions.filter((decision) => !used.has(decision))).toEqual([]);
    const text = `${lines.join('\n')}\n`;
    if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(goldenFile(name), text);
    expect(text).toBe(readFileSync(goldenFile(name), 'utf8'));
  });
});

describe('ours', () => {
  test.each(IMAGES)('%s', (name) => {
    const { lines, status, message } = runUnderOurs(assembleImage(name), processorsOf(name));
    const text = `${lines.join('\n')}\n`;
    const ending = status === 'exited' ? '' : message;
    expect({ text, ending }).toEqual({ text: readFileSync(goldenFile(name), 'utf8'), ending: '' });
  });
});

describe.skipIf(missing('nasm') !== null)('NASM makes the same bytes of', () => {
  test.each(IMAGES)('%s', (name) => {
    const theirs = assembleImageWithNasm(sourceFile(name));
    // The first byte that differs; Vitest is slow at showing many.
    expect(assembleImage(name).findIndex((byte, i) => byte !== theirs[i])).toBe(-1);
    expect(assembleImage(name).length).toBe(theirs.length);
  });
});

test('there are at least 60 images, and every golden file is one', () => {
  expect(IMAGES.length).toBeGreaterThanOrEqual(60);
  const golden = readdirSync(join(FOLDER, 'golden')).map((file) => file.replace('.txt', ''));
  expect(golden.filter((name) => !IMAGES.includes(name))).toEqual([]);
  expect(IMAGES.filter((name) => !existsSync(goldenFile(name)))).toEqual([]);
});

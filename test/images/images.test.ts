// Privileged and mode-dependent behaviour, observed by small multiboot images under QEMU's TCG, Bochs and
// ours. The golden files hold what ours has to print, so that it is compared without the other two as well.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { missing } from '../support/outside-tools.ts';
import { expectation } from './comparison.ts';
import { DECISIONS } from './decisions.ts';
import { assembleImageWithNasm, missingEmulator, runUnder } from './emulators.ts';
import { runUnderOurs } from './ours.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

const IMAGES = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.asm'))
  .map((file) => file.replace('.asm', ''));

const goldenFile = (name: string) => join(FOLDER, 'golden', `${name}.txt`);

/** How many processors an image asks for in its opening comment; otherwise one. */
function processorsOf(name: string): number {
  const opening = readFileSync(join(FOLDER, `${name}.asm`), 'utf8').split('\n\n', 1)[0];
  const words = ['Two processors.', 'Three processors.', 'Four processors.'];
  const found = words.findIndex((word) => opening.includes(word));
  return found < 0 ? 1 : found + 2;
}

const reasons = [missing('nasm'), missingEmulator('qemu'), missingEmulator('bochs')];
const reason = reasons.find((one) => one !== null) ?? null;
if (reason !== null) console.log(`images are compared with golden files only: ${reason}`);

describe.skipIf(reason !== null).concurrent('QEMU and Bochs', () => {
  test.each(IMAGES)('%s', async (name) => {
    const image = assembleImageWithNasm(join(FOLDER, `${name}.asm`));
    const processors = processorsOf(name);
    const decisions = DECISIONS.filter((decision) => decision.image === name);
    const qemu = await runUnder('qemu', image, processors);
    const bochs = await runUnder('bochs', image, processors);
    const { lines, undecided, used } = expectation(decisions, qemu, bochs);
    expect(undecided.join('\n')).toBe('');
    expect(decisions.filter((decision) => !used.has(decision))).toEqual([]);
    const text = `${lines.join('\n')}\n`;
    if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(goldenFile(name), text);
    expect(text).toBe(readFileSync(goldenFile(name), 'utf8'));
  });
});

describe.skipIf(missing('nasm') !== null)('ours', () => {
  test.each(IMAGES)('%s', (name) => {
    const image = assembleImageWithNasm(join(FOLDER, `${name}.asm`));
    const { lines, status, message } = runUnderOurs(image, processorsOf(name));
    expect({ text: `${lines.join('\n')}\n`, ending: status === 'exited' ? '' : message }).toEqual({
      text: readFileSync(goldenFile(name), 'utf8'),
      ending: '',
    });
  });
});

test('there are at least 60 images, and every golden file is one', () => {
  expect(IMAGES.length).toBeGreaterThanOrEqual(60);
  const golden = readdirSync(join(FOLDER, 'golden')).map((file) => file.replace('.txt', ''));
  expect(golden.filter((name) => !IMAGES.includes(name))).toEqual([]);
  expect(IMAGES.filter((name) => !existsSync(goldenFile(name)))).toEqual([]);
});

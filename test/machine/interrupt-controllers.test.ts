// The PIC, the interval timer and the I/O APIC as drivers use them: a guest program prints the same
// here and under QEMU, line by line.

import { expect, test } from 'vitest';
import { guestProgram, runGuest } from '../support/guest-run.ts';
import { runUnderQemu } from '../support/multiboot-image.ts';
import { missing } from '../support/outside-tools.ts';

const absent = missing('qemu-system-x86_64');
if (absent !== null) console.warn(`skipped: interrupt controllers as QEMU has them: ${absent}`);

const linesOf = (output: string) => output.split('\n').map((line) => line.trimEnd());

test.skipIf(absent !== null)('QEMU prints the same', () => {
  const image = guestProgram('interrupt-controllers.asm');
  // By counting instructions, its time is virtual, too.
  const options = ['-m', '4', '-icount', 'shift=4'];
  const theirs = runUnderQemu('image', { image }, 'console', options);
  const ours = runGuest(image, { vm: { memory: '4M' } }).report;
  expect(linesOf(theirs.output).length).toBeGreaterThan(14);
  expect(linesOf(ours.output)).toEqual(linesOf(theirs.output));
  expect([ours.exitCode, theirs.status]).toEqual([1, 1]);
});

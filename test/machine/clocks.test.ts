// Guests that measure one clock by another, as operating systems do when they start: the PM timer
// of ACPI, the PIT by its gate and by its interrupts, the TSC; and the serial port's interrupt.
// 8254 data sheet; ACPI specification, "Power Management Timer"; 2 GHz is the machine's rate.

import { describe, expect, test } from 'vitest';
import { Devices } from '../../src/machine/devices/devices.ts';
import { assembleText, runGuest } from '../support/guest-run.ts';
import { firstPicSetUp } from '../support/pic.ts';

const AROUND = { nowNs: 0, vcpuCount: 1, ramBytes: 2 ** 24 };

describe('the PM timer', () => {
  // 3.579545 MHz, 24 bits.
  test.each([
    [0, 0],
    [279, 0],
    [280, 1],
    [1_000_000_000, 3_579_545],
    [4_686_968_000, 16_777_212],
    [4_686_969_000, 0],
    [10_000_000_000, 35_795_450 - 2 * 2 ** 24],
  ])('after %i ns', (nowNs, ticks) => {
    const value = new Devices().read(0x608, 4, { ...AROUND, nowNs });
    // Ticks are not whole ns.
    expect(Math.abs(value - ticks)).toBeLessThanOrEqual(1);
  });

  test('can be read in parts, and ignores writes', () => {
    const devices = new Devices();
    const around = { ...AROUND, nowNs: 1_000_000_000 };
    devices.write(0x608, 4, 0, around);
    expect(devices.read(0x608, 2, around)).toBe(3_579_545 & 0xffff);
    expect(devices.read(0x60a, 1, around)).toBe(3_579_545 >> 16);
    expect(devices.read(0x60b, 1, around)).toBe(0);
  });
});

/** Cycles of the TSC that pass while a guest waits. */
function measured(prepare: string, wait: string): number {
  const { machine } = runGuest(
    assembleText(`
      ${prepare}
      rdtsc
      mov ebx, eax
      ${wait}
      rdtsc
      sub eax, ebx
      mov ebx, eax
      xor eax, eax
      out 0xf4, al`),
  );
  return machine.vcpus[0].virtual.processor.state.get('rbx').low >>> 0;
}

/** 2 GHz. */
const CYCLES_PER_SECOND = 2e9;

test('the serial port interrupts by line 4 when its transmitter is empty', () => {
  const { machine, ending } = runGuest(
    assembleText(`
      ${firstPicSetUp(0xef)}
      lea rdi, [rel handler]
      lea rsi, [rel gate]
      mov [rsi], di
      shr rdi, 16
      mov [rsi + 6], di
      lidt [rel descriptor]
      xor ebx, ebx
      sti
      mov dx, 0x3f9
      mov al, 2
      out dx, al
      nop
      mov dx, 0x3f8
      mov al, 'x'
      out dx, al
      nop
      cli
      mov dx, 0x3f9
      xor eax, eax
      out dx, al
      out 0xf4, al
    handler: inc ebx
      mov dx, 0x3fa
      in al, dx
      shl ebp, 8
      mov bpl, al
      mov al, 0x20
      out 0x20, al
      iretq
      align 16
    gate: dw 0, 8, 0x8e00, 0
      dq 0
    descriptor: dw 0x24f
      dq gate - 0x240`),
  );
  expect(ending.message).toBe('vCPU 0 wrote 0 to the exit port');
  const { state } = machine.vcpus[0].virtual.processor;
  // Once when the interrupt is enabled, once when the byte has gone: the cause is 2 both times.
  expect([state.get('rbx').low, state.get('rbp').low]).toEqual([2, 0x0202]);
});

describe('a guest measures its TSC by', () => {
  test('the PM timer', () => {
    const ticks = 35_795;
    const cycles = measured(
      `mov dx, 0x608
       in eax, dx
       mov esi, eax`,
      `mov dx, 0x608
       again: in eax, dx
       sub eax, esi
       and eax, 0xffffff
       cmp eax, ${ticks}
       jb again`,
    );
    const expected = (ticks / 3_579_545) * CYCLES_PER_SECOND;
    expect(Math.abs(cycles - expected)).toBeLessThan(10_000);
  });

  test('the third counter of the PIT, through its gate at port 61H', () => {
    const ticks = 11_932;
    const cycles = measured(
      `in al, 0x61
       and al, 0xfc
       or al, 1
       out 0x61, al
       mov al, 0xb0
       out 0x43, al
       mov al, ${ticks & 0xff}
       out 0x42, al
       mov al, ${ticks >> 8}
       out 0x42, al`,
      `again: in al, 0x61
       test al, 0x20
       jz again`,
    );
    const expected = (ticks / 1_193_182) * CYCLES_PER_SECOND;
    expect(Math.abs(cycles - expected)).toBeLessThan(10_000);
  });

  test('ten interrupts of the PIT, through the PIC', () => {
    const ticks = 1193;
    const cycles = measured(
      `${firstPicSetUp(0xfe)}
       lea rdi, [rel handler]
       lea rsi, [rel gate]
       mov [rsi], di
       shr rdi, 16
       mov [rsi + 6], di
       lidt [rel descriptor]
       xor ebp, ebp
       mov al, 0x34
       out 0x43, al
       mov al, ${ticks & 0xff}
       out 0x40, al
       mov al, ${ticks >> 8}
       out 0x40, al
       sti
     first: hlt
       cmp ebp, 1
       jne first
       jmp begin
     handler: inc ebp
       mov al, 0x20
       out 0x20, al
       iretq
       align 16
     gate: dw 0, 8, 0x8e00, 0
       dq 0
     descriptor: dw 0x20f
       dq gate - 0x200
     begin:`,
      `again: hlt
       cmp ebp, 11
       jb again
       cli`,
    );
    const expected = ((10 * ticks) / 1_193_182) * CYCLES_PER_SECOND;
    expect(Math.abs(cycles - expected)).toBeLessThan(10_000);
  });
});

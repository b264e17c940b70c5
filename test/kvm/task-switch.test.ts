// Task switches: the guest program that makes them in all ways, as the trace shows its exits and as
// QEMU runs it, and what the program cannot show: TSSs that lead to faults, in devices, and in the
// middle of nothing. SDM 3, "Treatment of Task Switches"; Linux arch/x86/kvm/vmx/vmx.c,
// handle_task_switch, and x86.c, kvm_task_switch.

import { describe, expect, test } from 'vitest';
import { guestProgram, runGuest } from '../support/guest-run.ts';
import { Guest, KvmBench } from '../support/kvm-bench.ts';
import { TO_PROTECTED, toCompatibility } from '../support/leaving-long-mode.ts';
import { runUnderQemu } from '../support/multiboot-image.ts';
import { missing } from '../support/outside-tools.ts';
import { assembleAt } from '../support/vmx-bench.ts';

const absent = missing('qemu-system-x86_64');

test.skipIf(absent !== null)(`every way there is, as under QEMU (${absent ?? 'compared'})`, () => {
  const image = guestProgram('task-switch.asm');
  const theirs = runUnderQemu('image', { image }, 'console', ['-m', '8']);
  const ours = runGuest(image, { vm: { memory: '8M' } }).report;
  expect(theirs.output.split('\n').length).toBeGreaterThan(14);
  expect(ours.output).toBe(theirs.output);
  expect([ours.exitCode, theirs.status]).toEqual([1, 1]);
});

const CODE_32 = 0x50000;
const MAIN_TSS = 0x52000;
const OTHER_TSS = 0x53000;
const GDT = 0x51000;
const TSS_BYTES = 0x68;
const OTHER = 0x28;

interface Other {
  readonly tss?: number;
  /** Items of the TSS by offset, beside those of a task that finishes. */
  readonly items?: Readonly<Record<number, number>> | undefined;
}

/** A guest that calls another task from protected mode without paging; its IDT catches #TS and #NP. */
function calling({ tss = OTHER_TSS, items = {} }: Other): KvmBench {
  const jump = toCompatibility({ code: CODE_32, gdt: GDT, gdtLimit: OTHER + 7 });
  const bench = new KvmBench(jump);
  const source = `bits 32
${TO_PROTECTED}
    mov eax, 0x20
    ltr ax
    lidt [idtr]
    mov eax, 3
    mov dr7, eax
caller:
    call ${OTHER}:0
    jmp done
in_task:
    mov dword [${Guest.RESULTS}], 0x77
    mov eax, dr7
    mov [${Guest.RESULTS + 8}], eax
done:
    mov al, 0
    out 0xf4, al
    hlt
fault:
    pop dword [${Guest.RESULTS}]
    pop dword [${Guest.RESULTS + 8}]
    str [${Guest.RESULTS + 16}]
    jmp done
idtr: dw 16 * 8 - 1
    dd idt
    align 8
idt: times 10 dq 0
    times 4 dd 0x180000 + fault - ${CODE_32}, ${CODE_32} + 0x8e00
    dq 0, 0`;
  const { bytes, labels } = assembleAt(CODE_32, source);
  bench.write(CODE_32, bytes);
  const inTask = labels.get('in_task') ?? 0;
  const all = { 32: inTask, 36: 2, 56: 0x71000, 76: 0x18, 80: 0x10, 84: 0x10 };
  for (const [offset, value] of Object.entries({ ...all, ...items })) {
    bench.write(OTHER_TSS + Number(offset), Uint8Array.from(bytesOf(value)));
  }
  const descriptors = [
    [0, 0],
    [0xffff, 0x00af9b00],
    [0xffff, 0x00cf9300],
    [0xffff, 0x00cf9b00],
    taskState(MAIN_TSS),
    taskState(tss),
  ];
  descriptors.forEach(([low, high], i) => {
    bench.write64(GDT + 8 * i, low, high);
  });
  return bench;
}

const bytesOf = (value: number) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

/** The two halves of a descriptor of an available TSS. */
function taskState(base: number): [number, number] {
  const low = (TSS_BYTES - 1) | (base << 16);
  return [low, ((base >>> 16) & 0xff) | 0x8900 | (base & 0xff000000)];
}

const result32 = (bench: KvmBench, n: number) => Number(bench.result(n) & 0xffffffffn);

describe('what the new task finds', () => {
  test('its code, and a debugger that has let go', () => {
    const bench = calling({}).finish();
    // Of the breakpoints, those of the task are off.
    expect([result32(bench, 0), result32(bench, 1)]).toEqual([0x77, 0x402]);
    expect(bench.exitCount('TASK_SWITCH')).toBe(1);
    expect(bench.counters().insn_emulation).toBe(0);
  });

  test.each<[string, Other['items'], number, number]>([
    ['SS that is code', { 80: 0x18 }, 0x18, OTHER],
    ['SS beyond the table', { 80: 0x30 }, 0x30, OTHER],
    ['CS that is data', { 76: 0x10 }, 0x10, OTHER],
    ['no CS', { 76: 0 }, 0, OTHER],
    ['DS that is a TSS', { 84: 0x20 }, 0x20, OTHER],
    ['an LDT that is none', { 96: 0x10 }, 0x10, OTHER],
  ])('a fault in it: %s', (_what, items, code, task) => {
    const bench = calling({ items }).finish();
    expect([result32(bench, 0), result32(bench, 2) & 0xffff]).toEqual([code, task]);
    const [line] = bench.lines('kvm_inj_exception');
    expect(line).toBe(`kvm_inj_exception: #TS (0x${code.toString(16)})`);
  });
});

test('a TSS in device memory is more than KVM can do', () => {
  const bench = calling({ tss: Guest.END + 0x100000 }).run();
  expect(bench.ending).toBe('INTERNAL_ERROR');
  const exit = bench.userExits.at(-1)?.exit;
  expect(exit).toMatchObject({ suberror: 1, data: [] });
});

// When the guest can take events: windows, blocking by STI, MOV SS and NMI, external interrupts.
// SDM 3, "Other Causes of VM Exits", "Interrupt-Window Exiting and Virtual-Interrupt Delivery",
// "NMI-Window Exiting", and "Changes in Guest State".

import { describe, expect, test } from 'vitest';
import { At, exitRecord, type FieldValues, handler, VmxBench } from '../support/vmx-bench.ts';

const PRIMARY = 'CPU_BASED_VM_EXEC_CONTROL';
const INTERRUPT_WINDOW = 1 << 2;
const HLT_EXITING = 1 << 7;
const NMI_WINDOW = 1 << 22;

const IF = 0x202;
const STI: FieldValues = { GUEST_RFLAGS: IF, GUEST_INTERRUPTIBILITY_INFO: 1 };
const MOV_SS: FieldValues = { GUEST_INTERRUPTIBILITY_INFO: 2 };
const NMI: FieldValues = { GUEST_INTERRUPTIBILITY_INFO: 8 };
const HLT: FieldValues = { GUEST_ACTIVITY_STATE: 1 };

/** IRETQ to what follows it, with these flags. */
const iretTo = (flags: number) =>
  `push 0x10\npush ${At.STACK}\npush ${flags}\npush 8\npush there\niretq\nthere:`;

/** A guest with EAX = 10H, the selector in SS. */
function withFields(...fields: readonly FieldValues[]): VmxBench {
  const bench = new VmxBench();
  bench.setRegister('rax', 0x10);
  for (const values of fields) bench.set(values);
  return bench;
}

/** Run code in which `here` marks where the exit is expected. */
function exitAt(bench: VmxBench, source: string) {
  const here = bench.load(`${source}\nvmcall`).get('here') ?? 0;
  return { exit: bench.exitOf(`${source}\nvmcall`), here };
}

describe('interrupt-window exiting', () => {
  test.each<[string, readonly FieldValues[], string]>([
    ['IF set at entry', [{ GUEST_RFLAGS: IF }], 'here: nop'],
    ['blocking by NMI does not count', [{ GUEST_RFLAGS: IF }, NMI], 'here: nop'],
    ['blocking by STI at entry', [STI], 'nop\nhere: nop'],
    ['blocking by MOV SS at entry', [{ GUEST_RFLAGS: IF }, MOV_SS], 'nop\nhere: nop'],
    ['STI', [], 'nop\nsti\nnop\nhere: nop'],
    ['a second STI in a row', [], 'sti\nsti\nhere: nop'],
    ['STI at entry under blocking by STI', [STI], 'sti\nhere: nop'],
    ['STI with IF set already, under MOV SS', [{ GUEST_RFLAGS: IF }, MOV_SS], 'sti\nhere: nop'],
    ['POPF', [], 'push 0x202\npopfq\nhere: nop'],
    ['IRET', [], `${iretTo(IF)}\nhere: nop`],
    ['MOV SS in the shadow of STI', [], 'sti\nmov ss, eax\nnop\nhere: nop'],
    ['STI in the shadow of MOV SS', [], 'mov ss, eax\nsti\nnop\nhere: nop'],
    ['MOV to another segment register', [STI], 'mov ds, eax\nhere: nop'],
  ])('opens: %s', (_what, fields, source) => {
    const bench = withFields(...fields);
    bench.add(PRIMARY, INTERRUPT_WINDOW);
    const { exit, here } = exitAt(bench, source);
    expect(exit).toEqual(exitRecord('INTERRUPT_WINDOW', here));
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO') & 3).toBe(0);
  });

  test.each<[string, readonly FieldValues[], string]>([
    ['IF clear', [], 'nop\nnop'],
    ['CLI in the shadow of STI', [], 'sti\ncli\nnop'],
    ['POPF with IF 0 in the shadow of STI', [], 'push 2\nsti\npopfq\nnop'],
    ['an exit in the shadow of STI', [], 'sti'],
    ['an exit in the shadow of MOV SS', [{ GUEST_RFLAGS: IF }, MOV_SS], ''],
  ])('stays closed: %s', (_what, fields, source) => {
    const bench = withFields(...fields);
    bench.add(PRIMARY, INTERRUPT_WINDOW);
    expect(exitAt(bench, source).exit.reason).toBe('VMCALL');
  });

  test('opens in a handler behind a trap gate, not behind an interrupt gate', () => {
    const trap = withFields();
    trap.add(PRIMARY, INTERRUPT_WINDOW);
    trap.gate(6, { type: 0xf });
    expect(trap.exitOf('sti\nud2')).toEqual(exitRecord('INTERRUPT_WINDOW', handler(6)));
    const interrupt = withFields();
    interrupt.add(PRIMARY, INTERRUPT_WINDOW);
    expect(interrupt.exitOf('sti\nud2')).toMatchObject({ reason: 'VMCALL', rip: handler(6) });
  });

  test('wakes from HLT: at entry, and after STI and HLT', () => {
    const entered = withFields({ GUEST_RFLAGS: IF }, HLT);
    entered.add(PRIMARY, INTERRUPT_WINDOW);
    expect(entered.exitOf('nop')).toEqual(exitRecord('INTERRUPT_WINDOW', At.CODE));
    expect(entered.field('GUEST_ACTIVITY_STATE')).toBe(1);
    const halting = withFields();
    halting.add(PRIMARY, INTERRUPT_WINDOW);
    halting.remove(PRIMARY, HLT_EXITING);
    expect(halting.exitOf('sti\nhlt')).toEqual(exitRecord('INTERRUPT_WINDOW', At.CODE + 2));
    expect(halting.field('GUEST_ACTIVITY_STATE')).toBe(1);
    expect(halting.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(0);
  });

  test('does not wake from HLT with IF clear', () => {
    const bench = withFields(HLT);
    bench.add(PRIMARY, INTERRUPT_WINDOW);
    bench.load('vmcall');
    bench.enter();
    expect([bench.virtual.run(1000).kind, bench.now]).toEqual(['limit', 1000]);
  });
});

describe('NMI-window exiting', () => {
  test.each<[string, readonly FieldValues[], string]>([
    ['at entry, whatever IF', [], 'here: nop'],
    ['blocking by MOV SS at entry', [MOV_SS], 'nop\nhere: nop'],
    ['IRET ends blocking by NMI', [NMI], `nop\n${iretTo(2)}\nhere: nop`],
    ['IRET into blocking by nothing', [NMI], `${iretTo(IF)}\nhere: nop`],
    // Left to the processor; here STI does not block NMIs.
    ['blocking by STI at entry', [STI], 'here: nop'],
  ])('opens: %s', (_what, fields, source) => {
    const bench = withFields(...fields);
    bench.add(PRIMARY, NMI_WINDOW);
    const { exit, here } = exitAt(bench, source);
    expect(exit).toEqual(exitRecord('NMI_WINDOW', here));
  });

  test('stays closed under blocking by NMI', () => {
    const bench = withFields(NMI);
    bench.add(PRIMARY, NMI_WINDOW);
    expect(exitAt(bench, 'nop\nsti\nnop\nmov ss, eax\nnop').exit.reason).toBe('VMCALL');
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(8);
  });

  test('after the handler of an injected NMI', () => {
    const bench = withFields({ VM_ENTRY_INTR_INFO_FIELD: 0x80000202 });
    bench.add(PRIMARY, NMI_WINDOW);
    bench.load('nop\niretq', handler(2));
    expect(bench.exitOf('nop')).toEqual(exitRecord('NMI_WINDOW', At.CODE));
  });

  test('wakes from HLT', () => {
    const bench = withFields(HLT);
    bench.add(PRIMARY, NMI_WINDOW);
    expect(bench.exitOf('nop')).toEqual(exitRecord('NMI_WINDOW', At.CODE));
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(1);
  });
});

describe('an external interrupt', () => {
  test.each<[string, readonly FieldValues[], string]>([
    ['IF clear', [], 'here: nop'],
    ['IF set', [{ GUEST_RFLAGS: IF }], 'here: nop'],
    ['blocking by NMI', [NMI], 'here: nop'],
    ['blocking by STI', [STI], 'nop\nhere: nop'],
    ['blocking by MOV SS', [MOV_SS], 'nop\nhere: nop'],
    ['in HLT', [HLT], 'here: nop'],
    ['in HLT with IF set', [HLT, { GUEST_RFLAGS: IF }], 'here: nop'],
  ])('exits: %s', (_what, fields, source) => {
    const bench = withFields(...fields);
    bench.virtual.interruptPending = true;
    const { exit, here } = exitAt(bench, source);
    expect(exit).toEqual(exitRecord('EXTERNAL_INTERRUPT', here));
    const halted = fields.includes(HLT) ? 1 : 0;
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(halted);
  });

  test('that comes while the guest runs exits at the next boundary', () => {
    const bench = withFields();
    bench.load('times 100 nop');
    bench.enter();
    bench.virtual.run(17);
    bench.virtual.interruptPending = true;
    expect(bench.runToExit()).toEqual(exitRecord('EXTERNAL_INTERRUPT', At.CODE + 17));
  });

  test('does not exit without the control', () => {
    const bench = withFields({ GUEST_RFLAGS: IF });
    bench.remove('PIN_BASED_VM_EXEC_CONTROL', 1);
    bench.virtual.interruptPending = true;
    expect(exitAt(bench, 'nop').exit.reason).toBe('VMCALL');
  });

  test('comes after an event that the entry injects', () => {
    const bench = withFields({ GUEST_RFLAGS: IF, VM_ENTRY_INTR_INFO_FIELD: 0x80000021 });
    bench.virtual.interruptPending = true;
    expect(bench.exitOf('nop')).toEqual(exitRecord('EXTERNAL_INTERRUPT', handler(0x21)));
  });
});

describe('priority at one boundary', () => {
  test.each([
    [NMI_WINDOW | INTERRUPT_WINDOW, true, 'NMI_WINDOW'],
    [INTERRUPT_WINDOW, true, 'INTERRUPT_WINDOW'],
    [NMI_WINDOW, true, 'NMI_WINDOW'],
    [0, true, 'EXTERNAL_INTERRUPT'],
    [0, false, 'CPUID'],
  ])('windows %i, interrupt %o: %s', (windows, interrupt, reason) => {
    const bench = withFields({ GUEST_RFLAGS: IF });
    bench.add(PRIMARY, windows);
    bench.virtual.interruptPending = interrupt;
    expect(bench.exitOf('cpuid')).toMatchObject({ reason, rip: At.CODE });
  });

  test('debug traps of the instruction before come first', () => {
    const bench = withFields({ GUEST_RFLAGS: 0x102 });
    bench.add(PRIMARY, INTERRUPT_WINDOW);
    bench.gate(1, { type: 0xf });
    // The single step after STI and NOP is delivered, through a trap gate, then the window opens.
    expect(bench.exitOf('sti\nnop\nnop')).toMatchObject({
      reason: 'INTERRUPT_WINDOW',
      rip: handler(1),
    });
    expect(bench.stack(1)).toEqual([At.CODE + 1]);
  });
});

describe('blocking that an exit saves', () => {
  test.each([
    ['sti\ncpuid', 1],
    ['mov ss, eax\ncpuid', 2],
    ['sti\nnop\ncpuid', 0],
    ['mov ss, eax\nnop\ncpuid', 0],
    ['mov ds, eax\ncpuid', 0],
    ['sti\ncli\ncpuid', 0],
    ['sti\nhlt', 1],
    ['sti\nsti\ncpuid', 0],
  ])('%j: %i', (source, blocking) => {
    const bench = withFields();
    bench.exitOf(source);
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(blocking);
  });

  test('is there again after the next entry', () => {
    const bench = withFields();
    bench.add(PRIMARY, INTERRUPT_WINDOW);
    bench.exitOf('sti\ncpuid\nnop\nnop');
    // The instruction is executed again, and not emulated, so the blocking is still for it.
    expect(bench.resume()).toMatchObject({ reason: 'CPUID', rip: At.CODE + 1 });
    expect(bench.skipAndResume()).toEqual(exitRecord('INTERRUPT_WINDOW', At.CODE + 3));
  });
});

describe('IRET and blocking by NMI', () => {
  test.each([
    // [NMI exiting, virtual NMIs, blocking that is left]
    [0, 0, 0],
    [1, 0, 8],
    [1, 1, 0],
  ])('NMI exiting %i, virtual NMIs %i: %i', (exiting, virtual, left) => {
    const bench = withFields(NMI, { PIN_BASED_VM_EXEC_CONTROL: 0x16 | (exiting << 3) });
    if (virtual === 1) bench.add('PIN_BASED_VM_EXEC_CONTROL', 1 << 5);
    expect(exitAt(bench, iretTo(2)).exit.reason).toBe('VMCALL');
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(left);
  });

  test.each([
    ['with the event that follows', 'iretq', NMI, 0x80001b0e],
    ['unless there was none', 'iretq', {}, 0x80000b0e],
    ['and no other instruction', 'pop rax', NMI, 0x80000b0e],
  ])('a fault ends it, and says so in bit 12, %s', (_what, source, fields, interruption) => {
    const bench = withFields(fields, { EXCEPTION_BITMAP: 1 << 14, GUEST_RSP: 0x180000 });
    expect(bench.exitOf(source)).toMatchObject({ reason: 'EXCEPTION_NMI', interruption });
    const blocked = source !== 'iretq' && fields === NMI;
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(blocked ? 8 : 0);
  });

  test('a double fault does not say so, nor does an exit with IDT-vectoring', () => {
    const bench = withFields(NMI, { EXCEPTION_BITMAP: 1 << 8, GUEST_RSP: 0x180000 });
    bench.gate(14, { present: false });
    expect(bench.exitOf('iretq').interruption).toBe(0x80000b08);
    const nested = withFields(NMI, { EXCEPTION_BITMAP: 1 << 11, GUEST_RSP: 0x180000 });
    nested.gate(14, { present: false });
    expect(nested.exitOf('iretq')).toMatchObject({
      interruption: 0x80000b0b,
      idtVectoring: 0x80000b0e,
    });
  });
});

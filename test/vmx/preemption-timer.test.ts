// The VMX-preemption timer at every boundary. SDM 3, "VMX-Preemption Timer" and "VM Exits Caused by
// the VMX-Preemption Timer". It ticks when bit 5 of the TSC changes: every 32 cycles, at multiples
// of 32. On the bench an instruction takes one cycle.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { timerDeadline, timerRemaining } from '../../src/vmx/index.ts';
import {
  At,
  type BenchOptions,
  exitRecord,
  type FieldValues,
  handler,
  VmxBench,
} from '../support/vmx-bench.ts';

const MAX = 2 ** 32 - 1;
const NOPS = 'times 500 nop';

const TIMER = 1 << 6;
const SAVE_TIMER = 1 << 22;
const HLT_EXITING = 1 << 7;
const TF = 0x100;

/** A bench whose guest is about to be entered at a time, with the timer loaded. */
function timed(entry: number, value: number, options: BenchOptions = {}): VmxBench {
  const bench = new VmxBench(options);
  bench.now = entry;
  bench.add('PIN_BASED_VM_EXEC_CONTROL', TIMER);
  bench.set({ VMX_PREEMPTION_TIMER_VALUE: value });
  return bench;
}

const expired = (rip: number) => exitRecord('PREEMPTION_TIMER', rip);

describe('deadline and remaining count', () => {
  test.each([
    // [TSC at entry, value, rate shift, TSC at expiry]
    [0, 0, 5, 0],
    [31, 0, 5, 0],
    [32, 0, 5, 32],
    [0, 1, 5, 32],
    [1, 1, 5, 32],
    [31, 1, 5, 32],
    [32, 1, 5, 64],
    [63, 2, 5, 96],
    [100, 3, 5, 192],
    [100, 3, 0, 103],
    [255, 1, 8, 256],
    [0, MAX, 5, 137438953440],
    [2 ** 45 + 1, MAX, 5, 2 ** 45 + 137438953440],
  ])('loaded at %i with %i, shift %i: %i', (entry, value, shift, deadline) => {
    expect(timerDeadline(entry, value, shift)).toBe(deadline);
  });

  test.each([
    // [deadline, TSC, what is left]
    [192, 100, 3],
    [192, 127, 3],
    [192, 128, 2],
    [192, 160, 1],
    [192, 191, 1],
    [192, 192, 0],
    [192, 1000, 0],
  ])('expiry at %i, now %i: %i left', (deadline, now, left) => {
    expect(timerRemaining(deadline, now, 5)).toBe(left);
  });
});

describe('the boundary at which it exits', () => {
  test.each([
    // [TSC at entry, value, instructions executed]
    [0, 0, 0],
    [1, 0, 0],
    [31, 0, 0],
    [32, 0, 0],
    [0, 1, 32],
    [1, 1, 31],
    [30, 1, 2],
    [31, 1, 1],
    [32, 1, 32],
    [31, 2, 33],
    [100, 3, 92],
    [96, 3, 96],
  ])('entered at %i with %i: after %i instructions', (entry, value, count) => {
    const bench = timed(entry, value);
    expect(bench.exitOf(NOPS)).toEqual(expired(At.CODE + count));
    expect(bench.now).toBe(entry + count);
    expect(bench.virtual.timerDeadline).toBeNull();
  });

  test('an instruction under way at the deadline completes', () => {
    const bench = timed(0, 1, { cycles: { simple: 10 } });
    expect([bench.exitOf(NOPS).rip, bench.now]).toEqual([At.CODE + 4, 40]);
  });

  test('the next one does not begin, even if it would exit', () => {
    const bench = timed(30, 1);
    expect(bench.exitOf('nop\nnop\ncpuid')).toEqual(expired(At.CODE + 2));
    // One cycle before the deadline it does.
    expect(timed(30, 1).exitOf('nop\ncpuid').reason).toBe('CPUID');
  });

  test('counting begins with the guest, after the cycles of the entry', () => {
    const bench = timed(0, 1, { costs: { entry: 100, exit: 1000 } });
    expect(bench.exitOf(NOPS).rip).toBe(At.CODE + 28);
    expect(bench.now).toBe(128 + 1000);
  });

  test('the greatest value does not come near', () => {
    const bench = timed(5, MAX);
    bench.load('again: jmp again');
    bench.enter();
    expect(bench.virtual.timerDeadline).toBe(137438953440);
    expect(bench.virtual.run(10_000).kind).toBe('limit');
  });

  test('without the control the value does not matter', () => {
    const bench = timed(0, 0);
    bench.remove('PIN_BASED_VM_EXEC_CONTROL', TIMER);
    expect(bench.exitOf('vmcall').reason).toBe('VMCALL');
  });

  test('offset and multiplier of the TSC do not matter', () => {
    const bench = timed(1, 2);
    bench.add('CPU_BASED_VM_EXEC_CONTROL', 1 << 3);
    bench.add('SECONDARY_VM_EXEC_CONTROL', 1 << 25);
    bench.set({ TSC_OFFSET: Long.fromInt(12345), TSC_MULTIPLIER: Long.fromBits(0, 0x70000) });
    expect(bench.exitOf(NOPS).rip).toBe(At.CODE + 63);
  });

  test('a REP instruction is interrupted between iterations, and goes on', () => {
    const bench = timed(0, 1);
    bench.setRegister('rcx', 100);
    bench.setRegister('rdi', At.DATA);
    bench.setRegister('rax', 0xff);
    expect(bench.exitOf('rep stosb\nvmcall')).toEqual(expired(At.CODE));
    expect([bench.register('rcx'), bench.register('rdi')]).toEqual([68, At.DATA + 32]);
    expect([bench.read64(At.DATA + 24) > 0, bench.read64(At.DATA + 32)]).toEqual([true, 0]);
    bench.remove('PIN_BASED_VM_EXEC_CONTROL', TIMER);
    expect(bench.resume()).toMatchObject({ reason: 'VMCALL', rip: At.CODE + 2 });
    expect([bench.register('rcx'), bench.register('rdi')]).toEqual([0, At.DATA + 100]);
  });
});

describe('slices', () => {
  test.each([1, 7, 31, 32, 33, 1000])('of %i cycles do not move the exit', (slice) => {
    const bench = timed(100, 3);
    bench.load(NOPS);
    bench.enter();
    for (;;) {
      if (bench.virtual.run(bench.now + slice).kind === 'exit') break;
    }
    expect([bench.exit.reason, bench.exit.rip, bench.now]).toEqual([
      'PREEMPTION_TIMER',
      At.CODE + 92,
      192,
    ]);
  });

  test('a slice up to just the deadline', () => {
    const bench = timed(100, 3);
    bench.load(NOPS);
    bench.enter();
    expect(bench.virtual.run(191).kind).toBe('limit');
    expect(bench.virtual.run(192).kind).toBe('exit');
  });

  test('a restored copy with a running timer exits where the original does', () => {
    const bench = timed(100, 3);
    bench.add('VM_EXIT_CONTROLS', SAVE_TIMER);
    bench.load(NOPS);
    bench.enter();
    bench.virtual.run(150);
    const copy = bench.copy();
    for (const each of [copy, bench]) {
      expect([each.runToExit(), each.now]).toEqual([expired(At.CODE + 92), 192]);
    }
  });
});

describe('HLT', () => {
  test.each([
    // [TSC at entry, value, expiry]
    [0, 1, 32],
    [1, 1, 32],
    [100, 3, 192],
  ])('executed after an entry at %i with %i: exit at %i, still halted', (entry, value, at) => {
    const bench = timed(entry, value);
    bench.remove('CPU_BASED_VM_EXEC_CONTROL', HLT_EXITING);
    expect(bench.exitOf('hlt')).toEqual(expired(At.CODE + 1));
    expect([bench.field('GUEST_ACTIVITY_STATE'), bench.now]).toEqual([1, at]);
  });

  test.each([
    [0, 0, 0],
    [37, 0, 37],
    [37, 1, 64],
  ])('entered at %i with %i: exit at %i, still halted', (entry, value, at) => {
    const bench = timed(entry, value);
    bench.set({ GUEST_ACTIVITY_STATE: 1 });
    expect(bench.exitOf('nop')).toEqual(expired(At.CODE));
    expect([bench.field('GUEST_ACTIVITY_STATE'), bench.now]).toEqual([1, at]);
    // Entered again, it is halted at once.
    bench.set({ VMX_PREEMPTION_TIMER_VALUE: 2 });
    expect(bench.resume()).toEqual(expired(At.CODE));
  });

  test('a slice that ends in HLT', () => {
    const bench = timed(0, 3);
    bench.set({ GUEST_ACTIVITY_STATE: 1 });
    bench.enter();
    expect([bench.virtual.run(95).kind, bench.now]).toEqual(['limit', 95]);
    expect([bench.virtual.run(1000).kind, bench.now]).toEqual(['exit', 96]);
  });

  test('some slices in HLT execute nothing', () => {
    const bench = timed(0, 3);
    bench.load(NOPS);
    bench.set({ GUEST_RIP: At.CODE, GUEST_ACTIVITY_STATE: 1 });
    bench.enter();
    for (const limit of [10, 20, 90]) {
      expect([bench.virtual.run(limit).kind, bench.now]).toEqual(['limit', limit]);
    }
    expect([bench.runToExit(), bench.now]).toEqual([expired(At.CODE), 96]);
  });

  test('executed in the last cycle before expiry', () => {
    const bench = timed(31, 1);
    bench.remove('CPU_BASED_VM_EXEC_CONTROL', HLT_EXITING);
    expect(bench.exitOf('hlt')).toEqual(expired(At.CODE + 1));
    expect([bench.field('GUEST_ACTIVITY_STATE'), bench.now]).toEqual([1, 32]);
  });
});

describe('blocking does not hold it', () => {
  test.each<[string, FieldValues]>([
    ['RFLAGS.IF clear', { GUEST_RFLAGS: 2 }],
    ['RFLAGS.IF set', { GUEST_RFLAGS: 0x202 }],
    ['by STI', { GUEST_RFLAGS: 0x202, GUEST_INTERRUPTIBILITY_INFO: 1 }],
    ['by MOV SS', { GUEST_INTERRUPTIBILITY_INFO: 2 }],
    ['by NMI', { GUEST_INTERRUPTIBILITY_INFO: 8 }],
  ])('%s, value 0', (_what, fields) => {
    const bench = timed(0, 0);
    bench.set(fields);
    expect(bench.exitOf(NOPS)).toEqual(expired(At.CODE));
    const blocking = fields.GUEST_INTERRUPTIBILITY_INFO ?? 0;
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(blocking);
  });

  test.each([
    ['sti', 1, 1],
    ['mov ss, eax', 2, 2],
  ])('%s in the cycle before expiry: the blocking is saved', (source, lengthBytes, blocking) => {
    const bench = timed(30, 1);
    bench.setRegister('rax', 0x10);
    expect(bench.exitOf(`nop\n${source}\n${NOPS}`)).toEqual(expired(At.CODE + 1 + lengthBytes));
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(blocking);
  });
});

describe('priority at one boundary', () => {
  const NMI_WINDOW = 1 << 22;
  const INTERRUPT_WINDOW = 1 << 2;

  test.each<[string, number, boolean, string]>([
    // [what, windows, interrupt pending, exit without the timer]
    ['an NMI window', NMI_WINDOW, false, 'NMI_WINDOW'],
    ['an interrupt window', INTERRUPT_WINDOW, false, 'INTERRUPT_WINDOW'],
    ['an external interrupt', 0, true, 'EXTERNAL_INTERRUPT'],
    ['all of them', NMI_WINDOW | INTERRUPT_WINDOW, true, 'NMI_WINDOW'],
  ])('before %s', (_what, windows, interrupt, other) => {
    for (const [value, reason] of [
      [0, 'PREEMPTION_TIMER'],
      [1, other],
    ] as const) {
      const bench = timed(0, value);
      bench.add('CPU_BASED_VM_EXEC_CONTROL', windows);
      bench.set({ GUEST_RFLAGS: 0x202 });
      bench.virtual.interruptPending = interrupt;
      expect(bench.exitOf(NOPS)).toEqual(exitRecord(reason, At.CODE));
    }
  });

  test('after an event that the entry injects', () => {
    const bench = timed(0, 0);
    bench.set({ GUEST_RFLAGS: 0x202, VM_ENTRY_INTR_INFO_FIELD: 0x80000021 });
    expect(bench.exitOf(NOPS)).toEqual(expired(handler(0x21)));
    expect(bench.stack(1)).toEqual([At.CODE]);
  });

  test('after a debug exception that the entry injects', () => {
    const bench = timed(0, 0);
    bench.set({ VM_ENTRY_INTR_INFO_FIELD: 0x80000301 });
    expect(bench.exitOf(NOPS)).toEqual(expired(handler(1)));
  });

  test('after an exit during injection', () => {
    const bench = timed(0, 0);
    bench.set({ GUEST_RFLAGS: 0x202, VM_ENTRY_INTR_INFO_FIELD: 0x80000021 });
    bench.setEpt(At.STACK - 8, 1);
    expect(bench.exitOf(NOPS).reason).toBe('EPT_VIOLATION');
  });

  test('after pending debug exceptions: delivered first, or their exit wins', () => {
    const pending = { GUEST_RFLAGS: 2 + TF, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000 };
    const bench = timed(0, 0);
    bench.set(pending);
    expect(bench.exitOf(NOPS)).toEqual(expired(handler(1)));
    const intercepted = timed(0, 0);
    intercepted.set({ ...pending, EXCEPTION_BITMAP: 2 });
    expect(intercepted.exitOf(NOPS)).toEqual(
      exitRecord('EXCEPTION_NMI', At.CODE, { interruption: 0x80000301, qualification: 0x4000 }),
    );
  });

  test('after the single-step trap of the instruction before', () => {
    const bench = timed(31, 1);
    bench.set({ GUEST_RFLAGS: 2 + TF });
    expect(bench.exitOf(NOPS)).toEqual(expired(handler(1)));
    expect(bench.stack(1)).toEqual([At.CODE + 1]);
    const intercepted = timed(31, 1);
    intercepted.set({ GUEST_RFLAGS: 2 + TF, EXCEPTION_BITMAP: 2 });
    expect(intercepted.exitOf(NOPS)).toMatchObject({ reason: 'EXCEPTION_NMI', rip: At.CODE + 1 });
  });

  test('after the delivery of a fault that crosses the deadline', () => {
    const bench = timed(31, 1);
    expect(bench.exitOf('ud2')).toEqual(expired(handler(6)));
  });

  test('an entry that fails does not start it', () => {
    const bench = timed(0, 0);
    bench.set({ GUEST_RFLAGS: 0 });
    expect(bench.tryToEnter().kind).toBe('entryFailure');
    expect(bench.virtual.timerDeadline).toBeNull();
    expect(bench.field('VM_EXIT_REASON') & 0xffff).toBe(33);
  });
});

describe('what an exit saves', () => {
  test.each([
    // [TSC at entry, value, NOPs before CPUID, value saved]
    [0, 10, 0, 10],
    [0, 10, 31, 10],
    [0, 10, 32, 9],
    [31, 10, 0, 10],
    [31, 10, 1, 9],
    [1, 10, 63, 8],
    [0, 10, 100, 7],
    [0, 10, 319, 1],
    [0, MAX, 32, MAX - 1],
  ])('entered at %i with %i, CPUID after %i: %i', (entry, value, count, saved) => {
    const source = `times ${count} nop\ncpuid`;
    const bench = timed(entry, value);
    bench.add('VM_EXIT_CONTROLS', SAVE_TIMER);
    expect(bench.exitOf(source).reason).toBe('CPUID');
    expect(bench.field('VMX_PREEMPTION_TIMER_VALUE')).toBe(saved);
    // Without the control the field stays.
    const keeping = timed(entry, value);
    keeping.exitOf(source);
    expect(keeping.field('VMX_PREEMPTION_TIMER_VALUE')).toBe(value);
  });

  test('0 when it has expired, or the old value', () => {
    const saving = timed(0, 3);
    saving.add('VM_EXIT_CONTROLS', SAVE_TIMER);
    saving.exitOf(NOPS);
    expect(saving.field('VMX_PREEMPTION_TIMER_VALUE')).toBe(0);
    const keeping = timed(0, 3);
    keeping.exitOf(NOPS);
    expect(keeping.field('VMX_PREEMPTION_TIMER_VALUE')).toBe(3);
  });

  test('so that it goes on after the next entry, and does not count in between', () => {
    const bench = timed(0, 3, { costs: { entry: 0, exit: 1000 } });
    bench.add('VM_EXIT_CONTROLS', SAVE_TIMER);
    bench.exitOf(`times 40 nop\ncpuid\n${NOPS}`);
    expect([bench.now, bench.field('VMX_PREEMPTION_TIMER_VALUE')]).toEqual([1040, 2]);
    // 1040 lies 16 cycles before a tick.
    expect(bench.skipAndResume()).toEqual(expired(At.CODE + 42 + 48));
  });

  test('or it begins again with the old value', () => {
    const bench = timed(0, 3);
    bench.exitOf(`times 40 nop\ncpuid\n${NOPS}`);
    // 40 lies 24 cycles before a tick.
    expect(bench.skipAndResume()).toEqual(expired(At.CODE + 42 + 88));
  });
});

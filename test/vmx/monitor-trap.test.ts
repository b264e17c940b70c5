// The monitor trap flag: after what an exit with reason 37 comes, and what comes instead. SDM 3,
// "Monitor Trap Flag", and the fact sheet's table on it.

import { describe, expect, test } from 'vitest';
import { At, exitRecord, type FieldValues, handler, VmxBench } from '../support/vmx-bench.ts';

const MTF = 1 << 27;
const TF = 0x102;
const IF = 0x202;
const VALID = 0x80000000;
const BS = 1 << 14;

function bench(change: FieldValues = {}, options: { readonly off?: boolean } = {}): VmxBench {
  const made = new VmxBench();
  if (options.off !== true) made.add('CPU_BASED_VM_EXEC_CONTROL', MTF);
  made.set(change);
  return made;
}

const trapAt = (rip: number) => exitRecord('MONITOR_TRAP_FLAG', rip);

describe('an exit follows', () => {
  test('each instruction', () => {
    const made = bench();
    const labels = made.load('mov ecx, 5\none: dec ecx\ntwo: nop\nthree: vmcall');
    expect(made.resume()).toEqual(trapAt(labels.get('one') ?? 0));
    expect(made.resume()).toEqual(trapAt(labels.get('two') ?? 0));
    expect(made.resume()).toEqual(trapAt(labels.get('three') ?? 0));
    expect(made.resume().reason).toBe('VMCALL');
  });

  test('each iteration of a string instruction', () => {
    const made = bench();
    made.setRegister('rcx', 2);
    made.setRegister('rdi', At.DATA);
    const labels = made.load('rep stosb\nafter: vmcall');
    expect(made.resume()).toEqual(trapAt(At.CODE));
    expect(made.resume()).toEqual(trapAt(labels.get('after') ?? 0));
  });

  test('the delivery of a fault', () => {
    const made = bench();
    made.load('ud2');
    expect(made.resume()).toEqual(trapAt(handler(6)));
  });

  test.each([
    ['int 0x30', 0x30],
    ['int3', 3],
    ['int1', 1],
  ])('%s, before the first instruction of its handler', (instruction, vector) => {
    const made = bench();
    made.load(instruction);
    expect(made.resume()).toEqual(trapAt(handler(vector)));
  });

  test('an injected event, before the first instruction of its handler', () => {
    const made = bench({ GUEST_RFLAGS: IF, VM_ENTRY_INTR_INFO_FIELD: VALID + 0x40 });
    made.load('nop');
    expect(made.resume()).toEqual(trapAt(handler(0x40)));
  });

  test('a debug exception that was pending at entry', () => {
    const made = bench({ GUEST_RFLAGS: TF, GUEST_PENDING_DBG_EXCEPTIONS: BS });
    made.load('nop');
    expect(made.resume()).toEqual(trapAt(handler(1)));
  });

  test('HLT that does not exit, out of the state of inactivity', () => {
    const made = bench();
    made.remove('CPU_BASED_VM_EXEC_CONTROL', 1 << 7);
    const labels = made.load('hlt\nafter: nop');
    expect(made.resume()).toEqual(trapAt(labels.get('after') ?? 0));
    expect(made.field('GUEST_ACTIVITY_STATE')).toBe(1);
  });

  test('an entry that says so (type 7), with the flag or without', () => {
    for (const off of [false, true]) {
      const made = bench({ VM_ENTRY_INTR_INFO_FIELD: VALID + 0x700 }, { off });
      made.load('nop');
      expect(made.resume()).toEqual(trapAt(At.CODE));
    }
  });
});

describe('no exit of this kind follows', () => {
  test('an instruction that exits itself', () => {
    const made = bench();
    made.load('cpuid');
    expect(made.resume().reason).toBe('CPUID');
  });

  test('a fault that exits', () => {
    const made = bench({ EXCEPTION_BITMAP: 1 << 6 });
    made.load('ud2');
    expect(made.resume().reason).toBe('EXCEPTION_NMI');
  });

  test('an entry in the state of inactivity', () => {
    const made = bench({ GUEST_ACTIVITY_STATE: 1 });
    made.load('nop');
    made.enter();
    expect(made.virtual.run(1000).kind).toBe('limit');
    expect(made.virtual.inNonRoot).toBe(true);
  });
});

test('a single-step trap waits behind it', () => {
  const made = bench({ GUEST_RFLAGS: TF });
  const labels = made.load('nop\nnext: nop');
  expect(made.resume()).toEqual(trapAt(labels.get('next') ?? 0));
  expect(made.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(BS);
  // It is what the next entry delivers first.
  expect(made.resume()).toEqual(trapAt(handler(1)));
});

test('it comes before the preemption timer', () => {
  const made = bench({ VMX_PREEMPTION_TIMER_VALUE: 0 });
  made.load('nop');
  made.add('PIN_BASED_VM_EXEC_CONTROL', 1 << 6);
  // No instruction is executed, so none is followed by anything.
  expect(made.resume().reason).toBe('PREEMPTION_TIMER');
  made.set({ GUEST_RFLAGS: IF, VM_ENTRY_INTR_INFO_FIELD: VALID + 0x40 });
  expect(made.resume()).toEqual(trapAt(handler(0x40)));
});

test('what is due survives being saved', () => {
  const made = bench();
  const labels = made.load('nop\nnext: nop');
  made.enter();
  expect(made.virtual.run(made.now + 1).kind).toBe('limit');
  for (const one of [made, made.copy()]) {
    expect(one.virtual.run(one.now + 100).kind).toBe('exit');
    expect(one.exit).toEqual(trapAt(labels.get('next') ?? 0));
  }
});

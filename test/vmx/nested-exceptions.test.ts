// What an exception that arises while another event is being delivered leads to: an exit for it,
// its own handler, a double fault, a triple fault. SDM 3, "Interrupt 8 - Double Fault Exception"
// and "Information for VM Exits During Event Delivery".

import { describe, expect, test } from 'vitest';
import { At, exitRecord, handler, Selector, VmxBench } from '../support/vmx-bench.ts';

const UNMAPPED = 0x180000;
const NONCANONICAL_GP = 'mov rax, 1 << 47\nfault: mov rax, [rax]';
const FAULT_AT = At.CODE + 10;

/** Sources of a first event: #UD, #GP(0), #PF, INT 21h, an external event is injected. */
const FIRST = {
  benign: { source: 'ud2', vector: 6, idt: 0x80000306 },
  contributory: { source: NONCANONICAL_GP, vector: 13, idt: 0x80000b0d },
  pageFault: { source: `mov rax, [${UNMAPPED}]`, vector: 14, idt: 0x80000b0e },
  software: { source: 'int 0x21', vector: 0x21, idt: 0x80000421 },
} as const;

type First = keyof typeof FIRST;

/** The gate of the first event is not present: #NP. Its error code names the gate. */
function notPresent(bench: VmxBench, vector: number): void {
  bench.gate(vector, { present: false });
}

/** The stack of the first event is not mapped: #PF; the others switch to one that is. */
function noStack(bench: VmxBench, vector: number): void {
  bench.set({ GUEST_RSP: UNMAPPED });
  for (const other of [6, 8, 11, 13, 14]) if (other !== vector) bench.gate(other, { ist: 1 });
}

describe('which handler runs in the end', () => {
  test.each<[First, number | 'double fault', number | 'double fault']>([
    // [first, after a contributory exception, after a page fault]
    ['benign', 11, 14],
    ['contributory', 'double fault', 14],
    ['pageFault', 'double fault', 'double fault'],
    ['software', 11, 14],
  ])('%s', (first, contributory, pageFault) => {
    const { source, vector } = FIRST[first];
    for (const [disturb, expected] of [
      [notPresent, contributory],
      [noStack, pageFault],
    ] as const) {
      const bench = new VmxBench();
      disturb(bench, vector);
      const reached = expected === 'double fault' ? 8 : expected;
      expect(bench.exitOf(source)).toMatchObject({ reason: 'VMCALL', rip: handler(reached) });
      if (expected === 'double fault') expect(bench.stack(1)).toEqual([0]);
    }
  });
});

describe('the error code of the second', () => {
  test.each<[First, number]>([
    // Gate number times 8, IDT (2), and EXT (1) unless software asked for the first event.
    ['benign', 6 * 8 + 2 + 1],
    ['software', 0x21 * 8 + 2],
  ])('%s', (first, code) => {
    const bench = new VmxBench();
    notPresent(bench, FIRST[first].vector);
    bench.exitOf(FIRST[first].source);
    expect(bench.stack(1)).toEqual([code]);
  });

  test('a software interrupt through a gate of DPL 0 at CPL 3: #GP, without EXT', () => {
    const bench = new VmxBench();
    bench.enterUserMode();
    expect(bench.exitOf('int 0x21').rip).toBe(handler(13));
    expect(bench.stack(4)).toEqual([0x21 * 8 + 2, At.CODE, Selector.USER_CODE, 0x10002]);
  });
});

describe('an exit for the second, before they are folded into a double fault', () => {
  test.each<[First, number]>([
    ['benign', 6 * 8 + 3],
    ['contributory', 13 * 8 + 3],
    ['pageFault', 14 * 8 + 3],
    ['software', 0x21 * 8 + 2],
  ])('#NP while %s is delivered', (first, errorCode) => {
    const { source, vector, idt } = FIRST[first];
    const bench = new VmxBench();
    notPresent(bench, vector);
    bench.set({ EXCEPTION_BITMAP: (1 << 11) | (1 << 8) });
    const idtErrorCode = first === 'contributory' || first === 'pageFault' ? 0 : null;
    const rip = first === 'contributory' ? FAULT_AT : At.CODE;
    expect(bench.exitOf(source)).toEqual(
      exitRecord('EXCEPTION_NMI', rip, {
        interruption: 0x80000b0b,
        errorCode,
        idtVectoring: idt,
        idtErrorCode,
        // The length of INT n, for whoever injects it again.
        lengthBytes: first === 'software' ? 2 : 0,
      }),
    );
    expect(bench.field('GUEST_RSP')).toBe(At.STACK);
  });

  test('#PF on the stack while #GP is delivered: address and both events', () => {
    const bench = new VmxBench();
    noStack(bench, 13);
    bench.set({ EXCEPTION_BITMAP: 1 << 14 });
    expect(bench.exitOf(NONCANONICAL_GP)).toEqual(
      exitRecord('EXCEPTION_NMI', FAULT_AT, {
        interruption: 0x80000b0e,
        errorCode: 2,
        qualification: UNMAPPED - 8,
        idtVectoring: 0x80000b0d,
        idtErrorCode: 0,
      }),
    );
  });
});

describe('double and triple faults', () => {
  test('the double fault exits by bit 8: error code 0, IDT-vectoring invalid', () => {
    const bench = new VmxBench();
    notPresent(bench, 13);
    bench.set({ EXCEPTION_BITMAP: 1 << 8 });
    expect(bench.exitOf(NONCANONICAL_GP)).toEqual(
      exitRecord('EXCEPTION_NMI', FAULT_AT, { interruption: 0x80000b08, errorCode: 0 }),
    );
  });

  test('a fault while the double fault is delivered: exit 2, IDT-vectoring invalid', () => {
    const bench = new VmxBench();
    notPresent(bench, 13);
    notPresent(bench, 8);
    expect(bench.exitOf(NONCANONICAL_GP)).toEqual(exitRecord('TRIPLE_FAULT', FAULT_AT));
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(0);
  });

  test('also a page fault, and with no handler at all', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_IDTR_LIMIT: 0 });
    expect(bench.exitOf('ud2')).toEqual(exitRecord('TRIPLE_FAULT', At.CODE));
    const other = new VmxBench();
    other.set({ GUEST_RSP: UNMAPPED });
    expect(other.exitOf(NONCANONICAL_GP)).toEqual(exitRecord('TRIPLE_FAULT', FAULT_AT));
  });

  test('a fault while the double fault is delivered exits by its own bit', () => {
    const bench = new VmxBench();
    notPresent(bench, 13);
    bench.gate(8, { ist: 2 });
    // Its stack is not canonical: #SS(EXT).
    bench.memory.write64(bench.ramHpa + At.TSS + 0x2c, 0, 0x8000);
    bench.set({ EXCEPTION_BITMAP: 1 << 12 });
    expect(bench.exitOf(NONCANONICAL_GP)).toEqual(
      exitRecord('EXCEPTION_NMI', FAULT_AT, {
        interruption: 0x80000b0c,
        errorCode: 1,
        idtVectoring: 0x80000b08,
        idtErrorCode: 0,
      }),
    );
  });

  test('an EPT violation while the double fault is delivered: IDT-vectoring valid', () => {
    const bench = new VmxBench();
    notPresent(bench, 13);
    bench.gate(8, { ist: 1 });
    bench.setEpt(At.STACK_IST - 8, 1);
    expect(bench.exitOf(NONCANONICAL_GP)).toMatchObject({
      reason: 'EPT_VIOLATION',
      rip: FAULT_AT,
      idtVectoring: 0x80000b08,
      idtErrorCode: 0,
      gpa: At.STACK_IST - 8,
    });
  });
});

test('a fault in fetching the first instruction of a handler is not during delivery', () => {
  const bench = new VmxBench();
  bench.write64(At.IDT + 16 * 6, (UNMAPPED & 0xffff) + Selector.CODE * 2 ** 16, 0x188e00);
  bench.set({ EXCEPTION_BITMAP: 1 << 14 });
  expect(bench.exitOf('ud2')).toEqual(
    exitRecord('EXCEPTION_NMI', UNMAPPED, {
      interruption: 0x80000b0e,
      // A fetch, with EFER.NXE set.
      errorCode: 16,
      qualification: UNMAPPED,
    }),
  );
});

describe('blocking by STI in what an exit saves', () => {
  test('kept by an exit for the exception itself', () => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: 1 << 6 });
    bench.exitOf('sti\nud2');
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(1);
  });

  test('gone after an exit during delivery', () => {
    const bench = new VmxBench();
    bench.setEpt(At.STACK - 8, 1);
    expect(bench.exitOf('sti\nud2')).toMatchObject({
      reason: 'EPT_VIOLATION',
      idtVectoring: 0x80000306,
    });
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(0);
    expect(bench.field('GUEST_RFLAGS') & 0x200).toBe(0x200);
  });

  test('gone after a double fault exits', () => {
    const bench = new VmxBench();
    notPresent(bench, 13);
    bench.set({ EXCEPTION_BITMAP: 1 << 8 });
    bench.setRegister('rbx', 2 ** 47);
    bench.exitOf('sti\nmov rax, [rbx]');
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(0);
  });

  test('gone in the handler', () => {
    const bench = new VmxBench();
    bench.exitOf('sti\nud2');
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(0);
  });
});

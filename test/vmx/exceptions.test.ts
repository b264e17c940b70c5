// Exceptions in non-root operation: which exit by the exception bitmap, and what is recorded. SDM
// 3, "Exceptions" in "Other Causes of VM Exits", and "Information for VM Exits Due to Vectored
// Events".

import { describe, expect, test } from 'vitest';
import { At, exitRecord, handler, VmxBench } from '../support/vmx-bench.ts';

const UNMAPPED = 0x180000;
const READ_ONLY = At.DATA + 0x1000;
const RF = 0x10000;

interface Fault {
  readonly name: string;
  readonly source: string;
  readonly vector: number;
  /** Interruption information. */
  readonly information: number;
  readonly errorCode: number | null;
  readonly qualification?: number;
}

const fault = (vector: number) => 0x80000300 + vector;
const faultWithCode = (vector: number) => 0x80000b00 + vector;

/** The last instruction faults; everything before it is one or more NOPs and register loads. */
const FAULTS: readonly Fault[] = [
  {
    name: '#DE',
    source: 'xor ecx, ecx\nfault: div ecx',
    vector: 0,
    information: fault(0),
    errorCode: null,
  },
  { name: '#UD', source: 'fault: ud2', vector: 6, information: fault(6), errorCode: null },
  {
    name: '#GP(0)',
    source: 'mov rax, 1 << 47\nfault: mov rax, [rax]',
    vector: 13,
    information: faultWithCode(13),
    errorCode: 0,
  },
  {
    name: '#GP(selector)',
    source: 'mov eax, 0x58\nfault: mov ds, eax',
    vector: 13,
    information: faultWithCode(13),
    errorCode: 0x58,
  },
  {
    name: '#SS(0)',
    source: 'mov rbp, 1 << 47\nfault: mov rax, [rbp]',
    vector: 12,
    information: faultWithCode(12),
    errorCode: 0,
  },
  {
    name: '#PF of a read',
    source: `fault: mov rax, [${UNMAPPED}]`,
    vector: 14,
    information: faultWithCode(14),
    errorCode: 0,
    qualification: UNMAPPED,
  },
  {
    name: '#PF of a write',
    source: `fault: mov [${UNMAPPED + 8}], rax`,
    vector: 14,
    information: faultWithCode(14),
    errorCode: 2,
    qualification: UNMAPPED + 8,
  },
];

describe.each(FAULTS.map((item) => [item.name, item] as const))('%s', (_name, item) => {
  test('exits before delivery if its bit is set', () => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: 1 << item.vector });
    bench.setRegister('cr2', 0x1234);
    const at = bench.load(item.source).get('fault') ?? 0;
    expect(bench.exitOf(item.source)).toEqual(
      exitRecord('EXCEPTION_NMI', at, {
        interruption: item.information,
        errorCode: item.errorCode,
        qualification: item.qualification ?? 0,
      }),
    );
    // Neither CR2 nor the stack has changed, and RF is as it would have been pushed.
    expect(bench.register('cr2')).toBe(0x1234);
    expect(bench.field('GUEST_RSP')).toBe(At.STACK);
    expect(bench.field('GUEST_RFLAGS') & RF).toBe(RF);
  });

  test('goes to its handler if only the other bits are set', () => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: ~(1 << item.vector) >>> 0 });
    bench.setRegister('cr2', 0x1234);
    const at = bench.load(item.source).get('fault') ?? 0;
    const exit = bench.exitOf(item.source);
    expect([exit.reason, exit.rip]).toEqual(['VMCALL', handler(item.vector)]);
    const frame = bench.stack(item.errorCode === null ? 2 : 3);
    if (item.errorCode !== null) expect(frame.shift()).toBe(item.errorCode);
    expect(frame).toEqual([at, 0x08]);
    expect(bench.register('cr2')).toBe(item.vector === 14 ? item.qualification : 0x1234);
  });
});

test('the image that a fault pushes has RF, flags in the handler do not', () => {
  const bench = new VmxBench();
  bench.set({ GUEST_RFLAGS: 0x202 });
  bench.exitOf('ud2');
  expect(bench.stack(3)[2]).toBe(0x10202);
  expect(bench.field('GUEST_RFLAGS')).toBe(2);
});

test('RF is over when the instruction after IRET has completed', () => {
  const bench = new VmxBench();
  bench.set({ GUEST_RFLAGS: 0x202 });
  bench.exitOf('ud2\nnop\nint 0x21');
  // The handler returns behind UD2.
  bench.write64(bench.field('GUEST_RSP'), At.CODE + 2);
  expect(bench.skipAndResume().rip).toBe(handler(0x21));
  expect(bench.stack(3)[2]).toBe(0x202);
});

describe('page faults: mask and match', () => {
  // Error codes: 0 read, 2 write of what is not mapped, 3 write of what is read-only.
  const accesses = {
    0: `mov rax, [${UNMAPPED}]`,
    2: `mov [${UNMAPPED}], rax`,
    3: `mov [${READ_ONLY}], rax`,
  };
  test.each([
    // [mask, match, bit 14, error codes that exit]
    [0, 0, 1, [0, 2, 3]],
    [0, 0, 0, []],
    [0, 1, 0, [0, 2, 3]],
    [0, 1, 1, []],
    [2, 2, 1, [2, 3]],
    [2, 2, 0, [0]],
    [2, 0, 1, [0]],
    [2, 0, 0, [2, 3]],
    [3, 2, 1, [2]],
    [3, 2, 0, [0, 3]],
    [1, 1, 1, [3]],
    [0xffffffff, 3, 1, [3]],
    [0xffffffff, 0x80000003, 1, []],
    [0xffffffff, 0x80000003, 0, [0, 2, 3]],
  ])('mask %i, match %i, bit 14 = %i: %j exit', (mask, match, bit, exiting) => {
    const exits = Object.entries(accesses).flatMap(([code, source]) => {
      const bench = new VmxBench();
      bench.map(READ_ONLY, READ_ONLY, 5);
      bench.set({
        EXCEPTION_BITMAP: bit << 14,
        PAGE_FAULT_ERROR_CODE_MASK: mask,
        PAGE_FAULT_ERROR_CODE_MATCH: match,
      });
      const exit = bench.exitOf(source);
      if (exit.reason === 'EXCEPTION_NMI') return [exit.errorCode];
      expect(bench.stack(1)).toEqual([Number(code)]);
      return [];
    });
    expect(exits).toEqual(exiting);
  });
});

describe('software exceptions and interrupts', () => {
  test('INT3 exits by bit 3, as a software exception at the instruction itself', () => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: 1 << 3 });
    expect(bench.exitOf('nop\nint3')).toEqual(
      exitRecord('EXCEPTION_NMI', At.CODE + 1, { interruption: 0x80000603, lengthBytes: 1 }),
    );
    // A trap: RF is not set.
    expect(bench.field('GUEST_RFLAGS')).toBe(2);
  });

  test('INT3 with bit 3 clear pushes the address behind it', () => {
    const bench = new VmxBench();
    expect(bench.exitOf('nop\nint3').rip).toBe(handler(3));
    expect(bench.stack(3)).toEqual([At.CODE + 2, 8, 2]);
  });

  test.each([1, 3, 6, 8, 13, 14, 18])('INT %i is not subject to the bitmap', (vector) => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: 0xffffffff });
    expect(bench.exitOf(`db 0xcd, ${vector}`).rip).toBe(handler(vector));
    // No error code, whatever the vector.
    expect(bench.stack(3)).toEqual([At.CODE + 2, 8, 2]);
  });
});

describe('single steps', () => {
  const TF = 0x100;

  test('exit by bit 1 after the instruction: BS in the qualification, DR6 unchanged', () => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: 1 << 1, GUEST_RFLAGS: TF | 2 });
    const before = bench.register('dr6');
    expect(bench.exitOf('nop')).toEqual(
      exitRecord('EXCEPTION_NMI', At.CODE + 1, { interruption: 0x80000301, qualification: 0x4000 }),
    );
    expect(bench.register('dr6')).toBe(before);
    // A trap leaves RF alone, and nothing stays pending.
    expect(bench.field('GUEST_RFLAGS')).toBe(TF | 2);
    expect(bench.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(0);
  });

  test('are delivered after the instruction if bit 1 is clear', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_RFLAGS: TF | 2 });
    expect(bench.exitOf('nop').rip).toBe(handler(1));
    expect(bench.stack(3)).toEqual([At.CODE + 1, 8, TF | 2]);
    expect(bench.register('dr6') & 0x4000).toBe(0x4000);
  });

  test('do not come between MOV SS and the next instruction', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_RFLAGS: TF | 2 });
    bench.setRegister('rax', 0x10);
    expect(bench.exitOf('mov ss, eax\nnop\nnop').rip).toBe(handler(1));
    expect(bench.stack(1)).toEqual([At.CODE + 3]);
  });

  test('stay pending if the instruction after MOV SS exits', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_RFLAGS: TF | 2 });
    bench.setRegister('rax', 0x10);
    expect(bench.exitOf('mov ss, eax\ncpuid').reason).toBe('CPUID');
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(2);
    expect(bench.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(0x4000);
  });

  test('of INT n do not happen: its delivery clears TF', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_RFLAGS: TF | 2 });
    expect(bench.exitOf('int 0x21').rip).toBe(handler(0x21));
    expect(bench.stack(3)).toEqual([At.CODE + 2, 8, TF | 2]);
  });
});

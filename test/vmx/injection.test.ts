// Events that a VM entry injects, of every type, what they push, and exits while they are being
// delivered; debug exceptions that are pending after entry. SDM 3, "Event Injection" and
// "Information for VM Exits That Occur During Event Delivery".

import { describe, expect, test } from 'vitest';
import {
  At,
  exitRecord,
  type FieldValues,
  handler,
  Selector,
  VmxBench,
} from '../support/vmx-bench.ts';

const VALID = 0x80000000;
const RF = 0x10000;
const TF = 0x100;
const HLT = 1;

interface Injection {
  readonly vector: number;
  /** Interruption information. */
  readonly information: number;
  readonly errorCode: number | null;
  readonly lengthBytes: number;
  /** Pushed as the address to return to is RIP plus this. */
  readonly advance: number;
  /** EXT in error codes of faults that its delivery meets. */
  readonly external: 0 | 1;
  /** The gate's DPL counts. */
  readonly checksPrivilege: boolean;
}

function injection(
  type: number,
  vector: number,
  rest: Partial<Pick<Injection, 'errorCode' | 'lengthBytes'>> = {},
): Injection {
  const { errorCode = null, lengthBytes = 0 } = rest;
  return {
    vector,
    information: VALID + type * 0x100 + vector + (errorCode === null ? 0 : 0x800),
    errorCode,
    lengthBytes,
    advance: type >= 4 ? lengthBytes : 0,
    external: type === 4 || type === 6 ? 0 : 1,
    checksPrivilege: type === 4 || type === 6,
  };
}

const INJECTIONS: readonly (readonly [string, Injection])[] = [
  ['external interrupt 20H', injection(0, 0x20)],
  ['external interrupt FFH', injection(0, 0xff)],
  ['NMI', injection(2, 2)],
  ['#DE', injection(3, 0)],
  ['#DB', injection(3, 1)],
  ['#UD, with a length that does not count', injection(3, 6, { lengthBytes: 7 })],
  ['#NP(selector)', injection(3, 11, { errorCode: 0x58 })],
  ['#GP(0)', injection(3, 13, { errorCode: 0 })],
  ['#PF', injection(3, 14, { errorCode: 7 })],
  ['INT 21H', injection(4, 0x21, { lengthBytes: 2 })],
  ['INT 21H with prefixes', injection(4, 0x21, { lengthBytes: 15 })],
  ['INT1', injection(5, 1, { lengthBytes: 1 })],
  ['INT3', injection(6, 3, { lengthBytes: 1 })],
  ['INTO', injection(6, 4, { lengthBytes: 1 })],
];

/** A guest with IF set into which the next entry injects. */
function injecting(item: Injection): VmxBench {
  const bench = new VmxBench();
  bench.set({
    GUEST_RFLAGS: 0x202,
    VM_ENTRY_INTR_INFO_FIELD: item.information,
    VM_ENTRY_INSTRUCTION_LEN: item.lengthBytes,
    VM_ENTRY_EXCEPTION_ERROR_CODE: item.errorCode ?? 0,
  });
  return bench;
}

describe.each(INJECTIONS)('%s', (_name, item) => {
  const isNmi = item.information === VALID + 0x202;

  test('reaches its handler before any instruction, and is not subject to the bitmap', () => {
    const bench = injecting(item);
    bench.set({ EXCEPTION_BITMAP: 0xffffffff });
    const dr6 = bench.register('dr6');
    bench.setRegister('cr2', 0x77);
    const exit = bench.exitOf('ud2');
    expect(exit).toEqual(exitRecord('VMCALL', handler(item.vector), { lengthBytes: 3 }));
    const frame = [At.CODE + item.advance, Selector.CODE, 0x202, At.STACK, Selector.DATA];
    const code = item.errorCode === null ? [] : [item.errorCode];
    expect(bench.stack(5 + code.length)).toEqual([...code, ...frame]);
    expect([bench.register('dr6'), bench.register('cr2')]).toEqual([dr6, 0x77]);
    expect(bench.field('GUEST_RFLAGS')).toBe(2);
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(isNmi ? 8 : 0);
    // Valid only once.
    expect(bench.field('VM_ENTRY_INTR_INFO_FIELD')).toBe(item.information - VALID);
  });

  test('through a gate of DPL 0 at CPL 3', () => {
    const bench = injecting(item);
    bench.enterUserMode();
    bench.exitOf('nop');
    if (!item.checksPrivilege) {
      expect(bench.exit.rip).toBe(handler(item.vector));
      return;
    }
    expect(bench.exit.rip).toBe(handler(13));
    // The fault is of the instruction, though it was not executed.
    expect(bench.stack(4)).toEqual([item.vector * 8 + 2, At.CODE, Selector.USER_CODE, RF | 0x202]);
  });

  test('through a gate that is not present', () => {
    const bench = injecting(item);
    bench.gate(item.vector, { present: false });
    bench.set({ EXCEPTION_BITMAP: 1 << 11 });
    expect(bench.exitOf('nop')).toEqual(
      exitRecord('EXCEPTION_NMI', At.CODE, {
        interruption: 0x80000b0b,
        errorCode: item.vector * 8 + 2 + item.external,
        idtVectoring: item.information,
        idtErrorCode: item.errorCode,
        lengthBytes: item.advance,
      }),
    );
  });

  test('an exit during its delivery says what to inject again', () => {
    const bench = injecting(item);
    bench.setEpt(At.STACK - 8, 1);
    expect(bench.exitOf('nop')).toMatchObject({
      reason: 'EPT_VIOLATION',
      rip: At.CODE,
      idtVectoring: item.information,
      idtErrorCode: item.errorCode,
      lengthBytes: item.advance,
      interruption: 0,
    });
    expect(bench.field('GUEST_RSP')).toBe(At.STACK);
    expect(bench.field('GUEST_RFLAGS')).toBe(0x202);
    expect(bench.field('VM_ENTRY_INTR_INFO_FIELD')).toBe(item.information - VALID);
    // An NMI blocks already, so a host takes that back before it injects it again.
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(isNmi ? 8 : 0);
    bench.setEpt(At.STACK - 8, 7);
    bench.set({
      GUEST_INTERRUPTIBILITY_INFO: 0,
      VM_ENTRY_INTR_INFO_FIELD: bench.field('IDT_VECTORING_INFO_FIELD'),
      VM_ENTRY_EXCEPTION_ERROR_CODE: bench.field('IDT_VECTORING_ERROR_CODE'),
      VM_ENTRY_INSTRUCTION_LEN: bench.field('VM_EXIT_INSTRUCTION_LEN'),
    });
    expect(bench.resume().rip).toBe(handler(item.vector));
  });

  test('a snapshot between the entry and such an exit does not lose the exit', () => {
    const bench = injecting(item);
    bench.setEpt(At.STACK - 8, 1);
    bench.load('nop');
    bench.enter();
    const copy = bench.copy();
    expect(copy.runToExit()).toEqual(bench.runToExit());
    expect(copy.exit.reason).toBe('EPT_VIOLATION');
  });
});

describe('the flags that are pushed', () => {
  test.each<[string, Injection, number]>([
    ['RF, as the field has it', injection(0, 0x20), RF | 0x202],
    ['no RF for a fault', injection(3, 6), 0x202],
    ['RF for a fault, if the field has it', injection(3, 6), RF | 0x202],
    ['TF', injection(4, 0x21, { lengthBytes: 2 }), 0x302],
  ])('%s', (_what, item, flags) => {
    const bench = injecting(item);
    bench.set({ GUEST_RFLAGS: flags });
    bench.exitOf('nop');
    expect(bench.stack(3)[2]).toBe(flags);
    expect(bench.field('GUEST_RFLAGS')).toBe(2);
  });
});

describe('blocking by STI and MOV SS is over', () => {
  test.each<[string, Injection, number]>([
    ['#UD, STI', injection(3, 6), 1],
    ['#UD, MOV SS', injection(3, 6), 2],
    ['INT 21H, MOV SS', injection(4, 0x21, { lengthBytes: 2 }), 2],
    ['NMI, STI', injection(2, 2), 1],
  ])('%s', (_what, item, blocking) => {
    const bench = injecting(item);
    bench.set({ GUEST_INTERRUPTIBILITY_INFO: blocking });
    expect(bench.exitOf('nop').rip).toBe(handler(item.vector));
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO') & 3).toBe(0);
  });
});

describe('into HLT', () => {
  const items: readonly (readonly [string, Injection])[] = [
    ['external interrupt', injection(0, 0x20)],
    ['NMI', injection(2, 2)],
    ['#DB', injection(3, 1)],
    ['#MC', injection(3, 18)],
  ];

  test.each(items)('%s: the guest is active afterwards', (_name, item) => {
    const bench = injecting(item);
    bench.set({ GUEST_ACTIVITY_STATE: HLT });
    expect(bench.exitOf('nop')).toMatchObject({ reason: 'VMCALL', rip: handler(item.vector) });
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(0);
    expect(bench.stack(1)).toEqual([At.CODE]);
  });

  test.each(items)('%s: an exit during delivery finds it awake', (_name, item) => {
    const bench = injecting(item);
    bench.set({ GUEST_ACTIVITY_STATE: HLT });
    bench.setEpt(At.STACK - 8, 1);
    expect(bench.exitOf('nop').idtVectoring).toBe(item.information);
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(0);
  });
});

describe('debug exceptions that are pending after entry', () => {
  const BS = 0x4000;
  const BREAKPOINT_1 = 0x1002;

  function pending(bits: number, flags: number, fields: FieldValues = {}): VmxBench {
    const bench = new VmxBench();
    bench.set({ GUEST_PENDING_DBG_EXCEPTIONS: bits, GUEST_RFLAGS: flags, ...fields });
    bench.setRegister('dr6', 0xffff0ff0);
    return bench;
  }

  test.each<[string, number, number, FieldValues, number, number]>([
    // [what, bits, RFLAGS, fields, offset pushed, DR6]
    ['single step', BS, TF | 2, {}, 0, 0xffff4ff0],
    ['single step without TF', BS, 2, {}, 0, 0xffff4ff0],
    ['enabled breakpoint', BREAKPOINT_1, 2, {}, 0, 0xffff0ff2],
    ['both', BS | BREAKPOINT_1, TF | 2, {}, 0, 0xffff4ff2],
    ['under STI', BS, TF | 0x202, { GUEST_INTERRUPTIBILITY_INFO: 1 }, 0, 0xffff4ff0],
    ['under MOV SS: held', BS, TF | 2, { GUEST_INTERRUPTIBILITY_INFO: 2 }, 1, 0xffff4ff0],
    [
      'a breakpoint under MOV SS: held',
      BREAKPOINT_1,
      2,
      { GUEST_INTERRUPTIBILITY_INFO: 2 },
      1,
      0xffff0ff2,
    ],
    [
      'a breakpoint under MOV SS merges with a step',
      BS | BREAKPOINT_1,
      TF | 2,
      { GUEST_INTERRUPTIBILITY_INFO: 2 },
      1,
      0xffff4ff2,
    ],
    ['in HLT', BS, TF | 2, { GUEST_ACTIVITY_STATE: HLT }, 0, 0xffff4ff0],
  ])('%s: #DB', (_what, bits, flags, fields, offset, dr6) => {
    const bench = pending(bits, flags, fields);
    expect(bench.exitOf('nop\nnop')).toMatchObject({ reason: 'VMCALL', rip: handler(1) });
    expect(bench.stack(3)).toEqual([At.CODE + offset, Selector.CODE, flags]);
    expect(bench.register('dr6')).toBe(dr6);
    expect(bench.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(0);
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(0);
  });

  test('in the exception bitmap: exit with the bits, DR6 unchanged, nothing left', () => {
    const bench = pending(BS | BREAKPOINT_1, TF | 2, { EXCEPTION_BITMAP: 2 });
    expect(bench.exitOf('nop')).toEqual(
      exitRecord('EXCEPTION_NMI', At.CODE, { interruption: 0x80000301, qualification: 0x4002 }),
    );
    expect(bench.register('dr6')).toBe(0xffff0ff0);
    expect(bench.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(0);
  });

  test('breakpoints that are not enabled are none', () => {
    const bench = pending(0xf, 2);
    expect(bench.exitOf('vmcall')).toMatchObject({ reason: 'VMCALL', rip: At.CODE });
    expect(bench.register('dr6')).toBe(0xffff0ff0);
  });

  test.each<[string, Injection]>([
    ['external interrupt', injection(0, 0x20)],
    ['NMI', injection(2, 2)],
    ['#UD', injection(3, 6)],
    ['INT 21H', injection(4, 0x21, { lengthBytes: 2 })],
    ['INT1', injection(5, 1, { lengthBytes: 1 })],
    ['INT3', injection(6, 3, { lengthBytes: 1 })],
  ])('%s is injected: they are dropped', (_name, item) => {
    const bench = injecting(item);
    bench.set({ GUEST_PENDING_DBG_EXCEPTIONS: BS, GUEST_RFLAGS: 0x302 });
    bench.setRegister('dr6', 0xffff0ff0);
    expect(bench.exitOf('nop').rip).toBe(handler(item.vector));
    expect(bench.register('dr6')).toBe(0xffff0ff0);
    expect(bench.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(0);
  });

  test.each<[string, Injection]>([
    ['INT 21H', injection(4, 0x21, { lengthBytes: 2 })],
    ['INT3', injection(6, 3, { lengthBytes: 1 })],
  ])('%s is injected under MOV SS: #DB before its handler', (_name, item) => {
    const bench = injecting(item);
    bench.set({
      GUEST_PENDING_DBG_EXCEPTIONS: BS,
      GUEST_RFLAGS: 0x302,
      GUEST_INTERRUPTIBILITY_INFO: 2,
    });
    expect(bench.exitOf('nop').rip).toBe(handler(1));
    expect(bench.stack(1)).toEqual([handler(item.vector)]);
  });
});

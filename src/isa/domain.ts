// What an instruction's meaning may say. A meaning is written once against this interface; the
// evaluation domain runs it, the effects domain lists what it touches, a compiling domain emits
// code for it. V is the domain's idea of an integer of up to 64 bits, always held zero-extended;
// B is its idea of a truth value. Control flow goes through `when` only: a meaning never looks
// into a V or B. Until the last verb that may fault (accesses, divisions, `jump`, `raise`, `call`)
// a meaning changes nothing but RSP, for engines undo no more than that. Widths are in bits.

import type { Instruction, MemoryOperand, Operand, PointerOperand } from './instruction.ts';
import type { Width } from './registers.ts';
import type { FloatFunction, LaneFunction } from './vector-functions.ts';

/** The status flags and DF, which meanings read and write one by one; bit numbers in RFLAGS. */
export const Flag = { CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, DF: 10, OF: 11 } as const;

export type Flag = (typeof Flag)[keyof typeof Flag];

/**
 * Work that needs the processor around the instruction (descriptor tables, MSRs, ports, modes), or
 * that takes a loop over bits.
 * The processor implements these as plain functions; every engine calls the same ones.
 * They read and write registers themselves where the SDM fixes which.
 */
export type SystemFunction =
  | 'accessRights' // LAR: (selector) -> rights
  | 'clearFpuExceptions' // FNCLEX
  | 'clearInterruptFlag' // CLI
  | 'clearTaskSwitched' // CLTS
  | 'cpuid' // CPUID
  | 'crc32' // CRC32: (sum, data, bits of data) -> sum
  | 'depositBits' // PDEP: (value, mask) -> result
  | 'emptyFpu' // EMMS
  | 'extractBits' // PEXT: (value, mask) -> result
  | 'farCall' // CALL m16:16, ptr16:16: (selector, offset)
  | 'farJump' // JMP m16:16, ptr16:16: (selector, offset)
  | 'farReturn' // far RET by operand size: (bytes to release)
  | 'halt' // HLT
  | 'in' // IN: (port) -> value of the operand size
  | 'initializeFpu' // FNINIT
  | 'interrupt' // INT n, INT3, INTO: (vector)
  | 'invalidateContext' // INVPCID: (type, low and high half of the descriptor)
  | 'invalidatePage' // INVLPG: (linear address)
  | 'iret' // IRET, IRETD, IRETQ by operand size
  | 'loadFpuControl' // FLDCW: (control word)
  | 'loadFpuImage' // FXRSTOR: (twenty quadwords)
  | 'loadGdtr' // LGDT: (limit, base)
  | 'loadIdtr' // LIDT: (limit, base)
  | 'loadLocalTable' // LLDT: (selector)
  | 'loadMxcsr' // LDMXCSR: (value)
  | 'loadSegment' // MOV Sreg: (number, selector)
  | 'loadTaskRegister' // LTR: (selector)
  | 'out' // OUT: (port, value)
  | 'popFlags' // POPF: (flags image)
  | 'pushFlags' // PUSHF: () -> flags image
  | 'random' // RDRAND, RDSEED: () -> 64 bits
  | 'readControl' // MOV r, CRn: (number) -> value
  | 'readCounter' // RDPMC
  | 'readDebug' // MOV r, DRn: (number) -> value
  | 'readFpuControl' // FNSTCW: () -> control word
  | 'readFpuImage' // FXSAVE: (number of the quadword) -> value
  | 'readFpuStatus' // FNSTSW: () -> status word
  | 'readGdtrBase' // SGDT: () -> base
  | 'readGdtrLimit' // SGDT: () -> limit
  | 'readIdtrBase' // SIDT: () -> base
  | 'readIdtrLimit' // SIDT: () -> limit
  | 'readMsr' // RDMSR
  | 'readMxcsr' // STMXCSR: () -> value
  | 'readProcessorId' // RDPID: () -> IA32_TSC_AUX
  | 'readSegment' // MOV r/m, Sreg: (number) -> selector
  | 'readSegmentBase' // RDFSBASE: (number) -> base
  | 'readTsc' // RDTSC
  | 'readTscp' // RDTSCP
  | 'segmentLimit' // LSL: (selector) -> limit in bytes
  | 'setAccessControl' // CLAC, STAC: (RFLAGS.AC)
  | 'setInterruptFlag' // STI
  | 'swapGs' // SWAPGS
  | 'systemCall' // SYSCALL
  | 'systemEnter' // SYSENTER
  | 'systemExit' // SYSEXIT by operand size
  | 'systemReturn' // SYSRET by operand size
  | 'verifyFpu' // FWAIT, FLDCW: #MF if an exception is pending
  | 'verifySegment' // VERR, VERW, LAR, LSL: (selector, which) -> 1 or 0
  | 'writeControl' // MOV CRn, r: (number, value)
  | 'writeDebug' // MOV DRn, r: (number, value)
  | 'writeMachineStatus' // LMSW: (value)
  | 'writeMsr' // WRMSR
  | 'writeSegmentBase'; // WRFSBASE: (number, base)

/** What `verifySegment` is asked, by its number in this list: VERR, VERW, LAR, LSL. */
export const SEGMENT_LOOKS = ['read', 'write', 'accessRights', 'segmentLimit'] as const;

export type SegmentLook = (typeof SEGMENT_LOOKS)[number];

/** Vectors of the exceptions that meanings raise by themselves. */
export type RaisedVector = 'DE' | 'BR' | 'UD' | 'GP' | 'XM';

export interface Domain<V, B> {
  /** The instruction whose meaning is being asked for. */
  readonly instruction: Instruction;
  /** Width of the stack pointer in use. */
  readonly stackWidth: Width;

  // Values. Results are truncated to `width`.
  constant(width: Width, value: number): V;
  add(width: Width, x: V, y: V): V;
  sub(width: Width, x: V, y: V): V;
  /** Low half of the product. */
  multiply(width: Width, x: V, y: V): V;
  /** High half of the unsigned product. */
  multiplyHigh(width: Width, x: V, y: V): V;
  /** High half of the signed product. */
  multiplyHighSigned(width: Width, x: V, y: V): V;
  /** high:low / divisor, unsigned; #DE when the quotient does not fit or the divisor is 0. */
  divide(width: Width, high: V, low: V, divisor: V): Division<V>;
  /** high:low / divisor, signed, rounding toward zero; #DE likewise. */
  divideSigned(width: Width, high: V, low: V, divisor: V): Division<V>;
  and(x: V, y: V): V;
  or(x: V, y: V): V;
  xor(x: V, y: V): V;
  not(width: Width, x: V): V;
  /** Shifts: a count of `width` or more gives 0, or copies of the sign for `shiftRightSigned`. */
  shiftLeft(width: Width, x: V, count: V): V;
  shiftRight(x: V, count: V): V;
  shiftRightSigned(width: Width, x: V, count: V): V;
  signExtend(from: Width, to: Width, x: V): V;
  truncate(width: Width, x: V): V;
  /** Number of the lowest set bit; any value if `x` is 0. */
  lowestBit(x: V): V;
  /** Number of the highest set bit; any value if `x` is 0. */
  highestBit(x: V): V;
  /** Number of bits that are 1. */
  countOnes(x: V): V;
  select(condition: B, whenTrue: V, whenFalse: V): V;
  /** 1 or 0. */
  fromCondition(condition: B): V;

  // Truth values
  isZero(x: V): B;
  equal(x: V, y: V): B;
  lessUnsigned(x: V, y: V): B;
  /** Bit number `index` of `x`. */
  bit(x: V, index: number): B;
  negate(x: B): B;
  both(x: B, y: B): B;
  either(x: B, y: B): B;
  differ(x: B, y: B): B;

  // Flags
  flag(name: Flag): B;
  setFlag(name: Flag, value: B): void;
  /** All six status flags of sum = x + y (+ carry). */
  flagsOfAdd(width: Width, x: V, y: V, sum: V): void;
  /** All six status flags of difference = x - y (- borrow). */
  flagsOfSub(width: Width, x: V, y: V, difference: V): void;
  /** ZF, SF and PF of a result; CF, OF and AF cleared. */
  flagsOfLogic(width: Width, result: V): void;
  /** A condition code as the low four bits of Jcc, SETcc and CMOVcc number it. */
  condition(code: number): B;

  // Operands and registers
  read(operand: Operand): V;
  /** Read what will be written back: a memory fault reports a write. */
  modify(operand: Operand): V;
  write(operand: Operand, value: V): void;
  /** The effective address (offset in its segment) of a memory operand. */
  address(operand: Operand): V;
  /**
   * #GP(0) unless the linear address of a memory operand is a multiple of `bytes`. With a `span`,
   * look first whether that many bytes lie in the segment, or the address is canonical.
   */
  align(operand: Operand, bytes: number, span?: number): void;
  /** A general-purpose register by number. */
  register(width: Width, number: number): V;
  setRegister(width: Width, number: number, value: V): void;

  // XMM registers, lane by lane, of 32 or 64 bits; and what is computed in lanes
  xmm(width: 32 | 64, number: number, lane: number): V;
  setXmm(width: 32 | 64, number: number, lane: number, value: V): void;
  /** A packed function of both 32-bit halves. */
  lanes(name: LaneFunction, x: V, y: V): V;
  /**
   * A floating-point result as it is with all exceptions masked. What it signals is collected, and
   * has to be settled before anything is written. `int32ToDouble` is always exact.
   */
  float(name: FloatFunction, x: V, y: V): V;
  /** Put what was signalled into MXCSR; #XM if it is not masked (#UD if CR4.OSXMMEXCPT is 0). */
  settleFloats(): void;

  // Memory at an offset in a segment (numbers of `Segment`)
  load(width: Width, segment: number, offset: V): V;
  loadForWrite(width: Width, segment: number, offset: V): V;
  store(width: Width, segment: number, offset: V, value: V): void;
  /** Load 128 bits in one access. */
  loadWide(segment: number, offset: V): Wide<V>;
  /** Store 128 bits: all of them, or none if it faults. */
  storeWide(segment: number, offset: V, low: V, high: V): void;

  // Control
  /** Do one or the other. Values made inside stay inside. */
  when(condition: B, then: () => void, otherwise?: () => void): void;
  /**
   * Address of the instruction that follows in memory. Ask for it, and for operands, before `jump`.
   */
  next(): V;
  /**
   * Continue at `target`, an offset in the code segment, once the instruction is complete: what
   * follows in the meaning still happens. Faults if `target` is not canonical.
   */
  jump(target: V): void;
  /** The instruction is not finished: execute it again (a further iteration of REP). */
  again(): void;
  raise(vector: RaisedVector): void;
  /** Call a system function; its result, or 0 where it has none. */
  call(name: SystemFunction, ...args: V[]): V;
}

/** 128 bits, in halves of 64. */
export interface Wide<V> {
  readonly low: V;
  readonly high: V;
}

export interface Division<V> {
  readonly quotient: V;
  readonly remainder: V;
}

/** The meaning of an instruction, given its operands in the order of the SDM. */
export type Meaning = <V, B>(
  d: Domain<V, B>,
  first: Operand,
  second: Operand,
  third: Operand,
) => void;

/** The operand as memory; for rows whose syntax admits nothing else. */
export function asMemory(operand: Operand): MemoryOperand {
  if (operand.kind !== 'memory') throw new TypeError('row admits a non-memory operand');
  return operand;
}

/** The operand as a far pointer; for rows whose syntax admits nothing else. */
export function asPointer(operand: Operand): PointerOperand {
  if (operand.kind !== 'pointer') throw new TypeError('row admits an operand that is no pointer');
  return operand;
}

// What an instruction reads and writes, found by asking its meaning in a domain that records
// instead of computing. Debuggers show it; the detector of spin loops and the exploration of
// schedules decide by it.

import type Long from 'long';
import type { RaisedVector, SystemFunction } from './domain.ts';
import { Recorder } from './effects-recorder.ts';
import type { Instruction, Operand } from './instruction.ts';
import type { MemoryWidth, Width } from './registers.ts';

/** Bytes of a general-purpose register: bit n of `bytes` is byte n (AL 1, AH 2, AX 3, EAX 15). */
export interface RegisterBytes {
  readonly number: number;
  readonly bytes: number;
}

/** An address by the state before the instruction: the sum, modulo 2 to the power of `width`. */
export interface AddressExpression {
  readonly width: Width;
  readonly terms: readonly { readonly register: number; readonly factor: number }[];
  readonly displacement: Long;
  /** Count from the end of the instruction. */
  readonly ripRelative: boolean;
}

export interface MemoryEffect {
  /** `modify` reads, and then writes in the same place. */
  readonly kind: 'read' | 'write' | 'modify';
  /** Bits; 0 for what a system function does to descriptor tables, task state and stacks. */
  readonly width: MemoryWidth | 0;
  /** Number of the segment register whose base is added; -1 for linear addresses. */
  readonly segment: number;
  readonly address: AddressExpression | 'unknown';
  /** False if the access happens in some cases only. */
  readonly certain: boolean;
}

/**
 * What one execution (one iteration under REP) does. Flags are masks of RFLAGS bits. A register or
 * flag counts as read only if its incoming value makes a difference to what is written, accessed or
 * decided. Not listed: registers of other kinds, which only the system functions in `calls` reach;
 * and the faults that come with privilege, memory and jumps.
 */
export interface Effects {
  readonly registersRead: readonly RegisterBytes[];
  /** Written in every case; 32-bit writes reach all 8 bytes. */
  readonly registersWritten: readonly RegisterBytes[];
  /** Written in some cases only. */
  readonly registersMaybeWritten: readonly RegisterBytes[];
  readonly flagsRead: number;
  readonly flagsWritten: number;
  readonly flagsMaybeWritten: number;
  /** As those of general registers; `bytes` has 16 bits. */
  readonly xmmRead: readonly RegisterBytes[];
  readonly xmmWritten: readonly RegisterBytes[];
  readonly xmmMaybeWritten: readonly RegisterBytes[];
  /** Masks of bits of MXCSR. */
  readonly mxcsrRead: number;
  readonly mxcsrWritten: number;
  readonly mxcsrMaybeWritten: number;
  readonly memory: readonly MemoryEffect[];
  readonly jumps: 'never' | 'sometimes' | 'always';
  /** It may ask to be executed again (REP). */
  readonly repeats: boolean;
  /** Exceptions that the instruction raises by itself. */
  readonly raises: readonly RaisedVector[];
  readonly calls: readonly SystemFunction[];
}

/**
 * What the instruction reads and writes. Depends on nothing but the instruction, and outside 64-bit
 * mode on the width of the stack pointer in use, which is the code size unless said otherwise.
 */
export function effectsOf(
  instruction: Instruction,
  stackWidth: Width = instruction.codeSize,
): Effects {
  const { row, operands } = instruction;
  const recorder = new Recorder(instruction, stackWidth);
  const [first = NO_OPERAND, second = NO_OPERAND, third = NO_OPERAND] = operands;
  row.meaning(recorder, first, second, third);
  return recorder.effects();
}

/** It writes, or may write, XMM registers or MXCSR. */
export function writesVectors(effects: Effects): boolean {
  const { xmmWritten, xmmMaybeWritten, mxcsrWritten, mxcsrMaybeWritten } = effects;
  const flags = mxcsrWritten | mxcsrMaybeWritten;
  return xmmWritten.length + xmmMaybeWritten.length > 0 || flags !== 0;
}

const NO_OPERAND: Operand = { kind: 'relative', displacement: 0 };

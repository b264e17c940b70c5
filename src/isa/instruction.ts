// A decoded instruction and its operands: what the decoder makes, and what meanings, the formatter
// and both engines read. Widths are in bits.

import type Long from 'long';
import type { CodeSize, MemoryWidth, RegisterClass, Width } from './registers.ts';
import type { Row } from './row.ts';

/** A register named by the instruction. */
export interface RegisterOperand {
  readonly kind: 'register';
  readonly class: RegisterClass;
  readonly number: number;
  readonly width: MemoryWidth;
  /** True for AH, CH, DH, BH. */
  readonly high: boolean;
}

/** A location in memory, or only its address (LEA, INVLPG). */
export interface MemoryOperand {
  readonly kind: 'memory';
  /** Bits accessed; 0 where only the address counts. */
  readonly width: MemoryWidth | 0;
  /** Segment in effect, after defaults and overrides. */
  readonly segment: number;
  /** Number of the base register, or -1. */
  readonly base: number;
  /** Number of the index register, or -1. */
  readonly index: number;
  /** Left shift of the index: 0 to 3. */
  readonly scale: number;
  /** Signed displacement; 64 bits wide only for moffs. */
  readonly displacement: Long;
  /** True when the address counts from the end of the instruction. */
  readonly ripRelative: boolean;
  readonly addressWidth: 16 | 32 | 64;
}

/** A number in the instruction, extended to `width`. */
export interface ImmediateOperand {
  readonly kind: 'immediate';
  readonly width: Width;
  readonly value: Long;
}

/** A branch target counted from the end of the instruction. */
export interface RelativeOperand {
  readonly kind: 'relative';
  /** Signed distance in bytes. */
  readonly displacement: number;
}

/** A far pointer in the instruction: `ptr16:16` or `ptr16:32`. */
export interface PointerOperand {
  readonly kind: 'pointer';
  readonly selector: number;
  /** Unsigned. */
  readonly offset: number;
}

export type Operand =
  | RegisterOperand
  | MemoryOperand
  | ImmediateOperand
  | RelativeOperand
  | PointerOperand;

/** The repeat prefix in effect. For MOVS, STOS, LODS, INS and OUTS `repne` acts as `rep`. */
export type Repeat = 'none' | 'rep' | 'repne';

/** One decoded instruction. Its address is not part of it, so that it can be cached by bytes. */
export interface Instruction {
  readonly row: Row;
  /** The code size that it was decoded for. */
  readonly codeSize: CodeSize;
  readonly lengthBytes: number;
  /** Operand size in effect; of near branches in 64-bit mode always 64. */
  readonly width: Width;
  readonly addressWidth: 16 | 32 | 64;
  readonly lock: boolean;
  readonly repeat: Repeat;
  /** Segment override number, or -1. */
  readonly segmentOverride: number;
  readonly operands: readonly Operand[];
}

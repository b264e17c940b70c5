// From an offset in a segment to a linear address, outside 64-bit mode: base, limit, type and
// whether the segment is usable. SDM 3, "Protected-Mode Memory Management" (Logical and Linear
// Addresses) and "Limit Checking", "Type Checking"; in real mode only base and limit count.

import { Segment } from '../isa/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import type { Mode } from './mode.ts';
import { type ProcessorState, Rights, SEGMENT_WORDS } from './state.ts';
import { Access, type AccessKind } from './virtualization.ts';

/** Bits of the type of a code or data segment. */
export const SegmentType = {
  CODE: 8,
  /** Of data segments: expand-down; of code segments: conforming. */
  EXPAND_DOWN: 4,
  CONFORMING: 4,
  /** Of data segments: writable; of code segments: readable. */
  WRITABLE: 2,
  READABLE: 2,
  ACCESSED: 1,
} as const;

const FLAT_LIMIT = 0xffffffff;

/**
 * Whether `lengthBytes` bytes at an offset lie within a segment. An access that wraps around the
 * end of a segment of 4 GiB is let through: the SDM leaves it open.
 * @param rights VMCS layout
 * @param limit in bytes, granularity applied
 */
export function isWithin(
  rights: number,
  limit: number,
  offset: number,
  lengthBytes: number,
): boolean {
  const first = offset >>> 0;
  const last = first + lengthBytes - 1;
  const end = limit >>> 0;
  if ((rights & (SegmentType.CODE | SegmentType.EXPAND_DOWN)) !== SegmentType.EXPAND_DOWN) {
    return last <= end || end === FLAT_LIMIT;
  }
  const top = (rights & Rights.DB) !== 0 ? FLAT_LIMIT : 0xffff;
  return first > end && last <= top;
}

export class Segmentation {
  /** Real mode looks at no types, nor at whether a segment is usable. */
  mode: Mode = 'real';
  private readonly words: Int32Array;

  constructor(state: ProcessorState) {
    this.words = state.words;
  }

  /** The linear address of an access, or the fault that the segment answers with. */
  linear(segment: number, offset: number, lengthBytes: number, access: AccessKind): number {
    const register = SEGMENT_WORDS[segment];
    const rights = this.words[register.rights];
    const limit = this.words[register.limit];
    if (
      (this.mode !== 'real' && !allows(rights, access)) ||
      !isWithin(rights, limit, offset, lengthBytes)
    ) {
      throw new GuestFault(segment === Segment.SS ? Vector.SS : Vector.GP, 0);
    }
    return (this.words[register.base] + offset) | 0;
  }

  /** Base plus offset, for what is not an access. */
  unchecked(segment: number, offset: number): number {
    return (this.words[SEGMENT_WORDS[segment].base] + offset) | 0;
  }

  /** Whether CS reaches as far as an offset. */
  hasCode(offset: number): boolean {
    return offset >>> 0 <= this.words[CODE.limit] >>> 0;
  }

  /** Bytes of code from an offset on, up to the limit of CS if it has one; 0 if it lies beyond. */
  codeBytes(offset: number): number {
    const limit = this.words[CODE.limit] >>> 0;
    if (limit === FLAT_LIMIT) return FLAT_LIMIT;
    return Math.max(0, limit - (offset >>> 0) + 1);
  }
}

const CODE = SEGMENT_WORDS[Segment.CS];

/** Outside real mode: code may be read if its type says so, and never written. */
export function allows(rights: number, access: AccessKind): boolean {
  if ((rights & Rights.UNUSABLE) !== 0) return false;
  const isCode = (rights & SegmentType.CODE) !== 0;
  if (access === Access.WRITE) return !isCode && (rights & SegmentType.WRITABLE) !== 0;
  return !isCode || (rights & SegmentType.READABLE) !== 0;
}

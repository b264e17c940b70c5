// The segments that cases in compatibility mode find: Linux's flat ones, and those that oracle.c
// puts into the local descriptor table, where limits, types and bases matter.

import { type CodeSize, Segment } from '../../src/isa/index.ts';
import { CODE, DATA, DATA_BYTES, PAGE } from './protocol.ts';

/** As a descriptor says it; `rights` in VMCS layout. */
export interface SegmentDescription {
  readonly selector: number;
  readonly base: number;
  /** In bytes. */
  readonly limit: number;
  readonly rights: number;
}

const FLAT_LIMIT = 0xffffffff;
const CODE32 = { selector: 0x23, base: 0, limit: FLAT_LIMIT, rights: 0xc0fb };
const DATA32 = { selector: 0x2b, base: 0, limit: FLAT_LIMIT, rights: 0xc0f3 };
const CODE16 = { selector: 0x07, base: CODE, limit: 2 * PAGE - 1, rights: 0xfb };
const DATA16 = { selector: 0x0f, base: DATA, limit: DATA_BYTES - 1, rights: 0xf3 };
const DOWN = { selector: 0x17, base: DATA, limit: 0x7ff, rights: 0xf7 };
const READ_ONLY = { selector: 0x1f, base: DATA + 8, limit: 0x3ff, rights: 0xf1 };

/** The local descriptor table. */
export const LOCAL_SEGMENTS: readonly SegmentDescription[] = [CODE16, DATA16, DOWN, READ_ONLY];

/** By number of the segment register. */
export const SEGMENTS_BEFORE: Readonly<Record<16 | 32, readonly SegmentDescription[]>> = {
  16: [DATA16, CODE16, DATA16, DATA16, DOWN, READ_ONLY],
  32: [DATA32, CODE32, DATA32, DATA32, DOWN, READ_ONLY],
};

/** Offset of the code in its segment. */
export function codeOffset(codeSize: CodeSize): number {
  return codeSize === 16 ? 0 : CODE;
}

/** Bases by number of the segment register; in 64-bit mode those of FS and GS are the case's own. */
export function basesOf(codeSize: CodeSize, fsBase: number, gsBase: number): readonly number[] {
  if (codeSize === 64) return [0, 0, 0, 0, fsBase, gsBase];
  return SEGMENTS_BEFORE[codeSize].map(({ base }) => base);
}

export const CODE_SELECTORS: Readonly<Record<CodeSize, number>> = {
  16: SEGMENTS_BEFORE[16][Segment.CS].selector,
  32: SEGMENTS_BEFORE[32][Segment.CS].selector,
  64: 0x33,
};

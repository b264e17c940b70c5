// What compiled code takes for granted of the mode and the segments, as a number: code is compiled
// for one footing and runs only on that. In 64-bit mode there is just one. Elsewhere it says how
// wide code and stack are, and of each segment whether it can be read and written and is flat.

import { type CodeSize, Segment, type Width } from '../isa/index.ts';
import { hasParagraphs, type Mode, stackWidthOf } from './mode.ts';
import { allows, SegmentType } from './segmentation.ts';
import { type ProcessorState, SEGMENT_WORDS } from './state.ts';
import { Access } from './virtualization.ts';

/** Of 64-bit mode. */
export const WIDE_FOOTING = 0;

/** Code that is not compiled, for its segment ends at an unusual place. */
export const NO_FOOTING = -1;

const NARROW = 1 << 0;
/** Code of 32 bits rather than 16, and the stack. */
const CODE_32 = 1 << 1;
const STACK_32 = 1 << 2;
/** CS is as long as 4 GiB rather than 64 KiB. */
const LONG_CODE = 1 << 3;

/** Real or virtual-8086 mode. */
const PARAGRAPHS = 1 << 4;

/** Of a segment, from {@link SEGMENT_SHIFT} on for each. */
const READABLE = 1 << 0;
const WRITABLE = 1 << 1;
/** Base 0 and 4 GiB long, so that nothing is to be added or looked at. */
const FLAT = 1 << 2;
const SEGMENT_SHIFT = 5;
const SEGMENT_BITS = 3;
const SEGMENTS = [Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS];

const LONG_LIMIT = 0xffffffff | 0;
const SHORT_LIMIT = 0xffff;

export function footingOf(state: ProcessorState, mode: Mode, codeSize: CodeSize): number {
  if (codeSize === 64) return WIDE_FOOTING;
  const limit = state.words[SEGMENT_WORDS[Segment.CS].limit];
  if (limit !== LONG_LIMIT && limit !== SHORT_LIMIT) return NO_FOOTING;
  let footing = NARROW | (limit === LONG_LIMIT ? LONG_CODE : 0);
  if (hasParagraphs(mode)) footing |= PARAGRAPHS;
  if (codeSize === 32) footing |= CODE_32;
  if (stackWidthOf(state) === 32) footing |= STACK_32;
  for (const number of SEGMENTS) {
    footing |= segmentBits(state, mode, number) << (SEGMENT_SHIFT + SEGMENT_BITS * number);
  }
  return footing;
}

/** Of an expand-down segment nothing is taken for granted, so that it is the interpreter's. */
function segmentBits({ words }: ProcessorState, mode: Mode, number: number): number {
  const register = SEGMENT_WORDS[number];
  const rights = words[register.rights];
  const { CODE, EXPAND_DOWN } = SegmentType;
  if ((rights & (CODE | EXPAND_DOWN)) === EXPAND_DOWN) return 0;
  // The bases of FS and GS are MSRs as well, of whose changes nobody tells.
  const mayBeFlat = number < Segment.FS;
  const isFlat = words[register.base] === 0 && words[register.limit] === LONG_LIMIT;
  let bits = mayBeFlat && isFlat ? FLAT : 0;
  if (mode === 'real' || allows(rights, Access.READ)) bits |= READABLE;
  if (mode === 'real' || allows(rights, Access.WRITE)) bits |= WRITABLE;
  return bits;
}

export function codeSizeOn(footing: number): CodeSize {
  if (footing === WIDE_FOOTING) return 64;
  return (footing & CODE_32) !== 0 ? 32 : 16;
}

export function stackWidthOn(footing: number): Width {
  if (footing === WIDE_FOOTING) return 64;
  return (footing & STACK_32) !== 0 ? 32 : 16;
}

/** Whether selectors are paragraphs. */
export function hasParagraphsOn(footing: number): boolean {
  return (footing & PARAGRAPHS) !== 0;
}

/** The last RIP at which there can be code. */
export function lastAddressOn(footing: number): bigint {
  if (footing === WIDE_FOOTING) return 2n ** 64n - 1n;
  return (footing & LONG_CODE) !== 0 ? 2n ** 32n - 1n : BigInt(SHORT_LIMIT);
}

/** What is known of a segment outside 64-bit mode. */
export interface SegmentFooting {
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  readonly isFlat: boolean;
}

export function segmentOn(footing: number, number: number): SegmentFooting {
  const bits = footing >> (SEGMENT_SHIFT + SEGMENT_BITS * number);
  return {
    isReadable: (bits & READABLE) !== 0,
    isWritable: (bits & WRITABLE) !== 0,
    isFlat: (bits & FLAT) !== 0,
  };
}

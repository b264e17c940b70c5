// The vector instructions of WebAssembly that compiled code uses, and whether the host has them.
// WebAssembly Core Specification, "Vector Instructions".

/** Numbers behind the prefix; those of {@link Op} are smaller. */
const PREFIX = 0x10000;

/** Instructions with more bytes behind them have a number of their own. */
const SPECIAL = 0x20000;

export const Simd = {
  i64x2Splat: PREFIX + 0x12,
  i8x16Eq: PREFIX + 0x23,
  i8x16GtS: PREFIX + 0x27,
  i16x8Eq: PREFIX + 0x2d,
  i16x8GtS: PREFIX + 0x31,
  i32x4Eq: PREFIX + 0x37,
  i32x4GtS: PREFIX + 0x3b,
  i8x16Bitmask: PREFIX + 0x64,
  i8x16NarrowI16x8S: PREFIX + 0x65,
  i8x16NarrowI16x8U: PREFIX + 0x66,
  i8x16Add: PREFIX + 0x6e,
  i8x16AddSatS: PREFIX + 0x6f,
  i8x16AddSatU: PREFIX + 0x70,
  i8x16Sub: PREFIX + 0x71,
  i8x16SubSatS: PREFIX + 0x72,
  i8x16SubSatU: PREFIX + 0x73,
  i8x16MinU: PREFIX + 0x77,
  i8x16MaxU: PREFIX + 0x79,
  i8x16AvgrU: PREFIX + 0x7b,
  i16x8ExtaddPairwiseI8x16U: PREFIX + 0x7d,
  i32x4ExtaddPairwiseI16x8U: PREFIX + 0x7f,
  i16x8NarrowI32x4S: PREFIX + 0x85,
  i16x8NarrowI32x4U: PREFIX + 0x86,
  i16x8Shl: PREFIX + 0x8b,
  i16x8ShrS: PREFIX + 0x8c,
  i16x8ShrU: PREFIX + 0x8d,
  i16x8Add: PREFIX + 0x8e,
  i16x8AddSatS: PREFIX + 0x8f,
  i16x8AddSatU: PREFIX + 0x90,
  i16x8Sub: PREFIX + 0x91,
  i16x8SubSatS: PREFIX + 0x92,
  i16x8SubSatU: PREFIX + 0x93,
  i16x8Mul: PREFIX + 0x95,
  i16x8MinS: PREFIX + 0x96,
  i16x8MaxS: PREFIX + 0x98,
  i16x8AvgrU: PREFIX + 0x9b,
  i32x4Shl: PREFIX + 0xab,
  i32x4ShrS: PREFIX + 0xac,
  i32x4ShrU: PREFIX + 0xad,
  i32x4Add: PREFIX + 0xae,
  i32x4Sub: PREFIX + 0xb1,
  i32x4DotI16x8S: PREFIX + 0xba,
  i32x4ExtmulLowI16x8S: PREFIX + 0xbc,
  i32x4ExtmulLowI16x8U: PREFIX + 0xbe,
  /** Of two vectors whose lower halves count. */
  i64x2ExtractLane0: SPECIAL,
  interleaveWords: SPECIAL + 1,
  interleaveLowBytes: SPECIAL + 2,
  interleaveHighBytes: SPECIAL + 3,
  interleaveLowHalves: SPECIAL + 4,
  interleaveHighHalves: SPECIAL + 5,
} as const;

const EXTRACT = [0x1d, 0];
const SHUFFLE = 0x0d;
const ANY = [0, 0, 0, 0, 0, 0, 0, 0];

/** `i8x16.shuffle`: bytes of the first vector from 0 on, of the second from 16 on. */
const SPECIALS: readonly (readonly number[])[] = [
  EXTRACT,
  [SHUFFLE, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23],
  [SHUFFLE, 0, 16, 1, 17, 4, 20, 5, 21, ...ANY],
  [SHUFFLE, 2, 18, 3, 19, 6, 22, 7, 23, ...ANY],
  [SHUFFLE, 0, 1, 16, 17, 4, 5, 20, 21, ...ANY],
  [SHUFFLE, 2, 3, 18, 19, 6, 7, 22, 23, ...ANY],
];

const SIMD_PREFIX = 0xfd;

/** The bytes of an instruction, of this table or a single byte. */
export function instructionBytes(op: number): readonly number[] {
  if (op < PREFIX) return [op];
  if (op >= SPECIAL) return [SIMD_PREFIX, ...(SPECIALS[op - SPECIAL] ?? [])];
  const number = op - PREFIX;
  return number < 128 ? [SIMD_PREFIX, number] : [SIMD_PREFIX, (number & 127) | 128, number >> 7];
}

/** A module with a function that drops a vector. */
const PROBE = [
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
  ...[10, 9, 1, 7, 0, 0x42, 0, SIMD_PREFIX, 0x12, 0x1a, 0x0b],
];

/** Whether the host has these instructions. */
export const HAS_SIMD = WebAssembly.validate(Uint8Array.from(PROBE));

// Arithmetic bit by bit: CRC32, PDEP, PEXT, and counting ones.

import Long from 'long';

/** 11EDC6F41H (Castagnoli) with its bits reversed, as sums with reversed bits want it. */
const POLYNOMIAL = 0x82f63b78;

/** SDM 2, "CRC32": bits of sum and data are reversed on the way in and out, which cancels here. */
export function crc32(sum: number, data: Long, bits: number): number {
  let rest = sum;
  for (let i = 0; i < bits; i++) {
    const bit = (rest ^ (i < 32 ? data.low >>> i : data.high >>> (i - 32))) & 1;
    rest = (rest >>> 1) ^ (bit === 0 ? 0 : POLYNOMIAL);
  }
  return rest;
}

/** The low bits of the value, in order, at the places where the mask has ones. */
export function depositBits(value: Long, mask: Long): Long {
  let result = Long.UZERO;
  let taken = 0;
  for (let i = 0; i < 64; i++) {
    if (!isSet(mask, i)) continue;
    if (isSet(value, taken)) result = result.or(Long.UONE.shl(i));
    taken++;
  }
  return result;
}

/** The bits of the value where the mask has ones, moved together at the low end. */
export function extractBits(value: Long, mask: Long): Long {
  let result = Long.UZERO;
  let placed = 0;
  for (let i = 0; i < 64; i++) {
    if (!isSet(mask, i)) continue;
    if (isSet(value, i)) result = result.or(Long.UONE.shl(placed));
    placed++;
  }
  return result;
}

function isSet({ low, high }: Long, bit: number): boolean {
  return (((bit < 32 ? low : high) >>> (bit & 31)) & 1) !== 0;
}

/** Bits set in a 32-bit word: summed in pairs, nibbles and bytes. */
export function countOnes(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

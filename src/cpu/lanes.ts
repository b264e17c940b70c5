// What packed integer instructions do within a word of 32 bits. SDM 2, by instruction.

import type { LaneFunction } from '../isa/index.ts';

/** Two words to one. */
export type WordFunction = (x: number, y: number) => number;

type Combine = (x: number, y: number) => number;

const signed8 = (x: number, at: number) => (x << (24 - at)) >> 24;
const unsigned8 = (x: number, at: number) => (x >>> at) & 0xff;
const signed16 = (x: number, at: number) => (x << (16 - at)) >> 16;
const unsigned16 = (x: number, at: number) => (x >>> at) & 0xffff;

/** Four bytes, of which the results are cut to 8 bits. */
function bytes(take: typeof signed8, combine: Combine): WordFunction {
  return (x, y) => {
    let result = 0;
    for (let at = 0; at < 32; at += 8) {
      result |= (combine(take(x, at), take(y, at)) & 0xff) << at;
    }
    return result;
  };
}

/** Two halves, of which the results are cut to 16 bits. */
function halves(take: typeof signed16, combine: Combine): WordFunction {
  return (x, y) => {
    const low = combine(take(x, 0), take(y, 0)) & 0xffff;
    return low | (combine(take(x, 16), take(y, 16)) << 16);
  };
}

const between = (least: number, most: number) => (value: number) =>
  Math.min(Math.max(value, least), most);
const toSigned8 = between(-0x80, 0x7f);
const toSigned16 = between(-0x8000, 0x7fff);
const toUnsigned8 = between(0, 0xff);
const toUnsigned16 = between(0, 0xffff);

const add: Combine = (x, y) => x + y;
const subtract: Combine = (x, y) => x - y;
const average: Combine = (x, y) => (x + y + 1) >> 1;
const equal: Combine = (x, y) => (x === y ? -1 : 0);
const greater: Combine = (x, y) => (x > y ? -1 : 0);
const least: Combine = (x, y) => (x < y ? x : y);
const most: Combine = (x, y) => (x > y ? x : y);
const lowProduct: Combine = (x, y) => Math.imul(x, y);
const highProduct: Combine = (x, y) => Math.imul(x, y) >> 16;

/** Two halves, each shifted by the same number, which the second word is; at most 16. */
const shiftHalves = (take: typeof signed16, shift: Combine): WordFunction => {
  return (x, count) => {
    const low = shift(take(x, 0), count) & 0xffff;
    return low | (shift(take(x, 16), count) << 16);
  };
};

/** By 32 nothing is left, and JavaScript would shift by 0. */
const shiftLeft: Combine = (x, count) => (count > 31 ? 0 : x << count);
const shiftRight: Combine = (x, count) => (count > 31 ? 0 : x >>> count);
const shiftRightSigned: Combine = (x, count) => x >> Math.min(count, 31);

/** Four signed or unsigned halves, those of `x` first, made bytes. */
function packHalves(saturate: (value: number) => number): WordFunction {
  return (x, y) => {
    const [a, b] = [saturate(signed16(x, 0)), saturate(signed16(x, 16))];
    const [c, d] = [saturate(signed16(y, 0)), saturate(signed16(y, 16))];
    return (a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (d << 24);
  };
}

/** The low or high two bytes of both words, in turn. */
const interleaveBytes = (at: number): WordFunction => {
  return (x, y) => {
    const low = unsigned8(x, at) | (unsigned8(y, at) << 8);
    return low | (unsigned8(x, at + 8) << 16) | (unsigned8(y, at + 8) << 24);
  };
};

function sumOfDifferences(x: number, y: number): number {
  let sum = 0;
  for (let at = 0; at < 32; at += 8) sum += Math.abs(unsigned8(x, at) - unsigned8(y, at));
  return sum;
}

export const LANE_FUNCTIONS: Readonly<Record<LaneFunction, WordFunction>> = {
  add8: bytes(unsigned8, add),
  add16: halves(unsigned16, add),
  add32: (x, y) => (x + y) | 0,
  addSigned8: bytes(signed8, (x, y) => toSigned8(x + y)),
  addSigned16: halves(signed16, (x, y) => toSigned16(x + y)),
  addUnsigned8: bytes(unsigned8, (x, y) => toUnsigned8(x + y)),
  addUnsigned16: halves(unsigned16, (x, y) => toUnsigned16(x + y)),
  subtract8: bytes(unsigned8, subtract),
  subtract16: halves(unsigned16, subtract),
  subtract32: (x, y) => (x - y) | 0,
  subtractSigned8: bytes(signed8, (x, y) => toSigned8(x - y)),
  subtractSigned16: halves(signed16, (x, y) => toSigned16(x - y)),
  subtractUnsigned8: bytes(unsigned8, (x, y) => toUnsigned8(x - y)),
  subtractUnsigned16: halves(unsigned16, (x, y) => toUnsigned16(x - y)),
  multiplyLow16: halves(signed16, lowProduct),
  multiplyHigh16: halves(signed16, highProduct),
  multiplyHighUnsigned16: halves(unsigned16, highProduct),
  multiplyAdd16: (x, y) => {
    const low = Math.imul(signed16(x, 0), signed16(y, 0));
    return (low + Math.imul(signed16(x, 16), signed16(y, 16))) | 0;
  },
  average8: bytes(unsigned8, average),
  average16: halves(unsigned16, average),
  equal8: bytes(unsigned8, equal),
  equal16: halves(unsigned16, equal),
  equal32: equal,
  greater8: bytes(signed8, greater),
  greater16: halves(signed16, greater),
  greater32: greater,
  minimumUnsigned8: bytes(unsigned8, least),
  minimumSigned16: halves(signed16, least),
  maximumUnsigned8: bytes(unsigned8, most),
  maximumSigned16: halves(signed16, most),
  sumOfDifferences8: sumOfDifferences,
  shiftLeft16: shiftHalves(unsigned16, shiftLeft),
  shiftLeft32: shiftLeft,
  shiftRight16: shiftHalves(unsigned16, shiftRight),
  shiftRight32: shiftRight,
  shiftRightSigned16: shiftHalves(signed16, shiftRightSigned),
  shiftRightSigned32: shiftRightSigned,
  packSigned8: packHalves(toSigned8),
  packUnsigned8: packHalves(toUnsigned8),
  packSigned16: (x, y) => (toSigned16(x) & 0xffff) | (toSigned16(y) << 16),
  interleaveLow8: interleaveBytes(0),
  interleaveHigh8: interleaveBytes(16),
  interleaveLow16: (x, y) => unsigned16(x, 0) | (y << 16),
  interleaveHigh16: (x, y) => unsigned16(x, 16) | (y & ~0xffff),
  signs8: (x) => ((x >>> 7) & 1) | ((x >>> 14) & 2) | ((x >>> 21) & 4) | ((x >>> 28) & 8),
};

// Packed integers of the compiling domain: the functions on lanes as WebAssembly's vector
// instructions, each on both words of a value at once, in the lower half of a vector.

import type { LaneFunction } from '../../isa/index.ts';
import { Op, Type } from './module.ts';
import {
  and32,
  choose,
  cut,
  extend,
  int,
  long,
  type Node,
  narrow,
  or64,
  plain,
  shl64,
  shr32,
  wrap,
  ZERO,
} from './nodes.ts';
import { Simd } from './simd.ts';

type Emit = (x: Node, y: Node) => Node;

function vector(op: number, ...operands: Node[]): Node {
  return plain(op, Type.V128, ...operands);
}

/** Both halves of a vector are the value; of results, the lower one counts. */
const load = (x: Node) => vector(Simd.i64x2Splat, x);
const low = (x: Node) => plain(Simd.i64x2ExtractLane0, Type.I64, x);

/** One instruction for all lanes. */
const plainly =
  (op: number): Emit =>
  (x, y) =>
    low(vector(op, load(x), load(y)));

/** All four words of both: x's lower, y's lower, x's upper, y's upper. */
const inTurn = (x: Node, y: Node) => vector(Simd.interleaveWords, load(x), load(y));

/** Words of both, made half as wide with saturation. */
const packed =
  (op: number): Emit =>
  (x, y) => {
    const words = inTurn(x, y);
    return low(vector(op, words, words));
  };

/** The upper halves of products of 16 bits; `narrow` keeps what fits, as all of them do. */
const highProducts =
  (multiply: number, shift: number, narrowed: number): Emit =>
  (x, y) => {
    const products = vector(multiply, load(x), load(y));
    const halves = vector(shift, products, int(16));
    return low(vector(narrowed, halves, halves));
  };

/** By the lower word of the second value; WebAssembly takes it modulo the width. */
const shifted =
  (op: number, width: 16 | 32): Emit =>
  (x, count) => {
    const by = cut(32, count);
    const moved = low(vector(op, load(x), wrap(by)));
    return choose(narrow(1, Op.i32LtU, Type.I32, wrap(by), int(width)), moved, ZERO);
  };

const shiftedSigned =
  (op: number, width: 16 | 32): Emit =>
  (x, count) => {
    const by = wrap(cut(32, count));
    const isLess = narrow(1, Op.i32LtU, Type.I32, by, int(width));
    return low(vector(op, load(x), choose(isLess, by, int(width - 1))));
  };

/** Four bits for each word. */
const signs: Emit = (x) => {
  const bits = plain(Simd.i8x16Bitmask, Type.I32, load(x));
  const of = (word: number) => extend(and32(shr32(bits, int(4 * word)), int(15)));
  return or64(of(0), shl64(of(1), long(32n)));
};

const sumOfDifferences: Emit = (x, y) => {
  const [a, b] = [load(x), load(y)];
  const most = vector(Simd.i8x16MaxU, a, b);
  const differences = vector(Simd.i8x16Sub, most, vector(Simd.i8x16MinU, a, b));
  const pairs = vector(Simd.i16x8ExtaddPairwiseI8x16U, differences);
  return low(vector(Simd.i32x4ExtaddPairwiseI16x8U, pairs));
};

export const LANE_EMISSION: Readonly<Record<LaneFunction, Emit>> = {
  add8: plainly(Simd.i8x16Add),
  add16: plainly(Simd.i16x8Add),
  add32: plainly(Simd.i32x4Add),
  addSigned8: plainly(Simd.i8x16AddSatS),
  addSigned16: plainly(Simd.i16x8AddSatS),
  addUnsigned8: plainly(Simd.i8x16AddSatU),
  addUnsigned16: plainly(Simd.i16x8AddSatU),
  average8: plainly(Simd.i8x16AvgrU),
  average16: plainly(Simd.i16x8AvgrU),
  equal8: plainly(Simd.i8x16Eq),
  equal16: plainly(Simd.i16x8Eq),
  equal32: plainly(Simd.i32x4Eq),
  greater8: plainly(Simd.i8x16GtS),
  greater16: plainly(Simd.i16x8GtS),
  greater32: plainly(Simd.i32x4GtS),
  interleaveHigh8: plainly(Simd.interleaveHighBytes),
  interleaveHigh16: plainly(Simd.interleaveHighHalves),
  interleaveLow8: plainly(Simd.interleaveLowBytes),
  interleaveLow16: plainly(Simd.interleaveLowHalves),
  maximumSigned16: plainly(Simd.i16x8MaxS),
  maximumUnsigned8: plainly(Simd.i8x16MaxU),
  minimumSigned16: plainly(Simd.i16x8MinS),
  minimumUnsigned8: plainly(Simd.i8x16MinU),
  multiplyAdd16: plainly(Simd.i32x4DotI16x8S),
  multiplyHigh16: highProducts(Simd.i32x4ExtmulLowI16x8S, Simd.i32x4ShrS, Simd.i16x8NarrowI32x4S),
  multiplyHighUnsigned16: highProducts(
    Simd.i32x4ExtmulLowI16x8U,
    Simd.i32x4ShrU,
    Simd.i16x8NarrowI32x4U,
  ),
  multiplyLow16: plainly(Simd.i16x8Mul),
  packSigned16: packed(Simd.i16x8NarrowI32x4S),
  packSigned8: packed(Simd.i8x16NarrowI16x8S),
  packUnsigned8: packed(Simd.i8x16NarrowI16x8U),
  shiftLeft16: shifted(Simd.i16x8Shl, 16),
  shiftLeft32: shifted(Simd.i32x4Shl, 32),
  shiftRight16: shifted(Simd.i16x8ShrU, 16),
  shiftRight32: shifted(Simd.i32x4ShrU, 32),
  shiftRightSigned16: shiftedSigned(Simd.i16x8ShrS, 16),
  shiftRightSigned32: shiftedSigned(Simd.i32x4ShrS, 32),
  signs8: signs,
  subtract16: plainly(Simd.i16x8Sub),
  subtract32: plainly(Simd.i32x4Sub),
  subtract8: plainly(Simd.i8x16Sub),
  subtractSigned16: plainly(Simd.i16x8SubSatS),
  subtractSigned8: plainly(Simd.i8x16SubSatS),
  subtractUnsigned16: plainly(Simd.i16x8SubSatU),
  subtractUnsigned8: plainly(Simd.i8x16SubSatU),
  sumOfDifferences8: sumOfDifferences,
};

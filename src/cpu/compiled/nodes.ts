// Values of the compiling domain: nodes of a graph of pure WebAssembly operations. What can be
// computed when compiling is, and what nobody uses is never emitted. An i64 stands for an integer
// of up to 64 bits, zero-extended; an i32 for a truth value, or for the low half of an i64.

import { Op, Type, type ValueType } from './module.ts';

/** Operations that are not a WebAssembly instruction; numbers beyond those. */
export const Pseudo = {
  /** A number. */
  CONSTANT: 256,
  /** What a local of the region holds at the start of the block: `local` says which. */
  LOCAL: 257,
  /** What an effect leaves behind: a load, or one of the arms of an `if`. */
  RESULT: 258,
  /** The status flags of a flag record: op, x, y, r, c as five operands. */
  STATUS: 259,
  /** One of two values by a condition, computing only that: condition, then, otherwise. */
  EITHER: 260,
  /** A part of the flag record in memory: `local` is the slot that would hold it. */
  SAVED: 261,
  /** Something that follows from the flags at the start of the block: `local` says what. */
  INCOMING: 262,
} as const;

export class Node {
  readonly op: number;
  readonly type: ValueType;
  readonly operands: readonly Node[];
  readonly value: bigint;
  /** Bits that may be 1, counted from the lowest. */
  readonly bits: number;
  /** Of a local of the region its number in {@link Slot}. */
  local = -1;

  constructor(
    op: number,
    type: ValueType,
    operands: readonly Node[],
    bits: number,
    value: bigint = 0n,
  ) {
    this.op = op;
    this.type = type;
    this.operands = operands;
    this.bits = bits;
    this.value = value;
  }

  get isConstant(): boolean {
    return this.op === Pseudo.CONSTANT;
  }
}

const NONE: readonly Node[] = [];

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

/** An i64. */
export function long(value: bigint): Node {
  const kept = BigInt.asUintN(64, value);
  return new Node(Pseudo.CONSTANT, Type.I64, NONE, bitLength(kept), kept);
}

/** An i32. */
export function int(value: number): Node {
  const kept = BigInt(value >>> 0);
  return new Node(Pseudo.CONSTANT, Type.I32, NONE, bitLength(kept), kept);
}

export const ZERO = long(0n);
export const FALSE = int(0);
export const TRUE = int(1);

/** A value that an effect leaves. */
export function result(type: ValueType, bits: number): Node {
  return new Node(Pseudo.RESULT, type, NONE, bits);
}

function node(op: number, type: ValueType, operands: readonly Node[], bits: number): Node {
  return new Node(op, type, operands, bits);
}

/** The low 32 bits of an i64. */
export function wrap(x: Node): Node {
  if (x.isConstant) return int(Number(x.value & 0xffffffffn));
  if (x.op === Op.i64ExtendI32U) return x.operands[0];
  return node(Op.i32WrapI64, Type.I32, [x], Math.min(x.bits, 32));
}

/** An i32 as an i64. */
export function extend(x: Node): Node {
  if (x.isConstant) return long(x.value);
  return node(Op.i64ExtendI32U, Type.I64, [x], x.bits);
}

/** An i64 of at most `width` bits. */
export function cut(width: number, x: Node): Node {
  if (x.bits <= width) return x;
  if (x.isConstant) return long(BigInt.asUintN(width, x.value));
  if (width === 32) return extend(wrap(x));
  if (width < 32) return extend(and32(wrap(x), int(2 ** width - 1)));
  return x;
}

type Fold = (x: bigint, y: bigint) => bigint;

function fold32(of: Fold, x: Node, y: Node): Node | null {
  if (!x.isConstant || !y.isConstant) return null;
  return int(Number(BigInt.asUintN(32, of(x.value, y.value))));
}

function fold64(of: Fold, x: Node, y: Node): Node | null {
  return x.isConstant && y.isConstant ? long(of(x.value, y.value)) : null;
}

const SUM: Fold = (x, y) => x + y;
const DIFFERENCE: Fold = (x, y) => x - y;
const PRODUCT: Fold = (x, y) => x * y;
const AND: Fold = (x, y) => x & y;
const OR: Fold = (x, y) => x | y;
const XOR: Fold = (x, y) => x ^ y;

export function add64(x: Node, y: Node): Node {
  const folded = fold64(SUM, x, y);
  if (folded !== null) return folded;
  if (x.isConstant) return add64(y, x);
  if (y.isConstant) {
    if (y.value === 0n) return x;
    if (x.op === Op.i64Add && x.operands[1].isConstant) {
      return add64(x.operands[0], long(x.operands[1].value + y.value));
    }
  }
  return node(Op.i64Add, Type.I64, [x, y], 64);
}

export function sub64(x: Node, y: Node): Node {
  const folded = fold64(DIFFERENCE, x, y);
  if (folded !== null) return folded;
  if (y.isConstant) return add64(x, long(-y.value));
  return node(Op.i64Sub, Type.I64, [x, y], 64);
}

export function mul64(x: Node, y: Node): Node {
  return fold64(PRODUCT, x, y) ?? node(Op.i64Mul, Type.I64, [x, y], Math.min(64, x.bits + y.bits));
}

export function add32(x: Node, y: Node): Node {
  const folded = fold32(SUM, x, y);
  if (folded !== null) return folded;
  if (y.isConstant && y.value === 0n) return x;
  return node(Op.i32Add, Type.I32, [x, y], Math.min(32, Math.max(x.bits, y.bits) + 1));
}

export function sub32(x: Node, y: Node): Node {
  return fold32(DIFFERENCE, x, y) ?? node(Op.i32Sub, Type.I32, [x, y], 32);
}

export function mul32(x: Node, y: Node): Node {
  return fold32(PRODUCT, x, y) ?? node(Op.i32Mul, Type.I32, [x, y], Math.min(32, x.bits + y.bits));
}

export function and32(x: Node, y: Node): Node {
  const folded = fold32(AND, x, y);
  if (folded !== null) return folded;
  if (x.isConstant) return and32(y, x);
  if (y.isConstant) {
    if (y.value === 0n) return FALSE;
    const ones = BigInt.asUintN(x.bits, -1n);
    if ((y.value & ones) === ones) return x;
  }
  return node(Op.i32And, Type.I32, [x, y], Math.min(x.bits, y.bits));
}

export function or32(x: Node, y: Node): Node {
  const folded = fold32(OR, x, y);
  if (folded !== null) return folded;
  if (x.isConstant) return or32(y, x);
  if (y.isConstant && y.value === 0n) return x;
  return node(Op.i32Or, Type.I32, [x, y], Math.max(x.bits, y.bits));
}

export function xor32(x: Node, y: Node): Node {
  const folded = fold32(XOR, x, y);
  if (folded !== null) return folded;
  if (x === y) return FALSE;
  return node(Op.i32Xor, Type.I32, [x, y], Math.max(x.bits, y.bits));
}

/** The bitwise operations on i64, by 32 bits where these are all. */
export function and64(x: Node, y: Node): Node {
  const folded = fold64(AND, x, y);
  if (folded !== null) return folded;
  if (Math.min(x.bits, y.bits) <= 32) return extend(and32(wrap(x), wrap(y)));
  return node(Op.i64And, Type.I64, [x, y], Math.min(x.bits, y.bits));
}

export function or64(x: Node, y: Node): Node {
  const folded = fold64(OR, x, y);
  if (folded !== null) return folded;
  if (y.isConstant && y.value === 0n) return x;
  if (x.isConstant && x.value === 0n) return y;
  if (Math.max(x.bits, y.bits) <= 32) return extend(or32(wrap(x), wrap(y)));
  return node(Op.i64Or, Type.I64, [x, y], Math.max(x.bits, y.bits));
}

export function xor64(x: Node, y: Node): Node {
  const folded = fold64(XOR, x, y);
  if (folded !== null) return folded;
  if (x === y) return ZERO;
  if (Math.max(x.bits, y.bits) <= 32) return extend(xor32(wrap(x), wrap(y)));
  return node(Op.i64Xor, Type.I64, [x, y], Math.max(x.bits, y.bits));
}

/** Any operation on i64 or i32 that is neither folded nor simplified. */
export function plain(op: number, type: ValueType, ...operands: readonly Node[]): Node {
  return new Node(op, type, operands, type === Type.I32 ? 32 : 64);
}

/** An operation with a result of so many bits. */
export function narrow(bits: number, op: number, type: ValueType, ...operands: Node[]): Node {
  return new Node(op, type, operands, bits);
}

/** Shifts of i32 by a count below 32. */
export function shl32(x: Node, count: Node): Node {
  if (count.isConstant) {
    if (count.value === 0n) return x;
    const bits = Math.min(32, x.bits + Number(count.value));
    if (x.isConstant) return int(Number(BigInt.asUintN(32, x.value << count.value)));
    return node(Op.i32Shl, Type.I32, [x, count], bits);
  }
  return node(Op.i32Shl, Type.I32, [x, count], 32);
}

export function shr32(x: Node, count: Node): Node {
  if (count.isConstant) {
    if (count.value === 0n) return x;
    if (x.isConstant) return int(Number(x.value >> count.value));
    const bits = x.bits - Number(count.value);
    return bits <= 0 ? FALSE : node(Op.i32ShrU, Type.I32, [x, count], bits);
  }
  return node(Op.i32ShrU, Type.I32, [x, count], x.bits);
}

/** Shifts of i64 by a count below 64. */
export function shl64(x: Node, count: Node): Node {
  if (count.isConstant) {
    if (count.value === 0n) return x;
    if (x.isConstant) return long(x.value << count.value);
    return node(Op.i64Shl, Type.I64, [x, count], Math.min(64, x.bits + Number(count.value)));
  }
  return node(Op.i64Shl, Type.I64, [x, count], 64);
}

export function shr64(x: Node, count: Node): Node {
  if (count.isConstant) {
    if (count.value === 0n) return x;
    if (x.isConstant) return long(x.value >> count.value);
    const bits = x.bits - Number(count.value);
    return bits <= 0 ? ZERO : node(Op.i64ShrU, Type.I64, [x, count], bits);
  }
  return node(Op.i64ShrU, Type.I64, [x, count], x.bits);
}

export function choose(condition: Node, whenTrue: Node, whenFalse: Node): Node {
  if (condition.isConstant) return condition.value !== 0n ? whenTrue : whenFalse;
  if (whenTrue === whenFalse) return whenTrue;
  const { type } = whenTrue;
  if (whenTrue.isConstant && whenFalse.isConstant && whenTrue.value === whenFalse.value) {
    return whenTrue;
  }
  if (type === Type.I64 && whenTrue.bits <= 32 && whenFalse.bits <= 32 && condition.bits === 1) {
    if (whenTrue.isConstant && whenFalse.isConstant) {
      if (whenTrue.value === 1n && whenFalse.value === 0n) return extend(condition);
    } else return extend(choose(condition, wrap(whenTrue), wrap(whenFalse)));
  }
  const bits = Math.max(whenTrue.bits, whenFalse.bits);
  return node(Op.select, type, [whenTrue, whenFalse, condition], bits);
}

/** As {@link choose}, where what is not chosen shall not be computed. */
export function either(condition: Node, whenTrue: Node, whenFalse: Node): Node {
  if (condition.isConstant) return condition.value !== 0n ? whenTrue : whenFalse;
  if (whenTrue === whenFalse) return whenTrue;
  const bits = Math.max(whenTrue.bits, whenFalse.bits);
  return node(Pseudo.EITHER, whenTrue.type, [condition, whenTrue, whenFalse], bits);
}

/** An i64 sum or difference of so many bits. */
export function sum(width: number, x: Node, y: Node): Node {
  return width === 64 ? add64(x, y) : cut(width, extend(add32(wrap(x), wrap(y))));
}

export function difference(width: number, x: Node, y: Node): Node {
  return width === 64 ? sub64(x, y) : cut(width, extend(sub32(wrap(x), wrap(y))));
}

// Truth values

type Compare = (x: bigint, y: bigint) => boolean;

/** A comparison of i64 as unsigned numbers or for equality, by 32 bits where these are all. */
function compare(op64: number, op32: number, of: Compare, x: Node, y: Node): Node {
  if (x.isConstant && y.isConstant) return of(x.value, y.value) ? TRUE : FALSE;
  if (x.bits <= 32 && y.bits <= 32) return node(op32, Type.I32, [wrap(x), wrap(y)], 1);
  return node(op64, Type.I32, [x, y], 1);
}

export function equal(x: Node, y: Node): Node {
  if (y.isConstant && y.value === 0n) return isZero(x);
  return compare(Op.i64Eq, Op.i32Eq, (a, b) => a === b, x, y);
}

export function lessUnsigned(x: Node, y: Node): Node {
  return compare(Op.i64LtU, Op.i32LtU, (a, b) => a < b, x, y);
}

export function lessOrEqualUnsigned(x: Node, y: Node): Node {
  return compare(Op.i64LeU, Op.i32LeU, (a, b) => a <= b, x, y);
}

export function isZero(x: Node): Node {
  if (x.isConstant) return x.value === 0n ? TRUE : FALSE;
  if (x.bits <= 32) return not(wrap(x));
  return node(Op.i64Eqz, Type.I32, [x], 1);
}

const OPPOSITES: ReadonlyMap<number, number> = new Map(
  (
    [
      [Op.i32Eq, Op.i32Ne],
      [Op.i32LtS, Op.i32GeS],
      [Op.i32LtU, Op.i32GeU],
      [Op.i32GtS, Op.i32LeS],
      [Op.i32GtU, Op.i32LeU],
      [Op.i64Eq, Op.i64Ne],
      [Op.i64LtS, Op.i64GeS],
      [Op.i64LtU, Op.i64GeU],
      [Op.i64GtS, Op.i64LeS],
      [Op.i64GtU, Op.i64LeU],
    ] as const
  ).flatMap(([one, other]) => [
    [one, other],
    [other, one],
  ]),
);

/** 1 if an i32 is 0, else 0. */
export function not(x: Node): Node {
  if (x.isConstant) return x.value === 0n ? TRUE : FALSE;
  const opposite = OPPOSITES.get(x.op);
  if (opposite !== undefined) return node(opposite, Type.I32, x.operands, 1);
  if (x.op === Op.i32Eqz && x.operands[0].bits === 1) return x.operands[0];
  return node(Op.i32Eqz, Type.I32, [x], 1);
}

/** Bit number `index` of an i64, as a truth value. */
export function bit(x: Node, index: number): Node {
  if (index >= x.bits) return FALSE;
  if (index < 32) return and32(shr32(wrap(x), int(index)), TRUE);
  return and32(wrap(shr64(x, long(BigInt(index)))), TRUE);
}

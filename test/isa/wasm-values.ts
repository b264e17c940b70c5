// Values of the compiling domain, and the arithmetic that takes more than one instruction of
// WebAssembly: high halves of products, and quotients.

import type Long from 'long';
import type { Division, Domain, Width } from '../../src/isa/index.ts';
import { Op } from '../support/wasm-module.ts';

/** An i64, always zero-extended: known when compiling, or in a local that is set once. */
export type V =
  | { readonly kind: 'constant'; readonly value: bigint }
  | { readonly kind: 'local'; readonly local: number };

/** An i32 of 0 or 1. */
export type B =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'local'; readonly local: number };

/** The part of the domain that arithmetic is built from. */
export interface Arithmetic extends Pick<Domain<V, B>, 'signExtend' | 'truncate' | 'isZero'> {
  /** One instruction with two operands; the result is cut to `width`. */
  binary(width: Width, op: number, x: V, y: V): V;
  compared(op: number, x: V, y: V): B;
  both(x: B, y: B): B;
  negate(x: B): B;
  /** Leave the instruction to the interpreter. */
  giveUpIf(condition: B): void;
}

export function mask(width: Width): bigint {
  return (1n << BigInt(width)) - 1n;
}

export function constant(width: Width, value: bigint): V {
  return { kind: 'constant', value: value & mask(width) };
}

export function toBigInt(value: Long): bigint {
  return BigInt(value.toUnsigned().toString());
}

const THIRTY_TWO = constant(8, 32n);
const SIGN_COUNT = constant(8, 63n);

export function highProduct(d: Arithmetic, width: Width, x: V, y: V): V {
  if (width === 64) return highProduct64(d, x, y);
  return d.binary(width, Op.i64ShrU, d.binary(64, Op.i64Mul, x, y), constant(8, BigInt(width)));
}

export function highProductSigned(d: Arithmetic, width: Width, x: V, y: V): V {
  if (width !== 64) {
    const [a, b] = [d.signExtend(width, 64, x), d.signExtend(width, 64, y)];
    const product = d.binary(64, Op.i64Mul, a, b);
    return d.binary(width, Op.i64ShrS, product, constant(8, BigInt(width)));
  }
  // The unsigned half counts a negative factor 2^64 too high, so the other one 2^64 times too
  // often.
  const signOf = (of: V) => d.binary(64, Op.i64ShrS, of, SIGN_COUNT);
  const excessX = d.binary(64, Op.i64And, signOf(x), y);
  const excessY = d.binary(64, Op.i64And, signOf(y), x);
  const excess = d.binary(64, Op.i64Add, excessX, excessY);
  return d.binary(64, Op.i64Sub, highProduct64(d, x, y), excess);
}

/** From four products of 32 bits each. */
function highProduct64(d: Arithmetic, x: V, y: V): V {
  const low = (of: V) => d.binary(32, Op.i64Or, of, constant(8, 0n));
  const high = (of: V) => d.binary(64, Op.i64ShrU, of, THIRTY_TWO);
  const times = (a: V, b: V) => d.binary(64, Op.i64Mul, a, b);
  const plus = (a: V, b: V) => d.binary(64, Op.i64Add, a, b);
  const [xl, xh, yl, yh] = [low(x), high(x), low(y), high(y)];
  const middle = plus(times(xh, yl), high(times(xl, yl)));
  const cross = plus(times(xl, yh), low(middle));
  return plus(plus(times(xh, yh), high(middle)), high(cross));
}

/** Leaves #DE, and dividends that need more than 64 bits, to the interpreter. */
export function quotient(d: Arithmetic, width: Width, high: V, low: V, divisor: V): Division<V> {
  if (width === 64) {
    d.giveUpIf(d.negate(d.isZero(high)));
    d.giveUpIf(d.isZero(divisor));
  } else d.giveUpIf(d.compared(Op.i64GeU, high, divisor));
  const dividend = width === 64 ? low : joined(d, width, high, low);
  return {
    quotient: d.binary(width, Op.i64DivU, dividend, divisor),
    remainder: d.binary(width, Op.i64RemU, dividend, divisor),
  };
}

export function quotientSigned(
  d: Arithmetic,
  width: Width,
  high: V,
  low: V,
  divisor: V,
): Division<V> {
  const by = d.signExtend(width, 64, divisor);
  let dividend = low;
  if (width === 64) {
    d.giveUpIf(d.compared(Op.i64Ne, high, d.binary(64, Op.i64ShrS, low, SIGN_COUNT)));
  } else dividend = d.signExtend(DOUBLE[width], 64, joined(d, width, high, low));
  // WebAssembly traps on these two.
  const lowest = d.compared(Op.i64Eq, dividend, constant(64, 1n << 63n));
  d.giveUpIf(d.both(lowest, d.compared(Op.i64Eq, by, constant(64, -1n))));
  d.giveUpIf(d.isZero(by));
  const whole = d.binary(64, Op.i64DivS, dividend, by);
  d.giveUpIf(d.compared(Op.i64Ne, whole, d.signExtend(width, 64, d.truncate(width, whole))));
  return {
    quotient: d.truncate(width, whole),
    remainder: d.binary(width, Op.i64RemS, dividend, by),
  };
}

const DOUBLE = { 8: 16, 16: 32, 32: 64 } as const;

function joined(d: Arithmetic, width: Width, high: V, low: V): V {
  const shifted = d.binary(64, Op.i64Shl, high, constant(8, BigInt(width)));
  return d.binary(64, Op.i64Or, shifted, low);
}

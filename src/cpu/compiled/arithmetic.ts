// Arithmetic that takes more than one instruction of WebAssembly: high halves of products, and
// quotients.

import type { Division, Width } from '../../isa/index.ts';
import { Op, Type } from './module.ts';
import {
  add64,
  and32,
  and64,
  cut,
  extend,
  isZero,
  lessUnsigned,
  long,
  mul64,
  type Node,
  narrow,
  not,
  or64,
  plain,
  shl64,
  shr64,
  sub64,
  wrap,
} from './nodes.ts';

/** Leave the instruction to the interpreter if a condition holds. */
export type GiveUpIf = (condition: Node) => void;

export function signExtend(from: Width, to: Width, x: Node): Node {
  if (from === 64) return cut(to, x);
  if (x.isConstant) return cut(to, long(BigInt.asIntN(from, x.value)));
  const ops64 = { 8: Op.i64Extend8S, 16: Op.i64Extend16S, 32: Op.i64Extend32S };
  if (to === 64) return plain(ops64[from], Type.I64, x);
  if (from === 32) return cut(to, x);
  const op = from === 8 ? Op.i32Extend8S : Op.i32Extend16S;
  return cut(to, extend(plain(op, Type.I32, wrap(x))));
}

export function highProduct(width: Width, x: Node, y: Node): Node {
  return width === 64 ? highProduct64(x, y) : shr64(mul64(x, y), long(BigInt(width)));
}

export function highProductSigned(width: Width, x: Node, y: Node): Node {
  if (width !== 64) {
    const product = mul64(signExtend(width, 64, x), signExtend(width, 64, y));
    return cut(width, plain(Op.i64ShrS, Type.I64, product, long(BigInt(width))));
  }
  // The unsigned half counts a negative factor 2^64 too high, so the other one 2^64 times too
  // often.
  const signOf = (of: Node) => plain(Op.i64ShrS, Type.I64, of, long(63n));
  const excess = add64(and64(signOf(x), y), and64(signOf(y), x));
  return sub64(highProduct64(x, y), excess);
}

/** From four products of 32 bits each. */
function highProduct64(x: Node, y: Node): Node {
  const high = (of: Node) => shr64(of, long(32n));
  const [xl, xh, yl, yh] = [cut(32, x), high(x), cut(32, y), high(y)];
  const middle = add64(mul64(xh, yl), high(mul64(xl, yl)));
  const cross = add64(mul64(xl, yh), cut(32, middle));
  return add64(add64(mul64(xh, yh), high(middle)), high(cross));
}

function joined(width: Width, high: Node, low: Node): Node {
  return or64(shl64(high, long(BigInt(width))), low);
}

/** Leaves #DE, and dividends that need more than 64 bits, to the interpreter. */
export function quotient(
  width: Width,
  [high, low, divisor]: readonly [Node, Node, Node],
  giveUpIf: GiveUpIf,
): Division<Node> {
  if (width === 64) {
    giveUpIf(not(isZero(high)));
    giveUpIf(isZero(divisor));
  } else giveUpIf(not(lessUnsigned(high, divisor)));
  const dividend = width === 64 ? low : joined(width, high, low);
  return {
    quotient: narrow(width, Op.i64DivU, Type.I64, dividend, divisor),
    remainder: narrow(width, Op.i64RemU, Type.I64, dividend, divisor),
  };
}

const DOUBLE = { 8: 16, 16: 32, 32: 64 } as const;

export function quotientSigned(
  width: Width,
  [high, low, divisor]: readonly [Node, Node, Node],
  giveUpIf: GiveUpIf,
): Division<Node> {
  const by = signExtend(width, 64, divisor);
  let dividend = low;
  if (width === 64) {
    const sign = plain(Op.i64ShrS, Type.I64, low, long(63n));
    giveUpIf(narrow(1, Op.i64Ne, Type.I32, high, sign));
  } else dividend = signExtend(DOUBLE[width], 64, joined(width, high, low));
  // WebAssembly traps on these two.
  const isLowest = narrow(1, Op.i64Eq, Type.I32, dividend, long(1n << 63n));
  giveUpIf(and32(isLowest, narrow(1, Op.i64Eq, Type.I32, by, long(-1n))));
  giveUpIf(isZero(by));
  const whole = plain(Op.i64DivS, Type.I64, dividend, by);
  const kept = cut(width, whole);
  if (width !== 64) {
    giveUpIf(narrow(1, Op.i64Ne, Type.I32, whole, signExtend(width, 64, kept)));
  }
  const rest = plain(Op.i64RemS, Type.I64, dividend, by);
  return { quotient: kept, remainder: cut(width, rest) };
}

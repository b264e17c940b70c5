// Floating-point operations of the compiling domain. Ordinary numbers, rounded to nearest, are
// computed by WebAssembly's own arithmetic, which is that of IEEE 754. Whatever could signal more
// than inexactness, or inexactness for the first time, is left to the interpreter; so what is left
// here changes nothing in MXCSR.

import { type FloatFunction, type Precision, Relation } from '../../isa/index.ts';
import { signExtend } from './arithmetic.ts';
import { Op, Type } from './module.ts';
import {
  add64,
  and32,
  and64,
  choose,
  cut,
  extend,
  isZero,
  lessUnsigned,
  long,
  type Node,
  narrow,
  not,
  or32,
  or64,
  plain,
  sub64,
  wrap,
  xor64,
} from './nodes.ts';

/** Ways to leave an instruction to the interpreter. */
export interface FloatGuards {
  giveUpIf(condition: Node): void;
  /** The same, unless inexactness has been signalled before. */
  giveUpIfFirst(isInexact: Node): void;
}

/** A format with its operations. Numbers are bits in an i64, of singles the lower half. */
interface Format {
  readonly type: typeof Type.F32 | typeof Type.F64;
  readonly sign: bigint;
  readonly leastNormal: bigint;
  readonly infinity: bigint;
  /** What is not smaller, and smaller than the next, can signal nothing but inexactness. */
  readonly leastSafe: bigint;
  readonly endOfSafe: bigint;
  readonly add: number;
  readonly sub: number;
  readonly mul: number;
  readonly div: number;
  readonly sqrt: number;
  readonly lt: number;
  readonly eq: number;
  readonly ne: number;
  readonly convert: number;
  fromBits(x: Node): Node;
  toBits(x: Node): Node;
  /** As a double. */
  promoted(x: Node): Node;
}

const FORMATS: Readonly<Record<Precision, Format>> = {
  Double: {
    type: Type.F64,
    sign: 1n << 63n,
    leastNormal: 1n << 52n,
    infinity: 0x7ffn << 52n,
    leastSafe: 2n << 52n,
    endOfSafe: 0x7fdn << 52n,
    ...{ add: Op.f64Add, sub: Op.f64Sub, mul: Op.f64Mul, div: Op.f64Div, sqrt: Op.f64Sqrt },
    ...{ lt: Op.f64Lt, eq: Op.f64Eq, ne: Op.f64Ne, convert: Op.f64ConvertI64S },
    fromBits: (x) => plain(Op.f64ReinterpretI64, Type.F64, x),
    toBits: (x) => plain(Op.i64ReinterpretF64, Type.I64, x),
    promoted: (x) => x,
  },
  Single: {
    type: Type.F32,
    sign: 1n << 31n,
    leastNormal: 1n << 23n,
    infinity: 0xffn << 23n,
    leastSafe: 2n << 23n,
    endOfSafe: 0xfen << 23n,
    ...{ add: Op.f32Add, sub: Op.f32Sub, mul: Op.f32Mul, div: Op.f32Div, sqrt: Op.f32Sqrt },
    ...{ lt: Op.f32Lt, eq: Op.f32Eq, ne: Op.f32Ne, convert: Op.f32ConvertI64S },
    fromBits: (x) => plain(Op.f32ReinterpretI32, Type.F32, wrap(x)),
    toBits: (x) => extend(plain(Op.i32ReinterpretF32, Type.I32, x)),
    promoted: (x) => plain(Op.f64PromoteF32, Type.F64, x),
  },
};

const { Double, Single } = FORMATS;

type Emit = (guards: FloatGuards, x: Node, y: Node) => Node;

const is = (op: number, x: Node, y: Node) => narrow(1, op, Type.I32, x, y);

function magnitude({ sign }: Format, x: Node): Node {
  return and64(x, long(sign - 1n));
}

function isBetween(x: Node, least: bigint, end: bigint): Node {
  return lessUnsigned(sub64(x, long(least)), long(end - least));
}

/** Zero, or neither denormal, infinite nor NaN. */
function isOrdinary(format: Format, x: Node): Node {
  const size = magnitude(format, x);
  return or32(isZero(size), isBetween(size, format.leastNormal, format.infinity));
}

function isSafe(format: Format, x: Node): Node {
  return isBetween(magnitude(format, x), format.leastSafe, format.endOfSafe);
}

function takeOrdinary({ giveUpIf }: FloatGuards, format: Format, ...numbers: Node[]): Node[] {
  for (const x of new Set(numbers)) giveUpIf(not(isOrdinary(format, x)));
  return numbers.map((x) => format.fromBits(x));
}

/** 2Sum: Donald E. Knuth, "The Art of Computer Programming", volume 2, 4.2.2, theorem B. */
function errorOfSum({ type, add, sub }: Format, x: Node, y: Node, sum: Node): Node {
  const ofY = plain(sub, type, sum, x);
  const ofX = plain(sub, type, sum, ofY);
  return plain(add, type, plain(sub, type, x, ofX), plain(sub, type, y, ofY));
}

function sum(format: Format, isDifference: boolean): Emit {
  return (guards, x, yBits) => {
    const y = isDifference ? xor64(yBits, long(format.sign)) : yBits;
    const [a, b] = takeOrdinary(guards, format, x, y);
    const result = plain(format.add, format.type, a, b);
    const bits = format.toBits(result);
    guards.giveUpIf(not(or32(isZero(magnitude(format, bits)), isSafe(format, bits))));
    const error = errorOfSum(format, a, b, result);
    guards.giveUpIfFirst(is(format.ne, error, format.fromBits(long(0n))));
    return bits;
  };
}

/** With this many low bits of two doubles 0, their product is exact. */
const LOW_27 = long(0x7ffffffn);
const isShort = (x: Node, y: Node) => isZero(and64(or64(x, y), LOW_27));

const f64 = (op: number, x: Node, y: Node) => plain(op, Type.F64, x, y);

function product(format: Format): Emit {
  return (guards, x, y) => {
    const [a, b] = takeOrdinary(guards, format, x, y);
    const result = plain(format.mul, format.type, a, b);
    const bits = format.toBits(result);
    const isNothing = or32(isZero(magnitude(format, x)), isZero(magnitude(format, y)));
    guards.giveUpIf(not(or32(isNothing, isSafe(format, bits))));
    if (format === Double) guards.giveUpIfFirst(not(or32(isNothing, isShort(x, y))));
    else {
      const exact = f64(Op.f64Mul, format.promoted(a), format.promoted(b));
      guards.giveUpIfFirst(is(Op.f64Ne, exact, format.promoted(result)));
    }
    return bits;
  };
}

function quotient(format: Format): Emit {
  return (guards, x, y) => {
    const [a, b] = takeOrdinary(guards, format, x, y);
    guards.giveUpIf(isZero(magnitude(format, y)));
    const result = plain(format.div, format.type, a, b);
    const bits = format.toBits(result);
    guards.giveUpIf(not(or32(isZero(magnitude(format, x)), isSafe(format, bits))));
    const back = f64(Op.f64Mul, format.promoted(result), format.promoted(b));
    const isExact = is(Op.f64Eq, back, format.promoted(a));
    const isKnown = format === Double ? and32(isShort(bits, y), isExact) : isExact;
    guards.giveUpIfFirst(not(isKnown));
    return bits;
  };
}

function squareRoot(format: Format): Emit {
  return (guards, x) => {
    guards.giveUpIf(not(isBetween(x, format.leastNormal, format.infinity)));
    const a = format.fromBits(x);
    const result = plain(format.sqrt, format.type, a);
    const bits = format.toBits(result);
    const root = format.promoted(result);
    const isExact = is(Op.f64Eq, f64(Op.f64Mul, root, root), format.promoted(a));
    guards.giveUpIfFirst(not(format === Double ? and32(isShort(bits, bits), isExact) : isExact));
    return bits;
  };
}

/** The first number if it stands to the second as wanted. */
function choice(format: Format, isLesser: boolean): Emit {
  return (guards, x, y) => {
    const [a, b] = takeOrdinary(guards, format, x, y);
    const isFirst = isLesser ? is(format.lt, a, b) : is(format.lt, b, a);
    return choose(isFirst, x, y);
  };
}

function comparison(format: Format): Emit {
  return (guards, x, y) => {
    const [a, b] = takeOrdinary(guards, format, x, y);
    const { LESS, EQUAL, GREATER } = Relation;
    const of = (relation: number) => long(BigInt(relation));
    const rest = choose(is(format.eq, a, b), of(EQUAL), of(GREATER));
    return choose(is(format.lt, a, b), of(LESS), rest);
  };
}

const widened: Emit = (guards, x) => {
  const [a] = takeOrdinary(guards, Single, x);
  return Double.toBits(Single.promoted(a));
};

const narrowed: Emit = (guards, x) => {
  const [a] = takeOrdinary(guards, Double, x);
  const result = plain(Op.f32DemoteF64, Type.F32, a);
  const bits = Single.toBits(result);
  guards.giveUpIf(not(or32(isZero(magnitude(Double, x)), isSafe(Single, bits))));
  guards.giveUpIfFirst(is(Op.f64Ne, Single.promoted(result), a));
  return bits;
};

/** @param exactBits of integers whose conversion is exact */
function fromInteger(format: Format, width: 32 | 64, exactBits: number): Emit {
  return ({ giveUpIfFirst }, x) => {
    const integer = signExtend(width, 64, x);
    if (exactBits < width) {
      const most = 1n << BigInt(exactBits);
      giveUpIfFirst(not(lessUnsigned(add64(integer, long(most)), long(2n * most))));
    }
    return format.toBits(plain(format.convert, format.type, integer));
  };
}

function toInteger(format: Format, width: 32 | 64, truncates: boolean): Emit {
  return (guards, x) => {
    const [number] = takeOrdinary(guards, format, x);
    const value = format.promoted(number);
    const whole = truncates ? value : plain(Op.f64Nearest, Type.F64, value);
    const end = width === 32 ? 0x41e0000000000000n : 0x43e0000000000000n;
    const size = plain(Op.f64Abs, Type.F64, whole);
    guards.giveUpIf(not(is(Op.f64Lt, size, Double.fromBits(long(end)))));
    const integer = plain(Op.i64TruncF64S, Type.I64, whole);
    const back = plain(Op.f64ConvertI64S, Type.F64, integer);
    guards.giveUpIfFirst(is(Op.f64Ne, back, value));
    return cut(width, integer);
  };
}

export const FLOAT_EMISSION: Readonly<Record<FloatFunction, Emit>> = {
  addDouble: sum(Double, false),
  addSingle: sum(Single, false),
  subtractDouble: sum(Double, true),
  subtractSingle: sum(Single, true),
  multiplyDouble: product(Double),
  multiplySingle: product(Single),
  divideDouble: quotient(Double),
  divideSingle: quotient(Single),
  minimumDouble: choice(Double, true),
  minimumSingle: choice(Single, true),
  maximumDouble: choice(Double, false),
  maximumSingle: choice(Single, false),
  compareDouble: comparison(Double),
  compareSingle: comparison(Single),
  compareQuietlyDouble: comparison(Double),
  compareQuietlySingle: comparison(Single),
  squareRootDouble: squareRoot(Double),
  squareRootSingle: squareRoot(Single),
  singleToDouble: widened,
  doubleToSingle: narrowed,
  int32ToDouble: fromInteger(Double, 32, 53),
  int64ToDouble: fromInteger(Double, 64, 53),
  int32ToSingle: fromInteger(Single, 32, 24),
  int64ToSingle: fromInteger(Single, 64, 24),
  doubleToInt32: toInteger(Double, 32, false),
  doubleToInt64: toInteger(Double, 64, false),
  singleToInt32: toInteger(Single, 32, false),
  singleToInt64: toInteger(Single, 64, false),
  truncateDoubleToInt32: toInteger(Double, 32, true),
  truncateDoubleToInt64: toInteger(Double, 64, true),
  truncateSingleToInt32: toInteger(Single, 32, true),
  truncateSingleToInt64: toInteger(Single, 64, true),
};

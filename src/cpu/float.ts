// The floating-point operations that meanings ask for, on bits. Ordinary numbers, rounded to
// nearest, are computed with the engine's own arithmetic, which ECMAScript defines to the last bit
// for +, -, *, / and fround; everything else goes to `float-exact.ts`. NaNs never become numbers of
// the engine, which does not keep their payloads.

import { type FloatFunction, Relation } from '../isa/index.ts';
import { DOUBLE, ExactFloat, FloatException, type Format, Mxcsr, SINGLE } from './float-exact.ts';
import { toBigInt } from './wide.ts';

const doubles = new Float64Array(2);
const doubleWords = new Int32Array(doubles.buffer);
const singles = new Float32Array(1);
const singleWords = new Int32Array(singles.buffer);

/** Nearest, all exceptions masked, denormals kept: what programs run with. */
const CONTROL_BITS = Mxcsr.DAZ | Mxcsr.MASKS | Mxcsr.ROUNDING | Mxcsr.FTZ;
const USUAL_CONTROL = Mxcsr.MASKS;

const PRE_COMPUTATION = FloatException.IE | FloatException.DE | FloatException.ZE;
const EXCEPTIONS = 0x3f;
/** From an exception flag to its mask. */
const MASK_SHIFT = 7;

/** 2^27 + 1 splits a number in two of at most 26 bits each. */
const SPLITTER = 134217729;
/** With this many low bits of a fraction 0, products of two such numbers are exact. */
const LOW_27 = 0x7ffffff;

type Compute = (unit: FloatUnit, xl: number, xh: number, yl: number, yh: number) => void;

/** Computes one result at a time; read it before the next one. */
export class FloatUnit {
  /** The last result; of singles and 32-bit integers only the low half. */
  low = 0;
  high = 0;
  private control = 0;
  private isUsual = true;
  /** What the operations of one instruction have signalled. */
  private collected = 0;
  private readonly exact = new ExactFloat();

  compute(
    name: FloatFunction,
    mxcsr: number,
    xl: number,
    xh: number,
    yl: number,
    yh: number,
  ): void {
    this.control = mxcsr;
    this.isUsual = (mxcsr & CONTROL_BITS) === USUAL_CONTROL;
    this.high = 0;
    FUNCTIONS[name](this, xl, xh, yl, yh);
  }

  /**
   * What MXCSR is after an instruction: with all it signalled, or if an exception that arises
   * before computing is not masked, with those alone. SDM 1, "Handling SIMD Floating-Point
   * Exceptions in Software".
   */
  settle(mxcsr: number): { readonly mxcsr: number; readonly isFault: boolean } {
    let signalled = this.collected;
    this.collected = 0;
    const unmasked = ~(mxcsr >> MASK_SHIFT) & EXCEPTIONS;
    if ((signalled & unmasked & PRE_COMPUTATION) !== 0) signalled &= PRE_COMPUTATION;
    else if ((signalled & FloatException.TINY) !== 0) signalled |= unmasked & FloatException.UE;
    signalled &= EXCEPTIONS;
    return { mxcsr: mxcsr | signalled, isFault: (signalled & unmasked) !== 0 };
  }

  /** Nothing was signalled that MXCSR does not say already, nor can be: no need to settle. */
  isSettled(mxcsr: number): boolean {
    return (this.collected & ~mxcsr) === 0 && (mxcsr & Mxcsr.MASKS) === Mxcsr.MASKS;
  }

  forget(): void {
    this.collected = 0;
  }

  private note(exceptions: number): void {
    this.collected |= exceptions;
  }

  /** Whether it need not be found out if a result is exact. */
  private get knowsInexact(): boolean {
    return ((this.collected | this.control) & FloatException.PE) !== 0;
  }

  /** Compute with the exact unit; integers are taken modulo 2 to the power of `width`. */
  private exactly(work: (exact: ExactFloat) => bigint, width = 64): void {
    const { exact } = this;
    exact.begin(this.control);
    const result = BigInt.asUintN(width, work(exact));
    this.low = Number(result & 0xffffffffn) | 0;
    this.high = Number(result >> 32n) | 0;
    this.note(exact.exceptions);
  }

  /** Of doubles: the engine's own numbers, and whether they are all finite and not denormal. */
  private takeDoubles(xl: number, xh: number, yl: number, yh: number): boolean {
    if (!(this.isUsual && isOrdinaryDouble(xl, xh) && isOrdinaryDouble(yl, yh))) return false;
    doubleWords[0] = xl;
    doubleWords[1] = xh;
    doubleWords[2] = yl;
    doubleWords[3] = yh;
    return true;
  }

  /** Keep a double, unless it is so small or large that more than inexactness may be signalled. */
  private keepDouble(result: number): boolean {
    doubles[0] = result;
    this.low = doubleWords[0];
    this.high = doubleWords[1];
    const exponent = (this.high >>> 20) & 0x7ff;
    return exponent > 1 && exponent < 0x7fd;
  }

  private keepSingle(result: number): boolean {
    singles[0] = result;
    this.low = singleWords[0];
    const exponent = (this.low >>> 23) & 0xff;
    return exponent > 1 && exponent < 0xfe;
  }

  addDoubles(xl: number, xh: number, yl: number, yh: number, isDifference: boolean): void {
    if (this.takeDoubles(xl, xh, yl, yh)) {
      const x = doubles[0];
      const y = isDifference ? -doubles[1] : doubles[1];
      const sum = x + y;
      if (this.keepDouble(sum) || sum === 0) {
        if (!this.knowsInexact && errorOfSum(x, y, sum) !== 0) this.note(FloatException.PE);
        return;
      }
    }
    const [x, y] = [toBigInt(xl, xh), toBigInt(yl, yh)];
    this.exactly((exact) => exact.add(DOUBLE, x, y, isDifference));
  }

  multiplyDoubles(xl: number, xh: number, yl: number, yh: number): void {
    if (this.takeDoubles(xl, xh, yl, yh)) {
      const [x, y] = doubles;
      if (this.keepDouble(x * y) || x === 0 || y === 0) {
        if (this.knowsInexact || x === 0 || y === 0 || ((xl | yl) & LOW_27) === 0) return;
      }
    }
    const [x, y] = [toBigInt(xl, xh), toBigInt(yl, yh)];
    this.exactly((exact) => exact.multiply(DOUBLE, x, y));
  }

  divideDoubles(xl: number, xh: number, yl: number, yh: number): void {
    if (this.takeDoubles(xl, xh, yl, yh) && doubles[1] !== 0) {
      const [x, y] = doubles;
      const quotient = x / y;
      if (this.keepDouble(quotient) || x === 0) {
        const isShort = ((this.low | yl) & LOW_27) === 0;
        if (this.knowsInexact || x === 0 || (isShort && quotient * y === x)) return;
      }
    }
    const [x, y] = [toBigInt(xl, xh), toBigInt(yl, yh)];
    this.exactly((exact) => exact.divide(DOUBLE, x, y));
  }

  /** The engine's square root is no more than a guess here: it is checked. */
  squareRootDouble(xl: number, xh: number): void {
    const exponent = xh >> 20;
    if (this.isUsual && exponent > 100 && exponent < 0x700) {
      doubleWords[0] = xl;
      doubleWords[1] = xh;
      const x = doubles[0];
      const root = Math.sqrt(x);
      const rest = x - root * root - errorOfSquare(root);
      this.keepDouble(root);
      const isPower = this.low === 0 && (this.high & 0xfffff) === 0;
      if (Math.abs(rest) < root * unitOf(this.high) * (isPower ? 2 ** -60 : CLEARLY)) {
        if (rest !== 0) this.note(FloatException.PE);
        return;
      }
    }
    const x = toBigInt(xl, xh);
    this.exactly((exact) => exact.squareRoot(DOUBLE, x));
  }

  /** Of singles: as numbers, whose sums, products and quotients need only be rounded once more. */
  private takeSingles(x: number, y: number): boolean {
    if (!(this.isUsual && isOrdinarySingle(x) && isOrdinarySingle(y))) return false;
    singleWords[0] = x;
    doubles[0] = singles[0];
    singleWords[0] = y;
    doubles[1] = singles[0];
    return true;
  }

  addSingles(xBits: number, yBits: number, isDifference: boolean): void {
    if (this.takeSingles(xBits, yBits)) {
      const x = doubles[0];
      const y = isDifference ? -doubles[1] : doubles[1];
      const sum = x + y;
      if (this.keepSingle(sum) || sum === 0) {
        const isExact = Math.fround(sum) === sum && errorOfSum(x, y, sum) === 0;
        if (!isExact) this.note(FloatException.PE);
        return;
      }
    }
    const [x, y] = [BigInt(xBits >>> 0), BigInt(yBits >>> 0)];
    this.exactly((exact) => exact.add(SINGLE, x, y, isDifference));
  }

  multiplySingles(xBits: number, yBits: number): void {
    if (this.takeSingles(xBits, yBits)) {
      const product = doubles[0] * doubles[1];
      if (this.keepSingle(product) || product === 0) {
        if (Math.fround(product) !== product) this.note(FloatException.PE);
        return;
      }
    }
    const [x, y] = [BigInt(xBits >>> 0), BigInt(yBits >>> 0)];
    this.exactly((exact) => exact.multiply(SINGLE, x, y));
  }

  divideSingles(xBits: number, yBits: number): void {
    if (this.takeSingles(xBits, yBits) && doubles[1] !== 0) {
      const [x, y] = doubles;
      const quotient = Math.fround(x / y);
      if (this.keepSingle(quotient) || x === 0) {
        if (quotient * y !== x) this.note(FloatException.PE);
        return;
      }
    }
    const [x, y] = [BigInt(xBits >>> 0), BigInt(yBits >>> 0)];
    this.exactly((exact) => exact.divide(SINGLE, x, y));
  }

  squareRootSingle(bits: number): void {
    if (bits > 0 && this.takeSingles(bits, bits)) {
      const x = doubles[0];
      const root = Math.fround(Math.sqrt(x));
      // The square has 48 bits, and so has its distance from x: both are exact.
      const rest = x - root * root;
      this.keepSingle(root);
      const unit = 2 ** (((this.low >>> 23) & 0xff) - 150);
      const isPower = (this.low & 0x7fffff) === 0;
      if (Math.abs(rest) < root * unit * (isPower ? 2 ** -40 : CLEARLY)) {
        if (rest !== 0) this.note(FloatException.PE);
        return;
      }
    }
    this.exactly((exact) => exact.squareRoot(SINGLE, BigInt(bits >>> 0)));
  }

  compareDoubles(xl: number, xh: number, yl: number, yh: number, isSignaling: boolean): void {
    if (this.takeDoubles(xl, xh, yl, yh)) this.low = relationOf(doubles[0], doubles[1]);
    else {
      const [x, y] = [toBigInt(xl, xh), toBigInt(yl, yh)];
      this.exactly((exact) => BigInt(exact.compare(DOUBLE, x, y, isSignaling)));
    }
    this.high = 0;
  }

  compareSingles(xBits: number, yBits: number, isSignaling: boolean): void {
    if (this.takeSingles(xBits, yBits)) this.low = relationOf(doubles[0], doubles[1]);
    else {
      const [x, y] = [BigInt(xBits >>> 0), BigInt(yBits >>> 0)];
      this.exactly((exact) => BigInt(exact.compare(SINGLE, x, y, isSignaling)));
    }
    this.high = 0;
  }

  chooseDouble(xl: number, xh: number, yl: number, yh: number, wanted: number): void {
    if (this.takeDoubles(xl, xh, yl, yh)) {
      const isFirst = relationOf(doubles[0], doubles[1]) === wanted;
      this.low = isFirst ? xl : yl;
      this.high = isFirst ? xh : yh;
      return;
    }
    const [x, y] = [toBigInt(xl, xh), toBigInt(yl, yh)];
    this.exactly((exact) => exact.choose(DOUBLE, x, y, wanted));
  }

  chooseSingle(xBits: number, yBits: number, wanted: number): void {
    if (this.takeSingles(xBits, yBits)) {
      this.low = relationOf(doubles[0], doubles[1]) === wanted ? xBits : yBits;
      return;
    }
    const [x, y] = [BigInt(xBits >>> 0), BigInt(yBits >>> 0)];
    this.exactly((exact) => exact.choose(SINGLE, x, y, wanted));
  }

  singleToDouble(bits: number): void {
    if (this.takeSingles(bits, bits)) this.keepDouble(doubles[0]);
    else this.exactly((exact) => exact.convert(SINGLE, DOUBLE, BigInt(bits >>> 0)));
  }

  doubleToSingle(xl: number, xh: number): void {
    if (this.takeDoubles(xl, xh, xl, xh)) {
      const x = doubles[0];
      if (this.keepSingle(x) || x === 0) {
        if (Math.fround(x) !== x) this.note(FloatException.PE);
        return;
      }
    }
    this.exactly((exact) => exact.convert(DOUBLE, SINGLE, toBigInt(xl, xh)));
  }

  /** @param value an integer that a double holds exactly */
  fromSmallInteger(value: number): void {
    this.keepDouble(value);
  }

  int32ToSingle(value: number): void {
    if (this.isUsual) {
      this.keepSingle(value);
      if (Math.fround(value) !== value) this.note(FloatException.PE);
    } else this.exactly((exact) => exact.fromInteger(SINGLE, BigInt(value)));
  }

  int64ToFloat(format: Format, low: number, high: number): void {
    const value = BigInt.asIntN(64, toBigInt(low, high));
    this.exactly((exact) => exact.fromInteger(format, value));
  }

  int64ToDouble(low: number, high: number): void {
    if (high >> 20 === 0 || high >> 20 === -1) this.keepDouble(high * 2 ** 32 + (low >>> 0));
    else this.int64ToFloat(DOUBLE, low, high);
  }

  doubleToInteger(xl: number, xh: number, width: 32 | 64, truncates: boolean): void {
    if (this.takeDoubles(xl, xh, xl, xh)) {
      const whole = truncates ? Math.trunc(doubles[0]) : nearestInteger(doubles[0]);
      if (this.keepInteger(doubles[0], whole, width)) return;
    }
    const x = toBigInt(xl, xh);
    this.exactly((exact) => exact.toInteger(DOUBLE, x, width, truncates), width);
  }

  singleToInteger(bits: number, width: 32 | 64, truncates: boolean): void {
    if (this.takeSingles(bits, bits)) {
      const whole = truncates ? Math.trunc(doubles[0]) : nearestInteger(doubles[0]);
      if (this.keepInteger(doubles[0], whole, width)) return;
    }
    const x = BigInt(bits >>> 0);
    this.exactly((exact) => exact.toInteger(SINGLE, x, width, truncates), width);
  }

  private keepInteger(value: number, whole: number, width: 32 | 64): boolean {
    if (!(Math.abs(whole) < (width === 32 ? 2 ** 31 : 2 ** 51))) return false;
    this.low = whole | 0;
    if (width === 64) this.high = Math.floor(whole / 2 ** 32);
    if (whole !== value) this.note(FloatException.PE);
    return true;
  }
}

/** Zero, or neither denormal, infinite nor NaN. */
function isOrdinaryDouble(low: number, high: number): boolean {
  const exponent = high & 0x7ff00000;
  if (exponent === 0) return ((high << 1) | low) === 0;
  return exponent !== 0x7ff00000;
}

function isOrdinarySingle(bits: number): boolean {
  const exponent = bits & 0x7f800000;
  if (exponent === 0) return bits << 1 === 0;
  return exponent !== 0x7f800000;
}

/** What rounding a sum has lost, if nothing overflows (Knuth, "Seminumerical Algorithms"). */
function errorOfSum(x: number, y: number, sum: number): number {
  const part = sum - x;
  return x - (sum - part) + (y - part);
}

/** What rounding a square has lost, if nothing overflows or underflows (Dekker, 1971). */
function errorOfSquare(x: number): number {
  const shifted = SPLITTER * x;
  const upper = shifted - (shifted - x);
  const lower = x - upper;
  return upper * upper - x * x + 2 * upper * lower + lower * lower;
}

/** Value of the last bit of a double, by its upper word. */
function unitOf(high: number): number {
  return 2 ** (((high >>> 20) & 0x7ff) - 1075);
}

/**
 * A root is right if its square is off by less than the root times a unit; leave no doubt. Below a
 * power of two units are half as large: there only an exact root passes.
 */
const CLEARLY = 1 - 2 ** -20;

/** Half-way cases go to the even one; beyond 2^51 the caller does not use it. */
function nearestInteger(x: number): number {
  const shift = x < 0 ? -(2 ** 52) : 2 ** 52;
  return x + shift - shift;
}

function relationOf(x: number, y: number): number {
  if (x === y) return Relation.EQUAL;
  return x < y ? Relation.LESS : Relation.GREATER;
}

const FUNCTIONS: Readonly<Record<FloatFunction, Compute>> = {
  addDouble: (unit, xl, xh, yl, yh) => unit.addDoubles(xl, xh, yl, yh, false),
  addSingle: (unit, x, _, y) => unit.addSingles(x, y, false),
  subtractDouble: (unit, xl, xh, yl, yh) => unit.addDoubles(xl, xh, yl, yh, true),
  subtractSingle: (unit, x, _, y) => unit.addSingles(x, y, true),
  multiplyDouble: (unit, xl, xh, yl, yh) => unit.multiplyDoubles(xl, xh, yl, yh),
  multiplySingle: (unit, x, _, y) => unit.multiplySingles(x, y),
  divideDouble: (unit, xl, xh, yl, yh) => unit.divideDoubles(xl, xh, yl, yh),
  divideSingle: (unit, x, _, y) => unit.divideSingles(x, y),
  squareRootDouble: (unit, xl, xh) => unit.squareRootDouble(xl, xh),
  squareRootSingle: (unit, x) => unit.squareRootSingle(x),
  minimumDouble: (unit, xl, xh, yl, yh) => unit.chooseDouble(xl, xh, yl, yh, Relation.LESS),
  minimumSingle: (unit, x, _, y) => unit.chooseSingle(x, y, Relation.LESS),
  maximumDouble: (unit, xl, xh, yl, yh) => unit.chooseDouble(xl, xh, yl, yh, Relation.GREATER),
  maximumSingle: (unit, x, _, y) => unit.chooseSingle(x, y, Relation.GREATER),
  compareDouble: (unit, xl, xh, yl, yh) => unit.compareDoubles(xl, xh, yl, yh, true),
  compareSingle: (unit, x, _, y) => unit.compareSingles(x, y, true),
  compareQuietlyDouble: (unit, xl, xh, yl, yh) => unit.compareDoubles(xl, xh, yl, yh, false),
  compareQuietlySingle: (unit, x, _, y) => unit.compareSingles(x, y, false),
  singleToDouble: (unit, x) => unit.singleToDouble(x),
  doubleToSingle: (unit, xl, xh) => unit.doubleToSingle(xl, xh),
  int32ToDouble: (unit, x) => unit.fromSmallInteger(x),
  int32ToSingle: (unit, x) => unit.int32ToSingle(x),
  int64ToDouble: (unit, xl, xh) => unit.int64ToDouble(xl, xh),
  int64ToSingle: (unit, xl, xh) => unit.int64ToFloat(SINGLE, xl, xh),
  doubleToInt32: (unit, xl, xh) => unit.doubleToInteger(xl, xh, 32, false),
  doubleToInt64: (unit, xl, xh) => unit.doubleToInteger(xl, xh, 64, false),
  singleToInt32: (unit, x) => unit.singleToInteger(x, 32, false),
  singleToInt64: (unit, x) => unit.singleToInteger(x, 64, false),
  truncateDoubleToInt32: (unit, xl, xh) => unit.doubleToInteger(xl, xh, 32, true),
  truncateDoubleToInt64: (unit, xl, xh) => unit.doubleToInteger(xl, xh, 64, true),
  truncateSingleToInt32: (unit, x) => unit.singleToInteger(x, 32, true),
  truncateSingleToInt64: (unit, x) => unit.singleToInteger(x, 64, true),
};

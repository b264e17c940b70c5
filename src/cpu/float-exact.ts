// Binary floating-point arithmetic worked out exactly, in integers of any size, and rounded once.
// IEEE 754 as SSE implements it: SDM 1, "Floating-Point Exceptions", "Programming with Intel SSE".
// The slow half of `float.ts`; that every result comes out as on a processor rests on this file.

import { Relation } from '../isa/index.ts';

/** Exception flags, at their bits in MXCSR; a mask for each is 7 bits further up. */
export const FloatException = {
  /** Invalid operation. */
  IE: 1 << 0,
  /** Denormal operand. */
  DE: 1 << 1,
  /** Division by zero. */
  ZE: 1 << 2,
  OE: 1 << 3,
  UE: 1 << 4,
  /** Inexact. */
  PE: 1 << 5,
  /** No flag of MXCSR: a result was tiny, which only an unmasked underflow exception tells. */
  TINY: 1 << 6,
} as const;

/** Control bits of MXCSR. */
export const Mxcsr = {
  DAZ: 1 << 6,
  MASKS: 0x3f << 7,
  OM: 1 << 10,
  UM: 1 << 11,
  ROUNDING: 3 << 13,
  FTZ: 1 << 15,
} as const;

/** Rounding modes, as bits 14:13 of MXCSR number them. */
const Rounding = { NEAREST: 0, DOWN: 1, UP: 2, TO_ZERO: 3 } as const;

/** A binary interchange format. */
export interface Format {
  /** Bits of the fraction, without the leading 1. */
  readonly fractionBits: number;
  readonly bias: number;
  /** All ones: infinities and NaNs. */
  readonly topExponent: number;
  readonly fractionMask: bigint;
  readonly signBit: bigint;
  /** The first bit of the fraction, which tells quiet NaNs. */
  readonly quietBit: bigint;
}

function format(fractionBits: number, exponentBits: number): Format {
  return {
    fractionBits,
    bias: 2 ** (exponentBits - 1) - 1,
    topExponent: 2 ** exponentBits - 1,
    fractionMask: (1n << BigInt(fractionBits)) - 1n,
    signBit: 1n << BigInt(fractionBits + exponentBits),
    quietBit: 1n << BigInt(fractionBits - 1),
  };
}

export const SINGLE = format(23, 8);
export const DOUBLE = format(52, 11);

type Kind = 'nan' | 'infinite' | 'zero' | 'denormal' | 'normal';

/** An operand taken apart: a finite one is `significand` times 2 to the power of `exponent`. */
export interface Unpacked {
  readonly bits: bigint;
  readonly kind: Kind;
  readonly isNegative: boolean;
  readonly significand: bigint;
  readonly exponent: number;
}

/** Whether a rounded magnitude of `kept` goes up, by what was cut off. */
function goesUp(mode: number, isNegative: boolean, kept: bigint, rest: bigint, half: bigint) {
  switch (mode) {
    case Rounding.NEAREST:
      return rest > half || (rest === half && (kept & 1n) === 1n);
    case Rounding.DOWN:
      return isNegative && rest > 0n;
    case Rounding.UP:
      return !isNegative && rest > 0n;
    default:
      return false;
  }
}

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

/** The integer part of the square root, by Newton's method from above. */
function integerSquareRoot(value: bigint): bigint {
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** Arithmetic under one MXCSR; exceptions that arise are collected. */
export class ExactFloat {
  exceptions = 0;
  private control = 0;

  /** Begin with a control register, and nothing collected. */
  begin(control: number): void {
    this.control = control;
    this.exceptions = 0;
  }

  private get mode(): number {
    return (this.control & Mxcsr.ROUNDING) >> 13;
  }

  /** Take an operand apart; DAZ makes zeros of denormal ones. */
  unpack(f: Format, bits: bigint): Unpacked {
    const isNegative = (bits & f.signBit) !== 0n;
    const exponent = Number((bits & (f.signBit - 1n)) >> BigInt(f.fractionBits));
    const fraction = bits & f.fractionMask;
    const scale = 1 - f.bias - f.fractionBits;
    if (exponent === f.topExponent) {
      const kind = fraction === 0n ? 'infinite' : 'nan';
      return { bits, kind, isNegative, significand: 0n, exponent: 0 };
    }
    if (exponent > 0) {
      const significand = fraction | (f.fractionMask + 1n);
      return { bits, kind: 'normal', isNegative, significand, exponent: exponent - 1 + scale };
    }
    if (fraction === 0n || (this.control & Mxcsr.DAZ) !== 0) {
      const zero = bits & f.signBit;
      return { bits: zero, kind: 'zero', isNegative, significand: 0n, exponent: scale };
    }
    return { bits, kind: 'denormal', isNegative, significand: fraction, exponent: scale };
  }

  private signal(exception: number): void {
    this.exceptions |= exception;
  }

  private invalid(f: Format): bigint {
    this.signal(FloatException.IE);
    return f.signBit | (BigInt(f.topExponent) << BigInt(f.fractionBits)) | f.quietBit;
  }

  private isSignaling(f: Format, x: Unpacked): boolean {
    return x.kind === 'nan' && (x.bits & f.quietBit) === 0n;
  }

  /** The NaN that two operands give, of which one is a NaN: the first one, made quiet. */
  private propagate(f: Format, x: Unpacked, y: Unpacked): bigint {
    if (this.isSignaling(f, x) || this.isSignaling(f, y)) this.signal(FloatException.IE);
    return (x.kind === 'nan' ? x.bits : y.bits) | f.quietBit;
  }

  private noteDenormals(x: Unpacked, y: Unpacked): void {
    if (x.kind === 'denormal' || y.kind === 'denormal') this.signal(FloatException.DE);
  }

  private zero(f: Format, isNegative: boolean): bigint {
    return isNegative ? f.signBit : 0n;
  }

  private infinity(f: Format, isNegative: boolean): bigint {
    return this.zero(f, isNegative) | (BigInt(f.topExponent) << BigInt(f.fractionBits));
  }

  /** x + y, or x - y. */
  add(f: Format, xBits: bigint, yBits: bigint, isDifference: boolean): bigint {
    const x = this.unpack(f, xBits);
    const y = this.unpack(f, yBits);
    if (x.kind === 'nan' || y.kind === 'nan') return this.propagate(f, x, y);
    const yNegative = y.isNegative !== isDifference;
    if (x.kind === 'infinite' && y.kind === 'infinite' && x.isNegative !== yNegative) {
      return this.invalid(f);
    }
    this.noteDenormals(x, y);
    if (x.kind === 'infinite') return x.bits;
    if (y.kind === 'infinite') return this.infinity(f, yNegative);
    const exponent = Math.min(x.exponent, y.exponent);
    const a = x.significand << BigInt(x.exponent - exponent);
    const b = y.significand << BigInt(y.exponent - exponent);
    const sum = (x.isNegative ? -a : a) + (yNegative ? -b : b);
    if (sum !== 0n) return this.round(f, sum < 0n, sum < 0n ? -sum : sum, exponent);
    // Zeros of one sign keep it; what cancels out is +0, or -0 when rounding down.
    const isNegative =
      x.kind === 'zero' && x.isNegative === yNegative ? yNegative : this.mode === 1;
    return this.zero(f, isNegative);
  }

  multiply(f: Format, xBits: bigint, yBits: bigint): bigint {
    const x = this.unpack(f, xBits);
    const y = this.unpack(f, yBits);
    if (x.kind === 'nan' || y.kind === 'nan') return this.propagate(f, x, y);
    const isNegative = x.isNegative !== y.isNegative;
    if (x.kind === 'infinite' || y.kind === 'infinite') {
      if (x.kind === 'zero' || y.kind === 'zero') return this.invalid(f);
      this.noteDenormals(x, y);
      return this.infinity(f, isNegative);
    }
    this.noteDenormals(x, y);
    const product = x.significand * y.significand;
    if (product === 0n) return this.zero(f, isNegative);
    return this.round(f, isNegative, product, x.exponent + y.exponent);
  }

  divide(f: Format, xBits: bigint, yBits: bigint): bigint {
    const x = this.unpack(f, xBits);
    const y = this.unpack(f, yBits);
    if (x.kind === 'nan' || y.kind === 'nan') return this.propagate(f, x, y);
    const isNegative = x.isNegative !== y.isNegative;
    if (x.kind === y.kind && (x.kind === 'zero' || x.kind === 'infinite')) return this.invalid(f);
    if (x.kind !== 'infinite' && y.kind === 'zero') {
      this.signal(FloatException.ZE);
      return this.infinity(f, isNegative);
    }
    this.noteDenormals(x, y);
    if (x.kind === 'infinite') return this.infinity(f, isNegative);
    if (x.kind === 'zero' || y.kind === 'infinite') return this.zero(f, isNegative);
    // Enough bits for rounding even where the dividend is denormal; the remainder tells the rest.
    const extra = 2 * f.fractionBits + 4;
    const dividend = x.significand << BigInt(extra);
    const quotient = dividend / y.significand;
    const sticky = dividend % y.significand === 0n ? 0n : 1n;
    const exponent = x.exponent - y.exponent - extra - 1;
    return this.round(f, isNegative, (quotient << 1n) | sticky, exponent);
  }

  squareRoot(f: Format, bits: bigint): bigint {
    const x = this.unpack(f, bits);
    if (x.kind === 'nan') return this.propagate(f, x, x);
    if (x.kind === 'zero') return x.bits;
    if (x.isNegative) return this.invalid(f);
    this.noteDenormals(x, x);
    if (x.kind === 'infinite') return x.bits;
    let shift = 2 * f.fractionBits + 4;
    if (((x.exponent - shift) & 1) !== 0) shift++;
    const radicand = x.significand << BigInt(shift);
    const root = integerSquareRoot(radicand);
    const sticky = root * root === radicand ? 0n : 1n;
    return this.round(f, false, (root << 1n) | sticky, (x.exponent - shift) / 2 - 1);
  }

  /** MIN and MAX: the second operand, unless the first is really less, or greater. */
  choose(f: Format, xBits: bigint, yBits: bigint, wanted: number): bigint {
    const x = this.unpack(f, xBits);
    const y = this.unpack(f, yBits);
    const relation = this.relate(f, x, y, true);
    return relation === wanted ? x.bits : y.bits;
  }

  /** @param isSignaling also a quiet NaN is an invalid operand */
  compare(f: Format, xBits: bigint, yBits: bigint, isSignaling: boolean): number {
    return this.relate(f, this.unpack(f, xBits), this.unpack(f, yBits), isSignaling);
  }

  private relate(f: Format, x: Unpacked, y: Unpacked, isSignaling: boolean): number {
    if (x.kind === 'nan' || y.kind === 'nan') {
      if (isSignaling || this.isSignaling(f, x) || this.isSignaling(f, y)) {
        this.signal(FloatException.IE);
      }
      return Relation.UNORDERED;
    }
    this.noteDenormals(x, y);
    const ordinal = ({ bits, isNegative }: Unpacked) =>
      isNegative ? -(bits & (f.signBit - 1n)) : bits;
    const difference = ordinal(x) - ordinal(y);
    if (difference === 0n) return Relation.EQUAL;
    return difference < 0n ? Relation.LESS : Relation.GREATER;
  }

  /** To another format. */
  convert(from: Format, to: Format, bits: bigint): bigint {
    const x = this.unpack(from, bits);
    if (x.kind === 'nan') {
      if (this.isSignaling(from, x)) this.signal(FloatException.IE);
      const shift = BigInt(to.fractionBits - from.fractionBits);
      const fraction = bits & from.fractionMask;
      const payload = shift < 0n ? fraction >> -shift : fraction << shift;
      return this.infinity(to, x.isNegative) | payload | to.quietBit;
    }
    if (x.kind === 'infinite') return this.infinity(to, x.isNegative);
    if (x.kind === 'zero') return this.zero(to, x.isNegative);
    this.noteDenormals(x, x);
    return this.round(to, x.isNegative, x.significand, x.exponent);
  }

  fromInteger(to: Format, value: bigint): bigint {
    if (value === 0n) return 0n;
    return this.round(to, value < 0n, value < 0n ? -value : value, 0);
  }

  /** A signed integer of `width` bits; the least one stands for what does not fit. */
  toInteger(from: Format, bits: bigint, width: number, truncates: boolean): bigint {
    const x = this.unpack(from, bits);
    const indefinite = -(1n << BigInt(width - 1));
    const isHuge = x.exponent > 64;
    if (x.kind === 'nan' || x.kind === 'infinite' || isHuge) {
      this.signal(FloatException.IE);
      return indefinite;
    }
    const mode = truncates ? Rounding.TO_ZERO : this.mode;
    const { kept, isExact } = this.cut(mode, x.isNegative, x.significand, -x.exponent);
    const value = x.isNegative ? -kept : kept;
    if (value < indefinite || value >= -indefinite) {
      this.signal(FloatException.IE);
      return indefinite;
    }
    if (!isExact) this.signal(FloatException.PE);
    return value;
  }

  /** Drop low bits of a magnitude, rounding; with a negative count, add zeros. */
  private cut(mode: number, isNegative: boolean, magnitude: bigint, count: number) {
    if (count <= 0) return { kept: magnitude << BigInt(-count), isExact: true };
    const kept = magnitude >> BigInt(count);
    const rest = magnitude - (kept << BigInt(count));
    const up = goesUp(mode, isNegative, kept, rest, 1n << BigInt(count - 1));
    return { kept: up ? kept + 1n : kept, isExact: rest === 0n };
  }

  /** The number of the format for a magnitude, not 0, times 2 to the power of `exponent`. */
  private round(f: Format, isNegative: boolean, magnitude: bigint, exponent: number): bigint {
    const precision = f.fractionBits + 1;
    const least = 1 - f.bias;
    const { mode } = this;
    const length = bitLength(magnitude);
    // As if exponents had no bounds: whether the result is tiny is told after rounding.
    const free = this.cut(mode, isNegative, magnitude, length - precision);
    const leading = exponent + length - 1 + (bitLength(free.kept) > precision ? 1 : 0);
    const isTiny = leading < least;
    // An unmasked underflow or overflow is inexact only if it were so with any exponent.
    if (!free.isExact && !isTiny) this.signal(FloatException.PE);
    if (isTiny) return this.roundTiny(f, isNegative, magnitude, exponent, free.isExact);
    if (leading > f.bias) return this.overflow(f, isNegative);
    const significand = bitLength(free.kept) > precision ? free.kept >> 1n : free.kept;
    const encoded = BigInt(leading + f.bias) << BigInt(f.fractionBits);
    return this.zero(f, isNegative) | encoded | (significand & f.fractionMask);
  }

  private roundTiny(
    f: Format,
    isNegative: boolean,
    magnitude: bigint,
    exponent: number,
    isExactFree: boolean,
  ): bigint {
    this.signal(FloatException.TINY);
    if ((this.control & Mxcsr.UM) === 0) {
      if (!isExactFree) this.signal(FloatException.PE);
      return this.zero(f, isNegative);
    }
    if ((this.control & Mxcsr.FTZ) !== 0) {
      this.signal(FloatException.UE | FloatException.PE);
      return this.zero(f, isNegative);
    }
    const lowest = 1 - f.bias - f.fractionBits;
    const { kept, isExact } = this.cut(this.mode, isNegative, magnitude, lowest - exponent);
    if (!isExact) this.signal(FloatException.UE | FloatException.PE);
    // The carry of rounding up to the least normal number goes where the exponent is.
    return this.zero(f, isNegative) | kept;
  }

  private overflow(f: Format, isNegative: boolean): bigint {
    this.signal(FloatException.OE);
    if ((this.control & Mxcsr.OM) !== 0) this.signal(FloatException.PE);
    const { mode } = this;
    const toInfinity =
      mode === Rounding.NEAREST || mode === (isNegative ? Rounding.DOWN : Rounding.UP);
    const infinity = this.infinity(f, isNegative);
    return toInfinity ? infinity : infinity - 1n;
  }
}

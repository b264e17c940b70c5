// Numbers in floating point at which something turns over: zeros, denormals, infinities, NaNs of
// both kinds with payloads, the ends of exponents, integers and halves; and partners for them, with
// which sums round half-way, products and quotients overflow or become denormal.

import type { Prng } from '../../src/sim/index.ts';

/** An interchange format. */
export interface FloatFormat {
  readonly fractionBits: number;
  readonly exponentBits: number;
}

export const SINGLE: FloatFormat = { fractionBits: 23, exponentBits: 8 };
export const DOUBLE: FloatFormat = { fractionBits: 52, exponentBits: 11 };

function random(prng: Prng, bits: number): bigint {
  return BigInt.asUintN(bits, (BigInt(prng.next()) << 32n) | BigInt(prng.next()));
}

/** A fraction: all zeros, all ones, few bits at either end, short, or anything. */
function fraction({ fractionBits: bits }: FloatFormat, prng: Prng): bigint {
  const ones = (1n << BigInt(bits)) - 1n;
  switch (prng.below(8)) {
    case 0:
      return 0n;
    case 1:
      return ones - BigInt(prng.below(3));
    case 2:
      return BigInt(prng.below(4));
    case 3:
      return (BigInt(prng.below(8)) << BigInt(bits - 3)) & ones;
    case 4:
      return 1n << BigInt(prng.below(bits));
    case 5:
      return (random(prng, bits) >> BigInt(bits >> 1)) << BigInt(bits >> 1);
    default:
      return random(prng, bits);
  }
}

function assembled(format: FloatFormat, sign: number, exponent: number, bits: bigint): bigint {
  const { fractionBits, exponentBits } = format;
  const top = 2 ** exponentBits - 1;
  const kept = BigInt(Math.min(Math.max(exponent, 0), top));
  return (((BigInt(sign) << BigInt(exponentBits)) | kept) << BigInt(fractionBits)) | bits;
}

function exponentOf({ fractionBits, exponentBits }: FloatFormat, value: bigint): number {
  return Number((value >> BigInt(fractionBits)) & ((1n << BigInt(exponentBits)) - 1n));
}

/** The bits of a number. */
export function floatValue(format: FloatFormat, prng: Prng): bigint {
  const { fractionBits, exponentBits } = format;
  const sign = prng.below(2);
  const top = 2 ** exponentBits - 1;
  const bias = (top - 1) / 2;
  const some = fraction(format, prng);
  const make = (exponent: number) => assembled(format, sign, exponent, some);
  switch (prng.below(16)) {
    case 0:
      return assembled(format, sign, 0, 0n);
    case 1:
      return make(0);
    case 2:
      return assembled(format, sign, top, 0n);
    case 3:
      return assembled(format, sign, top, some | (1n << BigInt(fractionBits - 1)));
    case 4:
      return assembled(format, sign, top, (some & ((1n << BigInt(fractionBits - 1)) - 1n)) | 1n);
    case 5:
      return make(1 + prng.below(3));
    case 6:
      return make(top - 1 - prng.below(3));
    case 7:
    case 8:
      // Where integers of 32 and 64 bits end, and where they have their last bits.
      return make(bias + [29, 30, 31, 32, 51, 52, 53, 61, 62, 63, 64][prng.below(11)]);
    case 9:
      return make(bias - 2 + prng.below(5));
    case 10:
      return make(prng.below(top));
    default:
      return make(bias - fractionBits + prng.below(2 * fractionBits));
  }
}

/** A second operand, to which the first one has something to do. */
export function partner(format: FloatFormat, value: bigint, prng: Prng): bigint {
  const { fractionBits, exponentBits } = format;
  const sign = prng.below(2);
  const top = 2 ** exponentBits - 1;
  const bias = (top - 1) / 2;
  const exponent = exponentOf(format, value);
  const some = fraction(format, prng);
  const near = prng.below(5) - 2;
  switch (prng.below(8)) {
    case 0:
      return value;
    case 1:
      return BigInt.asUintN(fractionBits + exponentBits + 1, value + BigInt(prng.below(5)) - 2n);
    case 2:
      // Half a unit of the first, or thereabouts.
      return assembled(format, sign, exponent - fractionBits - 1 + near, some);
    case 3:
      return assembled(format, sign, exponent + near, some);
    case 4:
      // A product at the lower, a quotient at the upper end.
      return assembled(format, sign, bias + 1 - exponent + near - prng.below(fractionBits), some);
    case 5:
      return assembled(format, sign, top - 1 + bias - exponent + near, some);
    case 6:
      return assembled(format, sign, exponent + bias - 1 + near, some);
    default:
      return floatValue(format, prng);
  }
}

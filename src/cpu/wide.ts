// Products and quotients of 64-bit integers that are given as two 32-bit halves.

/** A pair of halves, reused between calls: read it before the next call. */
export interface Halves {
  low: number;
  high: number;
}

/** low and high halves of a full product or of quotient and remainder. */
export interface WidePair {
  readonly first: Halves;
  readonly second: Halves;
}

const result: WidePair = { first: { low: 0, high: 0 }, second: { low: 0, high: 0 } };

/** High word of the unsigned product of two 32-bit words. */
export function multiplyHigh32(x: number, y: number): number {
  const xl = x & 0xffff;
  const xh = x >>> 16;
  const yl = y & 0xffff;
  const yh = y >>> 16;
  const middle = xh * yl + ((xl * yl) >>> 16);
  const carry = (middle & 0xffff) + xl * yh;
  return (xh * yh + Math.floor(middle / 0x10000) + (carry >>> 16)) | 0;
}

/** Unsigned 64 x 64 bits: `first` is the low, `second` the high half of the product. */
export function multiply64(xl: number, xh: number, yl: number, yh: number): WidePair {
  const word0 = Math.imul(xl, yl);
  let sum = (multiplyHigh32(xl, yl) >>> 0) + (Math.imul(xl, yh) >>> 0);
  sum += Math.imul(xh, yl) >>> 0;
  const word1 = sum | 0;
  let upper = Math.floor(sum / 2 ** 32) + (multiplyHigh32(xl, yh) >>> 0);
  upper += (multiplyHigh32(xh, yl) >>> 0) + (Math.imul(xh, yh) >>> 0);
  const word2 = upper | 0;
  const word3 = (multiplyHigh32(xh, yh) + Math.floor(upper / 2 ** 32)) | 0;
  result.first.low = word0;
  result.first.high = word1;
  result.second.low = word2;
  result.second.high = word3;
  return result;
}

/** Signed 64 x 64 bits. */
export function multiply64Signed(xl: number, xh: number, yl: number, yh: number): WidePair {
  const product = multiply64(xl, xh, yl, yh);
  let { low, high } = product.second;
  if (xh < 0) {
    high = (high - yh - (low >>> 0 < yl >>> 0 ? 1 : 0)) | 0;
    low = (low - yl) | 0;
  }
  if (yh < 0) {
    high = (high - xh - (low >>> 0 < xl >>> 0 ? 1 : 0)) | 0;
    low = (low - xl) | 0;
  }
  product.second.low = low;
  product.second.high = high;
  return product;
}

/**
 * Divide a dividend of twice `width` bits; `first` is the quotient, `second` the remainder.
 * Null if the divisor is 0 or the quotient does not fit. Rare enough for BigInt.
 */
export function divide(
  width: number,
  signed: boolean,
  high: bigint,
  low: bigint,
  divisor: bigint,
): WidePair | null {
  if (divisor === 0n) return null;
  const size = BigInt(width);
  const whole = (high << size) | low;
  const dividend = signed ? BigInt.asIntN(2 * width, whole) : whole;
  const by = signed ? BigInt.asIntN(width, divisor) : divisor;
  const quotient = dividend / by;
  const fits = signed ? BigInt.asIntN(width, quotient) : BigInt.asUintN(width, quotient);
  if (fits !== quotient) return null;
  split(BigInt.asUintN(width, quotient), result.first);
  split(BigInt.asUintN(width, dividend % by), result.second);
  return result;
}

function split(value: bigint, into: Halves): void {
  into.low = Number(value & 0xffffffffn) | 0;
  into.high = Number(value >> 32n) | 0;
}

/** The unsigned 64-bit number that two halves make. */
export function toBigInt(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

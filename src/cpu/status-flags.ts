// The status flags of a result, and the conditions that look at them.
// SDM 1, "Status Flags"; SDM 2, "Jcc - Jump if Condition Is Met".

import { Rflags } from './state.ts';

export const STATUS_FLAGS = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF;

/** PF for every value of the low byte. */
const PARITY = Uint8Array.from({ length: 256 }, (_, byte) => {
  let ones = 0;
  for (let bits = byte; bits !== 0; bits >>= 1) ones += bits & 1;
  return ones % 2 === 0 ? Rflags.PF : 0;
});

/** ZF, SF and PF of a result of `width` bits. */
export function flagsOfResult(width: number, low: number, high: number): number {
  const sign = width === 64 ? high >>> 31 : (low >>> (width - 1)) & 1;
  const zero = (low | high) === 0 ? Rflags.ZF : 0;
  return PARITY[low & 255] | zero | (sign << 7);
}

/**
 * CF and OF of r = a + b (+ carry), from the words that hold the sign.
 * @param sign position of the sign in the words
 */
export function carryOfAdd(a: number, b: number, r: number, sign: number): number {
  const carry = (((a & b) | ((a | b) & ~r)) >>> sign) & 1;
  const overflow = (((a ^ r) & (b ^ r)) >>> sign) & 1;
  return carry | (overflow << 11);
}

/** CF and OF of r = a - b (- borrow), from the words that hold the sign. */
export function carryOfSub(a: number, b: number, r: number, sign: number): number {
  const carry = (((~a & b) | ((~a | b) & r)) >>> sign) & 1;
  const overflow = (((a ^ b) & (a ^ r)) >>> sign) & 1;
  return carry | (overflow << 11);
}

/** Whether a condition holds; `code` as the low four bits of Jcc, SETcc and CMOVcc number it. */
export function conditionHolds(flags: number, code: number): boolean {
  return positiveCondition(flags, code >> 1) !== ((code & 1) === 1);
}

/** SF differs from OF. */
function isLess(flags: number): boolean {
  return (((flags >> 4) ^ flags) & Rflags.SF) !== 0;
}

/** The condition of an even code; the odd one next to it is its opposite. */
function positiveCondition(flags: number, pair: number): boolean {
  switch (pair) {
    case 0:
      return (flags & Rflags.OF) !== 0;
    case 1:
      return (flags & Rflags.CF) !== 0;
    case 2:
      return (flags & Rflags.ZF) !== 0;
    case 3:
      return (flags & (Rflags.CF | Rflags.ZF)) !== 0;
    case 4:
      return (flags & Rflags.SF) !== 0;
    case 5:
      return (flags & Rflags.PF) !== 0;
    case 6:
      return isLess(flags);
    default:
      return isLess(flags) || (flags & Rflags.ZF) !== 0;
  }
}

// Values, truth values and flags of the domain of concrete values. A value is the index of two
// words, low and high half, in the scratch room behind the processor's state; indexes are handed
// out in order and all taken back when the next instruction begins, so nothing is allocated. A
// truth value is a boolean.

import Long from 'long';
import type { Division, Flag, Width } from '../isa/index.ts';
import { countOnes } from './bit-loops.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { type ProcessorState, Rflags, SCRATCH_WORD, Word } from './state.ts';
import {
  carryOfAdd,
  carryOfSub,
  conditionHolds,
  flagsOfResult,
  STATUS_FLAGS,
} from './status-flags.ts';
import { divide, multiply64, multiply64Signed, toBigInt, type WidePair } from './wide.ts';

export type Slot = number;

/** What meanings compute with: arithmetic that touches no registers but RFLAGS, and no memory. */
export class Values {
  /** The next free index. */
  protected used = SCRATCH_WORD;
  protected readonly words: Int32Array;

  constructor(state: ProcessorState) {
    this.words = state.words;
  }

  protected make(low: number, high: number): Slot {
    const slot = this.used;
    this.used = slot + 2;
    this.words[slot] = low;
    this.words[slot + 1] = high;
    return slot;
  }

  /** A value cut to `width` bits. */
  protected cut(width: Width, low: number, high: number): Slot {
    const slot = this.used;
    this.used = slot + 2;
    if (width === 64) {
      this.words[slot] = low;
      this.words[slot + 1] = high;
    } else {
      this.words[slot] = width === 32 ? low : low & ((1 << width) - 1);
      this.words[slot + 1] = 0;
    }
    return slot;
  }

  protected fromLong(value: Long): Slot {
    return this.make(value.low, value.high);
  }

  protected toLong(x: Slot): Long {
    return Long.fromBits(this.words[x], this.words[x + 1]);
  }

  // Values

  constant(width: Width, value: number): Slot {
    return this.cut(width, value | 0, value < 0 ? -1 : Math.floor(value / 2 ** 32) | 0);
  }

  add(width: Width, x: Slot, y: Slot): Slot {
    const xl = this.words[x];
    const yl = this.words[y];
    if (width !== 64) return this.cut(width, (xl + yl) | 0, 0);
    const sum = (xl >>> 0) + (yl >>> 0);
    const carry = sum > 0xffffffff ? 1 : 0;
    return this.make(sum | 0, (this.words[x + 1] + this.words[y + 1] + carry) | 0);
  }

  sub(width: Width, x: Slot, y: Slot): Slot {
    const xl = this.words[x];
    const yl = this.words[y];
    if (width !== 64) return this.cut(width, (xl - yl) | 0, 0);
    const borrow = xl >>> 0 < yl >>> 0 ? 1 : 0;
    return this.make((xl - yl) | 0, (this.words[x + 1] - this.words[y + 1] - borrow) | 0);
  }

  multiply(width: Width, x: Slot, y: Slot): Slot {
    if (width !== 64) {
      return this.cut(width, Math.imul(this.words[x], this.words[y]), 0);
    }
    const { first } = this.product(x, y);
    return this.make(first.low, first.high);
  }

  multiplyHigh(width: Width, x: Slot, y: Slot): Slot {
    const { first, second } = this.product(x, y);
    if (width === 64) return this.make(second.low, second.high);
    if (width === 32) return this.make(first.high, 0);
    return this.cut(width, first.low >>> width, 0);
  }

  multiplyHighSigned(width: Width, x: Slot, y: Slot): Slot {
    const a = this.signExtend(width, 64, x);
    const b = this.signExtend(width, 64, y);
    const { first, second } = multiply64Signed(
      this.words[a],
      this.words[a + 1],
      this.words[b],
      this.words[b + 1],
    );
    if (width === 64) return this.make(second.low, second.high);
    if (width === 32) return this.make(first.high, 0);
    return this.cut(width, first.low >> width, 0);
  }

  private product(x: Slot, y: Slot): WidePair {
    return multiply64(this.words[x], this.words[x + 1], this.words[y], this.words[y + 1]);
  }

  divide(width: Width, high: Slot, low: Slot, divisor: Slot): Division<Slot> {
    return this.quotient(width, false, [high, low, divisor]);
  }

  divideSigned(width: Width, high: Slot, low: Slot, divisor: Slot): Division<Slot> {
    return this.quotient(width, true, [high, low, divisor]);
  }

  private quotient(width: Width, signed: boolean, slots: readonly Slot[]): Division<Slot> {
    const [high, low, divisor] = slots.map((x) => toBigInt(this.words[x], this.words[x + 1]));
    const pair = divide(width, signed, high, low, divisor);
    if (pair === null) throw new GuestFault(Vector.DE);
    return {
      quotient: this.make(pair.first.low, pair.first.high),
      remainder: this.make(pair.second.low, pair.second.high),
    };
  }

  and(x: Slot, y: Slot): Slot {
    return this.make(this.words[x] & this.words[y], this.words[x + 1] & this.words[y + 1]);
  }

  or(x: Slot, y: Slot): Slot {
    return this.make(this.words[x] | this.words[y], this.words[x + 1] | this.words[y + 1]);
  }

  xor(x: Slot, y: Slot): Slot {
    return this.make(this.words[x] ^ this.words[y], this.words[x + 1] ^ this.words[y + 1]);
  }

  not(width: Width, x: Slot): Slot {
    return this.cut(width, ~this.words[x], ~this.words[x + 1]);
  }

  shiftLeft(width: Width, x: Slot, count: Slot): Slot {
    const n = this.words[count];
    if (n >>> 0 >= width) return this.make(0, 0);
    const low = this.words[x];
    if (width !== 64) return this.cut(width, low << n, 0);
    const high = this.words[x + 1];
    if (n >= 32) return this.make(0, low << (n - 32));
    return n === 0 ? this.make(low, high) : this.make(low << n, (high << n) | (low >>> (32 - n)));
  }

  shiftRight(x: Slot, count: Slot): Slot {
    const n = this.words[count];
    if (n >>> 0 >= 64) return this.make(0, 0);
    const low = this.words[x];
    const high = this.words[x + 1];
    if (n >= 32) return this.make(high >>> (n - 32), 0);
    return n === 0 ? this.make(low, high) : this.make((low >>> n) | (high << (32 - n)), high >>> n);
  }

  shiftRightSigned(width: Width, x: Slot, count: Slot): Slot {
    const wide = this.signExtend(width, 64, x);
    const n = Math.min(this.words[count] >>> 0, 63);
    const low = this.words[wide];
    const high = this.words[wide + 1];
    if (n >= 32) return this.cut(width, high >> (n - 32), high >> 31);
    if (n === 0) return this.cut(width, low, high);
    return this.cut(width, (low >>> n) | (high << (32 - n)), high >> n);
  }

  signExtend(from: Width, to: Width, x: Slot): Slot {
    const low = this.words[x];
    if (from === 64) return this.cut(to, low, this.words[x + 1]);
    const extended = from === 32 ? low : (low << (32 - from)) >> (32 - from);
    return this.cut(to, extended, extended >> 31);
  }

  truncate(width: Width, x: Slot): Slot {
    return width === 64 ? x : this.cut(width, this.words[x], this.words[x + 1]);
  }

  lowestBit(x: Slot): Slot {
    const low = this.words[x];
    const high = this.words[x + 1];
    if (low !== 0) return this.make(31 - Math.clz32(low & -low), 0);
    return this.make(63 - Math.clz32(high & -high), 0);
  }

  highestBit(x: Slot): Slot {
    const high = this.words[x + 1];
    if (high !== 0) return this.make(63 - Math.clz32(high), 0);
    return this.make(31 - Math.clz32(this.words[x]), 0);
  }

  countOnes(x: Slot): Slot {
    return this.make(countOnes(this.words[x]) + countOnes(this.words[x + 1]), 0);
  }

  select(condition: boolean, whenTrue: Slot, whenFalse: Slot): Slot {
    return condition ? whenTrue : whenFalse;
  }

  fromCondition(condition: boolean): Slot {
    return this.make(condition ? 1 : 0, 0);
  }

  // Truth values

  isZero(x: Slot): boolean {
    return this.words[x] === 0 && this.words[x + 1] === 0;
  }

  equal(x: Slot, y: Slot): boolean {
    return this.words[x] === this.words[y] && this.words[x + 1] === this.words[y + 1];
  }

  lessUnsigned(x: Slot, y: Slot): boolean {
    const xh = this.words[x + 1] >>> 0;
    const yh = this.words[y + 1] >>> 0;
    if (xh !== yh) return xh < yh;
    return this.words[x] >>> 0 < this.words[y] >>> 0;
  }

  bit(x: Slot, index: number): boolean {
    const half = index < 32 ? this.words[x] : this.words[x + 1];
    return ((half >>> (index & 31)) & 1) !== 0;
  }

  negate(x: boolean): boolean {
    return !x;
  }

  both(x: boolean, y: boolean): boolean {
    return x && y;
  }

  either(x: boolean, y: boolean): boolean {
    return x || y;
  }

  differ(x: boolean, y: boolean): boolean {
    return x !== y;
  }

  // Flags

  flag(name: Flag): boolean {
    return (this.words[Word.RFLAGS] & (1 << name)) !== 0;
  }

  setFlag(name: Flag, value: boolean): void {
    if (value) this.words[Word.RFLAGS] |= 1 << name;
    else this.words[Word.RFLAGS] &= ~(1 << name);
  }

  flagsOfAdd(width: Width, x: Slot, y: Slot, sum: Slot): void {
    const { words } = this;
    const upper = width === 64 ? 1 : 0;
    const a = words[x + upper];
    const b = words[y + upper];
    const r = words[sum + upper];
    this.setStatus(width, x, y, sum, carryOfAdd(a, b, r, width === 64 ? 31 : width - 1));
  }

  flagsOfSub(width: Width, x: Slot, y: Slot, difference: Slot): void {
    const { words } = this;
    const upper = width === 64 ? 1 : 0;
    const a = words[x + upper];
    const b = words[y + upper];
    const r = words[difference + upper];
    this.setStatus(width, x, y, difference, carryOfSub(a, b, r, width === 64 ? 31 : width - 1));
  }

  /** AF from the operands, ZF, SF and PF from the result, CF and OF as given. */
  private setStatus(width: Width, x: Slot, y: Slot, result: Slot, carryAndOverflow: number): void {
    const low = this.words[result];
    const auxiliary = (this.words[x] ^ this.words[y] ^ low) & Rflags.AF;
    this.words[Word.RFLAGS] =
      (this.words[Word.RFLAGS] & ~STATUS_FLAGS) |
      carryAndOverflow |
      auxiliary |
      flagsOfResult(width, low, this.words[result + 1]);
  }

  flagsOfLogic(width: Width, result: Slot): void {
    this.words[Word.RFLAGS] =
      (this.words[Word.RFLAGS] & ~STATUS_FLAGS) |
      flagsOfResult(width, this.words[result], this.words[result + 1]);
  }

  condition(code: number): boolean {
    return conditionHolds(this.words[Word.RFLAGS], code);
  }
}

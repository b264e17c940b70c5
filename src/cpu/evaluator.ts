// The domain of concrete values: evaluating an instruction's meaning here executes it. A value is
// the index of two words, low and high half, in the scratch room behind the processor's state;
// indexes are handed out in order and all taken back when the next instruction begins, so nothing
// is allocated. A truth value is a boolean.

import Long from 'long';
import type {
  Division,
  Domain,
  Flag,
  Instruction,
  MemoryOperand,
  Operand,
  RaisedVector,
  SystemFunction,
  Width,
} from '../isa/index.ts';
import { Segment } from '../isa/index.ts';
import type { PhysicalMemory } from '../memory/index.ts';
import { countOnes } from './bit-loops.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical, type Mmu } from './mmu.ts';
import { type ProcessorState, Rflags, SCRATCH_WORD, SEGMENT_WORDS, Word } from './state.ts';
import {
  carryOfAdd,
  carryOfSub,
  conditionHolds,
  flagsOfResult,
  STATUS_FLAGS,
} from './status-flags.ts';
import { Access } from './virtualization.ts';
import { divide, multiply64, multiply64Signed, toBigInt, type WidePair } from './wide.ts';

type Slot = number;

/** What {@link Evaluator.call} reaches: the system functions of the processor. */
export type SystemCall = (name: SystemFunction, args: readonly Long[]) => Long;

export class Evaluator implements Domain<Slot, boolean> {
  readonly stackWidth: Width = 64;
  instruction!: Instruction;
  /** Where execution continues, as two halves. */
  nextLow = 0;
  nextHigh = 0;
  /** Set when the meaning said `again`. */
  unfinished = false;
  private inFlight = false;
  private used = SCRATCH_WORD;
  private rspLow = 0;
  private rspHigh = 0;
  private linearLow = 0;
  private linearHigh = 0;
  private readonly words: Int32Array;
  private readonly view: DataView;
  private readonly watchedLines: Uint8Array;
  private readonly memory: PhysicalMemory;
  private readonly mmu: Mmu;
  private readonly system: SystemCall;

  constructor(memory: PhysicalMemory, state: ProcessorState, mmu: Mmu, system: SystemCall) {
    this.memory = memory;
    this.view = memory.view;
    this.watchedLines = memory.watchedLines;
    this.words = state.words;
    this.mmu = mmu;
    this.system = system;
  }

  /** Get ready for an instruction at the current RIP. */
  begin(instruction: Instruction, lengthBytes: number): void {
    this.instruction = instruction;
    this.used = SCRATCH_WORD;
    this.unfinished = false;
    this.inFlight = true;
    this.rspLow = this.words[Word.RSP];
    this.rspHigh = this.words[Word.RSP + 1];
    const low = this.words[Word.RIP];
    const sum = (low >>> 0) + lengthBytes;
    this.nextLow = sum | 0;
    this.nextHigh =
      sum > 0xffffffff ? (this.words[Word.RIP + 1] + 1) | 0 : this.words[Word.RIP + 1];
  }

  /** The instruction is complete: continue at what it said comes next. */
  commit(): void {
    this.words[Word.RIP] = this.nextLow;
    this.words[Word.RIP + 1] = this.nextHigh;
    this.inFlight = false;
  }

  /**
   * Undo what an instruction that does not complete did to RSP; it does nothing else early. False
   * if none was being executed.
   */
  abandon(): boolean {
    if (!this.inFlight) return false;
    this.words[Word.RSP] = this.rspLow;
    this.words[Word.RSP + 1] = this.rspHigh;
    this.inFlight = false;
    return true;
  }

  /** A system function has set RIP itself. */
  continueAtRip(): void {
    this.nextLow = this.words[Word.RIP];
    this.nextHigh = this.words[Word.RIP + 1];
  }

  private make(low: number, high: number): Slot {
    const slot = this.used;
    this.used = slot + 2;
    this.words[slot] = low;
    this.words[slot + 1] = high;
    return slot;
  }

  /** A value cut to `width` bits. */
  private cut(width: Width, low: number, high: number): Slot {
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

  private fromLong(value: Long): Slot {
    return this.make(value.low, value.high);
  }

  private toLong(x: Slot): Long {
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
    return this.cut(width, this.words[x], this.words[x + 1]);
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

  // Operands and registers

  read(operand: Operand): Slot {
    switch (operand.kind) {
      case 'register':
        if (operand.high) return this.make((this.words[2 * operand.number] >> 8) & 255, 0);
        return this.register(operand.width, operand.number);
      case 'immediate':
        return this.fromLong(operand.value);
      case 'memory':
        return this.load(operand.width as Width, operand.segment, this.effective(operand));
      case 'relative': {
        const sum = (this.nextLow >>> 0) + operand.displacement;
        return this.make(sum | 0, (this.nextHigh + Math.floor(sum / 2 ** 32)) | 0);
      }
      case 'pointer':
        throw new TypeError('a pointer is read in parts');
    }
  }

  modify(operand: Operand): Slot {
    if (operand.kind !== 'memory') return this.read(operand);
    return this.loadForWrite(operand.width as Width, operand.segment, this.effective(operand));
  }

  write(operand: Operand, value: Slot): void {
    if (operand.kind === 'register') {
      if (!operand.high) {
        this.setRegister(operand.width, operand.number, value);
        return;
      }
      const at = 2 * operand.number;
      const byte = (this.words[value] & 255) << 8;
      this.words[at] = (this.words[at] & ~0xff00) | byte;
    } else if (operand.kind === 'memory') {
      this.store(operand.width as Width, operand.segment, this.effective(operand), value);
    } else throw new TypeError(`cannot write to a ${operand.kind} operand`);
  }

  address(operand: Operand): Slot {
    if (operand.kind !== 'memory') throw new TypeError(`a ${operand.kind} operand has no address`);
    return this.effective(operand);
  }

  /** What an operand of the current instruction holds. */
  valueOf(operand: Operand): Long {
    return this.toLong(this.read(operand));
  }

  /** The linear address that a memory operand of the current instruction names. */
  linearAddress(operand: Operand): Long {
    const offset = this.address(operand);
    this.linear(operand.kind === 'memory' ? operand.segment : Segment.DS, offset);
    return Long.fromBits(this.linearLow, this.linearHigh);
  }

  align(operand: Operand, bytes: number): void {
    if ((this.linearAddress(operand).low & (bytes - 1)) !== 0) throw new GuestFault(Vector.GP, 0);
  }

  private effective(operand: MemoryOperand): Slot {
    let { low, high } = operand.displacement;
    if (operand.base >= 0) {
      const sum = (low >>> 0) + (this.words[2 * operand.base] >>> 0);
      high += this.words[2 * operand.base + 1] + (sum > 0xffffffff ? 1 : 0);
      low = sum | 0;
    } else if (operand.ripRelative) {
      const sum = (low >>> 0) + (this.nextLow >>> 0);
      high += this.nextHigh + (sum > 0xffffffff ? 1 : 0);
      low = sum | 0;
    }
    if (operand.index >= 0) {
      const indexLow = this.words[2 * operand.index];
      const indexHigh = this.words[2 * operand.index + 1];
      const { scale } = operand;
      const sum = (low >>> 0) + ((indexLow << scale) >>> 0);
      const spilled = scale === 0 ? 0 : indexLow >>> (32 - scale);
      high += ((indexHigh << scale) | spilled) + (sum > 0xffffffff ? 1 : 0);
      low = sum | 0;
    }
    return this.make(low, operand.addressWidth === 32 ? 0 : high);
  }

  register(width: Width, number: number): Slot {
    return this.cut(width, this.words[2 * number], this.words[2 * number + 1]);
  }

  setRegister(width: Width, number: number, value: Slot): void {
    const at = 2 * number;
    const low = this.words[value];
    if (width === 64) {
      this.words[at] = low;
      this.words[at + 1] = this.words[value + 1];
    } else if (width === 32) {
      this.words[at] = low;
      this.words[at + 1] = 0;
    } else {
      const mask = (1 << width) - 1;
      this.words[at] = (this.words[at] & ~mask) | (low & mask);
    }
  }

  // Memory

  load(width: Width, segment: number, offset: Slot): Slot {
    return this.loadAs(width, segment, offset, Access.READ);
  }

  loadForWrite(width: Width, segment: number, offset: Slot): Slot {
    return this.loadAs(width, segment, offset, Access.WRITE);
  }

  private loadAs(width: Width, segment: number, offset: Slot, access: 0 | 1): Slot {
    this.linear(segment, offset);
    const low = this.linearLow;
    const high = this.linearHigh;
    const stack = segment === Segment.SS;
    const hpa = this.mmu.locate(low, high, width >> 3, access, stack);
    if (hpa < 0) {
      if (access === Access.WRITE) this.mmu.probeWrite(low, high, width >> 3, stack);
      return this.fromLong(this.mmu.read(low, high, width >> 3, stack));
    }
    switch (width) {
      case 64:
        return this.make(this.view.getInt32(hpa, true), this.view.getInt32(hpa + 4, true));
      case 32:
        return this.make(this.view.getInt32(hpa, true), 0);
      case 16:
        return this.make(this.view.getUint16(hpa, true), 0);
      case 8:
        return this.make(this.view.getUint8(hpa), 0);
    }
  }

  store(width: Width, segment: number, offset: Slot, value: Slot): void {
    this.linear(segment, offset);
    const low = this.linearLow;
    const high = this.linearHigh;
    const bytes = width >> 3;
    const hpa = this.mmu.locate(low, high, bytes, Access.WRITE, segment === Segment.SS);
    if (hpa < 0) {
      this.mmu.write(low, high, bytes, this.toLong(value), segment === Segment.SS);
      return;
    }
    const valueLow = this.words[value];
    switch (width) {
      case 64:
        this.view.setInt32(hpa, valueLow, true);
        this.view.setInt32(hpa + 4, this.words[value + 1], true);
        break;
      case 32:
        this.view.setInt32(hpa, valueLow, true);
        break;
      case 16:
        this.view.setInt16(hpa, valueLow, true);
        break;
      case 8:
        this.view.setInt8(hpa, valueLow);
    }
    const watched = this.watchedLines;
    if ((watched[hpa >>> 6] | watched[(hpa + bytes - 1) >>> 6]) !== 0) {
      this.memory.tellWatchers(hpa, bytes);
    }
  }

  /** Add the segment base: in 64-bit mode only FS and GS have one. */
  private linear(segment: number, offset: Slot): void {
    const low = this.words[offset];
    const high = this.words[offset + 1];
    if (segment < Segment.FS) {
      this.linearLow = low;
      this.linearHigh = high;
      return;
    }
    const base = segment === Segment.FS ? FS_BASE : GS_BASE;
    const sum = (low >>> 0) + (this.words[base] >>> 0);
    this.linearLow = sum | 0;
    this.linearHigh = (high + this.words[base + 1] + (sum > 0xffffffff ? 1 : 0)) | 0;
  }

  // Control

  when(condition: boolean, then: () => void, otherwise?: () => void): void {
    if (condition) then();
    else if (otherwise !== undefined) otherwise();
  }

  next(): Slot {
    return this.make(this.nextLow, this.nextHigh);
  }

  jump(target: Slot): void {
    const high = this.words[target + 1];
    if (!isCanonical(high)) throw new GuestFault(Vector.GP, 0);
    this.nextLow = this.words[target];
    this.nextHigh = high;
  }

  again(): void {
    this.unfinished = true;
    this.nextLow = this.words[Word.RIP];
    this.nextHigh = this.words[Word.RIP + 1];
  }

  raise(vector: RaisedVector): void {
    throw new GuestFault(Vector[vector], vector === 'GP' ? 0 : null);
  }

  call(name: SystemFunction, ...args: Slot[]): Slot {
    return this.fromLong(
      this.system(
        name,
        args.map((arg) => this.toLong(arg)),
      ),
    );
  }
}

const FS_BASE = SEGMENT_WORDS[Segment.FS].base;
const GS_BASE = SEGMENT_WORDS[Segment.GS].base;

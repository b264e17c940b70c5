// SDM 2: bitwise logic, shifts, rotates, bit tests and bit scans.

import { asMemory, type Domain, Flag, type Meaning } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { type Form, instruction } from '../notation.ts';
import type { Width } from '../registers.ts';
import { binaryForms, unaryForms } from './forms.ts';

type Combine = <V, B>(d: Domain<V, B>, x: V, y: V) => V;

function logic(combine: Combine): Meaning {
  return (d, dst, src) => {
    const result = combine(d, d.modify(dst), d.read(src));
    d.write(dst, result);
    d.flagsOfLogic(d.instruction.width, result);
  };
}

const not: Meaning = (d, dst) => d.write(dst, d.not(d.instruction.width, d.modify(dst)));

const test: Meaning = (d, first, second) =>
  d.flagsOfLogic(d.instruction.width, d.and(d.read(first), d.read(second)));

/** The count operand, reduced to five bits, or six for 64-bit operands. */
function shiftCount<V, B>(d: Domain<V, B>, operand: Operand): V {
  const mask = d.instruction.width === 64 ? 63 : 31;
  return d.and(d.truncate(8, d.read(operand)), d.constant(8, mask));
}

/** OF of a shift or rotation to the left: whether one bit further would change the sign of `x`. */
function signChanges<V, B>(d: Domain<V, B>, w: Width, x: V): B {
  return d.differ(d.bit(x, w - 1), d.bit(x, w - 2));
}

/**
 * OF is defined for counts of 1 only; with higher counts it comes out as on Intel's processors,
 * which compute it as for a count of 1. AF, too, is cleared by their shifts.
 */
interface Shifted<V, B> {
  readonly result: V;
  readonly carry: B;
  readonly overflow: B;
}

type Shift = <V, B>(d: Domain<V, B>, w: Width, x: V, count: V) => Shifted<V, B>;

/** SHL, SHR, SAR: a count of 0 leaves the flags alone. AF is cleared. */
function shift(compute: Shift): Meaning {
  return (d, dst, amount) => {
    const w = d.instruction.width;
    const x = d.modify(dst);
    const count = shiftCount(d, amount);
    const { result, carry, overflow } = compute(d, w, x, count);
    d.write(dst, result);
    d.when(d.negate(d.isZero(count)), () => {
      d.flagsOfLogic(w, result);
      d.setFlag(Flag.CF, carry);
      d.setFlag(Flag.OF, overflow);
    });
  };
}

/**
 * ROL and ROR: only CF and OF change, and only if the masked count is not 0. Where the count is an
 * immediate other than 1 OF is undefined; on Intel's processors it stays if a register is rotated.
 */
function rotate(compute: Shift): Meaning {
  return (d, dst, amount) => {
    const w = d.instruction.width;
    const x = d.modify(dst);
    const count = shiftCount(d, amount);
    const { result, carry, overflow } = compute(d, w, x, count);
    d.write(dst, result);
    const mayKeep = amount.kind === 'immediate' && dst.kind === 'register';
    d.when(d.negate(d.isZero(count)), () => {
      d.setFlag(Flag.CF, carry);
      if (!mayKeep) d.setFlag(Flag.OF, overflow);
      else d.when(d.equal(count, d.constant(8, 1)), () => d.setFlag(Flag.OF, overflow));
    });
  };
}

/** RCL and RCR rotate one of width + 1 bits; flags change if the count modulo that is not 0. */
function rotateThroughCarry(compute: Shift): Meaning {
  return (d, dst, amount) => {
    const w = d.instruction.width;
    const x = d.modify(dst);
    const masked = shiftCount(d, amount);
    const count = w > 16 ? masked : remainder(d, masked, w + 1);
    const { result, carry, overflow } = compute(d, w, x, count);
    const some = d.negate(d.isZero(count));
    d.write(dst, d.select(some, result, x));
    d.when(some, () => {
      d.setFlag(Flag.CF, carry);
      d.setFlag(Flag.OF, overflow);
    });
  };
}

function remainder<V, B>(d: Domain<V, B>, x: V, modulus: number): V {
  return d.divide(8, d.constant(8, 0), x, d.constant(8, modulus)).remainder;
}

// A count beyond the width comes out of `sub` as a huge one, and shifting by it gives 0.
const fromTop = <V, B>(d: Domain<V, B>, w: Width, count: V) => d.sub(8, d.constant(8, w), count);
const minusOne = <V, B>(d: Domain<V, B>, count: V) => d.sub(8, count, d.constant(8, 1));

const shl: Shift = (d, w, x, count) => {
  const result = d.shiftLeft(w, x, count);
  const carry = d.bit(d.shiftRight(x, fromTop(d, w, count)), 0);
  return { result, carry, overflow: signChanges(d, w, x) };
};

const shr: Shift = (d, w, x, count) => ({
  result: d.shiftRight(x, count),
  carry: d.bit(d.shiftRight(x, minusOne(d, count)), 0),
  overflow: d.bit(x, w - 1),
});

const sar: Shift = (d, w, x, count) => ({
  result: d.shiftRightSigned(w, x, count),
  carry: d.bit(d.shiftRightSigned(w, x, minusOne(d, count)), 0),
  overflow: d.bit(d.constant(8, 0), 0),
});

const rol: Shift = (d, w, x, masked) => {
  const count = d.and(masked, d.constant(8, w - 1));
  const result = d.or(d.shiftLeft(w, x, count), d.shiftRight(x, fromTop(d, w, count)));
  return { result, carry: d.bit(result, 0), overflow: signChanges(d, w, x) };
};

const ror: Shift = (d, w, x, masked) => {
  const count = d.and(masked, d.constant(8, w - 1));
  const result = d.or(d.shiftRight(x, count), d.shiftLeft(w, x, fromTop(d, w, count)));
  const carry = d.bit(result, w - 1);
  return { result, carry, overflow: d.differ(d.bit(x, w - 1), d.bit(x, 0)) };
};

const rcl: Shift = (d, w, x, count) => {
  const cf = d.fromCondition(d.flag(Flag.CF));
  const fromCarry = d.shiftLeft(w, cf, minusOne(d, count));
  const wrapped = d.shiftRight(x, d.sub(8, d.constant(8, w + 1), count));
  const result = d.or(d.or(d.shiftLeft(w, x, count), fromCarry), wrapped);
  const carry = d.bit(d.shiftRight(x, fromTop(d, w, count)), 0);
  return { result, carry, overflow: signChanges(d, w, x) };
};

const rcr: Shift = (d, w, x, count) => {
  const cf = d.fromCondition(d.flag(Flag.CF));
  const fromCarry = d.shiftLeft(w, cf, fromTop(d, w, count));
  const wrapped = d.shiftLeft(w, x, d.sub(8, d.constant(8, w + 1), count));
  const result = d.or(d.or(d.shiftRight(x, count), fromCarry), wrapped);
  const carry = d.bit(d.shiftRight(x, minusOne(d, count)), 0);
  return { result, carry, overflow: d.differ(d.bit(x, w - 1), d.flag(Flag.CF)) };
};

/**
 * SHLD and SHRD: the vacated bits come from `fill`. With 16 bits and a count above 16 the result is
 * undefined; it comes out as on Intel's processors, which shift x:y:x.
 */
function doubleShift(left: boolean): Meaning {
  return (d, dst, fill, amount) => {
    const w = d.instruction.width;
    const x = d.modify(dst);
    const y = d.read(fill);
    const count = shiftCount(d, amount);
    const { result, out } =
      w === 16 ? shiftTriple(d, left, x, y, count) : shiftPair(d, left, x, y, count);
    const some = d.negate(d.isZero(count));
    d.write(dst, d.select(some, result, x));
    d.when(some, () => {
      d.flagsOfLogic(w, result);
      d.setFlag(Flag.CF, d.bit(out, 0));
      const entering = d.differ(d.bit(x, w - 1), d.bit(y, 0));
      d.setFlag(Flag.OF, left ? signChanges(d, w, x) : entering);
    });
  };
}

interface DoubleShifted<V> {
  readonly result: V;
  /** Its bit 0 is the last bit shifted out. */
  readonly out: V;
}

function shiftPair<V, B>(d: Domain<V, B>, left: boolean, x: V, y: V, count: V): DoubleShifted<V> {
  const w = d.instruction.width;
  const rest = fromTop(d, w, count);
  if (left) {
    const result = d.or(d.shiftLeft(w, x, count), d.shiftRight(y, rest));
    return { result, out: d.shiftRight(x, rest) };
  }
  const result = d.or(d.shiftRight(x, count), d.shiftLeft(w, y, rest));
  return { result, out: d.shiftRight(x, minusOne(d, count)) };
}

function shiftTriple<V, B>(d: Domain<V, B>, left: boolean, x: V, y: V, count: V): DoubleShifted<V> {
  const at = (value: V, position: number) => d.shiftLeft(64, value, d.constant(8, position));
  const triple = d.or(d.or(at(x, 32), at(y, 16)), x);
  if (left) {
    const shifted = d.shiftLeft(64, triple, count);
    const down = (by: number) => d.shiftRight(shifted, d.constant(8, by));
    return { result: d.truncate(16, down(32)), out: down(48) };
  }
  const result = d.truncate(16, d.shiftRight(triple, count));
  return { result, out: d.shiftRight(triple, minusOne(d, count)) };
}

function shiftForms(digit: number): Form[] {
  return [
    ['r/m8, 1', `D0 /${digit}`],
    ['r/m8, CL', `D2 /${digit}`],
    ['r/m8, imm8', `C0 /${digit} ib`],
    ['r/m16|32|64, 1', `D1 /${digit}`],
    ['r/m16|32|64, CL', `D3 /${digit}`],
    ['r/m16|32|64, imm8', `C1 /${digit} ib`],
  ];
}

function doubleShiftForms(opcode: number): Form[] {
  return [
    ['r/m16|32|64, r16|32|64, imm8', `0F ${opcode.toString(16).toUpperCase()} /r ib`],
    ['r/m16|32|64, r16|32|64, CL', `0F ${(opcode + 1).toString(16).toUpperCase()} /r`],
  ];
}

type BitChange = (<V, B>(d: Domain<V, B>, x: V, mask: V) => V) | null;

/**
 * BT, BTS, BTR, BTC. With a register as index and memory as base the index counts through memory
 * in both directions; otherwise it is taken modulo the operand size.
 */
function bitTest(change: BitChange): Meaning {
  return (d, base, index) => {
    const w = d.instruction.width;
    const number = d.read(index);
    const within = d.and(number, d.constant(w, w - 1));
    const mask = d.shiftLeft(w, d.constant(w, 1), within);
    const finish = (x: typeof number) => d.setFlag(Flag.CF, d.bit(d.shiftRight(x, within), 0));
    if (base.kind !== 'memory' || index.kind === 'immediate') {
      const x = change === null ? d.read(base) : d.modify(base);
      if (change !== null) d.write(base, change(d, x, mask));
      finish(x);
      return;
    }
    const memory = asMemory(base);
    const wordShift = d.constant(8, Math.log2(w));
    const words = d.signExtend(w, 64, d.shiftRightSigned(w, number, wordShift));
    const distance = d.shiftLeft(64, words, d.constant(8, Math.log2(w / 8)));
    const offset = d.truncate(memory.addressWidth, d.add(64, d.address(memory), distance));
    if (change === null) {
      finish(d.load(w, memory.segment, offset));
      return;
    }
    const x = d.loadForWrite(w, memory.segment, offset);
    d.store(w, memory.segment, offset, change(d, x, mask));
    finish(x);
  };
}

function bitTestForms(opcode: string, digit: number): Form[] {
  return [
    ['r/m16|32|64, r16|32|64', `0F ${opcode} /r`],
    ['r/m16|32|64, imm8', `0F BA /${digit} ib`],
  ];
}

/**
 * BSF and BSR: a source of 0 sets ZF and leaves the destination unchanged, as Intel's parts do. On
 * them PF, which is undefined, is that of the number found, and the other flags are cleared.
 */
function bitScan(lowest: boolean): Meaning {
  return (d, dst, src) => {
    const w = d.instruction.width;
    const x = d.read(src);
    const zero = d.isZero(x);
    const found = lowest ? d.lowestBit(x) : d.highestBit(x);
    d.when(d.negate(zero), () => d.write(dst, found));
    d.flagsOfLogic(w, d.select(zero, d.constant(w, 0), found));
    d.setFlag(Flag.ZF, zero);
  };
}

/**
 * LZCNT and TZCNT: a source of 0 gives the width and sets CF. The undefined flags are cleared, as
 * on Intel's processors.
 */
function countZeros(leading: boolean): Meaning {
  return (d, dst, src) => {
    const w = d.instruction.width;
    const x = d.read(src);
    const zero = d.isZero(x);
    const found = leading ? d.sub(w, d.constant(w, w - 1), d.highestBit(x)) : d.lowestBit(x);
    const count = d.select(zero, d.constant(w, w), found);
    d.write(dst, count);
    clearStatus(d);
    d.setFlag(Flag.ZF, d.isZero(count));
    d.setFlag(Flag.CF, zero);
  };
}

/** Of all numbers, 1 is one that is neither 0 nor negative nor has an even number of ones. */
function clearStatus<V, B>(d: Domain<V, B>): void {
  d.flagsOfLogic(8, d.constant(8, 1));
}

/** ZF says that the source is 0; all other status flags are cleared. */
const popcnt: Meaning = (d, dst, src) => {
  const x = d.read(src);
  d.write(dst, d.countOnes(x));
  clearStatus(d);
  d.setFlag(Flag.ZF, d.isZero(x));
};

const and: Combine = (d, x, y) => d.and(x, y);
const or: Combine = (d, x, y) => d.or(x, y);
const xor: Combine = (d, x, y) => d.xor(x, y);
const clearBit: BitChange = (d, x, mask) => d.and(x, d.not(d.instruction.width, mask));

export const logicAndBits = [
  ...instruction('OR', 'Logical inclusive OR', { lock: true }, logic(or), binaryForms(0x08)),
  ...instruction('AND', 'Logical AND', { lock: true }, logic(and), binaryForms(0x20)),
  ...instruction('XOR', 'Logical exclusive OR', { lock: true }, logic(xor), binaryForms(0x30)),
  ...instruction('NOT', "One's complement", { lock: true }, not, unaryForms('F6', 'F7', 2)),
  ...instruction('TEST', 'Logical compare', {}, test, [
    ['r/m8, r8', '84 /r'],
    ['r/m16|32|64, r16|32|64', '85 /r'],
    ['AL, imm8', 'A8 ib'],
    ['AX|EAX|RAX, imm16|32|32', 'A9 iw|id|id'],
    ['r/m8, imm8', 'F6 /0 ib'],
    ['r/m16|32|64, imm16|32|32', 'F7 /0 iw|id|id'],
  ]),
  ...instruction('ROL', 'Rotate left', {}, rotate(rol), shiftForms(0)),
  ...instruction('ROR', 'Rotate right', {}, rotate(ror), shiftForms(1)),
  ...instruction('RCL', 'Rotate left through carry', {}, rotateThroughCarry(rcl), shiftForms(2)),
  ...instruction('RCR', 'Rotate right through carry', {}, rotateThroughCarry(rcr), shiftForms(3)),
  ...instruction('SHL', 'Shift left', {}, shift(shl), shiftForms(4)),
  ...instruction('SAL', 'Shift left', {}, shift(shl), [
    ...shiftForms(4).map((form): Form => [form[0], form[1], { encodeOnly: true }]),
    // /6 does the same on every processor, though the SDM does not list it.
    ...shiftForms(6),
  ]),
  ...instruction('SHR', 'Logical shift right', {}, shift(shr), shiftForms(5)),
  ...instruction('SAR', 'Arithmetic shift right', {}, shift(sar), shiftForms(7)),
  ...instruction(
    'SHLD',
    'Double precision shift left',
    {},
    doubleShift(true),
    doubleShiftForms(0xa4),
  ),
  ...instruction(
    'SHRD',
    'Double precision shift right',
    {},
    doubleShift(false),
    doubleShiftForms(0xac),
  ),
  ...instruction('BT', 'Bit test', {}, bitTest(null), bitTestForms('A3', 4)),
  ...instruction('BTS', 'Bit test and set', { lock: true }, bitTest(or), bitTestForms('AB', 5)),
  ...instruction(
    'BTR',
    'Bit test and reset',
    { lock: true },
    bitTest(clearBit),
    bitTestForms('B3', 6),
  ),
  ...instruction(
    'BTC',
    'Bit test and complement',
    { lock: true },
    bitTest(xor),
    bitTestForms('BB', 7),
  ),
  ...instruction('TZCNT', 'Count trailing zeros', {}, countZeros(false), [
    ['r16|32|64, r/m16|32|64', 'F3 0F BC /r'],
  ]),
  ...instruction('LZCNT', 'Count leading zeros', {}, countZeros(true), [
    ['r16|32|64, r/m16|32|64', 'F3 0F BD /r'],
  ]),
  ...instruction('POPCNT', 'Count bits set to 1', {}, popcnt, [
    ['r16|32|64, r/m16|32|64', 'F3 0F B8 /r'],
  ]),
  ...instruction('BSF', 'Bit scan forward', {}, bitScan(true), [
    ['r16|32|64, r/m16|32|64', '0F BC /r'],
  ]),
  ...instruction('BSR', 'Bit scan reverse', {}, bitScan(false), [
    ['r16|32|64, r/m16|32|64', '0F BD /r'],
  ]),
];

/** /1 does the same as /0 on every processor, though the SDM does not list it. */
export const testAliases = instruction('TEST', 'Logical compare', {}, test, [
  ['r/m8, imm8', 'F6 /1 ib'],
  ['r/m16|32|64, imm16|32|32', 'F7 /1 iw|id|id'],
]);

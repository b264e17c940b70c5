// SDM 2: integer addition, subtraction, comparison, multiplication, division and sign extension.

import { asMemory, type Domain, Flag, type Meaning } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { type Form, instruction } from '../notation.ts';
import { Gpr, type Width } from '../registers.ts';
import { binaryForms, unaryForms } from './forms.ts';

function carry<V, B>(d: Domain<V, B>): V {
  return d.fromCondition(d.flag(Flag.CF));
}

const add: Meaning = (d, dst, src) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const y = d.read(src);
  const sum = d.add(w, x, y);
  d.write(dst, sum);
  d.flagsOfAdd(w, x, y, sum);
};

const adc: Meaning = (d, dst, src) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const y = d.read(src);
  const sum = d.add(w, d.add(w, x, y), carry(d));
  d.write(dst, sum);
  d.flagsOfAdd(w, x, y, sum);
};

const sub: Meaning = (d, dst, src) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const y = d.read(src);
  const difference = d.sub(w, x, y);
  d.write(dst, difference);
  d.flagsOfSub(w, x, y, difference);
};

const sbb: Meaning = (d, dst, src) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const y = d.read(src);
  const difference = d.sub(w, d.sub(w, x, y), carry(d));
  d.write(dst, difference);
  d.flagsOfSub(w, x, y, difference);
};

const cmp: Meaning = (d, first, second) => {
  const w = d.instruction.width;
  const x = d.read(first);
  const y = d.read(second);
  d.flagsOfSub(w, x, y, d.sub(w, x, y));
};

/** INC and DEC leave CF alone. */
const inc: Meaning = (d, dst) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const one = d.constant(w, 1);
  const sum = d.add(w, x, one);
  d.write(dst, sum);
  const cf = d.flag(Flag.CF);
  d.flagsOfAdd(w, x, one, sum);
  d.setFlag(Flag.CF, cf);
};

const dec: Meaning = (d, dst) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const one = d.constant(w, 1);
  const difference = d.sub(w, x, one);
  d.write(dst, difference);
  const cf = d.flag(Flag.CF);
  d.flagsOfSub(w, x, one, difference);
  d.setFlag(Flag.CF, cf);
};

const neg: Meaning = (d, dst) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const zero = d.constant(w, 0);
  const difference = d.sub(w, zero, x);
  d.write(dst, difference);
  d.flagsOfSub(w, zero, x, difference);
};

/**
 * CF and OF say whether the product needed its high half. SF, ZF, AF and PF are undefined; on
 * Intel's processors SF and PF are those of the low half, ZF and AF are cleared.
 */
function setOverflow<V, B>(d: Domain<V, B>, w: Width, low: V, overflow: B): void {
  d.flagsOfLogic(w, low);
  d.setFlag(Flag.ZF, d.bit(d.constant(8, 0), 0));
  d.setFlag(Flag.CF, overflow);
  d.setFlag(Flag.OF, overflow);
}

/** Write high:low to AX (bytes) or rDX:rAX. */
function setDouble<V, B>(d: Domain<V, B>, w: Width, high: V, low: V): void {
  if (w === 8) {
    d.setRegister(16, Gpr.RAX, d.or(d.shiftLeft(16, high, d.constant(8, 8)), low));
  } else {
    d.setRegister(w, Gpr.RAX, low);
    d.setRegister(w, Gpr.RDX, high);
  }
}

const mul: Meaning = (d, src) => {
  const w = d.instruction.width;
  const x = d.register(w, Gpr.RAX);
  const y = d.read(src);
  const low = d.multiply(w, x, y);
  const high = d.multiplyHigh(w, x, y);
  setDouble(d, w, high, low);
  setOverflow(d, w, low, d.negate(d.isZero(high)));
};

/** True if high:low is not the sign extension of low. */
function signedOverflow<V, B>(d: Domain<V, B>, w: Width, high: V, low: V): B {
  const sign = d.shiftRightSigned(w, low, d.constant(8, w - 1));
  return d.negate(d.equal(high, sign));
}

const imul: Meaning = (d, src) => {
  const w = d.instruction.width;
  const x = d.register(w, Gpr.RAX);
  const y = d.read(src);
  const low = d.multiply(w, x, y);
  const high = d.multiplyHighSigned(w, x, y);
  setDouble(d, w, high, low);
  setOverflow(d, w, low, signedOverflow(d, w, high, low));
};

function imulInto<V, B>(d: Domain<V, B>, dst: Operand, x: V, y: V): void {
  const w = d.instruction.width;
  const low = d.multiply(w, x, y);
  const high = d.multiplyHighSigned(w, x, y);
  d.write(dst, low);
  setOverflow(d, w, low, signedOverflow(d, w, high, low));
}

/** The dividend: AX for bytes, rDX:rAX otherwise. */
function dividend<V, B>(d: Domain<V, B>, w: Width): { high: V; low: V } {
  if (w !== 8) return { high: d.register(w, Gpr.RDX), low: d.register(w, Gpr.RAX) };
  const ax = d.register(16, Gpr.RAX);
  return { high: d.shiftRight(ax, d.constant(8, 8)), low: d.truncate(8, ax) };
}

const div: Meaning = (d, src) => {
  const w = d.instruction.width;
  const divisor = d.read(src);
  const { high, low } = dividend(d, w);
  const { quotient, remainder } = d.divide(w, high, low, divisor);
  setDouble(d, w, remainder, quotient);
};

const idiv: Meaning = (d, src) => {
  const w = d.instruction.width;
  const divisor = d.read(src);
  const { high, low } = dividend(d, w);
  const { quotient, remainder } = d.divideSigned(w, high, low, divisor);
  setDouble(d, w, remainder, quotient);
};

const xadd: Meaning = (d, dst, src) => {
  const w = d.instruction.width;
  const x = d.modify(dst);
  const y = d.read(src);
  const sum = d.add(w, x, y);
  // Memory first, for it may fault. XADD of a register with itself leaves the sum.
  if (dst.kind === 'memory') {
    d.write(dst, sum);
    d.write(src, x);
  } else {
    d.write(src, x);
    d.write(dst, sum);
  }
  d.flagsOfAdd(w, x, y, sum);
};

const cmpxchg: Meaning = (d, dst, src) => {
  const w = d.instruction.width;
  const old = d.modify(dst);
  const accumulator = d.register(w, Gpr.RAX);
  const equal = d.equal(accumulator, old);
  // Memory is written in both cases, so a read-only page faults in both; a register is not.
  if (dst.kind === 'memory') d.write(dst, d.select(equal, d.read(src), old));
  else d.when(equal, () => d.write(dst, d.read(src)));
  d.when(d.negate(equal), () => d.setRegister(w, Gpr.RAX, old));
  d.flagsOfSub(w, accumulator, old, d.sub(w, accumulator, old));
};

/** Two registers of 32 bits as one number. */
function pairOf<V, B>(d: Domain<V, B>, high: number, low: number): V {
  const upper = d.shiftLeft(64, d.register(32, high), d.constant(8, 32));
  return d.or(upper, d.register(32, low));
}

/** EDX:EAX is compared, ECX:EBX stored. Memory is written in both cases; of the flags only ZF. */
const cmpxchg8b: Meaning = (d, dst) => {
  const old = d.modify(dst);
  const equal = d.equal(pairOf(d, Gpr.RDX, Gpr.RAX), old);
  d.write(dst, d.select(equal, pairOf(d, Gpr.RCX, Gpr.RBX), old));
  d.when(d.negate(equal), () => {
    d.setRegister(32, Gpr.RAX, d.truncate(32, old));
    d.setRegister(32, Gpr.RDX, d.shiftRight(old, d.constant(8, 32)));
  });
  d.setFlag(Flag.ZF, equal);
};

/** As CMPXCHG8B with registers of 64 bits. The halves lie in one page, for they are aligned. */
const cmpxchg16b: Meaning = (d, dst) => {
  const { segment, addressWidth } = asMemory(dst);
  d.align(dst, 16);
  const low = d.address(dst);
  const high = d.add(addressWidth, low, d.constant(addressWidth, 8));
  const oldLow = d.loadForWrite(64, segment, low);
  const oldHigh = d.loadForWrite(64, segment, high);
  const isLow = d.equal(d.register(64, Gpr.RAX), oldLow);
  const equal = d.both(isLow, d.equal(d.register(64, Gpr.RDX), oldHigh));
  d.store(64, segment, low, d.select(equal, d.register(64, Gpr.RBX), oldLow));
  d.store(64, segment, high, d.select(equal, d.register(64, Gpr.RCX), oldHigh));
  d.when(d.negate(equal), () => {
    d.setRegister(64, Gpr.RAX, oldLow);
    d.setRegister(64, Gpr.RDX, oldHigh);
  });
  d.setFlag(Flag.ZF, equal);
};

const half = (w: Width): Width => (w === 16 ? 8 : w === 32 ? 16 : 32);

const IMUL_FORMS: Form[] = [
  ['r16|32|64, r/m16|32|64, imm8', '6B /r ib'],
  ['r16|32|64, r/m16|32|64, imm16|32|32', '69 /r iw|id|id'],
];

export const arithmetic = [
  ...instruction('ADD', 'Add', { lock: true }, add, binaryForms(0x00)),
  ...instruction('ADC', 'Add with carry', { lock: true }, adc, binaryForms(0x10)),
  ...instruction('SBB', 'Subtract with borrow', { lock: true }, sbb, binaryForms(0x18)),
  ...instruction('SUB', 'Subtract', { lock: true }, sub, binaryForms(0x28)),
  ...instruction('CMP', 'Compare two operands', {}, cmp, binaryForms(0x38)),
  ...instruction('INC', 'Increment by 1', { lock: true }, inc, [
    ...unaryForms('FE', 'FF', 0),
    ['r16|32', '40+r', { not64: true }],
  ]),
  ...instruction('DEC', 'Decrement by 1', { lock: true }, dec, [
    ...unaryForms('FE', 'FF', 1),
    ['r16|32', '48+r', { not64: true }],
  ]),
  ...instruction(
    'NEG',
    "Two's complement negation",
    { lock: true },
    neg,
    unaryForms('F6', 'F7', 3),
  ),
  ...instruction('MUL', 'Unsigned multiply', { cost: 'multiply' }, mul, unaryForms('F6', 'F7', 4)),
  ...instruction('IMUL', 'Signed multiply', { cost: 'multiply' }, imul, unaryForms('F6', 'F7', 5)),
  ...instruction(
    'IMUL',
    'Signed multiply',
    { cost: 'multiply' },
    (d, dst, src) => imulInto(d, dst, d.read(dst), d.read(src)),
    [['r16|32|64, r/m16|32|64', '0F AF /r']],
  ),
  ...instruction(
    'IMUL',
    'Signed multiply',
    { cost: 'multiply' },
    (d, dst, src, factor) => imulInto(d, dst, d.read(src), d.read(factor)),
    IMUL_FORMS,
  ),
  ...instruction('DIV', 'Unsigned divide', { cost: 'divide' }, div, unaryForms('F6', 'F7', 6)),
  ...instruction('IDIV', 'Signed divide', { cost: 'divide' }, idiv, unaryForms('F6', 'F7', 7)),
  ...instruction('XADD', 'Exchange and add', { lock: true }, xadd, [
    ['r/m8, r8', '0F C0 /r'],
    ['r/m16|32|64, r16|32|64', '0F C1 /r'],
  ]),
  ...instruction('CMPXCHG', 'Compare and exchange', { lock: true }, cmpxchg, [
    ['r/m8, r8', '0F B0 /r'],
    ['r/m16|32|64, r16|32|64', '0F B1 /r'],
  ]),
  ...instruction('CMPXCHG8B', 'Compare and exchange 8 bytes', { lock: true }, cmpxchg8b, [
    ['m64', '0F C7 /1'],
  ]),
  ...instruction('CMPXCHG16B', 'Compare and exchange 16 bytes', { lock: true }, cmpxchg16b, [
    ['m128', 'o64 0F C7 /1'],
  ]),
  ...(['CBW', 'CWDE', 'CDQE'] as const).flatMap((name, i) =>
    instruction(
      name,
      'Sign-extend the accumulator',
      {},
      (d) => {
        const w = d.instruction.width;
        d.setRegister(w, Gpr.RAX, d.signExtend(half(w), w, d.register(half(w), Gpr.RAX)));
      },
      [['', `o${16 << i} 98`]],
    ),
  ),
  ...(['CWD', 'CDQ', 'CQO'] as const).flatMap((name, i) =>
    instruction(
      name,
      'Sign-extend the accumulator into rDX',
      {},
      (d) => {
        const w = d.instruction.width;
        const sign = d.shiftRightSigned(w, d.register(w, Gpr.RAX), d.constant(8, w - 1));
        d.setRegister(w, Gpr.RDX, sign);
      },
      [['', `o${16 << i} 99`]],
    ),
  ),
];

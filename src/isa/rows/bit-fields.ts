// SDM 2: the extensions for bit fields, wide arithmetic and byte order: BMI1, BMI2, ADX, MOVBE,
// CRC32.

import { type Domain, Flag, type Meaning } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { type Form, instruction } from '../notation.ts';
import { Gpr, type Width } from '../registers.ts';
import { reverseBytes } from './transfer.ts';

/** Status flags of a result. PF is undefined; Intel's processors clear it. */
function setFlags<V, B>(d: Domain<V, B>, w: Width, result: V): void {
  d.flagsOfLogic(w, result);
  d.setFlag(Flag.PF, d.bit(d.constant(8, 0), 0));
}

const andn: Meaning = (d, dst, first, second) => {
  const w = d.instruction.width;
  const result = d.and(d.not(w, d.read(first)), d.read(second));
  d.write(dst, result);
  setFlags(d, w, result);
};

/** Ones from bit 0 up to, not including, bit `count`; all of them from `width` on. */
function onesBelow<V, B>(d: Domain<V, B>, w: Width, count: V): V {
  return d.not(w, d.shiftLeft(w, d.constant(w, -1), count));
}

/** Start in bits 7:0 of the control, length in bits 15:8. SF is undefined; Intel's clear it. */
const bextr: Meaning = (d, dst, src, control) => {
  const w = d.instruction.width;
  const word = d.read(control);
  const start = d.truncate(8, word);
  const length = d.truncate(8, d.shiftRight(word, d.constant(8, 8)));
  const result = d.and(d.shiftRight(d.read(src), start), onesBelow(d, w, length));
  d.write(dst, result);
  setFlags(d, w, result);
  d.setFlag(Flag.SF, d.bit(d.constant(8, 0), 0));
};

type LowestBitResult = <V, B>(d: Domain<V, B>, w: Width, x: V) => V;

/** BLSI, BLSMSK, BLSR: CF says whether the source is 0, or that it is not. */
function lowestBit(compute: LowestBitResult, carryIfZero: boolean): Meaning {
  return (d, dst, src) => {
    const w = d.instruction.width;
    const x = d.read(src);
    const result = compute(d, w, x);
    const zero = d.isZero(x);
    d.write(dst, result);
    setFlags(d, w, result);
    d.setFlag(Flag.CF, carryIfZero ? zero : d.negate(zero));
  };
}

const minusOne = <V, B>(d: Domain<V, B>, w: Width, x: V) => d.sub(w, x, d.constant(w, 1));

const blsi: LowestBitResult = (d, w, x) => d.and(x, d.sub(w, d.constant(w, 0), x));
const blsmsk: LowestBitResult = (d, w, x) => d.xor(x, minusOne(d, w, x));
const blsr: LowestBitResult = (d, w, x) => d.and(x, minusOne(d, w, x));

const bzhi: Meaning = (d, dst, src, index) => {
  const w = d.instruction.width;
  const count = d.truncate(8, d.read(index));
  const result = d.and(d.read(src), onesBelow(d, w, count));
  d.write(dst, result);
  setFlags(d, w, result);
  d.setFlag(Flag.CF, d.negate(d.lessUnsigned(count, d.constant(8, w))));
};

/** The high half goes to the first operand, also if both are the same register. */
const mulx: Meaning = (d, high, low, src) => {
  const w = d.instruction.width;
  const x = d.register(w, Gpr.RDX);
  const y = d.read(src);
  const upper = d.multiplyHigh(w, x, y);
  d.write(low, d.multiply(w, x, y));
  d.write(high, upper);
};

const pdep: Meaning = (d, dst, src, mask) =>
  d.write(dst, d.call('depositBits', d.read(src), d.read(mask)));

const pext: Meaning = (d, dst, src, mask) =>
  d.write(dst, d.call('extractBits', d.read(src), d.read(mask)));

/** The count of RORX, SARX, SHLX, SHRX: five bits, or six for 64-bit operands. */
function countOf<V, B>(d: Domain<V, B>, operand: Operand): V {
  return d.and(d.truncate(8, d.read(operand)), d.constant(8, d.instruction.width - 1));
}

const rorx: Meaning = (d, dst, src, amount) => {
  const w = d.instruction.width;
  const x = d.read(src);
  const count = countOf(d, amount);
  const wrapped = d.shiftLeft(w, x, d.sub(8, d.constant(8, w), count));
  d.write(dst, d.or(d.shiftRight(x, count), wrapped));
};

const sarx: Meaning = (d, dst, src, amount) =>
  d.write(dst, d.shiftRightSigned(d.instruction.width, d.read(src), countOf(d, amount)));

const shlx: Meaning = (d, dst, src, amount) =>
  d.write(dst, d.shiftLeft(d.instruction.width, d.read(src), countOf(d, amount)));

const shrx: Meaning = (d, dst, src, amount) =>
  d.write(dst, d.shiftRight(d.read(src), countOf(d, amount)));

/** ADCX and ADOX: carry in and out by one flag, all others left alone. */
function addWith(name: typeof Flag.CF | typeof Flag.OF): Meaning {
  return (d, dst, src) => {
    const w = d.instruction.width;
    const x = d.read(dst);
    const carry = d.flag(name);
    const sum = d.add(w, d.add(w, x, d.read(src)), d.fromCondition(carry));
    d.write(dst, sum);
    d.setFlag(name, d.either(d.lessUnsigned(sum, x), d.both(carry, d.equal(sum, x))));
  };
}

const movbe: Meaning = (d, dst, src) =>
  d.write(dst, reverseBytes(d, d.instruction.width, d.read(src)));

/** The polynomial 11EDC6F41H over the low 32 bits of the destination and the source. */
const crc32: Meaning = (d, dst, src) => {
  const bits = src.kind === 'relative' || src.kind === 'pointer' ? 0 : src.width;
  const crc = d.register(32, dst.kind === 'register' ? dst.number : 0);
  d.write(dst, d.call('crc32', crc, d.read(src), d.constant(8, bits)));
};

/** `NAME r, r/m, r` with the last register in VEX.vvvv. */
function shiftForms(prefix: string): Form[] {
  return [['r32|64, r/m32|64, v32|64', `VEX.LZ.${prefix}0F38.W0|W1 F7 /r`]];
}

/** `NAME r, r, r/m` with the middle register in VEX.vvvv. */
function threeForms(prefix: string, opcode: string): Form[] {
  return [['r32|64, v32|64, r/m32|64', `VEX.LZ.${prefix}0F38.W0|W1 ${opcode} /r`]];
}

function lowestBitForms(digit: number): Form[] {
  return [['v32|64, r/m32|64', `VEX.LZ.0F38.W0|W1 F3 /${digit}`]];
}

const multiply = { cost: 'multiply' } as const;
/** A VEX prefix is not one in real and virtual-8086 mode. */
const vex = { protectedOnly: true } as const;
const multiplyVex = { ...multiply, ...vex } as const;

export const bitFields = [
  ...instruction('ANDN', 'Logical AND NOT', vex, andn, threeForms('', 'F2')),
  ...instruction('BEXTR', 'Bit field extract', vex, bextr, shiftForms('')),
  ...instruction('BLSI', 'Extract lowest set bit', vex, lowestBit(blsi, false), lowestBitForms(3)),
  ...instruction(
    'BLSMSK',
    'Mask up to lowest set bit',
    vex,
    lowestBit(blsmsk, true),
    lowestBitForms(2),
  ),
  ...instruction('BLSR', 'Reset lowest set bit', vex, lowestBit(blsr, true), lowestBitForms(1)),
  ...instruction('BZHI', 'Zero high bits', vex, bzhi, [
    ['r32|64, r/m32|64, v32|64', 'VEX.LZ.0F38.W0|W1 F5 /r'],
  ]),
  ...instruction(
    'MULX',
    'Unsigned multiply without flags',
    multiplyVex,
    mulx,
    threeForms('F2.', 'F6'),
  ),
  ...instruction('PDEP', 'Parallel bits deposit', multiplyVex, pdep, threeForms('F2.', 'F5')),
  ...instruction('PEXT', 'Parallel bits extract', multiplyVex, pext, threeForms('F3.', 'F5')),
  ...instruction('RORX', 'Rotate right without flags', vex, rorx, [
    ['r32|64, r/m32|64, uimm8', 'VEX.LZ.F2.0F3A.W0|W1 F0 /r ib'],
  ]),
  ...instruction('SARX', 'Arithmetic shift right without flags', vex, sarx, shiftForms('F3.')),
  ...instruction('SHLX', 'Shift left without flags', vex, shlx, shiftForms('66.')),
  ...instruction('SHRX', 'Logical shift right without flags', vex, shrx, shiftForms('F2.')),
  ...instruction('ADCX', 'Add with CF', { operandSize: 'dword' }, addWith(Flag.CF), [
    ['r32|64, r/m32|64', '66 0F 38 F6 /r'],
  ]),
  ...instruction('ADOX', 'Add with OF', { operandSize: 'dword' }, addWith(Flag.OF), [
    ['r32|64, r/m32|64', 'F3 0F 38 F6 /r'],
  ]),
  ...instruction('MOVBE', 'Move with bytes swapped', {}, movbe, [
    ['r16|32|64, m16|32|64', '0F 38 F0 /r'],
    ['m16|32|64, r16|32|64', '0F 38 F1 /r'],
  ]),
  ...instruction('CRC32', 'Accumulate CRC32', multiply, crc32, [
    ['r32, r/m8', 'F2 0F 38 F0 /r'],
    ['r64, r/m8', 'o64 F2 0F 38 F0 /r'],
    ['r32, r/m16', 'o16 F2 0F 38 F1 /r'],
    ['r32, r/m32', 'o32 F2 0F 38 F1 /r'],
    ['r64, r/m64', 'o64 F2 0F 38 F1 /r'],
  ]),
];

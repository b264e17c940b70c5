// SDM 2: the adjustments for decimal arithmetic, which 64-bit mode does without. Flags that the SDM
// leaves undefined come out as on Intel's processors, where OF is cleared but by AAD.

import { type Domain, Flag, type Meaning } from '../domain.ts';
import { instruction } from '../notation.ts';
import { Gpr } from '../registers.ts';

/** The low digit is none, or has carried: it needs adjusting. */
function isLowOver<V, B>(d: Domain<V, B>, al: V): B {
  const isOver = d.lessUnsigned(d.constant(8, 9), d.and(al, d.constant(8, 15)));
  return d.either(isOver, d.flag(Flag.AF));
}

/** DAA and DAS: packed digits in AL. */
function adjustPacked(after: 'addition' | 'subtraction'): Meaning {
  return (d) => {
    const al = d.register(8, Gpr.RAX);
    const low = isLowOver(d, al);
    const high = d.either(d.lessUnsigned(d.constant(8, 0x99), al), d.flag(Flag.CF));
    const zero = d.constant(8, 0);
    const lowPart = d.select(low, d.constant(8, 6), zero);
    const amount = d.or(lowPart, d.select(high, d.constant(8, 0x60), zero));
    const borrows = d.lessUnsigned(al, lowPart);
    const result = after === 'addition' ? d.add(8, al, amount) : d.sub(8, al, amount);
    d.setRegister(8, Gpr.RAX, result);
    d.flagsOfLogic(8, result);
    d.setFlag(Flag.AF, low);
    d.setFlag(Flag.CF, after === 'addition' ? high : d.either(high, borrows));
  };
}

/** AAA and AAS: one digit in AL, the carry goes to AH. */
function adjustUnpacked(after: 'addition' | 'subtraction'): Meaning {
  return (d) => {
    const ax = d.register(16, Gpr.RAX);
    const over = isLowOver(d, ax);
    const amount = d.select(over, d.constant(16, 0x106), d.constant(16, 0));
    const sum = after === 'addition' ? d.add(16, ax, amount) : d.sub(16, ax, amount);
    const result = d.and(sum, d.constant(16, 0xff0f));
    d.setRegister(16, Gpr.RAX, result);
    d.flagsOfLogic(8, d.truncate(8, result));
    d.setFlag(Flag.AF, over);
    d.setFlag(Flag.CF, over);
  };
}

/** AL into digits to some base: the quotient to AH, the remainder to AL. */
const aam: Meaning = (d, base) => {
  const al = d.register(8, Gpr.RAX);
  const { quotient, remainder } = d.divide(8, d.constant(8, 0), al, d.read(base));
  d.setRegister(16, Gpr.RAX, d.or(d.shiftLeft(16, quotient, d.constant(8, 8)), remainder));
  d.flagsOfLogic(8, remainder);
};

/** Digits to some base into AL. All flags are those of the addition. */
const aad: Meaning = (d, base) => {
  const ax = d.register(16, Gpr.RAX);
  const x = d.truncate(8, ax);
  const y = d.multiply(8, d.shiftRight(ax, d.constant(8, 8)), d.read(base));
  const sum = d.add(8, x, y);
  d.setRegister(16, Gpr.RAX, sum);
  d.flagsOfAdd(8, x, y, sum);
};

const plain = { not64: true } as const;

export const decimal = [
  ...instruction('DAA', 'Decimal adjust AL after addition', plain, adjustPacked('addition'), [
    ['', '27'],
  ]),
  ...instruction('DAS', 'Decimal adjust AL after subtraction', plain, adjustPacked('subtraction'), [
    ['', '2F'],
  ]),
  ...instruction('AAA', 'ASCII adjust AL after addition', plain, adjustUnpacked('addition'), [
    ['', '37'],
  ]),
  ...instruction('AAS', 'ASCII adjust AL after subtraction', plain, adjustUnpacked('subtraction'), [
    ['', '3F'],
  ]),
  ...instruction('AAM', 'ASCII adjust AX after multiply', { ...plain, cost: 'divide' }, aam, [
    ['', 'D4 0A', { encodeOnly: true }],
    ['uimm8', 'D4 ib'],
  ]),
  ...instruction('AAD', 'ASCII adjust AX before division', { ...plain, cost: 'multiply' }, aad, [
    ['', 'D5 0A', { encodeOnly: true }],
    ['uimm8', 'D5 ib'],
  ]),
];

// SDM 2: jumps, calls, returns, loops and software interrupts.

import { asMemory, asPointer, type Domain, Flag, type Meaning } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { type Form, type FormAttributes, instruction } from '../notation.ts';
import { Gpr, type Width } from '../registers.ts';
import type { Attributes } from '../row.ts';
import { CONDITIONS, hex, synonym } from './forms.ts';
import { pop, push } from './stack.ts';
import { callOf } from './system.ts';

// Near branches are 64 bits wide in 64-bit mode; Intel's processors ignore a 66 prefix there.
const branch: Attributes = { cost: 'branch' };
const near: Attributes = { ...branch, operandSize: 'forced64' };

/** Where a near branch goes: outside 64-bit mode within the operand size. */
function destination<V, B>(d: Domain<V, B>, target: Operand): V {
  return d.truncate(d.instruction.width, d.read(target));
}

const jmp: Meaning = (d, target) => d.jump(destination(d, target));

/** Through memory: an offset of the operand size, and behind it a selector. */
function farBranch(name: 'farJump' | 'farCall'): Meaning {
  return (d, pointer) => {
    const w = d.instruction.width;
    const { segment, addressWidth } = asMemory(pointer);
    const at = d.address(pointer);
    const offset = d.load(w, segment, at);
    const behind = d.add(addressWidth, at, d.constant(addressWidth, w / 8));
    d.call(name, d.load(16, segment, behind), offset);
  };
}

function farBranchTo(name: 'farJump' | 'farCall'): Meaning {
  return (d, pointer) => {
    const { selector, offset } = asPointer(pointer);
    d.call(name, d.constant(16, selector), d.constant(d.instruction.width, offset));
  };
}

/** The target is checked before the push: a non-canonical one faults with the stack untouched. */
const call: Meaning = (d, target) => {
  const back = d.next();
  d.jump(destination(d, target));
  push(d, d.instruction.width, back);
};

const ret: Meaning = (d) => d.jump(pop(d, d.instruction.width));

const retRelease: Meaning = (d, released) => {
  const target = pop(d, d.instruction.width);
  const above = d.add(d.stackWidth, d.register(d.stackWidth, Gpr.RSP), d.read(released));
  d.setRegister(d.stackWidth, Gpr.RSP, above);
  d.jump(target);
};

function jcc(code: number): Meaning {
  return (d, target) => d.when(d.condition(code), () => d.jump(destination(d, target)));
}

/**
 * Count rCX down, the part of it that the address size says, and jump if it is not 0 and `also`
 * holds. The count is written last: a target that is not canonical faults with it untouched.
 */
function countAndJump<V, B>(d: Domain<V, B>, target: Operand, also: B | null): void {
  const w = d.instruction.addressWidth;
  const count = d.sub(w, d.register(w, Gpr.RCX), d.constant(w, 1));
  const more = d.negate(d.isZero(count));
  d.when(also === null ? more : d.both(more, also), () => d.jump(destination(d, target)));
  d.setRegister(w, Gpr.RCX, count);
}

const loop: Meaning = (d, target) => countAndJump(d, target, null);

const loope: Meaning = (d, target) => countAndJump(d, target, d.flag(Flag.ZF));

const loopne: Meaning = (d, target) => countAndJump(d, target, d.negate(d.flag(Flag.ZF)));

const jrcxz: Meaning = (d, target) => {
  const w = d.instruction.addressWidth;
  d.when(d.isZero(d.register(w, Gpr.RCX)), () => d.jump(destination(d, target)));
};

/** LOOP and kin count as much of RCX as addresses have; NASM lets the register be named. */
function loopForms(opcode: string, special: FormAttributes): Form[] {
  return [
    ['rel8', `${opcode} cb`, special],
    ['rel8, RCX', `a64 ${opcode} cb`, { encodeOnly: true }],
    ['rel8, ECX', `a32 ${opcode} cb`, { encodeOnly: true }],
    ['rel8, CX', `a16 ${opcode} cb`, { encodeOnly: true }],
  ];
}

/**
 * The bounds lie one behind the other; all three numbers are signed. Intel's processors do not look
 * at the upper bound if the lower one decides.
 */
const bound: Meaning = (d, index, bounds) => {
  const w = d.instruction.width;
  const { segment, addressWidth } = asMemory(bounds);
  const at = d.address(bounds);
  const behind = d.add(addressWidth, at, d.constant(addressWidth, w / 8));
  const sign = d.constant(w, 2 ** (w - 1));
  const x = d.xor(d.read(index), sign);
  const lower = d.xor(d.load(w, segment, at), sign);
  d.when(d.lessUnsigned(x, lower), () => d.raise('BR'));
  const upper = d.xor(d.load(w, segment, behind), sign);
  d.when(d.lessUnsigned(upper, x), () => d.raise('BR'));
};

/** The distance is as wide as the operand size, but for 64-bit mode. */
function nearForms(opcode: string, special: FormAttributes = {}): Form[] {
  return [
    ['rel16', `o16 ${opcode} cw`, special],
    ['rel32', `o32 ${opcode} cd`, special],
    ['rel32', `o64 ${opcode} cd`, special],
  ];
}

function farReturnRows(name: string, sizes: readonly (readonly [Width, FormAttributes])[]) {
  return sizes.flatMap(([w, special]) => [
    ...instruction(name, 'Far return', branch, (d) => void d.call('farReturn', d.constant(16, 0)), [
      ['', `o${w} CB`, special],
    ]),
    ...instruction(
      name,
      'Far return',
      branch,
      (d, released) => void d.call('farReturn', d.read(released)),
      [['uimm16', `o${w} CA iw`, special]],
    ),
  ]);
}

function loopRows(names: readonly string[], opcode: string, meaning: Meaning) {
  return names.flatMap((name, alias) =>
    instruction(name, 'Loop with a counter', near, meaning, loopForms(opcode, synonym(alias))),
  );
}

export const control = [
  ...instruction('JMP', 'Jump', near, jmp, [
    ['rel8', 'EB cb'],
    ...nearForms('E9'),
    ['r/m16|32|64', 'FF /4'],
  ]),
  ...instruction('CALL', 'Call procedure', near, call, [
    ...nearForms('E8'),
    ['r/m16|32|64', 'FF /2'],
  ]),
  ...['RET', 'RETN'].flatMap((name, alias) => [
    ...instruction(name, 'Return', near, ret, [['', 'C3', synonym(alias)]]),
    ...instruction(name, 'Return', near, retRelease, [['uimm16', 'C2 iw', synonym(alias)]]),
  ]),
  ...instruction('JMP', 'Far jump', branch, farBranch('farJump'), [['m16:16|32|64', 'FF /5']]),
  ...instruction('JMP', 'Far jump', { ...branch, not64: true }, farBranchTo('farJump'), [
    ['ptr16:16|32', 'EA cd|cp'],
  ]),
  ...instruction('CALL', 'Far call', branch, farBranch('farCall'), [['m16:16|32|64', 'FF /3']]),
  ...instruction('CALL', 'Far call', { ...branch, not64: true }, farBranchTo('farCall'), [
    ['ptr16:16|32', '9A cd|cp'],
  ]),
  ...farReturnRows('RETFW', [[16, {}]]),
  ...farReturnRows('RETFD', [[32, {}]]),
  ...farReturnRows('RETF', [
    [32, { encodeOnly: true }],
    [16, { encodeOnly: true, not64: true }],
  ]),
  ...farReturnRows('RETFQ', [[64, {}]]),
  ...CONDITIONS.flatMap((names, code) =>
    names.flatMap((name, alias) =>
      instruction(`J${name}`, 'Jump if condition is met', near, jcc(code), [
        ['rel8', `${hex(0x70 + code)} cb`, synonym(alias)],
        ...nearForms(`0F ${hex(0x80 + code)}`, synonym(alias)),
      ]),
    ),
  ),
  ...loopRows(['LOOP'], 'E2', loop),
  ...loopRows(['LOOPE', 'LOOPZ'], 'E1', loope),
  ...loopRows(['LOOPNE', 'LOOPNZ'], 'E0', loopne),
  ...instruction('JRCXZ', 'Jump if RCX is 0', near, jrcxz, [['rel8', 'a64 E3 cb']]),
  ...instruction('JECXZ', 'Jump if ECX is 0', near, jrcxz, [['rel8', 'a32 E3 cb']]),
  ...instruction('JCXZ', 'Jump if CX is 0', near, jrcxz, [['rel8', 'a16 E3 cb']]),
  ...instruction(
    'INT3',
    'Breakpoint',
    { cost: 'interrupt' },
    (d) => void d.call('interrupt', d.constant(8, 3)),
    [['', 'CC']],
  ),
  ...instruction(
    'INT1',
    'Debug trap',
    { cost: 'interrupt' },
    (d) => void d.call('interrupt', d.constant(8, 1)),
    [['', 'F1']],
  ),
  ...instruction(
    'INT',
    'Software interrupt',
    { cost: 'interrupt' },
    (d, vector) => void d.call('interrupt', d.read(vector)),
    [['uimm8', 'CD ib']],
  ),
  ...instruction(
    'INTO',
    'Interrupt on overflow',
    { cost: 'interrupt', not64: true },
    (d) => d.when(d.flag(Flag.OF), () => void d.call('interrupt', d.constant(8, 4))),
    [['', 'CE']],
  ),
  ...instruction('BOUND', 'Check an index against bounds', { not64: true }, bound, [
    ['r16|32, m', '62 /r'],
  ]),
  ...(['IRETW', 'IRETD', 'IRETQ'] as const).flatMap((name, i) =>
    instruction(name, 'Interrupt return', { cost: 'interrupt' }, callOf('iret'), [
      ['', `o${16 << i} CF`],
    ]),
  ),
  ...instruction('IRET', 'Interrupt return', {}, callOf('iret'), [
    ['', 'o32 CF', { encodeOnly: true }],
    ['', 'o16 CF', { encodeOnly: true, not64: true }],
  ]),
  ...instruction('UD2', 'Undefined instruction', {}, (d) => d.raise('UD'), [['', '0F 0B']]),
];

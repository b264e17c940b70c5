// Memory operands: from the value of an address expression to base, index, scale and displacement,
// chosen as NASM does. NASM manual, "Effective Addresses".

import Long from 'long';
import {
  type AssemblyMemory,
  addressWidthOf,
  type CodeSize,
  Gpr,
  type RegisterName,
  registerName,
  Segment,
  type Width,
} from '../isa/index.ts';
import { type BaseHint, type EvaluationContext, evaluate } from './evaluate.ts';
import type { Section } from './sections.ts';
import type { InstructionBody, MemoryOperandText } from './statement.ts';
import { isSection, isUnknown, type Value } from './value.ts';

/** Registers of an address, as the encoder wants them. */
interface Registers {
  readonly base: RegisterName | null;
  readonly index: RegisterName | null;
  readonly scale: 1 | 2 | 4 | 8;
}

/** Says what is wrong with an address. */
type Fail = (message: string, expected?: readonly string[]) => null;

const NO_REGISTERS: Registers = { base: null, index: null, scale: 1 };

/** A memory operand for the encoder. */
export interface MemoryAddress {
  readonly operand: AssemblyMemory;
  /** The section that it is an address in, or null. */
  readonly section: Section | null;
  /** It depends on a symbol without a value yet. */
  readonly unknown: boolean;
}

/** The operand for the encoder, or null after reporting an error. */
export function memoryOperand(
  text: MemoryOperandText,
  body: InstructionBody,
  context: EvaluationContext,
): MemoryAddress | null {
  const hint: BaseHint = { register: null, multiplied: false, summed: false };
  const value = evaluate(text.address, context, hint);
  if (value === null) return null;
  const fail: Fail = (message, expected) => {
    context.reporter?.error(text.address.place, message, expected);
    return null;
  };
  const registers = text.registers ?? chooseRegisters(value, hint, body.codeSize, fail);
  if (registers === null) return null;
  const unknown = isUnknown(value);
  const sections = unknown ? [] : value.terms.filter(({ of }) => isSection(of));
  const [section] = sections;
  if (sections.length > 1 || section?.times.neq(1) === true) {
    return fail('this is neither an address nor a difference of addresses of one section');
  }
  const start = section !== undefined && isSection(section.of) ? section.of : null;
  const operand = assemble(text, value, registers, { start, body, context, fail });
  return operand === null ? null : { operand, section: start, unknown };
}

interface Around {
  /** The section that the address is in, or null. */
  readonly start: Section | null;
  readonly body: InstructionBody;
  readonly context: EvaluationContext;
  readonly fail: Fail;
}

function assemble(
  text: MemoryOperandText,
  value: Value,
  registers: Registers,
  { start: section, body, context, fail }: Around,
): AssemblyMemory | null {
  const { displacementWidth, addressing } = text;
  const { codeSize } = body;
  const hasRegister = registers.base !== null || registers.index !== null;
  const relocatable = section !== null || isUnknown(value);
  if (text.registers !== undefined && value.terms.some(({ of }) => !isSection(of))) {
    return fail('a register has no place in a displacement');
  }
  if (hasRegister && addressing === 'rel') {
    return fail('an address relative to RIP has no other register', ["'abs'", 'no register']);
  }
  if (displacementWidth === 64 && addressing !== 'abs' && addressing !== 'default abs') {
    return fail("a 64-bit address cannot be relative to RIP; say 'abs'", ["'abs'"]);
  }
  if (displacementWidth === 8 && (!hasRegister || section !== null)) {
    return fail('only a number beside a register fits one byte');
  }
  const isWarned = addressing === 'rel' && codeSize === 64 && text.registers === undefined;
  if (isWarned && !relocatable) {
    const message = 'a plain number is no address; it stays absolute';
    context.reporter?.warn(text.address.place, message, ['a label']);
  }
  const number = isUnknown(value) ? Long.ZERO : value.number;
  const displacement = number.add(section?.vstart ?? Long.ZERO);
  if (displacementWidth === 8 && (displacement.lt(-128) || displacement.gt(127))) {
    return fail(`displacement ${displacement} does not fit one byte`, ['-128 to 127']);
  }
  // NASM guesses that what it does not know is no address.
  const isByName = section !== null && !hasRegister && isRelative(text);
  const operand = {
    kind: 'memory',
    width: text.width,
    far: text.far,
    segment: text.segment,
    ...registers,
    displacement,
    displacementWidth,
    relocatable,
    ...(text.registers === undefined
      ? { ripRelative: codeSize === 64 && isByName }
      : { ripRelative: addressing === 'rel', exact: true as const }),
  } as const;
  const width = addressWidthOf(operand, body.prefixes.addressWidth, codeSize);
  if (codeSize !== 64 && hasRegister && displacementWidth > 8 && displacementWidth !== width) {
    const name = registerName((registers.base ?? registers.index) as RegisterName);
    return fail(`a displacement beside '${name}' has ${width} bits`);
  }
  if (!relocatable && displacementWidth !== 64 && !fitsDisplacement(displacement, width)) {
    const hex = `0x${displacement.toUnsigned().toString(16)}`;
    return fail(`displacement ${hex} does not fit ${Math.min(width, 32)} bits`);
  }
  return operand;
}

/** 32 bits sign-extended to 64, or as many bits as the address has. */
function fitsDisplacement(value: Long, addressWidth: Width): boolean {
  const field = Math.min(addressWidth, 32);
  const limit = addressWidth === 64 ? 2 ** 31 : 2 ** field;
  return value.ge(-(2 ** (field - 1))) && value.lt(limit);
}

/** FS and GS have bases of their own, so that `default rel` leaves addresses in them alone. */
function isRelative({ addressing, segment }: MemoryOperandText): boolean {
  return addressing === 'rel' || (addressing === 'default rel' && segment < Segment.FS);
}

function chooseRegisters(
  value: Value,
  hint: BaseHint,
  codeSize: CodeSize,
  fail: Fail,
): Registers | null {
  const terms: { register: RegisterName; times: number }[] = [];
  for (const { of, times } of value.terms) {
    if (isSection(of)) continue;
    if (of.class !== 'general' || of.width < (codeSize === 64 ? 32 : 16)) {
      const expected = `a ${codeSize}-bit register`;
      return fail(`'${registerName(of)}' cannot be part of an address`, [expected]);
    }
    terms.push({ register: of, times: times.gt(0) && times.le(9) ? times.toNumber() : 0 });
  }
  const [first, second] = terms;
  if (first === undefined) return NO_REGISTERS;
  if (terms.length > 2) return fail('an address has at most two registers');
  if (terms.some(({ register }) => register.width === 16)) return choose16(terms, fail);
  if (second === undefined) return single(first.register, first.times, fail);
  const [base, index] = order(first, second, hint);
  if (base.register.width !== index.register.width) {
    return fail('the registers of an address must have the same width');
  }
  if (isStackPointer(index.register) && (index.times > 1 || isStackPointer(base.register))) {
    return fail(`'${registerName(index.register)}' cannot be an index`);
  }
  if (base.times !== 1) return fail('only one of two registers can be multiplied');
  if (![1, 2, 4, 8].includes(index.times)) return badScale(index.register, fail);
  return { base: base.register, index: index.register, scale: index.times as 1 | 2 | 4 | 8 };
}

/** What 16-bit addresses can have: BX or BP, SI or DI, or one of each. */
function choose16(
  terms: readonly { register: RegisterName; times: number }[],
  fail: Fail,
): Registers | null {
  if (terms.some(({ register }) => register.width !== 16)) {
    return fail('the registers of an address must have the same width');
  }
  const find = (...numbers: number[]) =>
    terms.filter(({ register, times }) => times === 1 && numbers.includes(register.number));
  const bases = find(Gpr.RBX, Gpr.RBP);
  const indexes = find(Gpr.RSI, Gpr.RDI);
  const isPair = bases.length <= 1 && indexes.length <= 1;
  if (!isPair || bases.length + indexes.length !== terms.length) {
    return fail('this is no 16-bit address', ['bx or bp, si or di, or one of each']);
  }
  const [base, index] = [...bases, ...indexes].map(({ register }) => register);
  return { base: base as RegisterName, index: index ?? null, scale: 1 };
}

/** Three, five and nine times a register is the register plus 2, 4 or 8 times itself. */
function single(register: RegisterName, times: number, fail: Fail): Registers | null {
  if (isStackPointer(register) && times !== 1) {
    return fail(`'${registerName(register)}' cannot be multiplied`);
  }
  if ([1, 2, 4, 8].includes(times)) {
    return { base: null, index: register, scale: times as 1 | 2 | 4 | 8 };
  }
  if ([3, 5, 9].includes(times)) {
    return { base: register, index: register, scale: (times - 1) as 2 | 4 | 8 };
  }
  return badScale(register, fail);
}

/** The index that ModR/M cannot encode. */
function isStackPointer({ number }: RegisterName): boolean {
  return number === Gpr.RSP;
}

function badScale(register: RegisterName, fail: Fail): null {
  const name = registerName(register);
  return fail(`'${name}' is multiplied by what no address can hold`, ['1, 2, 4 or 8']);
}

/** Base before index: what is written first is the base, unless it is multiplied. */
function order<T extends { register: RegisterName; times: number }>(a: T, b: T, hint: BaseHint) {
  if (a.times !== 1) return [b, a] as const;
  if (b.times !== 1) return [a, b] as const;
  // Without a preference NASM takes the registers in the order of their names.
  if (hint.summed) {
    const isSorted = registerName(a.register) < registerName(b.register);
    return isSorted ? ([a, b] as const) : ([b, a] as const);
  }
  const isFirst = hint.register === a.register;
  return isFirst !== hint.multiplied ? ([a, b] as const) : ([b, a] as const);
}

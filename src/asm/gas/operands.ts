// What operands of both syntaxes have in common: numbers, displacements, and memory whose registers
// are named one by one.

import { type CodeSize, Gpr, REGISTERS, type RegisterName, Segment } from '../../isa/index.ts';
import type { Cursor } from '../cursor.ts';
import type { Expression } from '../expression.ts';
import type { Place } from '../source.ts';
import type { MemoryOperandText, NumberOperandText, OperandText } from '../statement.ts';
import { constantExpression, type GasContext } from './expression.ts';

export interface GasOperand {
  readonly operand: OperandText;
  /** `*` before it, or in Intel syntax brackets or a size: what a branch finds its target in. */
  readonly indirect: boolean;
  readonly place: Place;
}

/** Registers of an address as they are collected. */
export interface AddressRegisters {
  base: RegisterName | null;
  index: RegisterName | null;
  scale: 1 | 2 | 4 | 8;
  /** The base is RIP. */
  relative: boolean;
}

export const NO_REGISTERS: AddressRegisters = {
  base: null,
  index: null,
  scale: 1,
  relative: false,
};

/**
 * A number. GNU as takes the widest field for what it does not know where it reads it, and so does
 * this.
 */
export function numberOperand(value: Expression, { session }: GasContext): NumberOperandText {
  const wide = session.constantNow(value) === null;
  return { kind: 'number', value, width: 0, strict: false, distance: null, wide };
}

export function memoryOperandText(
  displacement: Expression | null,
  registers: AddressRegisters,
  segment: number,
  place: Place,
  { session }: GasContext,
): MemoryOperandText {
  const address = displacement ?? constantExpression(0, place);
  const isKnown = session.constantNow(address) !== null;
  const { base, index, scale, relative } = registers;
  const register = base ?? index;
  const width = register?.width ?? 32;
  // Without a register, an address outside 64-bit mode is as wide as the code, or a prefix, says.
  const isByPrefix = register === null && session.codeSize !== 64;
  return {
    kind: 'memory',
    address,
    width: 0,
    far: false,
    segment: segment === usualSegment(base) ? -1 : segment,
    displacementWidth: isKnown || isByPrefix ? 0 : width === 16 ? 16 : 32,
    addressing: relative ? 'rel' : 'abs',
    registers: { base, index, scale },
    place,
  };
}

/** The segment that an address is in if nothing is said: GNU as writes no prefix for it. */
function usualSegment(base: RegisterName | null): number {
  const isStack = base !== null && (base.number === Gpr.RSP || base.number === Gpr.RBP);
  return isStack ? Segment.SS : Segment.DS;
}

/** Registers of real processors that no operand can name here. */
const FOREIGN = /^([xyz]mm\d+|mm\d|st|k[0-7]|bnd\d|[cdt]r\d+|[er]iz|eip|rip|r\d+[bwdl]?)$/;

/** A register by its name without percent sign; null after reporting that there is none. */
export function registerNamed(name: string, cursor: Cursor, place: Place): RegisterName | null {
  const lower = name
    .toLowerCase()
    .replace(/^db(\d)$/, 'dr$1')
    .replace(/^(r\d+)l$/, '$1b');
  const register = REGISTERS.get(lower);
  if (register !== undefined) return register;
  const message = FOREIGN.test(lower) ? `register '${name}' is not supported here` : null;
  return cursor.error(place, message ?? `there is no register '${name}'`);
}

/** Whether an address can have the register; reports if not. */
export function checkAddressRegister(
  register: RegisterName,
  role: 'base' | 'index',
  cursor: Cursor,
  place: Place,
  codeSize: CodeSize,
): boolean {
  const { width, number } = register;
  const isFit = register.class === 'general' && width >= (codeSize === 64 ? 32 : 16);
  const isShort = isFit && width === 16;
  const isStack = role === 'index' && number === Gpr.RSP && !isShort;
  if (isShort ? FORMS_16[role].includes(number) : isFit && !isStack) return true;
  const narrow = { base: '%bx or %bp', index: '%si or %di' }[role];
  const other = codeSize === 64 ? 'a 64-bit or a 32-bit register' : 'a 32-bit register';
  const expected = isStack ? ['any other register'] : [isShort ? narrow : other];
  cursor.error(place, `this register cannot be the ${role} of an address`, expected);
  return false;
}

/** Whether there are addresses relative to RIP; reports if not. */
export function checkRelative(codeSize: CodeSize, cursor: Cursor): boolean {
  if (codeSize === 64) return true;
  cursor.error(cursor.place, 'addresses relative to RIP exist in 64-bit mode only');
  return false;
}

/** Registers of 16-bit addresses; a single SI or DI counts as the base. */
const FORMS_16: Readonly<Record<'base' | 'index', readonly number[]>> = {
  base: [Gpr.RBX, Gpr.RBP, Gpr.RSI, Gpr.RDI],
  index: [Gpr.RSI, Gpr.RDI],
};

/** The scale of an index; null after reporting that it is none. */
export function scaleOf(
  expression: Expression,
  cursor: Cursor,
  { session }: GasContext,
): 1 | 2 | 4 | 8 | null {
  const value = session.constant(expression);
  if (value === null) return null;
  const scale = value.toNumber();
  if (scale === 1 || scale === 2 || scale === 4 || scale === 8) return scale;
  return cursor.error(expression.place, `${value} is no scale`, ['1, 2, 4 or 8']);
}

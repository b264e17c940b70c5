// Operands in AT&T syntax: `%rax`, `$5`, `%fs:8(%rbx,%rcx,4)`, `*%rax`. GNU as manual, "AT&T Syntax
// versus Intel Syntax" and "Memory References".

import type { CodeSize } from '../../isa/index.ts';
import type { Cursor } from '../cursor.ts';
import type { Place } from '../source.ts';
import { type GasContext, parseGasExpression } from './expression.ts';
import {
  type AddressRegisters,
  checkAddressRegister,
  checkRelative,
  type GasOperand,
  memoryOperandText,
  NO_REGISTERS,
  numberOperand,
  registerNamed,
  scaleOf,
} from './operands.ts';

const OPERAND_EXPECTED = ['%register', '$number', 'address(%base,%index,scale)'];

/** One operand; null after reporting an error. */
export function parseAttOperand(
  cursor: Cursor,
  context: GasContext,
  isBranch: boolean,
): GasOperand | null {
  const { place } = cursor;
  const indirect = cursor.accept('*');
  if (cursor.accept('$')) {
    const value = parseGasExpression(cursor, context);
    return value === null ? null : { operand: numberOperand(value, context), indirect, place };
  }
  let segment = -1;
  if (cursor.peek()?.kind === 'register') {
    const register = takeRegister(cursor);
    if (register === null) return null;
    if (!cursor.at(':')) return { operand: { kind: 'register', register }, indirect, place };
    if (register.class !== 'segment') {
      return cursor.error(place, 'this is no segment register', ['%fs', '%gs']);
    }
    cursor.take();
    segment = register.number;
  }
  return parseMemory(cursor, context, { segment, isBranch, indirect, place });
}

interface Around {
  readonly segment: number;
  readonly isBranch: boolean;
  readonly indirect: boolean;
  readonly place: Place;
}

function parseMemory(cursor: Cursor, context: GasContext, around: Around): GasOperand | null {
  const { segment, isBranch, indirect, place } = around;
  if (cursor.atEnd) return cursor.fail(OPERAND_EXPECTED);
  const displacement = atRegisters(cursor) ? null : parseGasExpression(cursor, context);
  if (displacement === null && !atRegisters(cursor)) return null;
  if (!atRegisters(cursor)) {
    if (isBranch && !indirect && segment < 0 && displacement !== null) {
      const value = displacement;
      const operand = { kind: 'number', value, width: 0, strict: false, distance: null } as const;
      return { operand, indirect, place };
    }
    const operand = memoryOperandText(displacement, NO_REGISTERS, segment, place, context);
    return { operand, indirect, place };
  }
  if (displacement === null && isPort(cursor)) return takePort(cursor, place);
  const registers = parseRegisters(cursor, context);
  if (registers === null) return null;
  const operand = memoryOperandText(displacement, registers, segment, place, context);
  return { operand, indirect, place };
}

/** `(` that opens registers, not a part of an expression. */
function atRegisters(cursor: Cursor): boolean {
  return cursor.at('(') && (cursor.peek(1)?.kind === 'register' || cursor.at(',', 1));
}

/** `(%dx)`, which is no memory. */
function isPort(cursor: Cursor): boolean {
  return cursor.peek(1)?.text.toLowerCase() === '%dx' && cursor.at(')', 2);
}

function takePort(cursor: Cursor, place: Place): GasOperand | null {
  cursor.take();
  const register = takeRegister(cursor);
  cursor.take();
  if (register === null) return null;
  return { operand: { kind: 'register', register }, indirect: false, place };
}

function takeRegister(cursor: Cursor) {
  const { place } = cursor;
  const token = cursor.take();
  return registerNamed((token?.text ?? '').slice(1), cursor, place);
}

/** `(%base,%index,scale)`, of which base, or index and scale, may be left out. */
function parseRegisters(cursor: Cursor, context: GasContext): AddressRegisters | null {
  const registers = { ...NO_REGISTERS };
  cursor.take();
  const { codeSize } = context.session;
  if (cursor.peek()?.kind === 'register' && !takeBase(cursor, registers, codeSize)) return null;
  if (cursor.accept(',') && !cursor.at(')')) {
    const { place } = cursor;
    if (cursor.peek()?.kind === 'register') {
      const index = takeRegister(cursor);
      if (index === null || !checkAddressRegister(index, 'index', cursor, place, codeSize)) {
        return null;
      }
      registers.index = index;
    } else if (registers.base !== null || !cursor.at(',')) {
      return cursor.fail(['the register of the index']);
    }
    if (cursor.accept(',') && !cursor.at(')')) {
      const expression = parseGasExpression(cursor, context);
      const scale = expression === null ? null : scaleOf(expression, cursor, context);
      if (scale === null) return null;
      registers.scale = scale;
    }
  }
  if (!cursor.accept(')')) return cursor.fail(["')'"]);
  if (registers.relative && registers.index !== null) {
    return cursor.error(cursor.place, 'an address relative to %rip has no index');
  }
  return registers;
}

function takeBase(cursor: Cursor, registers: AddressRegisters, codeSize: CodeSize): boolean {
  const { place } = cursor;
  if (cursor.peek()?.text.toLowerCase() === '%rip') {
    if (!checkRelative(codeSize, cursor)) return false;
    cursor.take();
    registers.relative = true;
    return true;
  }
  const base = takeRegister(cursor);
  if (base === null || !checkAddressRegister(base, 'base', cursor, place, codeSize)) return false;
  registers.base = base;
  return true;
}

// Operands of instructions as text: registers, numbers and memory, with their keywords. NASM
// manual, "Effective Addresses" and "STRICT: Inhibiting Optimization".

import {
  type CodeSize,
  type MemoryWidth,
  REGISTERS,
  type RegisterName,
  type Width,
} from '../isa/index.ts';
import type { Cursor } from './cursor.ts';
import { type Expression, parseExpression } from './expression.ts';
import type { Place } from './source.ts';
import type { MemoryOperandText, OperandText } from './statement.ts';
import type { SymbolTable } from './symbols.ts';
import { MEMORY_SIZES, SIZES } from './vocabulary.ts';

/** What operands depend on besides their text. */
export interface OperandContext {
  readonly symbols: SymbolTable;
  readonly codeSize: CodeSize;
  /** `default rel` is in force. */
  readonly relative: boolean;
  /** The instruction is a branch, before whose target `short` or `near` may stand. */
  readonly branch: boolean;
}

const OPERAND_EXPECTED = ['a register', 'a number', "'[' address ']'"];

/** Parse operands up to the end of the line; null after reporting an error. */
export function parseOperands(cursor: Cursor, context: OperandContext): OperandText[] | null {
  const operands: OperandText[] = [];
  if (cursor.atEnd) return operands;
  do {
    const operand = parseOperand(cursor, context);
    if (operand === null) return null;
    operands.push(operand);
  } while (cursor.accept(','));
  return cursor.atEnd ? operands : cursor.fail(["','", 'the end of the line']);
}

/** Keywords before an operand. */
interface Keywords {
  width: MemoryWidth | 0;
  strict: boolean;
  distance: 'short' | 'near' | null;
  far: boolean;
}

function parseOperand(cursor: Cursor, context: OperandContext): OperandText | null {
  const { place } = cursor;
  const keywords = parseKeywords(cursor);
  if (keywords === null) return null;
  const { width, strict, distance, far } = keywords;
  const register = REGISTERS.get(cursor.keyword());
  const overridden = register !== undefined && cursor.at(':', 1);
  if (cursor.at('[') || overridden) {
    const isPlain = distance === null || (distance === 'near' && context.branch);
    if (strict || !isPlain) {
      return cursor.error(place, `'${strict ? 'strict' : distance}' needs a number after it`);
    }
    const segment = overridden ? parseSegment(cursor) : -1;
    const memory = segment === null ? null : parseMemory(cursor, context, width, segment);
    return memory === null ? null : { ...memory, far };
  }
  if (far) return cursor.error(place, "'far' needs an address in brackets after it");
  if (register !== undefined) return parseRegister(cursor, register, keywords, place);
  if (cursor.atEnd) return cursor.fail(OPERAND_EXPECTED);
  if (width === 128) return cursor.error(place, "'oword' needs an address after it");
  if (strict && width === 0 && !context.branch) {
    return cursor.error(place, "'strict' needs a size after it", [...SIZES.keys()]);
  }
  if (distance !== null && !context.branch) {
    return cursor.error(place, `'${distance}' belongs before the target of a branch`);
  }
  const next = cursor.peek();
  if (next?.kind === 'operator' && !/^[-+~!($]/.test(next.text))
    return cursor.fail(OPERAND_EXPECTED);
  const value = parseExpression(cursor, context.symbols);
  if (value === null) return null;
  if (!cursor.accept(':')) return { kind: 'number', value, width, strict, distance };
  if (strict || distance !== null) {
    return cursor.error(place, `'${strict ? 'strict' : distance}' does not go with a far address`);
  }
  return parsePointer(cursor, context, value, width);
}

/** The offset of `selector:offset`; the cursor stands behind the colon. */
function parsePointer(
  cursor: Cursor,
  { symbols }: OperandContext,
  selector: Expression,
  before: Width | 0,
): OperandText | null {
  const { place } = cursor;
  const after = SIZES.get(cursor.keyword()) ?? 0;
  if (after !== 0) cursor.take();
  const width = before || after;
  if ((before !== 0 && after !== 0) || (width !== 0 && width !== 16 && width !== 32)) {
    return cursor.error(place, 'the offset of a far address has one size', ['word', 'dword']);
  }
  const offset = parseExpression(cursor, symbols);
  return offset === null ? null : { kind: 'pointer', selector, offset, width };
}

function parseKeywords(cursor: Cursor): Keywords | null {
  const keywords: Keywords = { width: 0, strict: false, distance: null, far: false };
  for (;;) {
    const word = cursor.keyword();
    const width = MEMORY_SIZES.get(word);
    if (width !== undefined) {
      if (keywords.width !== 0 && keywords.width !== width) {
        return cursor.error(cursor.place, 'the size of this operand has been given already');
      }
      keywords.width = width;
    } else if (word === 'strict') keywords.strict = true;
    else if (word === 'short' || word === 'near') keywords.distance = word;
    else if (word === 'ptr' || (word === 'offset' && cursor.peek(1)?.kind === 'name')) {
      return cursor.error(cursor.place, `NASM has no '${word}'`, [`the operand without '${word}'`]);
    } else if (word === 'far') keywords.far = true;
    else return keywords;
    cursor.take();
  }
}

function parseRegister(
  cursor: Cursor,
  register: RegisterName,
  keywords: Keywords,
  place: Place,
): OperandText | null {
  const { width, strict, distance } = keywords;
  if (strict || distance !== null) {
    return cursor.error(place, `'${strict ? 'strict' : distance}' needs a number after it`);
  }
  if (width !== 0 && width !== register.width) {
    return cursor.error(place, `the register has ${register.width} bits, not ${width}`);
  }
  cursor.take();
  return { kind: 'register', register };
}

/** `fs:`; the cursor stands at a register that a colon follows. */
function parseSegment(cursor: Cursor): number | null {
  const register = REGISTERS.get(cursor.keyword());
  if (register?.class !== 'segment') return cursor.fail(['a segment register']);
  cursor.take();
  cursor.take();
  return register.number;
}

/** Keywords and segment inside the brackets. */
interface Inside {
  displacementWidth: Width | 0;
  addressing: 'rel' | 'abs' | null;
  segment: number;
}

function parseMemory(
  cursor: Cursor,
  context: OperandContext,
  width: MemoryWidth | 0,
  segmentBefore: number,
): Omit<MemoryOperandText, 'far'> | null {
  const { place } = cursor;
  if (!cursor.accept('[')) return cursor.fail(["'['"]);
  const inside = parseInside(cursor, segmentBefore, context.codeSize);
  if (inside === null) return null;
  const address = parseExpression(cursor, context.symbols, { registers: true });
  if (address === null) return null;
  if (!cursor.accept(']')) return cursor.fail(["']'", 'an operator']);
  const { displacementWidth, segment } = inside;
  const addressing = inside.addressing ?? (context.relative ? 'default rel' : 'default abs');
  return { kind: 'memory', address, width, segment, displacementWidth, addressing, place };
}

function parseInside(cursor: Cursor, segmentBefore: number, codeSize: CodeSize): Inside | null {
  const inside: Inside = { displacementWidth: 0, addressing: null, segment: segmentBefore };
  for (;;) {
    const word = cursor.keyword();
    const width = SIZES.get(word);
    if (width !== undefined) {
      if (width === 16 && codeSize === 64) {
        return cursor.error(cursor.place, '16-bit addresses do not exist in 64-bit mode');
      }
      if (width === 64 && codeSize !== 64) {
        return cursor.error(cursor.place, '64-bit addresses exist in 64-bit mode only');
      }
      inside.displacementWidth = width;
      cursor.take();
    } else if (word === 'rel' || word === 'abs') {
      inside.addressing = word;
      cursor.take();
    } else if (word === 'nosplit' || /^a(16|32|64)$/.test(word)) {
      return cursor.error(cursor.place, `'${word}' inside an address is not supported`);
    } else if (cursor.at(':', 1)) {
      if (inside.segment >= 0) return cursor.error(cursor.place, 'two segments for one address');
      const segment = parseSegment(cursor);
      if (segment === null) return null;
      inside.segment = segment;
    } else return inside;
  }
}

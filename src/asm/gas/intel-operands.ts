// Operands in Intel syntax, after `.intel_syntax noprefix`: `eax`, `5`, `dword ptr
// fs:[rbx+rcx*4+8]`, `table[rip]`, `offset table`. GNU as manual, "AT&T Syntax versus Intel
// Syntax".

import {
  type CodeSize,
  Gpr,
  type MemoryWidth,
  REGISTERS,
  type RegisterName,
} from '../../isa/index.ts';
import { Cursor } from '../cursor.ts';
import type { Reporter } from '../diagnostics.ts';
import type { Expression } from '../expression.ts';
import type { Token } from '../lexer.ts';
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

/** Bits of what is in memory; a far pointer counts without its selector. */
const SIZES: ReadonlyMap<string, { readonly width: MemoryWidth; readonly far: boolean }> = new Map([
  ['byte', { width: 8, far: false }],
  ['word', { width: 16, far: false }],
  ['dword', { width: 32, far: false }],
  ['fword', { width: 32, far: true }],
  ['qword', { width: 64, far: false }],
  ['tbyte', { width: 64, far: true }],
  ['oword', { width: 128, far: false }],
  ['xmmword', { width: 128, far: false }],
]);

const OPERAND_EXPECTED = ['a register', 'a number', 'dword ptr [address]'];

/** Words before an operand. */
interface Keywords {
  size: { readonly width: MemoryWidth; readonly far: boolean } | null;
  far: boolean;
  distance: 'short' | 'near' | null;
}

/** One operand; null after reporting an error. */
export function parseIntelOperand(
  cursor: Cursor,
  context: GasContext,
  isBranch: boolean,
): GasOperand | null {
  const { place } = cursor;
  const keywords = parseKeywords(cursor);
  if (keywords === null) return null;
  if (cursor.keyword() === 'offset') return parseOffset(cursor, context, place);
  const segment = parseSegment(cursor);
  if (segment === null) return null;
  const name = segment < 0 ? registerAt(cursor) : null;
  if (name !== null && (cursor.peek(1) === undefined || cursor.at(',', 1))) {
    cursor.take();
    const register = registerNamed(name, cursor, place);
    if (register === null) return null;
    const width = keywords.size?.width ?? register.width;
    if (width !== register.width) {
      return cursor.error(place, `the register has ${register.width} bits, not ${width}`);
    }
    return { operand: { kind: 'register', register }, indirect: true, place };
  }
  if (cursor.atEnd) return cursor.fail(OPERAND_EXPECTED);
  return parseRest(cursor, context, { keywords, segment, isBranch, place });
}

function parseKeywords(cursor: Cursor): Keywords | null {
  const keywords: Keywords = { size: null, far: false, distance: null };
  for (;;) {
    const word = cursor.keyword();
    const size = SIZES.get(word);
    if (size !== undefined && (cursor.keyword(1) === 'ptr' || cursor.at('[', 1))) {
      keywords.size = size;
      cursor.take();
    } else if (word === 'short' || word === 'near') {
      keywords.distance = word;
      cursor.take();
    } else if (word === 'far') {
      keywords.far = true;
      cursor.take();
    } else return keywords;
    if (cursor.keyword() === 'ptr') cursor.take();
  }
}

/** `offset symbol` and gcc's `OFFSET FLAT:symbol`: the address as a number. */
function parseOffset(cursor: Cursor, context: GasContext, place: Place): GasOperand | null {
  cursor.take();
  if (cursor.keyword() === 'flat' && cursor.at(':', 1)) {
    cursor.take();
    cursor.take();
  }
  const value = parseGasExpression(cursor, context);
  if (value === null) return null;
  return { operand: numberOperand(value, context), indirect: false, place };
}

/** The number of the segment before a colon, -1 if there is none. */
function parseSegment(cursor: Cursor): number | null {
  const name = cursor.at(':', 1) ? registerAt(cursor) : null;
  if (name === null) return -1;
  const register = registerNamed(name, cursor, cursor.place);
  if (register === null) return null;
  if (register.class !== 'segment') return cursor.fail(['a segment register']);
  cursor.take();
  cursor.take();
  return register.number;
}

/** The name of the register at the cursor, or null. */
function registerAt(cursor: Cursor): string | null {
  const token = cursor.peek();
  return token === undefined ? null : registerName(token);
}

function registerName({ kind, text }: Token): string | null {
  if (kind === 'register') return text.slice(1);
  const name = text.toLowerCase();
  return kind === 'name' && (REGISTERS.has(name) || name === 'rip') ? name : null;
}

interface Around {
  readonly keywords: Keywords;
  readonly segment: number;
  readonly isBranch: boolean;
  readonly place: Place;
}

function parseRest(cursor: Cursor, context: GasContext, around: Around): GasOperand | null {
  const { segment, isBranch, place } = around;
  const keywords = { ...around.keywords };
  const tokens = withoutSizes(takeOperand(cursor), keywords);
  const count = (mark: string) => tokens.filter((token) => isMark(token, mark)).length;
  if (count('[') > count(']')) return cursor.fail(["']'"]);
  const terms = new Terms(tokens, cursor, context);
  if (!terms.collect()) return null;
  const { registers, reporter } = terms;
  const hasBrackets = count('[') > 0;
  const displacement = terms.displacement(reporter);
  if (displacement === 'failed') return null;
  if (isBranch && displacement !== null && !hasBrackets && !keywords.size && cursor.at(':')) {
    return parseFar(cursor, context, displacement, place);
  }
  const isPlain = !hasBrackets && segment < 0 && keywords.size === null && !terms.hasRegisters;
  if (isPlain && displacement !== null) {
    const isNumber = context.session.constantNow(displacement) !== null || !hasSymbol(displacement);
    if (isBranch || isNumber) {
      const { distance } = keywords;
      const number = numberOperand(displacement, context);
      const operand = isBranch ? { ...number, wide: false, distance } : number;
      return { operand, indirect: false, place };
    }
  }
  const memory = memoryOperandText(displacement, registers, segment, place, context);
  const { codeSize } = context.session;
  return { operand: { ...memory, ...sizeOf(keywords, isBranch, codeSize) }, indirect: true, place };
}

/** A branch through 32 bits means a far one, of 16 bits and a selector, where no near one is so. */
function sizeOf(
  { size, far }: Keywords,
  isBranch: boolean,
  codeSize: CodeSize,
): { readonly width: MemoryWidth | 0; readonly far: boolean } {
  if (size === null) return { width: far ? (codeSize === 16 ? 16 : 32) : 0, far };
  const isFar = far || (size.width === 32 && codeSize !== 32);
  if (!size.far && isBranch && isFar) return { width: 16, far: true };
  return size;
}

/** The offset of `selector:offset`; the cursor stands at the colon. */
function parseFar(
  cursor: Cursor,
  context: GasContext,
  selector: Expression,
  place: Place,
): GasOperand | null {
  cursor.take();
  const offset = parseGasExpression(cursor, context);
  if (offset === null) return null;
  const operand = { kind: 'pointer', selector, offset, width: 0 } as const;
  return { operand, indirect: false, place };
}

/** Whether an expression names an address or a symbol. */
function hasSymbol({ steps }: Expression): boolean {
  return steps.some(({ kind }) => kind === 'symbol' || kind === 'here');
}

function isMark({ kind, text }: Token, mark: string): boolean {
  return kind === 'operator' && text === mark;
}

/** The tokens up to the comma that ends the operand. */
function takeOperand(cursor: Cursor): Token[] {
  const tokens: Token[] = [];
  let depth = 0;
  for (let token = cursor.peek(); token !== undefined; token = cursor.peek()) {
    if (token.kind === 'operator') {
      if (token.text === '(' || token.text === '[') depth++;
      if (token.text === ')' || token.text === ']') depth--;
      if (/^[,:]$/.test(token.text) && depth <= 0) return tokens;
    }
    tokens.push(token);
    cursor.take();
  }
  return tokens;
}

/** gcc writes the size of what a jump finds its target in inside the brackets. */
function withoutSizes(tokens: readonly Token[], keywords: Keywords): Token[] {
  const word = (at: number) => {
    const token = tokens[at];
    return token?.kind === 'name' ? token.text.toLowerCase() : '';
  };
  const isSize = (at: number) => SIZES.has(word(at)) && word(at + 1) === 'ptr';
  const at = tokens.findIndex((_, i) => isSize(i));
  if (at >= 0) keywords.size ??= SIZES.get(word(at)) ?? null;
  return tokens.filter((_, i) => !isSize(i) && !isSize(i - 1));
}

/** Takes an address apart: terms with a register in them, and the rest, which is a displacement. */
class Terms {
  readonly registers: AddressRegisters = { ...NO_REGISTERS };
  readonly reporter: Reporter;
  private readonly tokens: readonly Token[];
  private readonly cursor: Cursor;
  private readonly context: GasContext;
  private readonly rest: Token[] = [];

  constructor(tokens: readonly Token[], cursor: Cursor, context: GasContext) {
    this.tokens = tokens;
    this.cursor = cursor;
    this.context = context;
    this.reporter = context.session.reporter;
  }

  get hasRegisters(): boolean {
    const { base, index, relative } = this.registers;
    return base !== null || index !== null || relative;
  }

  /** Find the registers; false after reporting an error. */
  collect(): boolean {
    if (!this.tokens.some((token) => registerName(token) !== null)) {
      // `a[b]` is a sum; otherwise brackets only say that this is memory.
      this.rest.push(...this.withoutBrackets());
      return true;
    }
    return this.split().every((term) => this.take(term));
  }

  /** The expression of what is not a register; null if there is nothing left. */
  displacement(reporter: Reporter): Expression | null | 'failed' {
    if (this.rest.length === 0) return null;
    const { line } = this.cursor;
    const end = (this.rest.at(-1) as Token).at + 1;
    const cursor = new Cursor({ tokens: this.rest, origin: line.origin, end }, reporter);
    const expression = parseGasExpression(cursor, this.context);
    if (expression === null) return 'failed';
    if (cursor.atEnd) return expression;
    cursor.fail(['an operator', "','", 'the end of the line']);
    return 'failed';
  }

  private withoutBrackets(): Token[] {
    return this.tokens
      .map((token, i) => {
        if (token.kind !== 'operator' || !/^[[\]]$/.test(token.text)) return token;
        if (token.text === ']') return { ...token, text: ')' };
        return { ...token, text: '(', spaced: i > 0 };
      })
      .flatMap((token, i, all) => {
        const before = all[i - 1];
        const joins = this.tokens[i]?.text === '[' && before !== undefined && !isOpening(before);
        return joins ? [{ ...token, text: '+' }, token] : [token];
      });
  }

  /** The sum that the address is. */
  private split(): Token[][] {
    const terms: Token[][] = [[]];
    let depth = 0;
    for (const token of this.tokens) {
      const current = terms.at(-1) as Token[];
      const text = token.kind === 'operator' ? token.text : '';
      if (text === '(') depth++;
      if (text === ')') depth--;
      if (text === '[' || text === ']') {
        if (current.length > 0) terms.push([]);
      } else if (depth === 0 && /^[-+]$/.test(text) && !endsWithOperator(current)) {
        terms.push(text === '-' ? [token] : []);
      } else current.push(token);
    }
    return terms.filter((term) => term.length > 0);
  }

  private take(term: Token[]): boolean {
    const at = term.findIndex((token) => registerName(token) !== null);
    if (at < 0) {
      const plus: Token = { ...(term[0] as Token), kind: 'operator', text: '+' };
      const needsPlus = this.rest.length > 0 && term[0]?.text !== '-';
      this.rest.push(...(needsPlus ? [plus] : []), ...term);
      return true;
    }
    const token = term[at] as Token;
    const place = this.cursor.placeOf(token);
    const name = registerName(token) as string;
    if (name.toLowerCase() === 'rip') {
      if (!checkRelative(this.context.session.codeSize, this.cursor)) return false;
      this.registers.relative = true;
      return term.length === 1 || this.cursor.error(place, 'RIP cannot be scaled') !== null;
    }
    const register = registerNamed(name, this.cursor, place);
    if (register === null) return false;
    if (term.length === 1) return this.add(register, place);
    const factor = term.filter((_, i) => i !== at);
    const star = at === 0 ? factor.shift() : factor.pop();
    if (star?.text !== '*' || (at !== 0 && at !== term.length - 1) || factor.length === 0) {
      this.cursor.error(place, 'a register of an address can only be multiplied', ['register*4']);
      return false;
    }
    return this.scale(register, factor, place);
  }

  private add(register: RegisterName, place: Place): boolean {
    const { registers, cursor } = this;
    const { codeSize } = this.context.session;
    if (registers.base === null) {
      registers.base = register;
      return checkAddressRegister(register, 'base', cursor, place, codeSize);
    }
    if (registers.index !== null) return this.tooMany(place);
    // The stack pointer cannot be an index, but a base; of 16 bits that holds for BX and BP.
    const baseOnly: readonly number[] = register.width === 16 ? [Gpr.RBX, Gpr.RBP] : [Gpr.RSP];
    const isBase = baseOnly.includes(register.number);
    registers.index = isBase ? registers.base : register;
    if (isBase) registers.base = register;
    return checkAddressRegister(registers.index, 'index', cursor, place, codeSize);
  }

  private scale(register: RegisterName, factor: readonly Token[], place: Place): boolean {
    const { registers, cursor, context } = this;
    const { codeSize } = context.session;
    if (registers.index !== null) return this.tooMany(place);
    const { origin } = cursor.line;
    const end = place.at + 1;
    const inner = new Cursor({ tokens: factor, origin, end }, this.reporter);
    const expression = parseGasExpression(inner, context);
    const scale = expression === null ? null : scaleOf(expression, cursor, context);
    if (scale === null) return false;
    registers.index = register;
    registers.scale = scale;
    return checkAddressRegister(register, 'index', cursor, place, codeSize);
  }

  private tooMany(place: Place): false {
    this.cursor.error(place, 'an address has at most two registers');
    return false;
  }
}

function endsWithOperator(term: readonly Token[]): boolean {
  const last = term.at(-1);
  return last === undefined || (last.kind === 'operator' && last.text !== ')');
}

function isOpening({ kind, text }: Token): boolean {
  return kind === 'operator' && text !== ')' && text !== ']';
}

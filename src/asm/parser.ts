// From preprocessed lines to statements: labels, prefixes, instructions and what takes up space.
// NASM manual, "Layout of a NASM Source Line". The directives that only set something are in
// directives.ts, data and reservations in data.ts.

import Long from 'long';
import { type CodeSize, SEGMENT_NAMES, Segment } from '../isa/index.ts';
import { nearest } from '../sim/index.ts';
import { Cursor, tokenName } from './cursor.ts';
import { parseBinary, parseData, parseReserve } from './data.ts';
import { Directives } from './directives.ts';
import { type Expression, parseExpression } from './expression.ts';
import type { Token } from './lexer.ts';
import { parseOperands } from './operands.ts';
import type { PreprocessedLine } from './preprocessor.ts';
import type { Session } from './session.ts';
import type { Place } from './source.ts';
import { branchForms, tableSpelling } from './spelling.ts';
import {
  type Body,
  createStatement,
  type MemoryOperandText,
  type OperandText,
  type Prefixes,
  type Statement,
} from './statement.ts';
import type { AssemblerSymbol } from './symbols.ts';
import { isNumber, numberValue } from './value.ts';
import * as vocabulary from './vocabulary.ts';

const NO_PREFIXES: Prefixes = {
  lock: false,
  repeat: 'none',
  segment: -1,
  operandWidth: 0,
  addressWidth: 0,
};

/** Parses lines one by one and collects statements. */
export class Parser {
  readonly statements: Statement[] = [];
  readonly directives: Directives;
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
    this.directives = new Directives(session);
  }

  /** Parse one line. An error in it leaves its label defined, so that uses of that are fine. */
  parse(line: PreprocessedLine): void {
    const { session } = this;
    const cursor = new Cursor(line, session.reporter);
    const label = this.takeLabel(cursor);
    if (label === 'failed') return;
    if (!this.lexicalErrors(line.tokens, cursor)) return;
    const { place } = cursor;
    if (label !== null && cursor.keyword() === 'equ') {
      this.equ(cursor, label, line, place);
      return;
    }
    const symbol = label === null ? null : this.define(label, cursor, 'label');
    if (cursor.atEnd) {
      if (symbol !== null) this.add(symbol, null, null, line, place);
      return;
    }
    if (this.directives.parse(cursor, label !== null)) return;
    this.parsePlaced(cursor, symbol, line, place);
  }

  private add(
    label: AssemblerSymbol | null,
    body: Body | null,
    times: Expression | null,
    line: PreprocessedLine,
    place: Place,
  ): void {
    const { section } = this.directives;
    const { listed } = line;
    this.statements.push(createStatement({ label, body, times, section, place, listed }));
  }

  /** Report what is not a token; true if there is nothing of that kind. */
  private lexicalErrors(tokens: readonly Token[], cursor: Cursor): boolean {
    const bad = tokens.find(
      ({ kind }) => kind === 'bad' || kind === 'directive' || kind === 'parameter',
    );
    if (bad === undefined) return true;
    const place = cursor.placeOf(bad);
    if (bad.kind === 'parameter') {
      cursor.error(place, `'${bad.text}' has a meaning only in a macro`);
    } else if (bad.kind === 'directive') {
      cursor.error(place, `'${bad.text}' is not supported here`);
    } else if (/^['"`]/.test(bad.text)) {
      cursor.error(place, 'the string does not end', [`a closing ${bad.text[0]}`]);
    } else cursor.error(place, `unexpected character '${bad.text}'`);
    return false;
  }

  /** The label of the line, null if it has none, `failed` after reporting an error. */
  private takeLabel(cursor: Cursor): Token | null | 'failed' {
    const token = cursor.peek();
    if (token === undefined) return null;
    const word = cursor.keyword();
    if (cursor.at(':', 1)) {
      if (!isLabelName(word, token)) {
        cursor.error(cursor.place, `${tokenName(token)} cannot be a label`, ['a name']);
        return 'failed';
      }
      cursor.take();
      cursor.take();
      return token;
    }
    if (word === '' || startsStatement(word)) return null;
    if (!isLabelName(word, token) || vocabulary.isUnsupported(word)) return null;
    return this.takeBareLabel(cursor, token);
  }

  /** A word that is no instruction: a label without a colon, or a misspelt instruction. */
  private takeBareLabel(cursor: Cursor, token: Token): Token | null {
    // Alone on a line it is too likely to be an instruction that is not known here.
    if (cursor.peek(1) === undefined) return null;
    if (!startsStatement(cursor.keyword(1))) {
      const second = cursor.keyword(1);
      const isLabel =
        second !== '' &&
        cursor.peek(2) !== undefined &&
        !this.session.reporter.isFull &&
        nearest(token.text, vocabulary.instructionWords()) === null &&
        nearest(second, vocabulary.instructionWords()) !== null;
      if (!isLabel) return null;
    }
    cursor.take();
    return token;
  }

  /** Define a symbol; null after reporting that it is defined already. */
  private define(token: Token, cursor: Cursor, kind: 'label' | 'equ'): AssemblerSymbol | null {
    const { symbols } = this.session;
    const symbol = symbols.refer(token.text);
    if (kind === 'label') symbols.enter(token.text);
    const place = cursor.placeOf(token);
    if (symbol.definedAt !== null) {
      const { origin, at } = symbol.definedAt;
      const where = `${origin.source.name}:${origin.source.lineAt(at)}`;
      cursor.error(place, `'${symbol.name}' is already defined at ${where}`);
      return null;
    }
    symbol.kind = kind;
    symbol.definedAt = place;
    return symbol;
  }

  private equ(cursor: Cursor, label: Token, line: PreprocessedLine, place: Place): void {
    const { symbols } = this.session;
    cursor.take();
    const value = parseExpression(cursor, symbols);
    const ends = value !== null && (cursor.atEnd || cursor.fail(['the end of the line']) !== null);
    const known = symbols.refer(label.text);
    const before = known.kind === 'equ' ? known.value : null;
    const now = value === null ? null : this.session.constantNow(value);
    // Headers that several files include may say the same thing twice.
    if (before !== null && now?.number.eq(before.number)) return;
    const symbol = this.define(label, cursor, 'equ');
    if (symbol === null) return;
    if (value === null || !ends) symbol.kind = 'failed';
    else {
      symbol.value = now;
      this.add(null, { kind: 'equ', symbol, value }, null, line, place);
    }
  }

  /** Prefixes, then what takes up space. The label is defined whatever comes of it. */
  private parsePlaced(
    cursor: Cursor,
    label: AssemblerSymbol | null,
    line: PreprocessedLine,
    place: Place,
  ): void {
    const prefixed = this.parsePrefixes(cursor);
    const body = prefixed === null ? null : this.parseBody(cursor, prefixed.prefixes);
    if (body === null && label === null) return;
    const times = body === null || prefixed === null ? null : prefixed.times;
    if (times !== null && body?.kind === 'align') {
      cursor.error(place, `'times' cannot repeat an alignment`);
    }
    this.add(label, body, times, line, place);
  }

  private parsePrefixes(cursor: Cursor): { prefixes: Prefixes; times: Expression | null } | null {
    let prefixes = NO_PREFIXES;
    let times: Expression | null = null;
    for (;;) {
      const word = cursor.keyword();
      if (word === 'times') {
        if (times !== null) return cursor.error(cursor.place, "'times' twice on one line");
        cursor.take();
        times = parseExpression(cursor, this.session.symbols);
        if (times === null) return null;
        continue;
      }
      const more = prefixOf(word);
      if (more === null) return { prefixes, times };
      for (const key of Object.keys(more) as (keyof Prefixes)[]) {
        if (prefixes[key] !== NO_PREFIXES[key]) {
          return cursor.error(cursor.place, `prefix '${word}' conflicts with one before`);
        }
      }
      prefixes = { ...prefixes, ...more };
      cursor.take();
    }
  }

  private parseBody(cursor: Cursor, prefixes: Prefixes): Body | null {
    const word = cursor.keyword();
    if (vocabulary.isMnemonic(word)) return this.parseInstruction(cursor, word, prefixes);
    if (prefixes !== NO_PREFIXES && vocabulary.isDirective(word)) {
      return cursor.error(cursor.place, 'a prefix needs an instruction after it');
    }
    const { session } = this;
    const itemBytes = vocabulary.DATA.get(word);
    if (itemBytes !== undefined) return parseData(cursor, session, itemBytes);
    const reservedBytes = vocabulary.RESERVE.get(word);
    if (reservedBytes !== undefined) return parseReserve(cursor, session, reservedBytes);
    if (word === 'incbin') return parseBinary(cursor, session);
    if (word === 'align' || word === 'alignb') return this.parseAlign(cursor, word);
    return this.unknown(cursor, word);
  }

  private parseInstruction(cursor: Cursor, word: string, prefixes: Prefixes): Body | null {
    this.directives.noticeInstruction(cursor);
    cursor.take();
    const { symbols, codeSize } = this.session;
    const { relative } = this.directives;
    const forms = branchForms(word.toUpperCase());
    const written = parseOperands(cursor, { symbols, codeSize, relative, branch: forms !== null });
    if (written === null) return null;
    for (const operand of written) {
      if (operand.kind === 'memory' && isByDefault(operand)) this.directives.noticeAddress();
    }
    const { mnemonic, operands } = tableSpelling(word.toUpperCase(), written);
    const branch = operands[0]?.kind === 'number' ? forms : null;
    const fixed = branch === null && operands.every(isFixed);
    return { kind: 'instruction', mnemonic, codeSize, prefixes, operands, branch, fixed };
  }

  private parseAlign(cursor: Cursor, word: 'align' | 'alignb'): Body | null {
    cursor.take();
    const { place } = cursor;
    const value = parseExpression(cursor, this.session.symbols);
    const number = value === null ? null : this.session.constant(value);
    if (number === null) return null;
    if (number.le(0) || !number.and(number.sub(1)).isZero() || number.gt(2 ** 30)) {
      return cursor.error(place, `cannot align to ${number}`, ['a power of two']);
    }
    const boundary = number.toNumber();
    this.directives.raiseAlignment(boundary);
    if (!cursor.atEnd && !cursor.accept(',')) return cursor.fail(["','", 'the end of the line']);
    if (/^alignb?$/.test(cursor.keyword())) {
      return cursor.error(cursor.place, 'an alignment cannot fill another');
    }
    const filler = cursor.atEnd
      ? defaultFiller(word, place, this.session.codeSize)
      : this.parseBody(cursor, NO_PREFIXES);
    if (filler === null) return null;
    return { kind: 'align', boundary, filler };
  }

  private unknown(cursor: Cursor, word: string): null {
    const { place } = cursor;
    const token = cursor.peek();
    if (token === undefined || word === '' || vocabulary.isReserved(word)) {
      return cursor.fail(['an instruction', 'a directive']);
    }
    if (vocabulary.isUnsupported(word)) {
      // It may define symbols.
      this.session.reporter.incomplete = true;
      return cursor.error(place, `'${word}' is not supported`);
    }
    if (word === 'equ') return cursor.error(place, "'equ' needs a label before it", ['a label']);
    if (this.session.reporter.incomplete || this.session.failedMacros.has(word)) {
      this.session.reporter.incomplete = true;
      return null;
    }
    if (this.session.reporter.isFull) return null;
    const meant = nearest(word, vocabulary.instructionWords());
    const expected = meant === null ? [] : [meant];
    if (cursor.peek(1) === undefined) expected.push('a colon if this is a label');
    return cursor.error(place, `unknown instruction '${token.text}'`, expected);
  }
}

/** Whether a label may have this name: any but a register's or a word of the operand syntax. */
function isLabelName(word: string, token: Token): boolean {
  if (token.kind !== 'name' || word === '?' || word === '.') return false;
  if (token.text.startsWith('$')) return true;
  if (vocabulary.isReserved(word) || vocabulary.isDirective(word)) return false;
  return !vocabulary.isRegister(word);
}

function startsStatement(word: string): boolean {
  return (
    vocabulary.isMnemonic(word) ||
    vocabulary.isDirective(word) ||
    prefixOf(word) !== null ||
    vocabulary.isUnsupported(word)
  );
}

/** The prefix that a word stands for, or null. */
function prefixOf(word: string): Partial<Prefixes> | null {
  if (word === 'lock') return { lock: true };
  const repeat = vocabulary.REPEAT_PREFIXES.get(word);
  if (repeat !== undefined) return { repeat };
  const operandWidth = vocabulary.OPERAND_PREFIXES.get(word);
  if (operandWidth !== undefined) return { operandWidth };
  const addressWidth = vocabulary.ADDRESS_PREFIXES.get(word);
  if (addressWidth !== undefined) return { addressWidth };
  const segment = SEGMENT_NAMES.indexOf(word);
  return segment < 0 ? null : { segment };
}

/** Whether `default rel` decides about the address. */
function isByDefault({ addressing, segment, address }: MemoryOperandText): boolean {
  if (addressing === 'rel' || addressing === 'abs' || segment >= Segment.FS) return false;
  return address.steps.every((step) => step.kind !== 'value' || isNumber(step.value));
}

function isFixed(operand: OperandText): boolean {
  if (operand.kind === 'register') return true;
  if (operand.kind === 'pointer') return operand.selector.fixed && operand.offset.fixed;
  if (operand.kind === 'number') return operand.value.fixed;
  return operand.address.fixed;
}

function defaultFiller(word: 'align' | 'alignb', place: Place, codeSize: CodeSize): Body {
  if (word === 'align') {
    const operands: OperandText[] = [];
    const prefixes = NO_PREFIXES;
    const rest = { operands, branch: null, fixed: true };
    return { kind: 'instruction', mnemonic: 'NOP', codeSize, prefixes, ...rest };
  }
  const one = { kind: 'value', value: numberValue(Long.ONE), at: place.at } as const;
  return { kind: 'reserve', itemBytes: 1, count: { steps: [one], place, fixed: true } };
}

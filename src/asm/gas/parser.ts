// From the reader's statements to the layout's: labels, assignments, directives, prefixes and
// instructions. GNU as manual, "Statements", "Labels", "Setting Symbols".

import { Cursor } from '../cursor.ts';
import type { CommonSymbol } from '../link.ts';
import type { Section } from '../sections.ts';
import type { Session } from '../session.ts';
import { type Place, SourceText } from '../source.ts';
import type { Prefixes, Statement } from '../statement.ts';
import { createStatement } from '../statement.ts';
import type { AssemblerSymbol } from '../symbols.ts';
import type { PlacedBody } from './data.ts';
import { type Directed, GasDirectives } from './directives.ts';
import { type GasContext, parseGasExpression } from './expression.ts';
import { parseGasInstruction } from './instruction.ts';
import { gasTokens } from './lexer.ts';
import { type GasLine, gasLines } from './lines.ts';
import { GasReader, type GasStatement } from './reader.ts';
import { GasSections } from './sections.ts';
import { GasSymbols } from './symbols.ts';

const NO_PREFIXES: Prefixes = {
  lock: false,
  repeat: 'none',
  segment: -1,
  operandWidth: 0,
  addressWidth: 0,
  order: 'gnu',
};

const REPEATS: ReadonlyMap<string, 'rep' | 'repne'> = new Map([
  ['rep', 'rep'],
  ['repe', 'rep'],
  ['repz', 'rep'],
  ['repne', 'repne'],
  ['repnz', 'repne'],
]);

/** Prefixes that do not follow from operands, as they are encoded. */
const BYTES: ReadonlyMap<string, number> = new Map([
  ['es', 0x26],
  ['cs', 0x2e],
  ['ss', 0x36],
  ['ds', 0x3e],
  ['fs', 0x64],
  ['gs', 0x65],
  ['notrack', 0x3e],
  ['bnd', 0xf2],
  ['rex', 0x40],
  ['rex64', 0x48],
]);

/** Reads one file in GAS syntax and collects its statements. */
export class GasParser {
  readonly statements: Statement[] = [];
  readonly reader: GasReader;
  private readonly session: Session;
  private readonly context: GasContext;
  private readonly sections: GasSections;
  private readonly directives: GasDirectives;

  constructor(source: SourceText, session: Session) {
    this.session = session;
    this.context = { session, symbols: new GasSymbols(session), intel: false, wideStack: false };
    this.sections = new GasSections(session);
    this.directives = new GasDirectives(this.context, this.sections);
    this.reader = new GasReader(source, this.context);
  }

  /** Set symbols from the command line, as `as --defsym` does: to a number, 1 if none is given. */
  define(defines: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(defines)) {
      const source = new SourceText({ name: '<defines>', text: `${name} = ${text || '1'}` });
      const [line] = gasLines(source) as [GasLine];
      const origin = { source, via: null };
      const listed = { number: 0, depth: 0, text: '', statements: [] };
      this.parse({ tokens: gasTokens(line), origin, end: source.text.length, listed });
    }
  }

  /** Read everything. */
  run(): void {
    for (let line = this.reader.next(); line !== null; line = this.reader.next()) this.parse(line);
    this.context.symbols.finish();
  }

  /** What `.comm` and `.lcomm` ask for. */
  get commons(): readonly CommonSymbol[] {
    return [...this.sections.commons.values()];
  }

  private parse(line: GasStatement): void {
    const cursor = new Cursor(line, this.session.reporter);
    if (this.hasBadTokens(line, cursor)) return;
    this.takeLabels(cursor, line);
    if (cursor.atEnd) return;
    const { place } = cursor;
    if (this.assignment(cursor, line, place)) return;
    if (cursor.keyword().startsWith('.')) {
      this.directed(this.directives.obey(cursor), cursor, line, place);
    } else if (this.sections.current !== null) this.instruction(cursor, line, place);
  }

  private add(
    line: GasStatement,
    place: Place,
    content: Partial<PlacedBody>,
    label: AssemblerSymbol | null = null,
  ) {
    const section = this.sections.current;
    if (section === null) return;
    const { body = null, times = null } = content;
    const { listed } = line;
    this.statements.push(createStatement({ label, body, times, section, place, listed }));
  }

  private hasBadTokens(line: GasStatement, cursor: Cursor): boolean {
    // What a section that is left out says does not matter.
    const bad = line.tokens.find(({ kind }) => kind === 'bad');
    if (bad === undefined) return false;
    const place = cursor.placeOf(bad);
    if (bad.text[0] === '"') cursor.error(place, 'the string does not end', ['a closing "']);
    else if (bad.text[0] === "'") cursor.error(place, 'there is no character behind the quote');
    else cursor.error(place, `unexpected character '${bad.text[0]}'`);
    return true;
  }

  /** `name:` and `1:`, any number of them. */
  private takeLabels(cursor: Cursor, line: GasStatement): void {
    for (;;) {
      const token = cursor.peek();
      if (token === undefined || !cursor.at(':', 1)) return;
      const { place } = cursor;
      if (token.kind === 'number' && /^\d+$/.test(token.text)) {
        this.label(this.context.symbols.defineNumbered(token.text), line, place);
      } else if (token.kind === 'name') {
        this.label(this.context.symbols.named(token.text), line, place);
      } else return;
      cursor.take();
      cursor.take();
    }
  }

  private label(symbol: AssemblerSymbol, line: GasStatement, place: Place): void {
    if (this.sections.current === null) {
      symbol.kind = symbol.kind === 'undefined' ? 'failed' : symbol.kind;
      return;
    }
    if (!this.defineSymbol(symbol, 'label', place)) return;
    this.add(line, place, {}, symbol);
  }

  /** False after reporting that there is such a symbol. */
  private defineSymbol(symbol: AssemblerSymbol, kind: 'label' | 'equ', place: Place): boolean {
    if (symbol.definedAt !== null) {
      const { origin, at } = symbol.definedAt;
      const where = `${origin.source.name}:${origin.source.lineAt(at)}`;
      this.session.reporter.error(place, `'${symbol.name}' is already defined at ${where}`);
      return false;
    }
    symbol.kind = kind;
    symbol.definedAt = place;
    return true;
  }

  /** `name = value` and `. = position`; false if the statement is none. */
  private assignment(cursor: Cursor, line: GasStatement, place: Place): boolean {
    const token = cursor.peek();
    const isDouble = cursor.at('==', 1);
    if (token?.kind !== 'name' || !(cursor.at('=', 1) || isDouble)) return false;
    cursor.take();
    cursor.take();
    if (token.text === '.') {
      this.directed(this.directives.moveTo(cursor), cursor, line, place);
    } else this.set(cursor, { name: token.text, place, fresh: isDouble }, line);
    return true;
  }

  private set(
    cursor: Cursor,
    {
      name,
      place,
      fresh,
    }: { readonly name: string; readonly place: Place; readonly fresh: boolean },
    line: GasStatement,
  ): void {
    const value = parseGasExpression(cursor, this.context);
    const isWhole =
      value !== null && (cursor.atEnd || cursor.fail(['the end of the line']) !== null);
    const known = this.context.symbols.named(name);
    // It may be set again and again; what has referred to it keeps the value from before.
    const isAgain = known.kind === 'equ' && !fresh;
    const symbol = isAgain ? this.session.symbols.renew(known) : known;
    if (!this.defineSymbol(symbol, 'equ', place)) return;
    if (value === null || !isWhole) {
      symbol.kind = 'failed';
      return;
    }
    symbol.value = this.session.constantNow(value);
    const section: Section = this.sections.current ?? this.session.sections.text;
    const body = { kind: 'equ', symbol, value } as const;
    const { listed } = line;
    const statement = { label: null, body, times: null, section, place, listed };
    this.statements.push(createStatement(statement));
  }

  private directed(directed: Directed, cursor: Cursor, line: GasStatement, place: Place): void {
    if (directed.kind === 'placed') this.add(line, place, directed.placed);
    else if (directed.kind === 'set') this.set(cursor, directed, line);
    else if (directed.kind === 'end') this.reader.end();
  }

  /** Prefixes and an instruction, or prefixes alone, which GNU as allows on lines of their own. */
  private instruction(cursor: Cursor, line: GasStatement, place: Place): void {
    let prefixes = NO_PREFIXES;
    const alone: number[] = [];
    const extra: number[] = [];
    let redundant: string | null = null;
    for (; !cursor.atEnd; cursor.take()) {
      const word = cursor.keyword();
      const repeat = REPEATS.get(word);
      const size = this.sizePrefix(word);
      const byte = size?.byte ?? BYTES.get(word) ?? rexByte(word);
      if (size?.width === this.session.codeSize) redundant = word;
      if (size?.prefixes !== undefined) prefixes = { ...prefixes, ...size.prefixes };
      else if (word === 'lock') prefixes = { ...prefixes, lock: true };
      else if (repeat !== undefined) prefixes = { ...prefixes, repeat };
      else if (byte !== null) extra.push(byte);
      else break;
      alone.push(byte ?? (word === 'lock' ? 0xf0 : repeat === 'rep' ? 0xf3 : 0xf2));
    }
    if (extra.length > 0) prefixes = { ...prefixes, extra };
    if (cursor.atEnd) this.bytes(alone, line, place);
    else if (redundant !== null) {
      cursor.error(place, `prefix '${redundant}' says what ${this.session.codeSize}-bit code is`);
    } else {
      const at = cursor.place;
      const body = parseGasInstruction(cursor, this.context, prefixes);
      if (body !== null) this.add(line, at, { body });
    }
  }

  /** `data16`, `addr32` and so on: outside 64-bit mode they say how wide things are. */
  private sizePrefix(word: string): SizePrefix | null {
    const [, kind, digits] = /^(data|addr)(16|32)$/.exec(word) ?? [];
    if (kind === undefined) return null;
    const width: 16 | 32 = digits === '16' ? 16 : 32;
    const byte = kind === 'data' ? 0x66 : 0x67;
    if (this.session.codeSize === 64) {
      return (kind === 'data') === (width === 16) ? { byte, width, prefixes: undefined } : null;
    }
    const prefixes: Partial<Prefixes> =
      kind === 'data' ? { suffix: width } : { addressWidth: width };
    return { byte, width, prefixes };
  }

  private bytes(bytes: readonly number[], line: GasStatement, place: Place): void {
    if (bytes.length === 0) return;
    const items = [{ kind: 'string', bytes: Uint8Array.from(bytes) }] as const;
    this.add(line, place, { body: { kind: 'data', itemBytes: 1, items } });
  }
}

/** A prefix that changes the operand or the address size. */
interface SizePrefix {
  readonly byte: number;
  readonly width: 16 | 32;
  /** What it says about the instruction behind it, if it is not just written. */
  readonly prefixes: Partial<Prefixes> | undefined;
}

/** `rex.wrxb` with any of its letters. */
function rexByte(word: string): number | null {
  const [, letters] = /^rex\.(w?r?x?b?)$/.exec(word) ?? [];
  if (letters === undefined || letters === '') return null;
  return [...letters].reduce((byte, letter) => byte | (8 >> 'wrxb'.indexOf(letter)), 0x40);
}

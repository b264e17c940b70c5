// What a preprocessor directive does, %if and its kin apart. NASM manual, "The NASM Preprocessor".

import Long from 'long';
import { nearest } from '../sim/index.ts';
import { Cursor, type TokenLine } from './cursor.ts';
import { parseExpression } from './expression.ts';
import { lex, lexText, type SourceLine, type Token, tokensText } from './lexer.ts';
import { stringBytes } from './literals.ts';
import { joinRest, parameterProblem, splitParameters } from './multi-line-macros.ts';
import type { Frame, Preprocessor } from './preprocessor.ts';
import { type Origin, type Place, SourceText } from './source.ts';

/** Includes that are open at once; more is a file that includes itself. */
const MAX_INCLUDES = 64;

const MAX_REPETITIONS = 1_000_000;

type Handler = (frame: Frame, cursor: Cursor, word: string) => void;

export class PreprocessorDirectives {
  private readonly preprocessor: Preprocessor;
  private readonly handlers: ReadonlyMap<string, Handler>;

  constructor(preprocessor: Preprocessor) {
    this.preprocessor = preprocessor;
    const define: Handler = (_, cursor, word) => this.define(cursor, word);
    const macro: Handler = (frame, cursor, word) => this.macro(frame, cursor, word);
    this.handlers = new Map<string, Handler>([
      ...['%define', '%idefine', '%xdefine', '%ixdefine'].map((name) => [name, define] as const),
      ['%assign', (_, cursor, word) => this.assign(cursor, word)],
      ['%iassign', (_, cursor, word) => this.assign(cursor, word)],
      ['%undef', (_, cursor) => this.undefine(cursor)],
      ['%macro', macro],
      ['%imacro', macro],
      ['%rep', (frame, cursor) => this.rep(frame, cursor)],
      ['%exitrep', (frame, cursor) => this.exitRep(frame, cursor)],
      ['%rotate', (frame, cursor) => this.rotate(frame, cursor)],
      ['%exitmacro', (frame, cursor) => this.exitMacro(frame, cursor)],
      ['%include', (_, cursor) => this.include(cursor)],
      ['%error', (_, cursor, word) => this.message(cursor, word)],
      ['%fatal', (_, cursor, word) => this.message(cursor, word)],
      ['%warning', (_, cursor, word) => this.message(cursor, word)],
      ['%strlen', (_, cursor) => this.stringLength(cursor)],
      ['%substr', (_, cursor) => this.substring(cursor)],
      ['%endmacro', (_, cursor, word) => this.stray(cursor, word, '%macro')],
      ['%endrep', (_, cursor, word) => this.stray(cursor, word, '%rep')],
    ]);
  }

  /** Obey the directive that the line begins with. */
  obey(frame: Frame, line: TokenLine): void {
    const first = line.tokens[0] as Token;
    const cursor = new Cursor(line, this.reporter, 1);
    const word = first.text.toLowerCase();
    const handler = this.handlers.get(word);
    if (handler !== undefined) handler(frame, cursor, word);
    else {
      const meant = nearest(word, [...this.handlers.keys(), '%if', '%else', '%endif', '%ifdef']);
      const expected = meant === null ? [] : [meant];
      cursor.error(cursor.placeOf(first), `'${word}' is not supported`, expected);
    }
  }

  private get reporter() {
    return this.preprocessor.session.reporter;
  }

  private get singleLine() {
    return this.preprocessor.context.singleLine;
  }

  private stray(cursor: Cursor, word: string, opening: string): void {
    cursor.error(placeOfDirective(cursor), `${word} without a ${opening} before it`);
  }

  /** The rest of the line with macros expanded, as a line of its own. */
  private expandedRest(cursor: Cursor): Cursor | null {
    const { line } = cursor;
    const tokens = this.singleLine.expand(line.tokens.slice(cursor.index), line.origin);
    return tokens === null ? null : new Cursor({ ...line, tokens }, this.reporter);
  }

  /** The number that the rest of the line is worth; null after reporting an error. */
  private number(cursor: Cursor): Long | null {
    const rest = this.expandedRest(cursor);
    if (rest === null) return null;
    const { session } = this.preprocessor;
    const expression = parseExpression(rest, session.symbols);
    if (expression === null) return null;
    if (!rest.atEnd) return rest.fail(['an operator', 'the end of the line']);
    return session.constant(expression);
  }

  private takeName(cursor: Cursor): Token | null {
    const token = cursor.peek();
    if (token?.kind !== 'name') return cursor.fail(['a name']);
    cursor.take();
    return token;
  }

  private define(cursor: Cursor, word: string): void {
    const name = this.takeName(cursor);
    if (name === null) return;
    const hasParameters = cursor.at('(') && cursor.peek()?.spaced === false;
    const parameters = hasParameters ? this.templateParameters(cursor) : null;
    if (hasParameters && parameters === null) return;
    const body = cursor.line.tokens.slice(cursor.index);
    const isExpanded = word.endsWith('xdefine');
    const tokens = isExpanded ? this.singleLine.expand(body, cursor.line.origin) : body;
    if (tokens === null) return;
    const ignoreCase = word.startsWith('%i');
    this.singleLine.define(name, parameters, tokens, ignoreCase, cursor.placeOf(name));
  }

  /** `(a, b)` behind the name of a macro. */
  private templateParameters(cursor: Cursor): string[] | null {
    const names: string[] = [];
    cursor.take();
    if (cursor.accept(')')) return names;
    do {
      const name = this.takeName(cursor);
      if (name === null) return null;
      names.push(name.text);
    } while (cursor.accept(','));
    return cursor.accept(')') ? names : cursor.fail(["','", "')'"]);
  }

  private assign(cursor: Cursor, word: string): void {
    const name = this.takeName(cursor);
    if (name === null) return;
    // After an error any number will do to keep the uses of the name from being errors, too.
    const number = this.number(cursor) ?? Long.ZERO;
    this.setNumber(name, number, cursor, word === '%iassign');
  }

  private setNumber(name: Token, number: Long, cursor: Cursor, ignoreCase = false): void {
    const text = number.isNegative() ? number.neg().toUnsigned().toString() : number.toString();
    const body = lexText(number.isNegative() ? `-${text}` : text, name.at);
    this.singleLine.define(name, null, body, ignoreCase, cursor.placeOf(name));
  }

  private undefine(cursor: Cursor): void {
    const name = this.takeName(cursor);
    if (name !== null) this.singleLine.undefine(name.text);
  }

  private macro(frame: Frame, cursor: Cursor, word: string): void {
    const header = this.macroHeader(cursor, word === '%imacro');
    const lines = this.collect(frame, /^%i?macro$/, '%endmacro', placeOfDirective(cursor));
    const name = cursor.line.tokens[1];
    if (header !== null && lines !== null) {
      this.preprocessor.context.multiLine.define({ ...header, lines, origin: frame.origin });
    } else if (name?.kind === 'name') {
      this.preprocessor.session.failedMacros.add(name.text.toLowerCase());
    }
  }

  /** `name 1-3+.nolist default, default` */
  private macroHeader(cursor: Cursor, ignoreCase: boolean) {
    const name = this.takeName(cursor);
    if (name === null) return null;
    const token = cursor.peek();
    const minimum = parameterCount(token);
    if (minimum === null) return cursor.fail(['how many parameters: 2, 1-3, 1-*, 2+']);
    cursor.take();
    let maximum = minimum;
    if (cursor.accept('-')) {
      const most = cursor.accept('*') ? Number.POSITIVE_INFINITY : parameterCount(cursor.peek());
      if (most === null) return cursor.fail(['the greatest number of parameters', "'*'"]);
      if (Number.isFinite(most)) cursor.take();
      maximum = most;
    }
    if (maximum < minimum) {
      return cursor.error(
        cursor.placeOf(token as Token),
        'the minimum is greater than the maximum',
      );
    }
    const greedy = cursor.accept('+');
    const unlisted = this.acceptNolist(cursor) || /\.nolist$/i.test(token?.text ?? '');
    const rest = cursor.line.tokens.slice(cursor.index);
    const problem = parameterProblem(rest);
    if (problem !== null) return cursor.error(cursor.place, problem);
    const split = splitParameters(rest);
    if (!greedy && split.length > maximum - minimum) {
      return cursor.error(cursor.place, 'there are more defaults than parameters that need one');
    }
    const defaults = joinRest(split, rest, greedy ? maximum - minimum : split.length);
    const { text } = name;
    return { name: text, ignoreCase, minimum, maximum, greedy, unlisted, defaults };
  }

  private acceptNolist(cursor: Cursor): boolean {
    if (cursor.keyword() !== '.nolist') return false;
    cursor.take();
    return true;
  }

  /** The lines up to the directive that closes, those of inner pairs included. */
  private collect(
    frame: Frame,
    opening: RegExp,
    closing: string,
    place: Place,
  ): SourceLine[] | null {
    const lines: SourceLine[] = [];
    let depth = 1;
    for (;;) {
      const line = this.preprocessor.read(frame);
      if (line === null) {
        this.reporter.error(place, `${closing} is missing`, [closing]);
        return null;
      }
      const first = line.tokens[0];
      const word = first?.kind === 'directive' ? first.text.toLowerCase() : '';
      if (opening.test(word)) depth++;
      else if (word === closing && --depth === 0) return lines;
      lines.push(line);
    }
  }

  private rep(frame: Frame, cursor: Cursor): void {
    const place = placeOfDirective(cursor);
    const count = this.number(cursor);
    const lines = this.collect(frame, /^%rep$/, '%endrep', place);
    if (count === null || lines === null) return;
    if (count.lt(0) || count.gt(MAX_REPETITIONS)) {
      cursor.error(place, `cannot repeat ${count} times`, [`0 to ${MAX_REPETITIONS}`]);
    } else if (!count.isZero()) {
      const { source } = frame.origin;
      const origin: Origin = { source, via: { how: 'rep', name: '1', from: place } };
      const { call, listed } = frame;
      const remaining = count.toNumber() - 1;
      this.preprocessor.enter({ kind: 'rep', lines, origin, call, listed, remaining }, place);
    }
  }

  private exitRep(frame: Frame, cursor: Cursor): void {
    if (frame.kind !== 'rep') {
      cursor.error(placeOfDirective(cursor), '%exitrep outside of %rep');
    } else leave(frame);
  }

  private exitMacro(frame: Frame, cursor: Cursor): void {
    if (frame.call === null) {
      cursor.error(placeOfDirective(cursor), '%exitmacro outside of a macro');
      return;
    }
    for (let i = this.preprocessor.frames.length - 1; i >= 0; i--) {
      const inner = this.preprocessor.frames[i] as Frame;
      leave(inner);
      if (inner.kind === 'macro') return;
    }
  }

  private rotate(frame: Frame, cursor: Cursor): void {
    const number = this.number(cursor);
    const { call } = frame;
    if (call === null) cursor.error(placeOfDirective(cursor), '%rotate outside of a macro');
    else if (number !== null && call.parameters.length > 0) {
      const total = call.parameters.length;
      const turn = number.mod(total).toNumber();
      call.rotation = (call.rotation + turn + total) % total;
    }
  }

  private include(cursor: Cursor): void {
    const place = placeOfDirective(cursor);
    const rest = this.expandedRest(cursor);
    const token = rest?.peek();
    if (rest === null) return;
    if (token?.kind !== 'string') {
      rest.fail(['a file name in quotes']);
      return;
    }
    const { session, frames } = this.preprocessor;
    const path = token.text.slice(1, -1);
    const { origin } = cursor.line;
    if (frames.filter(({ kind }) => kind === 'include').length >= MAX_INCLUDES) {
      session.reporter.incomplete = true;
      cursor.error(place, `includes are nested more than ${MAX_INCLUDES} deep`);
      return;
    }
    const contents = session.readFile(path, 'text', origin.source.name);
    if (typeof contents !== 'string') {
      session.reporter.incomplete = true;
      cursor.error(rest.placeOf(token), `cannot read file '${path}'`);
      return;
    }
    const source = new SourceText({ name: path, text: contents });
    const via = { how: 'include', name: path, from: place } as const;
    const frame = { kind: 'include', lines: lex(source), call: null, remaining: 0 } as const;
    this.preprocessor.enter({ ...frame, origin: { source, via }, listed: true }, place);
  }

  private message(cursor: Cursor, word: string): void {
    const rest = this.expandedRest(cursor);
    if (rest === null) return;
    const { tokens } = rest.line;
    const [first] = tokens;
    const isQuoted = first?.kind === 'string' && tokens.length === 1;
    const text = isQuoted ? first.text.slice(1, -1) : tokensText(tokens).trim();
    const place = placeOfDirective(cursor);
    if (word === '%warning') cursor.warn(place, text);
    else cursor.error(place, text === '' ? word : text);
  }

  /** `%strlen name 'string'` */
  private stringLength(cursor: Cursor): void {
    const name = this.takeName(cursor);
    const rest = name === null ? null : this.expandedRest(cursor);
    const bytes = rest === null ? null : takeString(rest);
    if (name === null || bytes === null) return;
    this.setNumber(name, Long.fromNumber(bytes.length), cursor);
  }

  /** `%substr name 'string' start, length`; starts count from 1, -1 means up to the end. */
  private substring(cursor: Cursor): void {
    const name = this.takeName(cursor);
    const rest = name === null ? null : this.expandedRest(cursor);
    const bytes = rest === null ? null : takeString(rest);
    if (name === null || rest === null || bytes === null) return;
    const start = this.substringNumber(rest);
    const length = start === null ? null : rest.accept(',') ? this.substringNumber(rest) : 1;
    if (start === null || length === null) return;
    const end = length < 0 ? bytes.length + length + 1 : start - 1 + length;
    const part = start < 1 ? [] : bytes.slice(start - 1, Math.max(end, 0));
    const escaped = Array.from(part, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`);
    const body = lexText(`\`${escaped.join('')}\``, name.at);
    this.singleLine.define(name, null, body, false, cursor.placeOf(name));
  }

  private substringNumber(rest: Cursor): number | null {
    const { session } = this.preprocessor;
    const expression = parseExpression(rest, session.symbols);
    const number = expression === null ? null : session.constant(expression);
    return number === null ? null : number.toNumber();
  }
}

/** Go straight to the end of a frame, out of its conditions and repetitions. */
function leave(frame: Frame): void {
  frame.conditions = [];
  frame.remaining = 0;
  frame.next = frame.lines.length;
}

function placeOfDirective(cursor: Cursor): Place {
  return cursor.placeOf(cursor.line.tokens[0] as Token);
}

/** A count of parameters, with the `.nolist` that the lexer leaves attached. */
function parameterCount(token: Token | undefined): number | null {
  if (token?.kind !== 'number') return null;
  const match = /^(\d{1,4})(\.nolist)?$/i.exec(token.text);
  return match === null ? null : Number(match[1]);
}

function takeString(cursor: Cursor): Uint8Array | null {
  const token = cursor.peek();
  if (token?.kind !== 'string') return cursor.fail(['a string in quotes']);
  cursor.take();
  return stringBytes(token.text);
}

// From files to statements without conditions, macros and repetitions. They come out one by one, so
// that a condition can ask for constants that the statements before it define. The stack of files,
// macros and repetitions is an array: nesting costs memory, never the host's stack.

import { Cursor } from '../cursor.ts';
import type { Token } from '../lexer.ts';
import type { ListedLine } from '../listing.ts';
import { type Origin, type Place, SourceText } from '../source.ts';
import { type AskedCondition, CONDITIONS, numberOf } from './conditions.ts';
import type { GasContext } from './expression.ts';
import { gasTokens } from './lexer.ts';
import { type GasLine, gasLines, offsetAt, restOfLine } from './lines.ts';
import { gasStringBytes } from './literals.ts';
import {
  bindArguments,
  type GasCall,
  type GasMacro,
  parseMacroHead,
  splitArguments,
  substituted,
} from './macros.ts';

/** A statement for the parser. */
export interface GasStatement {
  readonly tokens: readonly Token[];
  readonly origin: Origin;
  /** Offset of the end of the statement. */
  readonly end: number;
  readonly listed: ListedLine;
}

interface OpenCondition {
  /** `never`: neither this branch nor any other is taken. */
  state: 'taken' | 'waiting' | 'done' | 'never';
  hasElse: boolean;
  readonly place: Place;
}

interface Frame {
  readonly kind: 'include' | 'macro' | 'rep';
  readonly lines: readonly GasLine[];
  origin: Origin;
  /** What is replaced each time that the lines come; in a file, nothing. */
  readonly rounds: readonly (GasCall | null)[];
  /** How often all rounds come. */
  readonly times: number;
  round: number;
  /** Index of the next line. */
  next: number;
  /** What stands behind labels that have been handed on, as it is after replacements. */
  rest: GasLine | null;
  /** What lists the line that is being read. */
  listed: ListedLine;
  /** Lines of the file that have been listed. */
  listedLines: number;
  readonly conditions: OpenCondition[];
}

/** Before the first line. */
const UNLISTED: ListedLine = { number: 0, depth: 0, text: '', statements: [] };

/** The same bounds as for NASM's preprocessor. */
const MAX_EXPANDED_LINES = 250_000;
const MAX_REPETITIONS = 1_000_000;
const MAX_FRAMES = 200;
const MAX_INCLUDES = 64;

/** What has a body, or brings lines from elsewhere. */
const STRUCTURAL: ReadonlySet<string> = new Set([
  ...['.macro', '.rept', '.rep', '.irp', '.irpc', '.include', '.exitm', '.purgem'],
]);

/** How a repetition's body is opened. */
const REPETITIONS = ['.rept', '.rep', '.irp', '.irpc'];

export class GasReader {
  readonly listing: ListedLine[] = [];
  private readonly context: GasContext;
  private readonly frames: Frame[] = [];
  private readonly macros = new Map<string, GasMacro>();
  private calls = 0;
  private expandedLines = 0;

  constructor(source: SourceText, context: GasContext) {
    this.context = context;
    this.enterFile(source, { source, via: null });
  }

  /** The next statement, or null at the end. */
  next(): GasStatement | null {
    for (;;) {
      const frame = this.frames.at(-1);
      if (frame === undefined) return null;
      const line = frame.lines[frame.next];
      if (frame.rest !== null) {
        const { rest } = frame;
        frame.rest = null;
        const statement = this.process(frame, rest);
        if (statement !== null) return statement;
      } else if (line === undefined) this.finish(frame);
      else {
        frame.next++;
        if (frame.kind !== 'include' && ++this.expandedLines > MAX_EXPANDED_LINES) {
          this.stop({ origin: frame.origin, at: line.start });
          return null;
        }
        const call = frame.rounds[frame.round % frame.rounds.length] ?? null;
        const complete = call === null ? line : substituted(line, call);
        this.list(frame, complete);
        const statement = this.process(frame, complete);
        if (statement !== null) return statement;
      }
    }
  }

  /** `.end`: nothing after it counts. */
  end(): void {
    const file = this.frames[0];
    if (file?.kind === 'include') this.listUpTo(file, Number.POSITIVE_INFINITY);
    this.frames.length = 0;
  }

  private stop(place: Place): void {
    const message = `macros and repetitions make more than ${MAX_EXPANDED_LINES} lines`;
    this.context.session.reporter.error(place, message);
    this.context.session.reporter.incomplete = true;
    this.frames.length = 0;
  }

  private enterFile(source: SourceText, origin: Origin): void {
    const lines = gasLines(source);
    const start = {
      round: 0,
      next: 0,
      rest: null,
      listed: UNLISTED,
      listedLines: 0,
      conditions: [],
    };
    this.frames.push({ kind: 'include', lines, origin, rounds: [null], times: 1, ...start });
  }

  private enter(
    frame: Pick<Frame, 'kind' | 'lines' | 'origin' | 'rounds' | 'times'>,
    place: Place,
  ): void {
    if (this.frames.length >= MAX_FRAMES) {
      const message = `macros and repetitions are nested more than ${MAX_FRAMES} deep`;
      this.context.session.reporter.error(place, message);
      this.context.session.reporter.incomplete = true;
      return;
    }
    if (frame.times === 0 || frame.lines.length === 0) return;
    this.frames.push({
      ...frame,
      round: 0,
      next: 0,
      rest: null,
      listed: UNLISTED,
      listedLines: 0,
      conditions: [],
    });
  }

  /** The end of a frame: the next round, or back to what led here. */
  private finish(frame: Frame): void {
    const unclosed = frame.conditions.pop();
    if (unclosed !== undefined) {
      const what = frame.kind === 'include' ? 'file' : frame.kind === 'rep' ? '.rept' : 'macro';
      const message = `this .if has no .endif before the end of the ${what}`;
      this.context.session.reporter.error(unclosed.place, message);
      frame.conditions.length = 0;
    }
    if (frame.kind === 'include') this.listUpTo(frame, Number.POSITIVE_INFINITY);
    if (++frame.round >= frame.rounds.length * frame.times)
      this.frames.splice(this.frames.indexOf(frame), 1);
    else {
      frame.next = 0;
      const { via } = frame.origin;
      const name = String(frame.round + 1);
      if (via !== null) frame.origin = { ...frame.origin, via: { ...via, name } };
    }
  }

  private list(frame: Frame, line: GasLine): void {
    const number = frame.origin.source.lineAt(line.start);
    if (frame.kind !== 'include') {
      const depth = this.frames.length - 1;
      this.listing.push({ number, depth, text: line.text.trimEnd(), statements: [] });
    } else if (frame.listedLines < number) this.listUpTo(frame, number);
    // The rest of a line that calls a macro stands on the line, not behind the macro's.
    else return;
    frame.listed = this.listing.at(-1) as ListedLine;
  }

  /** List the lines of a file that have been passed, empty ones and comments, too. */
  private listUpTo(frame: Frame, last: number): void {
    const { source } = frame.origin;
    const depth = this.frames.indexOf(frame);
    const lineCount = source.lineAt(Math.max(0, source.text.length - 1));
    while (frame.listedLines < Math.min(last, lineCount)) {
      const number = ++frame.listedLines;
      this.listing.push({ number, depth, text: source.line(number), statements: [] });
    }
  }

  /** One line: obey its condition, call its macro, or hand it on. */
  private process(frame: Frame, line: GasLine): GasStatement | null {
    const open = frame.conditions.at(-1);
    const isActive = open === undefined || open.state === 'taken';
    const [, labels = '', word = ''] = HEAD.exec(line.text) ?? [];
    const name = word.toLowerCase();
    const shapes = CONDITIONS.has(name) || STRUCTURAL.has(name) || this.macros.has(name);
    if (isActive && shapes && labels.trim() !== '') {
      // The label is there before what stands behind it asks for it.
      frame.rest = restOfLine(line, labels.length);
      return this.statement(frame, { ...line, text: labels });
    }
    const behind = restOfLine(line, labels.length + word.length);
    const place = { origin: frame.origin, at: offsetAt(line, labels.length) };
    if (this.conditional(frame, name, behind, place, isActive) || !isActive) return null;
    return this.structural(frame, name, behind, place) ? null : this.statement(frame, line);
  }

  private statement(frame: Frame, line: GasLine): GasStatement | null {
    const tokens = gasTokens(line);
    const { listed } = frame;
    if (tokens.length === 0) return null;
    return { tokens, origin: frame.origin, end: offsetAt(line, line.text.length), listed };
  }

  private asked(frame: Frame, line: GasLine): AskedCondition {
    const end = offsetAt(line, line.text.length);
    const tokens = { tokens: gasTokens(line), origin: frame.origin, end };
    return { cursor: new Cursor(tokens, this.context.session.reporter), text: line.text };
  }

  /** Handle .if, .elseif, .else and .endif; false if the line is none of them. */
  private conditional(
    frame: Frame,
    word: string,
    behind: GasLine,
    place: Place,
    isActive: boolean,
  ): boolean {
    const { reporter } = this.context.session;
    if (CONDITIONS.has(word)) {
      const state = isActive ? this.decided(frame, word, behind) : 'never';
      frame.conditions.push({ state, hasElse: false, place });
      return true;
    }
    if (word !== '.elseif' && word !== '.else' && word !== '.endif') return false;
    const top = frame.conditions.at(-1);
    if (top === undefined) reporter.error(place, `${word} without an .if before it`);
    else if (word === '.endif') frame.conditions.pop();
    else if (top.hasElse) {
      reporter.error(place, `${word} after .else`, ['.endif']);
      top.state = 'never';
    } else {
      if (word === '.else') top.hasElse = true;
      if (top.state === 'taken') top.state = 'done';
      else if (top.state === 'waiting') {
        top.state = word === '.else' ? 'taken' : this.decided(frame, '.if', behind);
      }
    }
    return true;
  }

  private decided(frame: Frame, word: string, behind: GasLine): OpenCondition['state'] {
    const holds = CONDITIONS.get(word)?.(this.asked(frame, behind), this.context) ?? null;
    if (holds !== null) return holds ? 'taken' : 'waiting';
    this.context.session.reporter.incomplete = true;
    return 'never';
  }

  /** What has a body, or brings lines from elsewhere; false if the line is nothing of the kind. */
  private structural(frame: Frame, word: string, behind: GasLine, place: Place): boolean {
    const { reporter } = this.context.session;
    if (word === '.macro') this.define(frame, behind, place);
    else if (REPETITIONS.includes(word)) this.repeat(frame, word, behind, place);
    else if (word === '.include') this.include(frame, behind, place);
    else if (word === '.endm' || word === '.endmacro') {
      reporter.error(place, `${word} without a .macro before it`);
    } else if (word === '.endr') reporter.error(place, '.endr without a .rept before it');
    else if (word === '.exitm') this.exitMacro(place);
    else if (word === '.purgem') this.macros.delete(behind.text.trim().toLowerCase());
    else return this.call(word, behind, place);
    return true;
  }

  /** The lines up to the one that closes the body; null after reporting that there is none. */
  private body(frame: Frame, opens: readonly string[], closes: RegExp, place: Place) {
    const lines: GasLine[] = [];
    const call = frame.rounds[frame.round % frame.rounds.length] ?? null;
    for (let depth = 1; ; ) {
      const raw = frame.lines[frame.next++];
      if (raw === undefined) {
        const message = `this ${opens[0]} has no end`;
        this.context.session.reporter.error(place, message, [
          opens[0] === '.macro' ? '.endm' : '.endr',
        ]);
        return null;
      }
      const line = call === null ? raw : substituted(raw, call);
      this.list(frame, line);
      const word = (HEAD.exec(line.text)?.[2] ?? '').toLowerCase();
      if (opens.includes(word)) depth++;
      if (closes.test(word) && --depth === 0) return lines;
      lines.push(line);
    }
  }

  private define(frame: Frame, behind: GasLine, place: Place): void {
    const { session } = this.context;
    const lines = this.body(frame, ['.macro'], /^\.endm(acro)?$/, place);
    const head = parseMacroHead(behind.text);
    if (typeof head === 'string') session.reporter.error(place, head);
    if (typeof head === 'string' || lines === null) {
      session.reporter.incomplete = true;
      return;
    }
    const key = head.name.toLowerCase();
    if (this.macros.has(key)) {
      const message = `macro '${head.name}' is already defined`;
      session.reporter.error(place, message, [`.purgem ${head.name}`]);
    }
    this.macros.set(key, { ...head, lines, origin: frame.origin });
  }

  /** Enter the macro that a word names; false if it names none. */
  private call(word: string, behind: GasLine, place: Place): boolean {
    const macro = word === '' || /^\s*[:=]/.test(behind.text) ? undefined : this.macros.get(word);
    if (macro === undefined) return false;
    const texts = bindArguments(macro, behind.text.trim());
    if (typeof texts === 'string') {
      this.context.session.reporter.error(place, texts);
      return true;
    }
    const { source } = macro.origin;
    const origin: Origin = { source, via: { how: 'macro', name: macro.name, from: place } };
    const rounds = [{ texts, count: this.calls++ }];
    this.enter({ kind: 'macro', lines: macro.lines, origin, rounds, times: 1 }, place);
    return true;
  }

  private exitMacro(place: Place): void {
    const at = this.frames.findLastIndex(({ kind }) => kind === 'macro');
    if (at >= 0) this.frames.length = at;
    else this.context.session.reporter.error(place, '.exitm outside of a macro');
  }

  private repeat(frame: Frame, word: string, behind: GasLine, place: Place): void {
    const isCounted = word === '.rept' || word === '.rep';
    const times = isCounted ? this.count(frame, behind, place) : 1;
    const plain = [{ texts: new Map<string, string>(), count: this.calls }];
    const rounds = isCounted ? plain : this.listedRounds(word, behind, place);
    const lines = this.body(frame, REPETITIONS, /^\.endr$/, place);
    if (times === null || rounds === null || lines === null) {
      this.context.session.reporter.incomplete = true;
      return;
    }
    const { source } = frame.origin;
    const origin: Origin = { source, via: { how: 'rep', name: '1', from: place } };
    this.enter({ kind: 'rep', lines, origin, rounds, times }, place);
  }

  private count(frame: Frame, behind: GasLine, place: Place): number | null {
    const count = numberOf(this.asked(frame, behind), this.context);
    if (count === null) return null;
    if (count.ge(0) && count.le(MAX_REPETITIONS)) return count.toNumber();
    const message = `${count} is not a number of repetitions`;
    this.context.session.reporter.error(place, message, [`0 to ${MAX_REPETITIONS}`]);
    return null;
  }

  /** `.irp name, a, b` and `.irpc name, text`. */
  private listedRounds(word: string, behind: GasLine, place: Place): GasCall[] | null {
    const [, name, rest = ''] = /^\s*([A-Za-z_.$][\w.$]*)\s*,?(.*)$/s.exec(behind.text) ?? [];
    if (name === undefined) {
      this.context.session.reporter.error(place, `${word} needs the name of a parameter`);
      return null;
    }
    const values = word === '.irp' ? splitArguments(rest) : [...rest.trim()];
    const count = this.calls;
    return (values.length === 0 ? [''] : values).map((value) => {
      return { texts: new Map([[name, value]]), count };
    });
  }

  private include(frame: Frame, behind: GasLine, place: Place): void {
    const { session } = this.context;
    const { cursor } = this.asked(frame, behind);
    const token = cursor.peek();
    const wasIncomplete = session.reporter.incomplete;
    session.reporter.incomplete = true;
    if (token?.kind !== 'string' || token.text[0] !== '"') {
      cursor.fail(['a file name in quotes']);
      return;
    }
    if (this.frames.filter(({ kind }) => kind === 'include').length > MAX_INCLUDES) {
      session.reporter.error(place, `more than ${MAX_INCLUDES} includes inside each other`);
      return;
    }
    const path = String.fromCharCode(...gasStringBytes(token.text));
    const contents = session.readFile(path, 'text', frame.origin.source.name);
    if (typeof contents !== 'string') {
      session.reporter.error(cursor.place, `cannot read file '${path}'`);
      return;
    }
    session.reporter.incomplete = wasIncomplete;
    const source = new SourceText({ name: path, text: contents });
    this.enterFile(source, { source, via: { how: 'include', name: path, from: place } });
  }
}

/** Labels, and the first word behind them. */
const HEAD = /^(\s*(?:(?:[\w.$\x80-\uffff]+)\s*:\s*)*)([A-Za-z_.$\x80-\uffff][\w.$\x80-\uffff]*)?/;

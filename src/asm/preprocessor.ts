// From files to lines without preprocessor: includes, conditions, macros and repetitions. Lines
// come out one by one, so that a condition can ask for constants that the lines before it define.
// The stack of files, macros and repetitions is an array: nesting costs memory, never the host's
// stack.

import { type Condition, type ConditionContext, decide, parseCondition } from './conditions.ts';
import type { TokenLine } from './cursor.ts';
import { type SourceLine, type Token, tokensText } from './lexer.ts';
import type { ListedLine } from './listing.ts';
import {
  type MacroCall,
  MultiLineMacros,
  parameterProblem,
  splitParameters,
  substitute,
} from './multi-line-macros.ts';
import { PreprocessorDirectives } from './preprocessor-directives.ts';
import type { Session } from './session.ts';
import { SingleLineMacros } from './single-line-macros.ts';
import type { Origin, Place } from './source.ts';
import * as vocabulary from './vocabulary.ts';

export interface PreprocessedLine extends TokenLine {
  readonly listed: ListedLine;
}

/** An %if that is open. `never`: neither this branch nor any other is taken. */
interface OpenCondition {
  state: 'taken' | 'waiting' | 'done' | 'never';
  hasElse: boolean;
  readonly place: Place;
}

/** A file, macro or repetition that lines come from. */
export interface Frame {
  readonly kind: 'include' | 'macro' | 'rep';
  readonly lines: readonly SourceLine[];
  origin: Origin;
  /** The macro whose parameters are in force, or null. */
  readonly call: MacroCall | null;
  readonly listed: boolean;
  /** Index of the next line. */
  next: number;
  /** Repetitions that follow this one. */
  remaining: number;
  repetition: number;
  conditions: OpenCondition[];
}

/** Lines that come from macros and repetitions; more than that is a loop that got out of hand. */
const MAX_EXPANDED_LINES = 250_000;

const MAX_FRAMES = 200;

export class Preprocessor {
  readonly listing: ListedLine[] = [];
  readonly context: ConditionContext;
  readonly session: Session;
  readonly frames: Frame[] = [];
  private readonly directives: PreprocessorDirectives;
  private readonly pending: PreprocessedLine[] = [];
  private expandedLines = 0;

  constructor(session: Session) {
    const singleLine = new SingleLineMacros(session);
    this.session = session;
    this.context = { session, singleLine, multiLine: new MultiLineMacros() };
    this.directives = new PreprocessorDirectives(this);
  }

  /** The next line for the parser, or null at the end. */
  next(): PreprocessedLine | null {
    for (;;) {
      const pending = this.pending.pop();
      if (pending !== undefined) return pending;
      const frame = this.frames.at(-1);
      if (frame === undefined) return null;
      const line = this.read(frame);
      if (line === null) this.finish(frame);
      else {
        const result = this.process(frame, line);
        if (result !== null) return result;
      }
    }
  }

  /** Enter a file, macro or repetition; false after reporting that this goes too deep. */
  enter(frame: Omit<Frame, 'next' | 'repetition' | 'conditions'>, place: Place): boolean {
    if (this.frames.length >= MAX_FRAMES) {
      const what = frame.kind === 'include' ? 'includes' : 'macros and repetitions';
      this.session.reporter.error(place, `${what} are nested more than ${MAX_FRAMES} deep`);
      return false;
    }
    this.frames.push({ ...frame, next: 0, repetition: 1, conditions: [] });
    return true;
  }

  /** The next line of a frame as it stands in the source, or null at its end. Lists it. */
  read(frame: Frame): SourceLine | null {
    const line = frame.lines[frame.next];
    if (line === undefined) return null;
    frame.next++;
    if (frame.kind !== 'include' && ++this.expandedLines > MAX_EXPANDED_LINES) {
      this.stop({ origin: frame.origin, at: line.start });
      return null;
    }
    if (frame.listed) this.list(frame, line);
    return line;
  }

  /** Where a line without tokens, or the end of one with tokens, is. */
  lineOf(frame: Frame, line: SourceLine, tokens = line.tokens): TokenLine {
    return { tokens, origin: frame.origin, end: line.end };
  }

  private stop(place: Place): void {
    const message = `macros and repetitions make more than ${MAX_EXPANDED_LINES} lines`;
    this.session.reporter.error(place, message);
    this.session.reporter.incomplete = true;
    this.frames.length = 0;
  }

  private list(frame: Frame, line: SourceLine): void {
    const { source } = frame.origin;
    const number = source.lineAt(line.start);
    const depth = this.frames.length - 1;
    const isFile = frame.kind === 'include';
    const raw = source.text.slice(line.start, line.end);
    const text = isFile ? raw.replace(/\\\r?\n/g, '') : tokensText(line.tokens);
    this.listing.push({ number, depth, text: text.replace(/\r$/, ''), statements: [] });
  }

  /** One line: obey its directive, call its macro, or hand it on. */
  private process(frame: Frame, line: SourceLine): PreprocessedLine | null {
    const { reporter } = this.session;
    // Inside of a branch that is not taken, every %if is `never`.
    const open = frame.conditions.at(-1);
    const isActive = open === undefined || open.state === 'taken';
    const first = line.tokens[0];
    if (first === undefined) return null;
    if (!isActive && first.kind !== 'directive') return null;
    const tokens =
      frame.call === null || (!isActive && !isAlternative(first))
        ? line.tokens
        : substitute(line.tokens, frame.call, frame.origin, reporter);
    if (tokens === null) {
      // An %if that cannot be read still has its %endif.
      if (first.kind === 'directive') this.brokenCondition(frame, first);
      return null;
    }
    if (first.kind === 'directive') {
      if (isActive && frame.call === null && !this.hasNoParameters(frame, tokens)) return null;
      const raw = this.lineOf(frame, line, tokens);
      if (!this.conditional(frame, raw, isActive) && isActive) this.directives.obey(frame, raw);
      return null;
    }
    const expanded = this.context.singleLine.expand(tokens, frame.origin);
    if (expanded === null || expanded.length === 0) return null;
    const complete = { tokens: expanded, origin: frame.origin, end: line.end };
    return this.callMacro(frame, complete) ? null : { ...complete, listed: this.lastListed() };
  }

  /** Outside of macros there are no parameters. */
  private hasNoParameters(frame: Frame, tokens: readonly Token[]): boolean {
    const parameter = tokens.find(({ kind, text }) => kind === 'parameter' && text !== '%+');
    if (parameter === undefined || /^%(error|warning|fatal)$/i.test(tokens[0]?.text ?? ''))
      return true;
    const place = { origin: frame.origin, at: parameter.at };
    this.session.reporter.error(place, `'${parameter.text}' has a meaning only in a macro`);
    this.brokenCondition(frame, tokens[0] as Token);
    return false;
  }

  private brokenCondition(frame: Frame, first: Token): void {
    const condition = parseCondition(first.text.toLowerCase());
    if (condition === null) return;
    this.session.reporter.incomplete = true;
    const place = { origin: frame.origin, at: first.at };
    const top = frame.conditions.at(-1);
    if (!condition.isElse) frame.conditions.push({ state: 'never', hasElse: false, place });
    else if (top !== undefined) top.state = 'never';
  }

  private lastListed(): ListedLine {
    let last = this.listing.at(-1);
    if (last === undefined) {
      last = { number: 0, depth: 0, text: '', statements: [] };
      this.listing.push(last);
    }
    return last;
  }

  /** Handle %if, %elif, %else and %endif; false if the line is none of them. */
  private conditional(frame: Frame, line: TokenLine, isActive: boolean): boolean {
    const first = line.tokens[0] as Token;
    const word = first.text.toLowerCase();
    const place = { origin: line.origin, at: first.at };
    const condition = parseCondition(word);
    if (condition !== null && !condition.isElse) {
      const state = isActive ? this.decided(condition, line) : 'never';
      frame.conditions.push({ state, hasElse: false, place });
      return true;
    }
    if (condition === null && word !== '%else' && word !== '%endif') return false;
    const top = frame.conditions.at(-1);
    if (top === undefined) {
      this.session.reporter.error(place, `${word} without an %if before it`);
    } else if (word === '%endif') frame.conditions.pop();
    else this.alternative(top, condition, line, place);
    return true;
  }

  /** %else, or %elif with its condition. */
  private alternative(
    top: OpenCondition,
    condition: Condition | null,
    line: TokenLine,
    place: Place,
  ): void {
    if (top.hasElse) {
      const word = condition === null ? '%else' : (line.tokens[0] as Token).text;
      this.session.reporter.error(place, `${word} after %else`, ['%endif']);
      top.state = 'never';
      return;
    }
    if (condition === null) top.hasElse = true;
    if (top.state === 'taken') top.state = 'done';
    else if (top.state === 'waiting') {
      top.state = condition === null ? 'taken' : this.decided(condition, line);
    }
  }

  private decided(condition: Condition, line: TokenLine): OpenCondition['state'] {
    const holds = decide(condition, line, this.context);
    if (holds !== null) return holds ? 'taken' : 'waiting';
    this.session.reporter.incomplete = true;
    return 'never';
  }

  /** The end of a frame: the next repetition, or back to what called it. */
  private finish(frame: Frame): void {
    const unclosed = frame.conditions.at(-1);
    if (unclosed !== undefined) {
      const what = frame.kind === 'include' ? 'file' : frame.kind === 'rep' ? '%rep' : 'macro';
      const message = `this %if has no %endif before the end of the ${what}`;
      this.session.reporter.error(unclosed.place, message);
      frame.conditions = [];
      frame.remaining = 0;
    }
    if (frame.kind === 'rep' && frame.remaining > 0) this.repeat(frame);
    else if (this.frames.at(-1) === frame) this.frames.pop();
  }

  private repeat(frame: Frame): void {
    frame.remaining--;
    frame.repetition++;
    frame.next = 0;
    const { via } = frame.origin;
    if (via !== null) {
      frame.origin = { ...frame.origin, via: { ...via, name: String(frame.repetition) } };
    }
    // A repetition without lines takes time, too.
    if (frame.lines.length === 0) frame.remaining = 0;
  }

  /** Enter the macro that the line calls, if it does; a label before the call is handed on. */
  private callMacro(frame: Frame, line: TokenLine): boolean {
    const at = this.macroAt(line.tokens);
    const name = line.tokens[at];
    if (name === undefined) return false;
    const candidates = this.context.multiLine.find(name.text);
    // A macro is not called from inside itself: there, its name is the instruction's.
    const idle = candidates.filter((macro) => !this.isAtWork(macro));
    if (idle.length === 0) return false;
    const place = { origin: line.origin, at: name.at };
    const given = line.tokens.slice(at + 1);
    const problem = parameterProblem(given);
    if (problem !== null) {
      this.session.reporter.error(place, problem);
      return true;
    }
    const call = this.context.multiLine.call(idle, given);
    if (call === null) {
      if (vocabulary.isMnemonic(name.text.toLowerCase())) return false;
      const forms = candidates.map(({ minimum, maximum, greedy }) =>
        count(minimum, maximum, greedy),
      );
      const given = splitParameters(line.tokens.slice(at + 1)).length;
      const message = `macro '${name.text}' does not take ${count(given, given, false)}`;
      this.session.reporter.error(place, message, forms);
      return true;
    }
    const { macro } = call;
    const listed = frame.listed && !macro.unlisted;
    const { source } = macro.origin;
    const origin: Origin = { source, via: { how: 'macro', name: macro.name, from: place } };
    if (at > 0) this.pending.push(this.label(line, at, listed));
    return this.enter(
      { kind: 'macro', lines: macro.lines, origin, call, listed, remaining: 0 },
      place,
    );
  }

  /** Index of a macro's name at the start of the line or behind its label, or -1. */
  private macroAt(tokens: readonly Token[]): number {
    const isMacro = (token: Token | undefined) =>
      token?.kind === 'name' && this.context.multiLine.find(token.text).length > 0;
    const [first, second, third] = tokens;
    const isLabelled = second?.kind === 'operator' && second.text === ':';
    if (isMacro(first) && !isLabelled) return 0;
    if (first?.kind !== 'name') return -1;
    if (isLabelled) return isMacro(third) ? 2 : -1;
    const word = first.text.toLowerCase();
    const isOwn = vocabulary.isMnemonic(word) || vocabulary.isDirective(word);
    return isMacro(second) && !isOwn ? 1 : -1;
  }

  private label(line: TokenLine, labelTokens: number, listed: boolean): PreprocessedLine {
    const tokens = line.tokens.slice(0, labelTokens);
    const first = tokens[0] as Token;
    if (listed) {
      const number = line.origin.source.lineAt(first.at);
      const gap = line.tokens[labelTokens]?.spaced === true ? ' ' : '';
      const text = tokensText(tokens) + gap + (labelTokens === 1 ? ':' : '');
      this.listing.push({ number, depth: this.frames.length, text, statements: [] });
    }
    const colon = { ...first, kind: 'operator', text: ':' } as const;
    return { ...line, tokens: [first, colon], listed: this.lastListed() };
  }

  private isAtWork(macro: MacroCall['macro']): boolean {
    return this.frames.some(({ kind, call }) => kind === 'macro' && call?.macro === macro);
  }
}

/** A condition that decides even while lines are being left out. */
function isAlternative(token: Token): boolean {
  return /^%elif/i.test(token.text);
}

function count(minimum: number, maximum: number, greedy: boolean): string {
  const most = greedy || maximum === Number.POSITIVE_INFINITY ? ' or more' : ` to ${maximum}`;
  const range = minimum === maximum && !greedy ? `${minimum}` : `${minimum}${most}`;
  return `${range} parameter${range === '1' ? '' : 's'}`;
}

// %define and kin: replacement inside a line. NASM manual, "Single-Line Macros". As in NASM, an
// argument is not expanded before it is put in, the result is looked at again, and a macro does not
// expand inside its own expansion.

import type { Reporter } from './diagnostics.ts';
import { lexText, type Token } from './lexer.ts';
import type { Session } from './session.ts';
import type { Origin, Place } from './source.ts';

/** A token of a macro's body, or the place of one of its parameters. */
type BodyItem =
  | Token
  | { readonly kind: 'argument'; readonly index: number; readonly spaced: boolean };

interface SingleLineMacro {
  readonly name: string;
  /** Number of parameters, or -1 for a macro without parentheses. */
  readonly arity: number;
  readonly body: readonly BodyItem[];
  readonly ignoreCase: boolean;
}

/** Tokens of one line, whatever their number, is what a person or a sane macro writes. */
const MAX_TOKENS = 100_000;

/** Ends the expansion of a macro in the tokens that wait. */
interface EndOf {
  readonly kind: 'end';
  readonly macro: SingleLineMacro;
}

export class SingleLineMacros {
  private readonly macros = new Map<string, SingleLineMacro[]>();
  private readonly session: Session;
  private readonly reporter: Reporter;

  constructor(session: Session) {
    this.session = session;
    this.reporter = session.reporter;
  }

  /** Define a macro; one of the same name and number of parameters is replaced. */
  define(
    name: Token,
    parameters: readonly string[] | null,
    body: readonly Token[],
    ignoreCase: boolean,
    place: Place,
  ): void {
    const arity = parameters === null ? -1 : parameters.length;
    const key = name.text.toLowerCase();
    const others = (this.macros.get(key) ?? []).filter(
      (macro) => !(isCalled(macro, name.text) && macro.arity === arity),
    );
    if (others.some((macro) => isCalled(macro, name.text) && macro.arity < 0 !== arity < 0)) {
      this.reporter.error(
        place,
        `'${name.text}' is already defined ${arity < 0 ? 'with' : 'without'} parameters`,
      );
      return;
    }
    const items = body.map((token): BodyItem => {
      const index = token.kind === 'name' ? (parameters?.indexOf(token.text) ?? -1) : -1;
      return index < 0 ? token : { kind: 'argument', index, spaced: token.spaced };
    });
    this.macros.set(key, [...others, { name: name.text, arity, body: items, ignoreCase }]);
  }

  undefine(name: string): void {
    const key = name.toLowerCase();
    const kept = (this.macros.get(key) ?? []).filter((macro) => !isCalled(macro, name));
    if (kept.length === 0) this.macros.delete(key);
    else this.macros.set(key, kept);
  }

  isDefined(name: string): boolean {
    return this.find(name).length > 0 || builtIn(name) !== null;
  }

  /** The line with all macros expanded, or null after reporting an error. */
  expand(tokens: readonly Token[], origin: Origin): readonly Token[] | null {
    if (!tokens.some((token) => this.mayExpand(token))) return tokens;
    let current = tokens;
    for (let round = 0; round < 100; round++) {
      const expanded = new Expansion(this, this.session, origin).run(current);
      if (expanded === null || !expanded.some(isPaste)) return expanded;
      const pasted = this.paste(expanded, origin);
      if (pasted === null) return null;
      current = pasted;
    }
    this.tooLarge(current, origin);
    return null;
  }

  /** The macros that go by a name. */
  find(name: string): readonly SingleLineMacro[] {
    const named = this.macros.get(name.toLowerCase());
    return named === undefined ? [] : named.filter((macro) => isCalled(macro, name));
  }

  tooLarge(tokens: readonly Token[], origin: Origin): void {
    this.reporter.error({ origin, at: tokens[0]?.at ?? 0 }, 'macro expansion is too large');
  }

  private mayExpand(token: Token): boolean {
    if (token.kind !== 'name') return isPaste(token);
    return this.macros.has(token.text.toLowerCase()) || token.text.startsWith('__');
  }

  /** Join what stands on both sides of each `%+` to one token. */
  private paste(tokens: readonly Token[], origin: Origin): Token[] | null {
    const result: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i] as Token;
      if (!isPaste(token)) {
        result.push(token);
        continue;
      }
      const left = result.pop();
      const right = tokens[++i];
      if (left === undefined || right === undefined) {
        const missing = left === undefined ? 'before' : 'after';
        this.reporter.error({ origin, at: token.at }, `nothing stands ${missing} '%+'`);
        return null;
      }
      pushPasted(result, left, right.text);
    }
    return result;
  }
}

/** Append `left` joined with `text` to the tokens. */
export function pushPasted(tokens: Token[], left: Token, text: string): void {
  const [first, ...rest] = lexText(left.text + text, left.at);
  if (first !== undefined) tokens.push({ ...first, spaced: left.spaced }, ...rest);
}

function parameterCount(count: number): string {
  return `${count} parameter${count === 1 ? '' : 's'}`;
}

function isPaste(token: Token): boolean {
  return token.kind === 'parameter' && token.text === '%+';
}

function isCalled(macro: SingleLineMacro, name: string): boolean {
  return macro.name === name || (macro.ignoreCase && sameName(macro.name, name));
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Macros that the assembler itself defines, by what they stand for. */
function builtIn(name: string): 'line' | 'file' | 'bits' | null {
  switch (name) {
    case '__LINE__':
    case '__?LINE?__':
      return 'line';
    case '__FILE__':
    case '__?FILE?__':
      return 'file';
    case '__BITS__':
    case '__?BITS?__':
      return 'bits';
    default:
      return null;
  }
}

/** One expansion of one line: tokens wait on a stack, and macros push their bodies back onto it. */
class Expansion {
  private readonly macros: SingleLineMacros;
  private readonly session: Session;
  private readonly reporter: Reporter;
  private readonly origin: Origin;
  private readonly waiting: (Token | EndOf)[] = [];
  private readonly active = new Set<SingleLineMacro>();
  private steps = 0;

  constructor(macros: SingleLineMacros, session: Session, origin: Origin) {
    this.macros = macros;
    this.session = session;
    this.reporter = session.reporter;
    this.origin = origin;
  }

  run(tokens: readonly Token[]): Token[] | null {
    const result: Token[] = [];
    this.push(tokens);
    for (let token = this.take(); token !== undefined; token = this.take()) {
      if (++this.steps > MAX_TOKENS || this.waiting.length > MAX_TOKENS) {
        this.macros.tooLarge(tokens, this.origin);
        return null;
      }
      if (token.kind !== 'name') {
        result.push(token);
        continue;
      }
      const expanded = this.expandName(token);
      if (expanded === 'failed') return null;
      if (expanded === 'no macro') result.push(this.builtIn(token));
    }
    return result;
  }

  private push(tokens: readonly (Token | EndOf)[]): void {
    for (let i = tokens.length - 1; i >= 0; i--) this.waiting.push(tokens[i] as Token);
  }

  /** The next token; ends of expansions before it are noted. */
  private take(): Token | undefined {
    for (;;) {
      const item = this.waiting.pop();
      if (item?.kind !== 'end') return item;
      this.active.delete(item.macro);
    }
  }

  private peek(): Token | undefined {
    for (let i = this.waiting.length - 1; i >= 0; i--) {
      const item = this.waiting[i] as Token | EndOf;
      if (item.kind !== 'end') return item;
    }
    return undefined;
  }

  private expandName(name: Token): 'expanded' | 'no macro' | 'failed' {
    const candidates = this.macros.find(name.text).filter((macro) => !this.active.has(macro));
    const [first] = candidates;
    if (first === undefined) return 'no macro';
    if (first.arity < 0) {
      this.begin(first, name, []);
      return 'expanded';
    }
    const next = this.peek();
    if (next?.kind !== 'operator' || next.text !== '(') return 'no macro';
    const given = this.takeArguments(name);
    if (given === null) return 'failed';
    const isEmpty = given.length === 1 && given[0]?.length === 0;
    const macro =
      candidates.find(({ arity }) => arity === given.length) ??
      candidates.find(({ arity }) => arity === 0 && isEmpty);
    if (macro === undefined) {
      const forms = candidates.map(({ arity }) => parameterCount(arity));
      const message = `'${name.text}' does not take ${parameterCount(given.length)}`;
      this.reporter.error({ origin: this.origin, at: name.at }, message, forms);
      return 'failed';
    }
    this.begin(macro, name, given);
    return 'expanded';
  }

  /** The arguments between parentheses, split at commas; null after reporting an error. */
  private takeArguments(name: Token): Token[][] | null {
    const given: Token[][] = [[]];
    let parentheses = 0;
    let braces = 0;
    for (let token = this.take(); token !== undefined; token = this.take()) {
      const mark = token.kind === 'operator' ? token.text : '';
      if (mark === '{') braces++;
      else if (mark === '}') braces--;
      const isBrace = (mark === '{' && braces === 1) || (mark === '}' && braces === 0);
      if (braces === 0 && mark === '(' && ++parentheses === 1) continue;
      if (braces === 0 && mark === ')' && --parentheses === 0) return given;
      if (braces === 0 && mark === ',' && parentheses === 1) given.push([]);
      else if (!isBrace) given.at(-1)?.push(token);
      if (++this.steps > MAX_TOKENS) break;
    }
    const message = `the parameters of '${name.text}' do not end`;
    this.reporter.error({ origin: this.origin, at: name.at }, message, ["')'"]);
    return null;
  }

  /**
   * Put the body of a macro before what waits; its tokens count as standing where its name does.
   */
  private begin(macro: SingleLineMacro, name: Token, given: readonly Token[][]): void {
    const body: Token[] = [];
    for (const item of macro.body) {
      if (item.kind !== 'argument') body.push({ ...item, at: name.at });
      else {
        const [first, ...rest] = given[item.index] ?? [];
        if (first !== undefined) body.push({ ...first, spaced: item.spaced }, ...rest);
      }
      if (body.length > MAX_TOKENS) break;
    }
    const [first] = body;
    if (first !== undefined) body[0] = { ...first, spaced: name.spaced };
    this.active.add(macro);
    this.waiting.push({ kind: 'end', macro });
    this.push(body);
  }

  private builtIn(token: Token): Token {
    const { source } = this.origin;
    switch (builtIn(token.text)) {
      case 'line':
        return { ...token, kind: 'number', text: String(source.lineAt(token.at)) };
      case 'file':
        return { ...token, kind: 'string', text: `'${source.name.replaceAll("'", '')}'` };
      case 'bits':
        return { ...token, kind: 'number', text: String(this.session.codeSize) };
      default:
        return token;
    }
  }
}

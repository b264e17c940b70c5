// A position in the tokens of one line, for the parsers.

import type { Reporter } from './diagnostics.ts';
import { NAME, type Token } from './lexer.ts';
import type { Origin, Place } from './source.ts';

/** A line as the parsers get it: macros are expanded. */
export interface TokenLine {
  readonly tokens: readonly Token[];
  readonly origin: Origin;
  /** Offset of the end of the line, where messages about missing things point. */
  readonly end: number;
}

const STARTS_WITH_NAME = new RegExp(`^${NAME}`);

export class Cursor {
  readonly line: TokenLine;
  private readonly reporter: Reporter;
  private next: number;

  constructor(line: TokenLine, reporter: Reporter, from = 0) {
    this.line = line;
    this.reporter = reporter;
    this.next = from;
  }

  /** The token `ahead` places on, or undefined past the end. */
  peek(ahead = 0): Token | undefined {
    return this.line.tokens[this.next + ahead];
  }

  take(): Token | undefined {
    return this.line.tokens[this.next++];
  }

  get index(): number {
    return this.next;
  }

  get atEnd(): boolean {
    return this.next >= this.line.tokens.length;
  }

  /** Whether the next token is this operator; takes it if so. */
  accept(operator: string): boolean {
    if (!this.at(operator)) return false;
    this.next++;
    return true;
  }

  at(operator: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token?.kind === 'operator' && token.text === operator;
  }

  /** The next token in lower case if it is a name, else ''. */
  keyword(ahead = 0): string {
    const token = this.peek(ahead);
    return token?.kind === 'name' ? token.text.toLowerCase() : '';
  }

  /** Where the next token stands, or the line ends. */
  get place(): Place {
    return { origin: this.line.origin, at: this.peek()?.at ?? this.line.end };
  }

  placeOf(token: Token): Place {
    return { origin: this.line.origin, at: token.at };
  }

  /** Report that something else than `expected` comes next. */
  fail(expected: readonly string[], place = this.place): null {
    const token = this.peek();
    const found = token === undefined ? 'the line ends here' : `unexpected ${tokenName(token)}`;
    this.reporter.error(place, `${found}${this.sourceOf(token)}`, expected);
    return null;
  }

  /** Tokens of a macro stand where its name does: of them nothing is to be seen in the line. */
  private sourceOf(token: Token | undefined): string {
    if (token === undefined) return '';
    const text = this.line.origin.source.text.slice(token.at);
    const [name = ''] = STARTS_WITH_NAME.exec(text) ?? [];
    return name === '' || token.text.startsWith(name) ? '' : `, which '${name}' stands for`;
  }

  error(place: Place, message: string, expected: readonly string[] = []): null {
    this.reporter.error(place, message, expected);
    return null;
  }

  warn(place: Place, message: string, expected: readonly string[] = []): void {
    this.reporter.warn(place, message, expected);
  }
}

/** How messages call a token. */
export function tokenName(token: Token): string {
  return token.kind === 'string' ? `string ${token.text}` : `'${token.text}'`;
}

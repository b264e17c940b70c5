// From a file to lines of tokens. NASM manual, "Layout of a NASM Source Line". A line that ends in
// a backslash goes on in the next. What is not a token becomes a `bad` one: only the lines that
// assembly reaches may complain, not those that an %if skips.

import type { SourceText } from './source.ts';

export type TokenKind =
  /** `label`, `.local`, `$escaped`. */
  | 'name'
  /** As written; {@link parseNumber} reads it. */
  | 'number'
  /** With its quotes; {@link stringBytes} reads it. */
  | 'string'
  | 'operator'
  /** `%rax` of AT&T syntax. */
  | 'register'
  /** `%1`, `%{1}`, `%0`, `%+1`, `%%local`: what a macro call replaces. */
  | 'parameter'
  /** `%define`, `%if`, ... */
  | 'directive'
  /** Not a token; `text` is what stands there. */
  | 'bad';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Offset into the text of the line's file. */
  readonly at: number;
  /** White space stands before it. */
  readonly spaced: boolean;
}

/** A line with its continuation lines. */
export interface SourceLine {
  readonly tokens: readonly Token[];
  /** Offsets of the line's first character and of its end. */
  readonly start: number;
  readonly end: number;
  /** A backslash joins lines to this one. */
  readonly continued: boolean;
}

export const NAME = '[A-Za-z_.?@][\\w.?@$#~]*';

/** One group for each kind of token, in the order of GROUPS. */
const TOKEN = new RegExp(
  [
    `(\\$?${NAME})`,
    '(\\$?\\d[\\w.]*)',
    `('[^'\\n]*'|"[^"\\n]*"|\`(?:\\\\[^\\n]|[^\`\\\\\\n])*\`)`,
    `(%\\{[^}\\n]*\\}|%%${NAME}|%[+-]?\\d+|%\\+)`,
    '(%[A-Za-z][\\w.?@$#~]*)',
    '(<=>|<<<|>>>|\\|\\||&&|\\^\\^|==|!=|<>|<=|>=|<<|>>|//|\\$\\$|%%|[-+*/|^&~!()[\\]{},:=<>$%#])',
  ].join('|'),
  'y',
);

const GROUPS: readonly TokenKind[] = [
  'name',
  'number',
  'string',
  'parameter',
  'directive',
  'operator',
];

/** Split a file into lines of tokens. */
export function lex(source: SourceText): SourceLine[] {
  const lines: SourceLine[] = [];
  const { text } = source;
  for (let start = 0; start < text.length; ) {
    const line = lexLine(text, start, text.length);
    lines.push(line);
    start = line.end + 1;
  }
  return lines;
}

/** Tokens of text that stands in no file, all placed at `at`. */
export function lexText(text: string, at: number): Token[] {
  return lexLine(text, 0, text.length).tokens.map((token) => ({ ...token, at }));
}

/** The line that begins at `start`. Its `end` is at a line feed or at `limit`. */
function lexLine(text: string, start: number, limit: number): SourceLine {
  const tokens: Token[] = [];
  let continued = false;
  let spaced = false;
  let at = start;
  while (at < limit) {
    const character = text[at] as string;
    if (character === '\n') break;
    if (character === ' ' || character === '\t' || character === '\r') {
      spaced = true;
      at++;
    } else if (character === ';') {
      at = endOfLine(text, at);
      // Lines are joined before comments are taken out.
      while (text[at - 1] === '\\' && at < limit) {
        continued = true;
        at = endOfLine(text, at + 1);
      }
    } else if (character === '\\' && isLineEnd(text, at + 1)) {
      continued = true;
      spaced = true;
      at = endOfLine(text, at) + 1;
    } else {
      const token = lexToken(text, at, spaced);
      tokens.push(token);
      at += token.text.length;
      spaced = false;
    }
  }
  return { tokens, start, end: Math.min(at, limit), continued };
}

function isLineEnd(text: string, at: number): boolean {
  return text[at] === '\n' || (text[at] === '\r' && text[at + 1] === '\n');
}

/** The offset of the line feed that ends the line, or of the text's end. */
function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

function lexToken(text: string, at: number, spaced: boolean): Token {
  TOKEN.lastIndex = at;
  const match = TOKEN.exec(text);
  if (match !== null) {
    const group = match.findIndex((matched, i) => i > 0 && matched !== undefined);
    return { kind: GROUPS[group - 1] as TokenKind, text: match[0], at, spaced };
  }
  const isQuote = text[at] === "'" || text[at] === '"' || text[at] === '`';
  const end = isQuote ? endOfLine(text, at) : at + 1;
  return { kind: 'bad', text: text.slice(at, end), at, spaced };
}

/** The tokens as text, spaced as NASM's listing spaces a macro's lines. */
export function tokensText(tokens: readonly Token[]): string {
  return tokens.map((token) => (token.spaced ? ' ' : '') + token.text).join('');
}

// Tokens of a GAS statement. GNU as manual, "Symbols", "Constants"; registers are those of AT&T
// syntax, with their percent sign.

import type { Token, TokenKind } from '../lexer.ts';
import { type GasLine, offsetAt, quotedEnd } from './lines.ts';

const TOKEN =
  /([A-Za-z_.\x80-\uffff][\w.$\x80-\uffff]*)|(\d[\w.]*)|(<<|>>|<>|<=|>=|==|!=|&&|\|\||[-+*/%|^&~!()[\],:=<>$@{}?])/y;

const REGISTER = /%[A-Za-z]\w*/y;

const GROUPS: readonly TokenKind[] = ['name', 'number', 'operator'];

/** The tokens of a statement. A quoted character is a `string` in single quotes. */
export function gasTokens(line: GasLine): Token[] {
  const tokens: Token[] = [];
  const { text } = line;
  let spaced = false;
  for (let at = 0; at < text.length; ) {
    if (/\s/.test(text[at] as string)) {
      spaced = true;
      at++;
      continue;
    }
    const { kind, text: found } = tokenAt(text, at, tokens.at(-1));
    tokens.push({ kind, text: found, at: offsetAt(line, at), spaced });
    at += found.length;
    spaced = false;
  }
  return tokens;
}

function tokenAt(
  text: string,
  at: number,
  before: Token | undefined,
): Omit<Token, 'at' | 'spaced'> {
  if (text[at] === '"' || text[at] === "'") {
    const end = quotedEnd(text, at);
    const quoted = text.slice(at, end);
    const isClosed = quoted[0] === "'" ? quoted.length > 1 : /^"(\\.|[^\\])*"$/s.test(quoted);
    return { kind: isClosed ? 'string' : 'bad', text: quoted };
  }
  // Behind an operand the sign is a remainder.
  if (text[at] === '%' && !isOperand(before)) {
    REGISTER.lastIndex = at;
    const register = REGISTER.exec(text);
    if (register !== null) return { kind: 'register', text: register[0] };
  }
  TOKEN.lastIndex = at;
  const match = TOKEN.exec(text);
  if (match === null) return { kind: 'bad', text: text[at] as string };
  const group = match.findIndex((matched, i) => i > 0 && matched !== undefined);
  return { kind: GROUPS[group - 1] as TokenKind, text: match[0] };
}

function isOperand(token: Token | undefined): boolean {
  if (token === undefined || token.kind === 'register') return false;
  if (token.kind === 'operator') return token.text === ')';
  return token.kind === 'number' || token.kind === 'string';
}

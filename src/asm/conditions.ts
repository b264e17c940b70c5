// What an %if or %elif asks, and the answer. NASM manual, "Conditional Assembly".

import { Cursor, type TokenLine } from './cursor.ts';
import { parseExpression } from './expression.ts';
import type { Token } from './lexer.ts';
import { parseNumber, stringBytes } from './literals.ts';
import type { MultiLineMacros } from './multi-line-macros.ts';
import type { Session } from './session.ts';
import type { SingleLineMacros } from './single-line-macros.ts';

/** `%ifndef` is negated `def`; `%if` is plain ``. */
export interface Condition {
  readonly isElse: boolean;
  readonly negated: boolean;
  readonly asks: string;
}

const KINDS = 'def|macro|idni|idn|id|num|str|token|empty';
const CONDITION = new RegExp(`^%(el)?if(n?)(${KINDS})?$`);

/** Read a directive such as `%elifndef`, in lower case; null if it is no condition. */
export function parseCondition(directive: string): Condition | null {
  const match = CONDITION.exec(directive);
  if (match === null) return null;
  return { isElse: match[1] !== undefined, negated: match[2] === 'n', asks: match[3] ?? '' };
}

/** What conditions look at. */
export interface ConditionContext {
  readonly session: Session;
  readonly singleLine: SingleLineMacros;
  readonly multiLine: MultiLineMacros;
}

/**
 * Whether the condition holds for the tokens behind the directive.
 * @param raw the line as written, from the directive on
 * @returns null after reporting an error
 */
export function decide(
  condition: Condition,
  raw: TokenLine,
  context: ConditionContext,
): boolean | null {
  const holds = ask(condition.asks, raw, context);
  return holds === null ? null : holds !== condition.negated;
}

function ask(asks: string, raw: TokenLine, context: ConditionContext): boolean | null {
  const { session, singleLine, multiLine } = context;
  if (asks === 'def' || asks === 'macro') {
    const name = raw.tokens[1];
    const cursor = new Cursor(raw, session.reporter, 1);
    if (name?.kind !== 'name') return cursor.fail(['the name of a macro']);
    if (asks === 'def') return singleLine.isDefined(name.text);
    return multiLine.find(name.text).length > 0;
  }
  const expanded = singleLine.expand(raw.tokens.slice(1), raw.origin);
  if (expanded === null) return null;
  const line: TokenLine = { ...raw, tokens: expanded };
  switch (asks) {
    case 'idn':
      return areIdentical(line, false, context);
    case 'idni':
      return areIdentical(line, true, context);
    case 'empty':
      return expanded.length === 0;
    case 'token':
      return expanded.length === 1;
    // As in NASM, only the first token counts.
    case 'id':
      return expanded[0]?.kind === 'name';
    case 'str':
      return expanded[0]?.kind === 'string';
    case 'num': {
      const token = expanded.find((one) => !isSign(one));
      if (token?.kind !== 'number') return false;
      const number = parseNumber(token.text);
      if (number.kind === 'value') return true;
      session.reporter.error({ origin: raw.origin, at: token.at }, number.message);
      return null;
    }
    default:
      return isTrue(line, context);
  }
}

function isTrue(line: TokenLine, { session }: ConditionContext): boolean | null {
  const cursor = new Cursor(line, session.reporter);
  const expression = parseExpression(cursor, session.symbols);
  if (expression === null) return null;
  if (!cursor.atEnd) return cursor.fail(['an operator', 'the end of the line']);
  const number = session.constant(expression);
  return number === null ? null : !number.isZero();
}

function isSign({ kind, text }: Token): boolean {
  return kind === 'operator' && (text === '-' || text === '+');
}

function areIdentical(
  line: TokenLine,
  ignoreCase: boolean,
  { session }: ConditionContext,
): boolean | null {
  const { tokens } = line;
  const isComma = ({ kind, text }: Token) => kind === 'operator' && text === ',';
  const comma = tokens.findIndex(isComma);
  const cursor = new Cursor(line, session.reporter, comma < 0 ? tokens.length : comma + 1);
  if (comma < 0) return cursor.fail(["',' between two texts"]);
  const left = tokens.slice(0, comma);
  const right = tokens.slice(comma + 1);
  const second = right.findIndex(isComma);
  if (second >= 0) {
    const place = cursor.placeOf(right[second] as Token);
    return cursor.error(place, 'a second comma: only two texts can be compared');
  }
  const same =
    left.length === right.length &&
    left.every((token, i) => isSame(token, right[i] as Token, ignoreCase));
  if (same && (tokens[comma] as Token).spaced) {
    // NASM counts this space as a part of the text, so that its answer is no.
    const message = 'the space before the comma makes the texts differ for NASM';
    return cursor.error(cursor.placeOf(tokens[comma] as Token), message, ["',' without a space"]);
  }
  return same;
}

function isSame(a: Token, b: Token, ignoreCase: boolean): boolean {
  if (a.kind !== b.kind) return false;
  if (a.kind === 'string') {
    const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text);
    return String(stringBytes(fold(a.text))) === String(stringBytes(fold(b.text)));
  }
  return ignoreCase ? a.text.toLowerCase() === b.text.toLowerCase() : a.text === b.text;
}

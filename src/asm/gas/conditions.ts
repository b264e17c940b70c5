// What .if and its kin ask. GNU as manual, "If".

import type Long from 'long';
import type { Cursor } from '../cursor.ts';
import { type GasContext, parseGasExpression } from './expression.ts';
import { gasStringBytes } from './literals.ts';
import { splitArguments } from './macros.ts';

/** A condition whose directive has been read. */
export interface AskedCondition {
  /** From the first token behind the directive on. */
  readonly cursor: Cursor;
  /** The same as text. */
  readonly text: string;
}

/** Decides; null after reporting an error. */
type Decide = (asked: AskedCondition, context: GasContext) => boolean | null;

const number =
  (holds: (value: Long) => boolean): Decide =>
  (asked, context) => {
    const value = numberOf(asked, context);
    return value === null ? null : holds(value);
  };

const not =
  (decide: Decide): Decide =>
  (asked, context) => {
    const holds = decide(asked, context);
    return holds === null ? null : !holds;
  };

const isDefined: Decide = ({ cursor }, { session }) => {
  const token = cursor.peek();
  if (token?.kind !== 'name') return cursor.fail(['a symbol']);
  const symbol = session.symbols.find(token.text);
  return symbol !== undefined && symbol.definedAt !== null;
};

const isBlank: Decide = ({ text }) => text.trim() === '';

const areSame: Decide = ({ cursor, text }) => {
  const comma = text.indexOf(',');
  if (comma < 0) return cursor.fail(["',' between two texts"]);
  return text.slice(0, comma).trim() === text.slice(comma + 1).trim();
};

const areSameStrings: Decide = ({ cursor, text }) => {
  const pieces = splitArguments(text);
  if (pieces.length !== 2 || pieces.some((piece) => !/^".*"$/s.test(piece))) {
    return cursor.fail(['two strings in quotes']);
  }
  const [left, right] = pieces.map((piece) => String(gasStringBytes(piece)));
  return left === right;
};

/** All conditions by their directives. */
export const CONDITIONS: ReadonlyMap<string, Decide> = new Map<string, Decide>([
  ['.if', number((value) => !value.isZero())],
  ['.ifne', number((value) => !value.isZero())],
  ['.ifeq', number((value) => value.isZero())],
  ['.ifgt', number((value) => value.gt(0))],
  ['.ifge', number((value) => value.ge(0))],
  ['.iflt', number((value) => value.lt(0))],
  ['.ifle', number((value) => value.le(0))],
  ['.ifdef', isDefined],
  ['.ifndef', not(isDefined)],
  ['.ifnotdef', not(isDefined)],
  ['.ifb', isBlank],
  ['.ifnb', not(isBlank)],
  ['.ifc', areSame],
  ['.ifnc', not(areSame)],
  ['.ifeqs', areSameStrings],
  ['.ifnes', not(areSameStrings)],
]);

/** The number that the rest of the line is worth here; null after reporting an error. */
export function numberOf(
  { cursor }: { readonly cursor: Cursor },
  context: GasContext,
): Long | null {
  const expression = parseGasExpression(cursor, context);
  if (expression === null) return null;
  if (!cursor.atEnd) return cursor.fail(['an operator', 'the end of the line']);
  return context.session.constant(expression);
}

// Numeric substitution blocks, [[#%x,NAME:EXPRESSION]]: a number in the text is captured, compared
// with an expression, or both. Values have any size and sign.

import { Complaint, FormulaReader } from '../sim/index.ts';
import { escapeRegex } from './posix-regex.ts';

/** How a number is written: as %u, %d, %x or %X, with so many digits at least, perhaps with 0x. */
export interface NumberFormat {
  readonly conversion: 'u' | 'd' | 'x' | 'X';
  readonly digits: number;
  readonly prefixed: boolean;
}

export interface NumericValue {
  readonly value: bigint;
  readonly format: NumberFormat;
}

export const UNSIGNED: NumberFormat = { conversion: 'u', digits: 0, prefixed: false };

/** An arithmetic expression. */
export type Expression =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'variable'; readonly name: string }
  | {
      readonly kind: 'call';
      readonly operation: Operation;
      readonly left: Expression;
      readonly right: Expression;
    };

export interface NumericBlock {
  /** Null if the block does not say; then the variables of the expression do. */
  readonly format: NumberFormat | null;
  /** Name of the variable that gets the number, or null. */
  readonly defines: string | null;
  /** What the number has to be, or null. */
  readonly expression: Expression | null;
}

const OPERATIONS = {
  add: (a: bigint, b: bigint) => a + b,
  sub: (a: bigint, b: bigint) => a - b,
  mul: (a: bigint, b: bigint) => a * b,
  div: (a: bigint, b: bigint) => a / b,
  min: (a: bigint, b: bigint) => (a < b ? a : b),
  max: (a: bigint, b: bigint) => (a > b ? a : b),
} as const;

type Operation = keyof typeof OPERATIONS;

export interface BlockProblem {
  /** Characters from the start of the block's text. */
  readonly offset: number;
  readonly message: string;
}

/**
 * Read what stands between [[# and ]].
 * @param line the line of the directive, which @LINE stands for
 */
export function parseNumericBlock(text: string, line: number): NumericBlock | BlockProblem {
  try {
    const [head, format] = formatOf(text);
    const [defining, defines] = definitionOf(text, head);
    const rest = text.slice(defining);
    const constraint = /^\s*==/.exec(rest)?.[0].length ?? 0;
    const reader = new ExpressionReader(text, defining + constraint, line);
    const expression = rest.slice(constraint).trim() === '' ? null : reader.whole();
    if (constraint > 0 && expression === null) {
      throw new Complaint(text.length, "expected an expression behind '=='");
    }
    return { format, defines, expression };
  } catch (thrown) {
    if (thrown instanceof Complaint) return thrown;
    throw thrown;
  }
}

function formatOf(text: string): [end: number, format: NumberFormat | null] {
  const start = /^\s*/.exec(text)?.[0].length ?? 0;
  if (text[start] !== '%') return [0, null];
  const match = /^%(#?)(?:\.(\d{1,3}))?([udxX])/.exec(text.slice(start));
  if (match === null)
    throw new Complaint(start, 'expected a format such as %u, %d, %x, %#x or %.8X');
  const [all, prefixed, digits, letter] = match;
  const conversion = letter as NumberFormat['conversion'];
  if (prefixed === '#' && conversion !== 'x' && conversion !== 'X') {
    throw new Complaint(start, `'#' goes with hexadecimal numbers, not with %${conversion}`);
  }
  const end = start + all.length;
  const format = { conversion, digits: Number(digits ?? 0), prefixed: prefixed === '#' };
  const comma = /^\s*,/.exec(text.slice(end));
  if (comma !== null) return [end + comma[0].length, format];
  if (text.slice(end).trim() === '') return [text.length, format];
  throw new Complaint(end, "expected ',' behind the format");
}

function definitionOf(text: string, from: number): [end: number, name: string | null] {
  const match = /^\s*([A-Za-z_]\w*)\s*:/.exec(text.slice(from));
  if (match !== null) return [from + match[0].length, match[1]];
  const wrong = /^\s*([^\s:]*)\s*:/.exec(text.slice(from));
  if (wrong === null) return [from, null];
  throw new Complaint(from, `'${wrong[1]}' cannot be the name of a variable`);
}

class ExpressionReader extends FormulaReader {
  private readonly line: number;

  constructor(text: string, at: number, line: number) {
    super(text, at);
    this.line = line;
  }

  whole(): Expression {
    const expression = this.sum();
    if (this.peek() === '') return expression;
    throw new Complaint(this.at, `expected '+', '-' or the end, not '${this.peek()}'`);
  }

  private sum(): Expression {
    let left = this.term();
    for (let sign = this.peek(); sign === '+' || sign === '-'; sign = this.peek()) {
      this.at++;
      left = { kind: 'call', operation: sign === '+' ? 'add' : 'sub', left, right: this.term() };
    }
    return left;
  }

  private term(): Expression {
    this.peek();
    if (this.text[this.at] === '(') {
      return this.inParentheses(() => this.sum());
    }
    const number = this.take(/^-?(0x[\da-fA-F]+|\d+)/);
    if (number !== null) {
      const isNegative = number.startsWith('-');
      const value = BigInt(isNegative ? number.slice(1) : number);
      return { kind: 'number', value: isNegative ? -value : value };
    }
    if (this.take(/^@LINE\b/) !== null) return { kind: 'number', value: BigInt(this.line) };
    const start = this.at;
    const name = this.take(/^[A-Za-z_]\w*/);
    if (name === null) throw new Complaint(start, 'expected a number, a variable or a function');
    return this.peek() === '(' ? this.call(name, start) : { kind: 'variable', name };
  }

  private call(name: string, start: number): Expression {
    if (!Object.hasOwn(OPERATIONS, name)) {
      const known = Object.keys(OPERATIONS).join(', ');
      throw new Complaint(start, `unknown function '${name}'; expected one of ${known}`);
    }
    const operation = name as Operation;
    return this.inParentheses(() => {
      const left = this.sum();
      if (this.peek() !== ',') throw new Complaint(this.at, `${name} takes two arguments`);
      this.at++;
      return { kind: 'call', operation, left, right: this.sum() };
    });
  }
}

/** Names of the variables that an expression uses. */
export function variablesOf(expression: Expression): string[] {
  switch (expression.kind) {
    case 'number':
      return [];
    case 'variable':
      return [expression.name];
    case 'call':
      return [...variablesOf(expression.left), ...variablesOf(expression.right)];
  }
}

/** The value of an expression, or why it has none. */
export function evaluate(
  expression: Expression,
  variables: ReadonlyMap<string, NumericValue>,
): bigint | string {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'variable':
      return variables.get(expression.name)?.value ?? `${expression.name} is not defined`;
    case 'call': {
      const left = evaluate(expression.left, variables);
      const right = evaluate(expression.right, variables);
      if (typeof left === 'string') return left;
      if (typeof right === 'string') return right;
      if (expression.operation === 'div' && right === 0n) return 'division by zero';
      return OPERATIONS[expression.operation](left, right);
    }
  }
}

/** The format of a block: its own, else that of the first variable that it uses. */
export function formatOfBlock(
  block: NumericBlock,
  variables: ReadonlyMap<string, NumericValue>,
): NumberFormat {
  if (block.format !== null) return block.format;
  const names = block.expression === null ? [] : variablesOf(block.expression);
  const first = names.map((name) => variables.get(name)).find((known) => known !== undefined);
  return first?.format ?? UNSIGNED;
}

/** An expression, as source, for any number of a format. */
export function anyNumber({ conversion, digits, prefixed }: NumberFormat): string {
  const letters = { u: '', d: '', x: 'a-f', X: 'A-F' }[conversion];
  const [first, any] = [`1-9${letters}`, `0-9${letters}`];
  const sign = conversion === 'd' ? '-?' : '';
  const prefix = prefixed ? '0x' : '';
  if (digits === 0) return `${sign}${prefix}[${any}]+`;
  return `${sign}${prefix}(?:[${first}][${any}]*)?[${any}]{${digits}}`;
}

/** A number as the format writes it, as source of an expression; why not, if it cannot. */
export function thisNumber(
  value: bigint,
  { conversion, digits, prefixed }: NumberFormat,
): { readonly source: string } | string {
  if (value < 0n && conversion !== 'd') return `${value} is negative, and %${conversion} is not`;
  const magnitude = value < 0n ? -value : value;
  const hex = magnitude.toString(16);
  const plain = { u: String(magnitude), d: String(magnitude), x: hex, X: hex.toUpperCase() };
  const text = plain[conversion].padStart(digits, '0');
  return { source: escapeRegex(`${value < 0n ? '-' : ''}${prefixed ? '0x' : ''}${text}`) };
}

/** The number that a text of a format stands for. */
export function readNumber(text: string, { conversion, prefixed }: NumberFormat): bigint {
  const isNegative = text.startsWith('-');
  const digits = text.slice((isNegative ? 1 : 0) + (prefixed ? 2 : 0));
  const isHex = conversion === 'x' || conversion === 'X';
  const value = BigInt(isHex ? `0x${digits}` : digits);
  return isNegative ? -value : value;
}

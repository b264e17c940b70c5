// What an output of an experiment is: a path into the JSON report of a run, or arithmetic on such.
//
//   sum     = product { (+ | -) product }        product = factor { (* | /) factor }
//   factor  = - factor | number | ( sum ) | FUNCTION ( sum { , sum } ) | $OUTPUT | path
//   path    = NAME { . NAME | [ INDEX ] | [ * ] | [ NAME ] }
//
// [*] stands for every element, [HLT] for the elements of a list whose `name` is HLT, or for a key
// that is no name. $time is the output `time`, declared before. Arithmetic is of single values;
// functions take all values of a path.

import { Complaint, FormulaReader, nearest } from '../sim/index.ts';
import {
  type Histogram,
  histogramMean,
  histogramOfCounts,
  histogramQuantile,
  readHistogram,
  totalOf,
} from './histogram.ts';
import { jainIndex, meanOf, quantileOf, sumOf } from './statistics.ts';

export type Expression =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'path'; readonly steps: readonly Step[]; readonly text: string }
  | { readonly kind: 'output'; readonly name: string }
  | { readonly kind: 'negate'; readonly of: Expression }
  | {
      readonly kind: 'operation';
      readonly operator: '+' | '-' | '*' | '/';
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly of: readonly Expression[] };

type Step =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'named'; readonly name: string };

interface FunctionRow {
  /** What it takes behind the values: a number, or nothing. */
  readonly parameter: string | null;
  readonly summary: string;
  readonly of: (values: readonly number[], parameter: number) => number;
}

const rows = {
  sum: { parameter: null, summary: 'sum; 0 of none', of: sumOf },
  mean: { parameter: null, summary: 'mean', of: meanOf },
  min: { parameter: null, summary: 'least', of: (values) => Math.min(...values) },
  max: { parameter: null, summary: 'greatest', of: (values) => Math.max(...values) },
  count: { parameter: null, summary: 'how many there are', of: (values) => values.length },
  quantile: {
    parameter: 'part',
    summary: 'value below which a part (0 to 1) lies',
    of: quantileOf,
  },
  jain: { parameter: null, summary: "Jain's fairness index", of: jainIndex },
} satisfies Readonly<Record<string, FunctionRow>>;

/** Functions of a histogram: a list of counts by value, or text with lines `VALUE COUNT`. */
const histogramRows = {
  histogram_total: { parameter: null, of: totalOf },
  histogram_mean: { parameter: null, of: histogramMean },
  histogram_quantile: { parameter: 'part', of: histogramQuantile },
} satisfies Readonly<
  Record<
    string,
    {
      readonly parameter: string | null;
      readonly of: (histogram: Histogram, parameter: number) => number;
    }
  >
>;

type FunctionName = keyof typeof rows | keyof typeof histogramRows;

const FUNCTIONS: Readonly<Record<string, FunctionRow>> = rows;

export const FUNCTION_NAMES = [...Object.keys(rows), ...Object.keys(histogramRows)];

/** A place in the text and what is wrong there. */
export interface ExpressionProblem {
  /** Characters from the start. */
  readonly offset: number;
  readonly message: string;
}

/** Thrown while evaluating; caught by the callers of {@link evaluate}. */
export class NoValue {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export function parseExpression(
  text: string,
): { readonly expression: Expression } | { readonly problem: ExpressionProblem } {
  try {
    return { expression: new Reader(text).whole() };
  } catch (thrown) {
    if (thrown instanceof Complaint)
      return { problem: { offset: thrown.offset, message: thrown.message } };
    throw thrown;
  }
}

/** Deeper nesting is nobody's formula. */
const MAX_DEPTH = 100;

class Reader extends FormulaReader {
  private depth = 0;

  whole(): Expression {
    const expression = this.sum();
    if (this.peek() === '') return expression;
    throw new Complaint(this.at, `expected an operator or the end, not '${this.peek()}'`);
  }

  private sum(): Expression {
    return this.chain(['+', '-'], () => this.product());
  }

  private product(): Expression {
    return this.chain(['*', '/'], () => this.factor());
  }

  private chain(operators: readonly ('+' | '-' | '*' | '/')[], part: () => Expression): Expression {
    let left = part();
    for (;;) {
      const operator = operators.find((candidate) => candidate === this.peek());
      if (operator === undefined) return left;
      this.at++;
      left = { kind: 'operation', operator, left, right: part() };
    }
  }

  private factor(): Expression {
    if (++this.depth > MAX_DEPTH) throw new Complaint(this.at, 'is nested too deeply');
    try {
      return this.simple();
    } finally {
      this.depth--;
    }
  }

  private simple(): Expression {
    const next = this.peek();
    if (next === '-') {
      this.at++;
      return { kind: 'negate', of: this.factor() };
    }
    if (next === '(') return this.inParentheses(() => this.sum());
    const number = this.take(/^(\d+(\.\d+)?|\.\d+)(e[+-]?\d+)?/i);
    if (number !== null) return { kind: 'number', value: Number(number) };
    const output = this.take(/^\$[A-Za-z_][\w-]*/);
    if (output !== null) return { kind: 'output', name: output.slice(1) };
    const start = this.at;
    const name = this.take(/^[A-Za-z_]\w*/);
    if (name === null) throw new Complaint(start, 'expected a number, a path or a function');
    return this.peek() === '(' ? this.call(name, start) : this.path(name, start);
  }

  private call(name: string, start: number): Expression {
    const known = FUNCTION_NAMES.find((candidate) => candidate === name) as
      | FunctionName
      | undefined;
    if (known === undefined) {
      throw new Complaint(start, `unknown function '${name}'; ${hintOf(name, FUNCTION_NAMES)}`);
    }
    const takesMore = { ...rows, ...histogramRows }[known].parameter;
    return this.inParentheses(() => {
      const of = [this.sum()];
      for (; this.peek() === ','; of.push(this.sum())) this.at++;
      if (takesMore !== null ? of.length === 2 : known in rows || of.length === 1) {
        return { kind: 'call', name: known, of };
      }
      const expected =
        takesMore === null ? 'one argument' : `two arguments, the second a ${takesMore}`;
      throw new Complaint(start, `${name} takes ${expected}`);
    });
  }

  private path(name: string, start: number): Expression {
    const steps: Step[] = [{ kind: 'key', key: name }];
    for (;;) {
      const step = this.take(/^\s*\.\s*[A-Za-z_]\w*|^\s*\[[^\]]*\]/)?.trim();
      if (step === undefined) break;
      if (step.startsWith('.')) steps.push({ kind: 'key', key: step.slice(1).trim() });
      else steps.push(this.inBrackets(step.slice(1, -1).trim()));
    }
    if (/^\s*[.[]/.test(this.text.slice(this.at))) {
      throw new Complaint(this.at, "expected a name behind '.', or something and ']' behind '['");
    }
    return { kind: 'path', steps, text: this.text.slice(start, this.at).trim() };
  }

  private inBrackets(inner: string): Step {
    if (inner === '*') return { kind: 'all' };
    if (/^\d{1,9}$/.test(inner)) return { kind: 'index', index: Number(inner) };
    if (inner !== '') return { kind: 'named', name: inner };
    throw new Complaint(this.at - 1, 'expected an index, a name or * in the brackets');
  }
}

function hintOf(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === null ? `known: ${known.join(', ')}` : `did you mean '${near}'?`;
}

/** Names of the outputs that an expression refers to. */
export function outputsIn(expression: Expression): string[] {
  switch (expression.kind) {
    case 'number':
    case 'path':
      return [];
    case 'output':
      return [expression.name];
    case 'negate':
      return outputsIn(expression.of);
    case 'operation':
      return [...outputsIn(expression.left), ...outputsIn(expression.right)];
    case 'call':
      return expression.of.flatMap(outputsIn);
  }
}

/** Values by name. */
type Values = Readonly<Record<string, unknown>>;

/** What expressions are about. */
export interface Names {
  readonly report: Values;
  /** Outputs that are known already. */
  readonly outputs: Readonly<Record<string, number>>;
}

/** The value of an expression. Throws {@link NoValue} if it has none. */
export function evaluate(expression: Expression, names: Names): number {
  const value = single(expression, names);
  if (Number.isFinite(value)) return value;
  throw new NoValue(Number.isNaN(value) ? 'is 0 / 0, or of no values' : 'is a division by zero');
}

function single(expression: Expression, names: Names): number {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'output':
      return names.outputs[expression.name] ?? Number.NaN;
    case 'negate':
      return -single(expression.of, names);
    case 'operation': {
      const { operator, left, right } = expression;
      return operate(operator, single(left, names), single(right, names));
    }
    case 'call':
      return called(expression.name, expression.of, names);
    case 'path': {
      const values = numbersOf(expression, names);
      const [first] = values;
      if (values.length === 1 && first !== undefined) return first;
      const hint = 'sum(...), mean(...) and others make one of them';
      throw new NoValue(`${expression.text} has ${values.length} values; ${hint}`);
    }
  }
}

function operate(operator: '+' | '-' | '*' | '/', left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
  }
}

function called(name: FunctionName, of: readonly Expression[], names: Names): number {
  const [first, second] = of;
  if (Object.hasOwn(histogramRows, name)) {
    const { of: apply } = histogramRows[name as keyof typeof histogramRows];
    return apply(evaluateHistogram(first, names), second === undefined ? 0 : single(second, names));
  }
  const row = FUNCTIONS[name];
  if (row.parameter !== null) return row.of(valuesOf(first, names), single(second, names));
  return row.of(
    of.flatMap((one) => valuesOf(one, names)),
    0,
  );
}

/** All values of a path; the one of anything else. */
function valuesOf(expression: Expression, names: Names): readonly number[] {
  return expression.kind === 'path' ? numbersOf(expression, names) : [single(expression, names)];
}

type PathExpression = Extract<Expression, { kind: 'path' }>;

function numbersOf(path: PathExpression, names: Names): number[] {
  return found(path, names)
    .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]))
    .map((value) => {
      // Counts above 2^53 are decimal digits in reports.
      const isDigits = typeof value === 'string' && /^\d{1,30}$/.test(value);
      const number = typeof value === 'boolean' || isDigits ? Number(value) : value;
      if (typeof number === 'number') return number;
      throw new NoValue(`${path.text} is ${describe(value)}, not a number`);
    });
}

/**
 * The histogram that an expression stands for, which has to be a path. Throws {@link NoValue} if
 * there is none.
 */
export function evaluateHistogram(expression: Expression, names: Names): Histogram {
  if (expression.kind !== 'path') throw new NoValue('a histogram is a path into the report');
  const values = found(expression, names);
  const [first] = values;
  if (values.length === 1 && typeof first === 'string') {
    const histogram = readHistogram(first);
    if (histogram !== null) return histogram;
    throw new NoValue(`${expression.text} has lines that are not VALUE COUNT`);
  }
  return histogramOfCounts(numbersOf(expression, names));
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return 'text';
  return Array.isArray(value) ? 'a list' : 'a set of keys';
}

/** Everything that a path leads to. */
function found({ steps, text }: PathExpression, names: Names): unknown[] {
  let here: unknown[] = [names.report];
  for (const step of steps) here = here.flatMap((value) => follow(step, value, text));
  return here;
}

function follow(step: Step, value: unknown, text: string): readonly unknown[] {
  if (Array.isArray(value)) return followList(step, value, text);
  if (typeof value !== 'object' || value === null) {
    throw new NoValue(`${text} goes on behind ${describe(value)}`);
  }
  const record = value as Values;
  if (step.kind === 'all') return Object.values(record);
  const key = step.kind === 'key' ? step.key : step.kind === 'named' ? step.name : `${step.index}`;
  if (Object.hasOwn(record, key)) return [record[key]];
  throw new NoValue(`${text}: there is no '${key}'; ${hintOf(key, Object.keys(record))}`);
}

function followList(step: Step, list: readonly unknown[], text: string): readonly unknown[] {
  switch (step.kind) {
    case 'all':
      return list;
    case 'index':
      if (step.index < list.length) return [list[step.index]];
      throw new NoValue(`${text}: there is no [${step.index}], only ${list.length} of them`);
    case 'named':
      return list.filter((one) => (one as Values | null)?.name === step.name);
    case 'key':
      throw new NoValue(`${text}: '${step.key}' stands behind a list; [*] takes all of it`);
  }
}

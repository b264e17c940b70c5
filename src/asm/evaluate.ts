// Evaluates postfix expressions with NASM's 64-bit arithmetic. Reports what cannot be computed:
// addresses take part in sums, differences and comparisons of one section only.

import Long from 'long';
import type { RegisterName } from '../isa/index.ts';
import type { Reporter } from './diagnostics.ts';
import type { Expression, Step } from './expression.ts';
import type { Place } from './source.ts';
import { type AssemblerSymbol, definitionOf } from './symbols.ts';
import {
  add,
  isNumber,
  isSection,
  isUnknown,
  multiply,
  numberValue,
  subtract,
  UNKNOWN,
  type Value,
} from './value.ts';

/** What expressions may refer to, and who hears of errors. */
export interface EvaluationContext {
  /** `$`, or null where there is no such thing. */
  readonly here: Value | null;
  /** `$$`. */
  readonly sectionStart: Value | null;
  /** Null in passes that only measure: later ones report. */
  readonly reporter: Reporter | null;
  /** Says why a symbol has no value; called when there is a reporter. */
  explain(symbol: AssemblerSymbol, place: Place, reporter: Reporter): void;
}

/** What the text of an address says about its base, beyond the value. */
export interface BaseHint {
  /** The first register, which NASM prefers as the base. */
  register: RegisterName | null;
  /** It was multiplied, so that it is meant as the index. */
  multiplied: boolean;
  /** Two numbers, or twice the same register, were added, after which NASM has no preference. */
  summed: boolean;
}

/** The value of an expression, or null after reporting an error. */
export function evaluate(
  expression: Expression,
  context: EvaluationContext,
  hint: BaseHint | null = null,
): Value | null {
  const only = expression.steps[0] as Step;
  if (expression.steps.length === 1 && only.kind === 'value' && hint === null) return only.value;
  return new Evaluation(expression, context, hint).run();
}

class Evaluation {
  private readonly expression: Expression;
  private readonly context: EvaluationContext;
  private readonly hint: BaseHint | null;
  private readonly stack: Value[] = [];
  /** Whether a number takes part in each value of the stack, as {@link BaseHint} wants to know. */
  private readonly numbers: boolean[] = [];

  constructor(expression: Expression, context: EvaluationContext, hint: BaseHint | null) {
    this.expression = expression;
    this.context = context;
    this.hint = hint;
  }

  run(): Value | null {
    for (const step of this.expression.steps) {
      const value = this.step(step);
      if (value === null) return null;
      if (this.hint !== null) this.noticeSum(step, value, this.hint);
      this.stack.push(value);
    }
    return this.stack.pop() as Value;
  }

  private step(step: Step): Value | null {
    switch (step.kind) {
      case 'value':
        this.noticeRegister(step.value);
        return step.value;
      case 'symbol':
        return this.symbol(step.symbol, step.at);
      case 'here':
        return this.context.here ?? this.fail(step.at, '$ has no value in the preprocessor');
      case 'sectionStart':
        return (
          this.context.sectionStart ?? this.fail(step.at, '$$ has no value in the preprocessor')
        );
      case 'unary':
        return this.unary(step.operator, this.stack.pop() as Value, step.at);
      case 'binary': {
        const right = this.stack.pop() as Value;
        return this.binary(step.operator, this.stack.pop() as Value, right, step.at);
      }
    }
  }

  private symbol(symbol: AssemblerSymbol, at: number): Value | null {
    const { value } = definitionOf(symbol);
    if (value !== null && !isUnknown(value)) return value;
    const { reporter } = this.context;
    if (reporter === null) return UNKNOWN;
    this.context.explain(symbol, this.place(at), reporter);
    return null;
  }

  private noticeRegister(value: Value): void {
    const { hint } = this;
    const of = value.terms[0]?.of;
    if (hint !== null && hint.register === null && of !== undefined && !isSection(of)) {
      hint.register = of;
    }
  }

  /** Keep `numbers` in step with the stack, and notice what was added up. */
  private noticeSum(step: Step, value: Value, hint: BaseHint): void {
    if (step.kind === 'unary') return;
    if (step.kind !== 'binary') {
      this.numbers.push(step.kind !== 'value' || isNumber(value));
      return;
    }
    const right = this.numbers.pop() as boolean;
    const left = this.numbers.pop() as boolean;
    const isSum = step.operator === '+' || step.operator === '-';
    const bothNumbers = left && right;
    const isLost = isSum && bothNumbers && value.number.isZero();
    if (isSum && bothNumbers && !isLost) hint.summed = true;
    // A product has a number if what is multiplied has one; the factor always is one.
    const isProduct = step.operator === '*';
    this.numbers.push(isSum ? (left || right) && !isLost : !isProduct || bothNumbers);
  }

  private unary(operator: string, operand: Value, at: number): Value | null {
    switch (operator) {
      case '+':
        return operand;
      case '-':
        return multiply(operand, Long.NEG_ONE);
      default: {
        if (isUnknown(operand)) return UNKNOWN;
        if (!isNumber(operand)) return this.failNotNumber(operator, at);
        const { number } = operand;
        return numberValue(operator === '~' ? number.not() : truth(number.isZero()));
      }
    }
  }

  private binary(operator: string, a: Value, b: Value, at: number): Value | null {
    switch (operator) {
      case '+':
        this.noticeMerge(a, b);
        return add(a, b);
      case '-':
        this.noticeMerge(a, b);
        return subtract(a, b);
    }
    // The registers of an address stay known beside what is not; elsewhere there are none.
    if (operator in COMPARISONS) return this.compare(operator, a, b, at);
    if (isUnknown(a) || isUnknown(b)) return UNKNOWN;
    if (operator === '*') return this.product(a, b, at);
    if (!isNumber(a) || !isNumber(b)) return this.failNotNumber(operator, at);
    const compute = ARITHMETIC[operator] as (a: Long, b: Long) => Long | null;
    const result = compute(a.number, b.number);
    return result === null ? this.fail(at, 'division by zero') : numberValue(result);
  }

  private noticeMerge(a: Value, b: Value): void {
    const { hint } = this;
    if (hint === null) return;
    if (a.terms.some(({ of }) => b.terms.some((term) => term.of === of))) hint.summed = true;
  }

  private product(a: Value, b: Value, at: number): Value | null {
    if (!isNumber(a) && !isNumber(b)) return this.failNotNumber('*', at);
    const [scaled, factor] = isNumber(b) ? [a, b] : [b, a];
    const { hint } = this;
    if (hint !== null && scaled.terms.some(({ of }) => of === hint.register)) {
      hint.multiplied = true;
    }
    return multiply(scaled, factor.number);
  }

  private compare(operator: string, a: Value, b: Value, at: number): Value | null {
    const difference = subtract(a, b);
    if (isUnknown(difference)) return UNKNOWN;
    if (!isNumber(difference)) {
      const what = isNumber(a) || isNumber(b) ? 'an address with a number' : 'these addresses';
      return this.fail(at, `'${operator}' cannot compare ${what}`, ['labels of one section']);
    }
    const decide = COMPARISONS[operator] as (order: number) => boolean;
    // The sign of the difference, as NASM has it, even where the difference overflows.
    return numberValue(truth(decide(difference.number.compare(Long.ZERO))));
  }

  private failNotNumber(operator: string, at: number): null {
    return this.fail(at, `'${operator}' needs plain numbers; this is an address`, [
      'a number',
      'the difference of two labels of one section',
    ]);
  }

  private fail(at: number, message: string, expected: readonly string[] = []): null {
    this.context.reporter?.error(this.place(at), message, expected);
    return null;
  }

  private place(at: number): Place {
    return { origin: this.expression.place.origin, at };
  }
}

const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

/** Operators of plain numbers. Shift counts are taken modulo 64, as the processor does. */
const ARITHMETIC: Readonly<Record<string, (a: Long, b: Long) => Long | null>> = {
  '||': (a, b) => truth(!a.isZero() || !b.isZero()),
  '^^': (a, b) => truth(a.isZero() !== b.isZero()),
  '&&': (a, b) => truth(!a.isZero() && !b.isZero()),
  '|': (a, b) => a.or(b),
  '^': (a, b) => a.xor(b),
  '&': (a, b) => a.and(b),
  '<<': (a, b) => a.shl(b.low & 63),
  '<<<': (a, b) => a.shl(b.low & 63),
  '>>': (a, b) => a.shru(b.low & 63),
  '>>>': (a, b) => a.shr(b.low & 63),
  '/': (a, b) => (b.isZero() ? null : a.toUnsigned().div(b.toUnsigned()).toSigned()),
  '%': (a, b) => (b.isZero() ? null : a.toUnsigned().mod(b.toUnsigned()).toSigned()),
  '//': (a, b) => (b.isZero() ? null : a.div(b)),
  '%%': (a, b) => (b.isZero() ? null : a.mod(b)),
};

function truth(condition: boolean): Long {
  return condition ? Long.ONE : Long.ZERO;
}

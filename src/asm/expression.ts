// Expressions: parsed once into postfix order, evaluated in every pass. NASM manual, "Expressions".
// Postfix, so that neither a long chain of operators nor deep nesting can exhaust the host's stack.

import type Long from 'long';
import { REGISTERS } from '../isa/index.ts';
import type { Cursor } from './cursor.ts';
import type { Token } from './lexer.ts';
import { type Literal, parseNumber, stringBytes, stringNumber } from './literals.ts';
import type { Place } from './source.ts';
import type { AssemblerSymbol, SymbolTable } from './symbols.ts';
import { numberValue, termValue, type Value } from './value.ts';
import { isForeignRegister, isReserved } from './vocabulary.ts';

/** One step of a postfix expression. `at` is where messages about it point. */
export type Step =
  | { readonly kind: 'value'; readonly value: Value; readonly at: number }
  | { readonly kind: 'symbol'; readonly symbol: AssemblerSymbol; readonly at: number }
  /** `$` and `$$`. */
  | { readonly kind: 'here' | 'sectionStart'; readonly at: number }
  | { readonly kind: 'unary' | 'binary'; readonly operator: string; readonly at: number };

export interface Expression {
  readonly steps: readonly Step[];
  readonly place: Place;
  /** It says the same in every pass. */
  readonly fixed: boolean;
}

export interface ExpressionOptions {
  /** Registers may appear, as in an address. */
  readonly registers?: boolean;
}

/** Binary operators by precedence; a higher number binds tighter. */
const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1,
  '^^': 2,
  '&&': 3,
  ...{ '=': 4, '==': 4, '<>': 4, '!=': 4, '<': 4, '<=': 4, '>': 4, '>=': 4 },
  '|': 5,
  '^': 6,
  '&': 7,
  ...{ '<<': 8, '>>': 8, '<<<': 8, '>>>': 8 },
  ...{ '+': 9, '-': 9 },
  ...{ '*': 10, '/': 10, '//': 10, '%': 10, '%%': 10 },
};

const UNARY: ReadonlySet<string> = new Set(['-', '+', '~', '!']);

/** The other things in which languages of expressions differ. */
export interface ExpressionGrammar {
  /** How tight a binary operator binds; 0 if the token is none. */
  precedence(token: Token): number;
  isUnary(token: Token): boolean;
  /** What the operand at the cursor is, without taking its first token; null after an error. */
  operand(token: Token, isSigned: boolean): readonly Step[] | null;
  /** The operators of the evaluator that an operator stands for. */
  meaning(operator: string, kind: 'unary' | 'binary'): readonly OperatorStep[];
}

export interface OperatorStep {
  readonly kind: 'unary' | 'binary';
  readonly operator: string;
}

const OPERAND_EXPECTED = ['a number', 'a symbol', 'an operator', "'('"];

/** Parentheses and operators that wait for their right side. */
const MAX_DEPTH = 500;

/**
 * Parse an expression and leave the cursor behind it.
 * @returns null after reporting an error
 */
export function parseExpression(
  cursor: Cursor,
  symbols: SymbolTable,
  options: ExpressionOptions = {},
): Expression | null {
  return parseByGrammar(cursor, new NasmGrammar(cursor, symbols, options.registers === true));
}

/** The same in the language of a grammar for the cursor. */
export function parseByGrammar(cursor: Cursor, grammar: ExpressionGrammar): Expression | null {
  const { place } = cursor;
  const steps = new ExpressionParser(cursor, grammar).parse();
  if (steps === null) return null;
  const fixed = steps.every((step) => step.kind !== 'symbol' && !/^here|^section/.test(step.kind));
  return { steps, place, fixed };
}

/** An operator that waits for its right side, or an open parenthesis (precedence 0). */
interface Waiting {
  readonly step: OperatorStep & { readonly at: number };
  readonly precedence: number;
}

/** The shunting-yard algorithm: operators wait on a stack until one that binds looser comes. */
class ExpressionParser {
  private readonly cursor: Cursor;
  private readonly grammar: ExpressionGrammar;
  private readonly steps: Step[] = [];
  private readonly waiting: Waiting[] = [];
  private open = 0;

  constructor(cursor: Cursor, grammar: ExpressionGrammar) {
    this.cursor = cursor;
    this.grammar = grammar;
  }

  parse(): Step[] | null {
    const { cursor } = this;
    do {
      this.takeUnary();
      if (this.waiting.length > MAX_DEPTH) {
        return cursor.error(cursor.place, 'expression is nested too deeply');
      }
      if (!this.takeOperand()) return null;
      while (this.open > 0 && cursor.at(')')) this.close();
    } while (this.takeBinary());
    if (this.open > 0) return cursor.fail(["')'", 'an operator']);
    this.reduce(0);
    return this.steps;
  }

  /** Signs and opening parentheses before an operand. */
  private takeUnary(): void {
    for (;;) {
      const token = this.cursor.peek();
      if (token === undefined || this.waiting.length > MAX_DEPTH) return;
      if (this.cursor.at('(')) this.open++;
      else if (!this.grammar.isUnary(token)) return;
      const step = { kind: 'unary', operator: token.text, at: token.at } as const;
      this.waiting.push({ step, precedence: token.text === '(' ? 0 : 11 });
      this.cursor.take();
    }
  }

  private takeBinary(): boolean {
    const token = this.cursor.peek();
    const precedence = token === undefined ? 0 : this.grammar.precedence(token);
    if (token === undefined || precedence === 0) return false;
    this.cursor.take();
    this.reduce(precedence);
    const step = { kind: 'binary', operator: token.text, at: token.at } as const;
    this.waiting.push({ step, precedence });
    return true;
  }

  /** Emit the operators that bind at least as tight, down to an open parenthesis. */
  private reduce(precedence: number): void {
    for (;;) {
      const top = this.waiting.at(-1);
      if (top === undefined || top.precedence === 0 || top.precedence < precedence) return;
      const { kind, operator, at } = top.step;
      for (const step of this.grammar.meaning(operator, kind)) this.steps.push({ ...step, at });
      this.waiting.pop();
    }
  }

  private close(): void {
    this.cursor.take();
    this.reduce(1);
    this.waiting.pop();
    this.open--;
  }

  private takeOperand(): boolean {
    const { cursor } = this;
    const token = cursor.peek();
    if (token === undefined) return cursor.fail(OPERAND_EXPECTED) !== null;
    const steps = this.grammar.operand(token, this.isSigned());
    if (steps === null) return false;
    cursor.take();
    for (const step of steps) this.steps.push(step);
    return true;
  }

  /** A sign stands directly before the operand. */
  private isSigned(): boolean {
    const before = this.waiting.at(-1);
    return before?.step.kind === 'unary' && /^[-+]$/.test(before.step.operator);
  }
}

/** NASM manual, "Expressions". */
class NasmGrammar implements ExpressionGrammar {
  private readonly cursor: Cursor;
  private readonly symbols: SymbolTable;
  private readonly registers: boolean;

  constructor(cursor: Cursor, symbols: SymbolTable, registers: boolean) {
    this.cursor = cursor;
    this.symbols = symbols;
    this.registers = registers;
  }

  precedence({ kind, text }: Token): number {
    return kind === 'operator' ? (PRECEDENCE[text] ?? 0) : 0;
  }

  isUnary({ kind, text }: Token): boolean {
    return kind === 'operator' && UNARY.has(text);
  }

  meaning(operator: string, kind: 'unary' | 'binary'): readonly OperatorStep[] {
    return [{ kind, operator }];
  }

  operand(token: Token, isSigned: boolean): readonly Step[] | null {
    const step = this.step(token, isSigned);
    return step === null ? null : [step];
  }

  private step(token: Token, isSigned: boolean): Step | null {
    const { cursor } = this;
    const { at } = token;
    switch (token.kind) {
      case 'number':
        return this.literal(token, parseNumber(token.text));
      case 'string':
        if (isSigned) {
          const expected = ['parentheses around the string'];
          return cursor.error(
            cursor.placeOf(token),
            'NASM allows no sign before a string',
            expected,
          );
        }
        return this.literal(token, stringNumber(stringBytes(token.text)));
      case 'name':
        return this.name(token);
      case 'operator':
        if (token.text === '$') return { kind: 'here', at };
        if (token.text === '$$') return { kind: 'sectionStart', at };
        return cursor.fail(OPERAND_EXPECTED);
      default:
        return cursor.fail(OPERAND_EXPECTED);
    }
  }

  private literal(token: Token, literal: Literal<Long>): Step | null {
    if (literal.kind === 'error') {
      return this.cursor.error(this.cursor.placeOf(token), literal.message);
    }
    return { kind: 'value', value: numberValue(literal.value), at: token.at };
  }

  private name(token: Token): Step | null {
    const { cursor } = this;
    const { at } = token;
    const name = token.text.toLowerCase();
    const register = REGISTERS.get(name);
    if (register !== undefined) {
      if (this.registers) return { kind: 'value', value: termValue(register), at };
      return cursor.error(cursor.placeOf(token), `register '${name}' has no place in a number`);
    }
    if (name === 'rip') {
      const expected = ["'[rel label]'"];
      return cursor.error(cursor.placeOf(token), 'RIP is not a register of addresses', expected);
    }
    if (isForeignRegister(name)) {
      return cursor.error(cursor.placeOf(token), `register '${name}' is not supported`);
    }
    if (name === '?' || isReserved(name)) return cursor.fail(OPERAND_EXPECTED);
    return { kind: 'symbol', symbol: this.symbols.refer(token.text), at };
  }
}

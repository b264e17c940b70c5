// Expressions of GAS, for the evaluator that NASM's expressions have, too. GNU as manual, "Infix
// Operators": multiplications and shifts bind tightest, then what works on bits, then sums, then
// comparisons, which are worth -1 if they hold; division is signed.

import Long from 'long';
import { REGISTERS } from '../../isa/index.ts';
import type { Cursor } from '../cursor.ts';
import {
  type Expression,
  type ExpressionGrammar,
  type OperatorStep,
  parseByGrammar,
  type Step,
} from '../expression.ts';
import type { Token } from '../lexer.ts';
import type { Literal } from '../literals.ts';
import type { Session } from '../session.ts';
import type { Place } from '../source.ts';
import { numberValue } from '../value.ts';
import { gasCharacter, gasNumber } from './literals.ts';
import type { GasSymbols } from './symbols.ts';

/** What expressions depend on besides their text. */
export interface GasContext {
  readonly session: Session;
  readonly symbols: GasSymbols;
  /** Bare names of registers are registers: `.intel_syntax noprefix`. */
  intel: boolean;
  /** After `.code16gcc`: 16-bit code whose stack holds 32 bits. */
  wideStack: boolean;
}

const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  ...{ '==': 3, '=': 3, '<>': 3, '!=': 3, '<': 3, '<=': 3, '>': 3, '>=': 3 },
  ...{ '+': 4, '-': 4 },
  ...{ '|': 5, '!': 5, '^': 5, '&': 5 },
  ...{ '*': 6, '/': 6, '%': 6, '<<': 6, '>>': 6 },
};

/** Operators that Intel syntax has besides. */
const INTEL_WORDS: Readonly<Record<string, string>> = {
  ...{ and: '&', or: '|', xor: '^', not: '~', shl: '<<', shr: '>>', mod: '%' },
  ...{ eq: '==', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=' },
};

const MEANINGS: Readonly<Record<string, string>> = { '/': '//', '%': '%%', '=': '==', '<>': '!=' };

const OPERAND_EXPECTED = ['a number', 'a symbol', 'an operator', "'('"];

/**
 * Parse an expression and leave the cursor behind it; null after reporting an error.
 * @param ahead bytes of the statement before what the expression is for, which `.` counts
 */
export function parseGasExpression(
  cursor: Cursor,
  context: GasContext,
  ahead = 0,
): Expression | null {
  return parseByGrammar(cursor, new GasGrammar(cursor, context, ahead));
}

class GasGrammar implements ExpressionGrammar {
  private readonly cursor: Cursor;
  private readonly context: GasContext;
  private readonly ahead: number;

  constructor(cursor: Cursor, context: GasContext, ahead: number) {
    this.cursor = cursor;
    this.context = context;
    this.ahead = ahead;
  }

  precedence(token: Token): number {
    return PRECEDENCE[this.operatorOf(token)] ?? 0;
  }

  isUnary(token: Token): boolean {
    return /^[-+~!]$/.test(this.operatorOf(token));
  }

  meaning(written: string, kind: 'unary' | 'binary'): readonly OperatorStep[] {
    const word = INTEL_WORDS[written.toLowerCase()] ?? written;
    if (kind === 'unary') return [{ kind, operator: word }];
    if (word === '!') {
      return [
        { kind: 'unary', operator: '~' },
        { kind, operator: '|' },
      ];
    }
    const step = { kind, operator: MEANINGS[word] ?? word } as const;
    return PRECEDENCE[word] === 3 ? [step, { kind: 'unary', operator: '-' }] : [step];
  }

  operand(token: Token): readonly Step[] | null {
    const { cursor } = this;
    const { at, text } = token;
    switch (token.kind) {
      case 'number':
        return /^\d+[fb]$/i.test(text) ? this.numbered(token) : this.literal(token);
      case 'string':
        if (text[0] !== "'") return cursor.fail(OPERAND_EXPECTED);
        return [{ kind: 'value', value: numberValue(gasCharacter(text)), at }];
      case 'name':
        return this.name(token);
      case 'register':
        return cursor.error(cursor.place, `register '${text}' has no place in a number`);
      default:
        return cursor.fail(OPERAND_EXPECTED);
    }
  }

  private operatorOf({ kind, text }: Token): string {
    if (kind === 'operator') return text;
    const word = text.toLowerCase();
    return this.context.intel && kind === 'name' ? (INTEL_WORDS[word] ?? '') : '';
  }

  private literal(token: Token): readonly Step[] | null {
    const literal: Literal<Long> = gasNumber(token.text);
    if (literal.kind === 'error') return this.cursor.error(this.cursor.place, literal.message);
    return [{ kind: 'value', value: numberValue(literal.value), at: token.at }];
  }

  private numbered({ text, at }: Token): readonly Step[] | null {
    const { place } = this.cursor;
    const symbol = this.context.symbols.numbered(text, place);
    if (symbol !== null) return [{ kind: 'symbol', symbol, at }];
    return this.cursor.error(place, `there is no label '${text.slice(0, -1)}:' before this`);
  }

  private name({ text, at }: Token): readonly Step[] | null {
    const { cursor } = this;
    if (text === '.') {
      const here: Step = { kind: 'here', at };
      if (this.ahead === 0) return [here];
      const value = numberValue(Long.fromNumber(this.ahead));
      return [here, { kind: 'value', value, at }, { kind: 'binary', operator: '+', at }];
    }
    if (this.context.intel && REGISTERS.has(text.toLowerCase())) {
      return cursor.error(cursor.place, `register '${text}' has no place in a number`);
    }
    const step: Step = { kind: 'symbol', symbol: this.context.symbols.named(text), at };
    if (!cursor.at('@', 1)) return [step];
    const relocation = cursor.peek(2)?.text ?? '';
    // What is linked here needs no procedure linkage table: the function itself is within reach.
    if (relocation.toUpperCase() === 'PLT') {
      cursor.take();
      cursor.take();
      return [step];
    }
    const message = `relocation '@${relocation}' is not supported: a flat binary has none`;
    return cursor.error(cursor.place, message);
  }
}

/** The expression that is nothing but a number. */
export function constantExpression(value: number, place: Place): Expression {
  const number = numberValue(Long.fromNumber(value));
  return { steps: [{ kind: 'value', value: number, at: place.at }], place, fixed: true };
}

// Expressions over registers, memory and what has just happened: conditions of breakpoints, and
// what `p` prints. C's operators with C's precedence, on unsigned 64-bit values; comparisons are
// unsigned.
//
//   expression = operand { binary operand }
//   binary     = || && | ^ & == != < <= > >= << >> + - * / %
//   operand    = { - | ! | ~ } ( number | name | text | memory | "(" expression ")" )
//              | & name | * [ "(" type "*" ")" ] operand | "{" type "}" operand
//   memory     = ( "u8" | "u16" | "u32" | "u64" ) "[" expression "]"
//   type       = those of C, and "u8" to "u64": only their lengths matter
//   text       = in single or double quotes
//   name       = [ "$" ] letter { letter | digit | "_" | "." } | "$" [ "$" ] { digit }

import { DebugError } from './debug-error.ts';
import { wordOf } from './registers.ts';

/** Where names and memory get their values. */
export interface Values {
  /** What says the value of a name, each time anew: undefined where it has none. */
  name(name: string): () => bigint | string | undefined;
  /** Bytes at a linear address, little-endian; null if they are not there. */
  memory(address: bigint, lengthBytes: number): bigint | null;
}

/** An expression that was read. */
export interface Condition {
  readonly text: string;
  /**
   * What computes it: names are looked up once, here, as it may be asked millions of times. It
   * throws {@link DebugError} where a value is missing.
   */
  bind(values: Values): () => bigint;
}

type Value = bigint | string;
type Getter = () => Value;
type Node = (values: Values) => Getter;

const MASK = (1n << 64n) - 1n;

/** Weakest first; those of a row bind alike. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '<=', '>', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];

const ARITHMETIC: Readonly<Record<string, (x: bigint, y: bigint) => bigint>> = {
  '|': (x, y) => x | y,
  '^': (x, y) => x ^ y,
  '&': (x, y) => x & y,
  '<': (x, y) => BigInt(x < y),
  '<=': (x, y) => BigInt(x <= y),
  '>': (x, y) => BigInt(x > y),
  '>=': (x, y) => BigInt(x >= y),
  '<<': (x, y) => (y > 63n ? 0n : x << y),
  '>>': (x, y) => (y > 63n ? 0n : x >> y),
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / y,
  '%': (x, y) => x % y,
};

const MEMORY_BYTES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 };

/** Bytes of C's types on x86-64, without `unsigned` and `signed`. */
const TYPE_BYTES: Readonly<Record<string, number>> = {
  ...MEMORY_BYTES,
  ...{ char: 1, short: 2, int: 4, long: 8, 'long long': 8, 'short int': 2, 'long int': 8 },
  ...{ int8_t: 1, int16_t: 2, int32_t: 4, int64_t: 8, size_t: 8 },
  ...{ uint8_t: 1, uint16_t: 2, uint32_t: 4, uint64_t: 8 },
};

/** Of a type in words; undefined if it is none. */
export function typeBytes(words: string): number | undefined {
  const plain = words.trim().replaceAll(/\s+/g, ' ');
  if (plain === '') return undefined;
  const bare = plain.replace(/^(unsigned|signed)\b ?/, '');
  return bare === '' ? TYPE_BYTES.int : TYPE_BYTES[bare];
}

const NUMBER = /(0x[\da-f]+|\d+)/;
const NAME = /(\$\$?\d*(?![\w.])|\$?[a-z_.][\w.]*)/;
const SIGN = /(\|\||&&|==|!=|<=|>=|<<|>>|[-+*/%|^&<>!~()[\]{}])/;

/** A number, a name, a text or a sign, in this order of groups. */
const TEXT = /(?:'([^']*)'|"([^"]*)")/;
const WORD = new RegExp(`${NUMBER.source}|${NAME.source}|${TEXT.source}|${SIGN.source}`);
const TOKEN = new RegExp(`\\s*(?:${WORD.source})`, 'iy');

interface Token {
  readonly kind: 'number' | 'name' | 'text' | 'sign' | 'end';
  readonly text: string;
  /** Counted from 1. */
  readonly column: number;
}

const MOST_NESTED = 100;

/** Read an expression. Throws {@link DebugError}, with the column, if it is none. */
export function parseCondition(text: string): Condition {
  const parser = new Parser(tokensOf(text));
  const node = parser.whole();
  return {
    text,
    bind: (values) => {
      const value = node(values);
      return () => numberOf(value());
    },
  };
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (text.slice(at).trim() !== '') {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) {
      const column = at + 1 + (text.slice(at).length - text.slice(at).trimStart().length);
      throw new DebugError(`column ${column}: '${text[column - 1]}' means nothing here`);
    }
    const kinds = ['number', 'name', 'text', 'text', 'sign'] as const;
    const which = kinds.findIndex((_, i) => match[i + 1] !== undefined);
    const column = TOKEN.lastIndex - match[0].trimStart().length + 1;
    tokens.push({ kind: kinds[which], text: match[which + 1], column });
    at = TOKEN.lastIndex;
  }
  tokens.push({ kind: 'end', text: '', column: text.length + 1 });
  return tokens;
}

class Parser {
  private readonly tokens: readonly Token[];
  private at = 0;
  private depth = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  whole(): Node {
    const node = this.level(0);
    if (this.next.kind === 'end') return node;
    if (this.next.text === '(' && this.tokens[this.at - 1].kind === 'name') {
      throw new DebugError(`column ${this.next.column}: functions of the guest cannot be called`);
    }
    throw this.expected('an operator');
  }

  private get next(): Token {
    return this.tokens[this.at];
  }

  private expected(what: string): DebugError {
    const { kind, text, column } = this.next;
    return new DebugError(
      `column ${column}: ${what} expected${kind === 'end' ? '' : `, not '${text}'`}`,
    );
  }

  private level(number: number): Node {
    if (number === LEVELS.length) return this.unary();
    let left = this.level(number + 1);
    while (this.next.kind === 'sign' && LEVELS[number].includes(this.next.text)) {
      const operator = this.next.text;
      this.at++;
      left = binary(operator, left, this.level(number + 1));
    }
    return left;
  }

  private unary(): Node {
    const { kind, text } = this.next;
    if (kind === 'sign' && text === '&') return this.addressOf();
    if (kind === 'sign' && (text === '*' || text === '{')) return this.pointed();
    if (kind !== 'sign' || !['-', '!', '~'].includes(text)) return this.primary();
    this.at++;
    const operand = this.nested(() => this.unary());
    return (values) => {
      const value = operand(values);
      if (text === '!') return () => BigInt(numberOf(value()) === 0n);
      if (text === '-') return () => -numberOf(value()) & MASK;
      return () => ~numberOf(value()) & MASK;
    };
  }

  /** A symbol stands for its address anyhow. */
  private addressOf(): Node {
    this.at++;
    if (this.next.kind !== 'name') throw this.expected('the name of a symbol');
    return this.primary();
  }

  /** `*ADDRESS` has 64 bits, `*(int *)ADDRESS` and `{int}ADDRESS` those of their type. */
  private pointed(): Node {
    const isBraced = this.next.text === '{';
    this.at++;
    const lengthBytes = isBraced ? this.type(['}']) : (this.castTo() ?? 8);
    const address = this.nested(() => this.unary());
    return (values) => {
      const at = address(values);
      return () => memoryAt(values, numberOf(at()), lengthBytes);
    };
  }

  /** `(int *)`, if that is what comes; its bytes. */
  private castTo(): number | null {
    const name = this.tokens[this.at + 1];
    if (this.next.text !== '(' || name?.kind !== 'name') return null;
    const isType = typeBytes(name.text) !== undefined || /^(un)?signed$/.test(name.text);
    if (!isType || this.tokens[this.at + 2].text === '[') return null;
    this.at++;
    return this.type(['*', ')']);
  }

  private type(behind: readonly string[]): number {
    const words: string[] = [];
    while (this.next.kind === 'name') {
      words.push(this.next.text);
      this.at++;
    }
    const lengthBytes = typeBytes(words.join(' '));
    if (lengthBytes === undefined) throw this.expected('a type such as int');
    for (const sign of behind) {
      if (this.next.kind !== 'sign' || this.next.text !== sign) throw this.expected(`'${sign}'`);
      this.at++;
    }
    return lengthBytes;
  }

  private nested(parse: () => Node): Node {
    if (++this.depth > MOST_NESTED) throw this.expected('something less deeply nested');
    const node = parse();
    this.depth--;
    return node;
  }

  private primary(): Node {
    const { kind, text, column } = this.next;
    if (kind === 'sign' && text === '(') return this.bracketed(')');
    if (kind === 'end' || kind === 'sign') throw this.expected('a value');
    this.at++;
    if (kind === 'text') return () => () => text;
    if (kind === 'number') {
      const value = BigInt(text);
      if (value > MASK) throw new DebugError(`column ${column}: ${text} has more than 64 bits`);
      return () => () => value;
    }
    const lengthBytes = MEMORY_BYTES[text];
    if (lengthBytes !== undefined && this.next.text === '[') {
      const address = this.bracketed(']');
      return (values) => {
        const at = address(values);
        return () => memoryAt(values, numberOf(at()), lengthBytes);
      };
    }
    const name = wordOf(text);
    return (values) => {
      const look = values.name(name);
      return () => {
        const value = look();
        if (value !== undefined) return value;
        // Of values that are kept, the dollar is the name.
        const called = /^[a-z_.]/i.test(name) ? name : text;
        throw new DebugError(`column ${column}: no value named '${called}'`);
      };
    };
  }

  private bracketed(close: string): Node {
    this.at++;
    const node = this.nested(() => this.level(0));
    if (this.next.text !== close || this.next.kind !== 'sign') throw this.expected(`'${close}'`);
    this.at++;
    return node;
  }
}

function memoryAt(values: Values, address: bigint, lengthBytes: number): bigint {
  const value = values.memory(address, lengthBytes);
  if (value === null) throw new DebugError(`no memory at 0x${address.toString(16)}`);
  return value;
}

function binary(operator: string, left: Node, right: Node): Node {
  return (values) => combined(operator, left(values), right(values));
}

function combined(operator: string, left: Getter, right: Getter): Getter {
  if (operator === '&&') return () => BigInt(isTrue(left()) && isTrue(right()));
  if (operator === '||') return () => BigInt(isTrue(left()) || isTrue(right()));
  if (operator === '==') return () => BigInt(left() === right());
  if (operator === '!=') return () => BigInt(left() !== right());
  const compute = ARITHMETIC[operator];
  const divides = operator === '/' || operator === '%';
  return () => {
    const x = numberOf(left());
    const y = numberOf(right());
    if (divides && y === 0n) throw new DebugError('division by zero');
    return compute(x, y) & MASK;
  };
}

function isTrue(value: Value): boolean {
  return typeof value === 'string' ? value !== '' : value !== 0n;
}

function numberOf(value: Value): bigint {
  if (typeof value === 'bigint') return value;
  throw new DebugError(`'${value}' is a text, where a number is expected`);
}

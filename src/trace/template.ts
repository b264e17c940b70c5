// How the text of an event is written down: once, as a template, from which follow the text, the
// kernel's print format in C, and the way back from the text. `{vcpu}` stands for a property as it
// is usually shown, `{rip:x}` for hexadecimal, `{info1:016x}` and `{cpu:03}` for filled with zeros,
// `{write?write:read}` for one of two texts, `{new>old?growed:shrinked}` for a comparison,
// `{errorCode!}` for an error code that may be missing.

import Long from 'long';
import type { Property } from './property.ts';

/** A property and its name, as templates say it: `prev.comm`. */
export type NamedProperties = ReadonlyMap<string, Property<unknown>>;

/** The value of a property of an event. */
type Getter = (name: string) => unknown;

/** A piece of the text. */
interface Piece {
  print(get: Getter): string;
  /** What stands in the print format, and what is printed there. */
  readonly format: string;
  readonly values: readonly string[];
  /** A regular expression with as many groups as there are properties in `read`. */
  readonly pattern: string;
  /** Properties that the text tells, with how to read them. */
  readonly read: readonly (readonly [name: string, read: (text: string) => unknown])[];
}

export interface Template {
  print(get: Getter): string;
  /** `"vcpu %u", REC->vcpu_id` */
  readonly printFormat: string;
  /** What the text says of each property; null if it is no such text. */
  parse(text: string): ReadonlyMap<string, unknown> | null;
}

/** Throws RangeError if the text names a property that there is not. */
export function templateOf(text: string, properties: NamedProperties): Template {
  const pieces = [...text.matchAll(/\{([^}]*)\}|([^{]+)/g)].map(([, hole, literal]) =>
    hole === undefined ? literalPiece(literal ?? '') : pieceOf(hole, properties),
  );
  const pattern = new RegExp(`^${pieces.map((piece) => piece.pattern).join('')}$`);
  const readers = pieces.flatMap(({ read }) => read);
  const format = pieces.map((piece) => piece.format).join('');
  return {
    print: (get) => {
      let line = '';
      for (const piece of pieces) line += piece.print(get);
      return line;
    },
    printFormat: [`"${format}"`, ...pieces.flatMap(({ values }) => values)].join(', '),
    parse: (line) => {
      const match = pattern.exec(line);
      if (match === null) return null;
      const found = new Map<string, unknown>();
      for (const [i, [name, read]] of readers.entries()) {
        const value = read(match[i + 1] ?? '');
        if (value === null) return null;
        found.set(name, value === MISSING ? null : value);
      }
      return found;
    },
  };
}

/** What a reader gives for a value that is rightly not there. */
const MISSING = Symbol('missing');

function literalPiece(text: string): Piece {
  return { print: () => text, format: text, values: [], pattern: escaped(text), read: [] };
}

function pieceOf(hole: string, properties: NamedProperties): Piece {
  const property = (name: string): Property<unknown> => {
    const found = properties.get(name);
    if (found === undefined) throw new RangeError(`there is no property ${name}`);
    return found;
  };
  const choice = /^([\w.]+)(?:>([\w.]+))?\?(.*):(.*)$/.exec(hole);
  if (choice !== null) {
    const [, name, other, yes, no] = choice;
    if (other !== undefined) return comparison(name, other, yes, no, property);
    return booleanPiece(name, yes, no, property(name).expression);
  }
  const [, name, mark] = /^([\w.]+)(!|:\w+)?$/.exec(hole) ?? [];
  if (mark === '!') return errorCodePiece(name, property(name));
  return valuePiece(name, mark?.slice(1) ?? '', property(name));
}

function booleanPiece(name: string, yes: string, no: string, expression: string): Piece {
  return {
    print: (get) => (get(name) === true ? yes : no),
    format: '%s',
    values: [`${expression} ? "${yes}" : "${no}"`],
    pattern: `(${escaped(yes)}|${escaped(no)})`,
    read: [[name, (text) => text === yes]],
  };
}

/** The greater of two properties, or of one and a number, chooses; nothing is read from it. */
function comparison(
  name: string,
  other: string,
  yes: string,
  no: string,
  property: (name: string) => Property<unknown>,
): Piece {
  const isConstant = /^\d+$/.test(other);
  const limit = (get: Getter) => (isConstant ? Number(other) : Number(get(other)));
  const right = isConstant ? other : property(other).expression;
  return {
    print: (get) => (Number(get(name)) > limit(get) ? yes : no),
    format: '%s',
    values: [`${property(name).expression} > ${right} ? "${yes}" : "${no}"`],
    pattern: `(?:${escaped(yes)}|${escaped(no)})`,
    read: [],
  };
}

/**
 * ` (0x10)`, or nothing. __print_symbolic shows a number without a name as 0x10; readers of formats
 * want one name at least.
 */
function errorCodePiece(name: string, { expression, parts, fromText }: Property<unknown>): Piece {
  const number = `__print_symbolic(REC->${parts[1].column.name}, { 0x0, "0x0" })`;
  const part = (text: string) => `${expression} ? ${text} : ""`;
  return {
    print: (get) => (get(name) === null ? '' : ` (0x${digits(get(name), 16)})`),
    format: '%s%s%s',
    values: [part('" ("'), part(number), part('")"')],
    pattern: '(?: \\(0x([\\da-f]+)\\))?',
    read: [[name, (text) => (text === '' ? MISSING : fromText(text, 16))]],
  };
}

function valuePiece(name: string, format: string, property: Property<unknown>): Piece {
  const { shown, expression, parts, fromText } = property;
  if (shown === 'text') {
    return {
      print: (get) => String(get(name)),
      format: '%s',
      values: [expression],
      pattern: '(.*?)',
      read: [[name, (text) => fromText(text, 10)]],
    };
  }
  const [, width = '', hex] = /^(0\d+)?(x)?$/.exec(format) ?? [];
  const base = hex === undefined ? 10 : 16;
  const { signed, sizeBytes } = parts[0].column;
  const letter = hex ?? (signed ? 'd' : 'u');
  return {
    print: (get) => digits(get(name), base).padStart(Number(width), '0'),
    format: `%${width}${sizeBytes === 8 ? 'll' : ''}${letter}`,
    values: [expression],
    pattern: base === 16 ? '([\\da-f]+)' : '(-?\\d+)',
    read: [[name, (text) => fromText(text, base)]],
  };
}

function digits(value: unknown, base: number): string {
  if (Long.isLong(value)) return value.toUnsigned().toString(base);
  const number = value as number;
  // Numbers of 32 bits may be held as signed ones, which only hexadecimal must not show.
  return (base === 16 && number < 0 ? number >>> 0 : number).toString(base);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

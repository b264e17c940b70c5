// How the text of an event is written down: once, as a template, from which follow the text, the
// kernel's print format in C, and the way back from the text. `{vcpu}` stands for a property as it
// is usually shown, `{rip:x}` for hexadecimal, `{info1:016x}` and `{cpu:03}` for filled with zeros,
// `{write?write:read}` for one of two texts, `{mask&pin?masked:}` by a bit of a byte,
// `{new>old?growed:shrinked}` for a comparison, `{delta<0?early:late}` for a sign, `{errorCode!}`
// for an error code that may be missing, `{errorCode!0}` for one that is 0 then, and `{{` for a
// brace.

import type Long from 'long';
import type { Property } from './property.ts';

/** A property of an event, and how to get its value. */
export interface Access {
  readonly property: Property<unknown>;
  readonly get: (fields: unknown) => unknown;
}

/** By the names that templates use: `prev.comm`. */
export type NamedProperties = ReadonlyMap<string, Access>;

/** A piece of the text. */
interface Piece {
  print(fields: unknown): string;
  /** What stands in the print format, and what is printed there. */
  readonly format: string;
  readonly values: readonly string[];
  /** A regular expression with as many groups as there are properties in `read`. */
  readonly pattern: string;
  /** Properties that the text tells, with how to read them. */
  readonly read: readonly (readonly [name: string, read: (text: string) => unknown])[];
}

export interface Template {
  print(fields: unknown): string;
  /** `"vcpu %u", REC->vcpu_id` */
  readonly printFormat: string;
  /** What the text says of each property; null if it is no such text. */
  parse(text: string): ReadonlyMap<string, unknown> | null;
}

/** Throws RangeError if the text names a property that there is not. */
export function templateOf(text: string, properties: NamedProperties): Template {
  const pieces = [...text.matchAll(/\{\{|\{([^}]*)\}|[^{]+/g)].map(([whole, hole]) =>
    hole === undefined ? literalPiece(whole === '{{' ? '{' : whole) : pieceOf(hole, properties),
  );
  const pattern = new RegExp(`^${pieces.map((piece) => piece.pattern).join('')}$`);
  const readers = pieces.flatMap(({ read }) => read);
  const format = pieces.map((piece) => piece.format).join('');
  return {
    // Joined, not added: what is kept is to be in one piece.
    print: (fields) => pieces.map((piece) => piece.print(fields)).join(''),
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
  const access = (name: string): Access => {
    const found = properties.get(name);
    if (found === undefined) throw new RangeError(`there is no property ${name}`);
    return found;
  };
  const choice = /^([\w.]+)(?:([>&<])([\w.]+))?\?(.*):(.*)$/.exec(hole);
  if (choice !== null) {
    const [, name, operator, other, yes, no] = choice;
    if (operator === '<') return signPiece(access(name), yes, no);
    if (operator === '&') return bitPiece(name, access(name), access(other), yes, no);
    if (other === undefined) return booleanPiece(name, yes, no, access(name));
    return comparison(access(name), /^\d+$/.test(other) ? Number(other) : access(other), yes, no);
  }
  const [, name, mark] = /^([\w.]+)(!0?|:\w+)?$/.exec(hole) ?? [];
  if (mark === '!0') return zeroedErrorCodePiece(name, access(name));
  if (mark === '!') return errorCodePiece(name, access(name));
  return valuePiece(name, mark?.slice(1) ?? '', access(name));
}

function booleanPiece(name: string, yes: string, no: string, { property, get }: Access): Piece {
  return {
    print: (fields) => (get(fields) === true ? yes : no),
    format: '%s',
    values: [`${property.expression} ? "${yes}" : "${no}"`],
    pattern: `(${escaped(yes)}|${escaped(no)})`,
    read: [[name, (text) => text === yes]],
  };
}

/** A bit of a byte, whose number is another property, chooses; the byte's other bits are not told. */
function bitPiece(name: string, byte: Access, bit: Access, yes: string, no: string): Piece {
  const isSet = (fields: unknown) =>
    ((Number(byte.get(fields)) >> Number(bit.get(fields))) & 1) === 1;
  const test = `${byte.property.expression} & (1 << ${bit.property.expression})`;
  return {
    print: (fields) => (isSet(fields) ? yes : no),
    format: '%s',
    values: [`${test} ? "${yes}" : "${no}"`],
    pattern: `(${escaped(yes)}|${escaped(no)})`,
    read: [[name, (text) => (text === yes ? 0xff : 0)]],
  };
}

/** The sign of a number chooses; nothing is read from it. */
function signPiece({ property, get }: Access, negative: string, other: string): Piece {
  return {
    print: (fields) => ((get(fields) as Long).isNegative() ? negative : other),
    format: '%s',
    // Readers of formats compare without signs; a shift tells them the same.
    values: [`${property.expression} >> 63 ? "${negative}" : "${other}"`],
    pattern: `(?:${escaped(negative)}|${escaped(other)})`,
    read: [],
  };
}

/** The greater of two properties, or of one and a number, chooses; nothing is read from it. */
function comparison(left: Access, right: Access | number, yes: string, no: string): Piece {
  const limit =
    typeof right === 'number' ? () => right : (fields: unknown) => Number(right.get(fields));
  const limitText = typeof right === 'number' ? String(right) : right.property.expression;
  return {
    print: (fields) => (Number(left.get(fields)) > limit(fields) ? yes : no),
    format: '%s',
    values: [`${left.property.expression} > ${limitText} ? "${yes}" : "${no}"`],
    pattern: `(?:${escaped(yes)}|${escaped(no)})`,
    read: [],
  };
}

/**
 * ` (0x10)`, or nothing. __print_symbolic shows a number without a name as 0x10; readers of formats
 * want one name at least.
 */
function errorCodePiece(name: string, { property, get }: Access): Piece {
  const { expression, parts } = property;
  const number = `__print_symbolic(REC->${parts[1].column.name}, { 0x0, "0x0" })`;
  const part = (text: string) => `${expression} ? ${text} : ""`;
  return {
    print: (fields) => (get(fields) === null ? '' : ` (0x${hexDigits(get(fields))})`),
    format: '%s%s%s',
    values: [part('" ("'), part(number), part('")"')],
    pattern: '(?: \\(0x([\\da-f]+)\\))?',
    read: [[name, (text) => (text === '' ? MISSING : property.fromText(text, 16))]],
  };
}

/** An error code in hexadecimal; what is missing shows as 0. */
function zeroedErrorCodePiece(name: string, { property, get }: Access): Piece {
  const { expression, parts } = property;
  return {
    print: (fields) => hexDigits(get(fields) ?? 0),
    format: '%x',
    values: [`${expression} ? REC->${parts[1].column.name} : 0`],
    pattern: '([\\da-f]+)',
    read: [[name, (text) => property.fromText(text, 16)]],
  };
}

function valuePiece(name: string, format: string, { property, get }: Access): Piece {
  const { shown, shownAs = String, expression, parts } = property;
  if (shown === 'text') {
    return {
      print: (fields) => shownAs(get(fields)),
      format: '%s',
      values: [expression],
      pattern: '(.*?)',
      read: [[name, (text) => property.fromText(text, 10)]],
    };
  }
  const [, width = '', hex] = /^(0\d+)?(x)?$/.exec(format) ?? [];
  const digits = hex === undefined ? String : hexDigits;
  const least = Number(width);
  const { signed, sizeBytes } = parts[0].column;
  return {
    print: (fields) => digits(get(fields)).padStart(least, '0'),
    format: `%${width}${sizeBytes === 8 ? 'll' : ''}${hex ?? (signed ? 'd' : 'u')}`,
    values: [expression],
    pattern: hex === undefined ? '(-?\\d+)' : '([\\da-f]+)',
    read: [[name, (text) => property.fromText(text, hex === undefined ? 10 : 16)]],
  };
}

/** Hexadecimal digits; numbers of 32 bits may be held as signed ones. */
export function hexDigits(value: unknown): string {
  if (typeof value === 'number') return (value < 0 ? value >>> 0 : value).toString(16);
  const { high, low } = value as Long;
  const digits = (low >>> 0).toString(16);
  return high === 0 ? digits : (high >>> 0).toString(16) + digits.padStart(8, '0');
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

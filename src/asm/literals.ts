// Numbers and strings as NASM writes them. NASM manual, "Numeric Constants", "Character Strings".

import Long from 'long';

export type Literal<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly message: string };

const RADIX_LETTERS: Readonly<Record<string, number>> = {
  ...{ x: 16, h: 16 },
  ...{ d: 10, t: 10 },
  ...{ o: 8, q: 8 },
  ...{ b: 2, y: 2 },
};

const FLOAT = /^\d[\d_]*(\.[\d_]*)?(e\d*)?$/;

/** Read a number in any of NASM's spellings: 200, 0xc8, 0c8h, $0c8, 0b1100_1000, 310q, ... */
export function parseNumber(token: string): Literal<Long> {
  const text = token.toLowerCase();
  const { digits, radix } = splitRadix(text);
  let value = Long.UZERO;
  const highest = Long.MAX_UNSIGNED_VALUE.div(radix);
  for (const digit of digits) {
    const amount = Number.parseInt(digit, radix);
    if (Number.isNaN(amount)) return failure(badDigit(token, radix));
    const next = value.mul(radix).add(amount);
    if (value.gt(highest) || next.lt(amount)) return failure(`${token} does not fit 64 bits`);
    value = next;
  }
  if (digits === '') return failure(badDigit(token, radix));
  return { kind: 'value', value: value.toSigned() };
}

/** Prefix or suffix give the radix; where both could be meant, the greater radix is. */
function splitRadix(text: string): { digits: string; radix: number } {
  const plain = text.replaceAll('_', '');
  if (plain[0] === '$') return { digits: plain.slice(1), radix: 16 };
  const prefix = plain[0] === '0' ? (RADIX_LETTERS[plain[1] ?? ''] ?? 0) : 0;
  const suffix = RADIX_LETTERS[plain.at(-1) as string] ?? 0;
  if (prefix > suffix) return { digits: plain.slice(2), radix: prefix };
  if (suffix > 0) return { digits: plain.slice(0, -1), radix: suffix };
  return { digits: plain, radix: 10 };
}

function badDigit(token: string, radix: number): string {
  if (FLOAT.test(token.toLowerCase())) return 'floating-point constants are not supported';
  return `'${token}' is not a number of radix ${radix}`;
}

function failure(message: string): Literal<never> {
  return { kind: 'error', message };
}

const ESCAPES: Readonly<Record<string, number>> = {
  ...{ a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, e: 27 },
};

/** The bytes of a quoted string; text is UTF-8. Only backquotes know escapes. */
export function stringBytes(token: string): Uint8Array {
  const inner = token.slice(1, -1);
  return token[0] === '`' ? unescaped(inner) : encodeUtf8(inner);
}

function unescaped(inner: string): Uint8Array {
  const bytes: number[] = [];
  const pattern = /\\([xX][\da-fA-F]{1,2}|u[\da-fA-F]{1,4}|U[\da-fA-F]{1,8}|[0-7]{1,3}|.)|[^\\]+/gu;
  for (const [matched, sequence] of inner.matchAll(pattern)) {
    const piece = sequence === undefined ? encodeUtf8(matched) : escapedBytes(sequence);
    for (const byte of piece) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function escapedBytes(sequence: string): Iterable<number> {
  const letter = sequence[0] as string;
  if (letter >= '0' && letter <= '7') return [Number.parseInt(sequence, 8) & 255];
  if (sequence.length > 1) {
    const code = Number.parseInt(sequence.slice(1), 16);
    if (letter === 'x' || letter === 'X') return [code];
    return encodeUtf8(String.fromCodePoint(Math.min(code, 0x10ffff)));
  }
  const control = ESCAPES[letter];
  return control === undefined ? encodeUtf8(letter) : [control];
}

/** UTF-8, without the TextEncoder that a bare engine may not have. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), continuation(code));
    else if (code < 0x10000) {
      bytes.push(0xe0 | (code >> 12), continuation(code >> 6), continuation(code));
    } else {
      const low = [continuation(code >> 12), continuation(code >> 6), continuation(code)];
      bytes.push(0xf0 | (code >> 18), ...low);
    }
  }
  return Uint8Array.from(bytes);
}

function continuation(code: number): number {
  return 0x80 | (code & 0x3f);
}

/** A string as a number, its first byte lowest. */
export function stringNumber(bytes: Uint8Array): Literal<Long> {
  if (bytes.length > 8) return failure('a character constant has at most 8 bytes');
  let low = 0;
  let high = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (i < 4) low |= (bytes[i] as number) << (8 * i);
    else high |= (bytes[i] as number) << (8 * (i - 4));
  }
  return { kind: 'value', value: Long.fromBits(low, high) };
}

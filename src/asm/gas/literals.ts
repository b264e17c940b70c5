// Numbers, characters and strings as GAS writes them. GNU as manual, "Constants".

import Long from 'long';
import { encodeUtf8, type Literal } from '../literals.ts';

const FORMS: readonly (readonly [pattern: RegExp, radix: number, what: string])[] = [
  [/^0[xX]([\da-fA-F]+)$/, 16, 'hexadecimal'],
  [/^0[bB]([01]+)$/, 2, 'binary'],
  [/^0([0-7]*)$/, 8, 'octal'],
  [/^([1-9]\d*)$/, 10, 'decimal'],
];

/** 200, 0xc8, 0310, 0b11001000. */
export function gasNumber(token: string): Literal<Long> {
  for (const [pattern, radix] of FORMS) {
    const digits = pattern.exec(token)?.[1];
    if (digits === undefined) continue;
    const significant = digits.replace(/^0+/, '');
    const value = Long.fromString(significant === '' ? '0' : significant, true, radix);
    // What wrapped around prints otherwise.
    const isWhole =
      value.toString(radix) === (significant === '' ? '0' : significant.toLowerCase());
    return isWhole ? { kind: 'value', value: value.toSigned() } : tooLarge(token);
  }
  if (/^0[fFdDrR]|^\d+\.\d*|^\d+[eE]/.test(token)) {
    return { kind: 'error', message: 'floating-point constants are not supported' };
  }
  const radix = /^0[xX]/.test(token) ? 16 : /^0[bB]/.test(token) ? 2 : token[0] === '0' ? 8 : 10;
  return { kind: 'error', message: `'${token}' is not a number of radix ${radix}` };
}

function tooLarge(token: string): Literal<never> {
  return { kind: 'error', message: `${token} does not fit 64 bits` };
}

const ESCAPES: Readonly<Record<string, number>> = { b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

/** The bytes of a string with its quotes. */
export function gasStringBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  const pattern = /\\([xX][\da-fA-F]+|[0-7]{1,3}|.)|[^\\]+/gsu;
  for (const [matched, sequence] of token.slice(1, -1).matchAll(pattern)) {
    const piece = sequence === undefined ? encodeUtf8(matched) : escapedBytes(sequence);
    for (const byte of piece) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function escapedBytes(sequence: string): Iterable<number> {
  if (/^[xX]./.test(sequence))
    return [Number.parseInt(sequence.slice(-2).replace(/^[xX]/, ''), 16)];
  if (/^[0-7]/.test(sequence)) return [Number.parseInt(sequence, 8) & 255];
  const control = ESCAPES[sequence];
  return control === undefined ? encodeUtf8(sequence) : [control];
}

/** What a quoted character is worth: `'a`, `'a'`, `'\n`. */
export function gasCharacter(token: string): Long {
  const inner = /^'(\\.|.)/s.exec(token)?.[1] ?? '';
  const [byte] = inner[0] === '\\' ? escapedBytes(inner.slice(1)) : encodeUtf8(inner);
  return Long.fromInt(byte ?? 0);
}

/** The low 16 bytes of a number of any size, the lowest first; null if it is none. */
export function octaBytes(token: string, isNegative: boolean): Uint8Array | null {
  if (!FORMS.some(([pattern]) => pattern.test(token))) return null;
  let value = BigInt(/^0[0-7]+$/.test(token) ? `0o${token.slice(1)}` : token);
  if (isNegative) value = -value;
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 255n);
  return bytes;
}

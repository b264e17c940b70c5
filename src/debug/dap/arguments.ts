// Arguments of requests. They come from outside, so nothing is taken for granted: each reader names
// what it expected.

import Long from 'long';
import { isRecord } from './messages.ts';
import { BadRequest } from './target.ts';

export type Arguments = Readonly<Record<string, unknown>>;

export function textOf(args: Arguments, name: string): string {
  const value = args[name];
  if (typeof value === 'string') return value;
  throw new BadRequest(`'${name}': expected a text`);
}

export function textOr(args: Arguments, name: string, fallback: string): string {
  return args[name] === undefined || args[name] === null ? fallback : textOf(args, name);
}

/** A text that may be left out, or empty. */
export function optionalText(args: Arguments, name: string): string | null {
  const text = textOr(args, name, '').trim();
  return text === '' ? null : text;
}

export function countOf(args: Arguments, name: string): number {
  const value = integerOf(args, name);
  if (value >= 0) return value;
  throw new BadRequest(`'${name}': expected a whole number that is not negative`);
}

export function integerOf(args: Arguments, name: string): number {
  const value = args[name];
  if (Number.isSafeInteger(value)) return value as number;
  throw new BadRequest(`'${name}': expected a whole number`);
}

export function integerOr(args: Arguments, name: string, fallback: number): number {
  return args[name] === undefined || args[name] === null ? fallback : integerOf(args, name);
}

export function flagOr(args: Arguments, name: string, fallback: boolean): boolean {
  const value = args[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value === 'boolean') return value;
  throw new BadRequest(`'${name}': expected true or false`);
}

/** A list of objects; empty if it is left out. */
export function recordsOf(args: Arguments, name: string): readonly Arguments[] {
  const value = args[name];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every(isRecord)) return value;
  throw new BadRequest(`'${name}': expected a list of objects`);
}

/** A list of texts; empty if it is left out. */
export function textsOf(args: Arguments, name: string): readonly string[] {
  const value = args[name];
  if (value === undefined || value === null) return [];
  const isTexts = Array.isArray(value) && value.every((item) => typeof item === 'string');
  if (isTexts) return value as readonly string[];
  throw new BadRequest(`'${name}': expected a list of texts`);
}

/** A memory reference: an address, as it is written here or by people. */
export function addressOf(args: Arguments, name: string): Long {
  const address = parseNumber(textOf(args, name));
  if (address !== null) return address;
  throw new BadRequest(`'${name}': expected an address such as 0x100000`);
}

/** A number of up to 64 bits, decimal or with 0x; null if the text is none. */
export function parseNumber(text: string): Long | null {
  const [, minus, hex, decimal] = /^\s*(-)?(?:0x([\da-f]{1,16})|(\d{1,19}))\s*$/i.exec(text) ?? [];
  const digits = hex ?? decimal;
  if (digits === undefined) return null;
  const value = Long.fromString(digits, true, hex === undefined ? 10 : 16);
  return minus === undefined ? value : value.negate();
}

/** As addresses are written. */
export function formatAddress(address: Long): string {
  return `0x${address.toUnsigned().toString(16)}`;
}

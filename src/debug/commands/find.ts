// `find`: where values or texts lie in memory, as gdb's.

import type Long from 'long';
import { DebugError } from '../debug-error.ts';
import { readMapped } from '../remote-memory.ts';
import { type Context, command, type Lines } from './command.ts';
import { addressOf, partsOf } from './parse.ts';
import { hex } from './print.ts';
import { valueNames } from './words.ts';

/** Bytes that are looked through at most, and in one piece. */
const MOST_BYTES = 2 ** 32;
const PIECE_BYTES = 2 ** 16;

/** Places that are shown. */
const MOST_FOUND = 4096;

const USAGE = `START, +LENGTH or END, and behind a comma what to find: numbers, or a "text"`;

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };

/** `find 0x100000, +4096, 42`, `find /b again, end, 0x0f, 0xa2`, `find /b /1 again, +64, "text"` */
function* find(context: Context, whole: string, first: string): Lines {
  const { session, vcpu } = context;
  // gdb has a slash for each.
  const [, second = '', text = ''] = /^(?:\/(\w+)\s+)?(.*)$/s.exec(whole) ?? [];
  const { size, most } = howOf(`${first}${second}`);
  const [start = '', end = '', ...values] = partsOf(text);
  if (values.length === 0 || start === '' || end === '') throw new DebugError(`${USAGE} expected`);
  const from = addressOf(session, vcpu, start).toUnsigned();
  const length = lengthOf(context, from, end);
  const pattern = Uint8Array.from(values.flatMap((value) => bytesOf(context, value, size)));
  const found: Long[] = [];
  for (let at = 0; at + pattern.length <= length && found.length < most; at += PIECE_BYTES) {
    const wanted = Math.min(PIECE_BYTES + pattern.length - 1, length - at);
    const bytes = readMapped(session, vcpu, from.add(at), wanted);
    for (const place of placesOf(pattern, bytes)) found.push(from.add(at + place));
    if (bytes.length < wanted) {
      const missing = hex(from.add(at + bytes.length));
      if (found.length > 0) return [...told(context, found, most), `no memory at ${missing}`];
      throw new DebugError(`no memory at ${missing}; not found before it`);
    }
    yield;
  }
  return told(context, found, most);
}

/** A size and a count, in either order. */
function howOf(format: string): { readonly size: string; readonly most: number } {
  const [, before = '', size = '', behind = ''] = /^(\d*)([bhwg]?)(\d*)$/.exec(format) ?? [];
  const count = before === '' ? behind : before;
  const isOne = `${before}${size}${behind}` === format && (before === '' || behind === '');
  if (!isOne || count === '0') {
    throw new DebugError(`'/${format}': a size (b h w g) and a count expected`);
  }
  return { size, most: count === '' ? MOST_FOUND : Math.min(Number(count), MOST_FOUND) };
}

function lengthOf({ session, vcpu }: Context, from: Long, end: string): number {
  const value = addressOf(session, vcpu, end.replace(/^\+/, '')).toUnsigned();
  const isLength = end.startsWith('+');
  if (isLength && value.isZero()) {
    throw new DebugError('there is nothing to look through: the length is 0');
  }
  if (!isLength && value.lt(from)) throw new DebugError(`${end} is before the start`);
  // An end is looked at, too.
  const behind = isLength ? value : value.sub(from);
  if (behind.lt(MOST_BYTES)) return behind.toNumber() + Number(!isLength);
  throw new DebugError(`at most ${hex(MOST_BYTES)} bytes are looked through`);
}

/** What a value is in memory: a number is of 4 bytes if it fits, and of 8 if not. */
function bytesOf({ session, vcpu }: Context, value: string, size: string): readonly number[] {
  const [, characters] = /^"((?:[^"\\]|\\.)*)"$/s.exec(value) ?? [];
  if (characters !== undefined) {
    if (characters === '') throw new DebugError('an empty text is everywhere');
    return [...characters.replace(/\\(.)/gs, '$1')].map((one) => one.charCodeAt(0) & 0xff);
  }
  const number = addressOf(session, vcpu, value).toUnsigned();
  const lengthBytes = SIZES[size] ?? (number.high === 0 ? 4 : 8);
  return number.toBytesLE().slice(0, lengthBytes);
}

function placesOf(pattern: Uint8Array, bytes: Uint8Array): readonly number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(pattern[0]); at >= 0; at = bytes.indexOf(pattern[0], at + 1)) {
    if (pattern.every((byte, i) => bytes[at + i] === byte)) places.push(at);
  }
  return places;
}

function told({ session, vcpu }: Context, all: readonly Long[], most: number): readonly string[] {
  const found = all.slice(0, most);
  const { named } = session.variables;
  named.set('numfound', BigInt(found.length));
  const last = found.at(-1);
  if (last === undefined) return ['Pattern not found.'];
  named.set('_', BigInt(last.toString()));
  const symbols = session.symbolsOf(vcpu);
  const lines = found.map((address) => {
    const name = symbols.symbolAt(address);
    return name === null ? hex(address) : `${hex(address)} <${name}>`;
  });
  return [...lines, found.length === 1 ? '1 pattern found.' : `${found.length} patterns found.`];
}

export const FIND = command(
  'find',
  '[/SIZE COUNT] START,+LENGTH|END,VALUE...',
  'where numbers, or a "text", lie in memory',
  find,
  { scope: 'anywhere', words: valueNames },
);

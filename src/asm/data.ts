// DB and kin, RESB and kin, and INCBIN. NASM manual, "Pseudo-Instructions".

import type { Cursor } from './cursor.ts';
import { parseExpression } from './expression.ts';
import { encodeUtf8, stringBytes } from './literals.ts';
import type { Session } from './session.ts';
import type { Body, DataItem } from './statement.ts';

/** Parse from the directive on; null after reporting an error. */
export function parseData(cursor: Cursor, session: Session, itemBytes: number): Body | null {
  cursor.take();
  const items: DataItem[] = [];
  while (!cursor.atEnd) {
    const item = parseItem(cursor, session, itemBytes);
    if (item === null) return null;
    items.push(item);
    if (cursor.keyword() === 'dup') {
      return cursor.error(cursor.place, "'dup' is not supported", ["'times' before the directive"]);
    }
    // NASM allows a comma after the last item.
    if (!cursor.accept(',') && !cursor.atEnd) return cursor.fail(["','", 'the end of the line']);
  }
  if (items.length === 0) cursor.warn(cursor.place, 'there is nothing to store', ['a number']);
  return { kind: 'data', itemBytes, items };
}

function parseItem(cursor: Cursor, session: Session, itemBytes: number): DataItem | null {
  const token = cursor.peek();
  const isAlone = cursor.peek(1) === undefined || cursor.at(',', 1);
  if (token?.kind === 'string' && isAlone) {
    cursor.take();
    return { kind: 'string', bytes: padded(stringBytes(token.text), itemBytes) };
  }
  if (cursor.keyword() === '?') {
    cursor.take();
    return { kind: 'uninitialized' };
  }
  const value = parseExpression(cursor, session.symbols);
  return value === null ? null : { kind: 'expression', value };
}

/** A string takes up whole items. */
function padded(bytes: Uint8Array, itemBytes: number): Uint8Array {
  const lengthBytes = Math.ceil(bytes.length / itemBytes) * itemBytes;
  if (lengthBytes === bytes.length) return bytes;
  const result = new Uint8Array(lengthBytes);
  result.set(bytes);
  return result;
}

export function parseReserve(cursor: Cursor, session: Session, itemBytes: number): Body | null {
  cursor.take();
  const count = parseExpression(cursor, session.symbols);
  if (count === null) return null;
  return cursor.atEnd
    ? { kind: 'reserve', itemBytes, count }
    : cursor.fail(['the end of the line']);
}

/** `incbin "file", skip, length` */
export function parseBinary(cursor: Cursor, session: Session): Body | null {
  cursor.take();
  const token = cursor.peek();
  if (token?.kind !== 'string') return cursor.fail(['a file name in quotes']);
  const place = cursor.placeOf(token);
  cursor.take();
  const numbers: number[] = [];
  while (numbers.length < 2 && cursor.accept(',')) {
    const number = parseCount(cursor, session);
    if (number === null) return null;
    numbers.push(number);
  }
  if (!cursor.atEnd) return cursor.fail(numbers.length < 2 ? ["','"] : ['the end of the line']);
  const path = token.text.slice(1, -1);
  const contents = session.readFile(path, 'binary', cursor.line.origin.source.name);
  if (contents === null) return cursor.error(place, `cannot read file '${path}'`);
  const bytes = typeof contents === 'string' ? encodeUtf8(contents) : contents;
  const skip = numbers[0] ?? 0;
  return { kind: 'binary', bytes: bytes.subarray(skip, skip + (numbers[1] ?? bytes.length)) };
}

/** A count of bytes, as far as files are long. */
function parseCount(cursor: Cursor, session: Session): number | null {
  const { place } = cursor;
  const value = parseExpression(cursor, session.symbols);
  const number = value === null ? null : session.constant(value);
  if (number === null) return null;
  if (number.lt(0) || number.gt(2 ** 40)) {
    return cursor.error(place, `${number} is not a count of bytes`, ['0 or more']);
  }
  return number.toNumber();
}

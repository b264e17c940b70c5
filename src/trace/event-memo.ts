// The bytes of events that were written lately, in some format: loops of a guest make the same ones
// again and again, and to compare some values takes a tenth of the time of writing them.

import Long from 'long';
import { type FieldReader, fieldReader, type Way } from './field-reader.ts';

/** Those that are kept for each kind of event; a power of two. */
const KEPT = 1024;

interface Kept {
  readonly values: readonly unknown[];
  readonly bytes: Uint8Array;
}

export class EventMemo {
  private readonly reader: FieldReader;
  private readonly write: (fields: unknown) => Uint8Array;
  private readonly kept = new Array<Kept | null>(KEPT).fill(null);
  /** The one that was asked for last: most events are as the one of their kind before. */
  private last: Kept | null = null;
  /** Of an event that is not as the last one. */
  private readonly values: unknown[];

  /** @param ways to everything that the bytes depend on */
  constructor(ways: readonly Way[], write: (fields: unknown) => Uint8Array) {
    this.reader = fieldReader(ways);
    this.write = write;
    this.values = ways.map(() => null);
  }

  bytesOf(fields: unknown): Uint8Array {
    const { last, reader } = this;
    if (last !== null && reader.matches(fields, last.values)) return last.bytes;
    const { values, kept } = this;
    reader.read(fields, values);
    let hash = 0;
    for (let i = 0; i < values.length; i++) hash = Math.imul(hash, 31) + numberOf(values[i]);
    const place = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (KEPT - 1);
    const known = kept[place];
    const isKnown = known !== null && reader.matches(fields, known.values);
    const entry = isKnown ? known : { values: [...values], bytes: this.write(fields) };
    kept[place] = entry;
    this.last = entry;
    return entry.bytes;
  }
}

/** Any number that is the same for the same values. */
function numberOf(value: unknown): number {
  if (typeof value === 'number') return value | 0;
  if (typeof value === 'string') return value.length;
  return Long.isLong(value) ? value.low ^ value.high : 0;
}

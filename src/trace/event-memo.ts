// The bytes of events that were written lately, in some format: loops of a guest make the same ones
// again and again, and to compare some values takes a tenth of the time of writing them.

import type Long from 'long';
import { type FieldReader, fieldReader } from './field-reader.ts';

/** Those that are kept for each kind of event; a power of two. */
const KEPT = 1024;

interface Kept {
  readonly values: readonly unknown[];
  readonly bytes: Uint8Array;
}

export class EventMemo {
  private readonly read: FieldReader;
  private readonly write: (fields: unknown) => Uint8Array;
  private readonly kept = new Array<Kept | null>(KEPT).fill(null);
  /** The one that was asked for last: most events are as the one of their kind before. */
  private last: Kept | null = null;
  /** Of the event that is asked for. */
  private readonly values: unknown[];

  /** @param paths to everything that the bytes depend on */
  constructor(paths: readonly (readonly string[])[], write: (fields: unknown) => Uint8Array) {
    this.read = fieldReader(paths);
    this.write = write;
    this.values = paths.map(() => null);
  }

  bytesOf(fields: unknown): Uint8Array {
    const { values, kept } = this;
    this.read(fields, values);
    const { last } = this;
    if (last !== null && areSame(last.values, values)) return last.bytes;
    let hash = 0;
    for (let i = 0; i < values.length; i++) hash = Math.imul(hash, 31) + numberOf(values[i]);
    const place = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (KEPT - 1);
    const known = kept[place];
    const isKnown = known !== null && areSame(known.values, values);
    const entry = isKnown ? known : { values: [...values], bytes: this.write(fields) };
    kept[place] = entry;
    this.last = entry;
    return entry.bytes;
  }
}

function isLong(value: unknown): value is Long {
  return typeof value === 'object' && value !== null && 'low' in value;
}

/** Any number that is the same for the same values. */
function numberOf(value: unknown): number {
  if (typeof value === 'number') return value | 0;
  if (typeof value === 'string') return value.length;
  return isLong(value) ? value.low ^ value.high : 0;
}

function areSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  for (let i = 0; i < a.length; i++) {
    const one = a[i];
    const other = b[i];
    if (one === other) continue;
    if (!isLong(one) || !isLong(other)) return false;
    if (one.low !== other.low || one.high !== other.high) return false;
  }
  return true;
}

// Texts of events that were written lately: loops of a guest make the same ones again and again,
// and to compare some values takes a tenth of the time of writing them.

import type Long from 'long';

/** Gets a value of an event. */
export type Getter = (fields: unknown) => unknown;

/** Texts that are kept for each kind of event; a power of two. */
const KEPT = 1024;

interface Kept {
  readonly values: readonly unknown[];
  readonly text: string;
}

export class TextMemo {
  private readonly getters: readonly Getter[];
  private readonly write: (fields: unknown) => string;
  private readonly kept = new Array<Kept | null>(KEPT).fill(null);
  /** Of the event that is asked for. */
  private readonly values: unknown[];

  /** @param getters of everything that the text depends on */
  constructor(getters: readonly Getter[], write: (fields: unknown) => string) {
    this.getters = getters;
    this.write = write;
    this.values = getters.map(() => null);
  }

  textOf(fields: unknown): string {
    const { getters, values, kept } = this;
    let hash = 0;
    for (let i = 0; i < getters.length; i++) {
      const value = getters[i](fields);
      values[i] = value;
      hash = Math.imul(hash, 31) + numberOf(value);
    }
    const place = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (KEPT - 1);
    const known = kept[place];
    if (known !== null && areSame(known.values, values)) return known.text;
    const text = this.write(fields);
    kept[place] = { values: [...values], text };
    return text;
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

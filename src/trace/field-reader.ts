// Gets the values of an event, and compares them with those of another. A loop over names or
// functions would be the same code for every kind of event, in which V8 looks each name up in a
// table; so each kind has functions of its own, made from the names when such an event is written
// first.

import type Long from 'long';

/** Where a value of an event is, and what it is. */
export interface Way {
  /** Names that lead to it, the outermost first. */
  readonly path: readonly string[];
  /** A Long, of which there may be several of the same value. */
  readonly isLong: boolean;
}

/** What is done with the values of one kind of event, in the order of its ways. */
export interface FieldReader {
  /** Put them into an array. */
  read(fields: unknown, values: unknown[]): void;
  /** Whether they are the same as those in an array. */
  matches(fields: unknown, values: readonly unknown[]): boolean;
}

/** @param ways to all values that are wanted */
export function fieldReader(ways: readonly Way[]): FieldReader {
  const reads = ways.map((way, i) => `values[${i}] = ${accessTo(way)};`);
  const tests = ways.map((way, i) => {
    const [own, other] = [accessTo(way), `values[${i}]`];
    const differs = way.isLong
      ? `${own}.low !== ${other}.low || ${own}.high !== ${other}.high`
      : `${own} !== ${other}`;
    return `if (${differs}) return false;`;
  });
  const make = (lines: readonly string[]) => new Function('fields', 'values', lines.join('\n'));
  try {
    return {
      read: make(reads) as FieldReader['read'],
      matches: make([...tests, 'return true;']) as FieldReader['matches'],
    };
  } catch {
    // A page may forbid to make code of text.
    return readerByNames(ways);
  }
}

/** Places in arrays are numbers: text is no faster than a look-up. */
function accessTo({ path }: Way): string {
  const keys = path.map((name) => (/^\d+$/.test(name) ? name : JSON.stringify(name)));
  return `fields${keys.map((key) => `[${key}]`).join('')}`;
}

/** The same without making code. */
export function readerByNames(ways: readonly Way[]): FieldReader {
  const find = (fields: unknown, { path }: Way) =>
    path.reduce((inner, name) => (inner as Record<string, unknown>)[name], fields);
  const isSame = (own: unknown, other: unknown, isLong: boolean) =>
    isLong ? (own as Long).equals(other as Long) : own === other;
  return {
    read: (fields, values) => {
      for (const [i, way] of ways.entries()) values[i] = find(fields, way);
    },
    matches: (fields, values) =>
      ways.every((way, i) => isSame(find(fields, way), values[i], way.isLong)),
  };
}

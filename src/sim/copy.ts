// Copies of plain data: numbers, texts, arrays, records, byte arrays.

/** A deep copy; nothing is shared with the original. */
export function copyPlain<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return value.slice() as T;
  if (Array.isArray(value)) return value.map(copyPlain) as T;
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    copy[key] = copyPlain((value as Record<string, unknown>)[key]);
  }
  return copy as T;
}

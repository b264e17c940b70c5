// Gets the values of an event, all at once. A loop over names or functions would be the same code
// for every kind of event, in which V8 looks each name up in a table; so each kind has a function
// of its own, made from the names when such an event is written first.

/** Put the values of an event, in the order of its properties, into an array that is lent. */
export type FieldReader = (fields: unknown, values: unknown[]) => void;

/** Names that lead to a value, the outermost first. */
type Path = readonly string[];

/** @param paths of all values that are wanted */
export function fieldReader(paths: readonly Path[]): FieldReader {
  const ways = paths.map((path) => path.map(accessTo).join(''));
  const body = ways.map((way, i) => `values[${i}] = fields${way};`).join('\n');
  try {
    return new Function('fields', 'values', body) as FieldReader;
  } catch {
    // A page may forbid to make code of text.
    return readerByNames(paths);
  }
}

/** Places in arrays are numbers: text is no faster than a look-up. */
function accessTo(name: string): string {
  return /^\d+$/.test(name) ? `[${name}]` : `[${JSON.stringify(name)}]`;
}

/** The same without making code. */
export function readerByNames(paths: readonly Path[]): FieldReader {
  const find = (fields: unknown, path: Path) =>
    path.reduce((inner, name) => (inner as Record<string, unknown>)[name], fields);
  return (fields, values) => {
    for (const [i, path] of paths.entries()) values[i] = find(fields, path);
  };
}

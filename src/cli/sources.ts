// The text of sources, for a debugger that shows lines: by the names that programs have for them.

import { readFileSync, statSync } from 'node:fs';

/** A source that is larger is not shown, in bytes. */
const MOST_BYTES = 16 * 2 ** 20;

/**
 * A reader that remembers. What is no regular file, or too large, is not to be had: names may come
 * from an image or a recording.
 * @param places where included files were found, by the names that their includers gave them
 */
export function sourceReader(places: ReadonlyMap<string, string>) {
  const known = new Map<string, readonly string[] | null>();
  return (file: string): readonly string[] | null => {
    const lines = known.get(file);
    if (lines !== undefined) return lines;
    const read = linesOf(places.get(file) ?? file);
    known.set(file, read);
    return read;
  };
}

function linesOf(path: string): readonly string[] | null {
  try {
    const about = statSync(path);
    if (!about.isFile() || about.size > MOST_BYTES) return null;
    const lines = readFileSync(path, 'utf8').split(/\r?\n/);
    return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  } catch {
    return null;
  }
}

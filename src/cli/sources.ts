// The text of sources, for a debugger that shows lines: by the names that programs have for them.

import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { RecordedSource, SourcePlaces } from '../debug/index.ts';
import type { Input } from './program.ts';

/** A source that is larger is not shown, in bytes. */
const MOST_BYTES = 16 * 2 ** 20;

/**
 * A reader that remembers. What is no regular file, or too large, is not to be had: names may come
 * from an image or a recording.
 * @param places where included files were found, by the names that their includers gave them
 * @param texts what needs no file
 */
export function sourceReader(
  places: ReadonlyMap<string, string>,
  texts: ReadonlyMap<string, string> = new Map(),
) {
  const known = new Map<string, readonly string[] | null>();
  return (file: string): readonly string[] | null => {
    const lines = known.get(file);
    if (lines !== undefined) return lines;
    const text = texts.get(file);
    const read = text === undefined ? linesOf(places.get(file) ?? file) : text.split('\n');
    known.set(file, read);
    return read;
  };
}

/** Where sources are, for whoever opens them as files if it can. */
export function sourcePlaces(
  places: ReadonlyMap<string, string>,
  texts: ReadonlyMap<string, string> = new Map(),
): SourcePlaces {
  const pathOf = (file: string) => resolve(places.get(file) ?? file);
  const isFile = (file: string) => {
    const lines = linesOf(pathOf(file));
    const recorded = texts.get(file);
    return lines !== null && (recorded === undefined || lines.join('\n') === recorded);
  };
  const known = new Map<string, boolean>();
  return {
    pathOf,
    lines: sourceReader(places, texts),
    isFile: (file) => {
      const isThere = known.get(file) ?? isFile(file);
      known.set(file, isThere);
      return isThere;
    },
  };
}

/** The sources that there are lines of, for a recording, as far as they are to be had. */
export function sourcesOf({
  symbols,
  places,
  sources,
}: Pick<Input, 'symbols' | 'places' | 'sources'>): RecordedSource[] {
  const names = symbols.flatMap((map) => map?.lines.map(({ file }) => file) ?? []);
  const read = sourceReader(places, sources);
  return [...new Set(names)].flatMap((name): RecordedSource[] => {
    const lines = read(name);
    return lines === null ? [] : [[name, lines.join('\n')]];
  });
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

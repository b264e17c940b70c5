// From addresses to lines of sources and back.

import type Long from 'long';
import type { SourceLine } from '../../machine/index.ts';
import { sourceLineOf } from '../places.ts';
import type { DapTarget, DapThread } from './target.ts';

export interface SourcePlace {
  readonly path: string;
  readonly line: number;
}

/** The source line of an address, or null. */
export function placeOf(target: DapTarget, thread: DapThread, address: Long): SourcePlace | null {
  const place = sourceLineOf(thread.symbols, address);
  return place === null ? null : { path: target.sourcePath(place.file), line: place.line };
}

export interface CodePlace {
  readonly thread: DapThread;
  readonly address: Long;
  readonly line: number;
}

/** Lines of a source with code, by number; each with where its code begins, in one machine. */
export function codeLines(target: DapTarget, path: string): ReadonlyMap<number, CodePlace> {
  for (const thread of machinesOf(target)) {
    const lines = new Map<number, CodePlace>();
    for (const { address, line } of linesOf(target, thread, path)) {
      const known = lines.get(line);
      if (known === undefined || address.lt(known.address)) {
        lines.set(line, { thread, address, line });
      }
    }
    if (lines.size > 0) return lines;
  }
  return new Map();
}

function linesOf(target: DapTarget, { symbols }: DapThread, path: string): SourceLine[] {
  return symbols.lines.filter(({ isCode, file }) => isCode && target.sourcePath(file) === path);
}

/** The first thread of each machine: machines have names of their own. */
export function machinesOf(target: DapTarget): readonly DapThread[] {
  const seen = new Set<unknown>();
  return target.threads.filter(({ symbols }) => {
    const isNew = !seen.has(symbols);
    seen.add(symbols);
    return isNew;
  });
}

/** Where the code of a line begins, or else of the next one that has some; null if none has. */
export function codeAtOrBelow(lines: ReadonlyMap<number, CodePlace>, line: number) {
  const numbers = [...lines.keys()].filter((number) => number >= line);
  return numbers.length === 0 ? null : (lines.get(Math.min(...numbers)) ?? null);
}

// From addresses to lines of sources and back; how the protocol names sources and gets their texts.

import type { DebugProtocol } from '@vscode/debugprotocol';
import type Long from 'long';
import type { SourceLine } from '../../machine/index.ts';
import { sourceLineOf } from '../places.ts';
import { type Arguments, integerOr, optionalText } from './arguments.ts';
import { isRecord } from './messages.ts';
import { BadRequest, type DapTarget, type DapThread } from './target.ts';

export interface SourcePlace {
  readonly source: DebugProtocol.Source;
  readonly line: number;
}

/** The source line of an address, or null. */
export function placeOf(target: DapTarget, thread: DapThread, address: Long): SourcePlace | null {
  const place = sourceLineOf(thread.symbols, address);
  return place === null ? null : { source: sourceOf(target, place.file), line: place.line };
}

/**
 * A source as clients know it. With a reference they ask for its text: it is in a recording, say,
 * and no file is where it was, or another one.
 */
export function sourceOf({ sources }: DapTarget, file: string): DebugProtocol.Source {
  const path = sources.pathOf(file);
  const name = path.split(/[/\\]/).at(-1) ?? path;
  if (sources.isFile(file)) return { name, path };
  const sourceReference = sources.files.indexOf(file) + 1;
  if (sources.lines(file) !== null && sourceReference > 0) return { name, path, sourceReference };
  return { name, path, origin: 'not found', presentationHint: 'deemphasize' };
}

/** The name of a source that a request means, by reference or path; null if there is none. */
function fileIn({ sources }: DapTarget, args: Arguments): string | null {
  const source = isRecord(args.source) ? args.source : {};
  const reference =
    integerOr(source, 'sourceReference', 0) || integerOr(args, 'sourceReference', 0);
  if (reference !== 0) return sources.files[reference - 1] ?? null;
  const path = optionalText(source, 'path');
  return sources.files.find((file) => sources.pathOf(file) === path) ?? null;
}

/** The path of a source that a request means; '' if it means none. */
export function pathIn(target: DapTarget, args: Arguments): string {
  const file = fileIn(target, args);
  if (file !== null) return target.sources.pathOf(file);
  return isRecord(args.source) ? (optionalText(args.source, 'path') ?? '') : '';
}

/** The text of a source. */
export function sourceText(target: DapTarget, args: Arguments): { readonly content: string } {
  const file = fileIn(target, args);
  const lines = file === null ? null : target.sources.lines(file);
  if (lines !== null) return { content: `${lines.join('\n')}\n` };
  throw new BadRequest(file === null ? 'no such source' : `the text of ${file} is not here`);
}

export function loadedSources(target: DapTarget): { readonly sources: DebugProtocol.Source[] } {
  return { sources: target.sources.files.map((file) => sourceOf(target, file)) };
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
  return symbols.lines.filter(({ isCode, file }) => isCode && target.sources.pathOf(file) === path);
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

// Where symbols and source lines are.

import type Long from 'long';
import type { SymbolMap } from '../machine/index.ts';
import type { BreakpointSpec } from './breakpoints.ts';
import { DebugError } from './debug-error.ts';

type PlaceSpec = Extract<BreakpointSpec, { kind: 'address' | 'symbol' | 'line' }>;

/** The linear addresses that a place means. Throws {@link DebugError} if it is nowhere. */
export function addressesOf(spec: PlaceSpec, symbols: SymbolMap): readonly Long[] {
  switch (spec.kind) {
    case 'address':
      return [spec.address];
    case 'symbol':
      return [symbolAddress(spec.symbol, symbols)];
    case 'line':
      return lineAddresses(spec.file, spec.line, symbols);
  }
}

/** The address of `name` or `name+offset`. Throws {@link DebugError} if there is none. */
export function symbolAddress(text: string, symbols: SymbolMap): Long {
  const exact = symbols.addressOf(text);
  if (exact !== null) return exact;
  const [, name = text, offset = '0'] = /^(.*)\+(0x[\da-f]+|\d+)$/i.exec(text) ?? [];
  const base = symbols.addressOf(name);
  if (base !== null) return base.add(Number(offset));
  throw new DebugError(`no symbol named '${name}'`);
}

/**
 * Where the code of a line begins; one address for each stretch of it, as for a macro that is used
 * twice. A line without code stands for the next one that has some.
 */
function lineAddresses(file: string, line: number, symbols: SymbolMap): readonly Long[] {
  const code = symbols.lines.filter((entry) => entry.isCode && isSourceFile(entry.file, file));
  if (code.length === 0) throw new DebugError(`no code comes from a file named '${file}'`);
  const next = Math.min(...code.map((entry) => entry.line).filter((other) => other >= line));
  if (next === Number.POSITIVE_INFINITY) {
    throw new DebugError(`${file} has no code at line ${line} or behind it`);
  }
  const entries = code.filter((entry) => entry.line === next);
  const begins = entries.filter(
    ({ address }) => !entries.some((other) => other.address.add(other.lengthBytes).eq(address)),
  );
  return begins.map(({ address }) => address);
}

/** `lock.asm` also means `guest-programs/lock.asm`. */
export function isSourceFile(known: string, asked: string): boolean {
  return known === asked || known.endsWith(`/${asked}`);
}

/** A line of a source, by the name that the program has for it. */
export interface SourcePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** The line of a source that made the code at an address, or null if none is known. */
export function sourceLineOf(symbols: SymbolMap, address: Long): SourcePlace | null {
  const text = symbols.sourceOf(address);
  if (text === null) return null;
  const colon = text.lastIndexOf(':');
  return { file: text.slice(0, colon), line: Number(text.slice(colon + 1)) };
}

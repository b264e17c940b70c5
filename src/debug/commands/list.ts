// `list`: lines of the source, by the line map or DWARF's line table; where there is none,
// instructions.

import type Long from 'long';
import type { SymbolMap } from '../../machine/index.ts';
import { DebugError } from '../debug-error.ts';
import { isSourceFile, sourceLineOf, symbolAddress } from '../places.ts';
import type { Context } from './command.ts';
import { frameAddress } from './frames.ts';
import { addressOf, countOf } from './parse.ts';
import { disassembly, instructionsAt } from './print.ts';

/** Lines that are shown if it is not told how many. */
const USUAL_COUNT = 10;

/** A line of a source, or an address that none is known for. */
type Place =
  | { readonly kind: 'line'; readonly file: string; readonly line: number }
  | { readonly kind: 'address'; readonly address: Long };

/** Behind what was listed last; around a place, or before (`-`). */
export function list(context: Context, text: string, format: string): readonly string[] {
  const count = format === '' ? USUAL_COUNT : countOf(format);
  const { listed } = context;
  if (listed !== null && (text === '' || text === '-')) {
    const isBack = text === '-';
    if (listed.kind === 'source') {
      const first = isBack ? Math.max(1, listed.first - count) : listed.last + 1;
      const last = isBack ? listed.first - 1 : first + count - 1;
      return sourceLines(context, listed.file, first, last);
    }
    if (!isBack) return codeLines(context, listed.next, count);
  }
  const place = placeOf(context, text === '-' ? '' : text);
  if (place.kind === 'address') return codeLines(context, place.address, count);
  if (context.source(place.file) === null) return withoutSource(context, place, text, count);
  const first = Math.max(1, place.line - Math.floor(count / 2));
  return sourceLines(context, place.file, first, first + count - 1);
}

function placeOf(context: Context, text: string): Place {
  const { session, vcpu } = context;
  const symbols = session.symbolsOf(vcpu);
  const here = frameAddress(context);
  if (/^\d+$/.test(text)) {
    const file = context.listed?.kind === 'source' ? context.listed.file : null;
    const known = file ?? sourceLineOf(symbols, here)?.file;
    if (known !== undefined) return { kind: 'line', file: known, line: countOf(text) };
    throw new DebugError('no source is known for this place; FILE:LINE expected');
  }
  const [, file, line] = /^([^*].*):(\d+)$/.exec(text) ?? [];
  if (file !== undefined) {
    return { kind: 'line', file: knownFile(symbols, file), line: countOf(line) };
  }
  const address = text === '' ? here : addressNamed(context, symbols, text);
  const place = sourceLineOf(symbols, address);
  return place === null ? { kind: 'address', address } : { kind: 'line', ...place };
}

function addressNamed({ session, vcpu }: Context, symbols: SymbolMap, text: string): Long {
  return /^[A-Za-z_.][\w.]*(\+\w+)?$/.test(text) && !text.startsWith('$')
    ? symbolAddress(text, symbols)
    : addressOf(session, vcpu, text);
}

/** `lock.asm` also means `guest-programs/lock.asm`. */
function knownFile({ lines }: SymbolMap, asked: string): string {
  const found = lines.find(({ file }) => isSourceFile(file, asked));
  if (found === undefined) throw new DebugError(`no code comes from a file named '${asked}'`);
  return found.file;
}

function sourceLines(context: Context, file: string, first: number, last: number): string[] {
  const { session, vcpu } = context;
  const lines = context.source(file) ?? [];
  if (first > lines.length || last < 1) {
    const which = last < 1 ? 'no line before line 1' : `${lines.length} lines`;
    throw new DebugError(`${file} has ${which}`);
  }
  const end = Math.min(last, lines.length);
  context.listed = { kind: 'source', file, first, last: end };
  const here = sourceLineOf(session.symbolsOf(vcpu), frameAddress(context));
  return lines.slice(first - 1, end).map((text, i) => {
    const isHere = here?.file === file && here.line === first + i;
    return `${isHere ? '=>' : '  '} ${String(first + i).padEnd(4)} ${text}`.trimEnd();
  });
}

function codeLines(context: Context, from: Long, count: number): string[] {
  const { session, vcpu } = context;
  const last = instructionsAt(session, vcpu, from, count).at(-1);
  const next = last?.address.add(last.bytes.length);
  context.listed = next === undefined ? null : { kind: 'code', next };
  return disassembly(session, vcpu, from, count);
}

/** The line is known, its text is not to be had: the code, if the place was given as an address. */
function withoutSource(
  context: Context,
  { file, line }: Extract<Place, { kind: 'line' }>,
  text: string,
  count: number,
): readonly string[] {
  const note = `${file}:${line}: the source is not here`;
  if (/:\d+$|^\d+$/.test(text)) throw new DebugError(note);
  const { session, vcpu } = context;
  const symbols = session.symbolsOf(vcpu);
  const from = text === '' ? session.vcpu(vcpu).linearRip : addressNamed(context, symbols, text);
  return [note, ...codeLines(context, from, count)];
}

// From a file to statements as text: comments out, split at line ends and semicolons. GNU as
// manual, "Comments" and "Statements". Macros replace text, not tokens; so every character
// remembers where in the file it stands.

import type { SourceText } from '../source.ts';

/** The text of one statement, without comments. */
export interface GasLine {
  readonly text: string;
  /** Offset into the file of the first character. */
  readonly start: number;
  /** Offsets of all characters if they do not follow each other; a macro's parameter is one place. */
  readonly offsets: readonly number[] | null;
}

/** Offset into the file of a character of the line, or of the line's end. */
export function offsetAt({ start, offsets, text }: GasLine, at: number): number {
  if (offsets === null) return start + at;
  return at < text.length ? (offsets[at] ?? start) : (offsets.at(-1) ?? start) + 1;
}

/** The part of a line from a character on. */
export function restOfLine(line: GasLine, from: number): GasLine {
  const offsets = line.offsets === null ? null : line.offsets.slice(from);
  return { text: line.text.slice(from), start: offsetAt(line, from), offsets };
}

/** The statements of a file, empty ones included: a line of the file has at least one. */
export function gasLines({ text }: SourceText): GasLine[] {
  const clean = withoutComments(text);
  const lines: GasLine[] = [];
  let start = 0;
  const end = (at: number) => {
    lines.push({ text: clean.slice(start, at), start, offsets: null });
    start = at + 1;
  };
  for (let at = 0; at < clean.length; at++) {
    const character = clean[at];
    if (character === '"' || character === "'") at = quotedEnd(clean, at) - 1;
    else if (character === '\n' || character === ';') end(at);
  }
  if (start < clean.length) end(clean.length);
  return lines;
}

/** Spaces for every character of a comment. */
function withoutComments(text: string): string {
  const pieces: string[] = [];
  let from = 0;
  const blank = (at: number, end: number) => {
    pieces.push(text.slice(from, at), ' '.repeat(end - at));
    from = end;
    return end - 1;
  };
  let isLineStart = true;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '"' || character === "'") at = quotedEnd(text, at) - 1;
    else if (text.startsWith('/*', at)) {
      const end = text.indexOf('*/', at + 2);
      at = blank(at, end < 0 ? text.length : end + 2);
    } else if (character === '#' || (character === '/' && isLineStart)) {
      const end = text.indexOf('\n', at);
      at = blank(at, end < 0 ? text.length : end);
    }
    if (text[at] === '\n' || !/\s/.test(character)) isLineStart = text[at] === '\n';
  }
  return pieces.join('') + text.slice(from);
}

/** The offset behind a string, or behind a character: `'a`, `'a'`, `'\n`. */
export function quotedEnd(text: string, at: number): number {
  if (text[at] === "'") {
    const end = at + (text[at + 1] === '\\' ? 3 : 2);
    return text[end] === "'" ? end + 1 : end;
  }
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
    else if (text[i] === '\n') return i;
  }
  return text.length;
}

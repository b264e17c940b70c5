// Lines of a screen: text in pieces, each with a style that says what it is, not how it looks.

/** What a piece of text is. How that looks is in paint.ts. */
export type Style =
  | 'plain'
  | 'title'
  /** The title of the pane that keys scroll. */
  | 'focus'
  /** What comes next. */
  | 'current'
  | 'changed'
  | 'dim'
  /** Breakpoints, and VM exits in lanes. */
  | 'mark'
  | 'bad'
  | 'guest'
  | 'host';

export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** A row of the screen, without what is left empty at its end. */
export type Line = readonly Span[];

export const span = (text: string, style: Style = 'plain'): Span => ({ text, style });

export const line = (text: string, style: Style = 'plain'): Line => [span(text, style)];

export const textOf = (row: Line): string => row.map(({ text }) => text).join('');

const TAB_COLUMNS = 8;

/**
 * A text in which each character takes one column: tabs become spaces, and what is no letter, sign
 * or digit of a western script becomes a question mark; so nothing that a guest prints or a source
 * contains can move the cursor.
 */
export function visible(text: string): string {
  let shown = '';
  for (const character of text) {
    if (character === '\t') shown += ' '.repeat(TAB_COLUMNS - (shown.length % TAB_COLUMNS));
    else shown += ONE_COLUMN.test(character) ? character : '?';
  }
  return shown;
}

/** ASCII, Latin, Greek and Cyrillic letters, without controls and combining marks. */
const ONE_COLUMN = /^[ -~\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03c9\u0410-\u044f]$/;

/** The beginning of a line, at most so many columns. */
export function cut(row: Line, columns: number): Line {
  let left = columns;
  const pieces: Span[] = [];
  for (const { text, style } of row) {
    if (left <= 0) break;
    const piece = text.slice(0, left);
    if (piece !== '') pieces.push({ text: piece, style });
    left -= piece.length;
  }
  return pieces;
}

/** The line with spaces up to so many columns, cut where it is longer. */
export function padded(row: Line, columns: number): Line {
  const missing = columns - textOf(row).length;
  if (missing <= 0) return cut(row, columns);
  return [...row, span(' '.repeat(missing))];
}

/** A text in lines of at most so many columns. */
export function wrapped(text: string, columns: number): string[] {
  if (text.length <= columns) return [text];
  const rows: string[] = [];
  for (let at = 0; at < text.length; at += columns) rows.push(text.slice(at, at + columns));
  return rows;
}

// Frames as the control sequences that make them appear: of ECMA-48 and xterm, which every terminal
// that is not dumb understands. Only what has changed is drawn.

import type { Frame } from './layout.ts';
import type { Line, Span, Style } from './styled.ts';

const CSI = '\x1b[';

/** Select Graphic Rendition (ECMA-48): with colours, and by weight alone. */
const LOOKS: Readonly<Record<Style, readonly [colour: string, mono: string]>> = {
  plain: ['0', '0'],
  title: ['0;36', '0'],
  focus: ['0;7', '0;7'],
  current: ['0;1;33', '0;1'],
  changed: ['0;1;32', '0;1'],
  dim: ['0;90', '0'],
  mark: ['0;35', '0;1'],
  bad: ['0;31', '0;1'],
  guest: ['0;32', '0'],
  host: ['0;34', '0'],
};

/** The alternate screen, without wrapping at its edge, and pasted text in brackets. */
export const ENTER = `${CSI}?1049h${CSI}?7l${CSI}?2004h${CSI}0m${CSI}2J`;

/** The terminal as it was. What was drawn goes first: tmux may keep lines of it after a resize. */
export const LEAVE = `${CSI}0m${CSI}2J${CSI}?2004l${CSI}?7h${CSI}?25h${CSI}?1049l`;

/** What takes the screen from one frame to the next; from nothing if there was none. */
export function paint(before: Frame | null, after: Frame, hasColour: boolean): string {
  const isNew = before === null || before.lines.length !== after.lines.length;
  const clear = isNew ? `${CSI}0m${CSI}2J` : '';
  const rows = after.lines.map((row, i) =>
    rowChange(isNew ? [] : before.lines[i], row, i, hasColour),
  );
  const { row, column } = after.cursor;
  const changes = rows.join('');
  // While it draws, the cursor is not seen.
  const shown = changes === '' ? '' : `${CSI}?25l${clear}${changes}${CSI}0m`;
  return `${shown}${place(row, column)}${CSI}?25h`;
}

const place = (row: number, column: number) => `${CSI}${row + 1};${column + 1}H`;

/** A row from where it differs on. */
function rowChange(before: Line, after: Line, row: number, hasColour: boolean): string {
  const [old, now] = [cells(before), cells(after)];
  let same = 0;
  while (same < now.length && same < old.length && isSame(old[same], now[same])) same++;
  if (same === now.length && same === old.length) return '';
  const rest = now.slice(same).map((cell) => cell);
  const erase = old.length > now.length ? `${CSI}0m${CSI}K` : '';
  return place(row, same) + pieces(rest, hasColour) + erase;
}

function isSame(a: Span, b: Span): boolean {
  return a.text === b.text && a.style === b.style;
}

/** One for each column. */
function cells(row: Line): Span[] {
  return row.flatMap(({ text, style }) => Array.from(text, (one) => ({ text: one, style })));
}

function pieces(all: readonly Span[], hasColour: boolean): string {
  let style: Style | null = null;
  let text = '';
  for (const cell of all) {
    if (cell.style !== style) text += `${CSI}${LOOKS[cell.style][hasColour ? 0 : 1]}m`;
    style = cell.style;
    text += cell.text;
  }
  return text;
}

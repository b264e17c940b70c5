// The whole screen: which pane is where, for a terminal of any size. A pure function of what the
// session looks like, what the user has chosen, and how large the terminal is.

import { HELP_LINE, keyTable } from './keys.ts';
import { PANE, type Pane, type PaneInput, type PaneName, type Said, titleLine } from './panes.ts';
import { cut, type Line, line, padded, span, visible } from './styled.ts';
import type { ScreenView } from './view.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What the user has chosen, typed and been told. */
export interface Chosen {
  readonly focus: PaneName;
  /** Only the pane in focus is shown. */
  readonly isZoomed: boolean;
  /** Lines by which the pane in focus is scrolled. */
  readonly scroll: number;
  /** By how many steps the lanes show less time than they do by themselves. */
  readonly finer: number;
  readonly output: readonly Said[];
  readonly text: string;
  /** Characters of it before the cursor. */
  readonly cursor: number;
  readonly isRunning: boolean;
  /** The list of keys is shown instead of panes. */
  readonly isHelp: boolean;
}

export interface Frame {
  /** As many as the terminal has, from the top. */
  readonly lines: readonly Line[];
  /** From 0. */
  readonly cursor: { readonly row: number; readonly column: number };
  /** By how many lines the pane in focus really is scrolled. */
  readonly scrolled: number;
  /** Lines of the pane in focus: a page of scrolling. */
  readonly page: number;
}

const PROMPT = '(vmxlab) ';

/** Below these only the pane in focus is shown. */
const FEW_COLUMNS = 60;
const FEW_ROWS = 16;

/** Columns of the registers, with the rule before them; and from which width on they are there. */
const REGISTER_COLUMNS = 25;
const WITH_REGISTERS = 76;

/** Draw. */
export function frameOf(view: ScreenView, chosen: Chosen, size: Size): Frame {
  const columns = Math.max(1, size.columns);
  const rows = Math.max(1, size.rows);
  const isSmall = columns < FEW_COLUMNS || rows < FEW_ROWS;
  const drawing = new Drawing(view, chosen, columns);
  const fixed = (rows > 2 ? 1 : 0) + 1 + (rows >= FEW_ROWS ? 1 : 0);
  const room = Math.max(0, rows - fixed);
  const isAlone = isSmall || chosen.isZoomed;
  const said = chosen.isHelp || (chosen.focus === 'output' && isAlone) ? 0 : outputRows(room);
  const upper = room - said;
  const body = chosen.isHelp
    ? helpRows(columns, upper)
    : isAlone
      ? drawing.pane(chosen.focus, columns, upper)
      : drawing.all(upper);
  const lines = [
    ...(rows > 2 ? [drawing.status()] : []),
    ...filled(body, upper),
    ...filled(said === 0 ? [] : drawing.pane('output', columns, said), said),
    drawing.commandLine(),
    ...(rows >= FEW_ROWS ? [cut(line(HELP_LINE, 'dim'), columns)] : []),
  ];
  const row = lines.length - (rows >= FEW_ROWS ? 2 : 1);
  const column = drawing.cursorColumn();
  const { scrolled, page } = drawing;
  return { lines: lines.map((one) => cut(one, columns)), cursor: { row, column }, scrolled, page };
}

/** Rows for what was said, its title included. */
function outputRows(room: number): number {
  return room < 4 ? 0 : Math.max(2, Math.floor(room / 5));
}

function filled(lines: readonly Line[], rows: number): Line[] {
  return Array.from({ length: rows }, (_, i) => lines[i] ?? []);
}

/** Columns of the names of keys. */
const HELP_KEYS = 10;

function helpRows(columns: number, rows: number): Line[] {
  const all = keyTable().map(([keys, summary]) => line(`${keys.padEnd(HELP_KEYS)} ${summary}`));
  const half = Math.ceil(all.length / 2);
  const width = Math.max(...all.slice(0, half).map((one) => one[0].text.length)) + 2;
  const pairs = all
    .slice(0, half)
    .map((left, i) => [...padded(left, width), ...(all[half + i] ?? [])]);
  return [titleLine('keys; any key goes on', columns, true), ...pairs].slice(0, rows);
}

class Drawing {
  scrolled = 0;
  page = 1;
  private readonly view: ScreenView;
  private readonly chosen: Chosen;
  private readonly columns: number;

  constructor(view: ScreenView, chosen: Chosen, columns: number) {
    this.view = view;
    this.chosen = chosen;
    this.columns = columns;
  }

  status(): Line {
    const doing = this.chosen.isRunning ? 'running; Ctrl-C stops' : this.view.status;
    return padded(line(` ${visible(doing)}`, 'focus'), this.columns);
  }

  /** Code, exits and lanes above each other, registers beside them. */
  all(rows: number): Line[] {
    const isWide = this.columns >= WITH_REGISTERS;
    const left = isWide ? this.columns - REGISTER_COLUMNS : this.columns;
    const stack = this.stack(left, rows);
    if (!isWide) return stack;
    const beside = this.pane('registers', REGISTER_COLUMNS - 1, rows);
    return filled(stack, rows).map((one, i) => [
      ...padded(one, left),
      span('|', 'title'),
      ...(beside[i] ?? []),
    ]);
  }

  private stack(columns: number, rows: number): Line[] {
    const { view, chosen } = this;
    const lanes = 1 + Math.min(view.lanes.length, Math.max(1, Math.floor(rows / 4)));
    const exits = Math.max(3, Math.floor((rows - lanes) / 4));
    const rest = rows - lanes - exits;
    const hasSource = view.source !== null || chosen.focus === 'source';
    const source = hasSource ? Math.ceil(rest / 2) : 0;
    return [
      ...filled(this.pane('source', columns, source), source),
      ...filled(this.pane('code', columns, rest - source), rest - source),
      ...filled(this.pane('exits', columns, exits), exits),
      ...filled(this.pane('lanes', columns, lanes), lanes),
    ];
  }

  /** A pane with its title, if there is room for both. */
  pane(name: PaneName, columns: number, rows: number): Line[] {
    if (rows < 1) return [];
    const { view, chosen } = this;
    const isFocus = name === chosen.focus;
    const { output, finer } = chosen;
    const room = rows - 1;
    const scroll = isFocus ? chosen.scroll : 0;
    const input: PaneInput = { view, output, columns, rows: room, scroll, finer };
    const pane: Pane = PANE[name](input);
    if (isFocus) {
      this.scrolled = pane.scrolled;
      this.page = Math.max(1, room - 1);
    }
    return [titleLine(pane.title, columns, isFocus), ...pane.rows];
  }

  commandLine(): Line {
    const { text } = this.chosen;
    return [span(PROMPT, 'title'), span(visible(text).slice(this.hidden))];
  }

  cursorColumn(): number {
    const column = PROMPT.length + this.chosen.cursor - this.hidden;
    return Math.min(column, this.columns - 1);
  }

  /** Characters at the beginning of the command that there is no room for. */
  private get hidden(): number {
    return Math.max(0, PROMPT.length + this.chosen.cursor + 1 - this.columns);
  }
}

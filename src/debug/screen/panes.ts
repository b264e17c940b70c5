// The panes of the full-screen view: each makes lines of a view, for a width and a height.

import { laneLine, scaleOf } from './lanes.ts';
import { cut, type Line, line, type Span, span, visible, wrapped } from './styled.ts';
import type { CodeLine, ScreenView } from './view.ts';

/** In the order in which a key goes through them. */
export const PANES = ['source', 'code', 'registers', 'exits', 'lanes', 'output'] as const;

export type PaneName = (typeof PANES)[number];

/** What has been said, oldest first. */
export interface Said {
  readonly text: string;
  readonly isError: boolean;
}

export interface PaneInput {
  readonly view: ScreenView;
  readonly output: readonly Said[];
  readonly columns: number;
  readonly rows: number;
  /** Lines by which the pane is scrolled down, or up if negative, from where it is by itself. */
  readonly scroll: number;
  /** By how many steps the lanes show less time than they do by themselves. */
  readonly finer: number;
}

export interface Pane {
  readonly title: string;
  readonly rows: readonly Line[];
  /** By how many lines it really is scrolled: it ends where its contents end. */
  readonly scrolled: number;
}

/** The part of the pane above what comes next. */
const ABOVE = 1 / 3;

interface Window {
  /** Index of the first line that is shown. */
  readonly first: number;
  readonly scrolled: number;
}

const within = (value: number, last: number) => Math.max(0, Math.min(last, value));

/** What is shown of `count` lines: usually from a line on, and `scroll` lines farther. */
function windowOf(usual: number, count: number, { rows, scroll }: PaneInput): Window {
  const last = Math.max(0, count - rows);
  const base = within(usual, last);
  const first = within(base + scroll, last);
  return { first, scrolled: first - base };
}

/** So that a line is seen, with some above it. */
function windowAround(focus: number, count: number, input: PaneInput): Window {
  return windowOf(focus - Math.floor(input.rows * ABOVE), count, input);
}

function source(input: PaneInput): Pane {
  const { view, columns, rows } = input;
  if (view.source === null) {
    return { title: 'source: none is known for this place', rows: [], scrolled: 0 };
  }
  const { file, lines, line: here, marks } = view.source;
  const { first, scrolled } = windowAround(here - 1, lines.length, input);
  const width = String(lines.length).length;
  const shown = lines.slice(first, first + rows).map((text, i): Line => {
    const number = first + i + 1;
    const isHere = number === here;
    return cut(
      [
        span(isHere ? '=>' : '  ', 'current'),
        span(marks.has(number) ? '*' : ' ', 'mark'),
        span(`${String(number).padStart(width)}  `, 'dim'),
        span(visible(text).trimEnd(), isHere ? 'current' : 'plain'),
      ],
      columns,
    );
  });
  return { title: `source ${visible(file)}:${here}`, rows: shown, scrolled };
}

/** Columns that a symbol takes at most. */
const MOST_SYMBOL = 20;

function code(input: PaneInput): Pane {
  const { view, columns, rows } = input;
  const all = [...view.before, ...view.code];
  const focus = view.before.length;
  const { first, scrolled } = windowAround(focus, all.length, input);
  const shown = all.slice(first, first + rows);
  const addresses = Math.max(...shown.map(({ address }) => address.length), 0);
  const symbols = Math.min(MOST_SYMBOL, Math.max(...shown.map(({ symbol }) => symbol.length), 0));
  const row = (one: CodeLine, i: number): Line => {
    const isHere = first + i === focus;
    const symbol = visible(one.symbol).slice(0, MOST_SYMBOL).padEnd(symbols);
    return cut(
      [
        span(isHere ? '=>' : '  ', 'current'),
        span(one.hasBreakpoint ? '*' : ' ', 'mark'),
        span(`${one.address.padEnd(addresses)} ${symbol}  `, 'dim'),
        span(one.text, isHere ? 'current' : 'plain'),
      ],
      columns,
    );
  };
  const [next] = view.code;
  const title = next === undefined ? 'code: not mapped' : `code ${next.address} ${next.symbol}`;
  return { title: visible(title).trimEnd(), rows: shown.map(row), scrolled };
}

function registers(input: PaneInput): Pane {
  const { view, columns, rows } = input;
  const { first, scrolled } = windowOf(0, view.registers.length, input);
  const chosen = view.registers.slice(first, first + rows);
  const names = Math.max(...chosen.map(({ name }) => name.length), 0);
  const shown = chosen.map(({ name, value, isChanged }) => {
    const style = isChanged ? 'changed' : 'plain';
    return cut(
      [span(isChanged ? '*' : ' ', style), span(`${name.padEnd(names)} ${value}`, style)],
      columns,
    );
  });
  return { title: `${view.vcpuName} ${view.flags}`, rows: shown, scrolled };
}

/** Columns from which on the qualification of exits is shown. */
const WIDE_EXITS = 80;

/** Exits that will come again take at most this part of the pane. */
const FUTURE = 1 / 3;

function exits(input: PaneInput): Pane {
  const { view, columns, rows } = input;
  const { pastCount, isAtExit } = view;
  const future = Math.min(view.exits.length - pastCount, Math.floor(rows * FUTURE));
  const end = pastCount + future;
  const { first, scrolled } = windowOf(end - rows, view.exits.length, input);
  const names = Math.max(...view.exits.map(({ comm }) => comm.length), 0);
  const shown = view.exits.slice(first, first + rows).map((exit, i): Line => {
    const { timeNs, comm, reason, place, qualification } = exit;
    const isHere = isAtExit && first + i === pastCount - 1;
    const style = first + i >= pastCount ? 'dim' : isHere ? 'current' : 'plain';
    const time = (timeNs / 1000).toFixed(3).padStart(12);
    const more = columns < WIDE_EXITS ? '' : `  qualification ${qualification}`;
    const head = isHere ? '=>' : first + i >= pastCount ? ' .' : '  ';
    const who = visible(comm).padEnd(names);
    return cut(
      [
        span(head, 'current'),
        span(`${time} ${who} `, style),
        span(reason.padEnd(18), style === 'plain' ? 'mark' : style),
        span(` ${visible(place)}${more}`, style),
      ],
      columns,
    );
  });
  const ahead = view.exits.length - pastCount;
  const rest = ahead === 0 ? '' : `, ${ahead} ahead (.)`;
  return { title: `VM exits, us${rest}`, rows: shown, scrolled };
}

/** Exits that the lanes show if nobody says how much a column is. */
const USUAL_EXITS = 12;

/** Columns for the name of a pCPU. */
const LANE_NAME = 6;

function lanes(input: PaneInput): Pane {
  const { view, columns, rows, finer } = input;
  const { nowNs } = view;
  const room = Math.max(1, columns - LANE_NAME);
  const perColumn = scaleOf(usualNs(view) / room, finer);
  const from = Math.max(0, Math.ceil(nowNs / perColumn) - room) * perColumn;
  const { first, scrolled } = windowOf(0, view.lanes.length, input);
  const shown = view.lanes.slice(first, first + rows).map((lane, i): Line => {
    const name = String(first + i).padEnd(LANE_NAME - 4);
    return cut([span(`pCPU${name}`, 'dim'), ...laneLine(lane, from, perColumn, room)], columns);
  });
  const unit = perColumn >= 1000 ? `${perColumn / 1000} us` : `${perColumn} ns`;
  const title = `pCPUs, ${unit}/column: = guest - host . idle ~ other`;
  return { title, rows: shown, scrolled };
}

/** The time that lanes show by themselves, in ns: so that the last exits are in it. */
function usualNs({ exits: all, pastCount, nowNs }: ScreenView): number {
  const oldest = all[Math.max(0, pastCount - USUAL_EXITS)];
  return nowNs - (pastCount === 0 || oldest === undefined ? 0 : oldest.timeNs);
}

function output(input: PaneInput): Pane {
  const { output: said, columns, rows } = input;
  const all = said.flatMap(({ text, isError }) =>
    wrapped(visible(text), Math.max(1, columns)).map((row) => line(row, isError ? 'bad' : 'plain')),
  );
  const { first, scrolled } = windowOf(all.length, all.length, input);
  const below = all.length - first - rows;
  const title = below > 0 ? `output, ${below} lines below` : 'output';
  return { title, rows: all.slice(first, first + rows), scrolled };
}

/** What makes each pane. */
export const PANE: Readonly<Record<PaneName, (input: PaneInput) => Pane>> = {
  source,
  code,
  registers,
  exits,
  lanes,
  output,
};

/** The title of a pane: its text in a rule. */
export function titleLine(title: string, columns: number, isFocus: boolean): Line {
  const style = isFocus ? 'focus' : 'title';
  const head: Span[] = [span('-- ', style), span(title, style), span(' ', style)];
  const used = title.length + 4;
  return cut([...head, span('-'.repeat(Math.max(0, columns - used)), style)], columns);
}

// Figures drawn as SVG.

import { chartOfHistograms } from './chart-histogram.ts';
import type { Figure, FigureOf, Mark } from './figure.ts';
import { numberText } from './number-text.ts';
import {
  box,
  colourOf,
  element,
  escapeXml,
  type Frame,
  GRID,
  INK,
  label,
  legend,
  line,
  linearScale,
  type Scale,
  svg,
  textWidth,
  valueAxis,
} from './svg.ts';

const WIDTH = 760;
const FRAME: Frame = { left: 80, right: WIDTH - 20, top: 16, bottom: 270 };

/** A figure as an `svg` element. */
export function drawFigure(figure: Figure): string {
  switch (figure.kind) {
    case 'bars':
    case 'lines':
      return chartOfSeries(figure);
    case 'heat':
      return chartOfHeat(figure);
    case 'tornado':
      return chartOfTornado(figure);
    case 'histogram':
      return chartOfHistograms(figure, FRAME);
  }
}

type SeriesFigure = FigureOf<'bars' | 'lines'>;

function chartOfSeries(figure: SeriesFigure): string {
  const { kind, title, xTitle, yTitle, series } = figure;
  const marks = series.flatMap((one) => one.marks);
  const values = marks.flatMap(({ value, halfWidth, measured, measuredSd }) => [
    ...around(value, halfWidth),
    ...around(measured, measuredSd),
  ]);
  // The length of a bar is what one sees.
  const scale = linearScale(kind === 'bars' ? [0, ...values] : values, FRAME.bottom, FRAME.top);
  const labels = series[0]?.marks.map((mark) => mark.label) ?? [];
  const group = (FRAME.right - FRAME.left) / Math.max(1, labels.length);
  const drawn = series.map((one, i) => {
    const colour = colourOf(i);
    return kind === 'bars'
      ? barsOf(one.marks, scale, group, i, series.length, colour)
      : pathOf(one.marks, scale, group, colour, one.name);
  });
  const names = labels.map((text, i) => {
    return label(text, FRAME.left + group * (i + 0.5), FRAME.bottom + 16);
  });
  const below = FRAME.bottom + 32;
  const hasMeasured = marks.some(({ measured }) => measured !== null);
  const note = hasMeasured ? 'diamonds: measured in reality' : '';
  const entries = series.map(({ name }, i) => ({ name, colour: colourOf(i) }));
  const { markup, height } = legend(entries, FRAME, below + 20);
  const contents = [
    valueAxis(FRAME, scale, yTitle),
    ...drawn,
    ...names,
    label(xTitle, (FRAME.left + FRAME.right) / 2, below),
    ...(note === '' ? [] : [label(note, FRAME.right, below, 'end')]),
    markup,
  ];
  return svg(WIDTH, below + 12 + height, title, contents.join(''));
}

function around(value: number | null, reach: number | null): number[] {
  return value === null ? [] : [value - (reach ?? 0), value + (reach ?? 0)];
}

/** Part of a group that bars fill. */
const FILLED = 0.8;

function barsOf(
  marks: readonly Mark[],
  scale: Scale,
  group: number,
  index: number,
  count: number,
  colour: string,
): string {
  const width = (group * FILLED) / count;
  return marks
    .map((mark, i) => {
      const x = FRAME.left + group * (i + (1 - FILLED) / 2) + width * index;
      const middle = x + width / 2;
      const { value } = mark;
      if (value === null) return measuredMark(mark, middle, scale);
      const [top, bottom] = [scale.at(Math.max(value, 0)), scale.at(Math.min(value, 0))];
      const bar = box(x, top, Math.max(1, width - 1), bottom - top, colour, titleOf(mark));
      return (
        bar + whisker(middle, value, mark.halfWidth, scale) + measuredMark(mark, middle, scale)
      );
    })
    .join('');
}

function pathOf(
  marks: readonly Mark[],
  scale: Scale,
  group: number,
  colour: string,
  name: string,
): string {
  const x = (i: number) => FRAME.left + group * (i + 0.5);
  const points = marks.flatMap(({ value }, i) =>
    value === null
      ? []
      : [`${Math.round(x(i) * 10) / 10},${Math.round(scale.at(value) * 10) / 10}`],
  );
  const path = { points: points.join(' '), fill: 'none', stroke: colour, 'stroke-width': 2 };
  const dots = marks.map((mark, i) => {
    const { value } = mark;
    if (value === null) return measuredMark(mark, x(i), scale);
    const says = element('title', {}, escapeXml(`${name}: ${titleOf(mark)}`));
    const dot = element('circle', { cx: x(i), cy: scale.at(value), r: 3, fill: colour }, says);
    const measured = measuredMark(mark, x(i), scale);
    return dot + whisker(x(i), value, mark.halfWidth, scale) + measured;
  });
  return element('polyline', path) + dots.join('');
}

function titleOf({ label: text, value, halfWidth, measured }: Mark): string {
  const own = `${text}: ${numberText(value ?? Number.NaN)}`;
  const interval = halfWidth === null ? '' : ` ± ${numberText(halfWidth)}`;
  return `${own}${interval}${measured === null ? '' : `, measured ${numberText(measured)}`}`;
}

/** An interval. */
function whisker(x: number, value: number, reach: number | null, scale: Scale): string {
  if (reach === null || reach === 0) return '';
  const [low, high] = [scale.at(value - reach), scale.at(value + reach)];
  return (
    line(x, low, x, high, INK) +
    line(x - 3, low, x + 3, low, INK) +
    line(x - 3, high, x + 3, high, INK)
  );
}

function measuredMark({ measured, measuredSd }: Mark, x: number, scale: Scale): string {
  if (measured === null) return '';
  const y = scale.at(measured);
  const says = element('title', {}, escapeXml(`measured ${numberText(measured)}`));
  const d = `M ${x.toFixed(1)} ${(y - 5).toFixed(1)} l 5 5 l -5 5 l -5 -5 z`;
  const diamond = element('path', { d, fill: '#fff', stroke: '#000' }, says);
  return whisker(x, measured, measuredSd, scale) + diamond;
}

/** Dark to light (the ends and two colours between of viridis). */
const HEAT = [
  [68, 1, 84],
  [49, 104, 142],
  [53, 183, 121],
  [253, 231, 37],
] as const;

/** White on all darker colours, and black on all others, has a contrast of at least 4.5. */
const LIGHT_TEXT_BELOW = 0.44;

function heatColour(part: number): string {
  const place = Math.min(Math.max(part, 0), 1) * (HEAT.length - 1);
  const index = Math.min(Math.floor(place), HEAT.length - 2);
  const mixed = HEAT[index].map((from, i) => {
    return Math.round(from + (HEAT[index + 1][i] - from) * (place - index));
  });
  return `rgb(${mixed.join(',')})`;
}

const CELL_HEIGHT = 30;

function chartOfHeat(figure: FigureOf<'heat'>): string {
  const { title, xTitle, yTitle, valueTitle, x, y, values } = figure;
  const known = values.flat().filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const partOf = (value: number) => (high === low ? 0.5 : (value - low) / (high - low));
  const left = Math.max(60, 34 + Math.max(0, ...y.map(textWidth)));
  const width = (WIDTH - 20 - left) / Math.max(1, x.length);
  const cells = values.flatMap((row, j) =>
    row.map((value, i) => {
      const [at, top] = [left + width * i, FRAME.top + CELL_HEIGHT * j];
      if (value === null) return box(at, top, width - 1, CELL_HEIGHT - 1, GRID, 'no result');
      const says = `${yTitle} ${y[j]}, ${xTitle} ${x[i]}: ${numberText(value)}`;
      const fill = { fill: partOf(value) < LIGHT_TEXT_BELOW ? '#fff' : '#000' };
      return (
        box(at, top, width - 1, CELL_HEIGHT - 1, heatColour(partOf(value)), says) +
        label(numberText(value), at + width / 2, top + CELL_HEIGHT / 2 + 4, 'middle', fill)
      );
    }),
  );
  const bottom = FRAME.top + CELL_HEIGHT * y.length;
  const middle = (FRAME.top + bottom) / 2;
  const contents = [
    ...cells,
    ...y.map((text, j) => label(text, left - 6, FRAME.top + CELL_HEIGHT * (j + 0.5) + 4, 'end')),
    ...x.map((text, i) => label(text, left + width * (i + 0.5), bottom + 16)),
    label(xTitle, (left + WIDTH - 20) / 2, bottom + 34),
    label(yTitle, 14, middle, 'middle', { transform: `rotate(-90 14 ${middle})` }),
    label(valueTitle, WIDTH - 20, bottom + 34, 'end'),
  ];
  return svg(WIDTH, bottom + 46, title, contents.join(''));
}

const ROW_HEIGHT = 26;

function chartOfTornado({ title, xTitle, base, rows }: FigureOf<'tornado'>): string {
  const left = 34 + Math.max(0, ...rows.map(({ name }) => textWidth(name)));
  const all = rows.flatMap(({ ends }) => ends.map(({ value }) => value));
  const scale = linearScale([base, ...all], left, WIDTH - 40);
  const bottom = FRAME.top + ROW_HEIGHT * rows.length;
  const ticks = scale.ticks.map((tick) => {
    const x = scale.at(tick);
    return line(x, FRAME.top, x, bottom, GRID) + label(numberText(tick), x, bottom + 16);
  });
  const bars = rows.flatMap(({ name, ends }, i) => {
    const top = FRAME.top + ROW_HEIGHT * i + 4;
    const parts = ends.map(({ label: text, value }) => {
      const [from, to] = [scale.at(Math.min(base, value)), scale.at(Math.max(base, value))];
      const says = `${name}=${text}: ${numberText(value)}`;
      return box(from, top, to - from, ROW_HEIGHT - 8, colourOf(value < base ? 0 : 1), says);
    });
    return [label(name, left - 8, top + 13, 'end'), ...parts];
  });
  const x = scale.at(base);
  const contents = [
    ...ticks,
    ...bars,
    line(x, FRAME.top, x, bottom, INK),
    label(xTitle, (left + WIDTH) / 2, bottom + 34),
  ];
  return svg(WIDTH, bottom + 46, title, contents.join(''));
}

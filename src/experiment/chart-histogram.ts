// Histograms drawn as steps over a logarithmic axis of counts, as latencies usually are.

import { ln } from './elementary.ts';
import type { FigureOf } from './figure.ts';
import type { Histogram } from './histogram.ts';
import { numberText } from './number-text.ts';
import {
  colourOf,
  element,
  escapeXml,
  type Frame,
  label,
  legend,
  linearScale,
  type Scale,
  svg,
  valueAxis,
} from './svg.ts';

/** Steps that can be told apart; of wider histograms several values are one. */
const MOST_STEPS = 300;

export function chartOfHistograms(figure: FigureOf<'histogram'>, frame: Frame): string {
  const { title, xTitle, series } = figure;
  const known = series.filter(({ histogram }) => histogram.length > 0);
  const low = Math.min(...known.map(({ histogram }) => histogram[0][0]));
  const high = Math.max(...known.map(({ histogram }) => (histogram.at(-1)?.[0] ?? 0) + 1));
  if (known.length === 0) return svg(frame.right + 20, 40, title, label('no values', 60, 24));
  const width = Math.max(1, Math.ceil((high - low) / MOST_STEPS));
  const grouped = series.map(({ name, histogram }) => ({
    name,
    counts: countsBy(histogram, low, high, width),
  }));
  const x = linearScale([low, high], frame.left, frame.right);
  const y = logScale(Math.max(1, ...grouped.flatMap(({ counts }) => counts)), frame);
  const steps = grouped.map(({ name, counts }, i) => {
    const d = stepsOf(counts, low, width, x, y, frame.bottom);
    const says = element('title', {}, escapeXml(name));
    return element('path', { d, fill: 'none', stroke: colourOf(i), 'stroke-width': 1.5 }, says);
  });
  const below = frame.bottom + 32;
  const entries = series.map(({ name }, i) => ({ name, colour: colourOf(i) }));
  const { markup, height } = legend(entries, frame, below + 20);
  const contents = [
    valueAxis(frame, y, width === 1 ? 'count' : `count in ${width}`),
    ...x.ticks.map((tick) => label(numberText(tick), x.at(tick), frame.bottom + 16)),
    ...steps,
    label(xTitle, (frame.left + frame.right) / 2, below),
    markup,
  ];
  return svg(frame.right + 20, below + 12 + height, title, contents.join(''));
}

function countsBy(histogram: Histogram, low: number, high: number, width: number): number[] {
  const counts = Array.from({ length: Math.ceil((high - low) / width) }, () => 0);
  for (const [value, count] of histogram) counts[Math.floor((value - low) / width)] += count;
  return counts;
}

/** From a half, so that a single one can be seen, to the next power of ten; nothing is below. */
function logScale(most: number, { top, bottom }: Frame): Scale {
  const ticks = [1];
  let last = 1;
  while (last < Math.max(most, 10)) {
    last *= 10;
    ticks.push(last);
  }
  const floor = 0.5;
  const span = ln(last / floor);
  const at = (count: number) =>
    count < floor ? bottom : bottom + (ln(count / floor) / span) * (top - bottom);
  return { at, ticks };
}

function stepsOf(
  counts: readonly number[],
  low: number,
  width: number,
  x: Scale,
  y: Scale,
  bottom: number,
): string {
  const points = counts.flatMap((count, i) => {
    const [from, to] = [x.at(low + i * width), x.at(low + (i + 1) * width)];
    return [
      [from, y.at(count)],
      [to, y.at(count)],
    ];
  });
  const start = x.at(low);
  const end = x.at(low + counts.length * width);
  return [[start, bottom], ...points, [end, bottom]]
    .map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${px.toFixed(1)} ${py.toFixed(1)}`)
    .join(' ');
}

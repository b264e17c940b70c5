// Results as one HTML page that needs nothing else: for each workload a bar for everybody, with the
// least and the most; logarithmic, for the interpreter and compiled code are far apart.

import { measuredWorkloads, type Results, rateOf } from './results.ts';
import { digits } from './tables.ts';
import { SIZES, type Size } from './workloads.ts';

/** Told apart by everybody (Okabe and Ito, 2008), and three more. */
const COLOURS = [
  ...['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442', '#8d6a9f'],
  ...['#8c6d31', '#777777'],
];

const LABEL_WIDTH = 150;
const PLOT_WIDTH = 700;
const BAR_HEIGHT = 12;
const GROUP_GAP = 10;
const AXIS_HEIGHT = 24;

/** The page. */
export function chart(results: Results): string {
  const legend = results.peers
    .map(({ title, version }, i) => {
      const swatch = `<b style="background:${COLOURS[i % COLOURS.length]}"></b>`;
      return `<li>${swatch}${escaped(title)}: ${escaped(version)}</li>`;
    })
    .join('\n');
  const { date, machine, node, runs } = results;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vmxlab: speed beside other emulators</title>
<style>
  :root { color-scheme: light dark; --ink: #222; --paper: #fff; }
  @media (prefers-color-scheme: dark) { :root { --ink: #ddd; --paper: #16181b; } }
  body { font: 14px sans-serif; color: var(--ink); background: var(--paper); margin: 2em auto;
    max-width: 72em; padding: 0 1em; }
  figure { margin: 1em 0; overflow-x: auto; }
  svg { display: block; fill: currentColor; }
  text { font: 11px sans-serif; }
  ul { list-style: none; padding: 0; }
  li b { display: inline-block; width: 1em; height: 1em; margin-right: .5em; }
</style>
<h1>Speed beside other emulators</h1>
<p>${escaped(`${date}, ${machine}, Node ${node}; medians of ${runs} runs, least to most.`)}
Millions a second of CPU time.</p>
<ul>
${legend}
</ul>
${SIZES.toReversed()
  .map((size) => sizeChart(results, size))
  .join('')}</html>
`;
}

interface Bar {
  readonly colour: string;
  readonly title: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

function sizeChart(results: Results, size: Size): string {
  const groups = measuredWorkloads(results, size).map(({ name, unit }) => ({
    label: `${name} (${unit})`,
    bars: barsOf(results, name, size),
  }));
  if (groups.length === 0) return '';
  const all = groups.flatMap(({ bars }) => bars);
  const low = Math.floor(Math.log10(Math.min(...all.map(({ least }) => least))));
  const high = Math.ceil(Math.log10(Math.max(...all.map(({ most }) => most))));
  const x = (value: number) =>
    LABEL_WIDTH + (PLOT_WIDTH * (Math.log10(value) - low)) / Math.max(1, high - low);
  let y = AXIS_HEIGHT;
  const drawn = groups.map(({ label, bars }) => {
    const top = y;
    y += bars.length * BAR_HEIGHT + GROUP_GAP;
    const lines = bars.map((bar, i) => barText(bar, x, top + i * BAR_HEIGHT));
    return `<text x="0" y="${top + BAR_HEIGHT}">${escaped(label)}</text>\n${lines.join('')}`;
  });
  const axis = Array.from({ length: high - low + 1 }, (_, i) => {
    const value = 10 ** (low + i);
    const at = x(value).toFixed(1);
    return `<line x1="${at}" x2="${at}" y1="16" y2="${y}" stroke="#88888855"/>
<text x="${at}" y="12" text-anchor="middle">${value}</text>\n`;
  });
  const width = LABEL_WIDTH + PLOT_WIDTH + LABEL_WIDTH;
  return `<h2>${size} bits</h2>
<figure><svg viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img"
aria-label="Speed in ${size} bits">
<title>Speed in ${size} bits</title>
${axis.join('')}${drawn.join('')}</svg></figure>
`;
}

function barsOf(results: Results, workload: string, size: Size): Bar[] {
  return results.peers.flatMap(({ name, title }, i) => {
    const rate = rateOf(results, workload, size, name);
    if (rate === null) return [];
    const [median, least, most] = [rate.median, rate.least, rate.most].map((value) => value / 1e6);
    return [{ colour: COLOURS[i % COLOURS.length], title, median, least, most }];
  });
}

function barText({ colour, title, median, least, most }: Bar, x: (v: number) => number, y: number) {
  const [end, from, to] = [median, least, most].map((value) => x(value).toFixed(1));
  const middle = y + BAR_HEIGHT / 2;
  const width = (Number(end) - LABEL_WIDTH).toFixed(1);
  const text = `${title}: ${digits(median)} (${digits(least)} to ${digits(most)})`;
  return `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT - 2}" \
fill="${colour}"><title>${escaped(text)}</title></rect>
<line x1="${from}" x2="${to}" y1="${middle}" y2="${middle}" stroke="currentColor"/>
<text x="${(Number(to) + 4).toFixed(1)}" y="${y + BAR_HEIGHT - 2}">${digits(median)}</text>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

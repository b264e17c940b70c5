// SVG as text: elements, scales and axes, as far as the figures of reports need them. Everything is
// well-formed XML, so that pages made of it can be read by either kind of parser.

import { numberText } from './number-text.ts';

export type Attributes = Readonly<Record<string, string | number>>;

/** Text between elements. */
export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replace(NOT_IN_XML, '\ufffd');
}

/** Control characters, which XML has no way to say. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NOT_IN_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

/** An element; its contents are markup already. */
export function element(name: string, attributes: Attributes, contents = ''): string {
  const words = Object.entries(attributes).map(([key, value]) => {
    const text = typeof value === 'number' ? coordinate(value) : escapeXml(value);
    return ` ${key}="${text}"`;
  });
  const head = `<${name}${words.join('')}`;
  return contents === '' ? `${head}/>` : `${head}>${contents}</${name}>`;
}

/** Coordinates to a tenth of a pixel. */
function coordinate(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Text at a place; `anchor` is SVG's: start, middle or end. */
export function label(
  text: string,
  x: number,
  y: number,
  anchor: 'start' | 'middle' | 'end' = 'middle',
  more: Attributes = {},
): string {
  return element('text', { x, y, 'text-anchor': anchor, ...more }, escapeXml(text));
}

export function line(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return element('line', { x1, y1, x2, y2, stroke });
}

/** A rectangle that says what it stands for when the pointer is on it. */
export function box(
  x: number,
  y: number,
  width: number,
  height: number,
  fill: string,
  title: string,
): string {
  const says = element('title', {}, escapeXml(title));
  return element('rect', { x, y, width, height, fill }, says);
}

/** Told apart by everybody (Okabe and Ito, 2008). */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442'];

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? '#0072b2';
}

/** Seen on light pages and on dark ones. */
export const GRID = '#88888855';
/** Whatever the text of the page is. */
export const INK = 'currentColor';

/** Values to pixels, and the values that are written beside the axis. */
export interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** About so many ticks. */
const TICKS = 5;

/** A straight scale over values, ends rounded to ticks. */
export function linearScale(values: readonly number[], from: number, to: number): Scale {
  const known = values.filter(Number.isFinite);
  let low = Math.min(...known);
  let high = Math.max(...known);
  if (known.length === 0) [low, high] = [0, 1];
  if (low === high) [low, high] = low === 0 ? [0, 1] : [Math.min(low, 0), Math.max(high, 0)];
  const step = niceStep((high - low) / TICKS);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const at = (value: number) =>
    from + ((value - first * step) / ((last - first) * step)) * (to - from);
  return { at, ticks: ticks.map((tick) => Number(tick.toPrecision(12))) };
}

/** 1, 2 or 5 times a power of ten, not below a width. */
function niceStep(width: number): number {
  const power = Number(`1e${/e([+-]\d+)$/.exec(width.toExponential())?.[1] ?? '0'}`);
  return [1, 2, 5].map((factor) => factor * power).find((step) => step >= width) ?? 10 * power;
}

/** The place of a figure's axes, in pixels. */
export interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Lines across, and their values at the left. */
export function valueAxis(
  { left, right, top, bottom }: Frame,
  scale: Scale,
  title: string,
): string {
  const lines = scale.ticks.map((tick) => {
    const y = scale.at(tick);
    return line(left, y, right, y, GRID) + label(numberText(tick), left - 6, y + 4, 'end');
  });
  const middle = (top + bottom) / 2;
  const turned = { transform: `rotate(-90 14 ${middle})` };
  return lines.join('') + label(title, 14, middle, 'middle', turned);
}

/** Names of colours, below a figure; gives its height as well. */
export function legend(
  entries: readonly { readonly name: string; readonly colour: string }[],
  { left, right }: Frame,
  top: number,
): { readonly markup: string; readonly height: number } {
  if (entries.length < 2) return { markup: '', height: 0 };
  let x = left;
  let y = top;
  const parts = entries.map(({ name, colour }) => {
    const width = 26 + textWidth(name);
    if (x > left && x + width > right) [x, y] = [left, y + 18];
    const part = box(x, y - 9, 10, 10, colour, name) + label(name, x + 15, y, 'start');
    x += width;
    return part;
  });
  return { markup: parts.join(''), height: y - top + 18 };
}

/** Roughly, of the page's small letters. */
export function textWidth(text: string): number {
  return text.length * 6.3;
}

/** A whole figure. */
export function svg(width: number, height: number, title: string, contents: string): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
    width: Math.ceil(width),
    height: Math.ceil(height),
    role: 'img',
    'font-size': 11,
    'font-family': 'system-ui, sans-serif',
    fill: INK,
  };
  return element('svg', attributes, element('title', {}, escapeXml(title)) + contents);
}

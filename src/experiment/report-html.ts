// Reports as a page of HTML that needs nothing else: figures are in it, styles too, scripts there
// are none. It is well-formed XML as well.

import { drawFigure } from './charts.ts';
import { type Report, type Table, type Value, type Verdict, valueText } from './report.ts';
import { verdictWord } from './report-text.ts';
import { element, escapeXml } from './svg.ts';

// Figures and tables wider than the window are scrolled, each by itself: made smaller, their
// letters could not be read on a phone.
const STYLE = `
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --faint: #666; --rule: #ddd;
  --good: #060; --bad: #a00 }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --paper: #16181b; --faint: #aaa;
  --rule: #444; --good: #7c7; --bad: #f88 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60em; margin: 2em auto; padding: 0 1em; overflow-wrap: break-word }
h1 { font-size: 1.6em; line-height: 1.2 }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
th, td { border-bottom: 1px solid var(--rule); padding: 0.2em 0.8em; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.number { white-space: nowrap }
.note, footer { color: var(--faint); font-size: 13px }
.PASS, .pass { color: var(--good) } .MISS { color: var(--bad); font-weight: bold }
figure { margin: 1.5em 0 } figcaption { font-weight: bold }
figure, .table { overflow-x: auto }
svg { display: block }
`;

/** A whole page. */
export function experimentHtml(report: Report, provenance: readonly string[]): string {
  const { title, note, tables, figures, verdicts, problems } = report;
  const body = [
    tag('h1', title),
    ...paragraphs(note),
    ...tables.map(tableMarkup),
    ...verdictMarkup(verdicts),
    ...figures.map((figure) => {
      const caption = tag('figcaption', figure.title);
      return element('figure', {}, caption + drawFigure(figure));
    }),
    ...(problems.length === 0 ? [] : [tag('h2', 'Problems'), list(problems)]),
    element('footer', {}, provenance.map((line) => tag('p', line)).join('')),
  ];
  const head = [
    element('meta', { charset: 'utf-8' }),
    element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
    tag('title', title),
    element('style', {}, STYLE),
  ];
  const attributes = { xmlns: 'http://www.w3.org/1999/xhtml', lang: 'en' };
  const contents = `<head>${head.join('\n')}</head>\n<body>\n${body.join('\n')}\n</body>`;
  return `<!DOCTYPE html>\n${element('html', attributes, contents)}\n`;
}

function tag(name: string, text: string, attributes = {}): string {
  // An element without contents would be `<p/>`, which HTML takes for a start.
  return element(name, attributes, escapeXml(text) || ' ');
}

function paragraphs(text: string): string[] {
  return text
    .split(/\n\s*\n/)
    .filter((part) => part.trim() !== '')
    .map((part) => tag('p', part.trim()));
}

function list(lines: readonly string[]): string {
  return element('ul', {}, lines.map((line) => tag('li', line)).join(''));
}

function tableMarkup({ title, columns, rows, notes }: Table): string {
  const classOf = (value: Value | undefined) =>
    typeof value === 'string' ? {} : { class: 'number' };
  const head = columns.map((column, i) => tag('th', column, classOf(rows[0]?.[i])));
  const body = rows.map((row) => {
    const cells = row.map((value) => tag('td', valueText(value), classOf(value)));
    return element('tr', {}, cells.join(''));
  });
  const parts = [
    element('thead', {}, element('tr', {}, head.join(''))),
    element('tbody', {}, body.join('\n') || ' '),
  ];
  const remarks = notes.map((note) => tag('p', note, { class: 'note' }));
  return [tag('h2', title), scrolled(parts.join('\n')), ...remarks].join('\n');
}

function verdictMarkup(verdicts: readonly Verdict[]): string[] {
  if (verdicts.length === 0) return [];
  const rows = verdicts.map((verdict) => {
    const word = verdictWord(verdict);
    const cells = [
      tag('td', word, verdict.holds === null ? {} : { class: word }),
      tag('td', verdict.claim),
      tag('td', verdict.found),
    ];
    return element('tr', {}, cells.join(''));
  });
  return [tag('h2', 'Claims'), scrolled(element('tbody', {}, rows.join('\n')))];
}

function scrolled(contents: string): string {
  return element('div', { class: 'table' }, element('table', {}, contents));
}

// Reports as a page of HTML that needs nothing else: figures are in it, styles too, scripts there
// are none. It is well-formed XML as well.

import { drawFigure } from './charts.ts';
import { type Report, type Table, type Value, type Verdict, valueText } from './report.ts';
import { verdictWord } from './report-text.ts';
import { element, escapeXml } from './svg.ts';

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60em; margin: 2em auto;
  padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: 0.2em 0.8em; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.note, footer { color: #666; font-size: 13px }
.PASS, .pass { color: #060 } .MISS { color: #a00; font-weight: bold }
figure { margin: 1.5em 0 } figcaption { font-weight: bold }
svg { max-width: 100%; height: auto }
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
    element('meta', { name: 'viewport', content: 'width=device-width' }),
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
  return [tag('h2', title), element('table', {}, parts.join('\n')), ...remarks].join('\n');
}

function verdictMarkup(verdicts: readonly Verdict[]): string[] {
  if (verdicts.length === 0) return [];
  const rows = verdicts.map((verdict) => {
    const word = verdictWord(verdict);
    const cells = [
      tag('td', word, { class: word }),
      tag('td', verdict.claim),
      tag('td', verdict.found),
    ];
    return element('tr', {}, cells.join(''));
  });
  return [tag('h2', 'Claims'), element('table', {}, element('tbody', {}, rows.join('\n')))];
}

// Reports as text: for a terminal, and as Markdown.

import type { Paint } from '../machine/index.ts';
import { NO_PAINT } from '../machine/index.ts';
import { type Report, type Table, type Value, type Verdict, valueText } from './report.ts';

/** Lines for a terminal. */
export function experimentText(report: Report, paint: Paint = NO_PAINT): string[] {
  const { title, tables, verdicts, problems } = report;
  return [
    paint(title, 'bold'),
    ...tables.flatMap((table) => ['', ...tableLines(table, paint)]),
    ...(verdicts.length === 0 ? [] : ['', ...verdicts.map((one) => verdictLine(one, paint))]),
    ...(problems.length === 0 ? [] : ['', ...problems.map((problem) => paint(problem, 'bad'))]),
  ];
}

function tableLines({ title, columns, rows, notes }: Table, paint: Paint): string[] {
  const cells = rows.map((row) => row.map(valueText));
  const widths = columns.map((column, i) => {
    return Math.max(column.length, ...cells.map((row) => row[i].length));
  });
  const line = (words: readonly string[], values: readonly Value[]) =>
    words
      .map((word, i) => (isText(values[i]) ? word.padEnd(widths[i]) : word.padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    paint(title, 'bold'),
    '',
    `  ${paint(line(columns, rows[0] ?? columns), 'bold')}`,
    ...cells.map((row, i) => `  ${line(row, rows[i])}`),
    ...(notes.length === 0 ? [] : ['', ...notes.map((note) => `  ${paint(note, 'dim')}`)]),
  ];
}

function isText(value: Value | undefined): boolean {
  return typeof value === 'string';
}

const VERDICT_PAINT = {
  PASS: 'good',
  pass: 'good',
  MISS: 'bad',
  miss: 'dim',
  '----': 'dim',
} as const;

/** In small letters what is wanted but not required; without any what was not judged. */
export function verdictWord({ holds, isOptional }: Verdict): keyof typeof VERDICT_PAINT {
  if (holds === null) return '----';
  if (holds) return isOptional ? 'pass' : 'PASS';
  return isOptional ? 'miss' : 'MISS';
}

function verdictLine(verdict: Verdict, paint: Paint): string {
  const word = verdictWord(verdict);
  return `${paint(word, VERDICT_PAINT[word])} ${verdict.claim}: ${verdict.found}`;
}

/** A page of Markdown. */
export function experimentMarkdown(report: Report, provenance: readonly string[]): string {
  const { title, note, tables, verdicts, problems } = report;
  const blocks = [
    `# ${markup(title)}`,
    ...(note === '' ? [] : [note.trim()]),
    ...tables.flatMap(markdownTable),
    ...(verdicts.length === 0 ? [] : ['## Claims', ...markdownVerdicts(verdicts)]),
    ...(problems.length === 0
      ? []
      : ['## Problems', problems.map((line) => `- ${markup(line)}`).join('\n')]),
    provenance.map((line) => `    ${line}`).join('\n'),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function markdownTable({ title, columns, rows, notes }: Table): string[] {
  const line = (words: readonly string[]) => `| ${words.map(markup).join(' | ')} |`;
  const rule = columns.map((_, i) => (isText(rows[0]?.[i]) ? '---' : '---:'));
  const lines = [line(columns), `| ${rule.join(' | ')} |`];
  const body = rows.map((row) => line(row.map(valueText)));
  return [`## ${markup(title)}`, [...lines, ...body].join('\n'), ...notes.map(markup)];
}

function markdownVerdicts(verdicts: readonly Verdict[]): string[] {
  const rows = verdicts.map((verdict) => {
    const words = [verdictWord(verdict), verdict.claim, verdict.found];
    return `| ${words.map(markup).join(' | ')} |`;
  });
  return [['| | claim | found |', '| --- | --- | --- |', ...rows].join('\n')];
}

/** What would be a cell border, or markup. */
function markup(text: string): string {
  return text.replace(/[|<>*`\\]/g, '\\$&').replaceAll('\n', ' ');
}

// Results as Markdown.

import { promiseTable } from './promises.ts';
import { measuredWorkloads, type Results, rateOf, ratioOf } from './results.ts';
import type { Figures } from './statistics.ts';
import { SIZES, type Size } from './workloads.ts';

/** Our compiled engine, which others are compared with. */
const SUBJECT = 'compiled';

export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)];
}

/** Everything, one section for each size. */
export function resultText(results: Results): string[] {
  return [
    `${results.date}, ${results.machine}, Node ${results.node}; medians of ${results.runs} runs ` +
      'in turn (least to most).',
    '',
    ...results.peers.map(({ title, version }) => `- ${title}: ${version}`),
    ...SIZES.toReversed().flatMap((size) => sizeText(results, size)),
    ...startUpText(results),
    ...contendedText(results),
    ...promiseTable(results),
  ];
}

function sizeText(results: Results, size: Size): string[] {
  const workloads = measuredWorkloads(results, size);
  if (workloads.length === 0) return [];
  const peers = results.peers.filter(({ name }) =>
    results.measurements.some((one) => one.size === size && one.peer === name),
  );
  const others = peers.filter(({ name }) => name !== SUBJECT);
  const rates = workloads.map(({ name, unit, summary }) => [
    `${name} (${summary})`,
    unit,
    ...peers.map((peer) => rateText(rateOf(results, name, size, peer.name))),
  ]);
  const quotients = workloads.map(({ name }) => [
    name,
    ...others.map((peer) => ratioText(ratioOf(results, name, size, [SUBJECT, peer.name]))),
  ]);
  const hasSubject = others.length < peers.length;
  return [
    '',
    `${size} bits, millions a second of CPU time:`,
    '',
    ...table(['workload', 'of', ...peers.map(({ title }) => title)], rates),
    ...(hasSubject && others.length > 0
      ? [
          '',
          `${size} bits, how many times as fast our compiled engine is:`,
          '',
          ...table(['workload', ...others.map(({ title }) => `to ${title}`)], quotients),
        ]
      : []),
  ];
}

function startUpText({ startUp }: Results): string[] {
  if (startUp.length === 0) return [];
  const rows = startUp.map(({ name, milliseconds, mebibytes }) => {
    const [median, least, most] = [milliseconds.median, milliseconds.least, milliseconds.most].map(
      (value) => value.toFixed(0),
    );
    return [name, `${median} (${least} to ${most})`, mebibytes.toFixed(0)];
  });
  const titles = ['command', 'ms by the clock on the wall', 'MiB at most'];
  return ['', 'From start to end of the process:', '', ...table(titles, rows)];
}

function contendedText({ contended = [] }: Results): string[] {
  if (contended.length === 0) return [];
  const rows = contended.map((each) => {
    const { lock, secondsPerSecond, lockOperations, executedInstructions, skippedCycles } = each;
    const counts = [lockOperations, executedInstructions].map((count) => digits(count / 1e6));
    const { delays, waits, idle } = skippedCycles;
    const skipped = [delays, waits, idle].map((cycles) => digits(cycles / 1e9));
    return [lock, ratioText(secondsPerSecond), ...counts, ...skipped];
  });
  const skipped = ['delays', 'waits', 'idle'].map((rule) => `skipped: ${rule}, 10^9 cycles`);
  const counts = ['million lock operations', 'million instructions executed'];
  return [
    '',
    'Two guests of 28 vCPUs that compile on the same 28 pCPUs (x2), for each second of virtual time:',
    '',
    ...table(['lock', 'CPU seconds', ...counts, ...skipped], rows),
  ];
}

function rateText(rate: Figures | null): string {
  if (rate === null) return '';
  const [median, least, most] = [rate.median, rate.least, rate.most].map((value) =>
    digits(value / 1e6),
  );
  return `${median} (${least} to ${most})`;
}

export function ratioText(ratio: Figures | null): string {
  if (ratio === null) return '';
  return `${digits(ratio.median)} (${digits(ratio.least)} to ${digits(ratio.most)})`;
}

/** Three digits that say something. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

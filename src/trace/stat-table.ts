// The table of `perf kvm stat report` (Linux tools/perf/builtin-kvm.c, print_result) and the lines
// of `kvm_stat --once` (tools/kvm/kvm_stat/kvm_stat, batch).

import type { StatEvent, StatRow } from './kvm-stat.ts';

const TITLES: Readonly<Record<StatEvent, string>> = {
  vmexit: 'VM-EXIT',
  mmio: 'MMIO Access',
  ioport: 'IO Port Access',
  msr: 'MSR Access',
};

export interface StatTableOptions {
  readonly event: StatEvent;
  /** The vCPU that the table is about, or null for all. */
  readonly vcpu: number | null;
  /** Paints the titles. */
  readonly paint?: (titles: string) => string;
}

/** The lines of the table. */
export function statTable(
  rows: readonly StatRow[],
  { event, vcpu, paint = (titles) => titles }: StatTableOptions,
): string[] {
  const samples = rows.reduce((sum, { count }) => sum + count, 0);
  const totalNs = rows.reduce((sum, row) => sum + row.totalNs, 0);
  const error = (row: StatRow) => row.meanErrorPercent.toFixed(2).padStart(7);
  const line = (row: StatRow) =>
    [
      row.name.padStart(20),
      String(row.count).padStart(10),
      percent(row.count, samples),
      percent(row.totalNs, totalNs),
      `${microseconds(row.minNs).padStart(9)}us`,
      `${microseconds(row.maxNs).padStart(9)}us`,
      `${microseconds(row.meanNs).padStart(9)}us ( +-${error(row)}% )`,
    ].join(' ');
  const titles = [
    TITLES[event].padStart(20),
    'Samples'.padStart(10),
    'Samples%'.padStart(9),
    'Time%'.padStart(9),
    'Min Time'.padStart(11),
    'Max Time'.padStart(11),
    'Avg time'.padStart(16),
  ];
  return [
    `Analyze events for all VMs, ${vcpu === null ? 'all VCPUs' : `VCPU ${vcpu}`}:`,
    '',
    paint(titles.join(' ')),
    '',
    ...rows.map(line),
    '',
    `Total Samples:${samples}, Total events handled time:${microseconds(totalNs)}us.`,
    '',
  ];
}

/** Counts by name. */
export function counterTable(
  counts: readonly (readonly [name: string, count: number])[],
): string[] {
  return counts.map(([name, count]) => name.padEnd(42) + String(count).padStart(10));
}

function percent(part: number, whole: number): string {
  return `${(whole === 0 ? 0 : (100 * part) / whole).toFixed(2).padStart(8)}%`;
}

function microseconds(ns: number): string {
  return (ns / 1000).toFixed(2);
}

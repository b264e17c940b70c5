// Counts by whole numbers: latencies by microsecond, waits by nanosecond. Reads what guests and
// cyclictest print, and writes what cyclictest -h does (rt-tests, src/cyclictest/cyclictest.c).

/** How often each value came: in order of value, each once, counts above 0. */
export type Histogram = readonly (readonly [value: number, count: number])[];

/** A histogram of counts by index. */
export function histogramOfCounts(counts: readonly number[]): Histogram {
  return counts.flatMap((count, value) => (count > 0 ? [[value, count] as const] : []));
}

/** The histogram in lines `VALUE COUNT`, or null if it is none; lines with # are passed over. */
export function readHistogram(text: string): Histogram | null {
  const counts = new Map<number, number>();
  for (const line of text.split('\n')) {
    const plain = line.trim();
    if (plain === '' || plain.startsWith('#')) continue;
    const words = /^(\d{1,15})\s+(\d{1,15})$/.exec(plain);
    if (words === null) return null;
    const value = Number(words[1]);
    counts.set(value, (counts.get(value) ?? 0) + Number(words[2]));
  }
  return ordered(counts);
}

/** All values of several histograms. */
export function pooled(histograms: readonly Histogram[]): Histogram {
  const counts = new Map<number, number>();
  for (const [value, count] of histograms.flat()) {
    counts.set(value, (counts.get(value) ?? 0) + count);
  }
  return ordered(counts);
}

function ordered(counts: ReadonlyMap<number, number>): Histogram {
  return [...counts].filter(([, count]) => count > 0).sort(([a], [b]) => a - b);
}

export function totalOf(histogram: Histogram): number {
  return histogram.reduce((sum, [, count]) => sum + count, 0);
}

/** NaN of an empty histogram. */
export function histogramMean(histogram: Histogram): number {
  return histogram.reduce((sum, [value, count]) => sum + value * count, 0) / totalOf(histogram);
}

/** The least value below or at which such a part of all lies. NaN of an empty histogram. */
export function histogramQuantile(histogram: Histogram, part: number): number {
  const wanted = totalOf(histogram) * part;
  let seen = 0;
  for (const [value, count] of histogram) {
    seen += count;
    if (seen >= wanted) return value;
  }
  return Number.NaN;
}

/** Counts from 0 to the largest value. */
export function countsOf(histogram: Histogram): number[] {
  const counts: number[] = Array.from({ length: (histogram.at(-1)?.[0] ?? -1) + 1 }, () => 0);
  for (const [value, count] of histogram) counts[value] = count;
  return counts;
}

/** Columns of the file are threads. */
export interface CyclictestColumn {
  readonly name: string;
  readonly histogram: Histogram;
}

/**
 * The file that `cyclictest -h BINS` writes: a line for each bin below BINS with a column for each
 * thread, and the sums behind it; values from BINS on are overflows.
 */
export function cyclictestText(columns: readonly CyclictestColumn[], bins: number): string {
  const counts = columns.map(({ histogram }) => new Map(histogram));
  const six = (value: number) => String(Math.trunc(value)).padStart(6, '0');
  const lines = Array.from({ length: bins }, (_, bin) => {
    return `${six(bin)} ${counts.map((column) => six(column.get(bin) ?? 0)).join('\t')}`;
  });
  const each = (digits: number, of: (histogram: Histogram) => number) =>
    columns
      .map(({ histogram }) => String(Math.trunc(of(histogram) || 0)).padStart(digits, '0'))
      .join(' ');
  const overflows = (histogram: Histogram) => totalOf(histogram.filter(([value]) => value >= bins));
  return [
    '# Histogram',
    ...lines,
    `# Total: ${each(9, (histogram) => totalOf(histogram) - overflows(histogram))}`,
    `# Min Latencies: ${each(5, (histogram) => histogram[0]?.[0] ?? 0)}`,
    `# Avg Latencies: ${each(5, histogramMean)}`,
    `# Max Latencies: ${each(5, (histogram) => histogram.at(-1)?.[0] ?? 0)}`,
    `# Histogram Overflows: ${each(5, overflows)}`,
    '# Histogram Overflow at cycle number:',
    ...columns.map(({ name }, i) => `# Thread ${i}: ${name}`),
    '',
  ].join('\n');
}

// What several measurements of one thing amount to.

export interface Figures {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Throws if there are none. */
export function figures(values: readonly number[]): Figures {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  return { median: median(sorted), least: sorted[0], most: sorted[sorted.length - 1] };
}

/** Of values in order. */
function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Quotients of measurements that were taken one after the other. */
export function ratios(above: readonly number[], below: readonly number[]): Figures {
  return figures(above.map((value, i) => value / below[i]));
}

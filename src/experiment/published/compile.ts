// A kernel compile as the sum of three parts, of which one is simulated: T = I + k S + 4 P / R.
// While the disk is waited for (I) nobody computes; the serial part (S) is one thread that shares
// its pCPU with k - 1 others; the parallel part is so much work (4 P for 4 pCPUs), done at a rate R
// of useful computing by all vCPUs, in pCPUs, which is what the stationary run measures.

import type { Results } from '../results.ts';
import type { Cell } from '../study.ts';

/** Parts of a compile, in seconds on a host without competition. */
export interface CompileParts {
  readonly idle: number;
  readonly serial: number;
  readonly parallel: number;
  /** pCPUs on which `parallel` was that long. */
  readonly pcpus: number;
}

/** Seconds of a compile. */
export function compileSeconds(
  { idle, serial, parallel, pcpus }: CompileParts,
  threadsPerPcpu: number,
  rate: number,
): number {
  return idle + threadsPerPcpu * serial + (pcpus * parallel) / rate;
}

/** A measured time that a lock without waste and fair sharing explain. */
export interface FluidTime {
  readonly seconds: number;
  /** Threads on the pCPU of a lone vCPU. */
  readonly threadsPerPcpu: number;
  /** How many times as long the parallel part takes. */
  readonly load: number;
}

/**
 * The parts that explain three times: I + k S + load P = T, solved exactly. Throws if they do not
 * say enough.
 */
export function partsOf(
  times: readonly [FluidTime, FluidTime, FluidTime],
  pcpus: number,
): CompileParts {
  const [a, b, c] = times;
  // The first equation taken from the others leaves two unknowns.
  const row = ({ seconds, threadsPerPcpu, load }: FluidTime) =>
    [threadsPerPcpu - a.threadsPerPcpu, load - a.load, seconds - a.seconds] as const;
  const [k1, l1, t1] = row(b);
  const [k2, l2, t2] = row(c);
  const determinant = k1 * l2 - k2 * l1;
  if (determinant === 0) throw new RangeError('the times do not tell the parts apart');
  const serial = (t1 * l2 - t2 * l1) / determinant;
  const parallel = (k1 * t2 - k2 * t1) / determinant;
  const idle = a.seconds - a.threadsPerPcpu * serial - a.load * parallel;
  return { idle, serial, parallel, pcpus };
}

/** Results with the time of a compile in each run, in seconds, out of the rate that it gives. */
export function withCompileTime(
  results: Results,
  parts: CompileParts,
  threadsPerPcpu: (cell: Cell) => number,
): Results {
  const output = {
    name: 'time',
    title: 'time of a compile',
    unit: 's',
    kind: 'number',
    better: 'lower',
    expression: null,
  } as const;
  return results.withOutput(output, ({ cell, numbers }) => {
    const { rate } = numbers;
    return rate > 0 ? compileSeconds(parts, threadsPerPcpu(cell), rate) : null;
  });
}

// One workload in one size, by everybody who can run it: rounds that take about as long for each,
// then runs in turn, so that what else happens on the machine happens to all.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { timed } from './child.ts';
import { imageOf } from './images.ts';
import type { Peer } from './peer.ts';
import { figures } from './statistics.ts';
import type { Size, Workload } from './workloads.ts';

export interface Plan {
  readonly runs: number;
  /** What a run is to take beside the start, in seconds of CPU time. */
  readonly seconds: number;
}

export interface Measurement {
  readonly workload: string;
  readonly size: Size;
  readonly peer: string;
  readonly rounds: number;
  /** Units of the workload a second of CPU time, one for each run; the start is taken off. */
  readonly rates: readonly number[];
  /** CPU time of a single round, in seconds: mostly the start. */
  readonly startSeconds: number;
}

const RESULT = /(?:^|[^0-9a-f])([0-9a-f]{8})\r?\n/;

/** Seconds of CPU time, and the result that the program printed. */
function run(peer: Peer, workload: Workload, size: Size, rounds: number) {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-bench-'));
  try {
    const image = imageOf(workload, size, rounds);
    const { cpuSeconds, output } = timed(peer.command({ workload, size, image, folder }));
    const result = RESULT.exec(output)?.[1];
    if (result === undefined) {
      throw new Error(`${workload.name} under ${peer.title} has no result: ${output.slice(-500)}`);
    }
    return { cpuSeconds, result };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Rounds that take about as long as planned. */
function calibrate(peer: Peer, workload: Workload, size: Size, seconds: number): number {
  const start = run(peer, workload, size, 1).cpuSeconds;
  let rounds = Math.max(2, Math.ceil(FIRST_UNITS / workload.unitsPerRound));
  for (;;) {
    const taken = run(peer, workload, size, rounds).cpuSeconds - start;
    const factor = Math.min(MOST_GROWTH, seconds / Math.max(taken, 0.001));
    if (taken >= seconds * ENOUGH) return Math.max(2, Math.round(rounds * factor));
    rounds = Math.min(MOST_ROUNDS, Math.ceil(rounds * Math.max(factor, 2)));
    if (rounds === MOST_ROUNDS) return rounds;
  }
}

/** What the slowest does in a fraction of a second. */
const FIRST_UNITS = 200_000;
const MOST_GROWTH = 30;
/** Of the planned time, for a measurement to tell how many rounds fill it. */
const ENOUGH = 0.3;
const MOST_ROUNDS = 2 ** 32 - 1;

/** Measure a workload by all peers, of which each can run it. */
export function measure(
  workload: Workload,
  size: Size,
  peers: readonly Peer[],
  { runs, seconds }: Plan,
): Measurement[] {
  const subjects = peers.map((peer) => {
    const rounds = calibrate(peer, workload, size, seconds);
    return { peer, rounds, starts: [] as number[], totals: [] as number[] };
  });
  for (let i = 0; i < runs; i++) {
    for (const { peer, rounds, starts, totals } of subjects) {
      starts.push(run(peer, workload, size, 1).cpuSeconds);
      totals.push(run(peer, workload, size, rounds).cpuSeconds);
    }
  }
  return subjects.map(({ peer, rounds, starts, totals }) => {
    const startSeconds = figures(starts).median;
    const units = (rounds - 1) * workload.unitsPerRound;
    const rates = totals.map((total) => units / (total - startSeconds));
    return { workload: workload.name, size, peer: peer.name, rounds, rates, startSeconds };
  });
}

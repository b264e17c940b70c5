// One workload in one size, by everybody who can run it: rounds that take about as long for each,
// then runs in turn, so that what else happens on the machine happens to all.

import { timed } from './child.ts';
import { inFolder } from './folder.ts';
import { imageOf } from './images.ts';
import type { Peer } from './peer.ts';
import { figures } from './statistics.ts';
import type { Size, Workload } from './workloads.ts';

export interface Plan {
  readonly runs: number;
  /** What a run is to take beside the start, in seconds of CPU time. */
  readonly seconds: number;
}

/** Throws if not everybody computes the same. */
function assertSameResult(workload: Workload, size: Size, peers: readonly Peer[]): void {
  const results = peers.map((peer) => run(peer, workload, size, 2).result);
  if (new Set(results).size <= 1) return;
  const said = peers.map(({ title }, i) => `${title} ${results[i]}`).join(', ');
  throw new Error(`${workload.name} of ${size} bits: ${said}`);
}

export interface Measurement {
  readonly workload: string;
  readonly size: Size;
  readonly peer: string;
  readonly rounds: number;
  /** Units of the workload a second of CPU time, one for each run; the start is taken off. */
  readonly rates: readonly number[];
  /** CPU time of what is taken off, in seconds: of a single round it is mostly the start. */
  readonly startSeconds: number;
}

const RESULT = /(?:^|[^0-9a-f])([0-9a-f]{8})\r?\n/;

/** Seconds of CPU time, and the result that the program printed. */
function run(peer: Peer, workload: Workload, size: Size, rounds: number) {
  return inFolder((folder) => {
    const image = imageOf(workload, size, rounds);
    const { cpuSeconds, output } = timed(peer.command({ workload, size, image, folder }));
    const result = RESULT.exec(output)?.[1];
    if (result === undefined) {
      throw new Error(`${workload.name} under ${peer.title} has no result: ${output.slice(-500)}`);
    }
    return { cpuSeconds, result };
  });
}

/** Rounds that take about as long as planned, twice in turn: a single look may be disturbed. */
function calibrate(peer: Peer, workload: Workload, size: Size, seconds: number): number {
  const start = run(peer, workload, size, 1).cpuSeconds;
  let rounds = Math.max(2, Math.ceil(FIRST_UNITS[workload.kind] / workload.unitsPerRound));
  let fits = 0;
  for (let attempt = 0; fits < 2 && attempt < MOST_ATTEMPTS; attempt++) {
    const taken = run(peer, workload, size, rounds).cpuSeconds - start;
    const factor = Math.min(MOST_GROWTH, seconds / Math.max(taken, SHORTEST_SECONDS));
    fits = Math.abs(Math.log2(factor)) < 1 ? fits + 1 : 0;
    if (fits === 0) rounds = Math.max(2, Math.min(MOST_ROUNDS, Math.ceil(rounds * factor)));
  }
  return rounds;
}

/** What the slowest does in a fraction of a second. */
const FIRST_UNITS = { compute: 200_000, string: 200_000, exit: 20_000, multi: 400 } as const;
const SHORTEST_SECONDS = 0.001;
const MOST_GROWTH = 30;
const MOST_ATTEMPTS = 10;
const MOST_ROUNDS = 2 ** 32 - 1;

/** Where much of our JavaScript is at work, V8 takes a while to compile it, which is no start. */
const LONGER = { compute: 1, string: 1, exit: 4, multi: 2 } as const;

/** So many times as long as the run that is taken off is the other one. */
const STEADY = 4;

/** Measure a workload by all peers, of which each can run it. */
export function measure(
  workload: Workload,
  size: Size,
  peers: readonly Peer[],
  plan: Plan,
): Measurement[] {
  const { runs } = plan;
  const seconds = plan.seconds * LONGER[workload.kind];
  assertSameResult(workload, size, peers);
  const subjects = peers.map((peer) => {
    const rounds = calibrate(peer, workload, size, seconds * (peer.warmUp ?? 1));
    const first = workload.isSteady === true ? Math.ceil(rounds / STEADY) : 1;
    return { peer, rounds, first, starts: [] as number[], totals: [] as number[] };
  });
  for (let i = 0; i < runs; i++) {
    for (const { peer, rounds, first, starts, totals } of subjects) {
      starts.push(run(peer, workload, size, first).cpuSeconds);
      totals.push(run(peer, workload, size, rounds).cpuSeconds);
    }
  }
  return subjects.map(({ peer, rounds, first, starts, totals }) => {
    const startSeconds = figures(starts).median;
    const units = (rounds - first) * workload.unitsPerRound;
    const rates = totals.map((total) => units / (total - startSeconds));
    return { workload: workload.name, size, peer: peer.name, rounds, rates, startSeconds };
  });
}

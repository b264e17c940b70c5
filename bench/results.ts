// Everything that a run of the benchmarks found, as one plain document, and questions to it.

import type { ContendedCosts } from './contended.ts';
import type { DebuggingCosts } from './debugging-runs.ts';
import type { Measurement } from './measure.ts';
import type { StartUp } from './start-up.ts';
import { type Figures, figures, ratios } from './statistics.ts';
import { type Size, WORKLOADS, type Workload } from './workloads.ts';

export interface PeerResult {
  readonly name: string;
  readonly title: string;
  /** As it says itself, or why it is not there. */
  readonly version: string;
  readonly isPresent: boolean;
}

export interface Results {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly runs: number;
  readonly peers: readonly PeerResult[];
  readonly measurements: readonly Measurement[];
  /** Empty if only a part was measured. */
  readonly startUp: readonly StartUp[];
  /** Not there if only a part was measured. */
  readonly debugging?: DebuggingCosts;
  readonly contended?: readonly ContendedCosts[];
}

export function find(
  { measurements }: Results,
  workload: string,
  size: Size,
  peer: string,
): Measurement | undefined {
  return measurements.find(
    (one) => one.workload === workload && one.size === size && one.peer === peer,
  );
}

/** Units a second, or null if it was not measured. */
export function rateOf(
  results: Results,
  workload: string,
  size: Size,
  peer: string,
): Figures | null {
  const found = find(results, workload, size, peer);
  return found === undefined ? null : figures(found.rates);
}

/** How much faster one was than another, run by run, or null if not both were measured. */
export function ratioOf(
  results: Results,
  workload: string,
  size: Size,
  [above, below]: readonly [string, string],
): Figures | null {
  const [over, under] = [above, below].map((peer) => find(results, workload, size, peer));
  return over === undefined || under === undefined ? null : ratios(over.rates, under.rates);
}

/** Workloads of which there is something, in the order of their table. */
export function measuredWorkloads(results: Results, size: Size): readonly Workload[] {
  return WORKLOADS.filter(({ name }) =>
    results.measurements.some((one) => one.workload === name && one.size === size),
  );
}

/**
 * With the workloads of an earlier run that this one did not measure in the same size: what is
 * compared was measured in turn.
 */
export function joined(results: Results, earlier: Results): Results {
  const isNew = ({ workload, size }: Measurement) =>
    !results.measurements.some((one) => one.workload === workload && one.size === size);
  const others = earlier.peers.filter(
    ({ name }) => !results.peers.some((peer) => peer.name === name),
  );
  const debugging = results.debugging ?? earlier.debugging;
  const contended = results.contended ?? earlier.contended;
  return {
    ...results,
    ...(debugging === undefined ? {} : { debugging }),
    ...(contended === undefined ? {} : { contended }),
    runs: Math.min(results.runs, earlier.runs),
    peers: [...results.peers, ...others],
    startUp: results.startUp.length > 0 ? results.startUp : earlier.startUp,
    measurements: [...results.measurements, ...earlier.measurements.filter(isNew)],
  };
}

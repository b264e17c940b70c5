// CFS's arithmetic once more, independent of src/host: Linux's own tables of weights and inverses
// (kernel/sched/core.c) and __calc_delta step by step as kvm-host.md 8.1 tells it, in BigInt.

/** sched_prio_to_weight, nice -20 to 19. */
export const WEIGHTS: readonly number[] = [
  ...[88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916],
  ...[9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277],
  ...[1024, 820, 655, 526, 423, 335, 272, 215, 172, 137],
  ...[110, 87, 70, 56, 45, 36, 29, 23, 18, 15],
];

/** sched_prio_to_wmult. */
const INVERSES: readonly number[] = [
  ...[48388, 59856, 76040, 92818, 118348, 147320, 184698, 229616, 287308, 360437],
  ...[449829, 563644, 704093, 875809, 1099582, 1376151, 1717300, 2157191, 2708050, 3363326],
  ...[4194304, 5237765, 6557202, 8165337, 10153587, 12820798, 15790321, 19976592, 24970740],
  ...[31350126, 39045157, 49367440, 61356676, 76695844, 95443717, 119304647, 148102320],
  ...[186737708, 238609294, 286331153],
];

export const NICE_LEVELS: readonly number[] = WEIGHTS.map((_, i) => i - 20);

export function weight(nice: number): number {
  return WEIGHTS[nice + 20];
}

/** fls: the number of the highest set bit, from 1; 0 for none. */
function highestBit(value: bigint): bigint {
  let bits = 0n;
  for (let rest = value; rest > 0n; rest >>= 1n) bits++;
  return bits;
}

function calcDelta(delta: number, factor: number, inverse: bigint): number {
  let shift = 32n;
  let fact = BigInt(factor);
  const shiftDown = () => {
    const excess = highestBit(fact >> 32n);
    fact >>= excess;
    shift -= excess;
  };
  shiftDown();
  fact *= inverse;
  shiftDown();
  return Number((BigInt(delta) * fact) >> shift);
}

/** What `delta` ns of running add to a thread's virtual run time. */
export function vruntime(delta: number, nice: number): number {
  return nice === 0 ? delta : calcDelta(delta, 1024, BigInt(INVERSES[nice + 20]));
}

export interface Tunables {
  readonly latencyNs: number;
  readonly minGranularityNs: number;
  readonly nrLatency: number;
}

/** sched_slice for one of the threads on a queue, given the nice levels of all. */
export function slice(nice: number, all: readonly number[], tunables: Tunables): number {
  const { latencyNs, minGranularityNs, nrLatency } = tunables;
  const load = all.reduce((sum, level) => sum + weight(level), 0);
  const period = all.length <= nrLatency ? latencyNs : all.length * minGranularityNs;
  const inverse = 0xffff_ffffn / BigInt(load);
  return Math.max(calcDelta(period, weight(nice), inverse), minGranularityNs);
}

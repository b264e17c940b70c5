// Load weights of nice levels and the fixed-point division that CFS charges virtual run time with.
// Linux kernel/sched/core.c (sched_prio_to_weight, sched_prio_to_wmult) and kernel/sched/fair.c
// (__calc_delta). Bit-exact, rounding included: traces show virtual run time to the nanosecond.

/** Weight of nice 0. */
export const NICE_0_WEIGHT = 1024;

/** Weight of SCHED_IDLE, whatever the nice level. Linux WEIGHT_IDLEPRIO. */
export const IDLE_WEIGHT = 3;

const FIRST_NICE = -20;

const WEIGHTS = [
  88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904,
  3906, 3121, 2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87,
  70, 56, 45, 36, 29, 23, 18, 15,
];

/** From this nice level on the kernel's table of inverses is truncated instead of rounded. */
const FIRST_TRUNCATED_NICE = 13;

/** The weight of a nice level, -20 to 19. Throws outside. */
export function weightOfNice(nice: number): number {
  const weight = WEIGHTS[nice - FIRST_NICE];
  if (weight === undefined) throw new RangeError(`nice ${nice} is not in -20 to 19`);
  return weight;
}

/** 2^32 / weight of a nice level, rounded as in the kernel's table. */
function inverseOfNice(nice: number): bigint {
  const weight = BigInt(weightOfNice(nice));
  const half = nice >= FIRST_TRUNCATED_NICE ? 0n : weight / 2n;
  return ((1n << 32n) + half) / weight;
}

/** Inverse of a run queue's load. */
function inverseOfLoad(load: number): bigint {
  return ((1n << 32n) - 1n) / BigInt(load);
}

/** delta x weight / load, with `inverse` near 2^32 / load. */
function calcDelta(deltaNs: number, weight: number, inverse: bigint): number {
  let fact = BigInt(weight) * inverse;
  let shift = 32n;
  const excess = fact >> 32n;
  if (excess !== 0n) {
    const bits = BigInt(excess.toString(2).length);
    shift -= bits;
    fact >>= bits;
  }
  return Number((BigInt(deltaNs) * fact) >> shift);
}

/** Virtual run time of `deltaNs` nanoseconds at a nice level. */
export function virtualRuntime(deltaNs: number, nice: number): number {
  if (nice === 0) return deltaNs;
  return calcDelta(deltaNs, NICE_0_WEIGHT, inverseOfNice(nice));
}

/** Virtual run time of `deltaNs` nanoseconds at a weight that is no nice level's. */
export function virtualRuntimeOf(deltaNs: number, weight: number): number {
  if (weight === NICE_0_WEIGHT) return deltaNs;
  return calcDelta(deltaNs, NICE_0_WEIGHT, inverseOfLoad(weight));
}

/** The share of `periodNs` that a weight has in a queue's load. */
export function shareOfPeriod(periodNs: number, weight: number, load: number): number {
  return calcDelta(periodNs, weight, inverseOfLoad(load));
}

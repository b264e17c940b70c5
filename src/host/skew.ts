// Skew: how far the threads of a set have fallen behind each other, when that is too far, and who
// gets which pCPU when all of them are to start together. Arithmetic on plain numbers; who measures
// and who is stopped is coschedule.ts. "The CPU Scheduler in VMware vSphere 5.1", "Strict
// Co-Scheduling in ESX 2.x" and "Relaxed Co-Scheduling in ESX 3.x and Later Versions".

/** What co-scheduling needs to know of a thread; times in cycles. */
export interface SkewMember {
  /** How far it is behind the one that is furthest; it grows while it waits and others do not. */
  readonly behind: number;
  /** It is blocked: that is progress, and nothing of it can be stopped. */
  readonly isAsleep: boolean;
  /** It is stopped, or about to be. */
  readonly isHeld: boolean;
}

/** Add to each how long it has waited since; who is furthest is at 0. */
export function fallBehind(behind: readonly number[], waited: readonly number[]): number[] {
  const sums = behind.map((cycles, i) => cycles + waited[i]);
  const least = Math.min(...sums);
  return sums.map((sum) => sum - least);
}

/** Strict: one is too far behind, and all have to stop. The threshold itself is not too far. */
export function isSkewed(behind: readonly number[], threshold: number): boolean {
  return Math.max(...behind) > threshold;
}

/**
 * Relaxed: who has to be stopped, by how far it is in front of the last one. Who is stopped goes on
 * where that is no more than half of the threshold, so that it is not stopped at the next look.
 */
export function tooFarAhead(members: readonly SkewMember[], threshold: number): boolean[] {
  const last = Math.max(...members.map(({ behind }) => behind));
  return members.map(({ behind, isAsleep, isHeld }) => {
    return !isAsleep && last - behind > (isHeld ? threshold / 2 : threshold);
  });
}

/**
 * Relaxed: sleep is progress, but who has slept for long must not have to wait for as long. Nobody
 * sleeps himself further in front of the last one than the threshold.
 */
export function withoutSleptLead(members: readonly SkewMember[], threshold: number): number[] {
  const last = Math.max(...members.map(({ behind }) => behind));
  const limited = members.map(({ behind, isAsleep }) =>
    isAsleep ? Math.max(behind, last - threshold) : behind,
  );
  const least = Math.min(...limited);
  return limited.map((cycles) => cycles - least);
}

/**
 * For each the place that it gets, all different, so that all have one; null if there are not
 * enough. Earlier wishes are kept where they can be.
 * @param wishes for each the places that would do, best first
 */
export function assignPlaces(wishes: readonly (readonly number[])[]): number[] | null {
  const taker = new Map<number, number>();
  const place = (who: number, tried: Set<number>): boolean => {
    for (const wish of wishes[who]) {
      if (tried.has(wish)) continue;
      tried.add(wish);
      const other = taker.get(wish);
      if (other !== undefined && !place(other, tried)) continue;
      taker.set(wish, who);
      return true;
    }
    return false;
  };
  for (const who of wishes.keys()) if (!place(who, new Set())) return null;
  const places = new Map([...taker].map(([index, who]) => [who, index]));
  return wishes.map((_, who) => places.get(who) as number);
}

// How much is to be moved between two groups of pCPUs, in the two ways that kernels had: by average
// load until 5.4, by what kind of group they are since 5.5. Pure arithmetic. Linux
// kernel/sched/fair.c, find_busiest_group and calculate_imbalance.
//
// Deviation: the kernel knows by load averages (PELT) how much of a pCPU its threads use; here a
// group is as full as it has threads that run or wait.

/** How a pCPU looks for work: at its tick, called while it is idle, about to become idle. */
export type Idleness = 'busy' | 'idle' | 'new-idle';

/** What the kernel's struct sg_lb_stats says of a group. */
export interface GroupLoad {
  /** Sum of the loads of its pCPUs. */
  readonly load: number;
  /** Threads that run or wait. */
  readonly running: number;
  readonly idlePcpus: number;
  readonly pcpus: number;
}

/** What should be moved: threads by number, or by weight. */
export interface Imbalance {
  readonly unit: 'threads' | 'load';
  readonly amount: number;
}

/** Loads in the domain: all its groups, the local one among them. */
export interface DomainLoad {
  readonly groups: readonly GroupLoad[];
  readonly local: number;
  readonly sharesCache: boolean;
  /** A group may have so many per cent of the local one's load. */
  readonly imbalancePct: number;
}

/** The busiest group of a domain by its index, and what should be moved from it. */
export interface Busiest {
  readonly group: number;
  readonly imbalance: Imbalance;
}

type GroupType = 'has-spare' | 'fully-busy' | 'overloaded';

const ORDER: readonly GroupType[] = ['has-spare', 'fully-busy', 'overloaded'];

function typeOf({ running, pcpus }: GroupLoad): GroupType {
  if (running < pcpus) return 'has-spare';
  return running === pcpus ? 'fully-busy' : 'overloaded';
}

const rankOf = (group: GroupLoad): number => ORDER.indexOf(typeOf(group));

/** Load of a pCPU of the group, on average. */
const averageOf = ({ load, pcpus }: GroupLoad): number => Math.trunc(load / pcpus);

function averageOfAll(groups: readonly GroupLoad[]): number {
  const load = groups.reduce((sum, group) => sum + group.load, 0);
  const pcpus = groups.reduce((sum, group) => sum + group.pcpus, 0);
  return Math.trunc(load / pcpus);
}

/** The index of the group that is best by a comparison, the local one left out; -1 for none. */
function pick(
  { groups, local }: DomainLoad,
  isBusier: (a: GroupLoad, b: GroupLoad) => boolean,
): number {
  let best = -1;
  groups.forEach((group, i) => {
    if (i === local || group.running === 0) return;
    if (best < 0 || isBusier(group, groups[best])) best = i;
  });
  return best;
}

/** Linux 5.5 and later. */
export function busiestByType(domain: DomainLoad, idle: Idleness): Busiest | null {
  const group = pick(domain, isBusierByType);
  if (group < 0) return null;
  const busiest = domain.groups[group];
  const local = domain.groups[domain.local];
  if (rankOf(local) > rankOf(busiest)) return null;
  const average = averageOfAll(domain.groups);
  if (typeOf(local) === 'overloaded') {
    if (averageOf(local) >= averageOf(busiest) || averageOf(local) >= average) return null;
    if (100 * averageOf(busiest) <= domain.imbalancePct * averageOf(local)) return null;
  } else if (!isWorthPulling(domain, local, busiest, idle)) return null;
  const imbalance = imbalanceByType(domain, local, busiest, average);
  return imbalance.amount > 0 ? { group, imbalance } : null;
}

/** fair.c, update_sd_pick_busiest. */
function isBusierByType(a: GroupLoad, b: GroupLoad): boolean {
  if (rankOf(a) !== rankOf(b)) return rankOf(a) > rankOf(b);
  if (typeOf(a) !== 'has-spare') return averageOf(a) > averageOf(b);
  if (a.idlePcpus !== b.idlePcpus) return a.idlePcpus < b.idlePcpus;
  return a.running > b.running;
}

/** Whether a group that is not overloaded takes from the busiest one. */
function isWorthPulling(
  { sharesCache }: DomainLoad,
  local: GroupLoad,
  busiest: GroupLoad,
  idle: Idleness,
): boolean {
  // Packages should have equally many threads (SD_PREFER_SIBLING of the domain below).
  const isSpread = !sharesCache && typeOf(local) === 'has-spare';
  if (isSpread && busiest.running > local.running + 1) return true;
  if (typeOf(busiest) === 'overloaded') return true;
  if (idle === 'busy') return false;
  if (busiest.pcpus > 1 && local.idlePcpus <= busiest.idlePcpus + 1) return false;
  return busiest.running > 1;
}

/** fair.c, calculate_imbalance. */
function imbalanceByType(
  { sharesCache }: DomainLoad,
  local: GroupLoad,
  busiest: GroupLoad,
  average: number,
): Imbalance {
  if (typeOf(local) === 'has-spare') {
    const amount =
      busiest.pcpus === 1 || !sharesCache
        ? busiest.running - local.running
        : local.idlePcpus - busiest.idlePcpus;
    return { unit: 'threads', amount: Math.max(0, amount) >> 1 };
  }
  return { unit: 'load', amount: loadBetween(local, busiest, average) };
}

/** What brings neither of two groups past the average of all. */
function loadBetween(local: GroupLoad, busiest: GroupLoad, average: number): number {
  const above = (averageOf(busiest) - average) * busiest.pcpus;
  const below = (average - averageOf(local)) * local.pcpus;
  return Math.max(0, Math.min(above, below));
}

/** Linux up to 5.4. */
export function busiestByLoad(domain: DomainLoad, idle: Idleness): Busiest | null {
  const group = pick(domain, (a, b) => averageOf(a) > averageOf(b));
  if (group < 0) return null;
  const busiest = domain.groups[group];
  const local = domain.groups[domain.local];
  const average = averageOfAll(domain.groups);
  const isForced =
    idle === 'new-idle' && local.running < local.pcpus && busiest.running > busiest.pcpus;
  if (!isForced) {
    if (averageOf(local) >= averageOf(busiest) || averageOf(local) >= average) return null;
    if (idle === 'idle') {
      const isFull = busiest.running > busiest.pcpus;
      if (!isFull && local.idlePcpus <= busiest.idlePcpus + 1) return null;
    } else if (100 * averageOf(busiest) <= domain.imbalancePct * averageOf(local)) return null;
  }
  const amount = loadBetween(local, busiest, average);
  const perThread = Math.trunc(busiest.load / busiest.running);
  const enough = amount >= perThread ? amount : smallImbalance(local, busiest, amount, perThread);
  return enough > 0 ? { group, imbalance: { unit: 'load', amount: enough } } : null;
}

/** Less than a thread: whether one is moved all the same. fair.c, fix_small_imbalance. */
function smallImbalance(
  local: GroupLoad,
  busiest: GroupLoad,
  amount: number,
  perThread: number,
): number {
  const localPerThread = local.running > 0 ? Math.trunc(local.load / local.running) : perThread;
  const times = local.running > 0 && perThread > localPerThread ? 1 : 2;
  const part = Math.trunc(perThread / busiest.pcpus);
  if (averageOf(busiest) + part >= averageOf(local) + part * times) return perThread;
  const used = (pcpus: number, load: number, average: number) => pcpus * Math.min(load, average);
  const now =
    used(busiest.pcpus, perThread, averageOf(busiest)) +
    used(local.pcpus, localPerThread, averageOf(local));
  const left = Math.max(0, averageOf(busiest) - part);
  const gained = Math.trunc(Math.min(busiest.load, perThread) / local.pcpus);
  const moved =
    used(busiest.pcpus, perThread, left) +
    used(local.pcpus, localPerThread, averageOf(local) + gained);
  return moved > now ? perThread : amount;
}

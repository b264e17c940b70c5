// Control groups of a scenario: the keys of host.cgroups under the names of cgroup v1 and v2 (dots
// written as underscores), what is wrong with them, and the groups of the host made of them.
// Documentation/admin-guide/cgroup-v2.rst, "CPU Interface Files"; cgroup v1:
// Documentation/scheduler/sched-bwc.rst and sched-design-CFS.rst.

import {
  type BandwidthConfig,
  type Host,
  sharesOfWeight,
  type ThreadGroup,
} from '../host/index.ts';
import { KERNELS, type Kernel } from './kernels.ts';
import type { Scenario } from './scenario.ts';
import { boolean, type Infer, type Issue, integer, map, object, text } from './schema.ts';

/** The least quota and period, and the longest period, in us. Linux tg_set_cfs_bandwidth. */
const MIN_PERIOD_US = 1000;
const MAX_PERIOD_US = 1_000_000;
const MAX_QUOTA_US = 1_000_000_000;

/** Period where only a quota is given, in us. */
const DEFAULT_PERIOD_US = 100_000;

/** Shares of a group that says nothing. */
const DEFAULT_SHARES = 1024;

/** The first kernels here that have a file of the cpu controller. */
const SINCE = {
  cpu_max: 'linux-3.15',
  cfs_quota_us: 'linux-3.15',
  cpu_max_burst: 'linux-6.1',
  cpu_idle: 'linux-6.1',
} as const satisfies Partial<Record<keyof Cgroup, Kernel>>;

export const CGROUP = object('A control group of the host', {
  cpu_weight: integer(1, 10_000, {
    summary: 'cpu.weight of cgroup v2: its part beside its siblings; 100 if nothing is said',
    fallback: 0,
  }),
  cpu_shares: integer(2, 262_144, {
    summary: 'cpu.shares of cgroup v1: the same, where 1024 is usual',
    fallback: 0,
  }),
  cpu_max: text({
    summary: 'cpu.max of cgroup v2: quota and period in us, as "50000 100000"; or max for no limit',
    fallback: '',
  }),
  cfs_quota_us: integer(MIN_PERIOD_US, MAX_QUOTA_US, {
    summary: 'cpu.cfs_quota_us of cgroup v1: so much of each period, on all pCPUs together',
    fallback: 0,
  }),
  cfs_period_us: integer(MIN_PERIOD_US, MAX_PERIOD_US, {
    summary: 'cpu.cfs_period_us of cgroup v1',
    fallback: DEFAULT_PERIOD_US,
  }),
  cpu_max_burst: integer(0, MAX_QUOTA_US, {
    summary: 'cpu.max.burst of cgroup v2, in us: what may be kept of quotas that were not used',
    fallback: 0,
  }),
  cpu_idle: boolean({
    summary: 'cpu.idle of cgroup v2: as SCHED_IDLE beside its siblings',
    fallback: false,
  }),
});

type Cgroup = Infer<typeof CGROUP>;

export const CGROUPS = map(CGROUP, 'control groups by path, as machine/vm; / is the root');

/** Keys of those who are in a control group. */
export const CGROUP_KEY = text({
  summary: 'control group of host.cgroups that its threads are in; empty for the root',
  fallback: '',
});

/** Quota, period and burst of a group without mistakes; null for none. */
function bandwidthOf(group: Cgroup): BandwidthConfig | null {
  const limit = limitOf(group);
  if (typeof limit === 'string') throw new RangeError(limit);
  const burstNs = group.cpu_max_burst * 1000;
  return limit === null || burstNs === 0 ? limit : { ...limit, burstNs };
}

/** What is wrong with the burst of a group, or null. */
function burstProblem({ cpu_max_burst }: Cgroup, limit: BandwidthConfig | null): string | null {
  if (limit === null) return cpu_max_burst > 0 ? 'expected a burst only beside a quota' : null;
  const quotaUs = limit.quotaNs / 1000;
  if (cpu_max_burst <= quotaUs) return null;
  return `expected a burst of no more than the quota of ${quotaUs} us, not ${cpu_max_burst}`;
}

/** Quota and period of a group; null for none, an issue's message for a mistake. */
function limitOf({
  cpu_max,
  cfs_quota_us,
  cfs_period_us,
}: Cgroup): BandwidthConfig | null | string {
  if (cfs_quota_us > 0) return { quotaNs: cfs_quota_us * 1000, periodNs: cfs_period_us * 1000 };
  if (cpu_max === '') return null;
  const match = /^(max|\d{1,10})(?: (\d{1,10}))?$/.exec(cpu_max);
  if (match === null) return `expected 'QUOTA PERIOD' in us or 'max', not '${cpu_max}'`;
  const periodUs = match[2] === undefined ? DEFAULT_PERIOD_US : Number(match[2]);
  if (periodUs < MIN_PERIOD_US || periodUs > MAX_PERIOD_US) {
    return `expected a period of ${MIN_PERIOD_US} to ${MAX_PERIOD_US} us, not ${periodUs}`;
  }
  if (match[1] === 'max') return null;
  const quotaUs = Number(match[1]);
  if (quotaUs < MIN_PERIOD_US || quotaUs > MAX_QUOTA_US) {
    return `expected a quota of ${MIN_PERIOD_US} to ${MAX_QUOTA_US} us, not ${quotaUs}`;
  }
  return { quotaNs: quotaUs * 1000, periodNs: periodUs * 1000 };
}

/** The groups that a path is below, the topmost first, and itself. */
function pathsTo(path: string): string[] {
  const parts = path.split('/');
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** What is wrong with control groups, and with who is said to be in them. */
export function* cgroupIssues({ host, vms, hogs }: Scenario): Iterable<Issue> {
  const { cgroups, kernel } = host;
  for (const [name, group] of Object.entries(cgroups)) {
    const path = ['host', 'cgroups', name];
    if (!/^[^/\s]+(\/[^/\s]+)*$/.test(name)) {
      yield { path, message: `expected a path such as machine/vm, not '${name}'` };
    }
    yield* clashes(group, path);
    for (const [key, since] of Object.entries(SINCE)) {
      const isGiven = Boolean(group[key as keyof Cgroup]);
      if (!isGiven || KERNELS.indexOf(kernel) >= KERNELS.indexOf(since)) continue;
      yield { path: [...path, key], message: `${kernel} does not have it, but ${since} does` };
    }
    const limit = limitOf(group);
    if (typeof limit === 'string') yield { path: [...path, 'cpu_max'], message: limit };
    else {
      const message = burstProblem(group, limit);
      if (message !== null) yield { path: [...path, 'cpu_max_burst'], message };
    }
    yield* quotaIssues(cgroups, name, path);
  }
  const known = new Set(Object.keys(cgroups).flatMap(pathsTo));
  for (const [list, users] of Object.entries({ vms, hogs })) {
    for (const [i, { cgroup }] of users.entries()) {
      if (cgroup === '' || known.has(cgroup)) continue;
      const groups = known.size === 0 ? 'there are none' : `there are ${[...known].join(', ')}`;
      yield { path: [list, i, 'cgroup'], message: `no cgroup '${cgroup}'; ${groups}` };
    }
  }
}

const EXCLUSIVE: readonly (readonly (keyof Cgroup)[])[] = [
  ['cpu_weight', 'cpu_shares', 'cpu_idle'],
  ['cpu_max', 'cfs_quota_us'],
];

function* clashes(group: Cgroup, path: readonly string[]): Iterable<Issue> {
  for (const keys of EXCLUSIVE) {
    const [first, second] = keys.filter((key) => Boolean(group[key]));
    if (second === undefined) continue;
    yield { path: [...path, second], message: `not together with ${first}` };
  }
}

/** In cgroup v1, no group has a larger part than the one above. Linux __cfs_schedulable. */
function* quotaIssues(
  cgroups: Scenario['host']['cgroups'],
  name: string,
  path: readonly string[],
): Iterable<Issue> {
  const partOf = (one: string) => {
    const group = cgroups[one];
    if (group === undefined || group.cfs_quota_us === 0) return Number.POSITIVE_INFINITY;
    return group.cfs_quota_us / group.cfs_period_us;
  };
  const own = partOf(name);
  if (own === Number.POSITIVE_INFINITY) return;
  const above = pathsTo(name)
    .slice(0, -1)
    .find((one) => partOf(one) < own);
  if (above === undefined) return;
  const message = `more than ${above} has, which cgroup v1 refuses`;
  yield { path: [...path, 'cfs_quota_us'], message };
}

/** The control groups of a machine's host. */
export class Cgroups {
  private readonly host: Host;
  private readonly scenario: Scenario;
  private readonly byPath = new Map<string, ThreadGroup>();

  constructor(host: Host, scenario: Scenario) {
    this.host = host;
    this.scenario = scenario;
    for (const path of Object.keys(scenario.host.cgroups)) this.at(path);
  }

  /** The group at a path, made with all above it if there was none; undefined for the root. */
  private at(path: string): ThreadGroup | undefined {
    if (path === '') return undefined;
    const made = this.byPath.get(path);
    if (made !== undefined) return made;
    const parent = this.at(path.split('/').slice(0, -1).join('/'));
    const config: Cgroup | undefined = this.scenario.host.cgroups[path];
    const bandwidth = config === undefined ? null : bandwidthOf(config);
    const shares = sharesOf(config);
    const isIdle = config?.cpu_idle ?? false;
    const group = this.host.createGroup({ name: path, shares, parent, isIdle }, bandwidth);
    this.byPath.set(path, group);
    return group;
  }

  /**
   * The group for all threads of somebody: the one at a path, or one in it with a cpu.weight of its
   * own if that is not 0; undefined for the root.
   */
  forThreads(path: string, name: string, cpuWeight: number): ThreadGroup | undefined {
    const parent = this.at(path);
    if (cpuWeight === 0) return parent;
    return this.host.createGroup({ name, shares: sharesOfWeight(cpuWeight), parent });
  }

  /** A group for a single thread, as management stacks make one for each vCPU. */
  below(parent: ThreadGroup | undefined, name: string): ThreadGroup {
    const path = parent === undefined ? name : `${parent.name}/${name}`;
    return this.host.createGroup({ name: path, shares: DEFAULT_SHARES, parent });
  }
}

function sharesOf(config: Cgroup | undefined): number {
  if (config === undefined) return DEFAULT_SHARES;
  if (config.cpu_shares > 0) return config.cpu_shares;
  return config.cpu_weight > 0 ? sharesOfWeight(config.cpu_weight) : DEFAULT_SHARES;
}

/** What a group's cpu.stat says. */
export interface CgroupReport {
  readonly name: string;
  /** Time that threads of it, and of groups below, have run. */
  readonly usageNs: number;
  readonly nrPeriods: number;
  readonly nrThrottled: number;
  readonly throttledNs: number;
  /** Periods in which more than the quota was used, and the time beyond it; cpu.max.burst only. */
  readonly nrBursts?: number;
  readonly burstNs?: number;
}

/** All groups of a host, in order of creation. */
export function cgroupReports({ groups, threads, bandwidths, frequency }: Host): CgroupReport[] {
  return groups.map((group) => {
    const limit = bandwidths.find((one) => one.group === group)?.state;
    const inside = threads.filter((thread) => isBelow(thread.group, group));
    const cycles = inside.reduce((sum, { state }) => sum + state.times.guest + state.times.host, 0);
    return {
      name: group.name,
      usageNs: frequency.toNs(cycles),
      nrPeriods: limit?.nrPeriods ?? 0,
      nrThrottled: limit?.nrThrottled ?? 0,
      throttledNs: limit?.throttledTimeNs ?? 0,
      ...(limit?.snapNs === undefined
        ? {}
        : { nrBursts: limit.nrBursts ?? 0, burstNs: limit.burstTimeNs ?? 0 }),
    };
  });
}

function isBelow(group: ThreadGroup | null, top: ThreadGroup): boolean {
  for (let at = group; at !== null; at = at.parent) if (at === top) return true;
  return false;
}

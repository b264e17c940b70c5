// What the scheduler does differently from kernel to kernel, and its tunables; defaults of Linux
// 6.1. Which kernel has what: machine/kernels.ts. Linux kernel/sched/fair.c and features.h.

/**
 * Where the host's kernel gives up a pCPU in kernel mode: where it calls the scheduler itself; also
 * at points where it might sleep (might_resched), of which there are none on the way of a vCPU from
 * an exit to the next entry; or wherever somebody has asked for it.
 */
export const PREEMPTION_MODELS = ['none', 'voluntary', 'full'] as const;

export type PreemptionModel = (typeof PREEMPTION_MODELS)[number];

/**
 * How the fair class chooses: by virtual run time without a way to pass a thread over; with skip,
 * next and last buddies; by eligible virtual deadline (EEVDF).
 */
export const FAIR_CLASSES = ['cfs-no-skip', 'cfs', 'eevdf'] as const;

export type FairClass = (typeof FAIR_CLASSES)[number];

/** How imbalance between pCPUs is measured: by average load, or (since 5.5) by kind of group. */
export const BALANCE_RULES = ['load', 'type'] as const;

export type BalanceRule = (typeof BALANCE_RULES)[number];

/** Scheduling policies of the fair class: SCHED_NORMAL, SCHED_BATCH and SCHED_IDLE. */
export const POLICIES = ['normal', 'batch', 'idle'] as const;

export type Policy = (typeof POLICIES)[number];

/**
 * How KVM_RUN makes way before it enters a guest: by cond_resched, which to traces is a preemption;
 * or, since 5.9, by schedule.
 */
export const ENTRY_RESCHEDS = ['cond_resched', 'schedule'] as const;

export type EntryResched = (typeof ENTRY_RESCHEDS)[number];

export interface SchedulerParameters {
  readonly fairClass: FairClass;
  readonly preemption: PreemptionModel;
  readonly entryResched: EntryResched;
  /** yield_to gives -ESRCH where both queues hold a single thread. */
  readonly yieldToCheck: boolean;
  /** In ns for one pCPU; with more of them the kernel multiplies it by up to four. */
  readonly latencyNs: number;
  /** The same; EEVDF's base slice. */
  readonly minGranularityNs: number;
  /** The same. */
  readonly wakeupGranularityNs: number;
  readonly balanceBy: BalanceRule;
  /** Who ran less than so many ns ago has its data in the cache, and is not moved. */
  readonly migrationCostNs: number;
  /** A busy pCPU balances so many times more seldom than an idle one. */
  readonly busyFactor: number;
  /** An idle pCPU balances every so many ms, at most four times that; 0: by the domain's size. */
  readonly balanceIntervalMs: number;
  /** A pCPU may have so many per cent of another one's load. */
  readonly imbalancePct: number;
  /** Who is idle for less than so many ns on average does not look for work first. */
  readonly newIdleMinNs: number;
  /** Where nobody waits who could be moved, who runs is, by a thread of the kernel's. */
  readonly activeBalance: boolean;
  /** A woken thread may come to where its waker runs. */
  readonly wakeAffine: boolean;
  /** Who wakes up may come to a pCPU on which only SCHED_IDLE threads run, as to an idle one. */
  readonly schedIdleCpu: boolean;
  /** So many ns of a group's run time a pCPU takes at once. */
  readonly bandwidthSliceNs: number;
  /** Traces say how long threads run, wait and sleep (sysctl kernel.sched_schedstats). */
  readonly schedstats: boolean;
}

export const DEFAULT_SCHEDULER: SchedulerParameters = {
  fairClass: 'cfs',
  preemption: 'voluntary',
  entryResched: 'schedule',
  yieldToCheck: true,
  latencyNs: 6_000_000,
  minGranularityNs: 750_000,
  wakeupGranularityNs: 1_000_000,
  balanceBy: 'type',
  migrationCostNs: 500_000,
  busyFactor: 16,
  balanceIntervalMs: 0,
  imbalancePct: 117,
  newIdleMinNs: 0,
  activeBalance: false,
  wakeAffine: true,
  schedIdleCpu: true,
  bandwidthSliceNs: 5_000_000,
  schedstats: false,
};

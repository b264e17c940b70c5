// What the scheduler does differently from kernel to kernel, and its tunables; defaults of Linux
// 6.1. Which kernel has what: machine/kernels.ts. Linux kernel/sched/fair.c and features.h.

/**
 * How the fair class chooses: by virtual run time without a way to pass a thread over; with skip,
 * next and last buddies.
 */
export const FAIR_CLASSES = ['cfs-no-skip', 'cfs'] as const;

export type FairClass = (typeof FAIR_CLASSES)[number];

export interface SchedulerParameters {
  readonly fairClass: FairClass;
  /** yield_to gives -ESRCH where both queues hold a single thread. */
  readonly yieldToCheck: boolean;
  /** In ns for one pCPU; with more of them the kernel multiplies it by up to four. */
  readonly latencyNs: number;
  /** The same. */
  readonly minGranularityNs: number;
  /** The same. */
  readonly wakeupGranularityNs: number;
}

export const DEFAULT_SCHEDULER: SchedulerParameters = {
  fairClass: 'cfs',
  yieldToCheck: true,
  latencyNs: 6_000_000,
  minGranularityNs: 750_000,
  wakeupGranularityNs: 1_000_000,
};

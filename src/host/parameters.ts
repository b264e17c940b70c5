// What the scheduler does differently from kernel to kernel, and its tunables; defaults of Linux
// 6.1. Which kernel has what: machine/kernels.ts. Linux kernel/sched/fair.c and features.h.

/**
 * Where the host's kernel gives up a pCPU in kernel mode: where it calls the scheduler itself
 * (without and with voluntary points, of which there are none on the way of a vCPU), or also
 * wherever an interrupt has asked for it.
 */
export const PREEMPTION_MODELS = ['none', 'voluntary', 'full'] as const;

export type PreemptionModel = (typeof PREEMPTION_MODELS)[number];

/**
 * How the fair class chooses: by virtual run time without a way to pass a thread over; with skip,
 * next and last buddies; by eligible virtual deadline (EEVDF).
 */
export const FAIR_CLASSES = ['cfs-no-skip', 'cfs', 'eevdf'] as const;

export type FairClass = (typeof FAIR_CLASSES)[number];

export interface SchedulerParameters {
  readonly fairClass: FairClass;
  readonly preemption: PreemptionModel;
  /** yield_to gives -ESRCH where both queues hold a single thread. */
  readonly yieldToCheck: boolean;
  /** In ns for one pCPU; with more of them the kernel multiplies it by up to four. */
  readonly latencyNs: number;
  /** The same; EEVDF's base slice. */
  readonly minGranularityNs: number;
  /** The same. */
  readonly wakeupGranularityNs: number;
}

export const DEFAULT_SCHEDULER: SchedulerParameters = {
  fairClass: 'cfs',
  preemption: 'voluntary',
  yieldToCheck: true,
  latencyNs: 6_000_000,
  minGranularityNs: 750_000,
  wakeupGranularityNs: 1_000_000,
};

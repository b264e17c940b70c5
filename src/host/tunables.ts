// The numbers that the fair class works with, scaled as the kernel does. Linux kernel/sched/fair.c,
// get_update_sysctl_factor.

import { DEFAULT_SCHEDULER, type SchedulerParameters } from './parameters.ts';

/** Scheduler tunables in ns, already scaled by the number of pCPUs. */
export interface FairTunables {
  readonly latencyNs: number;
  readonly minGranularityNs: number;
  readonly wakeupGranularityNs: number;
  /** Runnable threads beyond which the period grows. */
  readonly nrLatency: number;
  /** A thread that yields is passed over once; before Linux 2.6.39 it was only charged. */
  readonly hasSkipBuddy: boolean;
  /** From one tick to the next. */
  readonly tickNs: number;
}

/** The kernel's base values times its factor: 1 + log2 of the pCPU count, at most 4. */
export function fairTunables(
  pcpuCount: number,
  hz: number,
  parameters: SchedulerParameters = DEFAULT_SCHEDULER,
): FairTunables {
  const { fairClass, latencyNs, minGranularityNs, wakeupGranularityNs } = parameters;
  const factor = 1 + Math.floor(Math.log2(Math.min(pcpuCount, 8)));
  return {
    latencyNs: latencyNs * factor,
    minGranularityNs: minGranularityNs * factor,
    wakeupGranularityNs: wakeupGranularityNs * factor,
    nrLatency: Math.ceil(latencyNs / minGranularityNs),
    hasSkipBuddy: fairClass !== 'cfs-no-skip',
    tickNs: 1_000_000_000 / hz,
  };
}

// Module parameters and era switches, under the kernel's names; defaults of Linux 6.1.

import { DEFAULT_PV_PARAMETERS, type PvParameters } from './pv-features.ts';
import { DEFAULT_TIMER_PARAMETERS, type TimerParameters } from './timer-parameters.ts';

export interface KvmParameters extends PvParameters, TimerParameters {
  /** TSC cycles between PAUSEs of one loop; 0 switches PAUSE-loop exiting off. */
  readonly pleGap: number;
  /** TSC cycles that a loop may last: start and minimum of each vCPU's window. */
  readonly pleWindow: number;
  /** Growth on each exit: factor if below `pleWindow`, else summand; 0 resets. */
  readonly pleWindowGrow: number;
  /** The same for shrinking, when a vCPU is scheduled in. */
  readonly pleWindowShrink: number;
  readonly pleWindowMax: number;
  /** KICK_CPU also yields to the kicked vCPU (Linux 5.5 and later). */
  readonly kickYields: boolean;
  /** Use the VMX-preemption timer for LAPIC timers of running vCPUs. */
  readonly preemptionTimer: boolean;
}

export const DEFAULT_PARAMETERS: KvmParameters = {
  ...DEFAULT_PV_PARAMETERS,
  ...DEFAULT_TIMER_PARAMETERS,
  pleGap: 128,
  pleWindow: 4096,
  pleWindowGrow: 2,
  pleWindowShrink: 0,
  pleWindowMax: 4294967295,
  kickYields: true,
  preemptionTimer: true,
};

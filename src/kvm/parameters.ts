// Module parameters and what changed from kernel to kernel, under the kernel's names; defaults of
// Linux 6.1. Which kernel has what: machine/kernels.ts.

/**
 * What a PAUSE-loop exit does, each adding to the one before: sleep for 100 us; two passes over the
 * vCPUs; leave out who spins itself every other time; give up after three times -ESRCH; only those
 * that were preempted; not in user mode; also those that were just woken.
 */
export const SPIN_HANDLERS = [
  'sleep',
  'two-pass',
  'eligible',
  'try-limit',
  'preempted',
  'in-kernel',
  'ready',
] as const;

export type SpinHandler = (typeof SPIN_HANDLERS)[number];

/** Which modes of the local APIC's timer may use the VMX-preemption timer. */
export const HV_TIMERS = ['none', 'tsc-deadline', 'all'] as const;

export type HvTimer = (typeof HV_TIMERS)[number];

/**
 * Exits that a machine may do without, where a pCPU belongs to its vCPU alone, by the bits of
 * KVM_CAP_X86_DISABLE_EXITS. MWAIT and C-state MSRs, which that has too, are not offered to guests.
 */
export const DISABLE_EXITS = { HLT: 1 << 1, PAUSE: 1 << 2 } as const;

export type DisabledExit = keyof typeof DISABLE_EXITS;

import { type ExtraExit, STANDARD_TIMER_RATE_SHIFT } from '../vmx/index.ts';
import { DEFAULT_PV_PARAMETERS, type PvParameters } from './pv-features.ts';
import {
  DEFAULT_TIMER_PARAMETERS,
  hasBrokenTimer,
  type TimerParameters,
} from './timer-parameters.ts';

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
  readonly spinHandler: SpinHandler;
  /** KICK_CPU also yields to the kicked vCPU (Linux 5.5 and later). */
  readonly kickYields: boolean;
  /** Use the VMX-preemption timer for LAPIC timers of running vCPUs. */
  readonly preemptionTimer: boolean;
  readonly hvTimer: HvTimer;
  /**
   * ICR and TSC-deadline writes and the preemption timer are handled right after the exit (Linux
   * 5.8 and later), else as any exit.
   */
  readonly fastpath: boolean;
  /** Longest time, in ns, that a halted vCPU waits on its pCPU before it sleeps; 0: never. */
  readonly haltPollNs: number;
  /** What a window that was too short is multiplied by; 0 leaves it. */
  readonly haltPollNsGrow: number;
  /** The first window, in ns. */
  readonly haltPollNsGrowStart: number;
  /** What a window that was for nothing is divided by; 0 closes it. */
  readonly haltPollNsShrink: number;
  /**
   * Kvm_intel's flexpriority: CR8 does not exit, and accesses to the xAPIC have an exit of their
   * own.
   */
  readonly flexpriority: boolean;
  /**
   * With flexpriority: accesses to the page of a local APIC that is switched off exit, and go to
   * user space (up to Linux 4.17); else they find RAM there.
   */
  readonly apicOffExits: boolean;
  /** Pages of devices are marked in EPT, by entries that are misconfigured (Linux 3.1 and later). */
  readonly mmioCaching: boolean;
  /** Windows are traced when they stay as they are, too: event kvm_ple_window, up to Linux 5.3. */
  readonly tracesSteadyWindows: boolean;
  /** IA32_VMX_MISC[4:0]: the preemption timer counts once in 2 to the power of this TSC cycles. */
  readonly preemptionTimerRate: number;
  /** Controls that make more exits happen than KVM asks for. */
  readonly extraExits: readonly ExtraExit[];
  /** Exits that do not happen: HLT and PAUSE are the guest's own. */
  readonly disabledExits: readonly DisabledExit[];
}

export const DEFAULT_PARAMETERS: KvmParameters = {
  ...DEFAULT_PV_PARAMETERS,
  ...DEFAULT_TIMER_PARAMETERS,
  pleGap: 128,
  pleWindow: 4096,
  pleWindowGrow: 2,
  pleWindowShrink: 0,
  pleWindowMax: 4294967295,
  spinHandler: 'ready',
  kickYields: true,
  preemptionTimer: true,
  hvTimer: 'all',
  fastpath: true,
  haltPollNs: 200_000,
  haltPollNsGrow: 2,
  haltPollNsGrowStart: 10_000,
  haltPollNsShrink: 0,
  flexpriority: true,
  apicOffExits: false,
  mmioCaching: true,
  tracesSteadyWindows: false,
  preemptionTimerRate: STANDARD_TIMER_RATE_SHIFT,
  extraExits: [],
  disabledExits: [],
};

/** The VMX-preemption timer is used at all. */
export function usesPreemptionTimer(parameters: KvmParameters): boolean {
  const { preemptionTimer, hvTimer, cpuSignature } = parameters;
  return preemptionTimer && hvTimer !== 'none' && !hasBrokenTimer(cpuSignature);
}

// What is decided about the guest's clocks and timers, under the kernel's names; defaults of Linux
// 6.1.

export interface TimerParameters {
  /** KVM_SET_TSC_KHZ: rate of the guest's TSC in cycles per ms; 0 for the host's. */
  readonly tscKhz: number;
  /**
   * Ns by which the timer fires early, so that the entry into the guest comes in time; -1 for KVM
   * to find out by itself.
   */
  readonly lapicTimerAdvanceNs: number;
  /** Periodic timers may not be faster than this. */
  readonly minTimerPeriodUs: number;
  /** Family, model and stepping of the host's processor, as in EAX of CPUID leaf 1. */
  readonly cpuSignature: number;
  /** CPUID offers TSC-deadline mode, and the timer can be put into it. */
  readonly tscDeadline: boolean;
}

export const DEFAULT_TIMER_PARAMETERS: TimerParameters = {
  tscKhz: 0,
  lapicTimerAdvanceNs: -1,
  minTimerPeriodUs: 200,
  // Broadwell-EP (06_4FH), stepping 1.
  cpuSignature: 0x000406f1,
  tscDeadline: true,
};

/**
 * Processors whose VMX-preemption timer counts at a wrong rate: Nehalem, Westmere and an Ivy
 * Bridge. Linux arch/x86/kvm/vmx/vmx.c, vmx_preemption_cpu_tfms, which names the errata.
 */
const BROKEN_TIMERS: readonly number[] = [
  0x206e6, 0x20652, 0x20655, 0x106e5, 0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x306a8,
];

/** Bits 15:14 and 31:28 do not tell processors apart. */
const RESERVED = (3 << 14) | (0xf << 28);

/** True if a processor's VMX-preemption timer cannot be used. */
export function hasBrokenTimer(signature: number): boolean {
  return BROKEN_TIMERS.includes(signature & ~RESERVED);
}

// What is decided about the guest's clocks and timers, under the kernel's names; defaults of Linux
// 6.1.

export interface TimerParameters {
  /** KVM_SET_TSC_KHZ: rate of the guest's TSC in cycles per ms; 0 for the host's. */
  readonly tscKhz: number;
}

export const DEFAULT_TIMER_PARAMETERS: TimerParameters = {
  tscKhz: 0,
};

// The VMX-preemption timer. SDM 3, "VMX-Preemption Timer": in non-root operation it counts down by
// 1 whenever bit X of the physical TSC changes, X = IA32_VMX_MISC[4:0]; so the first tick can come
// early, and expiry falls on a multiple of 2^X. It stops at 0.

/** Rate of the timer in IA32_VMX_MISC[4:0]: one tick in 32 TSC cycles, as on common parts. */
export const STANDARD_TIMER_RATE_SHIFT = 5;

/** The TSC at which a timer loaded with `value` at `entry` reaches 0. */
export function timerDeadline(entry: number, value: number, shift: number): number {
  const tick = (1 << shift) >>> 0;
  return (Math.floor(entry / tick) + value) * tick;
}

/** What is left of the count at time `now`; 0 once expired. */
export function timerRemaining(deadline: number, now: number, shift: number): number {
  const tick = (1 << shift) >>> 0;
  return Math.max(0, deadline / tick - Math.floor(now / tick));
}

// What the host's own work costs, in cycles. Presets with their sources are in `machine`.

export interface HostCosts {
  /** From one thread to another, scheduler included. */
  readonly contextSwitch: number;
  /** From the send of an inter-processor interrupt to its arrival. */
  readonly ipiLatency: number;
  /** Sending it. */
  readonly ipiSend: number;
  /** Entry to and exit from an interrupt handler. */
  readonly interrupt: number;
  /** The work of a scheduler tick. */
  readonly tick: number;
  /** The work of an expired high-resolution timer. */
  readonly timerExpiry: number;
  /** Programming the timer hardware. */
  readonly timerProgram: number;
  /** Waking a thread. */
  readonly wakeUp: number;
  /** Leaving the idle state. */
  readonly idleExit: number;
}

// What KVM's software paths cost, in host cycles. Presets with their sources are in `machine`.

export interface KvmCosts {
  /** From the hardware exit to the handler. */
  readonly exitPath: number;
  /** From the run loop to the hardware entry. */
  readonly entryPath: number;
  /** Exit to entry where the handler runs with interrupts off (timer expiry, ICR, TSC deadline). */
  readonly fastPath: number;
  /** A handler that does little: CPUID, MSRs, control registers, windows. */
  readonly handler: number;
  /** PAUSE handler: fixed part, and for each vCPU that it looks at. */
  readonly spin: number;
  readonly spinCandidate: number;
  readonly hypercall: number;
  /** Blocking and unblocking a vCPU, without the context switches. */
  readonly block: number;
  /** Decoding and emulating an instruction in software. */
  readonly emulate: number;
  /** From KVM to user space and back. */
  readonly userSpace: number;
}

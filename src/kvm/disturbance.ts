// What whoever injects faults is asked, where KVM hands something on that may be late or get lost.
// A virtual machine without faults has nobody to ask.

import type Long from 'long';
import type { Pcpu } from '../host/index.ts';
import type { InterruptCommand } from './apic-ipi.ts';
import type { Vcpu } from './vcpu.ts';
import type { Vm } from './vm.ts';

/** What reaches a local APIC. */
export type SentInterrupt = Pick<InterruptCommand, 'vector' | 'mode' | 'levelTriggered' | 'assert'>;

export interface Disturbance {
  /**
   * A vCPU that runs on `pcpu` sends an interrupt, or a kick (mode Res3), to another. True if it is
   * not to arrive now; it may do so later, by {@link deliver}.
   */
  takesInterrupt(target: Vcpu, interrupt: SentInterrupt, pcpu: Pcpu): boolean;
  /** The thread of a vCPU, which is blocked, is about to be woken: true if not now. */
  takesWakeUp(target: Vcpu, pcpu: Pcpu): boolean;
  /** So much too late, in cycles of the guest's TSC, does the timer expire for a deadline. */
  timerLateness(vcpu: Vcpu, deadline: Long, pcpu: Pcpu): number;
  /** The VMCS is ready for an entry before which events were looked at. */
  beforeEntry(vcpu: Vcpu, pcpu: Pcpu): void;
  /** Something that was held back will still come, so that a machine that sleeps is not stuck. */
  holdsBack(vm: Vm): boolean;
}

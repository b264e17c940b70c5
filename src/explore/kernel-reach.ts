// Whose part of KVM a step works on: a bit for each vCPU. Most steps work on their own vCPU's, a
// kick on that of the kicked one too; of the others nothing is said.

import type { HostEvent, Pcpu } from '../host/index.ts';
import { Gpr } from '../isa/index.ts';
import { Hypercall, type Vcpu } from '../kvm/index.ts';

/** Of a hypercall that a vCPU is about to make; null for anything. */
export function reachOfHypercall(vcpu: Vcpu): number | null {
  const { parameters } = vcpu.vm;
  const own = 1 << vcpu.index;
  const number = vcpu.register(Gpr.RAX);
  if (parameters.hypercallOpcode !== 'vmcall' || vcpu.cpl !== 0 || number.high !== 0) return null;
  switch (number.low) {
    case Hypercall.VAPIC_POLL_IRQ:
    case Hypercall.PREEMPT_GRANT:
      return own;
    case Hypercall.KICK_CPU: {
      const target = vcpu.vm.vcpuByApicId(vcpu.register(Gpr.RCX).low >>> 0);
      return target === undefined ? own : own | (1 << target.index);
    }
    case Hypercall.LOCK_WAIT: {
      const isQuestion = vcpu.register(Gpr.RBX).isZero();
      const { lockWait } = parameters;
      return isQuestion || lockWait === 'none' || lockWait === 'block+kick' ? own : null;
    }
    default:
      return null;
  }
}

/** Of what KVM does next with a vCPU that is not in the guest, or is interrupted there. */
export function reachOfKernel({ state, index }: Vcpu, pcpu: Pcpu): number | null {
  const own = 1 << index;
  switch (state.phase) {
    case 'loop':
    case 'blocked':
      return own;
    case 'guest':
      return pcpu.state.pending.every(isIpi) ? own : null;
    default:
      return null;
  }
}

/** Of the arrival of what waits for a pCPU; null for anything. */
export function reachOfEvent(event: HostEvent): number | null {
  return isIpi(event) ? 1 << event.target : null;
}

/** An inter-processor interrupt only has its pCPU look around. */
const isIpi = ({ kind }: HostEvent) => kind === 'ipi';

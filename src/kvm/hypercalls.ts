// Hypercalls. Linux arch/x86/kvm/x86.c, kvm_emulate_hypercall; include/uapi/linux/kvm_para.h.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { Gpr } from '../isa/index.ts';
import { deliver } from './apic-ipi.ts';
import { schedYield } from './directed-yield.ts';
import type { Vcpu } from './vcpu.ts';

/** Numbers of the hypercalls that exist here. */
export const Hypercall = { VAPIC_POLL_IRQ: 1, KICK_CPU: 5, SCHED_YIELD: 11 } as const;

const ENOSYS = -1000;
const EPERM = -1;

/**
 * Execute the hypercall that the guest's registers ask for, result in RAX. True if the vCPU's
 * thread must give way.
 */
export function hypercall(vcpu: Vcpu, pcpu: Pcpu): boolean {
  const { state } = vcpu.virtual.processor;
  const nr = vcpu.register(Gpr.RAX);
  const a0 = vcpu.register(Gpr.RBX);
  const a1 = vcpu.register(Gpr.RCX);
  const a2 = vcpu.register(Gpr.RDX);
  const a3 = vcpu.register(Gpr.RSI);
  if (pcpu.traced) pcpu.trace('kvm_hypercall', { nr, a0, a1, a2, a3 });
  vcpu.counters.hypercalls++;
  const { result, yields } =
    vcpu.cpl === 0 ? dispatch(vcpu, pcpu, nr, a0, a1) : { result: EPERM, yields: false };
  state.set64(2 * Gpr.RAX, Long.fromInt(result, !vcpu.in64BitMode));
  return yields;
}

interface Outcome {
  readonly result: number;
  readonly yields: boolean;
}

function dispatch(vcpu: Vcpu, pcpu: Pcpu, nr: Long, a0: Long, a1: Long): Outcome {
  if (nr.high !== 0) return { result: ENOSYS, yields: false };
  switch (nr.low) {
    case Hypercall.VAPIC_POLL_IRQ:
      return { result: 0, yields: false };
    case Hypercall.KICK_CPU:
      kick(vcpu, a1.low >>> 0, pcpu);
      return {
        result: 0,
        yields: vcpu.vm.parameters.kickYields && schedYield(vcpu, a1.low >>> 0, pcpu),
      };
    case Hypercall.SCHED_YIELD:
      return { result: 0, yields: schedYield(vcpu, a0.low >>> 0, pcpu) };
    default:
      return { result: ENOSYS, yields: false };
  }
}

/** Make the next HLT of a vCPU end, or the current one; an unknown id is nobody. */
function kick(vcpu: Vcpu, apicId: number, pcpu: Pcpu): void {
  const target = vcpu.vm.vcpuByApicId(apicId);
  if (target === undefined) return;
  deliver(target, { vector: 0, mode: 'Res3', levelTriggered: false, assert: true }, pcpu);
}

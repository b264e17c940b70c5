// Hypercalls. Linux arch/x86/kvm/x86.c, kvm_emulate_hypercall; include/uapi/linux/kvm_para.h.

import type { Pcpu } from '../host/index.ts';
import { Gpr } from '../isa/index.ts';
import { deliver } from './apic-ipi.ts';
import { schedYield } from './directed-yield.ts';
import type { Vcpu } from './vcpu.ts';

/** Numbers of the hypercalls that exist here. */
export const Hypercall = { VAPIC_POLL_IRQ: 1, KICK_CPU: 5, SCHED_YIELD: 11 } as const;

const ENOSYS = -1000;
const EPERM = -1;

const RAX = 2 * Gpr.RAX;

/**
 * Execute the hypercall that the guest's registers ask for, result in RAX. True if the vCPU's
 * thread must give way.
 */
export function hypercall(vcpu: Vcpu, pcpu: Pcpu): boolean {
  const { state } = vcpu.virtual.processor;
  const { words } = state;
  if (pcpu.traced) {
    pcpu.trace('kvm_hypercall', {
      nr: vcpu.register(Gpr.RAX),
      a0: vcpu.register(Gpr.RBX),
      a1: vcpu.register(Gpr.RCX),
      a2: vcpu.register(Gpr.RDX),
      a3: vcpu.register(Gpr.RSI),
    });
  }
  vcpu.counters.hypercalls++;
  const { in64BitMode } = vcpu;
  const { result, yields } = vcpu.cpl === 0 ? dispatch(vcpu, pcpu, words, in64BitMode) : FORBIDDEN;
  words[RAX] = result;
  words[RAX + 1] = in64BitMode ? result >> 31 : 0;
  return yields;
}

interface Outcome {
  readonly result: number;
  readonly yields: boolean;
}

const DONE: Outcome = { result: 0, yields: false };
const YIELDS: Outcome = { result: 0, yields: true };
const UNKNOWN: Outcome = { result: ENOSYS, yields: false };
const FORBIDDEN: Outcome = { result: EPERM, yields: false };

/** @param words the guest's registers: number in RAX, arguments from RBX on */
function dispatch(vcpu: Vcpu, pcpu: Pcpu, words: Int32Array, in64BitMode: boolean): Outcome {
  if (in64BitMode && words[RAX + 1] !== 0) return UNKNOWN;
  switch (words[RAX]) {
    case Hypercall.VAPIC_POLL_IRQ:
      return DONE;
    case Hypercall.KICK_CPU: {
      const apicId = words[2 * Gpr.RCX] >>> 0;
      kick(vcpu, apicId, pcpu);
      return vcpu.vm.parameters.kickYields && schedYield(vcpu, apicId, pcpu) ? YIELDS : DONE;
    }
    case Hypercall.SCHED_YIELD:
      return schedYield(vcpu, words[2 * Gpr.RBX] >>> 0, pcpu) ? YIELDS : DONE;
    default:
      return UNKNOWN;
  }
}

/** Make the next HLT of a vCPU end, or the current one; an unknown id is nobody. */
function kick(vcpu: Vcpu, apicId: number, pcpu: Pcpu): void {
  const target = vcpu.vm.vcpuByApicId(apicId);
  if (target === undefined) return;
  deliver(target, { vector: 0, mode: 'Res3', levelTriggered: false, assert: true }, pcpu);
}

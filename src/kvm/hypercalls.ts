// Hypercalls. Linux arch/x86/kvm/x86.c, kvm_emulate_hypercall; include/uapi/linux/kvm_para.h.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { Gpr } from '../isa/index.ts';
import { interruptCommand, send } from './apic-ipi.ts';
import { guestHasHypercall } from './cpuid.ts';
import { schedYield } from './directed-yield.ts';
import { type LockWaitOutcome, lockWait } from './lock-wait.ts';
import { preemptGrant } from './preempt-grant.ts';
import { BOOT_TIME_SECONDS } from './pv-clock.ts';
import { Hypercall } from './pv-features.ts';
import type { Vcpu } from './vcpu.ts';

/** Errors, as the guest sees them: KVM_ENOSYS and so on, negative. */
const ENOSYS = -1000;
const EOPNOTSUPP = -95;
const EINVAL = -22;
const EFAULT = -14;
const EPERM = -1;

const RAX = 2 * Gpr.RAX;
const RBX = 2 * Gpr.RBX;
const RCX = 2 * Gpr.RCX;

/**
 * Execute the hypercall that the guest's registers ask for, result in RAX. What the vCPU's thread
 * does next: go on, give way, or sleep for 100 us.
 */
export function hypercall(vcpu: Vcpu, pcpu: Pcpu): Outcome['next'] {
  const { words } = vcpu.virtual.processor.state;
  if (pcpu.traced) {
    const nr = vcpu.register(Gpr.RAX);
    pcpu.trace('kvm_hypercall', { nr, ...argumentsOf(vcpu) });
  }
  vcpu.counters.hypercalls++;
  const { result, next } = vcpu.cpl === 0 ? dispatch(vcpu, pcpu) : FORBIDDEN;
  words[RAX] = result;
  words[RAX + 1] = vcpu.in64BitMode ? result >> 31 : 0;
  return next;
}

interface Arguments {
  readonly a0: Long;
  readonly a1: Long;
  readonly a2: Long;
  readonly a3: Long;
}

/** Of the call that the guest's registers ask for. */
function argumentsOf(vcpu: Vcpu): Arguments {
  return {
    a0: vcpu.register(Gpr.RBX),
    a1: vcpu.register(Gpr.RCX),
    a2: vcpu.register(Gpr.RDX),
    a3: vcpu.register(Gpr.RSI),
  };
}

type Outcome = LockWaitOutcome;

const returns = (result: number): Outcome => ({ result, next: 'resume' });

const DONE = returns(0);
const YIELDS: Outcome = { result: 0, next: 'yield' };
const UNKNOWN = returns(ENOSYS);
const FORBIDDEN = returns(EPERM);

function dispatch(vcpu: Vcpu, pcpu: Pcpu): Outcome {
  const { parameters } = vcpu.vm;
  const { words } = vcpu.virtual.processor.state;
  const number = words[RAX];
  const isHuge = vcpu.in64BitMode && words[RAX + 1] !== 0;
  if (isHuge || !guestHasHypercall(vcpu, number)) return UNKNOWN;
  switch (number) {
    case Hypercall.VAPIC_POLL_IRQ:
      return DONE;
    case Hypercall.KICK_CPU: {
      const apicId = words[RCX] >>> 0;
      kick(vcpu, apicId, pcpu);
      return parameters.kickYields && schedYield(vcpu, apicId, pcpu) ? YIELDS : DONE;
    }
    case Hypercall.CLOCK_PAIRING:
      return returns(pairClocks(vcpu, argumentsOf(vcpu), pcpu));
    case Hypercall.SEND_IPI:
      return returns(sendIpis(vcpu, argumentsOf(vcpu), pcpu));
    case Hypercall.SCHED_YIELD:
      return schedYield(vcpu, words[RBX] >>> 0, pcpu) ? YIELDS : DONE;
    case Hypercall.LOCK_WAIT: {
      const { a0: lock, a1: apicId, a2: table } = argumentsOf(vcpu);
      return lockWait(vcpu, pcpu, { lock, apicId, table }) ?? UNKNOWN;
    }
    case Hypercall.PREEMPT_GRANT:
      return preemptGrant(vcpu, pcpu, argumentsOf(vcpu).a0) ?? UNKNOWN;
    default:
      return UNKNOWN;
  }
}

/** Make the next HLT of a vCPU end, or the current one; an unknown id is nobody. */
function kick(vcpu: Vcpu, apicId: number, pcpu: Pcpu): void {
  const target = vcpu.vm.vcpuByApicId(apicId);
  if (target === undefined) return;
  send(target, { vector: 0, mode: 'Res3', levelTriggered: false, assert: true }, pcpu);
}

const LOGICAL = 1 << 11;
const SHORTHAND = 3 << 18;

/**
 * An interrupt for every vCPU whose bit is set in a bitmap of APIC ids: how many took it. The
 * bitmap has a register's width twice. Linux arch/x86/kvm/lapic.c, kvm_pv_send_ipi.
 */
function sendIpis(vcpu: Vcpu, { a0, a1, a2, a3 }: Arguments, pcpu: Pcpu): number {
  if ((a3.low & (LOGICAL | SHORTHAND)) !== 0) return EINVAL;
  const command = interruptCommand(a3.low, 0, true);
  const first = a2.low >>> 0;
  const halfBits = vcpu.in64BitMode ? 64 : 32;
  let count = 0;
  for (const [half, bits] of [a0, a1].entries()) {
    for (let i = 0; i < halfBits; i++) {
      if (bits.shru(i).isEven()) continue;
      const target = vcpu.vm.vcpuByApicId(first + half * halfBits + i);
      if (target?.lapic.isPresent === true && send(target, command, pcpu)) count++;
    }
  }
  return count;
}

/** Bytes of `struct kvm_clock_pairing`: seconds, nanoseconds, TSC, flags, padding. */
const PAIRING_BYTES = 64;
const NS_PER_SECOND = 1e9;

/** The host's wall clock and the guest's TSC of the same moment. */
function pairClocks(vcpu: Vcpu, { a0, a1 }: Arguments, pcpu: Pcpu): number {
  const { vm } = vcpu;
  // Other clocks are not offered, nor a pair without the common base of kvmclock.
  if (!a1.isZero() || vm.runsOldClock) return EOPNOTSUPP;
  if (vm.guestRam(a0, PAIRING_BYTES) === null) return EFAULT;
  const { nowNs } = pcpu;
  const seconds = Math.floor(nowNs / NS_PER_SECOND);
  const fields = [
    Long.fromNumber(BOOT_TIME_SECONDS + seconds),
    Long.fromNumber(nowNs - seconds * NS_PER_SECOND),
    vcpu.guestTsc(pcpu.now),
  ];
  const bytes = new Uint8Array(PAIRING_BYTES);
  fields.forEach((field, i) => {
    bytes.set(field.toBytesLE(), 8 * i);
  });
  vm.writeGuestRam(a0, bytes);
  return 0;
}

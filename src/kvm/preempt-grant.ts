// PREEMPT_GRANT: the host lets a vCPU that holds a lock finish before it preempts it. A hypercall
// of this laboratory, none of Linux's: the second of the three ways that were proposed in 2010 for
// paravirtual locks on KVM. A guest registers a record for each vCPU, in which it says that it
// holds something; the host, about to take the pCPU away, grants so much time, once, and says that
// it wants the pCPU back. The guest's side: guest-programs/locks/defer.inc.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import type { LockWaitOutcome } from './lock-wait.ts';
import type { Vcpu } from './vcpu.ts';

/** Offsets in the record: two words of 32 bits. */
const Record = { HOLD: 0, WANTED: 4, BYTES: 8 } as const;

const EINVAL = -22;
const EFAULT = -14;

/** What the host remembers of a vCPU's record; plain data. */
export interface GrantState {
  /** Guest-physical address, or null if there is none. */
  record: { low: number; high: number } | null;
  /** A preemption has been put off, since the vCPU was switched in. */
  isGiven: boolean;
  /** Id of the timer that ends it, or 0. */
  timer: number;
}

export function noGrant(): GrantState {
  return { record: null, isGiven: false, timer: 0 };
}

/** Name of the handler of the timer that ends a grant. Its interrupt is all that it does. */
export function grantTimerHandler(vcpu: Vcpu): string {
  return `kvm-grant-${vcpu.vm.id}-${vcpu.index}`;
}

/**
 * The hypercall: register the record at an address, which answers how long a grant is in ns; or, by
 * address 0, give way if the pCPU is wanted. Null if the host does not know it.
 */
export function preemptGrant(vcpu: Vcpu, pcpu: Pcpu, address: Long): LockWaitOutcome | null {
  const { vm, state } = vcpu;
  const { preemptGrantNs } = vm.parameters;
  if (preemptGrantNs === 0) return null;
  if (address.isZero()) return { result: 0, next: pcpu.needResched ? 'yield' : 'resume' };
  if (address.low % Record.BYTES !== 0) return { result: EINVAL, next: 'resume' };
  if (vm.guestRam(address, Record.BYTES) === null) return { result: EFAULT, next: 'resume' };
  state.pv.grant.record = { low: address.low, high: address.high };
  return { result: preemptGrantNs, next: 'resume' };
}

/** The scheduler wants the pCPU of a vCPU, in host context: true if it goes on for a while. */
export function defersPreemption(vcpu: Vcpu, pcpu: Pcpu): boolean {
  const { grant } = vcpu.state.pv;
  if (grant.record === null || !isHolding(vcpu)) return false;
  const { timers, frequency } = pcpu.host;
  if (grant.isGiven) {
    if (timers.handlerOf(grant.timer) !== null) return true;
    vcpu.counters.preempt_grants_exceeded++;
    return false;
  }
  const expires = pcpu.now + frequency.toCycles(vcpu.vm.parameters.preemptGrantNs);
  grant.isGiven = true;
  grant.timer = timers.start(grantTimerHandler(vcpu), expires, pcpu);
  vcpu.counters.preempt_grants++;
  setWanted(vcpu, 1);
  return true;
}

/** The scheduler has run, whether or not it has chosen another thread. */
export function endGrant(vcpu: Vcpu): void {
  const { grant } = vcpu.state.pv;
  if (!grant.isGiven) return;
  vcpu.vm.host.timers.cancel(grant.timer);
  grant.isGiven = false;
  grant.timer = 0;
  setWanted(vcpu, 0);
}

function addressOf({ state }: Vcpu): Long {
  const { low, high } = state.pv.grant.record ?? { low: 0, high: 0 };
  return Long.fromBits(low, high, true);
}

function isHolding(vcpu: Vcpu): boolean {
  const record = vcpu.vm.guestRam(addressOf(vcpu), Record.BYTES);
  return record !== null && record.getUint32(Record.HOLD, true) !== 0;
}

function setWanted(vcpu: Vcpu, value: number): void {
  vcpu.vm.writeGuestRam(addressOf(vcpu).add(Record.WANTED), Uint8Array.of(value, 0, 0, 0));
}

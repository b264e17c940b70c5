// LOCK_WAIT: a guest's vCPU has spun long enough for a lock, and asks for help. A hypercall of this
// laboratory, none of Linux's: what the host does is what was proposed from 2010 to 2014 for
// paravirtual locks on KVM, as a switch. The guest's side: guest-programs/locks/host-wait.inc.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { schedYield, vcpuOnSpin } from './directed-yield.ts';
import type { Vcpu } from './vcpu.ts';

/**
 * What the host does: nothing, the call does not exist; put the thread behind all others; look for
 * somebody to yield to, as after a PAUSE-loop exit; let it sleep for 100 us; block it until it is
 * kicked; yield to the vCPU that the caller names, or to the first in its table, if that one waits
 * for a pCPU, else block.
 */
export const LOCK_WAIT_ACTIONS = [
  'none',
  'go-last',
  'directed',
  'sleep-100us',
  'block+kick',
  'hint',
  'list',
] as const;

export type LockWaitAction = (typeof LOCK_WAIT_ACTIONS)[number];

/** Answers to the question what the host does. */
const YIELDS = 0;
const BLOCKS = 1;

const EFAULT = -14;

export interface LockWaitCall {
  /** Address of the lock; 0 for a question. */
  readonly lock: Long;
  /** APIC id of the vCPU that the caller waits for, or -1. */
  readonly apicId: Long;
  /** Guest-physical address of the table of who waits or holds, or 0. */
  readonly table: Long;
}

/** Result of the hypercall, and what the caller's thread does. */
export interface LockWaitOutcome {
  readonly result: number;
  readonly next: 'resume' | 'yield' | 'doze';
}

/** Null if the host does not know the hypercall. */
export function lockWait(vcpu: Vcpu, pcpu: Pcpu, call: LockWaitCall): LockWaitOutcome | null {
  const action = vcpu.vm.parameters.lockWait;
  if (action === 'none' || !vcpu.vm.hasIrqchip) return null;
  if (call.lock.isZero()) return { result: blocks(action) ? BLOCKS : YIELDS, next: 'resume' };
  switch (action) {
    case 'go-last':
      if (pcpu.queue.runningCount === 1) return DONE;
      pcpu.host.scheduler.yieldToLast(pcpu);
      return { result: YIELDS, next: 'yield' };
    case 'directed':
      return { result: YIELDS, next: vcpuOnSpin(vcpu, pcpu, false) };
    case 'sleep-100us':
      return { result: YIELDS, next: 'doze' };
    case 'block+kick':
      return block(vcpu);
    case 'hint':
      return helped(vcpu, pcpu, call.apicId) ? GAVE_WAY : block(vcpu);
    case 'list': {
      const line = lineOf(vcpu, pcpu, call);
      if (line === null) return { result: EFAULT, next: 'resume' };
      return line.some((id) => helped(vcpu, pcpu, id)) ? GAVE_WAY : block(vcpu);
    }
  }
}

const DONE: LockWaitOutcome = { result: YIELDS, next: 'resume' };
const GAVE_WAY: LockWaitOutcome = { result: YIELDS, next: 'yield' };

/** What a guest has to know: whether waiters must be kicked. */
function blocks(action: LockWaitAction): boolean {
  return action === 'block+kick' || action === 'hint' || action === 'list';
}

/** As by HLT: an interrupt that is let in ends it too, and a kick that came before. */
function block(vcpu: Vcpu): LockWaitOutcome {
  vcpu.state.mpState = 'halted';
  return { result: BLOCKS, next: 'resume' };
}

/** True if the caller must give way to that vCPU, which waited for a pCPU. */
function helped(vcpu: Vcpu, pcpu: Pcpu, apicId: Long): boolean {
  return apicId.high === 0 && schedYield(vcpu, apicId.low >>> 0, pcpu);
}

/** Of an entry of the table: address of the lock, place in line; 16 bits of that count. */
const ENTRY_BYTES = 16;
const TICKET = 8;
const TICKETS = 0x10000;

/**
 * APIC ids of the holder and who waits, in the order in which they get the lock; none without a
 * table, null if it is not in memory.
 */
function lineOf(vcpu: Vcpu, pcpu: Pcpu, { lock, table }: LockWaitCall): readonly Long[] | null {
  const { vm } = vcpu;
  if (table.isZero()) return [];
  const view = vm.guestRam(table, ENTRY_BYTES * vm.vcpus.length);
  if (view === null) return null;
  pcpu.spend(vm.vcpus.length * vm.costs.kvm.spinCandidate);
  const ticketOf = (index: number) => view.getUint16(ENTRY_BYTES * index + TICKET, true);
  // Tickets wrap around: each counts by how far it is in front of the caller's.
  const distance = (index: number) => (ticketOf(vcpu.index) - ticketOf(index) + TICKETS) % TICKETS;
  return vm.vcpus
    .map(({ index }) => index)
    .filter((index) => {
      const at = ENTRY_BYTES * index;
      const isHere = lock.eq(Long.fromBits(view.getInt32(at, true), view.getInt32(at + 4, true)));
      return isHere && distance(index) > 0 && distance(index) < TICKETS / 2;
    })
    .sort((a, b) => distance(b) - distance(a))
    .map((index) => Long.fromInt(index));
}

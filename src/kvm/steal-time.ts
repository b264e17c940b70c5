// Steal time: how long a vCPU's thread was runnable without running, and whether it is preempted
// right now, in a record in guest memory. Linux Documentation/virt/kvm/x86/msr.rst, and
// arch/x86/kvm/x86.c, record_steal_time and kvm_steal_time_set_preempted.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { guestPvHas } from './cpuid.ts';
import type { Vcpu } from './vcpu.ts';

/** Offsets in the record, `struct kvm_steal_time`. */
const Record = { STEAL: 0, VERSION: 8, PREEMPTED: 16, BYTES: 64 } as const;

const ENABLED = 1;
const RESERVED = 0x3e;

/** Bits of the byte that says whether a vCPU is preempted. */
const Preempted = { PREEMPTED: 1, FLUSH_TLB: 2 } as const;

/** WRMSR of the steal-time MSR; false for #GP. */
export function writeStealTime(vcpu: Vcpu, value: Long): boolean {
  if ((value.low & RESERVED) !== 0) return false;
  const { pv } = vcpu.state;
  pv.stealTime = { low: value.low, high: value.high };
  if ((value.low & ENABLED) !== 0) pv.stealRequested = true;
  return true;
}

function addressOf(vcpu: Vcpu): Long | null {
  const { low, high } = vcpu.state.pv.stealTime;
  return (low & ENABLED) === 0 ? null : Long.fromBits(low & ~ENABLED, high, true);
}

/** The vCPU is loaded on a pCPU: its record is due before the next entry. */
export function requestStealUpdate(vcpu: Vcpu): void {
  const { pv } = vcpu.state;
  pv.stealRequested = (pv.stealTime.low & ENABLED) !== 0;
}

/** KVM_REQ_STEAL_UPDATE: bring the record up to date. */
export function recordStealTime(vcpu: Vcpu, pcpu: Pcpu): void {
  const { vm, thread } = vcpu;
  const { pv } = vcpu.state;
  pv.stealRequested = false;
  const gpa = addressOf(vcpu);
  const record = gpa === null ? null : vm.guestRam(gpa, Record.BYTES);
  if (gpa === null || record === null) return;
  if (guestPvHas(vcpu, 'pv_tlb_flush')) {
    // The TLB follows the page tables by itself, so that there is nothing to flush.
    const flush = (record.getUint8(Record.PREEMPTED) & Preempted.FLUSH_TLB) !== 0;
    if (pcpu.traced) pcpu.trace('kvm_pv_tlb_flush', { vcpu: vcpu.index, flush });
  }
  pv.isMarkedPreempted = false;
  const { runDelayNs } = thread.state;
  const stolen = Long.fromNumber(runDelayNs - pv.lastRunDelayNs, true);
  pv.lastRunDelayNs = runDelayNs;
  const old = Long.fromBits(record.getInt32(0, true), record.getInt32(4, true), true);
  const steal = old.add(stolen);
  const version = record.getUint32(Record.VERSION, true);
  const write = new DataView(new ArrayBuffer(Record.PREEMPTED + 1));
  write.setInt32(Record.STEAL, steal.low, true);
  write.setInt32(Record.STEAL + 4, steal.high, true);
  // Odd while it is written, which nobody can see here: an update takes no time.
  write.setUint32(Record.VERSION, version + (version & 1) + 2, true);
  vm.writeGuestRam(gpa, new Uint8Array(write.buffer));
}

/** The vCPU was switched out while it was runnable: other vCPUs can see that, if they are told. */
export function markPreempted(vcpu: Vcpu): void {
  const { vm, state, counters } = vcpu;
  const { preemptedFlag } = vm.parameters;
  if (preemptedFlag === 'never') return;
  if (preemptedFlag === 'interrupt' && !state.atInstructionBoundary) {
    counters.preemption_other++;
    return;
  }
  counters.preemption_reported++;
  const gpa = addressOf(vcpu);
  if (gpa === null || state.pv.isMarkedPreempted) return;
  if (vm.guestRam(gpa, Record.BYTES) === null) return;
  state.pv.isMarkedPreempted = true;
  vm.writeGuestRam(gpa.add(Record.PREEMPTED), Uint8Array.of(Preempted.PREEMPTED));
}

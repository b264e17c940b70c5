// The MSRs of the paravirtual interface. Linux Documentation/virt/kvm/x86/msr.rst, and
// arch/x86/kvm/x86.c, kvm_set_msr_common and kvm_get_msr_common.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { guestHasMsr } from './cpuid.ts';
import { type GrantState, noGrant } from './preempt-grant.ts';
import { writeSystemTime, writeWallClock } from './pv-clock.ts';
import { writePvEoi } from './pv-eoi.ts';
import { KvmMsr, PV_FEATURE_LIST } from './pv-features.ts';
import { writeStealTime } from './steal-time.ts';
import type { Vcpu } from './vcpu.ts';

/** 64 bits in plain data. */
export interface Halves {
  low: number;
  high: number;
}

/** What a vCPU's guest has told KVM, and what KVM remembers of it; plain data. */
export interface PvState {
  systemTime: Halves;
  stealTime: Halves;
  eoi: Halves;
  /** The guest lets the host poll before it sleeps (POLL_CONTROL bit 0). */
  pollControl: boolean;
  /** KVM_REQ_STEAL_UPDATE. */
  stealRequested: boolean;
  /** The thread's run delay that is in the steal-time record already. */
  lastRunDelayNs: number;
  /** The record says that the vCPU is preempted. */
  isMarkedPreempted: boolean;
  /** The guest may end the interrupt in service by clearing a bit. */
  eoiOffered: boolean;
  grant: GrantState;
}

export function initialPvState(): PvState {
  return {
    systemTime: { low: 0, high: 0 },
    stealTime: { low: 0, high: 0 },
    eoi: { low: 0, high: 0 },
    pollControl: true,
    stealRequested: false,
    lastRunDelayNs: 0,
    isMarkedPreempted: false,
    eoiOffered: false,
    grant: noGrant(),
  };
}

const MSRS: ReadonlySet<number> = new Set(PV_FEATURE_LIST.flatMap(([, { msrs }]) => msrs));

/** True for MSRs of the paravirtual interface, offered or not. */
export function isPvMsr(index: number): boolean {
  return MSRS.has(index);
}

/** RDMSR; null for #GP. */
export function readPvMsr(vcpu: Vcpu, index: number): Long | null {
  const { vm, state } = vcpu;
  if (!guestHasMsr(vcpu, index)) return null;
  switch (index) {
    case KvmMsr.WALL_CLOCK:
    case KvmMsr.WALL_CLOCK_NEW:
      return whole(vm.wallClock);
    case KvmMsr.SYSTEM_TIME:
    case KvmMsr.SYSTEM_TIME_NEW:
      return whole(state.pv.systemTime);
    case KvmMsr.STEAL_TIME:
      return whole(state.pv.stealTime);
    case KvmMsr.PV_EOI_EN:
      return whole(state.pv.eoi);
    case KvmMsr.POLL_CONTROL:
      return Long.fromInt(state.pv.pollControl ? 1 : 0);
    default:
      return null;
  }
}

function whole({ low, high }: Halves): Long {
  return Long.fromBits(low, high);
}

/** WRMSR; false for #GP. */
export function writePvMsr(vcpu: Vcpu, index: number, value: Long, pcpu: Pcpu): boolean {
  if (!guestHasMsr(vcpu, index)) return false;
  switch (index) {
    case KvmMsr.WALL_CLOCK:
    case KvmMsr.WALL_CLOCK_NEW:
      writeWallClock(vcpu, value);
      return true;
    case KvmMsr.SYSTEM_TIME:
    case KvmMsr.SYSTEM_TIME_NEW:
      writeSystemTime(vcpu, index, value, pcpu);
      return true;
    case KvmMsr.STEAL_TIME:
      return writeStealTime(vcpu, value);
    case KvmMsr.PV_EOI_EN:
      return writePvEoi(vcpu, value);
    case KvmMsr.POLL_CONTROL:
      // Only bit 0 exists.
      if (value.high !== 0 || (value.low & ~1) !== 0) return false;
      vcpu.state.pv.pollControl = value.low === 1;
      return true;
    default:
      return false;
  }
}

// kvmclock: the guest computes the time from its TSC and a record that the host keeps up to date
// in guest memory. Linux Documentation/virt/kvm/x86/msr.rst, and arch/x86/kvm/x86.c:
// kvm_guest_time_update, kvm_get_time_scale, kvm_write_wall_clock.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { KvmMsr } from './pv-features.ts';
import type { Vcpu } from './vcpu.ts';

/** What the host's real-time clock shows when a run begins: 2000-01-01, in s since 1970. */
export const BOOT_TIME_SECONDS = 946_684_800;

/** Offsets in the record, `struct pvclock_vcpu_time_info`. */
const Record = {
  VERSION: 0,
  TSC_TIMESTAMP: 8,
  SYSTEM_TIME: 16,
  MULTIPLIER: 24,
  SHIFT: 28,
  FLAGS: 29,
  BYTES: 32,
} as const;

const ENABLED = 1;
const TSC_STABLE = 1;
const GUEST_STOPPED = 2;
const NS_PER_SECOND = 1e9;

/** How to make nanoseconds of cycles: shift, multiply, and drop 32 bits. */
export interface TimeScale {
  /** Bits to shift the cycles left, or right if negative. */
  readonly shift: number;
  /** 32 bits of fraction. */
  readonly multiplier: number;
}

/**
 * The scale for a rate in Hz: halved until it fits 32 bits and is at most 2 GHz, then doubled
 * until it exceeds 1 GHz, so that the multiplier has as many bits as it can.
 */
export function timeScale(hz: number): TimeScale {
  let rate = hz;
  let shift = 0;
  while (rate > 2 * NS_PER_SECOND || rate >= 2 ** 32) {
    rate = Math.floor(rate / 2);
    shift--;
  }
  while (rate <= NS_PER_SECOND) {
    rate *= 2;
    shift++;
  }
  const multiplier = Long.fromNumber(NS_PER_SECOND, true).shl(32).div(Long.fromNumber(rate, true));
  return { shift, multiplier: multiplier.toNumber() };
}

/** WRMSR of a system time MSR: bit 0 says whether there is a record, the rest where. */
export function writeSystemTime(vcpu: Vcpu, msr: number, value: Long, pcpu: Pcpu): void {
  const { vm } = vcpu;
  // A first vCPU that uses the old MSR has the clock before there was a common base for all.
  if (vcpu.index === 0) vm.runsOldClock = msr === KvmMsr.SYSTEM_TIME;
  vcpu.state.pv.systemTime = { low: value.low, high: value.high };
  updateClock(vcpu, pcpu);
}

/**
 * Write a vCPU's record anew, if it has one.
 * @param stopped tell the guest that it was stopped for a while, by a flag that it clears itself
 * @returns whether there is a record
 */
export function updateClock(vcpu: Vcpu, pcpu: Pcpu, stopped = false): boolean {
  const { low, high } = vcpu.state.pv.systemTime;
  if ((low & ENABLED) === 0) return false;
  const { vm } = vcpu;
  const gpa = Long.fromBits(low & ~ENABLED, high, true);
  const record = vm.guestRam(gpa, Record.BYTES);
  if (record === null) return false;
  const { features } = vm.parameters;
  // The common base is the beginning of the run; without it, now.
  const base = vm.runsOldClock ? pcpu.now : 0;
  const timestamp = vcpu.guestTsc(base);
  const systemTime = Long.fromNumber(vm.host.frequency.toNs(base) + vm.clockOffsetNs);
  const { shift, multiplier } = timeScale(vcpu.vm.tscKhz * 1000);
  const isStable = features.clocksource_stable && !vm.runsOldClock;
  const wasStopped = stopped || (record.getUint8(Record.FLAGS) & GUEST_STOPPED) !== 0;
  const flags = (isStable ? TSC_STABLE : 0) | (wasStopped ? GUEST_STOPPED : 0);
  const version = nextVersion(record.getUint32(Record.VERSION, true));
  const write = new DataView(new ArrayBuffer(Record.BYTES));
  write.setUint32(Record.VERSION, version + 2, true);
  write.setInt32(Record.TSC_TIMESTAMP, timestamp.low, true);
  write.setInt32(Record.TSC_TIMESTAMP + 4, timestamp.high, true);
  write.setInt32(Record.SYSTEM_TIME, systemTime.low, true);
  write.setInt32(Record.SYSTEM_TIME + 4, systemTime.high, true);
  write.setUint32(Record.MULTIPLIER, multiplier, true);
  write.setInt8(Record.SHIFT, shift);
  write.setUint8(Record.FLAGS, flags);
  vm.writeGuestRam(gpa, new Uint8Array(write.buffer));
  if (!pcpu.traced) return true;
  pcpu.trace('kvm_pvclock_update', {
    vcpu: vcpu.index,
    version: (version + 2) >>> 0,
    tscTimestamp: timestamp,
    systemTime,
    multiplier,
    shift,
    flags,
  });
  return true;
}

/**
 * The even version before an update; while it is written the version is odd. Nobody can look in
 * between here, as an update takes no time.
 */
function nextVersion(version: number): number {
  return version + (version & 1);
}

/** WRMSR of a wall clock MSR: the time at which kvmclock was 0, once, to where it says. */
export function writeWallClock(vcpu: Vcpu, value: Long): void {
  const { vm } = vcpu;
  vm.wallClock = { low: value.low, high: value.high };
  if (value.isZero()) return;
  const bytes = 12;
  const record = vm.guestRam(value.toUnsigned(), bytes);
  if (record === null) return;
  const version = nextVersion(record.getUint32(0, true)) + 2;
  const write = new DataView(new ArrayBuffer(bytes));
  write.setUint32(0, version, true);
  const seconds = Math.floor(-vm.clockOffsetNs / NS_PER_SECOND);
  write.setUint32(4, BOOT_TIME_SECONDS + seconds, true);
  write.setUint32(8, -vm.clockOffsetNs - seconds * NS_PER_SECOND, true);
  vm.writeGuestRam(value.toUnsigned(), new Uint8Array(write.buffer));
}

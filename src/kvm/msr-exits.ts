// MSRs that the kernel leaves to user space: those that it does not have, that it refuses, or that
// a filter denies (KVM_CAP_X86_USER_SPACE_MSR, KVM_X86_SET_MSR_FILTER). Linux
// arch/x86/kvm/x86.c, kvm_msr_allowed, kvm_msr_user_space and complete_emulated_msr_access.

import Long from 'long';
import { Msr, Vector } from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import { Gpr } from '../isa/index.ts';
import type { KvmExit } from './kvm-exit.ts';
import { readGuestMsr } from './msrs.ts';
import { isPvMsr } from './pv-msrs.ts';
import type { Vcpu } from './vcpu.ts';

/** KVM_MSR_EXIT_REASON_*: what user space wants to hear of, and why it does. */
export const MsrExitReason = { INVAL: 1 << 0, UNKNOWN: 1 << 1, FILTER: 1 << 2 } as const;

/** KVM_MSR_FILTER_*: whether a range says something of reads, and of writes. */
export const MsrFilterFlag = { READ: 1 << 0, WRITE: 1 << 1 } as const;

export interface MsrFilterRange {
  /** Bits of {@link MsrFilterFlag}. */
  readonly flags: number;
  readonly base: number;
  readonly count: number;
  /** A bit for each MSR, set if it is allowed. */
  readonly bitmap: Uint8Array;
}

/** The first range that an MSR lies in decides. */
export interface MsrFilter {
  readonly allowsOthers: boolean;
  readonly ranges: readonly MsrFilterRange[];
}

export type MsrExit = Extract<KvmExit, { reason: 'X86_RDMSR' | 'X86_WRMSR' }>;

const isX2apicMsr = (index: number) => index >= Msr.X2APIC_FIRST && index <= Msr.X2APIC_LAST;

/** Registers of an x2APIC are never filtered. */
export function isMsrAllowed(filter: MsrFilter | null, index: number, write: boolean): boolean {
  if (filter === null || isX2apicMsr(index)) return true;
  const flag = write ? MsrFilterFlag.WRITE : MsrFilterFlag.READ;
  const range = filter.ranges.find(
    ({ base, count, flags }) => index >= base && index < base + count && (flags & flag) !== 0,
  );
  if (range === undefined) return filter.allowsOthers;
  const bit = index - range.base;
  return (range.bitmap[bit >> 3] & (1 << (bit & 7))) !== 0;
}

/** The exit for an access that failed, if user space wants it; else null: it is #GP. */
export function msrExit(vcpu: Vcpu, pcpu: Pcpu, index: number, data: Long | null): MsrExit | null {
  const why = reasonOf(vcpu, pcpu, index, data !== null);
  if ((vcpu.vm.msrExitReasons & why) === 0) return null;
  const common = { why, index, error: 0 };
  if (data === null) return { reason: 'X86_RDMSR', ...common, data: Long.UZERO };
  return { reason: 'X86_WRMSR', ...common, data };
}

function reasonOf(vcpu: Vcpu, pcpu: Pcpu, index: number, write: boolean): number {
  if (!isMsrAllowed(vcpu.vm.msrFilter, index, write)) return MsrExitReason.FILTER;
  const isKnown =
    isX2apicMsr(index) || isPvMsr(index) || (write && readGuestMsr(vcpu, index, pcpu) !== null);
  return isKnown ? MsrExitReason.INVAL : MsrExitReason.UNKNOWN;
}

/** User space has answered. */
export function finishMsr(vcpu: Vcpu, exit: MsrExit): void {
  if (exit.error !== 0) {
    vcpu.queueException(Vector.GP, 0);
    return;
  }
  if (exit.reason === 'X86_RDMSR') {
    const { state } = vcpu.virtual.processor;
    state.set64(2 * Gpr.RAX, Long.fromBits(exit.data.low, 0));
    state.set64(2 * Gpr.RDX, Long.fromBits(exit.data.high, 0));
  }
  vcpu.skipInstruction();
}

// KVM_X86_SET_MSR_FILTER: what may be said of MSRs, and what that means to the kernel. Linux
// arch/x86/kvm/x86.c, kvm_vm_ioctl_set_msr_filter and kvm_add_msr_filter.

import { type MsrFilter, MsrFilterFlag } from '../kvm/index.ts';
import { require } from './errors.ts';

/** KVM_MSR_FILTER_*: of a range, reads and writes; of a filter, whether others are denied. */
export const KVM_MSR_FILTER = { ...MsrFilterFlag, DEFAULT_ALLOW: 0, DEFAULT_DENY: 1 } as const;

export interface KvmMsrFilterRange {
  /** READ and WRITE of {@link KVM_MSR_FILTER}. */
  readonly flags: number;
  readonly nmsrs: number;
  readonly base: number;
  /** A bit for each MSR, set if it is allowed. */
  readonly bitmap: Uint8Array;
}

export interface KvmMsrFilter {
  /** DEFAULT_ALLOW or DEFAULT_DENY of {@link KVM_MSR_FILTER}. */
  readonly flags?: number;
  readonly ranges: readonly KvmMsrFilterRange[];
}

/** KVM_MSR_FILTER_MAX_RANGES, and the bits of KVM_MSR_FILTER_MAX_BITMAP_SIZE. */
const MAX_RANGES = 16;
const MAX_MSRS = 0x600 * 8;

const CALL = 'KVM_X86_SET_MSR_FILTER';

/** Null for one that says nothing. */
export function checkedFilter({ flags = 0, ranges }: KvmMsrFilter): MsrFilter | null {
  const check = (holds: boolean, detail: string) => require(holds, CALL, 'EINVAL', detail);
  check((flags & ~KVM_MSR_FILTER.DEFAULT_DENY) === 0, `flags ${flags} are not known`);
  check(ranges.length <= MAX_RANGES, `at most ${MAX_RANGES} ranges`);
  const allowsOthers = (flags & KVM_MSR_FILTER.DEFAULT_DENY) === 0;
  const used = ranges.filter(({ nmsrs }) => nmsrs > 0);
  check(allowsOthers || used.length > 0, 'a filter without ranges would deny every MSR');
  for (const range of used) {
    const known = MsrFilterFlag.READ | MsrFilterFlag.WRITE;
    const isKnown = range.flags !== 0 && (range.flags & ~known) === 0;
    check(isKnown, `a range is of reads, writes or both, not ${range.flags}`);
    check(range.nmsrs <= MAX_MSRS, `a range has at most ${MAX_MSRS} MSRs`);
    const bytes = Math.ceil(range.nmsrs / 8);
    check(range.bitmap.length >= bytes, `the bitmap of ${range.nmsrs} MSRs has ${bytes} bytes`);
  }
  if (used.length === 0) return null;
  return {
    allowsOthers,
    ranges: used.map(({ flags: of, base, nmsrs, bitmap }) => ({
      flags: of,
      base: base >>> 0,
      count: nmsrs,
      bitmap: bitmap.slice(),
    })),
  };
}

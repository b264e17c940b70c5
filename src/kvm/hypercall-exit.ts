// Hypercalls that the kernel leaves to user space, if that wants them (KVM_CAP_EXIT_HYPERCALL).
// Linux arch/x86/kvm/x86.c, kvm_emulate_hypercall and complete_hypercall_exit.

import Long from 'long';
import { Gpr } from '../isa/index.ts';
import type { KvmExit } from './kvm-exit.ts';
import type { Vcpu } from './vcpu.ts';

/** KVM_HC_MAP_GPA_RANGE, the only one that can be forwarded. */
const MAP_GPA_RANGE = 12;
/** Bits that KVM_CAP_EXIT_HYPERCALL accepts. */
export const FORWARDABLE_HYPERCALLS = 1 << MAP_GPA_RANGE;

const EINVAL = -22;
/** Of VMCALL and of VMMCALL, which may have come here by #UD. */
const LENGTH_BYTES = 3;
const PAGE_SHIFT = 12;
const PAGE_MASK = 0xfff;

/**
 * What to do with the hypercall in the guest's registers: an exit to user space, a result that is
 * known without it, or null if it is the kernel's.
 */
export function forwardedHypercall(vcpu: Vcpu): KvmExit | Long | null {
  const isWanted = (vcpu.vm.forwardedHypercalls & FORWARDABLE_HYPERCALLS) !== 0;
  if (!isWanted || vcpu.cpl > 0 || !vcpu.register(Gpr.RAX).eq(MAP_GPA_RANGE)) return null;
  const args = [Gpr.RBX, Gpr.RCX, Gpr.RDX].map((number) => vcpu.register(number).toUnsigned());
  const [gpa, pageCount] = args;
  const first = gpa.shru(PAGE_SHIFT);
  const isWrong = (gpa.low & PAGE_MASK) !== 0 || first.add(pageCount).lte(first);
  if (isWrong) return Long.fromInt(EINVAL);
  const isLongMode = vcpu.in64BitMode;
  return { reason: 'HYPERCALL', nr: MAP_GPA_RANGE, args, isLongMode, ret: Long.ZERO };
}

/** The result is there: give it to the guest, which goes on behind the hypercall. */
export function finishHypercall(vcpu: Vcpu, result: Long): void {
  const value = vcpu.in64BitMode ? result : Long.fromBits(result.low, 0);
  vcpu.virtual.processor.state.set64(2 * Gpr.RAX, value);
  vcpu.counters.hypercalls++;
  vcpu.skipInstruction(LENGTH_BYTES);
}

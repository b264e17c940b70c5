// KVM's paravirtual features: which there are, by which bit of CPUID leaf 40000001H a guest learns
// of each, and which MSRs and hypercalls belong to it. CPUID, the enforcement of features, the keys
// of scenarios and the documents follow from this table. Linux
// Documentation/virt/kvm/x86/cpuid.rst, msr.rst and hypercalls.rst.

import type { LockWaitAction } from './lock-wait.ts';

/** A feature as the table declares it. */
export interface PvFeature {
  /** Bit of EAX, or of EDX for a hint, in leaf 40000001H. */
  readonly bit: number;
  readonly register: 'eax' | 'edx';
  /** Offered by Linux 6.1 unless somebody says otherwise. */
  readonly byDefault: boolean;
  /** MSRs that raise #GP without it, if features are enforced. */
  readonly msrs: readonly number[];
  /** Hypercalls that fail with -ENOSYS without it, if features are enforced. */
  readonly hypercalls: readonly number[];
  readonly summary: string;
}

/** MSRs of the paravirtual interface. */
export const KvmMsr = {
  WALL_CLOCK: 0x11,
  SYSTEM_TIME: 0x12,
  WALL_CLOCK_NEW: 0x4b564d00,
  SYSTEM_TIME_NEW: 0x4b564d01,
  STEAL_TIME: 0x4b564d03,
  PV_EOI_EN: 0x4b564d04,
  POLL_CONTROL: 0x4b564d05,
} as const;

/** Numbers of the hypercalls that exist here. */
export const Hypercall = {
  VAPIC_POLL_IRQ: 1,
  KICK_CPU: 5,
  CLOCK_PAIRING: 9,
  SEND_IPI: 10,
  SCHED_YIELD: 11,
  /** Of this laboratory: lock-wait.ts. */
  LOCK_WAIT: 0x100,
  /** The same: preempt-grant.ts. */
  PREEMPT_GRANT: 0x101,
} as const;

interface Belongings {
  readonly msrs?: readonly number[];
  readonly hypercalls?: readonly number[];
}

function feature(bit: number, summary: string, belongings: Belongings = {}): PvFeature {
  const { msrs = [], hypercalls = [] } = belongings;
  return { bit, register: 'eax', byDefault: true, msrs, hypercalls, summary };
}

/**
 * Under the names of Linux include/uapi/asm/kvm_para.h, KVM_FEATURE_ left out. Asynchronous page
 * faults (bits 4, 10 and 14) are not offered: host memory is never swapped out here.
 */
export const PV_FEATURES = {
  clocksource: feature(0, 'kvmclock by its first MSRs, 0x11 and 0x12', {
    msrs: [KvmMsr.WALL_CLOCK, KvmMsr.SYSTEM_TIME],
  }),
  nop_io_delay: feature(1, 'no delays are needed between accesses of ports'),
  clocksource2: feature(3, 'kvmclock by MSRs 0x4b564d00 and 0x4b564d01', {
    msrs: [KvmMsr.WALL_CLOCK_NEW, KvmMsr.SYSTEM_TIME_NEW],
  }),
  steal_time: feature(5, 'time stolen from a vCPU, and whether it is preempted', {
    msrs: [KvmMsr.STEAL_TIME],
  }),
  pv_eoi: feature(6, 'end of interrupt without an exit', { msrs: [KvmMsr.PV_EOI_EN] }),
  pv_unhalt: feature(7, 'hypercall KICK_CPU, for locks whose waiters halt', {
    hypercalls: [Hypercall.KICK_CPU],
  }),
  pv_tlb_flush: feature(9, 'a preempted vCPU flushes its TLB when it runs again'),
  pv_send_ipi: feature(11, 'hypercall SEND_IPI, to many vCPUs at once', {
    hypercalls: [Hypercall.SEND_IPI],
  }),
  poll_control: feature(12, 'the guest may switch off halt polling by the host', {
    msrs: [KvmMsr.POLL_CONTROL],
  }),
  pv_sched_yield: feature(13, 'hypercall SCHED_YIELD, to a preempted vCPU', {
    hypercalls: [Hypercall.SCHED_YIELD],
  }),
  clocksource_stable: feature(24, 'kvmclock never goes back from one vCPU to another'),
  realtime: {
    ...feature(0, 'hint: vCPUs are never preempted for long'),
    register: 'edx',
    byDefault: false,
  },
} as const satisfies Readonly<Record<string, PvFeature>>;

export type PvFeatureName = keyof typeof PV_FEATURES;

/** Which features a virtual machine has. */
export type PvFeatures = { readonly [Name in PvFeatureName]: boolean };

/** All features, by name; each is only a {@link PvFeature} here. */
export const PV_FEATURE_LIST = Object.entries(PV_FEATURES) as readonly (readonly [
  PvFeatureName,
  PvFeature,
])[];

/** What Linux 6.1 offers. */
export const DEFAULT_PV_FEATURES = Object.fromEntries(
  PV_FEATURE_LIST.map(([name, { byDefault }]) => [name, byDefault]),
) as PvFeatures;

/** EAX and EDX of CPUID leaf 40000001H. */
export function featureBits(features: PvFeatures, register: 'eax' | 'edx'): number {
  return PV_FEATURE_LIST.reduce((bits, [name, declared]) => {
    return features[name] && declared.register === register ? bits | (1 << declared.bit) : bits;
  }, 0);
}

/** The feature that an MSR belongs to, or undefined. */
export function featureOfMsr(msr: number): PvFeatureName | undefined {
  return PV_FEATURE_LIST.find(([, { msrs }]) => msrs.includes(msr))?.[0];
}

/** The same for a hypercall. */
export function featureOfHypercall(number: number): PvFeatureName | undefined {
  return PV_FEATURE_LIST.find(([, { hypercalls }]) => hypercalls.includes(number))?.[0];
}

/** When a guest finds its vCPU marked as preempted in its steal-time record. */
export const PREEMPTED_FLAGS = ['never', 'always', 'interrupt'] as const;

/** Opcodes that KVM executes as hypercalls: that of Intel's processors, and that of AMD's. */
export const HYPERCALL_OPCODES = ['vmcall', 'vmmcall'] as const;

/** What is decided about the paravirtual interface for each virtual machine. */
export interface PvParameters {
  readonly features: PvFeatures;
  /** KVM_CAP_ENFORCE_PV_FEATURE_CPUID: what is not offered does not work either. */
  readonly enforcePvFeatures: boolean;
  /**
   * `never` before Linux 4.10; `always` up to 5.18, whenever a vCPU is switched out while runnable;
   * `interrupt` since, only if an interrupt of the host did that.
   */
  readonly preemptedFlag: (typeof PREEMPTED_FLAGS)[number];
  /** The opcode that is a hypercall; the other one is rewritten to it where it stands. */
  readonly hypercallOpcode: (typeof HYPERCALL_OPCODES)[number];
  /** KVM_X86_QUIRK_FIX_HYPERCALL_INSN: rewrite the other opcode, instead of #UD. */
  readonly fixHypercallOpcode: boolean;
  /** What the hypercall LOCK_WAIT does. */
  readonly lockWait: LockWaitAction;
  /** How long, in ns, a vCPU that says that it holds a lock is not preempted; 0: it is at once. */
  readonly preemptGrantNs: number;
}

export const DEFAULT_PV_PARAMETERS: PvParameters = {
  features: DEFAULT_PV_FEATURES,
  enforcePvFeatures: false,
  preemptedFlag: 'interrupt',
  hypercallOpcode: 'vmcall',
  fixHypercallOpcode: true,
  lockWait: 'none',
  preemptGrantNs: 0,
};

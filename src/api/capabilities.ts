// KVM_CHECK_EXTENSION: what is there, by the numbers of Linux include/uapi/linux/kvm.h. What is not
// in the table gives 0, as an unknown capability does.

import { DISABLE_EXITS, MAX_IRQ_ROUTES } from '../kvm/index.ts';
import { SYNC_FIELDS } from './sync-regs.ts';

/** KVM_CLOCK_TSC_STABLE: all vCPUs see the same clock; the flag of KVM_GET_CLOCK. */
export const KVM_CLOCK_TSC_STABLE = 2;
/** vCPUs of one virtual machine at most; KVM_CAP_NR_VCPUS and KVM_CAP_MAX_VCPUS. */
export const MAX_VCPUS = 64;
/** Ids below this; KVM_CAP_MAX_VCPU_ID. */
export const MAX_VCPU_ID = 255;
/** Slots that user space may use. */
export const MEMORY_SLOTS = 509;

type Line = readonly [name: string, number: number, value: number];

const LINES = [
  ['IRQCHIP', 0, 1],
  ['HLT', 1, 1],
  ['USER_MEMORY', 3, 1],
  ['SET_TSS_ADDR', 4, 1],
  ['EXT_CPUID', 7, 1],
  ['CLOCKSOURCE', 8, 1],
  ['NR_VCPUS', 9, MAX_VCPUS],
  ['NR_MEMSLOTS', 10, MEMORY_SLOTS],
  ['MP_STATE', 14, 1],
  // The page of the ring.
  ['COALESCED_MMIO', 15, 2],
  ['SYNC_MMU', 16, 1],
  ['DESTROY_MEMORY_REGION_WORKS', 21, 1],
  ['SET_GUEST_DEBUG', 23, 1],
  ['IRQ_ROUTING', 25, MAX_IRQ_ROUTES],
  ['JOIN_MEMORY_REGIONS_WORKS', 30, 1],
  ['IRQFD', 32, 1],
  ['REINJECT_CONTROL', 24, 1],
  ['PIT2', 33, 1],
  ['SET_BOOT_CPU_ID', 34, 1],
  ['IOEVENTFD', 36, 1],
  ['PIT_STATE2', 35, 1],
  ['SET_IDENTITY_MAP_ADDR', 37, 1],
  ['ADJUST_CLOCK', 39, KVM_CLOCK_TSC_STABLE],
  ['INTERNAL_ERROR_DATA', 40, 1],
  ['VCPU_EVENTS', 41, 1],
  ['DEBUGREGS', 50, 1],
  ['ENABLE_CAP', 54, 1],
  ['TSC_CONTROL', 60, 1],
  ['GET_TSC_KHZ', 61, 1],
  ['MAX_VCPUS', 66, MAX_VCPUS],
  ['TSC_DEADLINE_TIMER', 72, 1],
  ['SYNC_REGS', 74, SYNC_FIELDS],
  ['KVMCLOCK_CTRL', 76, 1],
  ['SIGNAL_MSI', 77, 1],
  ['READONLY_MEM', 81, 1],
  ['IRQFD_RESAMPLE', 82, 1],
  ['CHECK_EXTENSION_VM', 105, 1],
  ['IOEVENTFD_ANY_LENGTH', 122, 1],
  ['MAX_VCPU_ID', 128, MAX_VCPU_ID],
  ['IMMEDIATE_EXIT', 136, 1],
  ['X86_DISABLE_EXITS', 143, DISABLE_EXITS.HLT | DISABLE_EXITS.PAUSE],
  ['COALESCED_PIO', 162, 1],
  ['MANUAL_DIRTY_LOG_PROTECT2', 168, 3],
  ['HALT_POLL', 182, 1],
  ['X86_USER_SPACE_MSR', 188, 1],
  ['X86_MSR_FILTER', 189, 1],
  ['ENFORCE_PV_FEATURE_CPUID', 190, 1],
  ['EXIT_HYPERCALL', 201, 1 << 12],
] as const satisfies readonly Line[];

export type CapabilityName = (typeof LINES)[number][0];

/** Numbers by name, without KVM_CAP_. */
export const KVM_CAP = Object.fromEntries(LINES.map(([name, number]) => [name, number])) as {
  readonly [Name in CapabilityName]: number;
};

/** What KVM_CHECK_EXTENSION gives for a capability, by number or name: 0 for what is not there. */
export function extensionValue(capability: number | string): number {
  const name = typeof capability === 'string' ? capability.replace(/^KVM_CAP_/, '') : capability;
  return LINES.find((line) => line[0] === name || line[1] === name)?.[2] ?? 0;
}

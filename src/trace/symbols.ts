// Names that tracepoints show for numbers: what the kernel gives to __print_symbolic. Exceptions
// and exit reasons are named by the rooms that define them. Linux include/uapi/linux/kvm.h,
// arch/x86/include/asm/apicdef.h, arch/x86/kvm/trace.h.

import { VECTOR_NAMES } from '../cpu/index.ts';
import { EXIT_REASONS } from '../vmx/index.ts';

/** Numbers by name. */
export type SymbolTable = Readonly<Record<string, number>>;

/** Delivery modes of interrupts, ICR bits 10:8. SDM 3, "Interrupt Command Register (ICR)". */
export const DELIVERY_MODES = [
  'Fixed',
  'LowPrio',
  'SMI',
  'Res3',
  'NMI',
  'INIT',
  'SIPI',
  'ExtINT',
] as const;

/** Destination shorthands, ICR bits 19:18. */
export const SHORTHANDS = ['dst', 'self', 'all', 'all-but-self'] as const;

/** Interrupt controllers, KVM_IRQCHIP_ left out. */
export const IRQCHIPS = ['PIC master', 'PIC slave', 'IOAPIC'] as const;

/** Register offsets in the xAPIC page; the x2APIC MSR is 800H + offset / 16. */
export const ApicRegister = {
  ID: 0x20,
  LVR: 0x30,
  TASKPRI: 0x80,
  PROCPRI: 0xa0,
  EOI: 0xb0,
  LDR: 0xd0,
  DFR: 0xe0,
  SPIV: 0xf0,
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  ICR: 0x300,
  ICR2: 0x310,
  LVTT: 0x320,
  LVTTHMR: 0x330,
  LVTPC: 0x340,
  LVT0: 0x350,
  LVT1: 0x360,
  LVTERR: 0x370,
  TMICT: 0x380,
  TMCCT: 0x390,
  TDCR: 0x3e0,
  SELF_IPI: 0x3f0,
} as const;

/** Why KVM_RUN returns to user space, KVM_EXIT_ left out. */
export const KVM_EXIT_REASONS = {
  UNKNOWN: 0,
  EXCEPTION: 1,
  IO: 2,
  HYPERCALL: 3,
  DEBUG: 4,
  HLT: 5,
  MMIO: 6,
  IRQ_WINDOW_OPEN: 7,
  SHUTDOWN: 8,
  FAIL_ENTRY: 9,
  INTR: 10,
  SET_TPR: 11,
  TPR_ACCESS: 12,
  NMI: 16,
  INTERNAL_ERROR: 17,
  SYSTEM_EVENT: 24,
  IOAPIC_EOI: 26,
  X86_RDMSR: 29,
  X86_WRMSR: 30,
} as const;

/** Kinds of kvm_mmio. */
export const MMIO_KINDS = ['unsatisfied-read', 'read', 'write'] as const;

/** States of a task that is switched out; + marks one that would rather have gone on. */
export const TASK_STATES = {
  R: 0,
  S: 1,
  D: 2,
  T: 4,
  t: 8,
  X: 0x10,
  Z: 0x20,
  P: 0x40,
  I: 0x80,
  'R+': 0x100,
} as const;

/** The same before 4.14, without the bit of who was preempted, which moved. */
export const OLD_TASK_STATES = { R: 0, S: 1, D: 2, T: 4, t: 8, Z: 0x10, X: 0x20 } as const;

/** Numbers of basic exit reasons, EXIT_REASON_ left out. */
export const EXIT_REASON_NUMBERS: SymbolTable = Object.fromEntries(
  EXIT_REASONS.map(({ name, number }) => [name, number]),
);

/** Vectors of exceptions by the SDM's mnemonics, such as #GP. */
export const EXCEPTION_VECTORS: SymbolTable = Object.fromEntries(
  [...VECTOR_NAMES].map(([vector, name]) => [name, vector]),
);

/** The table of names that count from zero. */
export function counted<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name, i) => [name, i])) as Record<Name, number>;
}

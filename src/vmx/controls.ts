// The control words and which of their bits are offered. SDM 3, "VM-Execution Control Fields",
// "VM-Exit Control Fields", "VM-Entry Control Fields", and "Default1 Classes".

import type { FieldName } from './fields.ts';

/** Bit number, the SDM's name, and whether this processor offers the control. */
type ControlBit = readonly [bit: number, title: string, offered: boolean];

export interface ControlWord {
  readonly field: FieldName;
  /** Bits that are 1 on every processor, by the MSR without TRUE in its name. */
  readonly default1: number;
  /** Bits that must be 1 by the TRUE MSR. */
  readonly mustBe1: number;
  /** Bits that may be 1. */
  readonly allowed1: number;
  readonly bits: readonly { readonly name: string; readonly bit: number; readonly title: string }[];
}

const YES = true;
const NO = false;

/** Masks by name, for code; unknown names do not compile. */
type Masks<T> = { readonly [Name in keyof T]: number };

function declare<const T extends Record<string, ControlBit>>(
  field: FieldName,
  default1: number,
  mustBe1: number,
  bits: T,
): ControlWord & { readonly masks: Masks<T> } {
  const entries = Object.entries(bits);
  const offered = entries.filter(([, [, , isOffered]]) => isOffered);
  return {
    field,
    default1,
    mustBe1,
    allowed1: offered.reduce((mask, [, [bit]]) => mask | (1 << bit), default1),
    bits: entries.map(([name, [bit, title]]) => ({ name, bit, title })),
    masks: Object.fromEntries(entries.map(([name, [bit]]) => [name, 1 << bit])) as Masks<T>,
  };
}

export const PIN_BASED = declare('PIN_BASED_VM_EXEC_CONTROL', 0x16, 0x16, {
  EXT_INTR_MASK: [0, 'External-interrupt exiting', YES],
  NMI_EXITING: [3, 'NMI exiting', YES],
  VIRTUAL_NMIS: [5, 'Virtual NMIs', YES],
  VMX_PREEMPTION_TIMER: [6, 'Activate VMX-preemption timer', YES],
  POSTED_INTR: [7, 'Process posted interrupts', NO],
});

export const PRIMARY = declare('CPU_BASED_VM_EXEC_CONTROL', 0x0401e172, 0x04006172, {
  INTR_WINDOW_EXITING: [2, 'Interrupt-window exiting', YES],
  USE_TSC_OFFSETTING: [3, 'Use TSC offsetting', YES],
  HLT_EXITING: [7, 'HLT exiting', YES],
  INVLPG_EXITING: [9, 'INVLPG exiting', YES],
  MWAIT_EXITING: [10, 'MWAIT exiting', YES],
  RDPMC_EXITING: [11, 'RDPMC exiting', YES],
  RDTSC_EXITING: [12, 'RDTSC exiting', YES],
  CR3_LOAD_EXITING: [15, 'CR3-load exiting', YES],
  CR3_STORE_EXITING: [16, 'CR3-store exiting', YES],
  CR8_LOAD_EXITING: [19, 'CR8-load exiting', YES],
  CR8_STORE_EXITING: [20, 'CR8-store exiting', YES],
  TPR_SHADOW: [21, 'Use TPR shadow', YES],
  NMI_WINDOW_EXITING: [22, 'NMI-window exiting', YES],
  MOV_DR_EXITING: [23, 'MOV-DR exiting', YES],
  UNCOND_IO_EXITING: [24, 'Unconditional I/O exiting', YES],
  USE_IO_BITMAPS: [25, 'Use I/O bitmaps', YES],
  MONITOR_TRAP_FLAG: [27, 'Monitor trap flag', YES],
  USE_MSR_BITMAPS: [28, 'Use MSR bitmaps', YES],
  MONITOR_EXITING: [29, 'MONITOR exiting', YES],
  PAUSE_EXITING: [30, 'PAUSE exiting', YES],
  ACTIVATE_SECONDARY_CONTROLS: [31, 'Activate secondary controls', YES],
});

export const SECONDARY = declare('SECONDARY_VM_EXEC_CONTROL', 0, 0, {
  VIRTUALIZE_APIC_ACCESSES: [0, 'Virtualize APIC accesses', YES],
  ENABLE_EPT: [1, 'Enable EPT', YES],
  DESC: [2, 'Descriptor-table exiting', YES],
  ENABLE_RDTSCP: [3, 'Enable RDTSCP', YES],
  VIRTUALIZE_X2APIC_MODE: [4, 'Virtualize x2APIC mode', NO],
  ENABLE_VPID: [5, 'Enable VPID', YES],
  WBINVD_EXITING: [6, 'WBINVD exiting', YES],
  UNRESTRICTED_GUEST: [7, 'Unrestricted guest', YES],
  PAUSE_LOOP_EXITING: [10, 'PAUSE-loop exiting', YES],
  ENABLE_INVPCID: [12, 'Enable INVPCID', YES],
  TSC_SCALING: [25, 'Use TSC scaling', YES],
});

export const EXIT_CONTROLS = declare('VM_EXIT_CONTROLS', 0x00036dff, 0x00036dfb, {
  SAVE_DEBUG_CONTROLS: [2, 'Save debug controls', YES],
  HOST_ADDR_SPACE_SIZE: [9, 'Host address-space size', YES],
  ACK_INTR_ON_EXIT: [15, 'Acknowledge interrupt on exit', YES],
  SAVE_IA32_PAT: [18, 'Save IA32_PAT', YES],
  LOAD_IA32_PAT: [19, 'Load IA32_PAT', YES],
  SAVE_IA32_EFER: [20, 'Save IA32_EFER', YES],
  LOAD_IA32_EFER: [21, 'Load IA32_EFER', YES],
  SAVE_VMX_PREEMPTION_TIMER: [22, 'Save VMX-preemption timer value', YES],
});

export const ENTRY_CONTROLS = declare('VM_ENTRY_CONTROLS', 0x000011ff, 0x000011fb, {
  LOAD_DEBUG_CONTROLS: [2, 'Load debug controls', YES],
  IA32E_MODE: [9, 'IA-32e mode guest', YES],
  LOAD_IA32_PAT: [14, 'Load IA32_PAT', YES],
  LOAD_IA32_EFER: [15, 'Load IA32_EFER', YES],
});

/** The words by the kernel's names of their masks. */
export const Pin = PIN_BASED.masks;
export const Primary = PRIMARY.masks;
export const Secondary = SECONDARY.masks;
export const ExitControl = EXIT_CONTROLS.masks;
export const EntryControl = ENTRY_CONTROLS.masks;

/**
 * Execution controls that only make more exits happen, so that a host may ask for any of them
 * without otherwise behaving in another way.
 */
export const EXTRA_EXITS = [
  'INVLPG_EXITING',
  'RDTSC_EXITING',
  'CR3_LOAD_EXITING',
  'CR3_STORE_EXITING',
  'PAUSE_EXITING',
  'DESC',
  'WBINVD_EXITING',
] as const satisfies readonly (keyof typeof Primary | keyof typeof Secondary)[];

export type ExtraExit = (typeof EXTRA_EXITS)[number];

/** The bits of a control word among controls that are named. */
export function controlBits({ bits }: ControlWord, names: readonly string[]): number {
  return bits.reduce((mask, { name, bit }) => (names.includes(name) ? mask | (1 << bit) : mask), 0);
}

export const CONTROL_WORDS: readonly ControlWord[] = [
  PIN_BASED,
  PRIMARY,
  SECONDARY,
  EXIT_CONTROLS,
  ENTRY_CONTROLS,
];

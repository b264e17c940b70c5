// Guest state of a VMX bench for guests outside IA-32e mode; what a test writes on top of a VMCS
// that is valid for a 64-bit guest.

import { Secondary } from '../../src/vmx/index.ts';
import { Controls } from './valid-vmcs.ts';
import type { FieldValues } from './vmx-bench.ts';

const IA32E_MODE = 0x200;
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const;

export const Cr0 = { PE: 1, ET: 0x10, NE: 0x20, WP: 0x10000, PG: 2 ** 31 } as const;
export const Cr4 = { PSE: 0x10, PAE: 0x20, VMXE: 0x2000 } as const;

/** The same parts of all six segments. */
function segments(parts: (name: string) => FieldValues): FieldValues {
  return Object.assign({}, ...SEGMENTS.map(parts)) as FieldValues;
}

const OUTSIDE_LONG_MODE: FieldValues = {
  VM_ENTRY_CONTROLS: Controls.ENTRY - IA32E_MODE,
  GUEST_IA32_EFER: 0,
};

export const UNRESTRICTED: FieldValues = {
  SECONDARY_VM_EXEC_CONTROL: Controls.SECONDARY | Secondary.UNRESTRICTED_GUEST,
};

/** Flat 32-bit protected mode with 32-bit paging, which needs no unrestricted guest. */
export const PAGED: FieldValues = {
  ...OUTSIDE_LONG_MODE,
  GUEST_CR0: Cr0.PE + Cr0.ET + Cr0.NE + Cr0.PG,
  GUEST_CR4: Cr4.VMXE | Cr4.PSE,
  GUEST_CS_AR_BYTES: 0xc09b,
};

export const PAE_PAGED: FieldValues = { ...PAGED, GUEST_CR4: Cr4.VMXE | Cr4.PAE };

/** Flat 32-bit protected mode without paging. */
export const PROTECTED: FieldValues = {
  ...PAGED,
  ...UNRESTRICTED,
  GUEST_CR0: Cr0.PE + Cr0.ET + Cr0.NE,
};

/** Real mode, all segments at 0. */
export const REAL: FieldValues = {
  ...PROTECTED,
  ...segments((name) => ({
    [`GUEST_${name}_SELECTOR`]: 0,
    [`GUEST_${name}_BASE`]: 0,
    [`GUEST_${name}_LIMIT`]: 0xffff,
    [`GUEST_${name}_AR_BYTES`]: name === 'CS' ? 0x9b : 0x93,
  })),
  GUEST_CR0: Cr0.ET + Cr0.NE,
  GUEST_IDTR_BASE: 0,
  GUEST_IDTR_LIMIT: 0x3ff,
  GUEST_RSP: 0x8000,
};

/** Virtual-8086 mode under 32-bit paging, all segments at 0x1000. */
export const VIRTUAL_8086: FieldValues = {
  ...PAGED,
  ...segments((name) => ({
    [`GUEST_${name}_SELECTOR`]: 0x100,
    [`GUEST_${name}_BASE`]: 0x1000,
    [`GUEST_${name}_LIMIT`]: 0xffff,
    [`GUEST_${name}_AR_BYTES`]: 0xf3,
  })),
  GUEST_RFLAGS: 0x20002,
};

// Bits of CR0 and CR4 that VMX operation fixes, and bits of EFER that exist.
// SDM 3, "VMX-Fixed Bits in CR0", "VMX-Fixed Bits in CR4", and "Extended Feature Enable Register".

import type Long from 'long';
import { CR4_ALLOWED, Cr0, Cr4, Efer } from '../cpu/index.ts';

export const CR0_FIXED_1 = Cr0.PE | Cr0.NE | Cr0.PG;
/** PE and PG are an unrestricted guest's own. */
export const UNRESTRICTED_CR0_FIXED_1 = Cr0.NE;
export const CR4_FIXED_1 = Cr4.VMXE;

const EFER_DEFINED = Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE;

/** @param fixed bits that must be 1 */
export function isCr0Supported({ low, high }: Long, fixed: number): boolean {
  return (low & fixed) === fixed && high === 0;
}

export function isCr4Supported({ low, high }: Long): boolean {
  return (low & CR4_FIXED_1) === CR4_FIXED_1 && (low & ~CR4_ALLOWED) === 0 && high === 0;
}

/** No reserved bit of EFER is set. */
export function isEferDefined({ low, high }: Long): boolean {
  return (low & ~EFER_DEFINED) === 0 && high === 0;
}

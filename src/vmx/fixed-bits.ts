// Bits of CR0 and CR4 that VMX operation fixes.
// SDM 3, "VMX-Fixed Bits in CR0" and "VMX-Fixed Bits in CR4".

import { Cr0, Cr4 } from '../cpu/index.ts';

export const CR0_FIXED_1 = Cr0.PE | Cr0.NE | Cr0.PG;
export const CR4_FIXED_1 = Cr4.VMXE;

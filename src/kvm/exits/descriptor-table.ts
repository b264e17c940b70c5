// LGDT, SGDT, LLDT, SLDT and their kin, where somebody wants to see them: done for the guest. Linux
// arch/x86/kvm/vmx/vmx.c, handle_desc.

import { emulateInstruction } from '../emulate.ts';
import type { ExitHandler } from './handler.ts';

export const descriptorTable: ExitHandler = (vcpu, pcpu) =>
  emulateInstruction(vcpu, pcpu) ?? 'resume';

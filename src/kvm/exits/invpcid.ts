// INVPCID under "INVLPG exiting": done for the guest, with the #GP of a wrong type or descriptor.
// Linux arch/x86/kvm/vmx/vmx.c, handle_invpcid.

import { emulateInstruction } from '../emulate.ts';
import type { ExitHandler } from './handler.ts';

export const invpcid: ExitHandler = (vcpu, pcpu) => emulateInstruction(vcpu, pcpu) ?? 'resume';

// VMX instructions: guests are not offered VMX, so to them they are undefined. Linux
// arch/x86/kvm/vmx/vmx.c, handle_vmx_instruction.

import { Vector } from '../../cpu/index.ts';
import type { ExitHandler } from './handler.ts';

export const vmxInstruction: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  vcpu.queueException(Vector.UD);
  return 'resume';
};

// VMCALL: a hypercall, unless the virtual machine is as on AMD's processors, where it is undefined.
// Deviation: those have no exit for it but that of #UD.

import { foreignHypercall, nativeHypercall } from '../hypercall-opcodes.ts';
import type { ExitHandler } from './handler.ts';

export const vmcall: ExitHandler = (vcpu, pcpu) => {
  if (vcpu.vm.parameters.hypercallOpcode === 'vmcall') return nativeHypercall(vcpu, pcpu);
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  return foreignHypercall(vcpu);
};

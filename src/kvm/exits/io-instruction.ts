// IN and OUT: no port is in the kernel, so user space has to deal with them. Linux
// arch/x86/kvm/x86.c, kvm_fast_pio. The instruction is completed when user space runs the vCPU
// again.

import { Gpr } from '../../isa/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import type { ExitHandler } from './handler.ts';

const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');

export const ioInstruction: ExitHandler = (vcpu, pcpu) => {
  const qualification = vcpu.virtual.vmcs.get32(QUALIFICATION);
  const sizeBytes = (qualification & 7) + 1;
  const isIn = (qualification & (1 << 3)) !== 0;
  const port = qualification >>> 16;
  const rax = vcpu.virtual.processor.state.get64(2 * Gpr.RAX).low;
  const data = isIn ? 0 : sizeBytes === 4 ? rax >>> 0 : rax & (2 ** (8 * sizeBytes) - 1);
  vcpu.counters.io_exits++;
  if (pcpu.traced && !isIn) {
    pcpu.trace('kvm_pio', { write: true, port, size: sizeBytes, count: 1, value: data });
  }
  vcpu.state.completion = isIn ? 'in' : 'out';
  return { reason: 'IO', direction: isIn ? 'in' : 'out', port, sizeBytes, data };
};

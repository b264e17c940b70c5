// IN, OUT, INS and OUTS: no port is in the kernel, so user space has to deal with them. Linux
// arch/x86/kvm/vmx/vmx.c, handle_io, and x86.c, kvm_fast_pio. IN and OUT are completed when user
// space runs the vCPU again; the strings go through the emulator, an element at a time.

import { Gpr } from '../../isa/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { emulateRepeatedly, tracePort } from '../emulate.ts';
import type { ExitHandler } from './handler.ts';

const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');
const STRING = 1 << 4;

export const ioInstruction: ExitHandler = (vcpu, pcpu) => {
  const qualification = vcpu.virtual.vmcs.get32(QUALIFICATION);
  if ((qualification & STRING) !== 0) return emulateRepeatedly(vcpu, pcpu) ?? 'resume';
  const sizeBytes = (qualification & 7) + 1;
  const isIn = (qualification & (1 << 3)) !== 0;
  const port = qualification >>> 16;
  const rax = vcpu.virtual.processor.state.get64(2 * Gpr.RAX).low;
  const data = isIn ? 0 : sizeBytes === 4 ? rax >>> 0 : rax & (2 ** (8 * sizeBytes) - 1);
  vcpu.counters.io_exits++;
  if (!isIn) tracePort(pcpu, true, port, sizeBytes, data);
  vcpu.state.completion = isIn ? 'in' : 'out';
  return { reason: 'IO', direction: isIn ? 'in' : 'out', port, sizeBytes, data };
};

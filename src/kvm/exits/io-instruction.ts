// IN, OUT, INS and OUTS: what is no port of the interrupt controllers and the interval timer is for
// user space to deal with. Linux arch/x86/kvm/vmx/vmx.c, handle_io, and x86.c, kvm_fast_pio. IN and
// OUT are completed when user space runs the vCPU again; the strings go through the emulator, an
// element at a time.

import Long from 'long';
import type { Pcpu } from '../../host/index.ts';
import { Gpr } from '../../isa/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { emulateRepeatedly } from '../emulate.ts';
import { tracePort } from '../emulation-surroundings.ts';
import type { Irqchip } from '../irqchip.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');
const STRING = 1 << 4;

export const ioInstruction: ExitHandler = (vcpu, pcpu) => {
  const qualification = vcpu.virtual.vmcs.get32(QUALIFICATION);
  if ((qualification & STRING) !== 0) return emulateRepeatedly(vcpu, pcpu) ?? 'resume';
  const sizeBytes = (qualification & 7) + 1;
  const isIn = (qualification & (1 << 3)) !== 0;
  const port = qualification >>> 16;
  const data = isIn ? 0 : accumulator(vcpu, sizeBytes);
  vcpu.counters.io_exits++;
  if (!isIn) tracePort(pcpu, true, port, sizeBytes, data);
  if (vcpu.vm.irqchip?.ownsPort(port)) {
    accessInKernel(vcpu, pcpu, vcpu.vm.irqchip, { isIn, port, sizeBytes, data });
    return 'resume';
  }
  const { ioEvents } = vcpu.vm;
  if (!isIn && ioEvents.write('pio', port, sizeBytes, Long.fromNumber(data), pcpu)) {
    pcpu.spend(vcpu.vm.costs.kvm.handler);
    vcpu.skipInstruction();
    return 'resume';
  }
  vcpu.state.completion = isIn ? 'in' : 'out';
  return { reason: 'IO', direction: isIn ? 'in' : 'out', port, sizeBytes, data };
};

/** AL, AX or EAX. */
function accumulator(vcpu: Vcpu, sizeBytes: number): number {
  const eax = vcpu.virtual.processor.state.words[2 * Gpr.RAX];
  return sizeBytes === 1 ? eax & 0xff : sizeBytes === 2 ? eax & 0xffff : eax >>> 0;
}

interface PortAccess {
  readonly isIn: boolean;
  readonly port: number;
  readonly sizeBytes: number;
  readonly data: number;
}

function accessInKernel(vcpu: Vcpu, pcpu: Pcpu, irqchip: Irqchip, access: PortAccess): void {
  const { isIn, port, sizeBytes, data } = access;
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  if (isIn) {
    const value = irqchip.readPort(port, sizeBytes, pcpu);
    tracePort(pcpu, false, port, sizeBytes, value);
    vcpu.setAccumulator(sizeBytes, value);
  } else irqchip.writePort(port, sizeBytes, data, pcpu);
  vcpu.skipInstruction();
}

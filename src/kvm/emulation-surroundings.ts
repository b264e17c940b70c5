// What surrounds an instruction that is emulated: the virtual processor, but where EPT maps nothing
// there is a device. There is one for each vCPU: an access to the local APIC is an emulation.

import Long from 'long';
import {
  Access,
  type AccessKind,
  type BoundaryOutcome,
  DEVICE,
  type DeliveredEvent,
  EMPTY_PLATFORM,
  NotImplemented,
  OWNER_STOP,
  type Platform,
  type Virtualization,
} from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import { isApicPage, readXapic, writeXapic } from './apic-access.ts';
import type { KvmExit } from './kvm-exit.ts';
import { readAheadCount } from './string-instruction.ts';
import type { Vcpu } from './vcpu.ts';

/** An access that goes to user space. */
export type PendingAccess = Extract<KvmExit, { reason: 'IO' | 'MMIO' }>;

export class EmulationSurroundings implements Virtualization, Platform {
  /** Accesses of the instruction that user space has to make. */
  readonly pending: PendingAccess[] = [];
  /** What user space has answered, in order. */
  private reads: readonly { low: number; high: number }[] = [];
  private readCount = 0;
  private readonly vcpu: Vcpu;
  readonly readMsr = EMPTY_PLATFORM.readMsr;
  readonly writeMsr = EMPTY_PLATFORM.writeMsr;
  readonly cpuid = EMPTY_PLATFORM.cpuid;

  constructor(vcpu: Vcpu) {
    this.vcpu = vcpu;
  }

  /** Get ready for an instruction. */
  begin(reads: readonly { low: number; high: number }[]): void {
    this.pending.length = 0;
    this.reads = reads;
    this.readCount = 0;
  }

  private get pcpu(): Pcpu {
    const { vm, thread } = this.vcpu;
    return vm.host.pcpus[thread.state.pcpu];
  }

  beforePrivilege(): boolean {
    return false;
  }

  intercept(): boolean {
    return false;
  }

  pauses(): null {
    return null;
  }

  delays(): boolean {
    return false;
  }

  exception(event: DeliveredEvent, linear: Long): void {
    this.vcpu.virtual.exception(event, linear);
  }

  tripleFault(): void {
    this.vcpu.virtual.tripleFault();
  }

  taskSwitch(): never {
    throw new NotImplemented('task switch');
  }

  translate(gpa: number, access: AccessKind): number {
    return this.vcpu.vm.ramAt(gpa, access === Access.WRITE) ?? DEVICE;
  }

  iretUnblocksNmis(): boolean {
    return this.vcpu.virtual.iretUnblocksNmis();
  }

  readControl(number: number, real: Long): Long {
    return this.vcpu.virtual.readControl(number, real);
  }

  writeControl(number: number, real: Long, written: Long): Long {
    return this.vcpu.virtual.writeControl(number, real, written);
  }

  timeStamp(clock: number): Long {
    return this.vcpu.virtual.timeStamp(clock);
  }

  boundary(): BoundaryOutcome {
    return 'proceed';
  }

  private takeAnswer(): { low: number; high: number } | undefined {
    return this.reads[this.readCount++];
  }

  portIn(port: number, widthBits: number): number {
    const { vcpu, pcpu } = this;
    const sizeBytes = widthBits / 8;
    const { irqchip } = vcpu.vm;
    if (irqchip?.ownsPort(port)) {
      const data = irqchip.readPort(port, sizeBytes, pcpu);
      tracePort(pcpu, false, port, sizeBytes, data);
      return data;
    }
    const answered = this.takeAnswer()?.low ?? vcpu.user?.readAhead.shift();
    if (answered !== undefined) {
      tracePort(pcpu, false, port, sizeBytes, answered >>> 0);
      return answered >>> 0;
    }
    const aheadCount = readAheadCount(vcpu, sizeBytes);
    this.pending.push({ reason: 'IO', direction: 'in', port, sizeBytes, data: 0, aheadCount });
    throw OWNER_STOP;
  }

  portOut(port: number, widthBits: number, data: number): void {
    const { vcpu, pcpu } = this;
    const sizeBytes = widthBits / 8;
    tracePort(pcpu, true, port, sizeBytes, data);
    const { irqchip } = vcpu.vm;
    if (irqchip?.ownsPort(port)) {
      irqchip.writePort(port, sizeBytes, data, pcpu);
      return;
    }
    const value = Long.fromInt(data, true);
    if (vcpu.vm.ioEvents.write('pio', port, sizeBytes, value, pcpu)) return;
    this.pending.push({ reason: 'IO', direction: 'out', port, sizeBytes, data });
  }

  deviceRead(gpa: number, lengthBytes: number): Long {
    const { vcpu, pcpu } = this;
    const own = readInKernel(vcpu, gpa, pcpu);
    if (own !== null) {
      traceMemory(pcpu, 'read', lengthBytes, gpa, own);
      return own;
    }
    const answered = this.takeAnswer();
    if (answered !== undefined) {
      const data = Long.fromBits(answered.low, answered.high);
      traceMemory(pcpu, 'read', lengthBytes, gpa, data);
      return data;
    }
    this.pending.push({ reason: 'MMIO', isWrite: false, gpa, lengthBytes, data: Long.ZERO });
    throw OWNER_STOP;
  }

  deviceWrite(gpa: number, lengthBytes: number, data: Long): void {
    const { vcpu, pcpu } = this;
    traceMemory(pcpu, 'write', lengthBytes, gpa, data);
    if (writeInKernel(vcpu, gpa, data, pcpu)) return;
    if (vcpu.vm.ioEvents.write('mmio', gpa, lengthBytes, data, pcpu)) return;
    this.pending.push({ reason: 'MMIO', isWrite: true, gpa, lengthBytes, data });
  }
}

/** A read of a device that is in the kernel, or null. */
function readInKernel(vcpu: Vcpu, gpa: number, pcpu: Pcpu): Long | null {
  if (isApicPage(vcpu, gpa)) return readXapic(vcpu, gpa, pcpu);
  const { irqchip } = vcpu.vm;
  return irqchip?.ownsMemory(gpa) ? irqchip.readMemory(gpa, pcpu) : null;
}

/** A write to a device that is in the kernel; false if none is there. */
function writeInKernel(vcpu: Vcpu, gpa: number, value: Long, pcpu: Pcpu): boolean {
  const { irqchip } = vcpu.vm;
  if (isApicPage(vcpu, gpa)) writeXapic(vcpu, gpa, value, pcpu);
  else if (irqchip?.ownsMemory(gpa)) irqchip.writeMemory(gpa, value, pcpu);
  else return false;
  return true;
}

function traceMemory(
  pcpu: Pcpu,
  kind: 'read' | 'write',
  len: number,
  gpa: number,
  value: Long,
): void {
  if (pcpu.traced) pcpu.trace('kvm_mmio', { kind, len, gpa, value });
}

/** As kvm_pio shows an access to a port. */
export function tracePort(
  pcpu: Pcpu,
  isWrite: boolean,
  port: number,
  sizeBytes: number,
  value: number,
): void {
  if (!pcpu.traced) return;
  pcpu.trace('kvm_pio', { write: isWrite, port, size: sizeBytes, count: 1, value });
}

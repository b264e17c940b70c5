// Executing one instruction in software, for accesses to device memory and for INS and OUTS: the
// processor does it, with an owner that lets devices through. A read that user space must answer
// stops the instruction; it is executed again, from the start, when the answer is there. Of a
// repeated instruction, one iteration.

import Long from 'long';
import {
  Access,
  DEVICE,
  EMPTY_PLATFORM,
  OWNER_STOP,
  type Platform,
  Rflags,
  type Virtualization,
  Word,
} from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import { Stale } from '../vmx/index.ts';
import { isApicPage, readXapic, writeXapic } from './apic-access.ts';
import { emulationFailure } from './internal-error.ts';
import type { KvmExit } from './kvm-exit.ts';
import { isRepeatedString, readAheadCount } from './string-instruction.ts';
import type { Vcpu } from './vcpu.ts';

/** An access that goes to user space. */
type Pending = Extract<KvmExit, { reason: 'IO' | 'MMIO' }>;

/** Emulate the instruction at RIP; what user space has to do about it, or null if it is done. */
export function emulateInstruction(vcpu: Vcpu, pcpu: Pcpu): KvmExit | null {
  const { processor } = vcpu.virtual;
  vcpu.counters.insn_emulation++;
  pcpu.spend(vcpu.vm.costs.kvm.emulate);
  const pending: Pending[] = [];
  const reads = [...vcpu.state.answers];
  const rip = vcpu.rip;
  const { words } = processor.state;
  const resume = words[Word.RFLAGS] & Rflags.RF;
  const staysThere = vcpu.user !== null && isRepeatedString(vcpu);
  const stop = processor.stepIn(owner(vcpu), devices(vcpu, pcpu, pending, reads));
  const [access, ...further] = pending;
  if (access !== undefined) {
    vcpu.furtherExits.push(...further);
    // Nothing has happened yet where an input is waited for; an EPT violation has set RF itself.
    if (isOutput(access) && staysThere) stayAt(vcpu, rip);
    else if (access.reason === 'IO') words[Word.RFLAGS] |= resume;
    return toUserSpace(vcpu, access);
  }
  vcpu.state.answers.length = 0;
  if (stop === null) {
    vcpu.virtual.vmcs.makeStale(Stale.GUEST);
    vcpu.finishStep();
    return null;
  }
  const what = stop.kind === 'notImplemented' ? stop.what : stop.kind;
  const message = `emulating an access to a device: ${what}, ${vcpu.place}`;
  return emulationFailure(vcpu, message);
}

/** The same, for as many iterations as user space has given input for. */
export function emulateRepeatedly(vcpu: Vcpu, pcpu: Pcpu): KvmExit | null {
  const { user } = vcpu;
  const rip = vcpu.rip;
  for (let iteration = 0; ; iteration++) {
    const exit = emulateInstruction(vcpu, pcpu);
    if (user === null) return exit;
    const isInTheMiddle = vcpu.rip.eq(rip) && (exit === null || iteration > 0);
    if (isInTheMiddle) stayAt(vcpu, rip);
    else user.readAhead.length = 0;
    if (exit !== null || user.readAhead.length === 0) return exit;
  }
}

/** The iteration is done; whether there is another is found out when the guest runs again. */
function stayAt(vcpu: Vcpu, rip: Long): void {
  const { state } = vcpu.virtual.processor;
  state.set64(Word.RIP, rip);
  state.words[Word.RFLAGS] |= Rflags.RF;
}

function isOutput(access: Pending): boolean {
  return access.reason === 'IO' ? access.direction === 'out' : access.isWrite;
}

/** The virtual processor, but where EPT maps nothing there is a device. */
function owner(vcpu: Vcpu): Virtualization {
  const { virtual, vm } = vcpu;
  return {
    beforePrivilege: () => false,
    intercept: () => false,
    pauses: () => null,
    delays: () => false,
    exception: (event, linear) => virtual.exception(event, linear),
    tripleFault: () => virtual.tripleFault(),
    translate: (gpa, access) => vm.ramAt(gpa, access === Access.WRITE) ?? DEVICE,
    iretUnblocksNmis: () => virtual.iretUnblocksNmis(),
    readControl: (number, real) => virtual.readControl(number, real),
    writeControl: (number, real, written) => virtual.writeControl(number, real, written),
    timeStamp: (clock) => virtual.timeStamp(clock),
    boundary: () => 'proceed',
  };
}

function devices(
  vcpu: Vcpu,
  pcpu: Pcpu,
  pending: Pending[],
  reads: { low: number; high: number }[],
): Platform {
  return {
    ...EMPTY_PLATFORM,
    portIn: (port, widthBits) => {
      const sizeBytes = widthBits / 8;
      const { irqchip } = vcpu.vm;
      if (irqchip?.ownsPort(port)) {
        const data = irqchip.readPort(port, sizeBytes, pcpu);
        tracePort(pcpu, false, port, sizeBytes, data);
        return data;
      }
      const answered = reads.shift()?.low ?? vcpu.user?.readAhead.shift();
      if (answered !== undefined) {
        tracePort(pcpu, false, port, sizeBytes, answered >>> 0);
        return answered >>> 0;
      }
      const aheadCount = readAheadCount(vcpu, sizeBytes);
      pending.push({ reason: 'IO', direction: 'in', port, sizeBytes, data: 0, aheadCount });
      throw OWNER_STOP;
    },
    portOut: (port, widthBits, data) => {
      const sizeBytes = widthBits / 8;
      tracePort(pcpu, true, port, sizeBytes, data);
      const { irqchip } = vcpu.vm;
      if (irqchip?.ownsPort(port)) {
        irqchip.writePort(port, sizeBytes, data, pcpu);
        return;
      }
      const value = Long.fromInt(data, true);
      if (vcpu.vm.ioEvents.write('pio', port, sizeBytes, value, pcpu)) return;
      pending.push({ reason: 'IO', direction: 'out', port, sizeBytes, data });
    },
    deviceRead: (gpa, lengthBytes) => {
      const own = readInKernel(vcpu, gpa, pcpu);
      if (own !== null) {
        traceMemory(pcpu, 'read', lengthBytes, gpa, own);
        return own;
      }
      const answered = reads.shift();
      if (answered !== undefined) {
        const data = Long.fromBits(answered.low, answered.high);
        traceMemory(pcpu, 'read', lengthBytes, gpa, data);
        return data;
      }
      pending.push({ reason: 'MMIO', isWrite: false, gpa, lengthBytes, data: Long.ZERO });
      throw OWNER_STOP;
    },
    deviceWrite: (gpa, lengthBytes, data) => {
      traceMemory(pcpu, 'write', lengthBytes, gpa, data);
      if (writeInKernel(vcpu, gpa, data, pcpu)) return;
      if (vcpu.vm.ioEvents.write('mmio', gpa, lengthBytes, data, pcpu)) return;
      pending.push({ reason: 'MMIO', isWrite: true, gpa, lengthBytes, data });
    },
  };
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

function toUserSpace(vcpu: Vcpu, access: Pending): KvmExit {
  // A write has completed the instruction; a read has to be executed again.
  const isWrite = isOutput(access);
  vcpu.state.completion = isWrite ? 'none' : 'emulate';
  if (isWrite) vcpu.state.answers.length = 0;
  if (access.reason === 'IO') vcpu.counters.io_exits++;
  else vcpu.counters.mmio_exits++;
  return access;
}

// Executing one instruction in software, for accesses to device memory: the processor does it, with
// an owner that lets devices through. A read that user space must answer stops the instruction; it
// is executed again, from the start, when the answer is there.

import Long from 'long';
import {
  DEVICE,
  EMPTY_PLATFORM,
  OWNER_STOP,
  type Platform,
  type Virtualization,
} from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import { isApicPage, readXapic, writeXapic } from './apic-access.ts';
import { InternalError, type KvmExit } from './kvm-exit.ts';
import type { Vcpu } from './vcpu.ts';

/** A device access that goes to user space. */
interface Pending {
  readonly isWrite: boolean;
  readonly gpa: number;
  readonly lengthBytes: number;
  readonly data: Long;
}

/** Emulate the instruction at RIP; what user space has to do about it, or null if it is done. */
export function emulateInstruction(vcpu: Vcpu, pcpu: Pcpu): KvmExit | null {
  const { processor } = vcpu.virtual;
  vcpu.counters.insn_emulation++;
  pcpu.spend(vcpu.vm.costs.kvm.emulate);
  const pending: Pending[] = [];
  const reads = [...vcpu.state.mmioReads];
  const stop = processor.stepIn(owner(vcpu), devices(vcpu, pcpu, pending, reads));
  const access = pending[0];
  if (access !== undefined) return toUserSpace(vcpu, access);
  vcpu.state.mmioReads.length = 0;
  if (stop === null) {
    vcpu.virtual.vmcs.stale.add('guest');
    return null;
  }
  const what = stop.kind === 'notImplemented' ? stop.what : stop.kind;
  const message = `emulating an access to device memory: ${what}`;
  return { reason: 'INTERNAL_ERROR', suberror: InternalError.EMULATION, message };
}

/** The virtual processor, but where EPT maps nothing there is a device. */
function owner(vcpu: Vcpu): Virtualization {
  const { virtual, vm } = vcpu;
  return {
    beforePrivilege: () => {},
    intercept: () => {},
    exception: (event, linear) => virtual.exception(event, linear),
    tripleFault: () => virtual.tripleFault(),
    translate: (gpa) => vm.ramAt(gpa) ?? DEVICE,
    iretUnblocksNmis: () => virtual.iretUnblocksNmis(),
    readControl: (number, real) => virtual.readControl(number, real),
    writeControl: (number, real, written) => virtual.writeControl(number, real, written),
    timeStamp: (clock) => virtual.timeStamp(clock),
    boundary: () => false,
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
    deviceRead: (gpa, lengthBytes) => {
      if (isApicPage(vcpu, gpa)) return readXapic(vcpu, gpa, pcpu);
      const answered = reads.shift();
      if (answered !== undefined) {
        const data = Long.fromBits(answered.low, answered.high);
        if (pcpu.traced)
          pcpu.trace('kvm_mmio', { kind: 'read', len: lengthBytes, gpa, value: data });
        return data;
      }
      pending.push({ isWrite: false, gpa, lengthBytes, data: Long.ZERO });
      throw OWNER_STOP;
    },
    deviceWrite: (gpa, lengthBytes, data) => {
      if (isApicPage(vcpu, gpa)) writeXapic(vcpu, gpa, data, pcpu);
      else pending.push({ isWrite: true, gpa, lengthBytes, data });
      if (pcpu.traced)
        pcpu.trace('kvm_mmio', { kind: 'write', len: lengthBytes, gpa, value: data });
    },
  };
}

function toUserSpace(vcpu: Vcpu, access: Pending): KvmExit {
  // A write has completed the instruction; a read has to be executed again.
  vcpu.state.completion = access.isWrite ? 'none' : 'mmio';
  if (access.isWrite) vcpu.state.mmioReads.length = 0;
  vcpu.counters.mmio_exits++;
  return { reason: 'MMIO', ...access };
}

// A virtual machine whose vCPUs never run, for tests that call into the KVM layer directly: what
// costs nothing on a host of 1 GHz, so that cycles are nanoseconds.

import type { Pcpu } from '../../src/host/index.ts';
import { type KvmParameters, type Vcpu, Vm } from '../../src/kvm/index.ts';
import { PhysicalMemory } from '../../src/memory/index.ts';
import { hostWith } from './host-world.ts';
import { UNIT_COSTS } from './test-processor.ts';

const RAM_BYTES = 2 ** 21;

const FREE_KVM = {
  exitPath: 0,
  entryPath: 0,
  fastPath: 0,
  handler: 0,
  spin: 0,
  spinCandidate: 0,
  hypercall: 0,
  block: 0,
  emulate: 0,
  userSpace: 0,
};

export interface IdleVm {
  readonly vm: Vm;
  readonly vcpus: readonly Vcpu[];
  /** Where the code under test is taken to run. */
  readonly pcpu: Pcpu;
}

/** Each vCPU belongs to a pCPU of its own. */
export function idleVm(vcpuCount: number, parameters: Partial<KvmParameters> = {}): IdleVm {
  const host = hostWith({ pcpuCount: vcpuCount });
  const vm = new Vm({
    id: 0,
    name: 'vm',
    host,
    memory: new PhysicalMemory(RAM_BYTES + Vm.overheadBytes(RAM_BYTES, vcpuCount)),
    ramBytes: RAM_BYTES,
    costs: { instructions: UNIT_COSTS, vmx: { exit: 0, entry: 0 }, kvm: FREE_KVM },
    parameters: { lapicTimerAdvanceNs: 0, ...parameters },
    userSpace: { handleExit: () => 'run', allBlocked: () => {} },
  });
  for (let i = 0; i < vcpuCount; i++) vm.createVcpu([i]);
  return { vm, vcpus: vm.vcpus, pcpu: host.pcpus[0] };
}

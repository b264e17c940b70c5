// What KVM_GET_SUPPORTED_CPUID and KVM_GET_MSR_INDEX_LIST tell: what a guest of this host would
// find, asked of a virtual machine that is made for the question.

import { Msr } from '../cpu/index.ts';
import { Host } from '../host/index.ts';
import { type CpuidEntry, KvmMsr, Vm } from '../kvm/index.ts';
import { COST_PRESETS, type CostPresetName } from '../machine/index.ts';
import { PhysicalMemory } from '../memory/index.ts';

const NOT_LISTED: readonly number[] = [
  Msr.X2APIC_FIRST,
  Msr.X2APIC_LAST,
  Msr.FEATURE_CONTROL,
  // In the special registers.
  Msr.FS_BASE,
  Msr.GS_BASE,
];

/**
 * MSRs that KVM_GET_MSRS and KVM_SET_MSRS save and restore a guest's state with. Linux
 * arch/x86/kvm/x86.c, msrs_to_save and emulated_msrs: those of paravirtual guests are among them.
 */
export const MSR_INDEX_LIST: readonly number[] = [
  ...Object.values(Msr).filter((index) => !NOT_LISTED.includes(index)),
  ...Object.values(KvmMsr),
];

/** First leaves of the ranges; what each gives in EAX is the last one. */
const RANGES = [0, 0x40000000, 0x80000000];

/** Leaves of which each index says something of its own, up to the first that says nothing. */
const INDEXED = [4, 7, 0xb, 0xd];
const SIGNIFICANT_INDEX = 1;
const MAX_INDEX = 8;

export function supportedCpuid(machine: CostPresetName): readonly CpuidEntry[] {
  const preset = COST_PRESETS[machine];
  const host = new Host({
    pcpuCount: 1,
    khz: preset.khz,
    hz: 250,
    lookahead: 400,
    skip: true,
    seed: 1,
    costs: preset.host,
  });
  const vm = new Vm({
    id: 0,
    name: 'identification',
    host,
    memory: new PhysicalMemory(Vm.overheadBytes(0, 1)),
    ramBytes: 0,
    costs: preset.vm,
    userSpace: { handleExit: () => 'stop', allBlocked: () => {} },
  });
  const vcpu = vm.createVcpu([0]);
  const entry = (leaf: number, index: number, flags: number): CpuidEntry => {
    const { result } = vm.cpuid.query(vcpu, leaf, index);
    const [eax, ebx, ecx, edx] = result.map((register) => register >>> 0);
    return { function: leaf, index, flags, eax, ebx, ecx, edx };
  };
  return RANGES.flatMap((first) => {
    const last = Math.max(entry(first, 0, 0).eax, first);
    const leaves = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    return leaves.flatMap((leaf) => {
      if (!INDEXED.includes(leaf)) return [entry(leaf, 0, 0)];
      const all = Array.from({ length: MAX_INDEX }, (_, i) => entry(leaf, i, SIGNIFICANT_INDEX));
      const empty = all.findIndex(({ eax, ebx }) => eax === 0 && ebx === 0);
      return all.slice(0, empty < 0 ? MAX_INDEX : Math.max(empty, 1));
    });
  });
}

// What CPUID tells a guest: an Intel processor with just the features that exist here, and KVM's
// leaves. SDM 2, "CPUID"; Linux Documentation/virt/kvm/x86/cpuid.rst.

import { PHYSICAL_ADDRESS_BITS } from '../cpu/index.ts';
import {
  featureBits,
  featureOfHypercall,
  featureOfMsr,
  PV_FEATURES,
  type PvFeatureName,
} from './pv-features.ts';
import type { Vcpu } from './vcpu.ts';
import type { Vm } from './vm.ts';

export type CpuidResult = readonly [eax: number, ebx: number, ecx: number, edx: number];

const LINEAR_ADDRESS_BITS = 48;

const bits = (...numbers: number[]) => numbers.reduce((mask, bit) => mask | (1 << bit), 0);

/**
 * ECX: CMPXCHG16B 13, PCID 17, x2APIC 21, MOVBE 22, POPCNT 23, RDRAND 30, hypervisor 31.
 */
const FEATURES_ECX = bits(13, 17, 21, 22, 23, 30, 31);
/** ECX: TSC-deadline mode. */
const DEADLINE_FEATURE = bits(24);
/**
 * EDX: FPU 0, VME 1, DE 2, PSE 3, TSC 4, MSR 5, PAE 6, CMPXCHG8B 8, SYSENTER 11, PGE 13, CMOV 15,
 * PAT 16, PSE-36 17, CLFLUSH 19, FXSR 24, SSE 25, SSE2 26.
 */
const FEATURES_EDX = bits(0, 1, 2, 3, 4, 5, 6, 8, 11, 13, 15, 16, 17, 19, 24, 25, 26);
/** EDX: an APIC that is not switched off in IA32_APIC_BASE. */
const APIC_FEATURE = bits(9);
/**
 * EBX: FSGSBASE 0, TSC_ADJUST 1, BMI1 3, SMEP 7, BMI2 8, INVPCID 10, no FCS and FDS 13, RDSEED 18,
 * ADX 19, SMAP 20, CLFLUSHOPT 23, CLWB 24.
 */
const STRUCTURED_EBX = bits(0, 1, 3, 7, 8, 10, 13, 18, 19, 20, 23, 24);
/** ECX: UMIP 2, RDPID 22. EDX: SERIALIZE 14. */
const STRUCTURED_ECX = bits(2, 22);
const STRUCTURED_EDX = bits(14);
/**
 * ECX: LAHF in 64-bit mode 0, LZCNT 5, PREFETCHW 8. EDX: SYSCALL 11, NX 20, 1 GiB pages 26,
 * RDTSCP 27, long mode 29.
 */
const EXTENDED_ECX = bits(0, 5, 8);
const EXTENDED_EDX = bits(11, 20, 26, 27, 29);

const KVM_SIGNATURE_LEAF = 0x40000000;
const KVM_TIMING_LEAF = 0x40000010;
const EXTENDED_LEAF = 0x80000000;

/** An entry of struct kvm_cpuid2; with the flag, `index` counts too. */
export interface CpuidEntry {
  readonly function: number;
  readonly index: number;
  /** Bit 0: KVM_CPUID_FLAG_SIGNIFCANT_INDEX. */
  readonly flags: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

const NONE: CpuidResult = [0, 0, 0, 0];

/** Four characters as a register holds them. */
function text(characters: string): number {
  return [...characters].reduce((word, c, i) => word | (c.charCodeAt(0) << (8 * i)), 0);
}

const LAST_BASIC_LEAF = 0xb;

const VENDOR: CpuidResult = [LAST_BASIC_LEAF, text('Genu'), text('ntel'), text('ineI')];
const KVM_SIGNATURE: CpuidResult = [KVM_TIMING_LEAF, text('KVMK'), text('VMKV'), text('M\0\0\0')];

export class CpuidTable {
  private readonly vm: Vm;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /**
   * The registers for a leaf, and whether there is such a leaf. Beyond the last basic leaf Intel's
   * processors answer with that one.
   */
  query(vcpu: Vcpu, leaf: number, subleaf: number): { result: CpuidResult; found: boolean } {
    if (vcpu.cpuidEntries !== null) return queryEntries(vcpu.cpuidEntries, leaf, subleaf);
    const own = this.leaf(vcpu, leaf, subleaf);
    if (own !== null) return { result: own, found: true };
    const isBasic = leaf < KVM_SIGNATURE_LEAF;
    const result = isBasic ? (this.leaf(vcpu, LAST_BASIC_LEAF, subleaf) ?? NONE) : NONE;
    return { result, found: false };
  }

  private leaf(vcpu: Vcpu, leaf: number, subleaf: number): CpuidResult | null {
    switch (leaf) {
      case 0:
        return VENDOR;
      case 1: {
        const topology = (vcpu.lapic.id << 24) | (this.vm.vcpus.length << 16) | (8 << 8);
        const apic = vcpu.lapic.isPresent ? APIC_FEATURE : 0;
        const { cpuSignature, tscDeadline } = this.vm.parameters;
        const ecx = FEATURES_ECX | (tscDeadline ? DEADLINE_FEATURE : 0);
        return [cpuSignature, topology, ecx, FEATURES_EDX | apic];
      }
      case 7:
        return subleaf === 0 ? [0, STRUCTURED_EBX, STRUCTURED_ECX, STRUCTURED_EDX] : NONE;
      case 0xb:
        return this.topology(vcpu, subleaf);
      case KVM_SIGNATURE_LEAF:
        return KVM_SIGNATURE;
      case KVM_SIGNATURE_LEAF + 1:
        return this.features;
      case KVM_TIMING_LEAF:
        return [this.vm.tscKhz, BUS_KHZ, 0, 0];
      case EXTENDED_LEAF:
        return [EXTENDED_LEAF + 8, 0, 0, 0];
      case EXTENDED_LEAF + 1:
        return [0, 0, EXTENDED_ECX, EXTENDED_EDX];
      case EXTENDED_LEAF + 7:
        return [0, 0, 0, bits(8)];
      case EXTENDED_LEAF + 8:
        return [PHYSICAL_ADDRESS_BITS | (LINEAR_ADDRESS_BITS << 8), 0, 0, 0];
      default:
        return leaf <= LAST_BASIC_LEAF ? NONE : null;
    }
  }

  /** KVM's features, and its hints. */
  private get features(): CpuidResult {
    const { features: wanted, disabledExits } = this.vm.parameters;
    // Who halts without an exit cannot be kicked out of it (kvm_update_pv_runtime).
    const features = disabledExits.includes('HLT') ? { ...wanted, pv_unhalt: false } : wanted;
    return [featureBits(features, 'eax'), 0, 0, featureBits(features, 'edx')];
  }

  /** One package of single-thread cores. */
  private topology(vcpu: Vcpu, subleaf: number): CpuidResult {
    const count = this.vm.vcpus.length;
    const shift = Math.ceil(Math.log2(Math.max(count, 2)));
    if (subleaf === 0) return [0, 1, (1 << 8) | 0, vcpu.lapic.id];
    if (subleaf === 1) return [shift, count, (2 << 8) | 1, vcpu.lapic.id];
    return [0, 0, subleaf & 0xff, vcpu.lapic.id];
  }
}

/**
 * Linux guest_pv_has: whether a feature works. Each one does, unless features are enforced: then
 * those that the vCPU's own CPUID offers.
 */
export function guestPvHas(vcpu: Vcpu, name: PvFeatureName): boolean {
  return !enforcesFeatures(vcpu) || isOffered(vcpu, name);
}

/** The same for an MSR, by the feature that it belongs to. */
export function guestHasMsr(vcpu: Vcpu, msr: number): boolean {
  return !enforcesFeatures(vcpu) || isOffered(vcpu, featureOfMsr(msr));
}

/** The same for a hypercall. */
export function guestHasHypercall(vcpu: Vcpu, number: number): boolean {
  return !enforcesFeatures(vcpu) || isOffered(vcpu, featureOfHypercall(number));
}

function enforcesFeatures({ enforcesPvFeatures, vm }: Vcpu): boolean {
  return enforcesPvFeatures ?? vm.parameters.enforcePvFeatures;
}

function isOffered(vcpu: Vcpu, name: PvFeatureName | undefined): boolean {
  if (name === undefined) return true;
  const [eax] = vcpu.vm.cpuid.query(vcpu, KVM_SIGNATURE_LEAF + 1, 0).result;
  return ((eax >>> PV_FEATURES[name].bit) & 1) !== 0;
}

const SIGNIFICANT_INDEX = 1 << 0;

/** Linux cpuid.c, kvm_find_cpuid_entry_index and get_out_of_range_cpuid_entry. */
function queryEntries(
  entries: readonly CpuidEntry[],
  leaf: number,
  subleaf: number,
): { result: CpuidResult; found: boolean } {
  const entryOf = (wanted: number) =>
    entries.find(
      (entry) =>
        entry.function >>> 0 === wanted &&
        ((entry.flags & SIGNIFICANT_INDEX) === 0 || entry.index === subleaf),
    );
  const own = entryOf(leaf);
  const last = entryOf(0)?.eax ?? 0;
  const isBeyond = leaf < KVM_SIGNATURE_LEAF && leaf > last;
  const entry = own ?? (isBeyond ? entryOf(last) : undefined);
  const result: CpuidResult =
    entry === undefined ? NONE : [entry.eax | 0, entry.ebx | 0, entry.ecx | 0, entry.edx | 0];
  return { result, found: own !== undefined };
}

/** KVM's APIC bus runs at 1 GHz. */
const BUS_KHZ = 1_000_000;

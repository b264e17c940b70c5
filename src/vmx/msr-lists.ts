// The lists of MSRs that VM entry loads, and that VM exit stores and loads. SDM 3, "Loading MSRs",
// "Saving MSRs" and "VMX Aborts". An entry has 16 bytes: index, 32 reserved bits, value.

import Long from 'long';
import { Msr, readMsr, writeMsr } from '../cpu/index.ts';
import { check, type EntryCheck } from './check.ts';
import { physicalTimeStamp } from './time-stamp.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const ENTRY_BYTES = 16;

/** As IA32_VMX_MISC[27:25] = 0 says. */
export const MAX_MSR_COUNT = 512;

/** Never by a list: bases that guest-state fields hold, and the registers of an x2APIC. */
function isForbidden(index: number): boolean {
  const isX2apic = index >= Msr.X2APIC_FIRST && index <= Msr.X2APIC_LAST;
  return isX2apic || index === Msr.FS_BASE || index === Msr.GS_BASE;
}

/**
 * MSRs that the guest-state area has fields for. What a VM exit loads into them is the host's,
 * which nothing here reads, while their state is that of the fields: it stays the guest's.
 */
const IN_GUEST_STATE: readonly number[] = [
  Msr.SYSENTER_CS,
  Msr.SYSENTER_ESP,
  Msr.SYSENTER_EIP,
  Msr.DEBUGCTL,
  Msr.PAT,
  Msr.EFER,
];

interface MsrList {
  /** hpa of the first entry. */
  readonly address: number;
  readonly count: number;
}

/** Index and value of an entry; null if it is not in memory, or a reserved bit is set. */
function entryAt(owner: VirtualProcessor, { address }: MsrList, i: number) {
  const at = address + ENTRY_BYTES * i;
  const { view, sizeBytes } = owner.memory;
  if (at + ENTRY_BYTES > sizeBytes || view.getUint32(at + 4, true) !== 0) return null;
  const value = Long.fromBits(view.getInt32(at + 8, true), view.getInt32(at + 12, true));
  return { at, index: view.getUint32(at, true), value };
}

/**
 * Load MSRs from a list, in its order; the position of the first that cannot be loaded, from
 * 1 on, or 0. Those before it are loaded all the same. The time-stamp counter is loaded without the
 * guest's offset, and IA32_TSC_ADJUST, which is the guest's here, stays.
 * @param isExit by a VM exit, which loads the host's values
 */
export function loadMsrs(owner: VirtualProcessor, list: MsrList, isExit: boolean): number {
  for (let i = 0; i < list.count; i++) {
    const entry = i < MAX_MSR_COUNT ? entryAt(owner, list, i) : null;
    if (entry === null || isForbidden(entry.index)) return i + 1;
    if (entry.index === Msr.TSC) {
      owner.tscAhead = entry.value.sub(Long.fromNumber(owner.processor.clock));
      continue;
    }
    if (isExit && IN_GUEST_STATE.includes(entry.index)) continue;
    if (!writeMsr(owner.processor, entry.index, entry.value)) return i + 1;
  }
  return 0;
}

/**
 * Store MSRs to a list; the position of the first entry that cannot be stored, or 0. Of the
 * time-stamp counter it is the physical one, without the guest's offset.
 */
export function storeMsrs(owner: VirtualProcessor, list: MsrList): number {
  const { processor, memory } = owner;
  for (let i = 0; i < list.count; i++) {
    const entry = i < MAX_MSR_COUNT ? entryAt(owner, list, i) : null;
    if (entry === null || (entry.index >= Msr.X2APIC_FIRST && entry.index <= Msr.X2APIC_LAST)) {
      return i + 1;
    }
    const isTsc = entry.index === Msr.TSC;
    const value = isTsc
      ? physicalTimeStamp(owner, processor.clock)
      : readMsr(processor, entry.index);
    if (value === null) return i + 1;
    memory.write64(entry.at + 8, value.low, value.high);
  }
  return 0;
}

const LOADING = check(
  'guest',
  'Loading MSRs',
  'each entry of the VM-entry MSR-load list is a legal value of an MSR that may be loaded so',
  ['VM_ENTRY_MSR_LOAD_ADDR', 'VM_ENTRY_MSR_LOAD_COUNT'],
  () => false,
);

/** The check that has failed when an entry of the VM-entry list cannot be loaded. */
export function msrLoadFailure(position: number): EntryCheck {
  return { ...LOADING, qualification: position };
}

/** VMX-abort indicators. SDM 3, "VMX Aborts". */
export const VmxAbort = { SAVING_GUEST_MSRS: 1, LOADING_HOST_MSRS: 4 } as const;

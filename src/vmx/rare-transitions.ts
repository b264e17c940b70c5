// What VM entry and VM exit do besides for those who ask for it: lists of MSRs, fields that an exit
// does not save, and EFER that an entry does not load. SDM 3, "Loading MSRs", "Saving MSRs",
// "Saving Control Registers, Debug Registers, and MSRs". Most hosts want nothing of it, and it
// costs them nothing.

import { Cr0, Efer, Word } from '../cpu/index.ts';
import { ENTRY_CONTROLS, EntryControl, EXIT_CONTROLS, type ExitControl } from './controls.ts';
import type { EntryOutcome } from './entry.ts';
import { ENTRY_FAILURE, Exit } from './exit-reasons.ts';
import { type FieldName, fieldIndex } from './fields.ts';
import { loadMsrs, msrLoadFailure, storeMsrs, VmxAbort } from './msr-lists.ts';
import type { VirtualProcessor } from './virtual-processor.ts';
import { Stale, type Vmcs } from './vmcs.ts';

const ENTRY = fieldIndex('VM_ENTRY_CONTROLS');
const EXIT = fieldIndex('VM_EXIT_CONTROLS');
const REASON = fieldIndex('VM_EXIT_REASON');
const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');

/** Fields of a list: address and count. */
const list = (name: 'VM_EXIT_MSR_STORE' | 'VM_EXIT_MSR_LOAD' | 'VM_ENTRY_MSR_LOAD') => ({
  address: fieldIndex(`${name}_ADDR`),
  count: fieldIndex(`${name}_COUNT`),
});

const EXIT_STORE = list('VM_EXIT_MSR_STORE');
const EXIT_LOAD = list('VM_EXIT_MSR_LOAD');
const ENTRY_LOAD = list('VM_ENTRY_MSR_LOAD');

const isEmpty = (vmcs: Vmcs, { count }: typeof EXIT_STORE) => vmcs.get32(count) === 0;

const contents = ({ vmcs }: VirtualProcessor, { address, count }: typeof EXIT_STORE) => ({
  address: vmcs.address(address),
  count: vmcs.get32(count) >>> 0,
});

const mask = (names: readonly string[], word: typeof ENTRY_CONTROLS | typeof EXIT_CONTROLS) =>
  word.bits.reduce((bits, { name, bit }) => (names.includes(name) ? bits | (1 << bit) : bits), 0);

/** Fields that are loaded by one control, and saved by another. */
const SAVED: readonly {
  readonly load: number;
  readonly save: number;
  readonly fields: readonly number[];
}[] = (
  [
    ['LOAD_DEBUG_CONTROLS', 'SAVE_DEBUG_CONTROLS', ['GUEST_DR7', 'GUEST_IA32_DEBUGCTL']],
    ['LOAD_IA32_PAT', 'SAVE_IA32_PAT', ['GUEST_IA32_PAT']],
    ['LOAD_IA32_EFER', 'SAVE_IA32_EFER', ['GUEST_IA32_EFER']],
  ] as const satisfies readonly (readonly [
    keyof typeof EntryControl,
    keyof typeof ExitControl,
    readonly FieldName[],
  ])[]
).map(([load, save, fields]) => ({
  load: mask([load], ENTRY_CONTROLS),
  save: mask([save], EXIT_CONTROLS),
  fields: fields.map(fieldIndex),
}));

/** What of that control fields ask for; null for nothing. */
export interface RareTransitions {
  /**
   * Fields that keep the values they are entered with. One that is neither saved nor loaded holds
   * the MSR itself, which stays as the guest leaves it.
   */
  readonly unsaved: readonly number[];
  readonly entryLoad: boolean;
  readonly exitStore: boolean;
  readonly exitLoad: boolean;
}

export function rareTransitions(vmcs: Vmcs): RareTransitions | null {
  const entry = vmcs.get32(ENTRY);
  const exit = vmcs.get32(EXIT);
  const unsaved = SAVED.filter(({ load, save }) => (entry & load) !== 0 && (exit & save) === 0);
  const entryLoad = !isEmpty(vmcs, ENTRY_LOAD);
  const exitStore = !isEmpty(vmcs, EXIT_STORE);
  const exitLoad = !isEmpty(vmcs, EXIT_LOAD);
  if (unsaved.length === 0 && !entryLoad && !exitStore && !exitLoad) return null;
  return { unsaved: unsaved.flatMap(({ fields }) => fields), entryLoad, exitStore, exitLoad };
}

/** Behind the checks of an entry; null if it may go on. */
export function enterRarely(owner: VirtualProcessor, rare: RareTransitions): EntryOutcome | null {
  const { vmcs } = owner;
  for (const field of rare.unsaved) vmcs.keep(field);
  if (!rare.entryLoad) return null;
  const position = loadMsrs(owner, contents(owner, ENTRY_LOAD), false);
  if (position === 0) return null;
  for (const field of rare.unsaved) vmcs.giveBack(field);
  failEntry(vmcs, Exit.MSR_LOAD_FAIL, position);
  return { kind: 'entryFailure', reason: Exit.MSR_LOAD_FAIL, check: msrLoadFailure(position) };
}

/** EFER without "load IA32_EFER": LMA follows the guest's mode, LME too if paging is on. */
export function followLongMode({ vmcs, processor }: VirtualProcessor): void {
  const { words } = processor.state;
  const isPaging = (words[Word.CR0] & Cr0.PG) !== 0;
  const followers = isPaging ? Efer.LMA | Efer.LME : Efer.LMA;
  const old = words[Word.EFER];
  const isLong = (vmcs.get32(ENTRY) & EntryControl.IA32E_MODE) !== 0;
  words[Word.EFER] = isLong ? old | followers : old & ~followers;
  if (words[Word.EFER] !== old) vmcs.makeStale(Stale.GUEST);
}

/** An entry that fails with guest state at hand: only these two fields are written. */
export function failEntry(vmcs: Vmcs, reason: number, qualification: number): void {
  vmcs.set32(REASON, reason | ENTRY_FAILURE);
  vmcs.setHalves(QUALIFICATION, qualification, 0);
}

/** At an exit: 0, or the VMX-abort indicator. */
export function leaveRarely(owner: VirtualProcessor, rare: RareTransitions): number {
  const { vmcs } = owner;
  if (rare.exitStore && storeMsrs(owner, contents(owner, EXIT_STORE)) !== 0) {
    return VmxAbort.SAVING_GUEST_MSRS;
  }
  for (const field of rare.unsaved) vmcs.giveBack(field);
  return loadHostMsrs(owner, rare);
}

/** Also at an entry that fails: 0, or the VMX-abort indicator. */
export function loadHostMsrs(owner: VirtualProcessor, { exitLoad }: RareTransitions): number {
  if (!exitLoad || loadMsrs(owner, contents(owner, EXIT_LOAD), true) === 0) return 0;
  return VmxAbort.LOADING_HOST_MSRS;
}

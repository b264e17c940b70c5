// What a VM exit leaves in the VMCS. SDM 3, "Recording VM-Exit Information and Updating VM-Entry
// Control Fields".

import type Long from 'long';
import { type DeliveredEvent, Efer, returnsBehind, Word } from '../cpu/index.ts';
import { EntryControl } from './controls.ts';
import { fieldIndex } from './fields.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const F = {
  ENTRY_CONTROLS: fieldIndex('VM_ENTRY_CONTROLS'),
  ENTRY_INTR_INFO: fieldIndex('VM_ENTRY_INTR_INFO_FIELD'),
  REASON: fieldIndex('VM_EXIT_REASON'),
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
  INTR_INFO: fieldIndex('VM_EXIT_INTR_INFO'),
  ERROR_CODE: fieldIndex('VM_EXIT_INTR_ERROR_CODE'),
  IDT_INFO: fieldIndex('IDT_VECTORING_INFO_FIELD'),
  IDT_ERROR_CODE: fieldIndex('IDT_VECTORING_ERROR_CODE'),
  INSTRUCTION_LENGTH: fieldIndex('VM_EXIT_INSTRUCTION_LEN'),
  INSTRUCTION_INFO: fieldIndex('VMX_INSTRUCTION_INFO'),
  GUEST_PHYSICAL: fieldIndex('GUEST_PHYSICAL_ADDRESS'),
  GUEST_LINEAR: fieldIndex('GUEST_LINEAR_ADDRESS'),
} as const;

const VALID = 1 << 31;
/** Type of event that is none: a VM entry with it and vector 0 is followed by an MTF VM exit. */
export const OTHER_EVENT = 7;

/** Bit of the interruption-information fields: there is an error code. */
export const ERROR_CODE_VALID = 1 << 11;

/** What an exit records beside its reason; the rest of the information fields becomes 0. */
export interface ExitDetails {
  readonly qualification?: Long;
  readonly instructionLengthBytes?: number;
  readonly instructionInformation?: number;
  /** Interruption information without its valid bit, and the error code if it has one. */
  readonly interruption?: { readonly information: number; readonly errorCode: number | null };
  readonly guestPhysicalAddress?: number;
  readonly guestLinearAddress?: Long;
}

/**
 * Record an exit of which there is no more to say than this; what is left out is 0. Most are so.
 * @param qualification its low half; the high one is 0
 */
export function recordExit(
  owner: VirtualProcessor,
  reason: number,
  lengthBytes = 0,
  qualification = 0,
): void {
  const { vmcs } = owner;
  recordLongMode(owner);
  vmcs.record(F.REASON, reason);
  vmcs.recordHalves(F.QUALIFICATION, qualification, 0);
  vmcs.record(F.INTR_INFO, 0);
  vmcs.record(F.ERROR_CODE, 0);
  vmcs.record(F.INSTRUCTION_LENGTH, lengthBytes);
  vmcs.record(F.INSTRUCTION_INFO, 0);
  vmcs.recordHalves(F.GUEST_PHYSICAL, 0, 0);
  vmcs.recordHalves(F.GUEST_LINEAR, 0, 0);
  recordDelivery(owner);
  vmcs.set32(F.ENTRY_INTR_INFO, vmcs.get32(F.ENTRY_INTR_INFO) & ~VALID);
}

/** The same with more details. */
export function recordExitWith(
  owner: VirtualProcessor,
  reason: number,
  details: ExitDetails,
): void {
  recordExit(owner, reason, details.instructionLengthBytes);
  const { vmcs } = owner;
  const { qualification, interruption, guestPhysicalAddress = 0, guestLinearAddress } = details;
  if (qualification !== undefined) vmcs.set64(F.QUALIFICATION, qualification);
  if (interruption !== undefined) {
    vmcs.set32(F.INTR_INFO, interruption.information | VALID);
    vmcs.set32(F.ERROR_CODE, interruption.errorCode ?? 0);
  }
  vmcs.set32(F.INSTRUCTION_INFO, details.instructionInformation ?? 0);
  vmcs.setHalves(F.GUEST_PHYSICAL, guestPhysicalAddress | 0, guestPhysicalAddress / 2 ** 32);
  if (guestLinearAddress !== undefined) vmcs.set64(F.GUEST_LINEAR, guestLinearAddress);
}

/** Exits make "IA-32e mode guest" what EFER.LMA is. */
function recordLongMode({ vmcs, processor }: VirtualProcessor): void {
  const old = vmcs.get32(F.ENTRY_CONTROLS);
  const isActive = (processor.state.words[Word.EFER] & Efer.LMA) !== 0;
  const controls = isActive ? old | EntryControl.IA32E_MODE : old & ~EntryControl.IA32E_MODE;
  if (controls !== old) vmcs.set32(F.ENTRY_CONTROLS, controls);
}

/** The event whose delivery the exit ends, if there is one. */
function recordDelivery({ vmcs, processor }: VirtualProcessor): void {
  const { delivering } = processor;
  vmcs.record(F.IDT_INFO, delivering === null ? 0 : informationOf(delivering) | VALID);
  vmcs.record(F.IDT_ERROR_CODE, delivering === null ? 0 : (delivering.errorCode ?? 0));
  if (delivering === null) return;
  if (returnsBehind(delivering.type)) {
    vmcs.record(F.INSTRUCTION_LENGTH, delivering.instructionLengthBytes);
  }
  processor.delivering = null;
}

/** Vector, type and error-code bit in the layout of the interruption-information fields. */
export function informationOf(event: DeliveredEvent): number {
  return event.vector | (event.type << 8) | (event.errorCode === null ? 0 : ERROR_CODE_VALID);
}

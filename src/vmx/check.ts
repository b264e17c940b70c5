// What an entry check is, and the views of a VMCS that the checks share.

import type Long from 'long';
import { Cr0, PHYSICAL_ADDRESS_BITS, Rflags } from '../cpu/index.ts';
import { EntryControl, Primary, Secondary } from './controls.ts';
import { type CheckGroup, type FieldName, fieldIndex } from './fields.ts';
import type { Vmcs } from './vmcs.ts';

export interface EntryCheck {
  readonly group: CheckGroup;
  /** What must hold. */
  readonly rule: string;
  readonly fields: readonly FieldName[];
  /** SDM 3 section title. */
  readonly section: string;
  readonly holds: (vmcs: Vmcs) => boolean;
  /** Exit qualification of a guest-state failure. */
  readonly qualification: number;
}

export type Predicate = (vmcs: Vmcs) => boolean;

export const word = (name: FieldName) => {
  const index = fieldIndex(name);
  return (vmcs: Vmcs) => vmcs.get32(index);
};

export const wide = (name: FieldName) => {
  const index = fieldIndex(name);
  return (vmcs: Vmcs) => vmcs.get64(index);
};

export const pin = word('PIN_BASED_VM_EXEC_CONTROL');
export const primary = word('CPU_BASED_VM_EXEC_CONTROL');
export const secondaryField = word('SECONDARY_VM_EXEC_CONTROL');
export const exitControls = word('VM_EXIT_CONTROLS');
export const entryControls = word('VM_ENTRY_CONTROLS');
export const injection = word('VM_ENTRY_INTR_INFO_FIELD');
export const injectionLength = word('VM_ENTRY_INSTRUCTION_LEN');
export const injectionError = word('VM_ENTRY_EXCEPTION_ERROR_CODE');
export const rflags = word('GUEST_RFLAGS');
export const interruptibility = word('GUEST_INTERRUPTIBILITY_INFO');
export const activity = word('GUEST_ACTIVITY_STATE');
export const ssRights = word('GUEST_SS_AR_BYTES');
export const csRights = word('GUEST_CS_AR_BYTES');

/** The secondary controls, which count as 0 while they are not activated. */
export const secondary = (vmcs: Vmcs) =>
  (primary(vmcs) & Primary.ACTIVATE_SECONDARY_CONTROLS) === 0 ? 0 : secondaryField(vmcs);

export const guestCr0 = word('GUEST_CR0');

export const isUnrestricted = (vmcs: Vmcs) =>
  (secondary(vmcs) & Secondary.UNRESTRICTED_GUEST) !== 0;
export const isLongModeGuest = (vmcs: Vmcs) =>
  (entryControls(vmcs) & EntryControl.IA32E_MODE) !== 0;
export const isVirtual8086Guest = (vmcs: Vmcs) => (rflags(vmcs) & Rflags.VM) !== 0;
export const isPagingGuest = (vmcs: Vmcs) => (guestCr0(vmcs) & Cr0.PG) !== 0;

export const implies = (condition: boolean, conclusion: boolean) => !condition || conclusion;

export const isPageAligned = (value: Long) =>
  (value.low & 0xfff) === 0 && value.shru(PHYSICAL_ADDRESS_BITS).isZero();

export function check(
  group: CheckGroup,
  section: string,
  rule: string,
  fields: readonly FieldName[],
  holds: Predicate,
  qualification = 0,
): EntryCheck {
  return { group, section, rule, fields, holds, qualification };
}

export const isValid = (vmcs: Vmcs) => injection(vmcs) < 0;
export const eventType = (vmcs: Vmcs) => (injection(vmcs) >> 8) & 7;
export const eventVector = (vmcs: Vmcs) => injection(vmcs) & 0xff;

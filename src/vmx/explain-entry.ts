// Why VM entry was refused: which check failed, what the fields that it reads hold, where the SDM
// tells of it, and how the processor reports it.

import type Long from 'long';
import type { EntryOutcome } from './entry.ts';
import { FIELDS, type FieldName, fieldIndex } from './fields.ts';
import { type Vmcs, VmxError } from './vmcs.ts';

export interface EntryExplanation {
  /**
   * How hardware reports it: VMfailInvalid (no current VMCS), VMfailValid with a VM-instruction
   * error number, or a VM exit with bit 31 of its reason set.
   */
  readonly report:
    | { readonly kind: 'VMfailInvalid' }
    | { readonly kind: 'VMfailValid'; readonly error: number; readonly meaning: string }
    | { readonly kind: 'entryFailure'; readonly reason: number; readonly qualification: number };
  /** What must hold and does not. */
  readonly rule: string;
  /** The fields that the check reads, with what they hold. */
  readonly fields: readonly {
    readonly name: FieldName;
    readonly title: string;
    readonly value: Long;
  }[];
  /** SDM 3 section title. */
  readonly section: string;
}

/** SDM 3, "VM-Instruction Error Numbers": those that entries give. */
const ERROR_MEANINGS: Readonly<Record<number, string>> = {
  [VmxError.VMLAUNCH_NOT_CLEAR]: 'VMLAUNCH with non-clear VMCS',
  [VmxError.VMRESUME_NOT_LAUNCHED]: 'VMRESUME with non-launched VMCS',
  [VmxError.ENTRY_INVALID_CONTROL]: 'VM entry with invalid control field(s)',
  [VmxError.ENTRY_INVALID_HOST]: 'VM entry with invalid host-state field(s)',
};

const BASIC_CHECKS = 'Basic VM-Entry Checks';

/** Explain an entry that was refused; null for one that was not. */
export function explainEntry(vmcs: Vmcs, outcome: EntryOutcome): EntryExplanation | null {
  if (outcome.kind === 'entered') return null;
  const report = reportOf(outcome);
  if (outcome.kind === 'failInvalid' || outcome.check === null) {
    const rule = report.kind === 'VMfailValid' ? `not ${report.meaning}` : 'a VMCS is current';
    return { report, rule, fields: [], section: BASIC_CHECKS };
  }
  const { rule, section, fields } = outcome.check;
  return {
    report,
    rule,
    section,
    fields: fields.map((name) => ({
      name,
      title: FIELDS[fieldIndex(name)].title,
      value: vmcs.read(name),
    })),
  };
}

function reportOf(outcome: Exclude<EntryOutcome, { kind: 'entered' }>): EntryExplanation['report'] {
  switch (outcome.kind) {
    case 'failInvalid':
      return { kind: 'VMfailInvalid' };
    case 'failValid': {
      const { error } = outcome;
      return { kind: 'VMfailValid', error, meaning: ERROR_MEANINGS[error] ?? `error ${error}` };
    }
    case 'entryFailure': {
      const { reason, check } = outcome;
      return { kind: 'entryFailure', reason, qualification: check.qualification };
    }
  }
}

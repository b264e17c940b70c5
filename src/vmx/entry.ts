// Whether a VMCS may be entered: the checks of VM entry in their order, those left out that
// cannot fail because nothing that they read has changed, and what a failure leaves behind. SDM 3,
// "VM Entries".

import { loadPdptes, type Processor, Rflags } from '../cpu/index.ts';
import type { EntryCheck } from './check.ts';
import { CheckedState } from './checked-state.ts';
import { ENTRY_CHECKS, failingCheck } from './entry-checks.ts';
import { Exit } from './exit-reasons.ts';
import { fieldIndex } from './fields.ts';
import { loadsPdptes, PDPTES_IN_MEMORY } from './guest-register-checks.ts';
import { EVERY_ENTRY_CHECKS } from './guest-state-checks.ts';
import { failEntry } from './rare-transitions.ts';
import { Stale, type Vmcs, VmxError } from './vmcs.ts';

export type EntryOutcome =
  | { readonly kind: 'entered' }
  /** VMfailInvalid: there is no current VMCS. */
  | { readonly kind: 'failInvalid' }
  /** VMfailValid: the VM-instruction error is in the VMCS too. */
  | { readonly kind: 'failValid'; readonly error: number; readonly check: EntryCheck | null }
  /** An exit with bit 31 of the reason set. */
  | { readonly kind: 'entryFailure'; readonly reason: number; readonly check: EntryCheck };

const F = {
  CR3: fieldIndex('GUEST_CR3'),
  RFLAGS: fieldIndex('GUEST_RFLAGS'),
  ENTRY_INTR_INFO: fieldIndex('VM_ENTRY_INTR_INFO_FIELD'),
  INSTRUCTION_ERROR: fieldIndex('VM_INSTRUCTION_ERROR'),
} as const;

export class EntryChecker {
  private readonly vmcs: Vmcs;
  private readonly processor: Processor;
  /** RFLAGS.VM when guest state was checked last. */
  private checkedVirtual8086 = false;
  private readonly checked = new CheckedState();

  constructor(vmcs: Vmcs, processor: Processor) {
    this.vmcs = vmcs;
    this.processor = processor;
  }

  /** What keeps the guest from being entered, or null. */
  failure(): EntryOutcome | null {
    const { vmcs } = this;
    if (vmcs.isStale(Stale.HOST | Stale.CONTROLS) || vmcs.get32(F.ENTRY_INTR_INFO) < 0) {
      const failure = this.controlFailure();
      if (failure !== null) return failure;
    }
    const failed = this.failingGuestCheck() ?? this.loadPdptes();
    return failed === null ? null : this.entryFailure(failed);
  }

  private entryFailure(failed: EntryCheck): EntryOutcome {
    const { vmcs } = this;
    failEntry(vmcs, Exit.INVALID_STATE, failed.qualification);
    return { kind: 'entryFailure', reason: Exit.INVALID_STATE, check: failed };
  }

  /** Of checks before those of the guest's state. */
  private controlFailure(): EntryOutcome | null {
    const { vmcs } = this;
    if (vmcs.isStale(Stale.CONTROLS)) {
      const failed = failingCheck(ENTRY_CHECKS.controls, vmcs);
      if (failed !== null) return this.failValid(VmxError.ENTRY_INVALID_CONTROL, failed);
    }
    if (vmcs.get32(F.ENTRY_INTR_INFO) < 0) {
      const failed = failingCheck(ENTRY_CHECKS.injection, vmcs);
      if (failed !== null) return this.failValid(VmxError.ENTRY_INVALID_CONTROL, failed);
    }
    if (vmcs.isStale(Stale.HOST | Stale.CONTROLS)) {
      const failed = failingCheck(ENTRY_CHECKS.host, vmcs);
      if (failed !== null) return this.failValid(VmxError.ENTRY_INVALID_HOST, failed);
    }
    return null;
  }

  private failingGuestCheck(): EntryCheck | null {
    const { vmcs, checked } = this;
    const isVirtual8086 = (vmcs.get32(F.RFLAGS) & Rflags.VM) !== 0;
    // Segments that were legal may not be so in the other mode.
    if (isVirtual8086 !== this.checkedVirtual8086) vmcs.makeStale(Stale.GUEST);
    this.checkedVirtual8086 = isVirtual8086;
    if (vmcs.isStale(Stale.GUEST | Stale.CONTROLS)) {
      const failed = failingCheck(ENTRY_CHECKS.guest, vmcs);
      if (failed !== null) return failed;
    }
    if (checked.isAsRemembered(vmcs)) return null;
    const failed = failingCheck(EVERY_ENTRY_CHECKS, vmcs);
    if (failed === null) checked.remember(vmcs);
    return failed;
  }

  /** Without EPT, entry loads the PDPTEs of PAE paging from memory; what fails then, or null. */
  private loadPdptes(): EntryCheck | null {
    if (!loadsPdptes(this.vmcs)) return null;
    return loadPdptes(this.processor, this.vmcs.get32(F.CR3)) ? null : PDPTES_IN_MEMORY;
  }

  /** VMfailValid with a VM-instruction error. */
  failValid(error: number, check: EntryCheck | null): EntryOutcome {
    this.vmcs.set32(F.INSTRUCTION_ERROR, error);
    return { kind: 'failValid', error, check };
  }
}

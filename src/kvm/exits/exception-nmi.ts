// An intercepted exception: #UD, which may be a hypercall in the other vendor's form, and others
// that are only passed on. Linux arch/x86/kvm/vmx/vmx.c, handle_exception_nmi, and x86.c,
// handle_ud.

import { Blocking, EventTypes, PendingDebug, Rflags, Vector, Word } from '../../cpu/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { readGuestBytes, writeGuestBytes } from '../guest-memory.ts';
import { debugExit, ownsDebugExceptions } from '../user-control.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

const F = {
  INTR_INFO: fieldIndex('VM_EXIT_INTR_INFO'),
  ERROR_CODE: fieldIndex('VM_EXIT_INTR_ERROR_CODE'),
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
} as const;

const ERROR_CODE_VALID = 1 << 11;

/** INT1 exits before it is done; its #DB is a trap, with the address behind it. */
const INT1 = EventTypes.PRIVILEGED_SOFTWARE_EXCEPTION;

const VMCALL = Uint8Array.of(0x0f, 0x01, 0xc1);
const VMMCALL = Uint8Array.of(0x0f, 0x01, 0xd9);

export const exceptionNmi: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { vmcs } = vcpu.virtual;
  const information = vmcs.get32(F.INTR_INFO);
  const vector = information & 0xff;
  if (vector === Vector.UD && patchHypercall(vcpu)) return 'resume';
  if (vector === Vector.DB && ownsDebugExceptions(vcpu)) {
    return debugExit(vcpu, Vector.DB, vmcs.get32(F.QUALIFICATION));
  }
  if (vector === Vector.BP && vcpu.user !== null) return debugExit(vcpu, Vector.BP, 0);
  if (vector === Vector.DB) {
    if (((information >> 8) & 7) === INT1) vcpu.advance();
    else keepPendingStep(vcpu);
    vcpu.queueDebugException(vmcs.get32(F.QUALIFICATION));
    return 'resume';
  }
  const hasError = (information & ERROR_CODE_VALID) !== 0;
  vcpu.queueException(vector, hasError ? vmcs.get32(F.ERROR_CODE) : null);
  return 'resume';
};

/**
 * VM entry wants a single step to be pending with TF under blocking by STI or MOV SS, though it is
 * the trap of that very step that goes back to the guest, and takes its place.
 */
function keepPendingStep({ virtual }: Vcpu): void {
  const { words } = virtual.processor.state;
  const isShadowed = (words[Word.INTERRUPTIBILITY] & (Blocking.STI | Blocking.MOV_SS)) !== 0;
  const isStepping = (words[Word.RFLAGS] & Rflags.TF) !== 0;
  if (isShadowed && isStepping) words[Word.PENDING_DEBUG] |= PendingDebug.BS;
}

/** VMMCALL becomes VMCALL where it stands, to be executed again. */
function patchHypercall(vcpu: Vcpu): boolean {
  const bytes = readGuestBytes(vcpu, vcpu.linearRip, VMMCALL.length);
  if (bytes === null || !VMMCALL.every((byte, i) => byte === bytes[i])) return false;
  return writeGuestBytes(vcpu, vcpu.linearRip, VMCALL);
}

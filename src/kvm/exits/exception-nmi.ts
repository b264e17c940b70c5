// An intercepted exception: #UD, which may be a hypercall in the other vendor's form, and others
// that are only passed on. Linux arch/x86/kvm/vmx/vmx.c, handle_exception_nmi, and x86.c,
// handle_ud.

import { Blocking, EventTypes, PendingDebug, Rflags, Vector, Word } from '../../cpu/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { readGuestBytes, writeGuestBytes } from '../guest-memory.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

const F = {
  INTR_INFO: fieldIndex('VM_EXIT_INTR_INFO'),
  ERROR_CODE: fieldIndex('VM_EXIT_INTR_ERROR_CODE'),
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
  INTERRUPTIBILITY: fieldIndex('GUEST_INTERRUPTIBILITY_INFO'),
  PENDING_DEBUG: fieldIndex('GUEST_PENDING_DBG_EXCEPTIONS'),
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
  if (vector === Vector.DB) {
    if (((information >> 8) & 7) === INT1) vcpu.passInstruction();
    else keepStepPending(vcpu);
    vcpu.queueDebugException(vmcs.get32(F.QUALIFICATION));
    return 'resume';
  }
  const hasError = (information & ERROR_CODE_VALID) !== 0;
  vcpu.queueException(vector, hasError ? vmcs.get32(F.ERROR_CODE) : null);
  return 'resume';
};

/**
 * The exit of a debug trap leaves event blocking as it was, and with TF the next entry insists on a
 * single step that is pending. The trap that is injected takes its place.
 */
function keepStepPending(vcpu: Vcpu): void {
  const { vmcs, processor } = vcpu.virtual;
  const isStepping = (processor.state.words[Word.RFLAGS] & Rflags.TF) !== 0;
  const isBlocking = (vmcs.get32(F.INTERRUPTIBILITY) & (Blocking.STI | Blocking.MOV_SS)) !== 0;
  if (!isStepping || !isBlocking) return;
  vmcs.set32(F.PENDING_DEBUG, vmcs.get32(F.PENDING_DEBUG) | PendingDebug.BS);
}

/** VMMCALL becomes VMCALL where it stands, to be executed again. */
function patchHypercall(vcpu: Vcpu): boolean {
  const bytes = readGuestBytes(vcpu, vcpu.linearRip, VMMCALL.length);
  if (bytes === null || !VMMCALL.every((byte, i) => byte === bytes[i])) return false;
  return writeGuestBytes(vcpu, vcpu.linearRip, VMCALL);
}

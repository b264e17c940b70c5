// An intercepted exception: #UD, which may be a hypercall by VMMCALL, and others that are only
// passed on. Linux arch/x86/kvm/vmx/vmx.c, handle_exception_nmi, and x86.c, handle_ud.

import { Blocking, EventTypes, PendingDebug, Rflags, Vector, Word } from '../../cpu/index.ts';
import type { Pcpu } from '../../host/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { foreignHypercall, isHypercallAt, nativeHypercall } from '../hypercall-opcodes.ts';
import { debugExit, ownsDebugExceptions } from '../user-control.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler, HandlerResult } from './handler.ts';

const F = {
  INTR_INFO: fieldIndex('VM_EXIT_INTR_INFO'),
  ERROR_CODE: fieldIndex('VM_EXIT_INTR_ERROR_CODE'),
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
} as const;

const ERROR_CODE_VALID = 1 << 11;

/** INT1 exits before it is done; its #DB is a trap, with the address behind it. */
const INT1 = EventTypes.PRIVILEGED_SOFTWARE_EXCEPTION;

export const exceptionNmi: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { vmcs } = vcpu.virtual;
  const information = vmcs.get32(F.INTR_INFO);
  const vector = information & 0xff;
  if (vector === Vector.UD && isHypercallAt(vcpu, 'vmmcall')) return vmmcall(vcpu, pcpu);
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

/** Here VMMCALL has no exit of its own, but #UD. */
function vmmcall(vcpu: Vcpu, pcpu: Pcpu): HandlerResult {
  const isNative = vcpu.vm.parameters.hypercallOpcode === 'vmmcall';
  return isNative ? nativeHypercall(vcpu, pcpu) : foreignHypercall(vcpu);
}

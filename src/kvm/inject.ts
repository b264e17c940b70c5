// Which event goes into the guest at the next entry. Linux arch/x86/kvm/x86.c,
// inject_pending_event: first what an exit interrupted, then a new exception, then an NMI, then the
// APIC's best vector. What cannot go in now opens a window that exits as soon as it can.

import {
  Activity,
  Blocking,
  EventTypes,
  modeOf,
  Rflags,
  VECTOR_NAMES,
  Vector,
  Word,
} from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import { fieldIndex, Primary } from '../vmx/index.ts';
import type { PendingEvent, Vcpu } from './vcpu.ts';

const VALID = 1 << 31;
const ERROR_CODE_VALID = 1 << 11;
/** Vector, type and error-code bit of the IDT-vectoring information. */
const REINJECTED_BITS = 0xfff;

const F = {
  INTR_INFO: fieldIndex('VM_ENTRY_INTR_INFO_FIELD'),
  ERROR_CODE: fieldIndex('VM_ENTRY_EXCEPTION_ERROR_CODE'),
  LENGTH: fieldIndex('VM_ENTRY_INSTRUCTION_LEN'),
  PRIMARY: fieldIndex('CPU_BASED_VM_EXEC_CONTROL'),
  IDT_INFO: fieldIndex('IDT_VECTORING_INFO_FIELD'),
  IDT_ERROR_CODE: fieldIndex('IDT_VECTORING_ERROR_CODE'),
  EXIT_LENGTH: fieldIndex('VM_EXIT_INSTRUCTION_LEN'),
  INTERRUPTIBILITY: fieldIndex('GUEST_INTERRUPTIBILITY_INFO'),
} as const;

/** After an exit that interrupted the delivery of an event: remember it (vmx_complete_interrupts). */
export function completeInterruptedEvent(vcpu: Vcpu): void {
  const { vmcs } = vcpu.virtual;
  const information = vmcs.get32(F.IDT_INFO);
  const type = (information >> 8) & 7;
  if (type === EventTypes.NMI) {
    // Its delivery has not begun: it does not block NMIs yet.
    vmcs.set32(F.INTERRUPTIBILITY, vmcs.get32(F.INTERRUPTIBILITY) & ~Blocking.NMI);
  }
  vcpu.state.reinject = {
    information: information & REINJECTED_BITS,
    errorCode: vmcs.get32(F.IDT_ERROR_CODE),
    instructionLengthBytes: type >= EventTypes.SOFTWARE_INTERRUPT ? vmcs.get32(F.EXIT_LENGTH) : 0,
  };
  vcpu.requestEvent();
}

/** Fill the VM-entry interruption information, and open windows for what has to wait. */
export function injectEvents(vcpu: Vcpu, pcpu: Pcpu): void {
  const { state } = vcpu;
  if (state.nmiQueued > 0) takeQueuedNmis(vcpu);
  let injected = false;
  if (state.reinject !== null) {
    inject(vcpu, pcpu, state.reinject, true);
    state.reinject = null;
    injected = true;
  } else if (state.exception !== null) {
    setResumeFlag(vcpu, state.exception.information & 0xff);
    inject(vcpu, pcpu, state.exception, false);
    state.exception = null;
    injected = true;
  }
  if (state.nmiPending > 0 && !injected && vcpu.nmiAllowed) {
    state.nmiPending--;
    vcpu.counters.nmi_injections++;
    const information = Vector.NMI | (EventTypes.NMI << 8);
    inject(vcpu, pcpu, { information, errorCode: 0, instructionLengthBytes: 0 }, false);
    injected = true;
  }
  if (!injected && vcpu.interruptAllowed) {
    const vector = takeInterrupt(vcpu, pcpu);
    if (vector >= 0) {
      vcpu.counters.irq_injections++;
      inject(vcpu, pcpu, { information: vector, errorCode: 0, instructionLengthBytes: 0 }, false);
    }
  }
  const isAwaited = vcpu.user?.windowRequested === true && !vcpu.vm.hasIrqchip;
  setWindow(vcpu, Primary.INTR_WINDOW_EXITING, vcpu.hasInterrupt || isAwaited);
  setWindow(vcpu, Primary.NMI_WINDOW_EXITING, state.nmiPending > 0);
}

/**
 * Of the NMIs that have arrived, a processor keeps one while it handles another one; if it handles
 * none, that makes two: one to take at once, one to keep. Linux x86.c, process_nmi.
 */
export function takeQueuedNmis({ state, virtual }: Vcpu): void {
  const isBlocked = (virtual.vmcs.get32(F.INTERRUPTIBILITY) & Blocking.NMI) !== 0;
  const isInDelivery = (state.reinject?.information ?? 0) >> 8 === EventTypes.NMI;
  const most = isBlocked || isInDelivery ? 1 : 2;
  state.nmiPending = Math.min(state.nmiPending + state.nmiQueued, most);
  state.nmiQueued = 0;
}

/** Acknowledge the best interrupt, the PIC's first: its vector, or -1 (kvm_cpu_get_interrupt). */
function takeInterrupt(vcpu: Vcpu, pcpu: Pcpu): number {
  const { lapic, vm } = vcpu;
  if (vm.irqchip !== null && vcpu.hasPicInterrupt) return vm.irqchip.acknowledgePic(pcpu);
  const vector = lapic.deliverable;
  if (vector >= 0) lapic.acknowledge(vector);
  return vector;
}

/** Exceptions that are no faults: their image of RFLAGS has RF as it is. */
const NO_FAULTS: readonly number[] = [Vector.DB, Vector.BP, Vector.DF, Vector.MC];

/** A processor sets RF in the image that a fault pushes, but not for injected events. */
function setResumeFlag(vcpu: Vcpu, vector: number): void {
  if (!NO_FAULTS.includes(vector)) vcpu.virtual.processor.state.words[Word.RFLAGS] |= Rflags.RF;
}

function inject(vcpu: Vcpu, pcpu: Pcpu, event: PendingEvent, reinjected: boolean): void {
  const { vmcs, processor } = vcpu.virtual;
  // Where HLT does not exit, an event ends it (vmx_clear_hlt).
  processor.state.words[Word.ACTIVITY] = Activity.ACTIVE;
  // Real mode reports no error codes (kvm_inject_exception).
  const isReal = modeOf(processor.state) === 'real';
  const information = isReal ? event.information & ~ERROR_CODE_VALID : event.information;
  vmcs.set32(F.INTR_INFO, information | VALID);
  vmcs.set32(F.ERROR_CODE, event.errorCode);
  vmcs.set32(F.LENGTH, event.instructionLengthBytes);
  if (!pcpu.traced) return;
  const vector = information & 0xff;
  const type = (information >> 8) & 7;
  if (type === EventTypes.EXTERNAL_INTERRUPT || type === EventTypes.SOFTWARE_INTERRUPT) {
    const soft = type === EventTypes.SOFTWARE_INTERRUPT;
    pcpu.trace('kvm_inj_virq', { vector, soft, reinjected });
  } else if (type !== EventTypes.NMI) {
    const hasError = (information & ERROR_CODE_VALID) !== 0;
    const name = VECTOR_NAMES.get(vector) ?? `0x${vector.toString(16)}`;
    pcpu.trace('kvm_inj_exception', {
      name,
      errorCode: hasError ? event.errorCode : null,
      reinjected,
    });
  }
}

/** Switch a window exit on or off. */
export function setWindow(vcpu: Vcpu, control: number, open: boolean): void {
  const { vmcs } = vcpu.virtual;
  const old = vmcs.get32(F.PRIMARY);
  const wanted = open ? old | control : old & ~control;
  if (wanted !== old) vmcs.set32(F.PRIMARY, wanted);
}

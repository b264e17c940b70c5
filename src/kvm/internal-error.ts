// KVM_EXIT_INTERNAL_ERROR with what the kernel gives with each suberror. Linux
// arch/x86/kvm/x86.c, prepare_emulation_failure_exit, and vmx/vmx.c, __vmx_handle_exit.

import Long from 'long';
import { Exit, exitReasonName, fieldIndex } from '../vmx/index.ts';
import { readGuestBytes } from './guest-memory.ts';
import { InternalError, type KvmExit } from './kvm-exit.ts';
import type { Vcpu } from './vcpu.ts';

type InternalErrorExit = Extract<KvmExit, { reason: 'INTERNAL_ERROR' }>;

const EXIT_FIELDS = [
  fieldIndex('VM_EXIT_REASON'),
  fieldIndex('EXIT_QUALIFICATION'),
  fieldIndex('IDT_VECTORING_INFO_FIELD'),
  fieldIndex('VM_EXIT_INTR_INFO'),
  fieldIndex('VM_EXIT_INTR_ERROR_CODE'),
] as const;
const [EXIT_REASON, QUALIFICATION, IDT_INFO] = EXIT_FIELDS;
const GUEST_PHYSICAL = fieldIndex('GUEST_PHYSICAL_ADDRESS');

/** Exits that may interrupt the delivery of an event. */
const DELIVERY_EXITS: readonly number[] = [
  Exit.EXCEPTION_NMI,
  Exit.EPT_VIOLATION,
  Exit.APIC_ACCESS,
  Exit.TASK_SWITCH,
];

const INSTRUCTION_BYTES = 15;
/** KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES. */
const HAS_INSTRUCTION = Long.UONE;

/** An instruction that cannot be executed: its bytes, if they can be read, and the last exit. */
export function emulationFailure(vcpu: Vcpu, message: string): InternalErrorExit {
  const { vmcs } = vcpu.virtual;
  const info = EXIT_FIELDS.map((field) =>
    field === QUALIFICATION ? vmcs.get64(field) : Long.fromInt(vmcs.get32(field), true),
  );
  const bytes = readGuestBytes(vcpu, vcpu.linearRip, INSTRUCTION_BYTES);
  const instruction =
    bytes === null
      ? [Long.UZERO]
      : [
          HAS_INSTRUCTION,
          Long.fromBytesLE([INSTRUCTION_BYTES, ...bytes.subarray(0, 7)], true),
          Long.fromBytesLE([...bytes.subarray(7)], true),
        ];
  const data = [...instruction, ...info];
  return { reason: 'INTERNAL_ERROR', suberror: InternalError.EMULATION, data, message };
}

/** An exit that nobody handles: its reason, and the pCPU it happened on. */
export function unexpectedExit(vcpu: Vcpu, message: string): InternalErrorExit {
  const reason = Long.fromInt(vcpu.virtual.vmcs.get32(EXIT_REASON), true);
  const data = [reason, Long.fromInt(vcpu.state.cpu, true)];
  return { reason: 'INTERNAL_ERROR', suberror: InternalError.UNEXPECTED_EXIT, data, message };
}

/**
 * An exit in the middle of a delivery, of which KVM knows no way on: a stack or a table of the
 * guest is in device memory, say. Vectoring information, exit reason, qualification, for an EPT
 * misconfiguration the address, and the pCPU. Null for all others.
 */
export function deliveryLoss(vcpu: Vcpu, reason: number): InternalErrorExit | null {
  const { vmcs } = vcpu.virtual;
  if (DELIVERY_EXITS.includes(reason)) return null;
  const at = reason === Exit.EPT_MISCONFIG ? [vmcs.get64(GUEST_PHYSICAL)] : [];
  const data = [
    Long.fromInt(vmcs.get32(IDT_INFO), true),
    Long.fromInt(vmcs.get32(EXIT_REASON), true),
    vmcs.get64(QUALIFICATION),
    ...at,
    Long.fromInt(vcpu.state.cpu, true),
  ];
  const message = `exit ${exitReasonName(reason)} while an event was delivered, ${vcpu.place}`;
  return { reason: 'INTERNAL_ERROR', suberror: InternalError.DELIVERY, data, message };
}

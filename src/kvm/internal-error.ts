// KVM_EXIT_INTERNAL_ERROR with what the kernel gives with each suberror. Linux
// arch/x86/kvm/x86.c, prepare_emulation_failure_exit, and vmx/vmx.c, __vmx_handle_exit.

import Long from 'long';
import { fieldIndex } from '../vmx/index.ts';
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
const [EXIT_REASON, QUALIFICATION] = EXIT_FIELDS;

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

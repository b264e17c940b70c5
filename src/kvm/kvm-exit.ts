// Why KVM_RUN returns to user space: the members of `struct kvm_run` that matter for each reason.
// Names and numbers of Linux include/uapi/linux/kvm.h.

import type Long from 'long';
import { KVM_EXIT_REASONS } from '../trace/index.ts';
import type { EntryExplanation } from '../vmx/index.ts';

export type KvmExit =
  /** A port access. User space fills `data` of an input before it runs the vCPU again. */
  | {
      readonly reason: 'IO';
      readonly direction: 'in' | 'out';
      readonly port: number;
      readonly sizeBytes: number;
      data: number;
    }
  /** An access to memory that no slot backs. User space fills `data` of a read. */
  | {
      readonly reason: 'MMIO';
      readonly isWrite: boolean;
      readonly gpa: number;
      readonly lengthBytes: number;
      data: Long;
    }
  /** A triple fault. */
  | { readonly reason: 'SHUTDOWN' }
  /** VM entry failed: an exit reason with bit 31 set, or a VM-instruction error. */
  | {
      readonly reason: 'FAIL_ENTRY';
      readonly hardwareReason: number;
      /** The check that failed. */
      readonly why: EntryExplanation;
    }
  /** The guest did what this laboratory cannot do; the message says what and where. */
  | { readonly reason: 'INTERNAL_ERROR'; readonly suberror: number; readonly message: string };

export type KvmExitReason = KvmExit['reason'];

export const KVM_EXIT_NUMBERS: Readonly<Record<KvmExitReason, number>> = KVM_EXIT_REASONS;

/** Suberrors of INTERNAL_ERROR. */
export const InternalError = { EMULATION: 1, DELIVERY: 3, UNEXPECTED_EXIT: 4 } as const;

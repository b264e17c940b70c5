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
      /** Of a string input: how many elements more user space may give at once, in `ahead`. */
      readonly aheadCount?: number;
      ahead?: readonly number[];
    }
  /** An access to memory that no slot backs. User space fills `data` of a read. */
  | {
      readonly reason: 'MMIO';
      readonly isWrite: boolean;
      readonly gpa: number;
      readonly lengthBytes: number;
      data: Long;
    }
  /** HLT, where the interrupt controllers are user space's. */
  | { readonly reason: 'HLT' }
  /** A hypercall that the kernel leaves to user space, which fills `ret`. */
  | {
      readonly reason: 'HYPERCALL';
      readonly nr: number;
      readonly args: readonly Long[];
      readonly isLongMode: boolean;
      ret: Long;
    }
  /** A debugger's single step or breakpoint; `dr6` and `dr7` as for the exception. */
  | {
      readonly reason: 'DEBUG';
      readonly exception: number;
      readonly pc: Long;
      readonly dr6: Long;
      readonly dr7: Long;
    }
  /**
   * An access to an MSR that the kernel leaves to user space, which fills `data` of a read, and
   * `error` if the guest is to have #GP. `why` is a bit of {@link MsrExitReason}.
   */
  | {
      readonly reason: 'X86_RDMSR' | 'X86_WRMSR';
      readonly why: number;
      readonly index: number;
      data: Long;
      error: number;
    }
  /** The guest could take an interrupt now, which user space wanted to know. */
  | { readonly reason: 'IRQ_WINDOW_OPEN' }
  /** CR8 was lowered, where the interrupt controllers are user space's. */
  | { readonly reason: 'SET_TPR' }
  /**
   * KVM_RUN fails: with EINTR after a signal or for `immediate_exit`, with EAGAIN when a vCPU that
   * waited for INIT has got it.
   */
  | { readonly reason: 'INTR'; readonly cause: 'signal' | 'immediate' | 'initialized' }
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
  | {
      readonly reason: 'INTERNAL_ERROR';
      readonly suberror: number;
      /** What the kernel says with the suberror. */
      readonly data: readonly Long[];
      readonly message: string;
    };

export type KvmExitReason = KvmExit['reason'];

export const KVM_EXIT_NUMBERS: Readonly<Record<KvmExitReason, number>> = KVM_EXIT_REASONS;

/** Suberrors of INTERNAL_ERROR. */
export const InternalError = { EMULATION: 1, DELIVERY: 3, UNEXPECTED_EXIT: 4 } as const;

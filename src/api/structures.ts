// The structures of the KVM API, as plain records: Linux arch/x86/include/uapi/asm/kvm.h and
// include/uapi/linux/kvm.h. What calls return holds 64-bit values as Long; what they take may hold
// numbers as well.

import type Long from 'long';
import type { Eventfd } from './eventfd.ts';

/** A 64-bit value given to a call. */
export type U64 = Long | number;

export const REGISTERS = [
  ...(['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp'] as const),
  ...(['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const),
  ...(['rip', 'rflags'] as const),
] as const;

export type RegisterName = (typeof REGISTERS)[number];

/** struct kvm_regs. */
export type KvmRegs = Readonly<Record<RegisterName, Long>>;

/** struct kvm_regs as given; what is left out is 0, as in a C initializer. */
export type KvmRegsInput = Readonly<Partial<Record<RegisterName, U64>>>;

/** struct kvm_segment. */
export interface KvmSegment<Value extends U64 = U64> {
  readonly base: Value;
  readonly limit: number;
  readonly selector: number;
  readonly type: number;
  readonly present: number;
  readonly dpl: number;
  readonly db: number;
  readonly s: number;
  readonly l: number;
  readonly g: number;
  readonly avl: number;
  readonly unusable: number;
}

/** struct kvm_dtable. */
export interface KvmDtable<Value extends U64 = U64> {
  readonly base: Value;
  readonly limit: number;
}

export const SEGMENTS = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldt'] as const;

export type SegmentName = (typeof SEGMENTS)[number];

/** struct kvm_sregs. In `interruptBitmap`, four words, the bit of the vector being delivered. */
export type KvmSregs<Value extends U64 = U64> = Readonly<Record<SegmentName, KvmSegment<Value>>> & {
  readonly gdt: KvmDtable<Value>;
  readonly idt: KvmDtable<Value>;
  readonly cr0: Value;
  readonly cr2: Value;
  readonly cr3: Value;
  readonly cr4: Value;
  readonly cr8: Value;
  readonly efer: Value;
  readonly apicBase: Value;
  readonly interruptBitmap: readonly Value[];
};

/** struct kvm_msr_entry. */
export interface KvmMsrEntry<Value extends U64 = U64> {
  readonly index: number;
  readonly data: Value;
}

/** struct kvm_fpu. Byte arrays: 8 registers of 16 bytes, 16 of 16 bytes. */
export interface KvmFpu {
  readonly fpr: readonly Uint8Array[];
  readonly fcw: number;
  readonly fsw: number;
  /** A bit for each register that is not empty, as FXSAVE has it. */
  readonly ftwx: number;
  readonly lastOpcode: number;
  readonly lastIp: Long;
  readonly lastDp: Long;
  readonly xmm: readonly Uint8Array[];
  readonly mxcsr: number;
}

/** struct kvm_vcpu_events, but for what belongs to system management. */
export interface KvmVcpuEvents {
  readonly exception: {
    readonly injected: number;
    readonly pending: number;
    readonly nr: number;
    readonly hasErrorCode: number;
    readonly errorCode: number;
  };
  readonly interrupt: {
    readonly injected: number;
    readonly nr: number;
    readonly soft: number;
    /** KVM_X86_SHADOW_INT_MOV_SS 1, KVM_X86_SHADOW_INT_STI 2. */
    readonly shadow: number;
  };
  readonly nmi: { readonly injected: number; readonly pending: number; readonly masked: number };
  readonly sipiVector: number;
  /** KVM_VCPUEVENT_VALID_*: NMI_PENDING 1, SIPI_VECTOR 2, SHADOW 4. */
  readonly flags: number;
}

/** struct kvm_debugregs. */
export interface KvmDebugregs<Value extends U64 = U64> {
  readonly db: readonly [Value, Value, Value, Value];
  readonly dr6: Value;
  readonly dr7: Value;
  readonly flags: number;
}

/** struct kvm_guest_debug: bits of GuestDebug, and debug registers by number, missing ones 0. */
export interface KvmGuestDebug {
  readonly control: number;
  readonly arch?: { readonly debugreg: readonly U64[] };
}

/** struct kvm_userspace_memory_region; the memory is what {@link KvmVm.mmap} gave. */
export interface KvmUserspaceMemoryRegion {
  readonly slot: number;
  /** KVM_MEM_LOG_DIRTY_PAGES 1, KVM_MEM_READONLY 2. */
  readonly flags?: number;
  readonly guestPhysAddr: U64;
  /** Bytes; 0 removes the slot. */
  readonly memorySize: U64;
  readonly userspaceAddr: Uint8Array | null;
}

/** struct kvm_translation, the part that comes back. */
export interface KvmTranslation {
  readonly physicalAddress: Long;
  readonly valid: number;
  readonly writeable: number;
  readonly usermode: number;
}

/** struct kvm_msi. */
export interface KvmMsi {
  readonly addressLo: number;
  readonly addressHi?: number;
  readonly data: number;
}

/** KVM_IRQ_ROUTING_*. */
export const KVM_IRQ_ROUTING = { IRQCHIP: 1, MSI: 2 } as const;

/** KVM_IRQCHIP_*. */
export const KVM_IRQCHIP = { PIC_MASTER: 0, PIC_SLAVE: 1, IOAPIC: 2 } as const;

/** struct kvm_irq_routing_entry, with the members of its union by their names. */
export interface KvmIrqRoutingEntry {
  readonly gsi: number;
  /** A number of {@link KVM_IRQ_ROUTING}. */
  readonly type: number;
  readonly flags?: number;
  readonly irqchip?: { readonly irqchip: number; readonly pin: number };
  readonly msi?: KvmMsi;
}

/** struct kvm_irqfd. */
export interface KvmIrqfd {
  readonly fd: Eventfd | null;
  readonly gsi: number;
  /** KVM_IRQFD_FLAG_*: DEASSIGN 1, RESAMPLE 2. */
  readonly flags?: number;
  /** With RESAMPLE: written to when the guest has ended the interrupt. */
  readonly resamplefd?: Eventfd | null;
}

/** struct kvm_ioeventfd. */
export interface KvmIoeventfd {
  readonly fd: Eventfd | null;
  readonly addr: U64;
  /** Bytes of the access: 1, 2, 4, 8, or 0 for any. */
  readonly len: number;
  /** KVM_IOEVENTFD_FLAG_*: DATAMATCH 1, PIO 2, DEASSIGN 4. */
  readonly flags?: number;
  readonly datamatch?: U64;
}

/** struct kvm_pic_state. */
export interface KvmPicState {
  readonly lastIrr: number;
  readonly irr: number;
  readonly imr: number;
  readonly isr: number;
  readonly priorityAdd: number;
  readonly irqBase: number;
  readonly readRegSelect: number;
  readonly poll: number;
  readonly specialMask: number;
  readonly initState: number;
  readonly autoEoi: number;
  readonly rotateOnAutoEoi: number;
  readonly specialFullyNestedMode: number;
  readonly init4: number;
  readonly elcr: number;
  readonly elcrMask: number;
}

/** struct kvm_ioapic_state. */
export interface KvmIoapicState<Value extends U64 = U64> {
  readonly baseAddress: Value;
  readonly ioregsel: number;
  readonly id: number;
  readonly irr: number;
  readonly redirtbl: readonly Value[];
}

/** struct kvm_irqchip: the member of its union that belongs to the chip. */
export interface KvmIrqchip {
  /** A number of {@link KVM_IRQCHIP}. */
  readonly chipId: number;
  readonly pic?: KvmPicState;
  readonly ioapic?: KvmIoapicState;
}

/** struct kvm_pit_channel_state. */
export interface KvmPitChannelState<Value extends U64 = U64> {
  readonly count: number;
  readonly latchedCount: number;
  readonly countLatched: number;
  readonly statusLatched: number;
  readonly status: number;
  readonly readState: number;
  readonly writeState: number;
  readonly writeLatch: number;
  readonly rwMode: number;
  readonly mode: number;
  readonly bcd: number;
  readonly gate: number;
  /** Virtual time in ns; KVM_SET_PIT2 does not look at it. */
  readonly countLoadTime: Value;
}

/** struct kvm_pit_state2. */
export interface KvmPitState2<Value extends U64 = U64> {
  /** Three. */
  readonly channels: readonly KvmPitChannelState<Value>[];
  /** Bits of KVM_PIT_FLAG. */
  readonly flags?: number;
}

/** struct kvm_reinject_control. */
export interface KvmReinjectControl {
  readonly pitReinject: number;
}

/** struct kvm_coalesced_mmio_zone. */
export interface KvmCoalescedMmioZone {
  readonly addr: U64;
  /** Bytes, or ports. */
  readonly size: number;
  /** 1: ports. */
  readonly pio?: number;
}

/** struct kvm_clear_dirty_log. */
export interface KvmClearDirtyLog {
  readonly slot: number;
  /** A multiple of 64. */
  readonly firstPage: number;
  /** A multiple of 64, or up to the end of the slot. */
  readonly numPages: number;
  /** A bit for each page from `firstPage` on: those whose bit is cleared. */
  readonly dirtyBitmap: Uint8Array;
}

/** struct kvm_clock_data. */
export interface KvmClockData<Value extends U64 = U64> {
  /** What kvmclock shows, in ns. */
  readonly clock: Value;
  readonly flags?: number;
}

/** KVM_MP_STATE_* by number. */
export const KVM_MP_STATE = {
  RUNNABLE: 0,
  UNINITIALIZED: 1,
  INIT_RECEIVED: 2,
  HALTED: 3,
  SIPI_RECEIVED: 4,
} as const;

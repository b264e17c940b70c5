// The page that KVM_RUN shares with user space, struct kvm_run, with the data of port accesses
// behind it. It is bytes at the kernel's offsets; the getters are names for them. Linux
// include/uapi/linux/kvm.h.

import Long from 'long';
import { KVM_EXIT_NUMBERS, type KvmExit } from '../kvm/index.ts';
import type { EntryExplanation } from '../vmx/index.ts';
import { SyncRegs } from './sync-regs.ts';

/** KVM_GET_VCPU_MMAP_SIZE: the run page, data of port accesses, the ring of coalesced MMIO. */
export const RUN_BYTES = 3 * 4096;
/** Where the data of port accesses lie. */
const PORT_DATA = 4096;

/** Numbers of exit reasons by name, without KVM_EXIT_. */
export const KVM_EXIT = KVM_EXIT_NUMBERS;

/** KVM_EXIT_IO_IN and KVM_EXIT_IO_OUT. */
export const KVM_EXIT_IO_IN = 0;
export const KVM_EXIT_IO_OUT = 1;

const Offset = {
  REQUEST_INTERRUPT_WINDOW: 0,
  IMMEDIATE_EXIT: 1,
  EXIT_REASON: 8,
  READY: 12,
  IF_FLAG: 13,
  FLAGS: 14,
  CR8: 16,
  APIC_BASE: 24,
  UNION: 32,
  VALID_REGS: 288,
  DIRTY_REGS: 296,
  SYNC_REGS: 304,
} as const;

const UNION_BYTES = 256;

/** Members of `kvm_run.io`. */
export interface RunIo {
  /** {@link KVM_EXIT_IO_IN} or {@link KVM_EXIT_IO_OUT}. */
  readonly direction: number;
  /** Bytes of an element: 1, 2 or 4. */
  readonly size: number;
  readonly port: number;
  readonly count: number;
  /** Where the data begin in {@link KvmRun.bytes}. */
  readonly dataOffset: number;
  /** The data, `size * count` bytes: to be read after OUT, to be filled for IN. */
  readonly data: Uint8Array;
}

/** Members of `kvm_run.mmio`. */
export interface RunMmio {
  readonly physAddr: Long;
  readonly len: number;
  readonly isWrite: number;
  /** 8 bytes, of which `len` count: to be read after a write, to be filled for a read. */
  readonly data: Uint8Array;
}

export class KvmRun {
  /** The mapping: {@link RUN_BYTES} bytes. */
  readonly bytes = new Uint8Array(RUN_BYTES);
  private readonly view = new DataView(this.bytes.buffer);
  private lastExit: KvmExit | null = null;

  // What user space writes

  /** 1: leave with IRQ_WINDOW_OPEN as soon as an interrupt can be injected. */
  get requestInterruptWindow(): number {
    return this.bytes[Offset.REQUEST_INTERRUPT_WINDOW];
  }
  set requestInterruptWindow(value: number) {
    this.bytes[Offset.REQUEST_INTERRUPT_WINDOW] = value;
  }

  /** 1: KVM_RUN completes what is outstanding and fails with EINTR. */
  get immediateExit(): number {
    return this.bytes[Offset.IMMEDIATE_EXIT];
  }
  set immediateExit(value: number) {
    this.bytes[Offset.IMMEDIATE_EXIT] = value;
  }

  /** Both ways, without interrupt controllers in the kernel. */
  get cr8(): number {
    return this.view.getUint32(Offset.CR8, true);
  }
  set cr8(value: number) {
    this.view.setUint32(Offset.CR8, value, true);
    this.view.setUint32(Offset.CR8 + 4, 0, true);
  }

  /** Bits of KVM_SYNC_X86: what KVM_RUN is to leave in {@link syncRegs}. */
  get validRegs(): Long {
    return this.get64(Offset.VALID_REGS);
  }
  set validRegs(value: Long | number) {
    this.set64(Offset.VALID_REGS, Long.fromValue(value));
  }

  /** Bits of KVM_SYNC_X86: what KVM_RUN is to take from {@link syncRegs}; it clears them. */
  get dirtyRegs(): Long {
    return this.get64(Offset.DIRTY_REGS);
  }
  set dirtyRegs(value: Long | number) {
    this.set64(Offset.DIRTY_REGS, Long.fromValue(value));
  }

  /** `s.regs`. */
  readonly syncRegs = new SyncRegs(this.bytes.subarray(Offset.SYNC_REGS));

  // What KVM_RUN writes

  /** A number of {@link KVM_EXIT}. */
  get exitReason(): number {
    return this.view.getUint32(Offset.EXIT_REASON, true);
  }

  /** The name of {@link exitReason}, without KVM_EXIT_. */
  get exitReasonName(): string {
    const found = Object.entries(KVM_EXIT).find(([, number]) => number === this.exitReason);
    return found?.[0] ?? String(this.exitReason);
  }

  get readyForInterruptInjection(): number {
    return this.bytes[Offset.READY];
  }

  get ifFlag(): number {
    return this.bytes[Offset.IF_FLAG];
  }

  get flags(): number {
    return this.view.getUint16(Offset.FLAGS, true);
  }

  get apicBase(): Long {
    return this.get64(Offset.APIC_BASE);
  }

  get io(): RunIo {
    const { view } = this;
    const size = view.getUint8(Offset.UNION + 1);
    const count = view.getUint32(Offset.UNION + 4, true);
    const dataOffset = view.getUint32(Offset.UNION + 8, true);
    return {
      direction: view.getUint8(Offset.UNION),
      size,
      port: view.getUint16(Offset.UNION + 2, true),
      count,
      dataOffset,
      data: this.bytes.subarray(dataOffset, dataOffset + size * count),
    };
  }

  get mmio(): RunMmio {
    const at = Offset.UNION + 8;
    return {
      physAddr: this.get64(Offset.UNION),
      data: this.bytes.subarray(at, at + 8),
      len: this.view.getUint32(Offset.UNION + 16, true),
      isWrite: this.view.getUint8(Offset.UNION + 20),
    };
  }

  get hypercall(): {
    readonly nr: Long;
    readonly args: readonly Long[];
    readonly longmode: number;
  } {
    const args = [1, 2, 3, 4, 5, 6].map((slot) => this.get64(Offset.UNION + 8 * slot));
    const longmode = this.view.getUint32(Offset.UNION + 64, true);
    return { nr: this.get64(Offset.UNION), args, longmode };
  }

  /** What the hypercall is to return. */
  set hypercallRet(value: Long | number) {
    this.set64(Offset.UNION + 56, Long.fromValue(value));
  }

  /** Of X86_RDMSR and X86_WRMSR; `reason` is a bit of KVM_MSR_EXIT_REASON. */
  get msr(): {
    readonly error: number;
    readonly reason: number;
    readonly index: number;
    readonly data: Long;
  } {
    const { view } = this;
    return {
      error: view.getUint8(Offset.UNION),
      reason: view.getUint32(Offset.UNION + 8, true),
      index: view.getUint32(Offset.UNION + 12, true),
      data: this.get64(Offset.UNION + 16),
    };
  }

  /** The value that the guest is to read. */
  set msrData(value: Long | number) {
    this.set64(Offset.UNION + 16, Long.fromValue(value));
  }

  /** Not 0: the guest is to have #GP. */
  set msrError(value: number) {
    this.bytes[Offset.UNION] = value;
  }

  get debug(): {
    readonly arch: {
      readonly exception: number;
      readonly pc: Long;
      readonly dr6: Long;
      readonly dr7: Long;
    };
  } {
    const at = Offset.UNION;
    return {
      arch: {
        exception: this.view.getUint32(at, true),
        pc: this.get64(at + 8),
        dr6: this.get64(at + 16),
        dr7: this.get64(at + 24),
      },
    };
  }

  /** `why` is ours: which check failed, on which fields. */
  get failEntry(): {
    readonly hardwareEntryFailureReason: Long;
    readonly cpu: number;
    readonly why: EntryExplanation | null;
  } {
    const exit = this.lastExit;
    return {
      hardwareEntryFailureReason: this.get64(Offset.UNION),
      cpu: this.view.getUint32(Offset.UNION + 8, true),
      why: exit?.reason === 'FAIL_ENTRY' ? exit.why : null,
    };
  }

  /**
   * `data` are what the kernel has to say about the suberror; `message` is ours: what it was that
   * could not be done, and where.
   */
  get internal(): {
    readonly suberror: number;
    readonly ndata: number;
    readonly data: readonly Long[];
    readonly message: string;
  } {
    const exit = this.lastExit;
    const ndata = this.view.getUint32(Offset.UNION + 4, true);
    return {
      suberror: this.view.getUint32(Offset.UNION, true),
      ndata,
      data: Array.from({ length: ndata }, (_, i) => this.get64(Offset.UNION + 8 + 8 * i)),
      message: exit?.reason === 'INTERNAL_ERROR' ? exit.message : '',
    };
  }

  /** Fill the page with what every exit publishes. */
  publish(state: { ready: boolean; ifFlag: boolean; cr8: number; apicBase: Long }): void {
    this.bytes[Offset.READY] = state.ready ? 1 : 0;
    this.bytes[Offset.IF_FLAG] = state.ifFlag ? 1 : 0;
    this.view.setUint16(Offset.FLAGS, 0, true);
    this.cr8 = state.cr8;
    this.set64(Offset.APIC_BASE, state.apicBase);
  }

  /** Fill in an exit. Other members of the union become 0. */
  record(exit: KvmExit, cpu: number): void {
    this.lastExit = exit;
    const { view } = this;
    view.setUint32(Offset.EXIT_REASON, KVM_EXIT[exit.reason], true);
    this.bytes.fill(0, Offset.UNION, Offset.UNION + UNION_BYTES);
    switch (exit.reason) {
      case 'IO':
        this.recordIo(exit);
        return;
      case 'MMIO':
        this.set64(Offset.UNION, Long.fromNumber(exit.gpa));
        if (exit.isWrite) this.set64(Offset.UNION + 8, exit.data);
        view.setUint32(Offset.UNION + 16, exit.lengthBytes, true);
        view.setUint8(Offset.UNION + 20, exit.isWrite ? 1 : 0);
        // Of the eight bytes, those beyond the access are 0.
        this.bytes.fill(0, Offset.UNION + 8 + exit.lengthBytes, Offset.UNION + 16);
        return;
      case 'HYPERCALL':
        this.set64(Offset.UNION, Long.fromNumber(exit.nr));
        exit.args.forEach((value, i) => {
          this.set64(Offset.UNION + 8 * (i + 1), value);
        });
        view.setUint32(Offset.UNION + 64, exit.isLongMode ? 1 : 0, true);
        return;
      case 'X86_RDMSR':
      case 'X86_WRMSR':
        view.setUint32(Offset.UNION + 8, exit.why, true);
        view.setUint32(Offset.UNION + 12, exit.index, true);
        this.set64(Offset.UNION + 16, exit.data);
        return;
      case 'DEBUG':
        view.setUint32(Offset.UNION, exit.exception, true);
        this.set64(Offset.UNION + 8, exit.pc);
        this.set64(Offset.UNION + 16, exit.dr6);
        this.set64(Offset.UNION + 24, exit.dr7);
        return;
      case 'FAIL_ENTRY':
        this.set64(Offset.UNION, Long.fromNumber(exit.hardwareReason));
        view.setUint32(Offset.UNION + 8, cpu, true);
        return;
      case 'INTERNAL_ERROR':
        view.setUint32(Offset.UNION, exit.suberror, true);
        view.setUint32(Offset.UNION + 4, exit.data.length, true);
        for (const [i, value] of exit.data.entries()) this.set64(Offset.UNION + 8 + 8 * i, value);
        return;
      case 'HLT':
      case 'SHUTDOWN':
      case 'IRQ_WINDOW_OPEN':
      case 'SET_TPR':
      case 'INTR':
        return;
    }
  }

  private recordIo(exit: Extract<KvmExit, { reason: 'IO' }>): void {
    const { view } = this;
    const isIn = exit.direction === 'in';
    view.setUint8(Offset.UNION, isIn ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT);
    view.setUint8(Offset.UNION + 1, exit.sizeBytes);
    view.setUint16(Offset.UNION + 2, exit.port, true);
    view.setUint32(Offset.UNION + 4, 1 + (exit.aheadCount ?? 0), true);
    view.setUint32(Offset.UNION + 8, PORT_DATA, true);
    if (!isIn) this.setElement(0, exit.sizeBytes, exit.data);
  }

  /** What user space has left in the page for an exit, into the exit. */
  collect(exit: KvmExit): void {
    if (exit.reason === 'MMIO' && !exit.isWrite) {
      const kept = this.get64(Offset.UNION + 8);
      const unused = 64 - 8 * exit.lengthBytes;
      exit.data = kept.shl(unused).shru(unused);
    } else if (exit.reason === 'HYPERCALL') exit.ret = this.get64(Offset.UNION + 56);
    else if (exit.reason === 'X86_RDMSR' || exit.reason === 'X86_WRMSR') {
      exit.error = this.msr.error;
      exit.data = this.msr.data;
    } else if (exit.reason === 'IO' && exit.direction === 'in') {
      const { sizeBytes, aheadCount = 0 } = exit;
      exit.data = this.element(0, sizeBytes);
      exit.ahead = Array.from({ length: aheadCount }, (_, i) => this.element(i + 1, sizeBytes));
    }
  }

  private element(index: number, sizeBytes: number): number {
    const at = PORT_DATA + index * sizeBytes;
    if (sizeBytes === 1) return this.view.getUint8(at);
    return sizeBytes === 2 ? this.view.getUint16(at, true) : this.view.getUint32(at, true);
  }

  private setElement(index: number, sizeBytes: number, value: number): void {
    const at = PORT_DATA + index * sizeBytes;
    for (let i = 0; i < sizeBytes; i++) this.bytes[at + i] = value >>> (8 * i);
  }

  private get64(at: number): Long {
    return Long.fromBits(this.view.getInt32(at, true), this.view.getInt32(at + 4, true), true);
  }

  private set64(at: number, value: Long): void {
    this.view.setInt32(at, value.low, true);
    this.view.setInt32(at + 4, value.high, true);
  }
}

// KVM_CAP_SYNC_REGS: registers and events in the page that KVM_RUN shares with user space, given
// when it returns (kvm_valid_regs) and taken when it begins (kvm_dirty_regs), without calls. Linux
// arch/x86/kvm/x86.c, sync_regs and store_regs; layouts of arch/x86/include/uapi/asm/kvm.h.

import Long from 'long';
import type { Vcpu } from '../kvm/index.ts';
import { require } from './errors.ts';
import { BITMAP_WORDS, readRegs, readSregs, writeRegs, writeSregs } from './registers.ts';
import type { KvmRun } from './run-page.ts';
import {
  type KvmDtable,
  type KvmRegs,
  type KvmRegsInput,
  type KvmSegment,
  type KvmSregs,
  type KvmVcpuEvents,
  REGISTERS,
  type RegisterName,
  SEGMENTS,
  type SegmentName,
  type U64,
} from './structures.ts';
import { readEvents, writeEvents } from './vcpu-state.ts';

/** KVM_SYNC_X86_*. */
export const KVM_SYNC_X86 = { REGS: 1 << 0, SREGS: 1 << 1, EVENTS: 1 << 2 } as const;

/** KVM_SYNC_X86_VALID_FIELDS. */
export const SYNC_FIELDS = Object.values(KVM_SYNC_X86).reduce((mask, bit) => mask | bit, 0);

/** From the beginning of struct kvm_sync_regs. */
const Offset = { REGS: 0, SREGS: 144, EVENTS: 456 } as const;
/** Length of struct kvm_sync_regs. */
const SYNC_BYTES = 520;

/** Members of a struct kvm_segment that are bytes, from its offset 14 on. */
const SEGMENT_FLAGS = [
  ...(['type', 'present', 'dpl', 'db', 's', 'l', 'g', 'avl', 'unusable'] as const),
] as const;

const CONTROLS = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'apicBase'] as const;

/** Reads and writes members one after the other. */
class Cursor {
  private readonly view: DataView;
  private at: number;

  constructor(view: DataView, at: number) {
    this.view = view;
    this.at = at;
  }

  skip(lengthBytes: number): void {
    this.at += lengthBytes;
  }

  private go(lengthBytes: number): number {
    this.at += lengthBytes;
    return this.at - lengthBytes;
  }

  u8 = (): number => this.view.getUint8(this.go(1));
  u16 = (): number => this.view.getUint16(this.go(2), true);
  u32 = (): number => this.view.getUint32(this.go(4), true);

  u64(): Long {
    const at = this.go(8);
    return Long.fromBits(this.view.getInt32(at, true), this.view.getInt32(at + 4, true), true);
  }

  put8 = (value: number): void => this.view.setUint8(this.go(1), value);
  put16 = (value: number): void => this.view.setUint16(this.go(2), value, true);
  put32 = (value: number): void => this.view.setUint32(this.go(4), value, true);

  put64(value: U64): void {
    const { low, high } = Long.fromValue(value);
    const at = this.go(8);
    this.view.setInt32(at, low, true);
    this.view.setInt32(at + 4, high, true);
  }
}

/** The area `s.regs` of struct kvm_run, as the structures that lie there. */
export class SyncRegs {
  private readonly view: DataView;

  /** @param bytes the area, of at least the length of struct kvm_sync_regs */
  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, SYNC_BYTES);
  }

  private from(offset: number): Cursor {
    return new Cursor(this.view, offset);
  }

  get regs(): KvmRegs {
    const cursor = this.from(Offset.REGS);
    const pairs = REGISTERS.map((name) => [name, cursor.u64()] as const);
    return Object.fromEntries(pairs) as Record<RegisterName, Long>;
  }

  set regs(regs: KvmRegsInput) {
    const cursor = this.from(Offset.REGS);
    for (const name of REGISTERS) cursor.put64(regs[name] ?? 0);
  }

  get sregs(): KvmSregs<Long> {
    const cursor = this.from(Offset.SREGS);
    const segments = SEGMENTS.map((name) => [name, getSegment(cursor)] as const);
    const [gdt, idt] = [getTable(cursor), getTable(cursor)];
    const controls = CONTROLS.map((name) => [name, cursor.u64()] as const);
    return {
      ...(Object.fromEntries(segments) as Record<SegmentName, KvmSegment<Long>>),
      gdt,
      idt,
      ...(Object.fromEntries(controls) as Record<(typeof CONTROLS)[number], Long>),
      interruptBitmap: BITMAP_WORDS.map(() => cursor.u64()),
    };
  }

  set sregs(sregs: KvmSregs) {
    const cursor = this.from(Offset.SREGS);
    for (const name of SEGMENTS) putSegment(cursor, sregs[name]);
    for (const table of [sregs.gdt, sregs.idt]) putTable(cursor, table);
    for (const name of CONTROLS) cursor.put64(sregs[name]);
    for (const word of BITMAP_WORDS) cursor.put64(sregs.interruptBitmap[word] ?? 0);
  }

  get events(): KvmVcpuEvents {
    const cursor = this.from(Offset.EVENTS);
    const [injected, nr, hasErrorCode, pending] = [1, 2, 3, 4].map(cursor.u8);
    const exception = { injected, pending, nr, hasErrorCode, errorCode: cursor.u32() };
    const [own, vector, soft, shadow] = [1, 2, 3, 4].map(cursor.u8);
    const [nmiInjected, nmiPending, masked] = [1, 2, 3, 4].map(cursor.u8);
    return {
      exception,
      interrupt: { injected: own, nr: vector, soft, shadow },
      nmi: { injected: nmiInjected, pending: nmiPending, masked },
      sipiVector: cursor.u32(),
      flags: cursor.u32(),
    };
  }

  set events({ exception, interrupt, nmi, sipiVector, flags }: KvmVcpuEvents) {
    const cursor = this.from(Offset.EVENTS);
    const { injected, nr, hasErrorCode, pending, errorCode } = exception;
    for (const byte of [injected, nr, hasErrorCode, pending]) cursor.put8(byte);
    cursor.put32(errorCode);
    const { soft, shadow } = interrupt;
    for (const byte of [interrupt.injected, interrupt.nr, soft, shadow]) cursor.put8(byte);
    for (const byte of [nmi.injected, nmi.pending, nmi.masked, 0]) cursor.put8(byte);
    cursor.put32(sipiVector);
    cursor.put32(flags);
  }
}

function getSegment(cursor: Cursor): KvmSegment<Long> {
  const [base, limit, selector] = [cursor.u64(), cursor.u32(), cursor.u16()];
  const flags = SEGMENT_FLAGS.map((name) => [name, cursor.u8()] as const);
  cursor.skip(1);
  const named = Object.fromEntries(flags) as Record<(typeof SEGMENT_FLAGS)[number], number>;
  return { base, limit, selector, ...named };
}

function putSegment(cursor: Cursor, segment: KvmSegment): void {
  cursor.put64(segment.base);
  cursor.put32(segment.limit);
  cursor.put16(segment.selector);
  for (const name of SEGMENT_FLAGS) cursor.put8(segment[name]);
  cursor.put8(0);
}

function getTable(cursor: Cursor): KvmDtable<Long> {
  const table = { base: cursor.u64(), limit: cursor.u16() };
  cursor.skip(6);
  return table;
}

function putTable(cursor: Cursor, { base, limit }: KvmDtable): void {
  cursor.put64(base);
  cursor.put16(limit);
  cursor.skip(6);
}

/** KVM_RUN begins: EINVAL for bits that are not known and for registers that cannot be set. */
export function takeSyncRegs(vcpu: Vcpu, page: KvmRun): void {
  const { validRegs, dirtyRegs, syncRegs } = page;
  const isKnown = validRegs.low === (validRegs.low & SYNC_FIELDS) && validRegs.high === 0;
  require(isKnown, 'KVM_RUN', 'EINVAL', 'kvm_valid_regs has bits that are not known');
  const isDirtyKnown = dirtyRegs.low === (dirtyRegs.low & SYNC_FIELDS) && dirtyRegs.high === 0;
  require(isDirtyKnown, 'KVM_RUN', 'EINVAL', 'kvm_dirty_regs has bits that are not known');
  const take = (bit: number, act: () => void) => {
    if ((page.dirtyRegs.low & bit) === 0) return;
    act();
    page.dirtyRegs = page.dirtyRegs.low & ~bit;
  };
  take(KVM_SYNC_X86.REGS, () => writeRegs(vcpu, syncRegs.regs));
  take(KVM_SYNC_X86.SREGS, () => writeSregs(vcpu, syncRegs.sregs));
  take(KVM_SYNC_X86.EVENTS, () => writeEvents(vcpu, syncRegs.events));
}

/** KVM_RUN ends, well or not: what user space wants is in the page. */
export function giveSyncRegs(vcpu: Vcpu, page: KvmRun): void {
  const { syncRegs } = page;
  const wanted = page.validRegs.low;
  if ((wanted & KVM_SYNC_X86.REGS) !== 0) syncRegs.regs = readRegs(vcpu);
  if ((wanted & KVM_SYNC_X86.SREGS) !== 0) syncRegs.sregs = readSregs(vcpu);
  if ((wanted & KVM_SYNC_X86.EVENTS) !== 0) syncRegs.events = readEvents(vcpu);
}

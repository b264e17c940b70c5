// KVM_GET/SET_REGS and KVM_GET/SET_SREGS. Linux arch/x86/kvm/x86.c, __set_regs, __set_sregs and
// kvm_is_valid_sregs.

import Long from 'long';
import {
  CR4_ALLOWED,
  Cr0,
  Cr4,
  Efer,
  loadPdptes,
  modeOf,
  PHYSICAL_ADDRESS_BITS,
  pagingModeOf,
  Rflags,
  Rights,
  Word,
} from '../cpu/index.ts';
import { GuestDebug, readGuestMsr, type Vcpu, writeGuestMsr } from '../kvm/index.ts';
import { Stale } from '../vmx/index.ts';
import { require } from './errors.ts';
import {
  type KvmDtable,
  type KvmRegs,
  type KvmRegsInput,
  type KvmSegment,
  type KvmSregs,
  REGISTERS,
  type RegisterName,
  SEGMENTS,
  type SegmentName,
  type U64,
} from './structures.ts';

const IA32_APIC_BASE = 0x1b;
const EXTERNAL_INTERRUPT = 0;

/** The state's name for a segment register. */
const stateName = (segment: SegmentName) => (segment === 'ldt' ? 'ldtr' : segment);

/** A debugger's trap flag is not the guest's. */
function isSteppedBy({ user }: Vcpu): boolean {
  return user !== null && (user.debugControl & GuestDebug.SINGLESTEP) !== 0;
}

export function readRegs(vcpu: Vcpu): KvmRegs {
  const { state } = vcpu.virtual.processor;
  const pairs = REGISTERS.map((name) => [name, state.get(name).toUnsigned()] as const);
  const regs = Object.fromEntries(pairs) as Record<RegisterName, Long>;
  if (isSteppedBy(vcpu)) regs.rflags = regs.rflags.and(~Rflags.TF);
  return regs;
}

export function writeRegs(vcpu: Vcpu, regs: KvmRegsInput): void {
  const { state } = vcpu.virtual.processor;
  for (const name of REGISTERS) {
    const value = Long.fromValue(regs[name] ?? 0);
    state.set(name, name === 'rflags' ? value.or(Rflags.FIXED) : value);
  }
  vcpu.state.exception = null;
  vcpu.virtual.vmcs.makeStale(Stale.ALL);
  vcpu.requestEvent();
}

function readSegment(vcpu: Vcpu, segment: SegmentName): KvmSegment<Long> {
  const { state } = vcpu.virtual.processor;
  const name = stateName(segment);
  const rights = state.get(`${name}Rights`).low;
  const bit = (mask: number) => ((rights & mask) === 0 ? 0 : 1);
  const unusable = bit(Rights.UNUSABLE);
  return {
    base: state.get(`${name}Base`).toUnsigned(),
    limit: state.get(`${name}Limit`).low >>> 0,
    selector: state.get(`${name}Selector`).low,
    type: rights & Rights.TYPE,
    present: unusable === 1 ? 0 : bit(Rights.P),
    dpl: (rights >> Rights.DPL_SHIFT) & 3,
    db: bit(Rights.DB),
    s: bit(Rights.S),
    l: bit(Rights.L),
    g: bit(Rights.G),
    avl: bit(AVL),
    unusable,
  };
}

const AVL = 1 << 12;

function writeSegment(vcpu: Vcpu, segment: SegmentName, given: KvmSegment): void {
  const { state } = vcpu.virtual.processor;
  const name = stateName(segment);
  const bit = (value: number, mask: number) => (value === 0 ? 0 : mask);
  const isUnusable = given.unusable !== 0 || given.present === 0;
  const rights =
    (given.type & Rights.TYPE) |
    bit(given.s, Rights.S) |
    ((given.dpl & 3) << Rights.DPL_SHIFT) |
    bit(given.present, Rights.P) |
    bit(given.avl, AVL) |
    bit(given.l, Rights.L) |
    bit(given.db, Rights.DB) |
    bit(given.g, Rights.G) |
    (isUnusable ? Rights.UNUSABLE : 0);
  state.set(`${name}Base`, Long.fromValue(given.base));
  state.set(`${name}Limit`, Long.fromInt(given.limit | 0));
  state.set(`${name}Selector`, Long.fromInt(given.selector & 0xffff));
  state.set(`${name}Rights`, Long.fromInt(rights));
}

function readTable(vcpu: Vcpu, table: 'gdtr' | 'idtr'): KvmDtable<Long> {
  const { state } = vcpu.virtual.processor;
  const limit = state.get(`${table}Limit`).low & 0xffff;
  return { base: state.get(`${table}Base`).toUnsigned(), limit };
}

function writeTable(vcpu: Vcpu, table: 'gdtr' | 'idtr', given: KvmDtable): void {
  const { state } = vcpu.virtual.processor;
  state.set(`${table}Base`, Long.fromValue(given.base));
  state.set(`${table}Limit`, Long.fromInt(given.limit & 0xffff));
}

export function readSregs(vcpu: Vcpu): KvmSregs<Long> {
  const { virtual } = vcpu;
  const { state } = virtual.processor;
  const segments = SEGMENTS.map((name) => [name, readSegment(vcpu, name)] as const);
  const { reinject } = vcpu.state;
  const isInterrupt = reinject !== null && ((reinject.information >> 8) & 7) === EXTERNAL_INTERRUPT;
  return {
    ...(Object.fromEntries(segments) as Record<SegmentName, KvmSegment<Long>>),
    gdt: readTable(vcpu, 'gdtr'),
    idt: readTable(vcpu, 'idtr'),
    cr0: virtual.readControl(0, state.get('cr0')).toUnsigned(),
    cr2: state.get('cr2').toUnsigned(),
    cr3: state.get('cr3').toUnsigned(),
    cr4: virtual.readControl(4, state.get('cr4')).toUnsigned(),
    cr8: Long.fromInt(vcpu.lapic.taskPriority >> 4, true),
    efer: state.get('efer').toUnsigned(),
    apicBase: apicBaseOf(vcpu),
    interruptBitmap: bitmapOf(isInterrupt ? reinject.information & 0xff : null),
  };
}

const WORD_BITS = 64;

/** The words of `interrupt_bitmap`, of 64 bits each: all vectors. */
export const BITMAP_WORDS = [0, 1, 2, 3];

function bitmapOf(vector: number | null): readonly Long[] {
  return BITMAP_WORDS.map((word) =>
    vector !== null && Math.floor(vector / WORD_BITS) === word
      ? Long.UONE.shl(vector % WORD_BITS)
      : Long.UZERO,
  );
}

/** The lowest vector in an `interrupt_bitmap`; null if there is none. */
function vectorIn(bitmap: readonly U64[]): number | null {
  const words = BITMAP_WORDS.map((word) => Long.fromValue(bitmap[word] ?? 0));
  const word = words.findIndex((one) => !one.isZero());
  return word < 0 ? null : word * WORD_BITS + words[word].countTrailingZeros();
}

export function apicBaseOf(vcpu: Vcpu): Long {
  const { host } = vcpu.vm;
  const base = readGuestMsr(vcpu, IA32_APIC_BASE, host.pcpus[vcpu.thread.state.pcpu]);
  return (base ?? Long.ZERO).toUnsigned();
}

const CALL = 'KVM_SET_SREGS';

/** What CR0, CR4, EFER and CS must be to go together. */
function checkSregs(sregs: KvmSregs): void {
  const cr0 = Long.fromValue(sregs.cr0);
  const cr4 = Long.fromValue(sregs.cr4);
  const efer = Long.fromValue(sregs.efer);
  const has = (value: Long, bit: number) => (value.low & bit) !== 0;
  const check = (holds: boolean, detail: string) => require(holds, CALL, 'EINVAL', detail);
  if (has(efer, Efer.LME) && has(cr0, Cr0.PG)) {
    check(has(cr4, Cr4.PAE) && has(efer, Efer.LMA), 'long mode needs CR4.PAE and EFER.LMA');
    const isInRange = Long.fromValue(sregs.cr3).shru(PHYSICAL_ADDRESS_BITS).isZero();
    check(isInRange, 'CR3 is beyond the physical-address width');
  } else {
    check(!has(efer, Efer.LMA), 'EFER.LMA needs EFER.LME and CR0.PG');
    check(sregs.cs.l === 0, '64-bit code (CS.L) needs long mode');
  }
  check(cr0.high === 0, 'CR0 has reserved bits');
  check(!has(cr0, Cr0.NW) || has(cr0, Cr0.CD), 'CR0.NW needs CR0.CD');
  check(!has(cr0, Cr0.PG) || has(cr0, Cr0.PE), 'CR0.PG needs CR0.PE');
  const isCr4Known = cr4.high === 0 && (cr4.low & ~(CR4_ALLOWED & ~Cr4.VMXE)) === 0;
  check(isCr4Known, 'CR4 has bits that are not offered');
}

export function writeSregs(vcpu: Vcpu, sregs: KvmSregs): void {
  checkSregs(sregs);
  const { virtual, vm } = vcpu;
  const { state } = virtual.processor;
  const pcpu = vm.host.pcpus[vcpu.thread.state.pcpu];
  const isBase = writeGuestMsr(vcpu, IA32_APIC_BASE, Long.fromValue(sregs.apicBase), pcpu);
  require(isBase, CALL, 'EINVAL', 'the APIC base cannot be changed in this way');
  for (const name of SEGMENTS) writeSegment(vcpu, name, sregs[name]);
  writeTable(vcpu, 'gdtr', sregs.gdt);
  writeTable(vcpu, 'idtr', sregs.idt);
  for (const name of ['cr0', 'cr2', 'cr3', 'cr4', 'efer'] as const) {
    state.set(name, Long.fromValue(sregs[name]));
  }
  vcpu.lapic.taskPriority = (numberOf(sregs.cr8) & 15) << 4;
  vcpu.adoptControlRegisters();
  virtual.vmcs.makeStale(Stale.ALL);
  virtual.processor.stateChanged();
  if (pagingModeOf(state.words) === 'PAE') {
    const isLegal = loadPdptes(virtual.processor, state.words[Word.CR3]);
    require(isLegal, CALL, 'EINVAL', 'PDPTEs that are present have reserved bits');
  }
  const interrupt = vectorIn(sregs.interruptBitmap);
  if (interrupt !== null) queueInterrupt(vcpu, interrupt);
  const isReset = state.get('rip').eq(0xfff0) && sregs.cs.selector === 0xf000;
  if (vcpu.index === 0 && isReset && modeOf(state) === 'real') vcpu.state.mpState = 'runnable';
  vcpu.requestEvent();
}

/** An interrupt that goes in at the next entry, whatever the guest allows. */
export function queueInterrupt(vcpu: Vcpu, vector: number): void {
  vcpu.state.reinject = { information: vector, errorCode: 0, instructionLengthBytes: 0 };
  vcpu.requestEvent();
}

function numberOf(value: U64): number {
  return typeof value === 'number' ? value : value.toNumber();
}

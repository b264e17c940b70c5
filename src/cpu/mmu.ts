// Linear addresses to memory: 4-level paging with a software TLB in front. SDM 3, "Paging".
// The TLB is coherent: a store to a paging-structure entry that a translation was derived from
// drops the translations, on every processor. Hardware may keep them until invalidated, and may
// also drop them at any time; so that a run does not depend on the size of a cache, here they never
// outlive the entry. See docs/decisions/coherent-tlb.md.

import Long from 'long';
import { type PhysicalMemory, Watch } from '../memory/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { Cr0, Cr4, Efer, type ProcessorState, Rflags, Word } from './state.ts';
import {
  Access,
  type AccessKind,
  DEVICE,
  type Platform,
  type Virtualization,
} from './virtualization.ts';

/** Width of physical addresses, as CPUID 80000008H reports it. */
export const PHYSICAL_ADDRESS_BITS = 46;

const ENTRY_COUNT = 1024;
/**
 * Words of a TLB entry: tags for read, write and execute, each the linear address of the page in
 * two halves; and what the low half of a linear address has to be added to, to give the hpa.
 */
const STRIDE_SHIFT = 3;
const STRIDE = 1 << STRIDE_SHIFT;
const TAG_WORDS = 2;
const ADDEND = 6;
const TAGS = [0, 1, 2].map((access) => access * TAG_WORDS);
/** No page address is odd. */
const NO_TAG = 1;

const PAGE_MASK = ~0xfff;

/** Bits of a page-fault error code. */
const PF = { P: 1, W: 2, U: 4, RSVD: 8, ID: 16 } as const;

/** Bits of a paging-structure entry, low word. */
const Entry = { P: 1, RW: 2, US: 4, A: 32, D: 64, PS: 128 } as const;

/** Bits 51:46 of an entry, in its high word: reserved. */
const RESERVED_HIGH = 0x000fc000;
const NX_HIGH = 1 << 31;

/** Translations at one privilege. */
class View {
  readonly entries: Int32Array;
  readonly isUser: boolean;
  /** Data in user pages are out of reach: SMAP. */
  readonly isGuarded: boolean;

  constructor(memory: PhysicalMemory, isUser: boolean, isGuarded: boolean) {
    this.entries = memory.beside(VIEW_BYTES);
    this.isUser = isUser;
    this.isGuarded = isGuarded;
  }
}

const VIEW_BYTES = ENTRY_COUNT * STRIDE * 4;

/** Bytes that the views of one processor take beside the memory. */
export const MMU_BYTES = 3 * VIEW_BYTES;

/** How compiled code finds and reads an entry: offsets in bytes. */
export const TLB_LAYOUT = {
  strideShift: STRIDE_SHIFT + 2,
  entryMask: ENTRY_COUNT - 1,
  tags: [0, 1, 2].map((access) => access * TAG_WORDS * 4),
  addend: ADDEND * 4,
} as const;

/** The memory management unit of one processor. */
export class Mmu {
  /** Guest-physical address of the last access that {@link locate} answered with DEVICE. */
  deviceGpa = 0;
  private readonly memory: PhysicalMemory;
  private readonly state: ProcessorState;
  private readonly views: Readonly<Record<'user' | 'supervisor' | 'guarded', View>>;
  private view: View;
  private empty = false;
  virtualization: Virtualization;
  platform: Platform;

  constructor(
    memory: PhysicalMemory,
    state: ProcessorState,
    virtualization: Virtualization,
    platform: Platform,
  ) {
    this.memory = memory;
    this.state = state;
    this.virtualization = virtualization;
    this.platform = platform;
    this.views = {
      user: new View(memory, true, false),
      supervisor: new View(memory, false, false),
      guarded: new View(memory, false, true),
    };
    this.view = this.views.supervisor;
    this.flush();
    memory.onLineWritten(Watch.TRANSLATION, () => this.flush());
  }

  /** Forget all translations. */
  flush(): void {
    if (this.empty) return;
    for (const { entries } of Object.values(this.views)) entries.fill(NO_TAG);
    this.empty = true;
  }

  /** Where the entries in effect lie in the buffer. */
  get tlbOffset(): number {
    return this.view.entries.byteOffset;
  }

  /** The pages, by hpa, that a store finds without a walk. */
  writablePages(): number[] {
    const { entries } = this.view;
    const pages = new Set<number>();
    for (let at = 0; at < entries.length; at += STRIDE) {
      const page = entries[at + TAGS[Access.WRITE]];
      if (page !== NO_TAG) pages.add((entries[at + ADDEND] + page) >>> 0);
    }
    return [...pages];
  }

  /** To be called when CPL, RFLAGS.AC or CR4.SMAP may have changed. */
  updatePrivilege(): void {
    const isOpen = (this.state.words[Word.RFLAGS] & Rflags.AC) !== 0;
    if (this.state.cpl === 3) this.view = this.views.user;
    else this.view = isOpen ? this.views.supervisor : this.implicitView;
  }

  /** Of accesses to descriptor tables, task state and stacks, which AC does not open. */
  private get implicitView(): View {
    const isGuarded = (this.state.words[Word.CR4] & Cr4.SMAP) !== 0;
    return isGuarded ? this.views.guarded : this.views.supervisor;
  }

  /**
   * Where `lengthBytes` bytes at a linear address lie: an hpa, or DEVICE (with {@link deviceGpa}),
   * or {@link SPLIT} when they lie in two pages. Throws what the access faults with.
   */
  locate(
    low: number,
    high: number,
    lengthBytes: number,
    access: AccessKind,
    stack: boolean,
  ): number {
    const at = ((low >>> 12) & (ENTRY_COUNT - 1)) * STRIDE;
    const { entries } = this.view;
    const offset = low & 0xfff;
    const tag = at + TAG_WORDS * access;
    if (
      entries[tag] === (low & PAGE_MASK) &&
      entries[tag + 1] === high &&
      offset + lengthBytes <= 4096
    ) {
      return (entries[at + ADDEND] + low) >>> 0;
    }
    checkCanonical(low, high, lengthBytes, stack);
    if (offset + lengthBytes > 4096) return SPLIT;
    return this.locateInPage(low, high, access, this.view);
  }

  /** As {@link locate}, for accesses within a page, at a given privilege. */
  private locateInPage(low: number, high: number, access: AccessKind, view: View): number {
    const { entries } = view;
    const at = ((low >>> 12) & (ENTRY_COUNT - 1)) * STRIDE;
    const page = low & PAGE_MASK;
    const tag = at + TAG_WORDS * access;
    if (entries[tag] === page && entries[tag + 1] === high) {
      return (entries[at + ADDEND] + low) >>> 0;
    }
    const gpa = this.walk(low, high, access, view) + (low & 0xfff);
    const hpa = this.virtualization.translate(gpa, access, 'final', low, high);
    if (hpa === DEVICE) {
      this.deviceGpa = gpa;
      return DEVICE;
    }
    if (access === Access.WRITE) this.memory.touched[hpa >>> 12] = 1;
    const addend = (hpa - low) | 0;
    const isSamePage =
      entries[at + ADDEND] === addend &&
      TAGS.some((other) => entries[at + other] === page && entries[at + other + 1] === high);
    if (!isSamePage) {
      entries.fill(NO_TAG, at, at + ADDEND);
      entries[at + ADDEND] = addend;
    }
    entries[tag] = page;
    entries[tag + 1] = high;
    this.empty = false;
    return hpa;
  }

  /**
   * Walk the paging structures to the guest-physical address of the page. Sets accessed and dirty
   * flags, watches every entry it used.
   */
  private walk(low: number, high: number, access: AccessKind, view: View): number {
    const words = this.state.words;
    const noExecuteOn = (words[Word.EFER] & Efer.NXE) !== 0;
    const tellsFetches = noExecuteOn || (words[Word.CR4] & Cr4.SMEP) !== 0;
    const fault = (bits: number) => {
      const write = access === Access.WRITE ? PF.W : 0;
      const fetch = access === Access.EXECUTE && tellsFetches ? PF.ID : 0;
      return new GuestFault(Vector.PF, bits | write | fetch | (view.isUser ? PF.U : 0), low, high);
    };
    let table = tableGpa(words[Word.CR3], words[Word.CR3 + 1]);
    let rights = Entry.RW | Entry.US;
    let noExecute = false;
    for (let level = 4; ; level--) {
      const index = levelIndex(low, high, level);
      const gpa = table + index * 8;
      const hpa = this.entryHpa(gpa, low, high);
      const entryLow = this.memory.view.getInt32(hpa, true);
      const entryHigh = this.memory.view.getInt32(hpa + 4, true);
      if ((entryLow & Entry.P) === 0) throw fault(0);
      const isLeaf = level === 1 || ((entryLow & Entry.PS) !== 0 && level <= 3);
      if (hasReservedBits(entryLow, entryHigh, level, isLeaf, noExecuteOn)) {
        throw fault(PF.P | PF.RSVD);
      }
      rights &= entryLow;
      noExecute ||= entryHigh < 0;
      if (!isLeaf) {
        if ((entryLow & Entry.A) === 0) this.setFlags(gpa, entryLow | Entry.A, low, high);
        table = tableGpa(entryLow, entryHigh);
        continue;
      }
      if (!this.permits(rights, noExecute, access, view)) throw fault(PF.P);
      const flags = access === Access.WRITE ? Entry.A | Entry.D : Entry.A;
      if ((entryLow & flags) !== flags) this.setFlags(gpa, entryLow | flags, low, high);
      return leafGpa(entryLow, entryHigh, level, low);
    }
  }

  private permits(rights: number, noExecute: boolean, access: AccessKind, view: View): boolean {
    const isUserPage = (rights & Entry.US) !== 0;
    if (view.isUser && !isUserPage) return false;
    if (access === Access.EXECUTE) {
      const keptOut = !view.isUser && isUserPage && (this.state.words[Word.CR4] & Cr4.SMEP) !== 0;
      return !noExecute && !keptOut;
    }
    if (view.isGuarded && isUserPage) return false;
    if (access === Access.READ || (rights & Entry.RW) !== 0) return true;
    return !view.isUser && (this.state.words[Word.CR0] & Cr0.WP) === 0;
  }

  private entryHpa(gpa: number, low: number, high: number): number {
    const hpa = this.virtualization.translate(gpa, Access.READ, 'walk', low, high);
    // A table in device memory reads as all ones on hardware: present, with reserved bits set.
    if (hpa === DEVICE) throw new GuestFault(Vector.PF, PF.P | PF.RSVD, low, high);
    this.memory.watch(Watch.TRANSLATION, hpa, 8);
    return hpa;
  }

  /** Write the low word of an entry of which the high word does not change. */
  private setFlags(gpa: number, entryLow: number, low: number, high: number): void {
    const hpa = this.virtualization.translate(gpa, Access.WRITE, 'walk', low, high);
    this.memory.view.setInt32(hpa, entryLow, true);
    this.memory.touched[hpa >>> 12] = 1;
  }

  /** Read up to 8 bytes anywhere, in pieces if they lie in two pages. */
  read(low: number, high: number, lengthBytes: number, stack = false): Long {
    const hpa = this.locate(low, high, lengthBytes, Access.READ, stack);
    if (hpa === DEVICE) return this.platform.deviceRead(this.deviceGpa, lengthBytes);
    if (hpa !== SPLIT) return this.readMemory(hpa, lengthBytes);
    const first = 4096 - (low & 0xfff);
    const head = this.readPiece(low, high, first);
    const next = Long.fromBits(low, high).add(first);
    const tail = this.readPiece(next.low, next.high, lengthBytes - first);
    return head.or(tail.shl(8 * first));
  }

  private readPiece(low: number, high: number, lengthBytes: number): Long {
    const hpa = this.locateInPage(low, high, Access.READ, this.view);
    if (hpa === DEVICE) return this.platform.deviceRead(this.deviceGpa, lengthBytes);
    return this.readMemory(hpa, lengthBytes);
  }

  private readMemory(hpa: number, lengthBytes: number): Long {
    let low = 0;
    let high = 0;
    for (let i = 0; i < lengthBytes; i++) {
      const byte = this.memory.bytes[hpa + i];
      if (i < 4) low |= byte << (8 * i);
      else high |= byte << (8 * i - 32);
    }
    return Long.fromBits(low, high);
  }

  /** Write up to 8 bytes anywhere; nothing is written if any part faults. */
  write(low: number, high: number, lengthBytes: number, value: Long, stack = false): void {
    const hpa = this.locate(low, high, lengthBytes, Access.WRITE, stack);
    if (hpa !== SPLIT) {
      this.writeMemory(hpa, this.deviceGpa, lengthBytes, value);
      return;
    }
    const first = 4096 - (low & 0xfff);
    const next = Long.fromBits(low, high).add(first);
    const headHpa = this.locateInPage(low, high, Access.WRITE, this.view);
    const headGpa = this.deviceGpa;
    const tailHpa = this.locateInPage(next.low, next.high, Access.WRITE, this.view);
    this.writeMemory(headHpa, headGpa, first, value);
    this.writeMemory(tailHpa, this.deviceGpa, lengthBytes - first, value.shru(8 * first));
  }

  private writeMemory(hpa: number, gpa: number, lengthBytes: number, value: Long): void {
    if (hpa === DEVICE) {
      this.platform.deviceWrite(gpa, lengthBytes, value);
      return;
    }
    for (let i = 0; i < lengthBytes; i++) {
      this.memory.bytes[hpa + i] = (i < 4 ? value.low : value.high) >>> (8 * (i & 3));
    }
    this.memory.noteWrite(hpa, lengthBytes);
  }

  /** Check that bytes may be written, in both pages if they lie in two, without writing. */
  probeWrite(low: number, high: number, lengthBytes: number, stack: boolean): void {
    if (this.locate(low, high, lengthBytes, Access.WRITE, stack) !== SPLIT) return;
    const next = Long.fromBits(low, high).add(4096 - (low & 0xfff));
    this.locateInPage(low, high, Access.WRITE, this.view);
    this.locateInPage(next.low, next.high, Access.WRITE, this.view);
  }

  /** Run `work` with supervisor privilege: descriptor tables, task state, stacks of handlers. */
  asSupervisor<T>(work: () => T): T {
    return this.under(this.implicitView, work);
  }

  /** Run `work` with supervisor privilege that SMAP does not narrow: on behalf of a host. */
  asHost<T>(work: () => T): T {
    return this.under(this.views.supervisor, work);
  }

  private under<T>(view: View, work: () => T): T {
    const own = this.view;
    this.view = view;
    try {
      return work();
    } finally {
      this.view = own;
    }
  }
}

/** Answer of {@link Mmu.locate} for bytes that lie in two pages. */
export const SPLIT = -2;

/** True if bits 63:47 are equal. */
export function isCanonical(high: number): boolean {
  return (high << 16) >> 16 === high;
}

function checkCanonical(low: number, high: number, lengthBytes: number, stack: boolean): void {
  const end = (low >>> 0) + lengthBytes - 1;
  const endHigh = end > 0xffffffff ? (high + 1) | 0 : high;
  if (isCanonical(high) && isCanonical(endHigh)) return;
  throw new GuestFault(stack ? Vector.SS : Vector.GP, 0);
}

function levelIndex(low: number, high: number, level: number): number {
  if (level === 1) return (low >>> 12) & 511;
  if (level === 2) return (low >>> 21) & 511;
  if (level === 3) return ((low >>> 30) | (high << 2)) & 511;
  return (high >>> 7) & 511;
}

/** Bits 45:12 of CR3 or an entry. */
function tableGpa(low: number, high: number): number {
  return (high & ~(RESERVED_HIGH | 0xfff00000)) * 2 ** 32 + ((low & PAGE_MASK) >>> 0);
}

function leafGpa(entryLow: number, entryHigh: number, level: number, low: number): number {
  const base = tableGpa(entryLow, entryHigh);
  if (level === 1) return base;
  const size = level === 2 ? 2 ** 21 : 2 ** 30;
  const within = (low & PAGE_MASK & (size - 1)) >>> 0;
  return Math.floor(base / size) * size + within;
}

function hasReservedBits(
  low: number,
  high: number,
  level: number,
  isLeaf: boolean,
  noExecuteOn: boolean,
): boolean {
  if ((high & RESERVED_HIGH) !== 0) return true;
  if (!noExecuteOn && (high & NX_HIGH) !== 0) return true;
  if (level === 4) return (low & Entry.PS) !== 0;
  if (!isLeaf || level === 1) return false;
  // Bit 12 of a large page is PAT; the address bits below the page size are reserved.
  return (low & (level === 2 ? 0x1fe000 : 0x3fffe000)) !== 0;
}

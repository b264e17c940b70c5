// Linear addresses to memory: paging in all its modes with a software TLB in front. SDM 3,
// "Paging".
// The TLB is coherent: a store to a paging-structure entry that a translation was derived from
// drops the translations, on every processor. Hardware may keep them until invalidated, and may
// also drop them at any time; so that a run does not depend on the size of a cache, here they never
// outlive the entry. See docs/decisions/coherent-tlb.md.

import Long from 'long';
import { type PhysicalMemory, Watch } from '../memory/index.ts';
import { asDouble } from '../sim/index.ts';
import { Breakpoints } from './debug-registers.ts';
import { GuestFault, OWNER_STOP, Vector } from './exceptions.ts';
import { modeOf } from './mode.ts';
import {
  ENTRY_FORMATS,
  Entry,
  type EntryFormat,
  isPdpteLegal,
  PAGE_MASK,
  pagingModeOf,
  tableGpa,
} from './page-tables.ts';
import { Cr0, Cr4, Efer, type ProcessorState, Rflags, Word } from './state.ts';
import { ADDEND, INDEX_MASK, NO_TAG, STRIDE, TAG_WORDS, TAGS, Tlb, View } from './tlb.ts';
import {
  Access,
  type AccessKind,
  DEVICE,
  type Platform,
  STOPPED,
  type Virtualization,
} from './virtualization.ts';

/** Bits of a page-fault error code. */
const PF = { P: 1, W: 2, U: 4, RSVD: 8, ID: 16 } as const;

/** The memory management unit of one processor. */
export class Mmu {
  /** Guest-physical address of the last access that {@link locate} answered with DEVICE. */
  deviceGpa = asDouble(0);
  private readonly memory: PhysicalMemory;
  private readonly state: ProcessorState;
  /** Asked of a misaligned access under alignment checking; set by whoever executes. */
  mayBeMisaligned: () => boolean = () => false;
  private readonly tlb: Tlb;
  private view: View;
  /**
   * In place of the user's view under alignment checking. It never holds a translation, so that
   * each access is looked at; then the user's view is asked.
   */
  private readonly alignedView: View;
  /** Accesses are made by the processor for itself, not by an instruction. */
  private isImplicit = false;
  private readonly breakpoints: Breakpoints;
  virtualization: Virtualization;
  platform: Platform;
  /** Cleared while somebody else translates for a while: what he says does not hold later. */
  remembers = true;

  constructor(
    memory: PhysicalMemory,
    state: ProcessorState,
    virtualization: Virtualization,
    platform: Platform,
    breakpoints = new Breakpoints(),
  ) {
    this.breakpoints = breakpoints;
    this.memory = memory;
    this.state = state;
    this.virtualization = virtualization;
    this.platform = platform;
    this.tlb = new Tlb(memory);
    this.view = this.tlb.current.supervisor;
    this.alignedView = new View(memory, { isUser: true, isGuarded: false });
    memory.onLineWritten(Watch.TRANSLATION, () => this.flush());
    memory.onPageWatched(() => this.tlb.forgetWrites());
  }

  /** Forget all translations. */
  flush(): void {
    this.tlb.flush();
  }

  /** Counts on when any translation was dropped; none ends otherwise. */
  get epoch(): number {
    return this.tlb.drops;
  }

  /** Where the entries in effect lie in the buffer. */
  get tlbOffset(): number {
    return this.view.offset;
  }

  /** The pages, by hpa, that a store finds without a walk. */
  writablePages(): readonly number[] {
    return [...this.ownView.writablePages()];
  }

  /** To be called when CPL, RFLAGS.AC, CR0.AM, CR3 or CR4.SMAP may have changed. */
  updatePrivilege(): void {
    const { words, cpl } = this.state;
    this.tlb.select(words[Word.CR3], words[Word.CR3 + 1]);
    const hasAc = (words[Word.RFLAGS] & Rflags.AC) !== 0;
    if (cpl === 3) {
      const isChecked = hasAc && (words[Word.CR0] & Cr0.AM) !== 0;
      this.view = isChecked ? this.alignedView : this.tlb.current.user;
    } else this.view = hasAc ? this.tlb.current.supervisor : this.implicitView;
  }

  /** Where translations for the accesses of instructions are kept. */
  private get ownView(): View {
    return this.view === this.alignedView ? this.tlb.current.user : this.view;
  }

  /** Of accesses to descriptor tables, task state and stacks, which AC does not open. */
  private get implicitView(): View {
    const isGuarded = (this.state.words[Word.CR4] & Cr4.SMAP) !== 0;
    return isGuarded ? this.tlb.current.guarded : this.tlb.current.supervisor;
  }

  /** Where code at a linear address lies, or below 0 if finding that out could have effects. */
  knownCode(low: number, high: number): number {
    const at = ((low >>> 12) & INDEX_MASK) * STRIDE;
    const { entries } = this.view;
    const tag = at + TAG_WORDS * Access.EXECUTE;
    if (entries[tag] !== (low & PAGE_MASK) || entries[tag + 1] !== high) return -1;
    return (entries[at + ADDEND] + low) >>> 0;
  }

  /**
   * Where `lengthBytes` bytes at a linear address lie: an hpa, or DEVICE (with {@link deviceGpa}),
   * or {@link SPLIT} when they lie in two pages, or STOPPED if the owner has stopped the processor.
   * Throws what the access faults with.
   */
  locate(
    low: number,
    high: number,
    lengthBytes: number,
    access: AccessKind,
    stack: boolean,
  ): number {
    const at = ((low >>> 12) & INDEX_MASK) * STRIDE;
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
    if (this.breakpoints.hasData && access !== Access.EXECUTE && !this.isImplicit) {
      this.breakpoints.noteData(low, high, lengthBytes, access === Access.WRITE);
    }
    if (this.view === this.alignedView && access !== Access.EXECUTE) {
      this.checkAlignment(low, lengthBytes);
    }
    if (offset + lengthBytes > 4096) return SPLIT;
    return this.translate(low, high, access);
  }

  /** SDM 3, "Interrupt 17 - Alignment Check Exception (#AC)". It comes before page faults. */
  private checkAlignment(low: number, lengthBytes: number): void {
    if ((low & (lengthBytes - 1)) === 0 || this.mayBeMisaligned()) return;
    throw new GuestFault(Vector.AC, 0);
  }

  /** As {@link locate}, for a part of an access. */
  private locateInPage(low: number, high: number, access: AccessKind): number {
    return goingOn(this.translate(low, high, access));
  }

  /** As {@link locate}, for accesses within a page, of which the view in effect knows nothing. */
  private translate(low: number, high: number, access: AccessKind): number {
    const view = this.ownView;
    const { entries } = view;
    const at = ((low >>> 12) & INDEX_MASK) * STRIDE;
    const page = low & PAGE_MASK;
    const tag = at + TAG_WORDS * access;
    if (entries[tag] === page && entries[tag + 1] === high) {
      return (entries[at + ADDEND] + low) >>> 0;
    }
    let pageGpa = view.walked(page, high, access);
    if (pageGpa < 0) {
      pageGpa = this.walk(low, high, access, view);
      if (this.remembers) view.noteWalk(page, high, access, pageGpa);
    }
    const gpa = pageGpa + (low & 0xfff);
    const hpa = this.virtualization.translate(gpa, access, 'final', low, high);
    if (hpa < 0) {
      this.deviceGpa = gpa;
      return hpa;
    }
    if (access === Access.WRITE) this.memory.touched[hpa >>> 12] = 1;
    if (!this.remembers) return hpa;
    const addend = (hpa - low) | 0;
    const isSamePage =
      entries[at + ADDEND] === addend &&
      TAGS.some((other) => entries[at + other] === page && entries[at + other + 1] === high);
    if (!isSamePage) {
      entries.fill(NO_TAG, at, at + ADDEND);
      entries[at + ADDEND] = addend;
    }
    // Data in a page with a breakpoint come here each time.
    const isWatched = this.breakpoints.hasData && this.breakpoints.watchesPage(low, high);
    if (access === Access.EXECUTE || !isWatched) {
      entries[tag] = page;
      entries[tag + 1] = high;
    }
    view.isUsed = true;
    return hpa;
  }

  /**
   * Walk the paging structures to the guest-physical address of the page. Sets accessed and dirty
   * flags, watches every entry it used.
   */
  private walk(low: number, high: number, access: AccessKind, view: View): number {
    const { words } = this.state;
    const mode = pagingModeOf(words);
    if (mode === 'none') return (low & PAGE_MASK) >>> 0;
    const format = ENTRY_FORMATS[mode];
    const cr4 = words[Word.CR4];
    const noExecuteOn = (words[Word.EFER] & Efer.NXE) !== 0 && mode !== '32-bit';
    const tellsFetches = noExecuteOn || (cr4 & Cr4.SMEP) !== 0;
    const fault = (bits: number) => {
      const write = access === Access.WRITE ? PF.W : 0;
      const fetch = access === Access.EXECUTE && tellsFetches ? PF.ID : 0;
      return new GuestFault(Vector.PF, bits | write | fetch | (view.isUser ? PF.U : 0), low, high);
    };
    const root = mode === 'PAE' ? Word.PDPTE0 + 2 * (low >>> 30) : Word.CR3;
    if (mode === 'PAE' && (words[root] & Entry.P) === 0) throw fault(0);
    let table = tableGpa(words[root], mode === '32-bit' ? 0 : words[root + 1]);
    let rights = Entry.RW | Entry.US;
    let noExecute = false;
    for (let level = format.topLevel; ; level--) {
      const gpa = table + format.index(low, high, level) * format.entryBytes;
      const hpa = this.entryHpa(gpa, format, low, high);
      const entryLow = this.memory.view.getInt32(hpa, true);
      const entryHigh = format.entryBytes === 8 ? this.memory.view.getInt32(hpa + 4, true) : 0;
      if ((entryLow & Entry.P) === 0) throw fault(0);
      const isLeaf = format.isLeaf(entryLow, level, cr4);
      if (format.hasReservedBits(entryLow, entryHigh, level, isLeaf, noExecuteOn)) {
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
      return format.leafGpa(entryLow, entryHigh, level, low);
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

  private entryHpa(gpa: number, format: EntryFormat, low: number, high: number): number {
    const hpa = this.virtualization.translate(gpa, Access.READ, 'walk', low, high);
    // A table in device memory reads as all ones on hardware: present, with reserved bits set.
    if (hpa === DEVICE) throw new GuestFault(Vector.PF, PF.P | PF.RSVD, low, high);
    this.memory.watch(Watch.TRANSLATION, hpa, format.entryBytes);
    return hpa;
  }

  /**
   * The four PDPTEs that CR3 of PAE paging points to, as eight halves: what MOV to CR3 loads. Null
   * if one that is present has reserved bits set, which faults.
   */
  readPdptes(cr3Low: number): Int32Array | null {
    const halves = new Int32Array(8);
    const gpa = (cr3Low & ~31) >>> 0;
    const hpa = this.virtualization.translate(gpa, Access.READ, 'pdptes', 0, 0);
    // Device memory reads as all ones: present, with reserved bits set.
    if (hpa === DEVICE) return null;
    for (let i = 0; i < 8; i++) halves[i] = this.memory.view.getInt32(hpa + 4 * i, true);
    const areLegal = [0, 2, 4, 6].every((i) => isPdpteLegal(halves[i], halves[i + 1]));
    return areLegal ? halves : null;
  }

  /** Write the low word of an entry of which the high word does not change. */
  private setFlags(gpa: number, entryLow: number, low: number, high: number): void {
    const hpa = this.virtualization.translate(gpa, Access.WRITE, 'walk', low, high);
    const { memory } = this;
    if ((memory.watchedLines[hpa >>> 6] & Watch.SPIN) !== 0) memory.aboutToWrite(hpa, 4);
    memory.view.setInt32(hpa, entryLow, true);
    memory.touched[hpa >>> 12] = 1;
  }

  /** Read up to 8 bytes anywhere, in pieces if they lie in two pages. */
  read(low: number, high: number, lengthBytes: number, stack = false): Long {
    const hpa = goingOn(this.locate(low, high, lengthBytes, Access.READ, stack));
    if (hpa === DEVICE) return this.platform.deviceRead(this.deviceGpa, lengthBytes);
    if (hpa !== SPLIT) return this.readMemory(hpa, lengthBytes);
    const first = 4096 - (low & 0xfff);
    const head = this.readPiece(low, high, first);
    const next = this.nextPage(low, high);
    const tail = this.readPiece(next.low, next.high, lengthBytes - first);
    return head.or(tail.shl(8 * first));
  }

  private readPiece(low: number, high: number, lengthBytes: number): Long {
    const hpa = this.locateInPage(low, high, Access.READ);
    if (hpa === DEVICE) return this.platform.deviceRead(this.deviceGpa, lengthBytes);
    return this.readMemory(hpa, lengthBytes);
  }

  private readMemory(hpa: number, lengthBytes: number): Long {
    const { view, bytes } = this.memory;
    if (lengthBytes === 4) return Long.fromBits(view.getInt32(hpa, true), 0);
    if (lengthBytes === 8) {
      return Long.fromBits(view.getInt32(hpa, true), view.getInt32(hpa + 4, true));
    }
    let low = 0;
    let high = 0;
    for (let i = 0; i < lengthBytes; i++) {
      if (i < 4) low |= bytes[hpa + i] << (8 * i);
      else high |= bytes[hpa + i] << (8 * i - 32);
    }
    return Long.fromBits(low, high);
  }

  /** Write up to 8 bytes anywhere; nothing is written if any part faults. */
  write(low: number, high: number, lengthBytes: number, value: Long, stack = false): void {
    const hpa = goingOn(this.locate(low, high, lengthBytes, Access.WRITE, stack));
    if (hpa !== SPLIT) {
      this.writeMemory(hpa, this.deviceGpa, lengthBytes, value);
      return;
    }
    const first = 4096 - (low & 0xfff);
    const next = this.nextPage(low, high);
    const headHpa = this.locateInPage(low, high, Access.WRITE);
    const headGpa = this.deviceGpa;
    const tailHpa = this.locateInPage(next.low, next.high, Access.WRITE);
    this.writeMemory(headHpa, headGpa, first, value);
    this.writeMemory(tailHpa, this.deviceGpa, lengthBytes - first, value.shru(8 * first));
  }

  private writeMemory(hpa: number, gpa: number, lengthBytes: number, value: Long): void {
    if (hpa === DEVICE) {
      this.platform.deviceWrite(gpa, lengthBytes, value);
      return;
    }
    const { memory } = this;
    const { view, bytes } = memory;
    memory.aboutToWrite(hpa, lengthBytes);
    if (lengthBytes === 4) view.setInt32(hpa, value.low, true);
    else if (lengthBytes === 8) {
      view.setInt32(hpa, value.low, true);
      view.setInt32(hpa + 4, value.high, true);
    } else {
      for (let i = 0; i < lengthBytes; i++) {
        bytes[hpa + i] = (i < 4 ? value.low : value.high) >>> (8 * (i & 3));
      }
    }
    memory.noteWrite(hpa, lengthBytes);
  }

  /** Where the page behind an address begins; linear addresses of 32 bits wrap around. */
  private nextPage(low: number, high: number): Long {
    const next = Long.fromBits(low, high).add(4096 - (low & 0xfff));
    return high !== 0 || modeOf(this.state) === '64-bit' ? next : Long.fromBits(next.low, 0);
  }

  /** Check that bytes may be written, in both pages if they lie in two, without writing. */
  probeWrite(low: number, high: number, lengthBytes: number, stack: boolean): void {
    const hpa = goingOn(this.locate(low, high, lengthBytes, Access.WRITE, stack));
    if (hpa !== SPLIT) return;
    const next = this.nextPage(low, high);
    this.locateInPage(low, high, Access.WRITE);
    this.locateInPage(next.low, next.high, Access.WRITE);
  }

  /** Run `work` with supervisor privilege: descriptor tables, task state, stacks of handlers. */
  asSupervisor<T>(work: () => T): T {
    return this.under(this.implicitView, work);
  }

  /** Run `work` with supervisor privilege that SMAP does not narrow: on behalf of a host. */
  asHost<T>(work: () => T): T {
    return this.under(this.tlb.current.supervisor, work);
  }

  private under<T>(view: View, work: () => T): T {
    const own = this.view;
    const wasImplicit = this.isImplicit;
    this.view = view;
    this.isImplicit = true;
    try {
      return work();
    } finally {
      this.view = own;
      this.isImplicit = wasImplicit;
    }
  }
}

/** Answer of {@link Mmu.locate} for bytes that lie in two pages. */
export const SPLIT = -2;

/** Where something lies, for accesses that cannot be stopped by an answer. */
function goingOn(hpa: number): number {
  if (hpa === STOPPED) throw OWNER_STOP;
  return hpa;
}

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

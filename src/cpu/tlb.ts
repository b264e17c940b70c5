// Cached translations, by privilege and by CR3: so that a guest that switches between a few address
// spaces finds those of each again. They are never older than the entries that they come from, so
// nothing has to be invalidated when CR3 is loaded; see docs/decisions/coherent-tlb.md.

import type { PhysicalMemory } from '../memory/index.ts';
import { asDouble } from '../sim/index.ts';

const ENTRY_COUNT = 1024;

/**
 * Words of an entry: tags for read, write and execute, each the linear address of the page in two
 * halves; and what the low half of a linear address has to be added to, to give the hpa.
 */
const STRIDE_SHIFT = 3;
export const STRIDE = 1 << STRIDE_SHIFT;
export const INDEX_MASK = ENTRY_COUNT - 1;
export const TAG_WORDS = 2;
export const TAGS: readonly number[] = [0, 1, 2].map((access) => access * TAG_WORDS);
export const ADDEND = 6;
/** Of no page, nor of an address in it that compiled code looks for: those have only low bits. */
export const NO_TAG = 0x800;

/**
 * Behind the entries, a place of compiled code that accesses memory keeps the translation that it
 * used last: so it need not find out where in the TLB that is, before it can go on to the data.
 * Four words each, a tag and the addend, for reading and for writing.
 */
const SITE_COUNT = 256;
const SITE_STRIDE = 4;
const SITE_ADDEND = 2;
const READ_SITES = ENTRY_COUNT * STRIDE;
const WRITE_SITES = READ_SITES + SITE_COUNT * SITE_STRIDE;
const VIEW_WORDS = WRITE_SITES + SITE_COUNT * SITE_STRIDE;

const VIEW_BYTES = VIEW_WORDS * 4;

/** How compiled code finds and reads an entry: offsets in bytes. */
export const TLB_LAYOUT = {
  strideShift: STRIDE_SHIFT + 2,
  entryMask: INDEX_MASK,
  tags: TAGS.map((word) => word * 4),
  addend: ADDEND * 4,
  siteCount: SITE_COUNT,
  siteBytes: SITE_STRIDE * 4,
  siteAddend: SITE_ADDEND * 4,
  /** By access: for reading and for writing. */
  sites: [READ_SITES * 4, WRITE_SITES * 4],
} as const;

/** What a view says of who accesses. */
export interface Accessor {
  readonly isUser: boolean;
  /** Data in user pages are out of reach: SMAP. */
  readonly isGuarded: boolean;
}

/** Translations at one privilege. */
export class View {
  /** Beside the memory, where compiled code reaches them. */
  readonly entries: Int32Array;
  /** Where they lie in the buffer, in bytes. */
  readonly offset: number;
  readonly isUser: boolean;
  readonly isGuarded: boolean;
  /** Has to be set by whoever enters a translation. */
  isUsed = false;
  /** The page that was walked to last, of all kinds: tag, access, and its gpa. */
  private walkedLow = NO_TAG;
  private walkedHigh = 0;
  private walkedAccess = 0;
  private walkedGpa = asDouble(0);

  constructor(memory: PhysicalMemory, { isUser, isGuarded }: Accessor) {
    this.entries = memory.beside(VIEW_BYTES).fill(NO_TAG);
    this.offset = this.entries.byteOffset;
    this.isUser = isUser;
    this.isGuarded = isGuarded;
  }

  flush(): void {
    if (!this.isUsed) return;
    this.entries.fill(NO_TAG);
    this.walkedLow = NO_TAG;
    this.isUsed = false;
  }

  /**
   * Where a walk led to. For pages that translations cannot be kept of, since every access to them
   * leaves to somebody: devices, the APIC.
   */
  noteWalk(page: number, high: number, access: number, gpa: number): void {
    this.walkedLow = page;
    this.walkedHigh = high;
    this.walkedAccess = access;
    this.walkedGpa = gpa;
    this.isUsed = true;
  }

  /** What the last walk led to, if it was this one; below 0 if not. */
  walked(page: number, high: number, access: number): number {
    const isIt =
      this.walkedLow === page && this.walkedHigh === high && this.walkedAccess === access;
    return isIt ? this.walkedGpa : -1;
  }

  /** Places that write have to look for watched lines again. */
  forgetWrites(): void {
    if (this.isUsed) this.entries.fill(NO_TAG, WRITE_SITES);
  }

  /** The pages, by hpa, that a store finds without a walk. */
  writablePages(): Set<number> {
    const { entries } = this;
    const pages = new Set<number>();
    const add = (tag: number, addend: number) => {
      if (entries[tag] !== NO_TAG) pages.add((entries[addend] + entries[tag]) >>> 0);
    };
    const writeTag = TAGS[1];
    for (let at = 0; at < READ_SITES; at += STRIDE) add(at + writeTag, at + ADDEND);
    for (let at = WRITE_SITES; at < VIEW_WORDS; at += SITE_STRIDE) add(at, at + SITE_ADDEND);
    return pages;
  }
}

/** Translations under one value of CR3. */
export class AddressSpace {
  cr3Low = 0;
  cr3High = 0;
  readonly user: View;
  readonly supervisor: View;
  readonly guarded: View;

  constructor(memory: PhysicalMemory) {
    this.user = new View(memory, { isUser: true, isGuarded: false });
    this.supervisor = new View(memory, { isUser: false, isGuarded: false });
    this.guarded = new View(memory, { isUser: false, isGuarded: true });
  }

  get views(): readonly View[] {
    return [this.user, this.supervisor, this.guarded];
  }

  flush(): void {
    for (const view of this.views) view.flush();
  }
}

/** Address spaces that are kept. */
const SPACE_COUNT = 4;

/** Bytes that the views of one processor take beside the memory; one more is for alignment. */
export const TLB_BYTES = (3 * SPACE_COUNT + 1) * VIEW_BYTES;

/** All translations of a processor. */
export class Tlb {
  /** How often translations were dropped. */
  drops = 0;
  /** The least recently selected first. */
  private readonly spaces: AddressSpace[];
  private readonly memory: PhysicalMemory;

  constructor(memory: PhysicalMemory) {
    this.memory = memory;
    this.spaces = [new AddressSpace(memory)];
  }

  get current(): AddressSpace {
    return this.spaces[this.spaces.length - 1];
  }

  flush(): void {
    this.drops++;
    for (const space of this.spaces) space.flush();
  }

  /** A page is watched that was not before. */
  forgetWrites(): void {
    for (const { views } of this.spaces) for (const view of views) view.forgetWrites();
  }

  /** Translate under a CR3 from here on. */
  select(cr3Low: number, cr3High: number): void {
    const { current } = this;
    if (current.cr3Low !== cr3Low || current.cr3High !== cr3High) this.change(cr3Low, cr3High);
  }

  /** Apart, for a closure is made where a function begins, and this happens at each VM entry. */
  private change(cr3Low: number, cr3High: number): void {
    const { spaces } = this;
    const at = spaces.findIndex((space) => space.cr3Low === cr3Low && space.cr3High === cr3High);
    let space: AddressSpace;
    if (at >= 0) [space] = spaces.splice(at, 1);
    else {
      const isFull = spaces.length === SPACE_COUNT;
      space = isFull ? (spaces.shift() as AddressSpace) : new AddressSpace(this.memory);
      this.drops++;
      space.flush();
      space.cr3Low = cr3Low;
      space.cr3High = cr3High;
    }
    spaces.push(space);
  }
}

// The part of the emulated host's physical memory that belongs to one virtual machine: processor
// state blocks, EPT tables and guest RAM share one buffer, so a host-physical address (hpa) is an
// offset into it and compiled code can later reach all three. Knows nothing of guest addresses.

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;

/** Watched in lines of 64 bytes: a store to data beside code must not drop the code. */
const LINE_SHIFT = 6;
export const LINE_SIZE = 1 << LINE_SHIFT;
const LINE_WORDS = LINE_SIZE / 4;

/** What a line is watched for; values are bits of `watchedLines`. */
export const Watch = {
  /** Someone holds instructions decoded or compiled from it. */
  CODE: 1,
  /** Someone holds address translations derived from it. */
  TRANSLATION: 2,
  /** Someone spins on it, and is left out until it changes. */
  SPIN: 4,
  /** A debugger wants to see it change. */
  DEBUG: 8,
  /** The machine wants to see it change: faults and properties depend on it. */
  PROBE: 16,
} as const;

export type WatchKind = (typeof Watch)[keyof typeof Watch];

/** Pages by number, in order; not to be changed, as several saved states may share them. */
export type SavedPages = ReadonlyMap<number, Uint8Array>;

/**
 * Called with the hpa of a line that was written, and with what was written, of which the line may
 * be a part; the line is no longer watched then.
 */
export type LineWritten = (hpa: number, firstHpa: number, lengthBytes: number) => void;

/** Called before the line at an hpa is written; `watched` says what it is watched for. */
export type LineChanging = (hpa: number, watched: number) => void;

/** Byte-addressed memory, zero at first. Untouched pages cost nothing. */
export class PhysicalMemory {
  readonly sizeBytes: number;
  /** Little-endian access at any alignment: `view.getInt32(hpa, true)`. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
  /** One byte a page: 1 once anything may have been written there. Zero pages need no saving. */
  readonly touched: Uint8Array;
  /** One byte a 64-byte line: bits of {@link Watch}. A store to a line with any bit is told. */
  readonly watchedLines: Uint8Array;
  /** One byte a page: 1 once any of its lines was watched. */
  readonly watchedPages: Uint8Array;
  private readonly pageListeners: (() => void)[] = [];
  private readonly listeners: { readonly kind: WatchKind; readonly written: LineWritten }[] = [];
  private changing: LineChanging | null = null;
  private allocatedBytes = 0;
  private readonly buffer: ArrayBuffer;
  /** Where the buffer has room behind the memory. */
  private besideAt: number;

  /**
   * @param sizeBytes a multiple of 4096
   * @param buffer the storage, if it must be a particular one (a WebAssembly memory); what it has
   *   behind the memory is given out by {@link beside}
   */
  constructor(sizeBytes: number, buffer: ArrayBuffer = new ArrayBuffer(sizeBytes)) {
    this.sizeBytes = sizeBytes;
    this.buffer = buffer;
    this.besideAt = sizeBytes;
    this.view = new DataView(buffer, 0, sizeBytes);
    this.bytes = new Uint8Array(buffer, 0, sizeBytes);
    this.touched = new Uint8Array(sizeBytes >>> PAGE_SHIFT);
    this.watchedLines = bytesOf(this.beside(sizeBytes >>> LINE_SHIFT));
    this.watchedPages = bytesOf(this.beside(pageBytes(sizeBytes)));
  }

  /** Bytes of buffer for what says which lines and pages are watched. */
  static besideBytes(sizeBytes: number): number {
    return (sizeBytes >>> LINE_SHIFT) + pageBytes(sizeBytes);
  }

  /**
   * Words that are not memory, but about it, zero at first: in the same buffer if that has room, so
   * that compiled code reaches them.
   * @param lengthBytes a multiple of 8
   */
  beside(lengthBytes: number): Int32Array {
    const at = this.besideAt;
    if (at + lengthBytes > this.buffer.byteLength) return new Int32Array(lengthBytes / 4);
    this.besideAt = at + lengthBytes;
    return new Int32Array(this.buffer, at, lengthBytes / 4);
  }

  /**
   * Set aside whole pages from the bottom up and return their hpa. Throws when none are left.
   * @param alignmentBytes a power of two, at least 4096
   */
  allocatePages(count: number, alignmentBytes: number = PAGE_SIZE): number {
    const hpa = Math.ceil(this.allocatedBytes / alignmentBytes) * alignmentBytes;
    this.allocatedBytes = hpa + count * PAGE_SIZE;
    if (this.allocatedBytes > this.sizeBytes) throw new RangeError('physical memory exhausted');
    return hpa;
  }

  /** Copy bytes in, from the host's side. */
  write(hpa: number, data: Uint8Array): void {
    if (data.length === 0) return;
    this.aboutToWrite(hpa, data.length);
    this.bytes.set(data, hpa);
    this.noteWrite(hpa, data.length);
  }

  /** Store an aligned 64-bit number given as two 32-bit halves, from the host's side. */
  write64(hpa: number, low: number, high: number): void {
    this.aboutToWrite(hpa, 8);
    this.view.setInt32(hpa, low, true);
    this.view.setInt32(hpa + 4, high, true);
    this.noteWrite(hpa, 8);
  }

  /**
   * Let those who are left out come as far as they have to see what stands there. Whoever writes
   * through `view` or `bytes` calls this before.
   */
  aboutToWrite(hpa: number, lengthBytes: number): void {
    if (this.changing === null) return;
    const last = (hpa + lengthBytes - 1) >>> LINE_SHIFT;
    for (let line = hpa >>> LINE_SHIFT; line <= last; line++) {
      const watched = this.watchedLines[line];
      if (watched === 0) continue;
      this.watchedLines[line] &= ~Watch.SPIN;
      this.changing(line * LINE_SIZE, watched);
    }
  }

  /** Hear of writes to any watched line, before they happen; one may listen. */
  onLineChanging(changing: LineChanging): void {
    this.changing = changing;
  }

  /** Record that bytes changed. Whoever writes through `view` or `bytes` calls this. */
  noteWrite(hpa: number, lengthBytes: number): void {
    const last = hpa + lengthBytes - 1;
    for (let page = hpa >>> PAGE_SHIFT; page <= last >>> PAGE_SHIFT; page++) this.touched[page] = 1;
    this.tellWatchers(hpa, lengthBytes);
  }

  /** Tell the listeners if the bytes overlap a watched line. */
  tellWatchers(hpa: number, lengthBytes: number): void {
    const last = (hpa + lengthBytes - 1) >>> LINE_SHIFT;
    for (let line = hpa >>> LINE_SHIFT; line <= last; line++) {
      const watched = this.watchedLines[line];
      if (watched === 0) continue;
      this.watchedLines[line] = 0;
      for (const { kind, written } of this.listeners) {
        if ((watched & kind) !== 0) written(line * LINE_SIZE, hpa, lengthBytes);
      }
    }
  }

  /** Watch the lines that the bytes lie in, until the next write to them. */
  watch(kind: WatchKind, hpa: number, lengthBytes: number): void {
    const last = (hpa + lengthBytes - 1) >>> LINE_SHIFT;
    for (let line = hpa >>> LINE_SHIFT; line <= last; line++) this.watchedLines[line] |= kind;
    const lastPage = (hpa + lengthBytes - 1) >>> PAGE_SHIFT;
    for (let page = hpa >>> PAGE_SHIFT; page <= lastPage; page++) {
      if (this.watchedPages[page] !== 0) continue;
      this.watchedPages[page] = 1;
      for (const watched of this.pageListeners) watched();
    }
  }

  /** Hear of the first line that is watched of any page. */
  onPageWatched(watched: () => void): void {
    this.pageListeners.push(watched);
  }

  /** Hear of writes to lines watched for `kind`. */
  onLineWritten(kind: WatchKind, written: LineWritten): void {
    this.listeners.push({ kind, written });
  }

  /**
   * Copies of all pages that may hold something other than zero.
   * @param base copies made before: those that are still the same are taken from there
   */
  savePages(base?: SavedPages): SavedPages {
    return new Map(
      this.touchedPages().map((number) => {
        const page = this.page(number);
        const known = base?.get(number);
        return [number, known !== undefined && isEqual(known, page) ? known : page.slice()];
      }),
    );
  }

  /** Go back to saved pages; all others become zero. What is derived from changed ones is told. */
  restorePages(pages: SavedPages): void {
    for (const number of this.touchedPages()) {
      if (!pages.has(number)) this.replacePage(number, ZERO_PAGE);
    }
    for (const [number, bytes] of pages) this.replacePage(number, bytes);
    this.touched.fill(0);
    for (const number of pages.keys()) this.touched[number] = 1;
  }

  private replacePage(number: number, bytes: Uint8Array): void {
    this.replaceWords(number, wordsOf(bytes));
  }

  /** Make a page hold other words (all of its 1024). Only lines that change are told. */
  replaceWords(number: number, words: Int32Array): void {
    const page = wordsOf(this.page(number));
    for (let at = 0; at < words.length; at += LINE_WORDS) {
      let i = at;
      while (i < at + LINE_WORDS && page[i] === words[i]) i++;
      if (i === at + LINE_WORDS) continue;
      for (; i < at + LINE_WORDS; i++) page[i] = words[i];
      this.tellWatchers(number * PAGE_SIZE + at * 4, LINE_SIZE);
    }
  }

  /** Page numbers that may hold something other than zero, in order. */
  touchedPages(): number[] {
    const pages: number[] = [];
    for (let page = 0; page < this.touched.length; page++) {
      if (this.touched[page] !== 0) pages.push(page);
    }
    return pages;
  }

  /** The bytes of one page, not copied. */
  page(number: number): Uint8Array {
    return this.bytes.subarray(number * PAGE_SIZE, (number + 1) * PAGE_SIZE);
  }
}

const ZERO_PAGE = new Uint8Array(PAGE_SIZE);

/** The words of a page. */
function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE / 4);
}

/** Whether two pages are the same, a word at a time. */
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  const x = wordsOf(a);
  const y = wordsOf(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

function bytesOf(words: Int32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** A byte for each page, in whole words. */
function pageBytes(sizeBytes: number): number {
  return Math.ceil((sizeBytes >>> PAGE_SHIFT) / 8) * 8;
}

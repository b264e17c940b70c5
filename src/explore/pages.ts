// What a machine's memory holds, as a list of immutable pages that states share: taking a state
// copies only what has changed, going back writes only what differs, and the hash of all of it
// follows from the hashes of the pages.

import { LINE_SIZE, PAGE_SHIFT, PAGE_SIZE, type PhysicalMemory, Watch } from '../memory/index.ts';

/** The content of a page at some time; nobody changes it. */
export interface Page {
  readonly words: Int32Array;
  readonly hash: PageHash;
}

export interface PageHash {
  readonly low: number;
  readonly high: number;
}

/** For each page that is followed, in the order in which that began. */
export type PageList = readonly Page[];

const LINES = PAGE_SIZE / LINE_SIZE;
const LINE_WORDS = LINE_SIZE / 4;

interface Followed {
  readonly words: Int32Array;
  readonly number: number;
  /** What it held before anything was written there. */
  readonly base: Page;
}

export class Pages {
  private readonly memory: PhysicalMemory;
  private readonly followed: Followed[] = [];
  private readonly indexes = new Map<number, number>();
  /** What was taken last. A list that was given away is never changed. */
  private current: Page[] = [];
  /** Indexes of the pages that may have been written since {@link take}. */
  private readonly dirty = new Set<number>();
  private readonly stateWords: ReadonlyMap<number, number>;

  /**
   * @param stateWords for the numbers of pages in which the state of a processor begins, the words
   *   of it; what stands behind them means nothing
   */
  constructor(memory: PhysicalMemory, stateWords: ReadonlyMap<number, number>) {
    this.memory = memory;
    this.stateWords = stateWords;
    for (const number of stateWords.keys()) this.follow(number);
    this.followTouched();
  }

  /** Follow all pages in which something may have been written. */
  followTouched(): void {
    const { touched } = this.memory;
    for (let number = 0; number < touched.length; number++) {
      if (touched[number] !== 0 && !this.indexes.has(number)) this.follow(number);
    }
  }

  private follow(number: number): number {
    const at = this.memory.bytes.byteOffset + number * PAGE_SIZE;
    const length = this.stateWords.get(number) ?? PAGE_SIZE / 4;
    const words = new Int32Array(this.memory.bytes.buffer, at, length);
    const base = pageOf(words);
    const index = this.followed.push({ words, number, base }) - 1;
    this.indexes.set(number, index);
    this.current = [...this.current, base];
    return index;
  }

  /** Bytes are about to be written, or have been where the page was followed before. */
  touch(hpa: number, lengthBytes: number): void {
    const last = (hpa + lengthBytes - 1) >>> PAGE_SHIFT;
    for (let number = hpa >>> PAGE_SHIFT; number <= last; number++) {
      this.dirty.add(this.indexes.get(number) ?? this.follow(number));
    }
  }

  /** Anything may have been written anywhere. */
  touchAll(): void {
    this.followTouched();
    for (let index = 0; index < this.followed.length; index++) this.dirty.add(index);
  }

  /** Walks of paging structures set accessed and dirty bits, which nobody announces. */
  private touchTables(): void {
    const { watchedPages, watchedLines } = this.memory;
    for (const [index, { words, number }] of this.followed.entries()) {
      if (watchedPages[number] === 0) continue;
      const old = this.current[index].words;
      for (let line = 0; line < LINES; line++) {
        if ((watchedLines[number * LINES + line] & Watch.TRANSLATION) === 0) continue;
        const at = line * LINE_WORDS;
        let i = at;
        while (i < at + LINE_WORDS && words[i] === old[i]) i++;
        if (i < at + LINE_WORDS) this.dirty.add(index);
      }
    }
  }

  /** What memory holds now. */
  take(): PageList {
    this.update();
    return this.current;
  }

  /** Numbers of the 8-byte words (hpa / 8) outside of processors that have changed, if {@link take} has not looked. */
  takeChanges(): number[] {
    const before = this.current;
    const changed: number[] = [];
    for (const index of this.update()) {
      const { words, number } = this.followed[index];
      if (this.stateWords.has(number)) continue;
      const old = before[index].words;
      for (let i = 0; i < words.length; i++) {
        if (words[i] !== old[i]) changed.push((number * PAGE_SIZE) / 8 + (i >> 1));
      }
    }
    return changed;
  }

  /** Copy the pages that have changed; their indexes. */
  private update(): number[] {
    this.touchTables();
    if (this.dirty.size === 0) return [];
    const changed = [...this.dirty].filter((index) => {
      const { words } = this.followed[index];
      return !isEqual(words, this.current[index].words);
    });
    this.dirty.clear();
    if (changed.length === 0) return changed;
    this.current = this.current.slice();
    for (const index of changed) this.current[index] = pageOf(this.followed[index].words);
    return changed;
  }

  /** Make memory hold what it did. */
  restore(pages: PageList): void {
    this.take();
    const { current } = this;
    if (pages === current) return;
    this.current = this.followed.map(({ base }, index) => pages[index] ?? base);
    for (const [index, { words, number }] of this.followed.entries()) {
      const page = this.current[index];
      if (page === current[index]) continue;
      if (this.stateWords.has(number)) words.set(page.words);
      else this.memory.replaceWords(number, page.words);
    }
  }

  /** The hash of the state of the n-th processor. */
  hashOfState(pages: PageList, n: number): PageHash {
    return pages[n].hash;
  }

  /** Two words that tell apart what memory holds by now, whenever pages began to be followed. */
  hash(pages: PageList): PageHash {
    let low = 0;
    let high = 0;
    for (let index = 0; index < pages.length; index++) {
      const page = pages[index];
      const { base, number } = this.followed[index];
      if (page === base) continue;
      low = (low + mix(page.hash.low, number) - mix(base.hash.low, number)) | 0;
      high = (high + mix(page.hash.high, number) - mix(base.hash.high, number)) | 0;
    }
    return { low, high };
  }
}

function pageOf(words: Int32Array): Page {
  return { words: words.slice(), hash: hashWords(words) };
}

function isEqual(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Two hashes of 32 bits, of different multipliers. */
export function hashWords(words: ArrayLike<number>): PageHash {
  let low = 0x2545f491;
  let high = 0x5bd1e995;
  for (let i = 0; i < words.length; i++) {
    low = Math.imul(low ^ words[i], 0x01000193);
    low ^= low >>> 15;
    high = Math.imul(high + words[i], 0x85ebca6b);
    high ^= high >>> 13;
  }
  return { low, high };
}

/** Spread the bits of a hash, differently for each place. */
export function mix(hash: number, place: number): number {
  let mixed = Math.imul(hash ^ Math.imul(place + 1, 0x9e3779b1), 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return Math.imul(mixed, 0x27d4eb2f);
}

// Guest memory as user space has it: byte arrays that it reads and writes as it likes. A processor
// keeps decoded code and translations derived from memory, and has to hear of writes: while user
// space has its turn, the lines that anything was derived from are remembered, and compared after.

import { LINE_SIZE, PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';

const LINES_PER_PAGE = PAGE_SIZE / LINE_SIZE;
const LARGE_PAGE = 2 ** 21;

interface Mapping {
  readonly hpa: number;
  readonly bytes: Uint8Array;
}

export class UserMemory {
  private readonly memory: PhysicalMemory;
  private readonly mappings: Mapping[] = [];
  /** Copies of lines, by hpa. */
  private readonly remembered = new Map<number, Uint8Array>();

  constructor(memory: PhysicalMemory) {
    this.memory = memory;
  }

  /** Set aside zeroed memory; null if there is not enough. */
  map(lengthBytes: number): Uint8Array | null {
    const pages = Math.ceil(lengthBytes / PAGE_SIZE);
    const alignment = lengthBytes >= LARGE_PAGE ? LARGE_PAGE : PAGE_SIZE;
    try {
      const hpa = this.memory.allocatePages(pages, alignment);
      const bytes = this.memory.bytes.subarray(hpa, hpa + pages * PAGE_SIZE);
      this.memory.touched.fill(1, hpa / PAGE_SIZE, hpa / PAGE_SIZE + pages);
      this.mappings.push({ hpa, bytes });
      return bytes.subarray(0, lengthBytes);
    } catch (thrown) {
      if (thrown instanceof RangeError) return null;
      throw thrown;
    }
  }

  /** Where bytes that {@link map} gave lie, or a part of them; null for others. */
  hpaOf(given: Uint8Array): number | null {
    const { bytes } = this.memory;
    if (given.buffer !== bytes.buffer) return null;
    const hpa = given.byteOffset - bytes.byteOffset;
    const isMapped = this.mappings.some(
      (mapping) => hpa >= mapping.hpa && hpa + given.length <= mapping.hpa + mapping.bytes.length,
    );
    return isMapped ? hpa : null;
  }

  /** User space has its turn. */
  remember(): void {
    const { watchedPages, watchedLines, bytes } = this.memory;
    this.remembered.clear();
    for (const { hpa, bytes: mapped } of this.mappings) {
      const end = (hpa + mapped.length) / PAGE_SIZE;
      for (let page = hpa / PAGE_SIZE; page < end; page++) {
        if (watchedPages[page] === 0) continue;
        for (let line = page * LINES_PER_PAGE; line < (page + 1) * LINES_PER_PAGE; line++) {
          if (watchedLines[line] === 0) continue;
          const at = line * LINE_SIZE;
          this.remembered.set(at, bytes.slice(at, at + LINE_SIZE));
        }
      }
    }
  }

  /** User space has had its turn: whoever derived anything from what it wrote hears of it. */
  notice(): void {
    const { bytes } = this.memory;
    for (const [at, old] of this.remembered) {
      if (old.some((byte, i) => byte !== bytes[at + i])) this.memory.noteWrite(at, LINE_SIZE);
    }
    this.remembered.clear();
  }
}

// The engine that trusts nobody: whatever compiled code does is done again by the interpreter, from
// the same state, and compared. It stops at the first difference.

import { PAGE_SIZE, type PhysicalMemory } from '../../memory/index.ts';
import { type ProcessorState, STATE_BYTES, STATE_ITEMS, Word } from '../state.ts';

/** The engines have done different things; one of them is wrong. */
export class EngineDifference extends Error {}

interface SavedPage {
  readonly hpa: number;
  readonly bytes: Uint8Array;
}

/** What compiled code may change: the processor's words, and pages that it may write to. */
export class Checkpoint {
  private readonly memory: PhysicalMemory;
  private readonly state: ProcessorState;
  private readonly words: Int32Array;
  private readonly pages: readonly SavedPage[];

  /** @param writable hpas of the pages that can be written to without a look at the tables */
  constructor(memory: PhysicalMemory, state: ProcessorState, writable: readonly number[]) {
    this.memory = memory;
    this.state = state;
    this.words = state.words.slice();
    this.pages = writable.map((hpa) => ({ hpa, bytes: memory.bytes.slice(hpa, hpa + PAGE_SIZE) }));
  }

  /** The same places as they are now. */
  now(): Checkpoint {
    const writable = this.pages.map(({ hpa }) => hpa);
    return new Checkpoint(this.memory, this.state, writable);
  }

  restore(): void {
    this.state.words.set(this.words);
    for (const { hpa, bytes } of this.pages) this.memory.bytes.set(bytes, hpa);
  }

  get rip(): string {
    return `${hex(this.words[Word.RIP + 1])}${hex(this.words[Word.RIP])}`;
  }

  /** What another one has that this has not, in words; null if they are equal. */
  difference(other: Checkpoint): string | null {
    for (let word = 0; word < STATE_BYTES / 4; word++) {
      if (this.words[word] === other.words[word]) continue;
      const name = STATE_ITEMS.findLast((item) => item.word <= word)?.name;
      return `${name} ${hex(other.words[word])}, not ${hex(this.words[word])}, in word ${word}`;
    }
    for (const [i, { hpa, bytes }] of this.pages.entries()) {
      const theirs = other.pages[i].bytes;
      const at = bytes.findIndex((byte, offset) => byte !== theirs[offset]);
      if (at >= 0) return `byte ${theirs[at]}, not ${bytes[at]}, at hpa ${hpa + at}`;
    }
    return null;
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

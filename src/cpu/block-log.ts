// Where a processor has been: the addresses at which it entered its last blocks, and how far it
// came in each, for reports on guests that came to grief. The log lies in memory behind the scratch
// room, so that it is saved and restored with everything else, but it is not state: nothing depends
// on it.

import Long from 'long';
import { type CodeSize, Segment } from '../isa/index.ts';
import { LOGGED_INSTRUCTIONS } from './compiled/left-behind.ts';
import {
  LOG_ENTRIES,
  LOG_STRIDE,
  LOG_WORD,
  type ProcessorState,
  SEGMENT_WORDS,
  Word,
} from './state.ts';

/** Word index of the number of the entry to be written next. */
const NEXT = LOG_WORD;
const ENTRIES = LOG_WORD + 1;
/** The log is a ring; of a power of two, for V8 divides doubles by an instruction of the 8087's. */
const LAST_ENTRY = LOG_ENTRIES - 1;
/** Words of an entry after the two of the address: instructions completed before, and the kind. */
const COMPLETED = 2;
/** The code size, which is even, and {@link CUT_SHORT}; or {@link COMPILED} and so on. */
const KIND = 3;
const CUT_SHORT = 1;
/** Compiled code ran. */
const COMPILED = 2;

/** Blocks that compiled code goes through one after the other, with the instructions completed. */
export type LoggedStretch = readonly {
  readonly start: bigint;
  readonly instructions: number;
  /** Cycles of the last of them; 0 if the block was left before its end. */
  readonly lastCycles: number;
}[];

/** What is known of compiled code. */
export interface LoggedCode {
  readonly codeSize: CodeSize;
  /** The lower half of RIP at its entry. */
  readonly low: number;
  /** Where it goes by, by RIP, with the numbers that it leaves behind. */
  readonly stretches: readonly LoggedStretch[];
}

/** That are noted of one run; more than reports need. */
const MOST_STRETCHES = 16;

const CS_BASE = SEGMENT_WORDS[Segment.CS].base;

/** A block that was entered. */
export interface LoggedBlock {
  /** Linear. */
  readonly address: Long;
  readonly codeSize: CodeSize;
  /** Instructions of it that were completed. */
  readonly completed: number;
  /** The instruction after those was begun, but faulted or left to the owner. */
  readonly cutShort: boolean;
}

/** Whoever has run code that the log has not heard of yet. */
export interface LogKeeper {
  tell(log: BlockLog): void;
  /** Something else is restored. */
  forget(): void;
}

export class BlockLog {
  /** Of the code that is entered next. */
  codeSize: CodeSize = 64;
  /** Is asked before anything else goes into the log, or is read from it. */
  keeper: LogKeeper | null = null;
  private readonly words: Int32Array;
  /** By entry, for those of compiled code. */
  private readonly codes: LoggedCode[] = [];
  /** How many stretches of it were noted, and their numbers, the last first. */
  private readonly pathLengths = new Uint8Array(LOG_ENTRIES);
  private readonly paths = new Int32Array(LOG_ENTRIES * MOST_STRETCHES);
  /** And what has to be added to RIP there for a linear address: outside 64-bit mode. */
  private readonly bases: number[] = [];

  constructor(state: ProcessorState) {
    this.words = state.words;
  }

  /**
   * A block is entered at RIP. One that is tried again, because its first instruction faulted or
   * left to the owner, is entered once: `completed`, the count of instructions, has not grown.
   * @param completed its lower 32 bits: V8 makes an object of a double that is passed on
   */
  enter(completed: number): void {
    const { words, codeSize } = this;
    const isWide = codeSize === 64;
    const low = isWide ? words[Word.RIP] : (words[CS_BASE] + words[Word.RIP]) | 0;
    if (this.keeper !== null) this.hear();
    this.enterAt(low, isWide ? words[Word.RIP + 1] : 0, completed, codeSize);
  }

  /** The same at a linear address. */
  enterAt(low: number, high: number, completed: number, codeSize: CodeSize): void {
    const { words, last } = this;
    const isSame = words[last] === low && words[last + 1] === high;
    const isTried = isSame && words[last + COMPLETED] === completed;
    if (isTried && (words[last + KIND] & COMPILED) === 0) {
      words[last + KIND] = codeSize;
      return;
    }
    const at = ENTRIES + LOG_STRIDE * words[NEXT];
    words[at] = low;
    words[at + 1] = high;
    words[at + COMPLETED] = completed;
    words[at + KIND] = codeSize;
    words[NEXT] = (words[NEXT] + 1) & LAST_ENTRY;
  }

  private hear(): void {
    const { keeper } = this;
    this.keeper = null;
    keeper?.tell(this);
  }

  /** Nothing is known of what came before. */
  forget(): void {
    this.words.fill(0, ENTRIES, ENTRIES + LOG_STRIDE * LOG_ENTRIES);
  }

  /** To be called when the memory that it lies in was restored. */
  restored(): void {
    this.keeper?.forget();
    this.keeper = null;
  }

  /** The block that was entered last ends with an instruction that does not complete. */
  cutShort(): void {
    this.words[this.last + KIND] |= CUT_SHORT;
  }

  /** From the block that was entered last on, compiled code ran; then {@link cameBy}. */
  ranCompiled(code: LoggedCode): void {
    const { words, lastEntry } = this;
    const at = ENTRIES + LOG_STRIDE * lastEntry;
    this.bases[lastEntry] = (words[at] - code.low) | 0;
    words[at + KIND] = COMPILED;
    this.codes[lastEntry] = code;
    this.pathLengths[lastEntry] = 0;
  }

  /** By the number of a stretch, where that code came by before those that were noted already. */
  cameBy(stretch: number): void {
    const { lastEntry, pathLengths } = this;
    const length = pathLengths[lastEntry];
    if (length === MOST_STRETCHES) return;
    this.paths[lastEntry * MOST_STRETCHES + length] = stretch;
    pathLengths[lastEntry] = length + 1;
  }

  /**
   * A loop has been executed some more times, up to where it begins again, which was entered last.
   * Of the log only the end is written: what reports show.
   * @param entries what one iteration entered into the log, all of the same size
   * @param instructions of one iteration
   * @param completed instructions completed before that
   */
  repeat(entries: number, instructions: number, times: number, completed: number): void {
    const { words } = this;
    this.hear();
    if (entries >= LOG_ENTRIES) {
      // All that is in it belongs to the loop.
      for (let i = 0; i < LOG_ENTRIES; i++) {
        words[ENTRIES + LOG_STRIDE * i + COMPLETED] += times * instructions;
      }
      return;
    }
    const shown = Math.min(times, Math.ceil(LOGGED_INSTRUCTIONS / instructions));
    const each = instructions / entries;
    let count = (completed + (times - shown) * instructions) | 0;
    for (let left = shown * entries; left > 0; left--) {
      count = (count + each) | 0;
      const next = words[NEXT];
      const at = ENTRIES + LOG_STRIDE * next;
      const same = ENTRIES + LOG_STRIDE * ((next - entries) & LAST_ENTRY);
      words[at] = words[same];
      words[at + 1] = words[same + 1];
      words[at + COMPLETED] = count;
      words[at + KIND] = words[same + KIND];
      words[NEXT] = (next + 1) & LAST_ENTRY;
    }
  }

  /** Number of the entry that was written last, and where it lies. */
  private get lastEntry(): number {
    return (this.words[NEXT] - 1) & LAST_ENTRY;
  }

  private get last(): number {
    return ENTRIES + LOG_STRIDE * this.lastEntry;
  }

  /** Oldest first. @param completed instructions completed by now */
  blocks(completed: number): readonly LoggedBlock[] {
    const { words } = this;
    this.hear();
    const places = Array.from(
      { length: LOG_ENTRIES },
      (_, i) => ENTRIES + LOG_STRIDE * ((words[NEXT] + i) & LAST_ENTRY),
    );
    return places
      .flatMap((at, i) => {
        const next = i + 1 < places.length ? words[places[i + 1] + COMPLETED] : completed;
        const kind = words[at + KIND];
        if ((kind & COMPILED) !== 0) return this.compiledBlocks(at);
        return {
          address: Long.fromBits(words[at], words[at + 1]),
          completed: (next - words[at + COMPLETED]) | 0,
          codeSize: (kind & ~CUT_SHORT) as CodeSize,
          cutShort: (kind & CUT_SHORT) !== 0,
        };
      })
      .filter(({ address }) => !address.isZero());
  }

  private compiledBlocks(at: number): LoggedBlock[] {
    const entry = (at - ENTRIES) / LOG_STRIDE;
    const { codeSize, stretches } = this.codes[entry];
    const linear = (rip: bigint) => {
      const address = Long.fromString(BigInt.asIntN(64, rip).toString());
      return codeSize === 64 ? address : Long.fromBits((address.low + this.bases[entry]) | 0, 0);
    };
    const from = entry * MOST_STRETCHES;
    const path = this.paths.slice(from, from + this.pathLengths[entry]).reverse();
    return [...path].flatMap((stretch) =>
      stretches[stretch].map(({ start, instructions }) => ({
        address: linear(start),
        completed: instructions,
        codeSize,
        cutShort: false,
      })),
    );
  }

  /**
   * Write what compiled code did as if it had been interpreted, so that the log can be saved.
   * @param completed instructions completed by now
   */
  settle(completed: number): void {
    const { words } = this;
    const blocks = this.blocks(completed).slice(-LOG_ENTRIES);
    let before = completed;
    this.forget();
    words[NEXT] = 0;
    for (let i = blocks.length - 1; i >= 0; i--) {
      const block = blocks[i];
      const at = ENTRIES + LOG_STRIDE * (LOG_ENTRIES - blocks.length + i);
      before -= block.completed;
      words[at] = block.address.low;
      words[at + 1] = block.address.high;
      words[at + COMPLETED] = before | 0;
      words[at + KIND] = block.codeSize | (block.cutShort ? CUT_SHORT : 0);
    }
  }
}

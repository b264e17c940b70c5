// Where a processor has been: the addresses at which it entered its last blocks, and how far it
// came in each, for reports on guests that came to grief. The log lies in memory behind the scratch
// room, so that it is saved and restored with everything else, but it is not state: nothing depends
// on it.

import Long from 'long';
import { type CodeSize, Segment } from '../isa/index.ts';
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
/** Words of an entry after the two of the address: instructions completed before, and the kind. */
const COMPLETED = 2;
const KIND = 3;

/** In the kind, beside the code size, which is even. */
const CUT_SHORT = 1;

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

export class BlockLog {
  /** Of the code that is entered next. */
  codeSize: CodeSize = 64;
  private readonly words: Int32Array;

  constructor(state: ProcessorState) {
    this.words = state.words;
  }

  /**
   * A block is entered at RIP. One that is tried again, because its first instruction faulted or
   * left to the owner, is entered once: `completed`, the count of instructions, has not grown.
   */
  enter(completed: number): void {
    const { words, codeSize } = this;
    const isWide = codeSize === 64;
    const low = isWide ? words[Word.RIP] : (words[CS_BASE] + words[Word.RIP]) | 0;
    const high = isWide ? words[Word.RIP + 1] : 0;
    const last = this.last;
    const isSame = words[last] === low && words[last + 1] === high;
    if (isSame && words[last + COMPLETED] === (completed | 0)) {
      words[last + KIND] = codeSize;
      return;
    }
    const at = ENTRIES + LOG_STRIDE * words[NEXT];
    words[at] = low;
    words[at + 1] = high;
    words[at + COMPLETED] = completed | 0;
    words[at + KIND] = codeSize;
    words[NEXT] = (words[NEXT] + 1) % LOG_ENTRIES;
  }

  /** The block that was entered last ends with an instruction that does not complete. */
  cutShort(): void {
    this.words[this.last + KIND] |= CUT_SHORT;
  }

  private get last(): number {
    return ENTRIES + LOG_STRIDE * ((this.words[NEXT] + LOG_ENTRIES - 1) % LOG_ENTRIES);
  }

  /** Oldest first. @param completed instructions completed by now */
  blocks(completed: number): readonly LoggedBlock[] {
    const { words } = this;
    const places = Array.from(
      { length: LOG_ENTRIES },
      (_, i) => ENTRIES + LOG_STRIDE * ((words[NEXT] + i) % LOG_ENTRIES),
    );
    return places
      .map((at, i) => ({
        address: Long.fromBits(words[at], words[at + 1]),
        completed:
          ((i + 1 < places.length ? words[places[i + 1] + COMPLETED] : completed) -
            words[at + COMPLETED]) |
          0,
        codeSize: (words[at + KIND] & ~CUT_SHORT) as CodeSize,
        cutShort: (words[at + KIND] & CUT_SHORT) !== 0,
      }))
      .filter(({ address }) => !address.isZero());
  }
}

// Where a processor has been: the addresses at which it entered its last blocks, for reports on
// guests that came to grief. The log lies in memory behind the scratch room, so that it is saved
// and restored with everything else, but it is not state: nothing depends on it.

import Long from 'long';
import { LOG_ENTRIES, LOG_WORD, type ProcessorState, Word } from './state.ts';

/** Word indexes: the next entry to be written, and the instructions completed at the last one. */
const NEXT = LOG_WORD;
const COMPLETED = LOG_WORD + 1;
const ENTRIES = LOG_WORD + 2;

export class BlockLog {
  private readonly words: Int32Array;

  constructor(state: ProcessorState) {
    this.words = state.words;
  }

  /**
   * A block is entered at RIP. One that is tried again, because its first instruction faulted or
   * left to the owner, is entered once: `completed`, the count of instructions, has not grown.
   */
  enter(completed: number): void {
    const { words } = this;
    const next = words[NEXT];
    const last = ENTRIES + 2 * ((next + LOG_ENTRIES - 1) % LOG_ENTRIES);
    const low = words[Word.RIP];
    const high = words[Word.RIP + 1];
    const isSame = words[last] === low && words[last + 1] === high;
    if (isSame && words[COMPLETED] === (completed | 0)) return;
    words[COMPLETED] = completed | 0;
    words[ENTRIES + 2 * next] = low;
    words[ENTRIES + 2 * next + 1] = high;
    words[NEXT] = (next + 1) % LOG_ENTRIES;
  }

  /** Oldest first. */
  get addresses(): readonly Long[] {
    const { words } = this;
    const addresses: Long[] = [];
    for (let i = 0; i < LOG_ENTRIES; i++) {
      const at = ENTRIES + 2 * ((words[NEXT] + i) % LOG_ENTRIES);
      const address = Long.fromBits(words[at], words[at + 1]);
      if (!address.isZero()) addresses.push(address);
    }
    return addresses;
  }
}

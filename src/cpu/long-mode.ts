// Puts a processor into flat 64-bit mode, as a loader leaves it.

import Long from 'long';
import { Segment } from '../isa/index.ts';
import { startFloats } from './fpu.ts';
import { DR6_RESET, DR7_RESET, PAT_RESET } from './reset.ts';
import {
  Cr0,
  Cr4,
  Efer,
  type ProcessorState,
  Rflags,
  Rights,
  SEGMENT_WORDS,
  Word,
  wordOf,
} from './state.ts';

export interface LongModeStart {
  /** Guest-physical address of the PML4. */
  readonly cr3: number;
  readonly rip: number;
  readonly rsp: number;
  /** Selectors of the flat segments, as the GDT in memory has them. */
  readonly codeSelector: number;
  readonly dataSelector: number;
  readonly gdtBase: number;
  readonly gdtLimit: number;
  /** 0 or 3. */
  readonly cpl: number;
}

/** Access rights of segments in flat 64-bit mode, before the DPL. */
const CODE_RIGHTS = 0xb | Rights.S | Rights.P | Rights.L | Rights.G;
const DATA_RIGHTS = 0x3 | Rights.S | Rights.P | Rights.DB | Rights.G;
const BUSY_TSS_RIGHTS = 0xb | Rights.P;
const LDT = 6;
const TR = 7;

/** Set control, segment and table registers; interrupts off, general registers untouched. */
export function enterLongMode(state: ProcessorState, start: LongModeStart): void {
  const { words } = state;
  words[Word.CR0] = Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.PG;
  words[Word.CR4] = Cr4.PAE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT;
  startFloats(state);
  words[Word.EFER] = Efer.LME | Efer.LMA | Efer.NXE | Efer.SCE;
  state.set64(Word.CR3, Long.fromNumber(start.cr3));
  state.set64(Word.RIP, Long.fromNumber(start.rip));
  state.set64(Word.RSP, Long.fromNumber(start.rsp));
  words[Word.RFLAGS] = Rflags.FIXED;
  words[Word.DR6] = DR6_RESET;
  words[Word.DR7] = DR7_RESET;
  state.set64(wordOf('pat'), PAT_RESET);
  const dpl = start.cpl << Rights.DPL_SHIFT;
  const set = (number: number, selector: number, rights: number, limit: number) => {
    const register = SEGMENT_WORDS[number];
    words[register.selector] = selector;
    words[register.rights] = rights;
    words[register.limit] = limit;
  };
  set(Segment.CS, start.codeSelector, CODE_RIGHTS | dpl, -1);
  for (const number of [Segment.SS, Segment.DS, Segment.ES, Segment.FS, Segment.GS]) {
    set(number, start.dataSelector, DATA_RIGHTS | dpl, -1);
  }
  set(LDT, 0, Rights.UNUSABLE, 0);
  set(TR, 0, BUSY_TSS_RIGHTS, 0xffff);
  state.set64(Word.GDTR_BASE, Long.fromNumber(start.gdtBase));
  words[Word.GDTR_LIMIT] = start.gdtLimit;
}

// How a processor starts: after reset and INIT, by a start-up IPI, and in flat protected mode as a
// boot loader leaves it. SDM 3, "Processor Initialization" (IA-32 and Intel 64 Processor States
// Following Power-up, Reset, or INIT) and "MP Initialization Protocol".

import Long from 'long';
import { Gpr, Segment } from '../isa/index.ts';
import { resetFloats } from './fpu.ts';
import {
  Activity,
  Cr0,
  type ProcessorState,
  Rflags,
  Rights,
  SEGMENT_WORDS,
  STATE_ITEMS,
  Word,
  wordOf,
} from './state.ts';

const LDT = 6;
const TR = 7;

/** PAT after reset. */
export const PAT_RESET = Long.fromBits(0x00070406, 0x00070406);
export const DR6_RESET = 0xffff0ff0 | 0;
export const DR7_RESET = 0x400;

const REAL_RIGHTS = 0x3 | Rights.S | Rights.P;
const LDT_RIGHTS = 0x2 | Rights.P;
/** A busy 32-bit TSS. */
const TSS_RIGHTS = 0xb | Rights.P;
const REAL_LIMIT = 0xffff;

/** Words of the sixteen general registers, with which the state begins. */
const GENERAL_WORDS = 32;

const FIRST_SELECTOR = 0xf000;
const FIRST_BASE = 0xffff0000 | 0;
const FIRST_IP = 0xfff0;

/** What INIT does not leave as it is; CR0.CD and CR0.NW stay, and most MSRs. */
const CLEARED_BY_INIT = STATE_ITEMS.filter(({ name, word }) => {
  const isNamed = /^([cd]r\d|rip|rflags|efer|debugctl|interruptibility|activity|pendingDebug)$/;
  const isSegmentation = /^(es|cs|ss|ds|fs|gs|ldtr|tr|gdtr|idtr)(Base|Selector|Limit|Rights)$/;
  return word < GENERAL_WORDS || isNamed.test(name) || isSegmentation.test(name);
});

/**
 * The state after power-up or reset: real mode, at the last 16 bytes below 4 GiB.
 * @param signature what CPUID(1).EAX gives, which EDX holds at first
 */
export function resetState(state: ProcessorState, signature = 0): void {
  for (const { word, width, name } of STATE_ITEMS) {
    if (name !== 'entropy') state.words.fill(0, word, word + width / 32);
  }
  state.words[Word.CR0] = Cr0.CD | Cr0.NW | Cr0.ET;
  state.set64(wordOf('pat'), PAT_RESET);
  resetFloats(state);
  setInitialRegisters(state, signature);
}

/** The state after an INIT, which keeps most MSRs and waits for a start-up IPI if `waits`. */
export function initState(state: ProcessorState, signature: number, waits: boolean): void {
  const { words } = state;
  const caching = words[Word.CR0] & (Cr0.CD | Cr0.NW);
  for (const { word, width } of CLEARED_BY_INIT) words.fill(0, word, word + width / 32);
  words[Word.CR0] = caching | Cr0.ET;
  setInitialRegisters(state, signature);
  if (waits) words[Word.ACTIVITY] = Activity.WAIT_FOR_SIPI;
}

/** Go on in real mode at the page that a start-up IPI names: after INIT. */
export function startAtSipiVector(state: ProcessorState, vector: number): void {
  const { words } = state;
  words[Word.CS_SELECTOR] = vector << 8;
  state.set64(SEGMENT_WORDS[Segment.CS].base, Long.fromInt(vector << 12));
  state.set64(Word.RIP, Long.ZERO);
  words[Word.ACTIVITY] = Activity.ACTIVE;
}

function setInitialRegisters(state: ProcessorState, signature: number): void {
  const { words } = state;
  words[Word.RFLAGS] = Rflags.FIXED;
  words[2 * Gpr.RDX] = signature;
  words[Word.DR6] = DR6_RESET;
  words[Word.DR7] = DR7_RESET;
  SEGMENT_WORDS.forEach((register) => {
    words[register.limit] = REAL_LIMIT;
    words[register.rights] = REAL_RIGHTS;
  });
  words[SEGMENT_WORDS[LDT].rights] = LDT_RIGHTS;
  words[SEGMENT_WORDS[TR].rights] = TSS_RIGHTS;
  words[Word.GDTR_LIMIT] = REAL_LIMIT;
  words[Word.IDTR_LIMIT] = REAL_LIMIT;
  words[Word.CS_SELECTOR] = FIRST_SELECTOR;
  words[SEGMENT_WORDS[Segment.CS].base] = FIRST_BASE;
  words[Word.RIP] = FIRST_IP;
}

export interface ProtectedModeStart {
  readonly eip: number;
  /** Selectors of the flat segments; the descriptors need not exist. */
  readonly codeSelector: number;
  readonly dataSelector: number;
  readonly gdtBase: number;
  readonly gdtLimit: number;
}

const FLAT_CODE_RIGHTS = 0xb | Rights.S | Rights.P | Rights.DB | Rights.G;
const FLAT_DATA_RIGHTS = 0x3 | Rights.S | Rights.P | Rights.DB | Rights.G;
const FLAT_LIMIT = -1;

/** From the state after reset to flat 32-bit protected mode at CPL 0, without paging. */
export function enterProtectedMode(state: ProcessorState, start: ProtectedModeStart): void {
  const { words } = state;
  words[Word.CR0] = Cr0.PE | Cr0.ET;
  words[Word.RFLAGS] = Rflags.FIXED;
  for (const number of Object.values(Segment)) {
    const register = SEGMENT_WORDS[number];
    const isCode = number === Segment.CS;
    words[register.selector] = isCode ? start.codeSelector : start.dataSelector;
    state.set64(register.base, Long.ZERO);
    words[register.limit] = FLAT_LIMIT;
    words[register.rights] = isCode ? FLAT_CODE_RIGHTS : FLAT_DATA_RIGHTS;
  }
  state.set64(Word.GDTR_BASE, Long.fromNumber(start.gdtBase));
  words[Word.GDTR_LIMIT] = start.gdtLimit;
  state.set64(Word.RIP, Long.fromNumber(start.eip));
}

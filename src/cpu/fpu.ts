// MXCSR and the state of the x87 FPU, of which only control and image exist here: no instruction
// computes with its registers. SDM 1, "Programming with the x87 FPU", and SDM 2, "FXSAVE".

import Long from 'long';
import type { Unit } from '../isa/index.ts';
import { GuestFault, NotImplemented, Vector } from './exceptions.ts';
import type { Processor } from './processor.ts';
import { Cr0, Cr4, type ProcessorState, Word, wordOf } from './state.ts';

const FCW = wordOf('fcw');
const FSW = wordOf('fsw');
const FTW = wordOf('ftw');
const FOP = wordOf('fop');
const FIP = wordOf('fip');
const FDP = wordOf('fdp');

/** Word indexes of the data registers, in the order of their physical numbers. */
const DATA = [0, 1, 2, 3, 4, 5, 6, 7].map((number) => ({
  significand: wordOf(`fpr${number}Significand`),
  exponent: wordOf(`fpr${number}Exponent`),
}));

const MXCSR_RESET = 0x1f80;
const MXCSR_MASK = 0xffff;

/** All exceptions masked, extended precision, nearest. */
const FCW_INITIAL = 0x37f;
const FCW_RESET = 0x40;
const FCW_DEFINED = 0x1f3f;
/** Reserved, and always 1. */
const FCW_FIXED = 0x40;
const EXCEPTIONS = 0x3f;
/** ES and B, which say that an unmasked exception is pending. */
const SUMMARY = 0x8080;
const STACK_FAULT = 0x40;
const TOP_SHIFT = 11;
const TOP = 7 << TOP_SHIFT;
const FOP_BITS = 0x7ff;
const ALL_VALID = 0xff;
const QUADWORDS_BEFORE_DATA = 4;

/** After power-up and reset. INIT leaves everything as it is. */
export function resetFloats(state: ProcessorState): void {
  const { words } = state;
  words[Word.MXCSR] = MXCSR_RESET;
  words[FCW] = FCW_RESET;
  words[FTW] = ALL_VALID;
}

/** As a system leaves it to its programs: MXCSR as after reset, the FPU as after FNINIT. */
export function startFloats(state: ProcessorState): void {
  state.words[Word.MXCSR] = MXCSR_RESET;
  initializeFpu(state);
}

/** FNINIT. */
export function initializeFpu(state: ProcessorState): void {
  const { words } = state;
  words[FCW] = FCW_INITIAL;
  words[FSW] = 0;
  words[FTW] = 0;
  words[FOP] = 0;
  state.set64(FIP, Long.ZERO);
  state.set64(FDP, Long.ZERO);
}

/** What CR0 and CR4 make of an instruction of a unit. */
export function checkUnit({ words }: ProcessorState, unit: Unit): void {
  const cr0 = words[Word.CR0];
  if (unit === 'sse') {
    const isOff = (cr0 & Cr0.EM) !== 0 || (words[Word.CR4] & Cr4.OSFXSR) === 0;
    if (isOff) throw new GuestFault(Vector.UD);
    if ((cr0 & Cr0.TS) !== 0) throw new GuestFault(Vector.NM);
    return;
  }
  const reasons = unit === 'fpu' ? Cr0.EM | Cr0.TS : Cr0.TS;
  const isWatched = unit === 'fpu' || (cr0 & Cr0.MP) !== 0;
  if (isWatched && (cr0 & reasons) !== 0) throw new GuestFault(Vector.NM);
}

/** LDMXCSR. */
export function loadMxcsr({ words }: ProcessorState, value: number): void {
  if ((value & ~MXCSR_MASK) !== 0) throw new GuestFault(Vector.GP, 0);
  words[Word.MXCSR] = value;
}

/** FLDCW. */
export function loadFpuControl(state: ProcessorState, value: number): void {
  state.words[FCW] = (value & FCW_DEFINED) | FCW_FIXED;
  summarize(state);
}

export function readFpuControl({ words }: ProcessorState): Long {
  return Long.fromInt(words[FCW]);
}

export function readFpuStatus({ words }: ProcessorState): Long {
  return Long.fromInt(words[FSW]);
}

/** FNCLEX. */
export function clearFpuExceptions({ words }: ProcessorState): void {
  words[FSW] &= ~(EXCEPTIONS | STACK_FAULT | SUMMARY);
}

/** EMMS. */
export function emptyFpu({ words }: ProcessorState): void {
  words[FTW] = 0;
  words[FSW] &= ~TOP;
}

function summarize({ words }: ProcessorState): void {
  const isPending = (words[FSW] & ~words[FCW] & EXCEPTIONS) !== 0;
  words[FSW] = isPending ? words[FSW] | SUMMARY : words[FSW] & ~SUMMARY;
}

/** FWAIT, and what else reports exceptions before it does its work. */
export function verifyFpu({ state }: Processor): void {
  if ((state.words[FSW] & SUMMARY) === 0) return;
  if ((state.words[Word.CR0] & Cr0.NE) !== 0) throw new GuestFault(Vector.MF);
  throw new NotImplemented('an x87 exception reported by FERR# (CR0.NE is 0)');
}

/** Which of eight registers is ST(i). */
function stackRegister({ words }: ProcessorState, i: number): (typeof DATA)[number] {
  return DATA[((words[FSW] >> TOP_SHIFT) + i) & 7];
}

/** The first twenty quadwords of what FXSAVE stores; with FCS and FDS always 0. */
export function readFpuImage(state: ProcessorState, index: number, isLong: boolean): Long {
  const { words } = state;
  const pointer = (word: number) => (isLong ? state.get64(word) : Long.fromBits(words[word], 0));
  switch (index) {
    case 0:
      return Long.fromBits(words[FCW] | (words[FSW] << 16), words[FTW] | (words[FOP] << 16));
    case 1:
      return pointer(FIP);
    case 2:
      return pointer(FDP);
    case 3:
      return Long.fromBits(words[Word.MXCSR], MXCSR_MASK);
    default: {
      const at = index - QUADWORDS_BEFORE_DATA;
      const { significand, exponent } = stackRegister(state, at >> 1);
      return (at & 1) === 0 ? state.get64(significand) : Long.fromBits(words[exponent], 0);
    }
  }
}

/** The instruction pointer is kept as an address of 57 bits, the widest there is. */
function canonical({ low, high }: Long): Long {
  return Long.fromBits(low, (high << 7) >> 7);
}

/** FXRSTOR: the same twenty quadwords. */
export function loadFpuImage(state: ProcessorState, image: readonly Long[], isLong: boolean): void {
  const { words } = state;
  const [control, fip, fdp, { low: mxcsr }] = image;
  loadMxcsr(state, mxcsr);
  words[FCW] = (control.low & FCW_DEFINED) | FCW_FIXED;
  words[FSW] = control.low >>> 16;
  words[FTW] = control.high & ALL_VALID;
  words[FOP] = (control.high >>> 16) & FOP_BITS;
  summarize(state);
  state.set64(FIP, isLong ? canonical(fip) : Long.fromBits(fip.low, 0));
  state.set64(FDP, isLong ? fdp : Long.fromBits(fdp.low, 0));
  for (let i = 0; i < DATA.length; i++) {
    const { significand, exponent } = stackRegister(state, i);
    state.set64(significand, image[QUADWORDS_BEFORE_DATA + 2 * i]);
    words[exponent] = image[QUADWORDS_BEFORE_DATA + 2 * i + 1].low & 0xffff;
  }
}

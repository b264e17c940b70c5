// The mode of operation that the state puts a processor in, and what follows from it for code and
// stack. SDM 3, "Modes of Operation", "Code-Segment Descriptors and Selectors in IA-32e Mode".

import type { CodeSize } from '../isa/index.ts';
import { Cr0, Efer, type ProcessorState, Rflags, Rights, Word } from './state.ts';

/** `64-bit` and `compatibility` are the submodes of IA-32e mode; the others have LMA = 0. */
export type Mode = 'real' | 'virtual8086' | 'protected' | 'compatibility' | '64-bit';

export function modeOf({ words }: ProcessorState): Mode {
  if ((words[Word.CR0] & Cr0.PE) === 0) return 'real';
  if ((words[Word.EFER] & Efer.LMA) !== 0) {
    return (words[Word.CS_RIGHTS] & Rights.L) !== 0 ? '64-bit' : 'compatibility';
  }
  return (words[Word.RFLAGS] & Rflags.VM) !== 0 ? 'virtual8086' : 'protected';
}

/** Outside 64-bit mode it is the D bit of CS that decides, also in real mode. */
export function codeSizeOf(state: ProcessorState): CodeSize {
  if (modeOf(state) === '64-bit') return 64;
  return (state.words[Word.CS_RIGHTS] & Rights.DB) !== 0 ? 32 : 16;
}

/** Width of the stack pointer in bits: outside 64-bit mode it is the B bit of SS that decides. */
export function stackWidthOf(state: ProcessorState): CodeSize {
  if (modeOf(state) === '64-bit') return 64;
  return (state.words[Word.SS_RIGHTS] & Rights.DB) !== 0 ? 32 : 16;
}

/** Real mode and virtual-8086 mode, where selectors are paragraphs rather than descriptors. */
export function hasParagraphs(mode: Mode): boolean {
  return mode === 'real' || mode === 'virtual8086';
}

/** 64-bit and compatibility mode: wide gates and system descriptors, a 64-bit TSS. */
export function isIa32e(mode: Mode): boolean {
  return mode === '64-bit' || mode === 'compatibility';
}

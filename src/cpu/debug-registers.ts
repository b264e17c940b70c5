// The debug registers. SDM 3, "Debug, Branch Profile, TSC, and Intel Resource Director Technology
// Features", and SDM 2, "MOV - Move to/from Debug Registers".

import Long from 'long';
import { GuestFault, NotImplemented, Vector } from './exceptions.ts';
import type { Processor } from './processor.ts';
import { Cr4, Word, wordOf } from './state.ts';

const DR7_ENABLES = 0xff;
const DR7_GENERAL_DETECT = 1 << 13;
const DR6_FIXED = 0xffff0ff0 | 0;
const DR7_FIXED = 0x400;

/** DR4 and DR5 are DR6 and DR7, unless CR4.DE makes them undefined. */
function debugWord(processor: Processor, number: number): number {
  let actual = number;
  if (number === 4 || number === 5) {
    if ((processor.state.words[Word.CR4] & Cr4.DE) !== 0) {
      throw new GuestFault(Vector.UD);
    }
    actual = number + 2;
  }
  return wordOf(`dr${actual}`);
}

export function readDebug(processor: Processor, number: number): Long {
  return processor.state.get64(debugWord(processor, number));
}

export function writeDebug(processor: Processor, number: number, value: Long): void {
  const word = debugWord(processor, number);
  let written = value;
  if (word === Word.DR6 || word === Word.DR7) {
    if (value.high !== 0) throw new GuestFault(Vector.GP, 0);
    if (word === Word.DR7) {
      if ((value.low & (DR7_ENABLES | DR7_GENERAL_DETECT)) !== 0) {
        throw new NotImplemented('hardware breakpoints in DR7');
      }
      written = Long.fromBits((value.low & ~0xd000) | DR7_FIXED, 0);
    } else written = Long.fromBits((value.low & ~0x1000) | DR6_FIXED, 0);
  }
  processor.state.set64(word, written);
}

// MOV to and from CR0, CR2, CR3, CR4, CR8 and the debug registers, in 64-bit mode.
// SDM 3, "Control Registers", and SDM 2, "MOV - Move to/from Control Registers".

import Long from 'long';
import { GuestFault, NotImplemented, Vector } from './exceptions.ts';
import { PHYSICAL_ADDRESS_BITS } from './mmu.ts';
import type { Processor } from './processor.ts';
import { Cr0, Cr4, Word, wordOf } from './state.ts';

/** Bits of CR4 that may be set: those whose features exist here. */
export const CR4_ALLOWED =
  Cr4.VME |
  Cr4.PVI |
  Cr4.TSD |
  Cr4.DE |
  Cr4.PSE |
  Cr4.PAE |
  Cr4.MCE |
  Cr4.PGE |
  Cr4.PCE |
  Cr4.OSFXSR |
  Cr4.OSXMMEXCPT |
  Cr4.FSGSBASE |
  Cr4.SMEP |
  Cr4.SMAP |
  Cr4.VMXE;

const CR0_DEFINED =
  Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;

const WORDS: Readonly<Record<number, number>> = {
  0: Word.CR0,
  2: Word.CR2,
  3: Word.CR3,
  4: Word.CR4,
  8: Word.CR8,
};

function wordFor(number: number): number {
  const word = WORDS[number];
  if (word === undefined) throw new GuestFault(Vector.UD);
  return word;
}

export function readControl(processor: Processor, number: number): Long {
  const real = processor.state.get64(wordFor(number));
  if (number !== 0 && number !== 4) return real;
  return processor.virtualization.readControl(number, real);
}

/** PE, MP, EM, TS, of which LMSW cannot clear PE. */
const MACHINE_STATUS = 15;

/** LMSW. */
export function writeMachineStatus(processor: Processor, status: number): void {
  const old = readControl(processor, 0);
  const kept = old.low & (~MACHINE_STATUS | Cr0.PE);
  writeControl(processor, 0, Long.fromBits(kept | (status & MACHINE_STATUS), old.high));
}

/** CLTS. */
export function clearTaskSwitched(processor: Processor): void {
  writeControl(processor, 0, readControl(processor, 0).and(Long.fromInt(~Cr0.TS)));
}

export function writeControl(processor: Processor, number: number, value: Long): void {
  const { state } = processor;
  const word = wordFor(number);
  let written = value;
  if (number === 0 || number === 4) {
    written = processor.virtualization.writeControl(number, state.get64(word), value);
  }
  if (!isControlValueLegal(number, written)) throw new GuestFault(Vector.GP, 0);
  if (number === 0) written = written.and(Long.fromBits(CR0_DEFINED, 0)).or(Cr0.ET);
  state.set64(word, written);
  if (number !== 2 && number !== 8) processor.mmu.flush();
  if (number === 4) processor.mmu.updatePrivilege();
  if (number === 8) processor.requestAttention();
}

/** False for values that #GP when they are moved to CR0, CR3, CR4 or CR8 in 64-bit mode. */
export function isControlValueLegal(number: number, value: Long): boolean {
  const { low, high } = value;
  switch (number) {
    case 0: {
      // Paging cannot be switched off in 64-bit mode.
      const paging = (low & Cr0.PG) !== 0 && (low & Cr0.PE) !== 0;
      const caching = (low & Cr0.NW) === 0 || (low & Cr0.CD) !== 0;
      return high === 0 && paging && caching;
    }
    case 3:
      // Bit 63 (do not invalidate) is only legal with PCIDs, which are not offered.
      return value.shru(PHYSICAL_ADDRESS_BITS).isZero();
    case 4:
      return high === 0 && (low & ~CR4_ALLOWED) === 0 && (low & Cr4.PAE) !== 0;
    case 8:
      return high === 0 && (low & ~15) === 0;
    default:
      return true;
  }
}

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

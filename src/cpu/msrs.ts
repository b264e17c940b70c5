// The model-specific registers that belong to the processor itself. All others are the platform's.
// SDM 4, "Model-Specific Registers".

import Long from 'long';
import { Segment } from '../isa/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import type { Processor } from './processor.ts';
import { Cr0, Efer, SEGMENT_WORDS, Word, wordOf } from './state.ts';

export const Msr = {
  TSC: 0x10,
  APIC_BASE: 0x1b,
  FEATURE_CONTROL: 0x3a,
  TSC_ADJUST: 0x3b,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MISC_ENABLE: 0x1a0,
  DEBUGCTL: 0x1d9,
  PAT: 0x277,
  TSC_DEADLINE: 0x6e0,
  X2APIC_FIRST: 0x800,
  X2APIC_LAST: 0x8ff,
  EFER: 0xc0000080,
  STAR: 0xc0000081,
  LSTAR: 0xc0000082,
  CSTAR: 0xc0000083,
  SFMASK: 0xc0000084,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
  TSC_AUX: 0xc0000103,
} as const;

/** Whether a value is legal, given the old one. */
type Check = (value: Long) => boolean;

const any: Check = () => true;
const canonical: Check = (value) => isCanonical(value.high);
const low32: Check = (value) => value.high === 0;

/** PAT holds eight memory types; 2, 3 and those above 7 do not exist. */
export function isPatValid(value: Long): boolean {
  for (let at = 0; at < 64; at += 8) {
    const type = value.shru(at).low & 0xff;
    if (type === 2 || type === 3 || type > 7) return false;
  }
  return true;
}

const segmentBase = (number: number) => SEGMENT_WORDS[number].base;

/** MSRs that are nothing but a state item with a check. */
const PLAIN: ReadonlyMap<number, readonly [word: number, check: Check]> = new Map([
  [Msr.SYSENTER_CS, [wordOf('sysenterCs'), low32]],
  [Msr.SYSENTER_ESP, [wordOf('sysenterEsp'), canonical]],
  [Msr.SYSENTER_EIP, [wordOf('sysenterEip'), canonical]],
  [Msr.PAT, [wordOf('pat'), isPatValid]],
  [Msr.STAR, [wordOf('star'), any]],
  [Msr.LSTAR, [wordOf('lstar'), canonical]],
  [Msr.CSTAR, [wordOf('cstar'), canonical]],
  [Msr.SFMASK, [wordOf('sfmask'), low32]],
  [Msr.FS_BASE, [segmentBase(Segment.FS), canonical]],
  [Msr.GS_BASE, [segmentBase(Segment.GS), canonical]],
  [Msr.KERNEL_GS_BASE, [wordOf('kernelGsBase'), canonical]],
  [Msr.TSC_AUX, [wordOf('tscAux'), low32]],
  [Msr.DEBUGCTL, [wordOf('debugctl'), (value: Long) => value.isZero()]],
]);

/** The value of an MSR, or null if neither processor nor platform has it. */
export function readMsr(processor: Processor, index: number): Long | null {
  const plain = PLAIN.get(index);
  if (plain !== undefined) return processor.state.get64(plain[0]);
  if (index === Msr.EFER) return processor.state.get64(Word.EFER);
  if (index === Msr.TSC) return processor.virtualization.timeStamp(processor.clock);
  return processor.platform.readMsr(index);
}

/** Write an MSR; false if the write faults. */
export function writeMsr(processor: Processor, index: number, value: Long): boolean {
  const plain = PLAIN.get(index);
  if (plain !== undefined) {
    if (!plain[1](value)) return false;
    processor.state.set64(plain[0], value);
    return true;
  }
  if (index === Msr.EFER) return writeEfer(processor, value);
  return processor.platform.writeMsr(index, value);
}

const EFER_WRITABLE = Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE;

function writeEfer(processor: Processor, value: Long): boolean {
  const { state } = processor;
  const old = state.words[Word.EFER];
  if (value.high !== 0 || (value.low & ~EFER_WRITABLE) !== 0) return false;
  const paging = (state.words[Word.CR0] & Cr0.PG) !== 0;
  if (paging && ((value.low ^ old) & Efer.LME) !== 0) return false;
  // LMA follows CR0.PG and LME; writing it has no effect.
  state.words[Word.EFER] = (value.low & ~Efer.LMA) | (old & Efer.LMA);
  if (((value.low ^ old) & Efer.NXE) !== 0) processor.mmu.flush();
  return true;
}

/** RDMSR and WRMSR: ECX names the register, EDX:EAX is the value. */
export function executeReadMsr(processor: Processor): void {
  const { words } = processor.state;
  const value = readMsr(processor, words[ECX] >>> 0);
  if (value === null) throw new GuestFault(Vector.GP, 0);
  setPair(words, value);
}

export function executeWriteMsr(processor: Processor): void {
  const { words } = processor.state;
  const value = Long.fromBits(words[EAX], words[EDX]);
  if (!writeMsr(processor, words[ECX] >>> 0, value)) throw new GuestFault(Vector.GP, 0);
}

/** Words of the low halves of general registers. */
export const EAX = 0;
export const ECX = 2;
export const EDX = 4;
export const EBX = 6;

/** EDX:EAX := value, the upper halves cleared. */
export function setPair(words: Int32Array, value: Long): void {
  words[EAX] = value.low;
  words[EAX + 1] = 0;
  words[EDX] = value.high;
  words[EDX + 1] = 0;
}

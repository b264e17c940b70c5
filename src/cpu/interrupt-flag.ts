// CLI, STI, PUSHF, POPF and what IRET makes of the flags: who may change IF and IOPL, and the
// virtual interrupt flag that stands in for IF. SDM 3, "Virtual-8086 Mode Extensions" (CR4.VME),
// "Protected-Mode Virtual Interrupts" (CR4.PVI); SDM 2, "POPF", "IRET", "CLI", "STI".

import Long from 'long';
import { virtualImage } from './delivery-real.ts';
import { GuestFault, Vector } from './exceptions.ts';
import type { Processor } from './processor.ts';
import { Blocking, Cr4, Rflags, Word } from './state.ts';

const ioplOf = (flags: number) => (flags & Rflags.IOPL) >> 12;

/** CLI and STI act on VIF rather than on IF, which the program may not touch. */
export function hasVirtualInterruptFlag({ state, mode }: Processor): boolean {
  const { words, cpl } = state;
  if (cpl <= ioplOf(words[Word.RFLAGS]) || cpl !== 3) return false;
  const feature = mode === 'virtual8086' ? Cr4.VME : Cr4.PVI;
  return (words[Word.CR4] & feature) !== 0;
}

export function clearInterruptFlag(processor: Processor): void {
  const { words } = processor.state;
  words[Word.RFLAGS] &= ~(hasVirtualInterruptFlag(processor) ? Rflags.VIF : Rflags.IF);
}

export function setInterruptFlag(processor: Processor): void {
  const { words } = processor.state;
  if (hasVirtualInterruptFlag(processor)) {
    if ((words[Word.RFLAGS] & Rflags.VIP) !== 0) throw new GuestFault(Vector.GP, 0);
    words[Word.RFLAGS] |= Rflags.VIF;
  } else if ((words[Word.RFLAGS] & Rflags.IF) === 0) {
    words[Word.RFLAGS] |= Rflags.IF;
    processor.block(Blocking.STI);
  }
}

/** Virtual-8086 mode with IOPL below 3, where these instructions are for VME or fault. */
function isRestricted({ state, mode }: Processor): boolean {
  return mode === 'virtual8086' && ioplOf(state.words[Word.RFLAGS]) < 3;
}

/** Fault in virtual-8086 mode with IOPL below 3, unless VME helps: to words only. */
function requireExtension({ state }: Processor, width: number): void {
  const isExtended = (state.words[Word.CR4] & Cr4.VME) !== 0;
  if (!isExtended || width !== 16) throw new GuestFault(Vector.GP, 0);
}

/** What PUSHF pushes. RF and VM read as 0. */
export function pushFlags(processor: Processor): Long {
  const flags = processor.state.words[Word.RFLAGS];
  if (!isRestricted(processor)) return Long.fromInt(flags & ~(Rflags.RF | Rflags.VM));
  requireExtension(processor, processor.evaluator.instruction.width);
  return Long.fromInt(virtualImage(flags) & 0xffff);
}

/** POPF, with what it has popped. */
export function popFlags(processor: Processor, image: number): void {
  const { width } = processor.evaluator.instruction;
  if (isRestricted(processor)) {
    requireExtension(processor, width);
    popVirtualFlags(processor, image);
    return;
  }
  const { cpl } = processor.state;
  writeFlags(processor, image & ~Rflags.RF, width === 16 ? 0xffff : ~0, { cpl });
}

/** POPF and IRET of words in virtual-8086 mode with VME and IOPL below 3: VIF for IF. */
export function popVirtualFlags(processor: Processor, image: number): void {
  const { words } = processor.state;
  const isPending = (words[Word.RFLAGS] & Rflags.VIP) !== 0 && (image & Rflags.IF) !== 0;
  if (isPending || (image & Rflags.TF) !== 0) throw new GuestFault(Vector.GP, 0);
  const changeable = STATUS | Rflags.NT;
  const virtual = (image & Rflags.IF) !== 0 ? Rflags.VIF : 0;
  const kept = words[Word.RFLAGS] & ~(changeable | Rflags.VIF);
  words[Word.RFLAGS] = kept | (image & changeable) | virtual;
  processor.requestAttention();
}

const STATUS = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF | Rflags.DF;

/**
 * Set the flags that POPF and IRET may change at a privilege level.
 * @param virtual VIF and VIP, if they may be changed
 */
export function writeFlags(
  processor: Processor,
  image: number,
  mask: number,
  { cpl, virtual = 0 }: { readonly cpl: number; readonly virtual?: number },
): void {
  const { words } = processor.state;
  const old = words[Word.RFLAGS];
  let changeable = STATUS | Rflags.TF | Rflags.NT | Rflags.RF | Rflags.AC | Rflags.ID | virtual;
  if (cpl <= ioplOf(old)) changeable |= Rflags.IF;
  if (cpl === 0) changeable |= Rflags.IOPL;
  changeable &= mask;
  words[Word.RFLAGS] = (old & ~changeable) | (image & changeable) | Rflags.FIXED;
  processor.updateMode();
  processor.requestAttention();
}

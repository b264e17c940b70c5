// Events through the interrupt vector table: all of them in real mode, and those INT n of
// virtual-8086 mode that go back to the program. SDM 3, "Real-Address Mode Operation" (Interrupt
// and Exception Handling), "Software Interrupt Handling Methods When a Program is in Virtual-8086
// Mode".

import Long from 'long';
import { Segment } from '../isa/index.ts';
import { type DeliveredEvent, GuestFault, returnsBehind, Vector } from './exceptions.ts';
import { currentStack, setStackPointer } from './frame-stack.ts';
import type { Processor } from './processor.ts';
import { loadParagraph } from './segments.ts';
import { Cr4, Rflags, Word } from './state.ts';
import { redirectsInterrupt } from './task-state.ts';

/** Bytes of a vector: offset, then selector. */
const VECTOR_BYTES = 4;
const FRAME_BYTES = 6;

export function enterRealHandler(processor: Processor, event: DeliveredEvent): void {
  const { words } = processor.state;
  const end = event.vector * VECTOR_BYTES + VECTOR_BYTES - 1;
  if (end > (words[Word.IDTR_LIMIT] & 0xffff)) throw new GuestFault(Vector.GP, 0);
  const length = returnsBehind(event.type) ? event.instructionLengthBytes : 0;
  enterByVector(processor, event.vector, words[Word.RIP] + length, words[Word.RFLAGS]);
  words[Word.RFLAGS] &= ~(Rflags.IF | Rflags.TF | Rflags.RF | Rflags.AC);
  processor.updateMode();
}

/**
 * INT n in virtual-8086 mode: by the table at linear address 0, if VME and the TSS say so; then the
 * answer is true. With IOPL below 3 the program sees VIF in the place of IF. Otherwise it takes
 * IOPL 3 to deliver it through the IDT.
 */
export function enterVirtualHandler(processor: Processor, event: DeliveredEvent): boolean {
  const { words } = processor.state;
  const flags = words[Word.RFLAGS];
  const isRestricted = (flags & Rflags.IOPL) !== Rflags.IOPL;
  const isExtended = (words[Word.CR4] & Cr4.VME) !== 0;
  if (!isExtended || !redirectsInterrupt(processor, event.vector)) {
    if (isRestricted) throw new GuestFault(Vector.GP, 0);
    return false;
  }
  const image = isRestricted ? virtualImage(flags) : flags;
  enterByVector(processor, event.vector, words[Word.RIP] + event.instructionLengthBytes, image, 0);
  words[Word.RFLAGS] &= ~(Rflags.TF | (isRestricted ? Rflags.VIF : Rflags.IF));
  return true;
}

/** FLAGS as virtual-8086 mode shows them with IOPL below 3: VIF as IF, and IOPL 3. */
export function virtualImage(flags: number): number {
  const isOn = (flags & Rflags.VIF) !== 0;
  return (flags & ~Rflags.IF) | Rflags.IOPL | (isOn ? Rflags.IF : 0);
}

function enterByVector(
  processor: Processor,
  vector: number,
  ip: number,
  flags: number,
  tableLow = processor.state.words[Word.IDTR_BASE],
): void {
  const { state, mmu } = processor;
  const at = (tableLow + vector * VECTOR_BYTES) | 0;
  const target = mmu.asSupervisor(() => mmu.read(at, 0, VECTOR_BYTES)).low;
  const stack = currentStack(processor);
  stack.requireRoom(FRAME_BYTES);
  const frame = [flags, state.words[Word.CS_SELECTOR], ip];
  stack.pushAll(
    frame.map((value) => Long.fromInt(value & 0xffff)),
    2,
  );
  setStackPointer(processor, stack.top);
  loadParagraph(processor, Segment.CS, target >>> 16);
  state.set64(Word.RIP, Long.fromInt(target & 0xffff));
}

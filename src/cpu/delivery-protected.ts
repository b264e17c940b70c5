// Events through the IDT in protected and virtual-8086 mode, by 16-bit and 32-bit gates.
// SDM 3, "Exception- or Interrupt-Handler Procedures", "Handling Interrupts and Exceptions in
// Virtual-8086 Mode"; SDM 2, "INT n/INTO/INT3/INT1 - Call to Interrupt Procedure".

import Long from 'long';
import { Segment } from '../isa/index.ts';
import { type Descriptor, dplOf, isConforming, setAccessed } from './descriptors.ts';
import { type DeliveredEvent, GuestFault, returnsBehind, Vector } from './exceptions.ts';
import { currentStack, setStackPointer } from './frame-stack.ts';
import { externalBit, type Gate, gateTarget, readGate } from './gates.ts';
import { openInnerStack } from './inner-stack.ts';
import type { Processor } from './processor.ts';
import { setCodeSegment, setNull, setStackSegment } from './segments.ts';
import { Rflags, SEGMENT_WORDS, Word } from './state.ts';

/** In the order in which virtual-8086 mode has them pushed. */
const DATA_SEGMENTS = [Segment.GS, Segment.FS, Segment.DS, Segment.ES];

export function enterProtectedHandler(processor: Processor, event: DeliveredEvent): void {
  const isVirtual = processor.mode === 'virtual8086';
  const external = externalBit(event);
  const gate = readGate(processor, event);
  const target = gateTarget(processor, gate.selector, external);
  const isInward = !isConforming(target.rights) && dplOf(target.rights) < processor.state.cpl;
  if (isVirtual && (!isInward || dplOf(target.rights) !== 0)) {
    throw new GuestFault(Vector.GP, (gate.selector & 0xfffc) | external);
  }
  if (isInward) enterInward(processor, event, gate, target);
  else enterLevel(processor, event, gate, target);
  const { words } = processor.state;
  words[Word.RFLAGS] &= ~(Rflags.TF | Rflags.NT | Rflags.RF | Rflags.VM);
  if (gate.masksInterrupts) words[Word.RFLAGS] &= ~Rflags.IF;
  processor.updateMode();
}

/** On the stack in use. */
function enterLevel(
  processor: Processor,
  event: DeliveredEvent,
  gate: Gate,
  target: Descriptor,
): void {
  const { state, mmu } = processor;
  const external = externalBit(event);
  const stack = currentStack(processor, external);
  const bytes = gate.isNarrow ? 2 : 4;
  const frame = returnFrame(processor, event);
  stack.requireRoom(frame.length * bytes);
  requireWithin(target, gate, external);
  if (state.cpl === 3) stack.pushAll(frame, bytes);
  else mmu.asSupervisor(() => stack.pushAll(frame, bytes));
  const code = setAccessed(processor, target);
  setStackPointer(processor, stack.top);
  setCodeSegment(processor, code, state.cpl);
  state.set64(Word.RIP, gate.offset);
}

/** On the stack that the TSS has for the new privilege level. */
function enterInward(
  processor: Processor,
  event: DeliveredEvent,
  gate: Gate,
  target: Descriptor,
): void {
  const { state, mmu } = processor;
  const { words } = state;
  const external = externalBit(event);
  const cpl = dplOf(target.rights);
  const inner = openInnerStack(processor, cpl, external);
  const isVirtual = processor.mode === 'virtual8086';
  const selectorOf = (number: number) =>
    Long.fromInt(words[SEGMENT_WORDS[number].selector] & 0xffff);
  const frame = [
    ...(isVirtual ? DATA_SEGMENTS.map(selectorOf) : []),
    selectorOf(Segment.SS),
    state.get64(Word.RSP),
    ...returnFrame(processor, event),
  ];
  const bytes = gate.isNarrow ? 2 : 4;
  inner.stack.requireRoom(frame.length * bytes);
  requireWithin(target, gate, external);
  mmu.asSupervisor(() => inner.stack.pushAll(frame, bytes));
  const code = setAccessed(processor, target);
  const stack = setAccessed(processor, inner.descriptor);
  words[Word.RFLAGS] &= ~Rflags.VM;
  setCodeSegment(processor, code, cpl);
  setStackSegment(processor, stack, { selector: stack.selector, cpl });
  setStackPointer(processor, inner.stack.top);
  state.set64(Word.RIP, gate.offset);
  if (isVirtual) for (const number of DATA_SEGMENTS) setNull(processor, number);
}

/** What IRET finds: flags, CS, EIP, and on top an error code if the event has one. */
function returnFrame({ state }: Processor, event: DeliveredEvent): Long[] {
  const { words } = state;
  const length = returnsBehind(event.type) ? event.instructionLengthBytes : 0;
  const values = [words[Word.RFLAGS], words[Word.CS_SELECTOR] & 0xffff, words[Word.RIP] + length];
  if (event.errorCode !== null) values.push(event.errorCode);
  return values.map((value) => Long.fromInt(value, true));
}

function requireWithin({ limit }: Descriptor, { offset }: Gate, external: number): void {
  if (offset.low >>> 0 > limit >>> 0) throw new GuestFault(Vector.GP, external);
}

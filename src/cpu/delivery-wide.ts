// Events through the IDT in 64-bit and compatibility mode: to 64-bit code, with 64-bit items on an
// aligned stack. SDM 3, "64-Bit Mode Exception and Interrupt Handling".

import Long from 'long';
import { dplOf, isConforming, setAccessed } from './descriptors.ts';
import { type DeliveredEvent, GuestFault, returnsBehind, Vector } from './exceptions.ts';
import { FrameStack } from './frame-stack.ts';
import { externalBit, gateTarget, readGate } from './gates.ts';
import { isCanonical } from './mmu.ts';
import type { Processor } from './processor.ts';
import { setCodeSegment, setStackSegment } from './segments.ts';
import { Rflags, Word } from './state.ts';
import { wideInnerStack } from './task-state.ts';

const STACK_ALIGNMENT = Long.fromInt(-16);

export function enterWideHandler(processor: Processor, event: DeliveredEvent): void {
  const { state, mmu } = processor;
  const { words, cpl } = state;
  const external = externalBit(event);
  const gate = readGate(processor, event);
  const target = gateTarget(processor, gate.selector, external);
  const newCpl = isConforming(target.rights) ? cpl : dplOf(target.rights);
  const staysOnStack = gate.stackTable === 0 && newCpl === cpl;
  const top = staysOnStack
    ? state.get64(Word.RSP)
    : wideInnerStack(processor, newCpl, gate.stackTable, external);
  if (!isCanonical(gate.offset.high)) throw new GuestFault(Vector.GP, external);

  const rip = state.get64(Word.RIP);
  const frame = [
    Long.fromInt(words[Word.SS_SELECTOR]),
    state.get64(Word.RSP),
    Long.fromInt(words[Word.RFLAGS]),
    Long.fromInt(words[Word.CS_SELECTOR]),
    returnsBehind(event.type) ? rip.add(event.instructionLengthBytes) : rip,
    ...(event.errorCode === null ? [] : [Long.fromInt(event.errorCode, true)]),
  ];
  const stack = new FrameStack(processor, null, top.and(STACK_ALIGNMENT), 0);
  if (newCpl === 3) stack.pushAll(frame, 8);
  else mmu.asSupervisor(() => stack.pushAll(frame, 8));

  setCodeSegment(processor, setAccessed(processor, target), newCpl);
  if (newCpl !== cpl) setStackSegment(processor, null, { selector: newCpl, cpl: newCpl });
  state.set64(Word.RSP, stack.top);
  state.set64(Word.RIP, gate.offset);
  words[Word.RFLAGS] &= ~(Rflags.TF | Rflags.NT | Rflags.RF | Rflags.VM);
  if (gate.masksInterrupts) words[Word.RFLAGS] &= ~Rflags.IF;
  processor.updateMode();
}

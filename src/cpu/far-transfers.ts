// Far JMP and far CALL in 64-bit mode, to 64-bit code segments of the same privilege. Call gates
// and compatibility mode are not implemented. SDM 2, "JMP - Jump" and "CALL - Call Procedure"; SDM
// 3, "Direct Calls or Jumps to Code Segments".

import Long from 'long';
import { GuestFault, NotImplemented, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import type { Processor } from './processor.ts';
import { type Descriptor, isLongAndWide, loadCodeSegment, readDescriptor } from './segments.ts';
import { Rights, Word } from './state.ts';

const CALL_GATE = 12;

/** The code segment that a far jump or call names, checked. */
function farTarget(processor: Processor, selector: number, offset: Long): Descriptor {
  const code = selector & 0xfffc;
  if (code === 0) throw new GuestFault(Vector.GP, 0);
  const target = readDescriptor(processor, selector, Vector.GP);
  const { rights } = target;
  if ((rights & (Rights.S | 15)) === CALL_GATE) throw new NotImplemented('call gate');
  const isCode = (rights & (Rights.S | 8)) === (Rights.S | 8);
  const dpl = (rights >> Rights.DPL_SHIFT) & 3;
  const { cpl } = processor.state;
  const isConforming = (rights & 4) !== 0;
  const isAllowed = isConforming ? dpl <= cpl : dpl === cpl && (selector & 3) <= cpl;
  if (!isCode || !isAllowed) throw new GuestFault(Vector.GP, code);
  if (isLongAndWide(target)) throw new GuestFault(Vector.GP, code);
  if ((rights & Rights.P) === 0) throw new GuestFault(Vector.NP, code);
  if ((rights & Rights.L) === 0) throw new NotImplemented('far branch to compatibility mode');
  if (!isCanonical(offset.high)) throw new GuestFault(Vector.GP, 0);
  return target;
}

export function farJump(processor: Processor, selector: number, offset: Long): void {
  const target = farTarget(processor, selector, offset);
  loadCodeSegment(processor, target, processor.state.cpl);
  processor.state.set64(Word.RIP, offset);
}

/** Pushes CS and the return address, each in `lengthBytes` bytes: 2, 4 or 8. */
export function farCall(
  processor: Processor,
  selector: number,
  offset: Long,
  lengthBytes: number,
): void {
  const { state, mmu, evaluator } = processor;
  const target = farTarget(processor, selector, offset);
  const back = Long.fromBits(evaluator.nextLow, evaluator.nextHigh);
  let top = state.get64(Word.RSP);
  for (const value of [Long.fromInt(state.words[Word.CS_SELECTOR] & 0xffff), back]) {
    top = top.sub(lengthBytes);
    mmu.write(top.low, top.high, lengthBytes, value, true);
  }
  loadCodeSegment(processor, target, state.cpl);
  state.set64(Word.RSP, top);
  state.set64(Word.RIP, offset);
}

// The ways back in 64-bit mode: IRET and far RET, within a privilege level and outward.
// SDM 2, "IRET/IRETD/IRETQ - Interrupt Return" and "RET - Return From Procedure".

import type Long from 'long';
import { Segment } from '../isa/index.ts';
import { GuestFault, NotImplemented, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import type { Processor } from './processor.ts';
import {
  type Descriptor,
  isLongAndWide,
  loadCodeSegment,
  loadSegment,
  readDescriptor,
  setStackSegment,
} from './segments.ts';
import { Blocking, Rflags, Rights, SEGMENT_WORDS, Word } from './state.ts';

/** IRET, IRETD and IRETQ. `lengthBytes` of each item on the stack: 2, 4 or 8. */
export function interruptReturn(processor: Processor, lengthBytes: number): void {
  const { state } = processor;
  const { words, cpl } = state;
  // Even if it faults. SDM 3, "Handling Multiple NMIs".
  if (processor.virtualization.iretUnblocksNmis()) {
    processor.nmisUnblocked = (words[Word.INTERRUPTIBILITY] & Blocking.NMI) !== 0;
    words[Word.INTERRUPTIBILITY] &= ~Blocking.NMI;
  }
  if ((words[Word.RFLAGS] & Rflags.NT) !== 0) throw new GuestFault(Vector.GP, 0);
  const stack = new StackReader(processor, lengthBytes);
  const rip = stack.pop();
  const codeSelector = stack.pop().low & 0xffff;
  const flags = stack.pop().low;
  const rsp = stack.pop();
  const stackSelector = stack.pop().low & 0xffff;
  requireCanonical(rip);
  const target = returnTarget(processor, codeSelector);
  const rpl = codeSelector & 3;
  const isNull = checkStack(processor, stackSelector, rpl);
  loadCodeSegment(processor, target, rpl);
  loadStack(processor, stackSelector, rpl, isNull);
  if (rpl > cpl) dropPrivilegedSegments(processor, rpl);
  arrive(processor, rip, rsp);
  writeFlags(processor, flags, lengthBytes === 2 ? 0xffff : ~0, cpl);
  processor.nmisUnblocked = false;
}

/**
 * Far RET. `lengthBytes` of each item on the stack: 2, 4 or 8.
 * @param releasedBytes to be released from the stack, and from the outer one too
 */
export function farReturn(processor: Processor, lengthBytes: number, releasedBytes: number): void {
  const { cpl } = processor.state;
  const stack = new StackReader(processor, lengthBytes);
  const rip = stack.pop();
  const codeSelector = stack.pop().low & 0xffff;
  const target = returnTarget(processor, codeSelector);
  const rpl = codeSelector & 3;
  stack.top = stack.top.add(releasedBytes);
  if (rpl === cpl) {
    requireCanonical(rip);
    loadCodeSegment(processor, target, rpl);
    arrive(processor, rip, stack.top);
    return;
  }
  const rsp = stack.pop();
  const stackSelector = stack.pop().low & 0xffff;
  const isNull = checkStack(processor, stackSelector, rpl);
  requireCanonical(rip);
  loadCodeSegment(processor, target, rpl);
  loadStack(processor, stackSelector, rpl, isNull);
  dropPrivilegedSegments(processor, rpl);
  arrive(processor, rip, rsp.add(releasedBytes));
}

/** Reads the stack upward without moving RSP. */
class StackReader {
  top: Long;
  private readonly processor: Processor;
  private readonly lengthBytes: number;

  constructor(processor: Processor, lengthBytes: number) {
    this.processor = processor;
    this.lengthBytes = lengthBytes;
    this.top = processor.state.get64(Word.RSP);
  }

  pop(): Long {
    const { low, high } = this.top;
    const value = this.processor.mmu.read(low, high, this.lengthBytes, true);
    this.top = this.top.add(this.lengthBytes);
    return value;
  }
}

/** The code segment to return to, checked: as privileged as its selector asks, or less than here. */
function returnTarget(processor: Processor, selector: number): Descriptor {
  const code = selector & 0xfffc;
  if (code === 0) throw new GuestFault(Vector.GP, 0);
  const target = readDescriptor(processor, selector, Vector.GP);
  const rpl = selector & 3;
  const dpl = (target.rights >> Rights.DPL_SHIFT) & 3;
  const isCode = (target.rights & (Rights.S | 8)) === (Rights.S | 8);
  const conforming = (target.rights & 4) !== 0;
  const isAllowed = rpl >= processor.state.cpl && (conforming ? dpl <= rpl : dpl === rpl);
  if (!isCode || isLongAndWide(target) || !isAllowed) {
    throw new GuestFault(Vector.GP, code);
  }
  if ((target.rights & Rights.P) === 0) throw new GuestFault(Vector.NP, code);
  if ((target.rights & Rights.L) === 0) throw new NotImplemented('return to compatibility mode');
  return target;
}

function requireCanonical(rip: Long): void {
  if (!isCanonical(rip.high)) throw new GuestFault(Vector.GP, 0);
}

function arrive(processor: Processor, rip: Long, rsp: Long): void {
  processor.state.set64(Word.RSP, rsp);
  processor.state.set64(Word.RIP, rip);
  processor.mmu.updatePrivilege();
  processor.requestAttention();
}

/** Check an SS selector from the stack; true if it is null and may be. */
function checkStack(processor: Processor, selector: number, cpl: number): boolean {
  if ((selector & 0xfffc) === 0) {
    if (cpl === 3 || (selector & 3) !== cpl) throw new GuestFault(Vector.GP, 0);
    return true;
  }
  const { rights } = readDescriptor(processor, selector, Vector.GP);
  const isWritableData = (rights & (Rights.S | 10)) === (Rights.S | 2);
  const dpl = (rights >> Rights.DPL_SHIFT) & 3;
  if (!isWritableData || (selector & 3) !== cpl || dpl !== cpl) {
    throw new GuestFault(Vector.GP, selector & 0xfffc);
  }
  if ((rights & Rights.P) === 0) throw new GuestFault(Vector.SS, selector & 0xfffc);
  return false;
}

/** Load SS after its checks, with the privilege that CS has brought. */
function loadStack(processor: Processor, selector: number, cpl: number, isNull: boolean): void {
  if (isNull) {
    setStackSegment(processor, selector, cpl);
    return;
  }
  processor.state.words[Word.SS_RIGHTS] = cpl << Rights.DPL_SHIFT;
  loadSegment(processor, Segment.SS, selector);
}

/** A return outward nulls the data segments that the new privilege level may not use. */
function dropPrivilegedSegments(processor: Processor, cpl: number): void {
  const { words } = processor.state;
  for (const number of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) {
    const register = SEGMENT_WORDS[number];
    const rights = words[register.rights];
    const conforming = (rights & 12) === 12;
    const dpl = (rights >> Rights.DPL_SHIFT) & 3;
    if ((rights & Rights.UNUSABLE) === 0 && !conforming && dpl < cpl) {
      loadSegment(processor, number, 0);
    }
  }
}

/** Flags that POPF and IRET may change at a privilege level. */
export function writeFlags(processor: Processor, image: number, mask: number, cpl: number): void {
  const { words } = processor.state;
  const old = words[Word.RFLAGS];
  const iopl = (old & Rflags.IOPL) >> 12;
  let changeable =
    Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF | Rflags.DF;
  changeable |= Rflags.TF | Rflags.NT | Rflags.RF | Rflags.AC | Rflags.ID;
  if (cpl <= iopl) changeable |= Rflags.IF;
  if (cpl === 0) changeable |= Rflags.IOPL;
  changeable &= mask;
  words[Word.RFLAGS] = (old & ~changeable) | (image & changeable) | Rflags.FIXED;
  processor.mmu.updatePrivilege();
  processor.requestAttention();
}

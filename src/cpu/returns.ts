// The ways back: IRET and far RET, within a privilege level and outward, between 64-bit and
// compatibility mode, to virtual-8086 mode, and in real mode. SDM 2, "IRET/IRETD/IRETQ - Interrupt
// Return" and "RET - Return From Procedure".

import Long from 'long';
import { Segment } from '../isa/index.ts';
import {
  type Descriptor,
  dplOf,
  isCode,
  isConforming,
  isLong,
  isLongAndWide,
  isPresent,
  readDescriptor,
  setAccessed,
} from './descriptors.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { currentStack, type FrameStack, setStackPointer } from './frame-stack.ts';
import { popVirtualFlags, writeFlags } from './interrupt-flag.ts';
import { isCanonical } from './mmu.ts';
import { hasParagraphs, isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import {
  checkStackSegment,
  dropPrivilegedSegments,
  loadParagraph,
  setCodeSegment,
  setStackSegment,
} from './segments.ts';
import { Blocking, Cr4, DEFINED_FLAGS, Rflags, Word } from './state.ts';
import { leaveForPreviousTask } from './task-switch.ts';

/** IRET, IRETD and IRETQ. `lengthBytes` of each item on the stack: 2, 4 or 8. */
export function interruptReturn(processor: Processor, lengthBytes: number): void {
  const { state, mode } = processor;
  const { words } = state;
  // Even if it faults. SDM 3, "Handling Multiple NMIs".
  if (processor.virtualization.iretUnblocksNmis()) {
    processor.nmisUnblocked = (words[Word.INTERRUPTIBILITY] & Blocking.NMI) !== 0;
    words[Word.INTERRUPTIBILITY] &= ~Blocking.NMI;
  }
  if (hasParagraphs(mode)) returnByParagraph(processor, lengthBytes);
  else {
    if ((words[Word.RFLAGS] & Rflags.NT) !== 0) {
      if (isIa32e(mode)) throw new GuestFault(Vector.GP, 0);
      leaveForPreviousTask(processor);
    }
    returnByDescriptor(processor, lengthBytes);
  }
  processor.nmisUnblocked = false;
}

interface ReturnFrame {
  readonly rip: Long;
  readonly codeSelector: number;
  readonly flags: number;
}

function popFrame(stack: FrameStack, lengthBytes: number): ReturnFrame {
  const rip = stack.pop(lengthBytes);
  const codeSelector = stack.pop(lengthBytes).low & 0xffff;
  return { rip, codeSelector, flags: stack.pop(lengthBytes).low };
}

/** Of FLAGS and EFLAGS, what an item of the stack holds. */
function flagsIn(lengthBytes: number): number {
  return lengthBytes === 2 ? 0xffff : ~0;
}

/** IRET in real and virtual-8086 mode. */
function returnByParagraph(processor: Processor, lengthBytes: number): void {
  const { state, mode } = processor;
  const { words, cpl } = state;
  const isVirtualized =
    mode === 'virtual8086' && (words[Word.RFLAGS] & Rflags.IOPL) !== Rflags.IOPL;
  const isExtended = (words[Word.CR4] & Cr4.VME) !== 0;
  if (isVirtualized && !(isExtended && lengthBytes === 2)) throw new GuestFault(Vector.GP, 0);
  const stack = currentStack(processor);
  const { rip, codeSelector, flags } = popFrame(stack, lengthBytes);
  requireWithinCode(processor, rip);
  if (isVirtualized) popVirtualFlags(processor, flags);
  else writeFlags(processor, flags, flagsIn(lengthBytes), { cpl });
  setStackPointer(processor, stack.top);
  loadParagraph(processor, Segment.CS, codeSelector);
  state.set64(Word.RIP, rip);
}

/** CS keeps its limit in real mode, and always has the same one in virtual-8086 mode. */
function requireWithinCode({ evaluator }: Processor, rip: Long): void {
  if (!evaluator.segmentation.hasCode(rip.low)) throw new GuestFault(Vector.GP, 0);
}

/** IRET in protected, compatibility and 64-bit mode. */
function returnByDescriptor(processor: Processor, lengthBytes: number): void {
  const { mode } = processor;
  const { cpl } = processor.state;
  const stack = currentStack(processor);
  const frame = popFrame(stack, lengthBytes);
  const mask = flagsIn(lengthBytes);
  if (mode === 'protected' && cpl === 0 && (frame.flags & mask & Rflags.VM) !== 0) {
    returnToVirtual(processor, stack, frame);
    return;
  }
  // 64-bit mode pops the stack pointer whatever the privilege level. RIP is looked at before SS; of
  // it compatibility mode takes 32 bits.
  const popped = mode === '64-bit' ? popStackPointer(stack, lengthBytes) : null;
  const target = returnTarget(processor, frame.codeSelector);
  if (isLong(processor, target.rights) && !isCanonical(frame.rip.high)) {
    throw new GuestFault(Vector.GP, 0);
  }
  const isOutward = (frame.codeSelector & 3) > cpl;
  const outer = popped ?? (isOutward ? popStackPointer(stack, lengthBytes) : null);
  if (outer === null) returnLevel(processor, target, frame.rip, stack);
  else returnWithStack(processor, target, frame.rip, outer, Vector.NP);
  const virtual = cpl === 0 ? Rflags.VIF | Rflags.VIP : 0;
  writeFlags(processor, frame.flags, mask, { cpl, virtual });
}

/**
 * Far RET. `lengthBytes` of each item on the stack: 2, 4 or 8.
 * @param releasedBytes to be released from the stack, and from the outer one too
 */
export function farReturn(processor: Processor, lengthBytes: number, releasedBytes: number): void {
  const stack = currentStack(processor);
  const rip = stack.pop(lengthBytes);
  const selector = stack.pop(lengthBytes).low & 0xffff;
  if (hasParagraphs(processor.mode)) {
    requireWithinCode(processor, rip);
    stack.skip(releasedBytes);
    setStackPointer(processor, stack.top);
    loadParagraph(processor, Segment.CS, selector);
    processor.state.set64(Word.RIP, rip);
    return;
  }
  const target = returnTarget(processor, selector);
  if ((selector & 3) === processor.state.cpl) {
    returnLevel(processor, target, rip, stack);
    // By now as wide as the code returned to has it.
    const released = currentStack(processor);
    released.skip(releasedBytes);
    setStackPointer(processor, released.top);
    return;
  }
  stack.skip(releasedBytes);
  const outer = popStackPointer(stack, lengthBytes);
  const pointer = outer.pointer.add(releasedBytes);
  returnWithStack(processor, target, rip, { ...outer, pointer }, Vector.SS);
}

interface StackPointer {
  readonly pointer: Long;
  readonly selector: number;
}

function popStackPointer(stack: FrameStack, lengthBytes: number): StackPointer {
  const pointer = stack.pop(lengthBytes);
  return { pointer, selector: stack.pop(lengthBytes).low & 0xffff };
}

/** To a segment of the same privilege, on the same stack. */
function returnLevel(processor: Processor, target: Descriptor, rip: Long, stack: FrameStack): void {
  const arrival = requireTarget(processor, target, rip);
  const code = setAccessed(processor, target);
  setStackPointer(processor, stack.top);
  setCodeSegment(processor, code, target.selector & 3);
  processor.state.set64(Word.RIP, arrival);
  processor.requestAttention();
}

/**
 * To another stack, and perhaps to a lower privilege.
 * @param absent what a stack segment faults with that is not present
 */
function returnWithStack(
  processor: Processor,
  target: Descriptor,
  rip: Long,
  { pointer, selector }: StackPointer,
  absent: number,
): void {
  const { state } = processor;
  const before = state.cpl;
  const cpl = target.selector & 3;
  // 64-bit code of CPL 0 to 2 may have a null SS, with whatever RPL.
  const isNull = (selector & 0xfffc) === 0 && isLong(processor, target.rights) && cpl < 3;
  const rules = { vector: Vector.GP, isNullable: false, absent };
  const checked = isNull ? null : checkStackSegment(processor, selector, cpl, rules);
  const arrival = requireTarget(processor, target, rip);
  const code = setAccessed(processor, target);
  const stack = checked === null ? null : setAccessed(processor, checked);
  setCodeSegment(processor, code, cpl);
  setStackSegment(processor, stack, { selector, cpl });
  if (cpl > before) dropPrivilegedSegments(processor, cpl);
  setStackPointer(processor, pointer);
  state.set64(Word.RIP, arrival);
  processor.requestAttention();
}

/** IRETD at CPL 0 with VM in the flags that it pops. */
function returnToVirtual(processor: Processor, stack: FrameStack, frame: ReturnFrame): void {
  const { state } = processor;
  const { words } = state;
  const pointer = stack.pop(4);
  const selectors = POPPED_SEGMENTS.map((number) => [number, stack.pop(4).low & 0xffff] as const);
  if (frame.rip.low >>> 0 > VIRTUAL_LIMIT) throw new GuestFault(Vector.GP, 0);
  words[Word.RFLAGS] = (frame.flags & DEFINED_FLAGS) | Rflags.FIXED;
  processor.updateMode();
  loadParagraph(processor, Segment.CS, frame.codeSelector);
  for (const [number, selector] of selectors) loadParagraph(processor, number, selector);
  state.set64(Word.RSP, pointer);
  state.set64(Word.RIP, frame.rip);
  processor.requestAttention();
}

const POPPED_SEGMENTS = [Segment.SS, Segment.ES, Segment.DS, Segment.FS, Segment.GS];
const VIRTUAL_LIMIT = 0xffff;

/** The code segment to return to, checked: as privileged as its selector asks, or less than here. */
function returnTarget(processor: Processor, selector: number): Descriptor {
  const code = selector & 0xfffc;
  if (code === 0) throw new GuestFault(Vector.GP, 0);
  const target = readDescriptor(processor, selector, Vector.GP);
  const { rights } = target;
  const rpl = selector & 3;
  const dpl = dplOf(rights);
  const isAllowed = rpl >= processor.state.cpl && (isConforming(rights) ? dpl <= rpl : dpl === rpl);
  if (!isCode(rights) || isLongAndWide(processor, rights) || !isAllowed) {
    throw new GuestFault(Vector.GP, code);
  }
  if (!isPresent(rights)) throw new GuestFault(Vector.NP, code);
  return target;
}

/** Where to go on in a code segment: canonical, or below its limit and of 32 bits. */
export function requireTarget(processor: Processor, target: Descriptor, offset: Long): Long {
  if (isLong(processor, target.rights)) {
    if (!isCanonical(offset.high)) throw new GuestFault(Vector.GP, 0);
    return offset;
  }
  if (offset.low >>> 0 > target.limit >>> 0) throw new GuestFault(Vector.GP, 0);
  return Long.fromBits(offset.low, 0);
}

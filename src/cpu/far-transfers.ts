// Far JMP and far CALL: to code segments, through call gates with their switch of stacks, and in
// real mode. Where they lead to a task, see task-switch.ts. SDM 2, "JMP - Jump" and "CALL - Call
// Procedure"; SDM 3, "Direct Calls or Jumps to Code Segments", "Call Gates", "Stack Switching".

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
  isSystem,
  readDescriptor,
  SystemType,
  setAccessed,
  upperHalf,
  WIDE_TYPE,
} from './descriptors.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { currentStack, FrameStack, setStackPointer } from './frame-stack.ts';
import { gateTarget } from './gates.ts';
import { openInnerStack } from './inner-stack.ts';
import { hasParagraphs, isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import { requireTarget } from './returns.ts';
import { loadParagraph, setCodeSegment, setStackSegment } from './segments.ts';
import { Rights, Word } from './state.ts';
import { wideInnerStack } from './task-state.ts';
import { leaveForTask, TaskSource, type TaskSourceNumber } from './task-switch.ts';

export function farJump(processor: Processor, selector: number, offset: Long): void {
  if (hasParagraphs(processor.mode)) {
    jumpToParagraph(processor, selector, offset);
    return;
  }
  const named = namedBy(processor, selector);
  if (isSystem(named.rights)) {
    const gate = readCallGate(processor, named, TaskSource.JUMP);
    const target = gateTarget(processor, gate.selector, 0);
    const isAllowed = isConforming(target.rights) || dplOf(target.rights) === processor.state.cpl;
    if (!isAllowed) throw new GuestFault(Vector.GP, gate.selector & 0xfffc);
    enter(processor, target, requireTarget(processor, target, gate.offset));
  } else {
    requireReachable(processor, named);
    enter(processor, named, requireTarget(processor, named, offset));
  }
}

/** Pushes CS and the return address, each in `lengthBytes` bytes: 2, 4 or 8. */
export function farCall(
  processor: Processor,
  selector: number,
  offset: Long,
  lengthBytes: number,
): void {
  if (hasParagraphs(processor.mode)) {
    const stack = currentStack(processor);
    stack.requireRoom(2 * lengthBytes);
    requireParagraphOffset(processor, offset);
    stack.pushAll(returnFrame(processor), lengthBytes);
    jumpToParagraph(processor, selector, offset);
    setStackPointer(processor, stack.top);
    return;
  }
  const named = namedBy(processor, selector);
  if (isSystem(named.rights)) {
    callThroughGate(processor, readCallGate(processor, named, TaskSource.CALL));
  } else {
    requireReachable(processor, named);
    call(processor, named, offset, lengthBytes);
  }
}

/**
 * Without a change of privilege. A call from compatibility mode to 64-bit code pushes as 64-bit
 * mode does, without the stack segment; the SDM does not say so, but Intel's processors do it.
 */
function call(processor: Processor, target: Descriptor, offset: Long, lengthBytes: number): void {
  const stack = isLong(processor, target.rights)
    ? new FrameStack(processor, null, processor.state.get64(Word.RSP), 0)
    : currentStack(processor);
  stack.requireRoom(2 * lengthBytes);
  const arrival = requireTarget(processor, target, offset);
  stack.pushAll(returnFrame(processor), lengthBytes);
  const code = setAccessed(processor, target);
  setCodeSegment(processor, code, processor.state.cpl);
  setStackPointer(processor, stack.top);
  processor.state.set64(Word.RIP, arrival);
}

function enter(processor: Processor, target: Descriptor, arrival: Long): void {
  setCodeSegment(processor, setAccessed(processor, target), processor.state.cpl);
  processor.state.set64(Word.RIP, arrival);
}

/** CS, and where the instruction ends. */
function returnFrame({ state, evaluator }: Processor): Long[] {
  const selector = Long.fromInt(state.words[Word.CS_SELECTOR] & 0xffff);
  return [selector, Long.fromBits(evaluator.nextLow, evaluator.nextHigh)];
}

function jumpToParagraph(processor: Processor, selector: number, offset: Long): void {
  requireParagraphOffset(processor, offset);
  loadParagraph(processor, Segment.CS, selector);
  processor.state.set64(Word.RIP, offset);
}

function requireParagraphOffset({ evaluator }: Processor, offset: Long): void {
  if (!evaluator.segmentation.hasCode(offset.low)) throw new GuestFault(Vector.GP, 0);
}

/** The descriptor that a far branch names: a code segment, or what may be a call gate. */
function namedBy(processor: Processor, selector: number): Descriptor {
  if ((selector & 0xfffc) === 0) throw new GuestFault(Vector.GP, 0);
  const named = readDescriptor(processor, selector, Vector.GP);
  if (!isSystem(named.rights) && !isCode(named.rights)) {
    throw new GuestFault(Vector.GP, selector & 0xfffc);
  }
  return named;
}

/** Check a code segment for a branch that does not change the privilege level. */
function requireReachable(processor: Processor, { rights, selector }: Descriptor): void {
  const code = selector & 0xfffc;
  const { cpl } = processor.state;
  const dpl = dplOf(rights);
  const isAllowed = isConforming(rights) ? dpl <= cpl : dpl === cpl && (selector & 3) <= cpl;
  if (!isAllowed || isLongAndWide(processor, rights)) throw new GuestFault(Vector.GP, code);
  if (!isPresent(rights)) throw new GuestFault(Vector.NP, code);
}

interface CallGate {
  readonly selector: number;
  readonly offset: Long;
  /** Of what it pushes: 2, 4 or 8. */
  readonly lengthBytes: number;
  /** Items to copy from stack to stack; IA-32e mode does not look at it. */
  readonly parameterCount: number;
}

/** Task gates and TSSs, which only exist outside IA-32e mode. */
const TASKS: readonly number[] = [
  SystemType.TASK_GATE,
  SystemType.AVAILABLE_TSS,
  SystemType.AVAILABLE_TSS_16,
];

/** The call gate, if the descriptor is one that the program may use; it may lead to a task. */
function readCallGate(
  processor: Processor,
  descriptor: Descriptor,
  source: TaskSourceNumber,
): CallGate {
  const { rights, raw, selector } = descriptor;
  const isWide = isIa32e(processor.mode);
  const type = rights & Rights.TYPE;
  const isTask = !isWide && TASKS.includes(type);
  const isGate = type === SystemType.CALL_GATE || (!isWide && type === SystemType.CALL_GATE_16);
  const isAllowed = dplOf(rights) >= Math.max(processor.state.cpl, selector & 3);
  if (!(isGate || isTask) || !isAllowed) throw new GuestFault(Vector.GP, selector & 0xfffc);
  const upper = isWide ? upperHalf(processor, descriptor) : Long.ZERO;
  if (!isPresent(rights)) throw new GuestFault(Vector.NP, selector & 0xfffc);
  if (isTask) {
    const isTaskGate = type === SystemType.TASK_GATE;
    leaveForTask(processor, isTaskGate ? raw.low >>> 16 : selector, source);
  }
  const isNarrow = (type & WIDE_TYPE) === 0;
  const low = (raw.low & 0xffff) | (isNarrow ? 0 : raw.high & 0xffff0000);
  return {
    selector: raw.low >>> 16,
    offset: Long.fromBits(low, upper.low),
    lengthBytes: isWide ? 8 : isNarrow ? 2 : 4,
    parameterCount: raw.high & 31,
  };
}

function callThroughGate(processor: Processor, gate: CallGate): void {
  const target = gateTarget(processor, gate.selector, 0);
  const isInward = !isConforming(target.rights) && dplOf(target.rights) < processor.state.cpl;
  if (!isInward) call(processor, target, gate.offset, gate.lengthBytes);
  else if (isIa32e(processor.mode)) callInwardWide(processor, gate, target);
  else callInward(processor, gate, target);
}

/** To a more privileged level on its own stack, with the parameters of the caller. */
function callInward(processor: Processor, gate: CallGate, target: Descriptor): void {
  const { state, mmu } = processor;
  const { lengthBytes, parameterCount } = gate;
  const cpl = dplOf(target.rights);
  const inner = openInnerStack(processor, cpl, 0);
  inner.stack.requireRoom((4 + parameterCount) * lengthBytes);
  const arrival = requireTarget(processor, target, gate.offset);
  const caller = currentStack(processor);
  const parameters = Array.from({ length: parameterCount }, () => caller.pop(lengthBytes));
  const frame = [...stackFrame(processor), ...parameters.reverse(), ...returnFrame(processor)];
  mmu.asSupervisor(() => inner.stack.pushAll(frame, lengthBytes));
  const code = setAccessed(processor, target);
  const stack = setAccessed(processor, inner.descriptor);
  setCodeSegment(processor, code, cpl);
  setStackSegment(processor, stack, { selector: stack.selector, cpl });
  setStackPointer(processor, inner.stack.top);
  state.set64(Word.RIP, arrival);
}

/** The same in IA-32e mode: SS becomes null, and nothing is copied. */
function callInwardWide(processor: Processor, gate: CallGate, target: Descriptor): void {
  const { state, mmu } = processor;
  const cpl = dplOf(target.rights);
  const top = wideInnerStack(processor, cpl, 0, 0);
  const arrival = requireTarget(processor, target, gate.offset);
  const stack = new FrameStack(processor, null, top, 0);
  const frame = [...stackFrame(processor), ...returnFrame(processor)];
  mmu.asSupervisor(() => stack.pushAll(frame, gate.lengthBytes));
  setCodeSegment(processor, setAccessed(processor, target), cpl);
  setStackSegment(processor, null, { selector: cpl, cpl });
  state.set64(Word.RSP, stack.top);
  state.set64(Word.RIP, arrival);
}

/** SS and the stack pointer of the caller. */
function stackFrame({ state }: Processor): Long[] {
  return [Long.fromInt(state.words[Word.SS_SELECTOR] & 0xffff), state.get64(Word.RSP)];
}

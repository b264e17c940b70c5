// Task switches. In VMX non-root operation every one ends in the owner's hands, after the first
// checks; the switch itself is for owners that do it for the guest. SDM 3, "Task Switching",
// "Treatment of Task Switches" (under VMX non-root operation).

import Long from 'long';
import { Gpr, Segment } from '../isa/index.ts';
import { readControl, writeControl } from './control-registers.ts';
import {
  type Descriptor,
  inTable,
  isPresent,
  isSystem,
  readDescriptor,
  SystemType,
  setBusy,
  setIdle,
  WIDE_TYPE,
} from './descriptors.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { currentStack, setStackPointer } from './frame-stack.ts';
import type { Processor } from './processor.ts';
import { hasNarrowTaskState, loadTaskSegments, setTaskRegister } from './segments.ts';
import { Cr0, DEFINED_FLAGS, Rflags, Rights, SEGMENT_WORDS, Word } from './state.ts';
import { readTaskState } from './task-state.ts';

/** What a task switch comes from, as bits 31:30 of the exit qualification number it. */
export const TaskSource = { CALL: 0, IRET: 1, JUMP: 2, GATE: 3 } as const;

export type TaskSourceNumber = (typeof TaskSource)[keyof typeof TaskSource];

const AVAILABLE: readonly number[] = [SystemType.AVAILABLE_TSS, SystemType.AVAILABLE_TSS_16];
const BUSY: readonly number[] = [SystemType.BUSY_TSS, SystemType.BUSY_TSS_16];

/** How a TSS is laid out, by offsets in bytes. */
interface Layout {
  /** Of an item: 2 or 4 bytes. */
  readonly width: 2 | 4;
  /** The limit that a TSS has at least. */
  readonly leastLimit: number;
  /** Instruction pointer; the flags and the eight general registers follow. */
  readonly ip: number;
  /** ES, behind which CS, SS and DS follow, and the others that it has. */
  readonly es: number;
  /** Of ES, CS and so on: as many as are saved and loaded. */
  readonly segments: number;
  readonly ldt: number;
  /** Null if the task keeps the address space. */
  readonly cr3: number | null;
}

const WIDE: Layout = {
  width: 4,
  leastLimit: 0x67,
  ip: 0x20,
  es: 0x48,
  segments: 6,
  ldt: 0x60,
  cr3: 0x1c,
};

const NARROW: Layout = {
  width: 2,
  leastLimit: 0x2b,
  ip: 0x0e,
  es: 0x22,
  segments: 4,
  ldt: 0x2a,
  cr3: null,
};

const layoutOf = ({ rights }: Descriptor) => ((rights & WIDE_TYPE) === 0 ? NARROW : WIDE);

const GPRS = [Gpr.RAX, Gpr.RCX, Gpr.RDX, Gpr.RBX, Gpr.RSP, Gpr.RBP, Gpr.RSI, Gpr.RDI];
const SEGMENTS = [Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS];

/**
 * CALL, JMP, IRET or the IDT lead to a task, whose gate, if there is one, has been checked: the new
 * TSS is checked, and the owner takes over.
 * @param external bit 0 of error codes
 */
export function leaveForTask(
  processor: Processor,
  selector: number,
  source: TaskSourceNumber,
  external = 0,
): never {
  const isReturn = source === TaskSource.IRET;
  const vector = isReturn ? Vector.TS : Vector.GP;
  const code = (selector & 0xfffc) | external;
  if ((selector & 4) !== 0) throw new GuestFault(vector, code);
  const task = readDescriptor(processor, selector, vector, external);
  const types = isReturn ? BUSY : AVAILABLE;
  if (!isSystem(task.rights) || !types.includes(task.rights & Rights.TYPE)) {
    throw new GuestFault(vector, code);
  }
  if (!isPresent(task.rights)) throw new GuestFault(Vector.NP, code);
  if (isTooShort(task)) throw new GuestFault(Vector.TS, code);
  return processor.virtualization.taskSwitch(selector, source);
}

/** IRET with NT: back to the task that the TSS links to. */
export function leaveForPreviousTask(processor: Processor): never {
  const link = readTaskState(processor, 0, 2);
  if (link === null) {
    throw new GuestFault(Vector.TS, processor.state.words[Word.TR_SELECTOR] & 0xfffc);
  }
  return leaveForTask(processor, link.low, TaskSource.IRET);
}

function isTooShort(task: Descriptor): boolean {
  return task.limit >>> 0 < layoutOf(task).leastLimit;
}

export interface TaskSwitch {
  /** Of the new TSS. */
  readonly selector: number;
  readonly source: TaskSourceNumber;
  /** Where the old task goes on. */
  readonly returnAddress: number;
  /** To be pushed on the new task's stack, for an exception that has one. */
  readonly errorCode: number | null;
}

/**
 * Save the state in the old TSS and load it from the new one. Throws GuestFault: before the new
 * task has begun (`returnAddress` is not in effect then), or in it, with RIP at its first
 * instruction. In the order of Linux arch/x86/kvm/emulate.c, emulator_do_task_switch, which does
 * nothing about the T bit of the TSS either.
 */
export function switchTask(processor: Processor, task: TaskSwitch): void {
  const { words } = processor.state;
  const { selector, source } = task;
  const next = readDescriptor(processor, selector, Vector.GP);
  const oldSelector = words[Word.TR_SELECTOR] & 0xffff;
  const old = readDescriptor(processor, oldSelector, Vector.GP);
  if (!isPresent(next.rights) || isTooShort(next)) {
    throw new GuestFault(Vector.TS, selector & 0xfffc);
  }
  const layout = layoutOf(next);
  const oldLayout = hasNarrowTaskState(processor) ? NARROW : WIDE;
  const from = new TaskState(processor, processor.state.get64(Word.TR_BASE));
  const to = new TaskState(processor, Long.fromBits(next.base, 0));
  // Both are there before anything changes.
  from.read(0, 2);
  from.read(oldLayout.leastLimit - 1, 2);
  const isNested = source === TaskSource.CALL || source === TaskSource.GATE;
  const image = readImage(to, layout);
  if (!isNested) setIdle(processor, old);
  const kept = source === TaskSource.IRET ? ~Rflags.NT : ~0;
  save(processor, from, oldLayout, task.returnAddress, kept);
  if (isNested) to.write(0, layout.width, oldSelector);
  if (image.cr3 !== null) writeControl(processor, 3, Long.fromBits(image.cr3, 0));
  setTaskRegister(processor, source === TaskSource.IRET ? next : setBusy(processor, next));
  writeControl(processor, 0, readControl(processor, 0).or(Cr0.TS));
  words[Word.DR7] &= ~LOCAL_BREAKPOINTS;
  processor.updateBreakpoints();
  load(processor, image, isNested);
  if (task.errorCode === null) return;
  const stack = currentStack(processor);
  stack.push(Long.fromInt(task.errorCode, true), layout.width);
  setStackPointer(processor, stack.top);
}

/** L0 to L3 and LE of DR7. */
const LOCAL_BREAKPOINTS = 0x155;

/** A TSS in memory. */
class TaskState {
  private readonly processor: Processor;
  private readonly base: Long;

  constructor(processor: Processor, base: Long) {
    this.processor = processor;
    this.base = base;
  }

  read(offset: number, lengthBytes: number): number {
    const { mmu } = this.processor;
    const at = inTable(this.processor, this.base, offset);
    return mmu.asSupervisor(() => mmu.read(at.low, at.high, lengthBytes)).low;
  }

  write(offset: number, lengthBytes: number, value: number): void {
    const { mmu } = this.processor;
    const at = inTable(this.processor, this.base, offset);
    mmu.asSupervisor(() => mmu.write(at.low, at.high, lengthBytes, Long.fromInt(value)));
  }
}

/** What a task begins with. */
interface Image {
  readonly cr3: number | null;
  readonly ip: number;
  readonly flags: number;
  readonly registers: readonly number[];
  /** ES, CS, SS, DS, FS, GS; 0 for what a 16-bit TSS does not have. */
  readonly selectors: readonly number[];
  readonly ldt: number;
}

function readImage(state: TaskState, { width, ip, es, segments, ldt, cr3 }: Layout): Image {
  return {
    cr3: cr3 === null ? null : state.read(cr3, 4),
    ip: state.read(ip, width),
    flags: state.read(ip + width, width),
    registers: GPRS.map((_, i) => state.read(ip + (2 + i) * width, width)),
    selectors: SEGMENTS.map((_, i) => (i < segments ? state.read(es + i * width, 2) : 0)),
    ldt: state.read(ldt, 2),
  };
}

/** @param kept mask of the flags that are saved as they are */
function save(
  { state }: Processor,
  to: TaskState,
  { width, ip, es, segments }: Layout,
  returnAddress: number,
  kept: number,
): void {
  const { words } = state;
  to.write(ip, width, returnAddress);
  to.write(ip + width, width, words[Word.RFLAGS] & kept);
  GPRS.forEach((number, i) => {
    to.write(ip + (2 + i) * width, width, words[2 * number]);
  });
  SEGMENTS.slice(0, segments).forEach((number, i) => {
    to.write(es + i * width, width, words[SEGMENT_WORDS[number].selector] & 0xffff);
  });
}

/** Registers first, then the segments, which may fault in the new task. */
function load(processor: Processor, image: Image, isNested: boolean): void {
  const { state } = processor;
  const { words } = state;
  const nested = isNested ? Rflags.NT : 0;
  words[Word.RFLAGS] = (image.flags & DEFINED_FLAGS) | Rflags.FIXED | nested;
  state.set64(Word.RIP, Long.fromBits(image.ip, 0));
  GPRS.forEach((number, i) => {
    state.set64(2 * number, Long.fromBits(image.registers[i], 0));
  });
  loadTaskSegments(
    processor,
    SEGMENTS.map((number, i) => [number, image.selectors[i]] as const),
    image.ldt,
  );
}

// The task-state segment: stacks of inner privilege levels, and which ports a program may use.
// SDM 3, "Task-State Segment (TSS)", "TSS in 64-bit Mode"; SDM 1, "I/O Permission Bit Map".

import type Long from 'long';
import { inTable } from './descriptors.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import type { Processor } from './processor.ts';
import { hasNarrowTaskState } from './segments.ts';
import { Word } from './state.ts';

/** Offsets in a TSS of 64, 32 and 16 bits. */
const RSP0 = 0x04;
const IST1 = 0x24;
const ESP0 = 0x04;
const SP0 = 0x02;
const IO_BASE = 0x66;

/** Bytes that the interrupt redirection bitmap takes, in front of the I/O permission bitmap. */
const REDIRECTION_BYTES = 32;

/** Bytes of the TSS, or null if they lie beyond its limit. */
export function readTaskState(
  processor: Processor,
  offset: number,
  lengthBytes: number,
): Long | null {
  const { state, mmu } = processor;
  if (offset + lengthBytes - 1 > state.words[Word.TR_LIMIT] >>> 0) return null;
  const at = inTable(processor, state.get64(Word.TR_BASE), offset);
  return mmu.asSupervisor(() => mmu.read(at.low, at.high, lengthBytes));
}

function invalidTaskState({ state }: Processor, external: number): GuestFault {
  return new GuestFault(Vector.TS, (state.words[Word.TR_SELECTOR] & 0xfffc) | external);
}

/**
 * The stack pointer for a privilege level, or of an entry of the interrupt stack table, in IA-32e
 * mode.
 * @param stackTable 1 to 7, or 0 for the stack of the privilege level
 */
export function wideInnerStack(
  processor: Processor,
  cpl: number,
  stackTable: number,
  external: number,
): Long {
  const offset = stackTable === 0 ? RSP0 + 8 * cpl : IST1 + 8 * (stackTable - 1);
  const pointer = readTaskState(processor, offset, 8);
  if (pointer === null) throw invalidTaskState(processor, external);
  if (!isCanonical(pointer.high)) throw new GuestFault(Vector.SS, external);
  return pointer;
}

/** Stack pointer and selector for a privilege level, outside IA-32e mode. */
export function innerStack(
  processor: Processor,
  cpl: number,
  external: number,
): { readonly pointer: Long; readonly selector: number } {
  const isNarrow = hasNarrowTaskState(processor);
  const width = isNarrow ? 2 : 4;
  const offset = isNarrow ? SP0 + 4 * cpl : ESP0 + 8 * cpl;
  // Both or neither.
  const selector = readTaskState(processor, offset + width, 2);
  if (selector === null) throw invalidTaskState(processor, external);
  const pointer = readTaskState(processor, offset, width);
  if (pointer === null) throw invalidTaskState(processor, external);
  return { pointer, selector: selector.low };
}

/** Whether the I/O permission bitmap allows all ports of an access. */
export function mayUsePort(processor: Processor, port: number, lengthBytes: number): boolean {
  if (hasNarrowTaskState(processor)) return false;
  const bitmap = readTaskState(processor, IO_BASE, 2);
  const bits = bitmap && readTaskState(processor, bitmap.low + (port >> 3), 2);
  return bits !== null && ((bits.low >> (port & 7)) & ((1 << lengthBytes) - 1)) === 0;
}

/**
 * Whether INT n in virtual-8086 mode goes to the program's own handler.
 * SDM 3, "Software Interrupt Handling Methods When a Program is in Virtual-8086 Mode".
 */
export function redirectsInterrupt(processor: Processor, vector: number): boolean {
  if (hasNarrowTaskState(processor)) return false;
  const bitmap = readTaskState(processor, IO_BASE, 2);
  const offset = (bitmap?.low ?? 0) - REDIRECTION_BYTES + (vector >> 3);
  const bits = bitmap === null || offset < 0 ? null : readTaskState(processor, offset, 1);
  return bits !== null && ((bits.low >> (vector & 7)) & 1) === 0;
}

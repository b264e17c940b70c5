// Segment descriptors and gates: reading them from GDT and LDT and taking them apart.
// SDM 3, "Segment Descriptors", "System Descriptor Types", "Call Gates"; in IA-32e mode system
// descriptors and gates are 16 bytes long.

import Long from 'long';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import { isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import { SegmentType } from './segmentation.ts';
import { Rights, SEGMENT_WORDS, Word } from './state.ts';

/** Numbers of LDTR and TR in the segment tables of the state. */
export const LDTR = 6;
export const TR = 7;

const LOCAL = SEGMENT_WORDS[LDTR];

/** Types of system descriptors. In IA-32e mode those of 16 bits do not exist. */
export const SystemType = {
  AVAILABLE_TSS_16: 1,
  LDT: 2,
  BUSY_TSS_16: 3,
  CALL_GATE_16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE_16: 6,
  TRAP_GATE_16: 7,
  AVAILABLE_TSS: 9,
  BUSY_TSS: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;

/** What distinguishes the 32-bit and 64-bit types of TSS and gate from those of 16 bits. */
export const WIDE_TYPE = 8;

/** A descriptor of 8 bytes, taken apart. */
export interface Descriptor {
  readonly selector: number;
  readonly base: number;
  /** In bytes, granularity applied. */
  readonly limit: number;
  /** VMCS layout. */
  readonly rights: number;
  /** Linear address of the descriptor. */
  readonly at: Long;
  /** The 8 bytes, for gates. */
  readonly raw: Long;
}

/** What the rights of a segment say in themselves. */
export const dplOf = (rights: number) => (rights >> Rights.DPL_SHIFT) & 3;
export const isPresent = (rights: number) => (rights & Rights.P) !== 0;
export const isSystem = (rights: number) => (rights & Rights.S) === 0;

/** True for code segments, of applications rather than of the system. */
export function isCode(rights: number): boolean {
  return (rights & (Rights.S | SegmentType.CODE)) === (Rights.S | SegmentType.CODE);
}

/** True for conforming code segments. */
export function isConforming(rights: number): boolean {
  return isCode(rights) && (rights & SegmentType.CONFORMING) !== 0;
}

export function isWritableData(rights: number): boolean {
  const writable = Rights.S | SegmentType.WRITABLE;
  return (rights & (writable | SegmentType.CODE)) === writable;
}

/** Both L and D, which no code segment may have in IA-32e mode. */
export function isLongAndWide(processor: Processor, rights: number): boolean {
  const both = Rights.L | Rights.DB;
  return isIa32e(processor.mode) && (rights & both) === both;
}

/** True if a code segment means 64-bit mode. */
export function isLong(processor: Processor, rights: number): boolean {
  return isIa32e(processor.mode) && (rights & Rights.L) !== 0;
}

/** Read the descriptor that a selector names. A selector beyond the table faults with `vector`. */
export function readDescriptor(
  processor: Processor,
  selector: number,
  vector: number,
  external = 0,
): Descriptor {
  const descriptor = findDescriptor(processor, selector);
  if (descriptor === null) throw new GuestFault(vector, (selector & 0xfffc) | external);
  return descriptor;
}

/** The descriptor that a selector names, or null if it lies beyond the table. */
export function findDescriptor(processor: Processor, selector: number): Descriptor | null {
  const { words } = processor.state;
  const isLocal = (selector & 4) !== 0;
  if (isLocal && (words[LOCAL.rights] & Rights.UNUSABLE) !== 0) return null;
  const offset = selector & 0xfff8;
  const end = isLocal ? words[LOCAL.limit] >>> 0 : words[Word.GDTR_LIMIT] & 0xffff;
  if (offset + 7 > end) return null;
  const base = processor.state.get64(isLocal ? LOCAL.base : Word.GDTR_BASE);
  const at = inTable(processor, base, offset);
  const raw = processor.mmu.asSupervisor(() => processor.mmu.read(at.low, at.high, 8));
  const { low, high } = raw;
  const granular = (high & (1 << 23)) !== 0;
  const limit = (low & 0xffff) | (high & 0xf0000);
  return {
    selector,
    base: ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0,
    limit: granular ? (limit << 12) | 0xfff : limit,
    rights: (high >>> 8) & 0xf0ff,
    at,
    raw,
  };
}

/** An address in a table: outside IA-32e mode it has 32 bits. */
export function inTable(processor: Processor, base: Long, offset: number): Long {
  const at = base.add(offset);
  return isIa32e(processor.mode) ? at : Long.fromBits(at.low, 0);
}

/** Mark a descriptor of a code or data segment as accessed, in its table too. */
export function setAccessed(processor: Processor, descriptor: Descriptor): Descriptor {
  if ((descriptor.rights & SegmentType.ACCESSED) !== 0) return descriptor;
  return retyped(processor, descriptor, descriptor.rights | SegmentType.ACCESSED);
}

/** Mark a TSS as busy. */
export function setBusy(processor: Processor, descriptor: Descriptor): Descriptor {
  return retyped(processor, descriptor, descriptor.rights | BUSY);
}

/** Mark a TSS as available. */
export function setIdle(processor: Processor, descriptor: Descriptor): Descriptor {
  return retyped(processor, descriptor, descriptor.rights & ~BUSY);
}

const BUSY = 2;

function retyped(processor: Processor, descriptor: Descriptor, rights: number): Descriptor {
  const at = descriptor.at.add(5);
  processor.mmu.asSupervisor(() =>
    processor.mmu.write(at.low, at.high, 1, Long.fromInt(rights & 0xff)),
  );
  return { ...descriptor, rights };
}

/** Of the upper 8 bytes of a system descriptor, so that they are none by themselves: 0. */
const UPPER_TYPE = 0x1f00;

/** The upper 8 bytes of a system descriptor or call gate of IA-32e mode, checked. */
export function upperHalf(processor: Processor, { at, selector }: Descriptor): Long {
  const { mmu, state } = processor;
  const fault = new GuestFault(Vector.GP, selector & 0xfffc);
  const end =
    (selector & 4) === 0 ? state.words[Word.GDTR_LIMIT] & 0xffff : state.words[LOCAL.limit] >>> 0;
  if ((selector & 0xfff8) + 15 > end) throw fault;
  const above = at.add(8);
  const upper = mmu.asSupervisor(() => mmu.read(above.low, above.high, 8));
  if ((upper.high & UPPER_TYPE) !== 0) throw fault;
  return upper;
}

/** The base of a system descriptor, of which IA-32e mode keeps the upper half behind the rest. */
export function systemBase(processor: Processor, descriptor: Descriptor): Long {
  if (!isIa32e(processor.mode)) return Long.fromBits(descriptor.base | 0, 0);
  const upper = upperHalf(processor, descriptor);
  if (!isCanonical(upper.low)) throw new GuestFault(Vector.GP, descriptor.selector & 0xfffc);
  return Long.fromBits(descriptor.base | 0, upper.low);
}

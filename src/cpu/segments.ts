// Segment descriptors: reading them from GDT and LDT and loading registers from them, in 64-bit
// mode. SDM 3, "Protected-Mode Memory Management" and "Protection".

import Long from 'long';
import { Segment, type SegmentLook } from '../isa/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import type { Processor } from './processor.ts';
import { Rights, SEGMENT_WORDS, Word } from './state.ts';

/** Numbers of LDTR and TR in the segment tables of the state. */
const LDTR = 6;
const TR = 7;

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
function findDescriptor(processor: Processor, selector: number): Descriptor | null {
  const { words } = processor.state;
  const isLocal = (selector & 4) !== 0;
  if (isLocal && (words[LOCAL.rights] & Rights.UNUSABLE) !== 0) return null;
  const offset = selector & 0xfff8;
  const end = isLocal ? words[LOCAL.limit] >>> 0 : words[Word.GDTR_LIMIT] & 0xffff;
  if (offset + 7 > end) return null;
  const at = processor.state.get64(isLocal ? LOCAL.base : Word.GDTR_BASE).add(offset);
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
  };
}

const LOCAL = SEGMENT_WORDS[LDTR];

/** Copy a descriptor into a segment register, as loading does in 64-bit mode. */
function fill(processor: Processor, number: number, descriptor: Descriptor): void {
  const { words } = processor.state;
  const register = SEGMENT_WORDS[number];
  words[register.selector] = descriptor.selector;
  words[register.base] = descriptor.base | 0;
  words[register.base + 1] = 0;
  words[register.limit] = descriptor.limit;
  words[register.rights] = descriptor.rights;
}

/** Both L and D, which no code segment may have. */
export function isLongAndWide({ rights }: Descriptor): boolean {
  return (rights & Rights.L) !== 0 && (rights & Rights.DB) !== 0;
}

function setAccessed(processor: Processor, descriptor: Descriptor): Descriptor {
  if ((descriptor.rights & 1) !== 0) return descriptor;
  const rights = descriptor.rights | 1;
  const at = descriptor.at.add(5);
  processor.mmu.asSupervisor(() =>
    processor.mmu.write(at.low, at.high, 1, Long.fromInt(rights & 0xff)),
  );
  return { ...descriptor, rights };
}

/** MOV and POP to ES, SS, DS, FS, GS. */
export function loadSegment(processor: Processor, number: number, selector: number): void {
  const { cpl } = processor.state;
  const rpl = selector & 3;
  if ((selector & 0xfffc) === 0) {
    if (number === Segment.SS && (cpl === 3 || rpl !== cpl)) throw new GuestFault(Vector.GP, 0);
    const rights = Rights.UNUSABLE | (number === Segment.SS ? cpl << Rights.DPL_SHIFT : 0);
    fill(processor, number, { selector, base: 0, limit: 0, rights, at: Long.ZERO });
  } else {
    const descriptor = readDescriptor(processor, selector, Vector.GP);
    const { rights } = descriptor;
    const dpl = (rights >> Rights.DPL_SHIFT) & 3;
    const isData = (rights & Rights.S) !== 0 && (rights & 8) === 0;
    const writable = isData && (rights & 2) !== 0;
    const readableCode = (rights & Rights.S) !== 0 && (rights & 10) === 10;
    const conforming = (rights & 12) === 12;
    const allowed =
      number === Segment.SS
        ? writable && rpl === cpl && dpl === cpl
        : (isData || readableCode) && (conforming || (rpl <= dpl && cpl <= dpl));
    if (!allowed) throw new GuestFault(Vector.GP, selector & 0xfffc);
    if ((rights & Rights.P) === 0) {
      throw new GuestFault(number === Segment.SS ? Vector.SS : Vector.NP, selector & 0xfffc);
    }
    fill(processor, number, setAccessed(processor, descriptor));
  }
}

/** Set CS for a transfer to `cpl`; the descriptor has been checked. */
export function loadCodeSegment(processor: Processor, descriptor: Descriptor, cpl: number): void {
  const loaded = setAccessed(processor, descriptor);
  fill(processor, Segment.CS, { ...loaded, selector: (descriptor.selector & 0xfffc) | cpl });
}

/** Set SS for a transfer to `cpl`: a null selector inward, or what IRET brought. */
export function setStackSegment(processor: Processor, selector: number, cpl: number): void {
  const rights = Rights.UNUSABLE | (cpl << Rights.DPL_SHIFT);
  fill(processor, Segment.SS, { selector, base: 0, limit: 0, rights, at: Long.ZERO });
}

/** LTR. */
export function loadTaskRegister(processor: Processor, selector: number): void {
  if ((selector & 0xfffc) === 0) throw new GuestFault(Vector.GP, 0);
  const descriptor = systemDescriptor(processor, selector, SystemType.AVAILABLE_TSS);
  const base = wideBase(processor, descriptor);
  const busyAt = descriptor.at.add(5);
  const rights = descriptor.rights | 2;
  processor.mmu.asSupervisor(() =>
    processor.mmu.write(busyAt.low, busyAt.high, 1, Long.fromInt(rights & 0xff)),
  );
  fill(processor, TR, { ...descriptor, rights });
  processor.state.set64(SEGMENT_WORDS[TR].base, base);
}

/** LLDT. */
export function loadLocalTable(processor: Processor, selector: number): void {
  if ((selector & 0xfffc) === 0) {
    const rights = Rights.UNUSABLE;
    fill(processor, LDTR, { selector, base: 0, limit: 0, rights, at: Long.ZERO });
    return;
  }
  const descriptor = systemDescriptor(processor, selector, SystemType.LDT);
  const base = wideBase(processor, descriptor);
  fill(processor, LDTR, descriptor);
  processor.state.set64(LOCAL.base, base);
}

/** Types of system descriptors in IA-32e mode. */
const SystemType = { LDT: 2, AVAILABLE_TSS: 9, BUSY_TSS: 11, CALL_GATE: 12 } as const;

/** A present descriptor of a type in the GDT, or the fault that LTR and LLDT raise. */
function systemDescriptor(processor: Processor, selector: number, type: number): Descriptor {
  const code = selector & 0xfffc;
  if ((selector & 4) !== 0) throw new GuestFault(Vector.GP, code);
  const descriptor = readDescriptor(processor, selector, Vector.GP);
  if ((descriptor.rights & 0x1f) !== type) throw new GuestFault(Vector.GP, code);
  if ((descriptor.rights & Rights.P) === 0) throw new GuestFault(Vector.NP, code);
  return descriptor;
}

/** Of the upper 8 bytes of a system descriptor, so that they are none by themselves: 0. */
const UPPER_TYPE = 0x1f00;

/** The base of a system descriptor, whose upper half lies behind the first 8 bytes. */
function wideBase(processor: Processor, { at, base, selector }: Descriptor): Long {
  const { mmu, state } = processor;
  const fault = new GuestFault(Vector.GP, selector & 0xfffc);
  if ((selector & 0xfff8) + 15 > (state.words[Word.GDTR_LIMIT] & 0xffff)) throw fault;
  const above = at.add(8);
  const upper = mmu.asSupervisor(() => mmu.read(above.low, above.high, 8));
  if ((upper.high & UPPER_TYPE) !== 0 || !isCanonical(upper.low)) throw fault;
  return Long.fromBits(base | 0, upper.low);
}

const LOOKED_AT: Readonly<Record<'accessRights' | 'segmentLimit', readonly number[]>> = {
  accessRights: Object.values(SystemType),
  segmentLimit: [SystemType.LDT, SystemType.AVAILABLE_TSS, SystemType.BUSY_TSS],
};

/** The descriptor, if the program may look at it in that way; else null. Never faults by itself. */
export function visibleDescriptor(
  processor: Processor,
  selector: number,
  look: SegmentLook,
): Descriptor | null {
  if ((selector & 0xfffc) === 0) return null;
  const descriptor = findDescriptor(processor, selector);
  if (descriptor === null) return null;
  const { rights } = descriptor;
  const isCode = (rights & 8) !== 0;
  if ((rights & Rights.S) === 0) {
    if (look === 'read' || look === 'write' || !LOOKED_AT[look].includes(rights & 15)) return null;
  } else {
    if (look === 'read' && isCode && (rights & 2) === 0) return null;
    if (look === 'write' && (isCode || (rights & 2) === 0)) return null;
    if (isCode && (rights & 4) !== 0) return descriptor;
  }
  const dpl = (rights >> Rights.DPL_SHIFT) & 3;
  return dpl >= Math.max(processor.state.cpl, selector & 3) ? descriptor : null;
}

const FLAT_LIMIT = 0xffffffff | 0;
const FLAT_CODE = 0xa09b;
const FLAT_DATA = 0xc093;

/**
 * CS and SS as fast system calls set them: flat, without looking at descriptors.
 * @param selector of CS, whose RPL does not matter
 * @param stackDistance from there to the selector of SS, whose RPL is at least that
 */
export function loadFlatSegments(
  processor: Processor,
  selector: number,
  stackDistance: number,
  cpl: number,
): void {
  const flat = { base: 0, limit: FLAT_LIMIT, at: Long.ZERO };
  const privilege = cpl << Rights.DPL_SHIFT;
  const code = (selector & 0xfffc) | cpl;
  const stack = ((selector + stackDistance) & 0xffff) | cpl;
  fill(processor, Segment.CS, { ...flat, selector: code, rights: FLAT_CODE | privilege });
  fill(processor, Segment.SS, { ...flat, selector: stack, rights: FLAT_DATA | privilege });
}

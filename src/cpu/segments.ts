// Segment descriptors: reading them from GDT and LDT and loading registers from them, in 64-bit
// mode. SDM 3, "Protected-Mode Memory Management" and "Protection".

import Long from 'long';
import { Segment } from '../isa/index.ts';
import { GuestFault, NotImplemented, Vector } from './exceptions.ts';
import type { Processor } from './processor.ts';
import { Rights, SEGMENT_WORDS, Word } from './state.ts';

/** Number of TR in the segment tables of the state. */
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
  const { words } = processor.state;
  const code = (selector & 0xfffc) | external;
  if ((selector & 4) !== 0) throw new NotImplemented('a selector into the LDT');
  const offset = selector & 0xfff8;
  if (offset + 7 > (words[Word.GDTR_LIMIT] & 0xffff)) throw new GuestFault(vector, code);
  const at = processor.state.get64(Word.GDTR_BASE).add(offset);
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
  const descriptor = readDescriptor(processor, selector, Vector.GP);
  const type = descriptor.rights & 0x1f;
  if (type !== 9) throw new GuestFault(Vector.GP, selector & 0xfffc);
  if ((descriptor.rights & Rights.P) === 0) throw new GuestFault(Vector.NP, selector & 0xfffc);
  const { mmu, state } = processor;
  const highAt = descriptor.at.add(8);
  const high = mmu.asSupervisor(() => mmu.read(highAt.low, highAt.high, 8));
  const busyAt = descriptor.at.add(5);
  const rights = descriptor.rights | 2;
  mmu.asSupervisor(() => mmu.write(busyAt.low, busyAt.high, 1, Long.fromInt(rights & 0xff)));
  fill(processor, TR, { ...descriptor, rights });
  const register = SEGMENT_WORDS[TR];
  state.words[register.base + 1] = high.low;
}

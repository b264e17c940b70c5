// Loading the segment registers: from descriptors in protected, compatibility and 64-bit mode, from
// the selector alone in real and virtual-8086 mode, and flat. SDM 3, "Protection" (Privilege Level
// Checking When Accessing Data Segments), "Real-Address Mode Operation", "Virtual-8086 Mode".

import { Segment } from '../isa/index.ts';
import {
  type Descriptor,
  dplOf,
  isCode,
  isConforming,
  isPresent,
  isSystem,
  isWritableData,
  LDTR,
  readDescriptor,
  SystemType,
  setAccessed,
  setBusy,
  systemBase,
  TR,
  WIDE_TYPE,
} from './descriptors.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { hasParagraphs, isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import { SegmentType } from './segmentation.ts';
import { Rights, SEGMENT_WORDS, Word } from './state.ts';

/** What becomes of a segment register. */
interface Contents {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly rights: number;
}

function fill(processor: Processor, number: number, contents: Contents): void {
  const { words } = processor.state;
  const register = SEGMENT_WORDS[number];
  words[register.selector] = contents.selector;
  words[register.base] = contents.base | 0;
  words[register.base + 1] = 0;
  words[register.limit] = contents.limit;
  words[register.rights] = contents.rights;
  if (number === Segment.CS || number === Segment.SS) processor.updateMode();
  else processor.updateFooting();
}

/** Make a register unusable, as loading a null selector does. */
export function setNull(processor: Processor, number: number, selector = 0): void {
  fill(processor, number, { selector, base: 0, limit: 0, rights: Rights.UNUSABLE });
}

/** MOV and POP to ES, SS, DS, FS, GS; LDS and kin. */
export function loadSegment(processor: Processor, number: number, selector: number): void {
  if (hasParagraphs(processor.mode)) {
    loadParagraph(processor, number, selector);
    return;
  }
  const { cpl } = processor.state;
  if (number === Segment.SS) {
    const isNullable = processor.mode === '64-bit';
    const stack = checkStackSegment(processor, selector, cpl, { vector: Vector.GP, isNullable });
    setStackSegment(processor, stack === null ? null : setAccessed(processor, stack), {
      selector,
      cpl,
    });
    return;
  }
  if ((selector & 0xfffc) === 0) {
    setNull(processor, number, selector);
    return;
  }
  const descriptor = readDescriptor(processor, selector, Vector.GP);
  const { rights } = descriptor;
  if (!mayRead(rights, selector, cpl)) throw new GuestFault(Vector.GP, selector & 0xfffc);
  if (!isPresent(rights)) throw new GuestFault(Vector.NP, selector & 0xfffc);
  fill(processor, number, setAccessed(processor, descriptor));
}

/** A data segment, or one of code that is readable, which a program may load. */
function mayRead(rights: number, selector: number, cpl: number): boolean {
  const isReadable =
    !isSystem(rights) && (!isCode(rights) || (rights & SegmentType.READABLE) !== 0);
  return isReadable && (isConforming(rights) || Math.max(selector & 3, cpl) <= dplOf(rights));
}

/** Access rights in virtual-8086 mode: writable data at privilege level 3. */
const VIRTUAL_RIGHTS = 0xf3;
const REAL_RIGHTS = 0x93;
const PARAGRAPH_LIMIT = 0xffff;

/**
 * Load a register with a paragraph number. Real mode keeps limit and rights that protected mode has
 * left there, unless they were of no segment at all.
 */
export function loadParagraph(processor: Processor, number: number, selector: number): void {
  const { words } = processor.state;
  const register = SEGMENT_WORDS[number];
  const base = selector << 4;
  let limit = PARAGRAPH_LIMIT;
  let rights = VIRTUAL_RIGHTS;
  if (processor.mode === 'real') {
    const isUnusable = (words[register.rights] & Rights.UNUSABLE) !== 0;
    limit = isUnusable ? PARAGRAPH_LIMIT : words[register.limit];
    rights = isUnusable ? REAL_RIGHTS : words[register.rights];
  }
  fill(processor, number, { selector, base, limit, rights });
}

/** Set CS for a transfer to `cpl`; the descriptor has been checked and marked as accessed. */
export function setCodeSegment(processor: Processor, descriptor: Descriptor, cpl: number): void {
  const selector = (descriptor.selector & 0xfffc) | cpl;
  fill(processor, Segment.CS, { ...descriptor, selector });
}

/**
 * Set SS for a privilege level: to a descriptor that has been checked and marked as accessed, or to
 * null, which 64-bit mode allows.
 */
export function setStackSegment(
  processor: Processor,
  descriptor: Descriptor | null,
  { selector, cpl }: { readonly selector: number; readonly cpl: number },
): void {
  if (descriptor !== null) {
    fill(processor, Segment.SS, descriptor);
    return;
  }
  const rights = Rights.UNUSABLE | (cpl << Rights.DPL_SHIFT);
  fill(processor, Segment.SS, { selector, base: 0, limit: 0, rights });
}

/** What a stack segment is checked for. */
export interface StackRules {
  /** #GP, or #TS for what comes from a TSS. */
  readonly vector: number;
  /** A null selector is allowed. */
  readonly isNullable: boolean;
  /** What a segment faults with that is not present; #SS if left out. */
  readonly absent?: number;
  /** Bit 0 of error codes. */
  readonly external?: number;
}

/**
 * Check a selector for SS at a privilege level; null if it is null and may be (not at CPL 3).
 */
export function checkStackSegment(
  processor: Processor,
  selector: number,
  cpl: number,
  { vector, isNullable, absent = Vector.SS, external = 0 }: StackRules,
): Descriptor | null {
  if ((selector & 0xfffc) === 0) {
    if (!isNullable || cpl === 3 || (selector & 3) !== cpl) throw new GuestFault(vector, external);
    return null;
  }
  const descriptor = readDescriptor(processor, selector, vector, external);
  const { rights } = descriptor;
  const code = (selector & 0xfffc) | external;
  if (!isWritableData(rights) || (selector & 3) !== cpl || dplOf(rights) !== cpl) {
    throw new GuestFault(vector, code);
  }
  if (!isPresent(rights)) throw new GuestFault(absent, code);
  return descriptor;
}

/** A return outward makes the data segments null that the new privilege level may not use. */
export function dropPrivilegedSegments(processor: Processor, cpl: number): void {
  const { words } = processor.state;
  for (const number of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) {
    const rights = words[SEGMENT_WORDS[number].rights];
    const isUsable = (rights & Rights.UNUSABLE) === 0;
    if (isUsable && !isConforming(rights) && dplOf(rights) < cpl) setNull(processor, number);
  }
}

/** LTR. */
export function loadTaskRegister(processor: Processor, selector: number): void {
  if ((selector & 0xfffc) === 0) throw new GuestFault(Vector.GP, 0);
  const types = isIa32e(processor.mode)
    ? [SystemType.AVAILABLE_TSS]
    : [SystemType.AVAILABLE_TSS, SystemType.AVAILABLE_TSS_16];
  const descriptor = systemDescriptor(processor, selector, types);
  const base = systemBase(processor, descriptor);
  fill(processor, TR, setBusy(processor, descriptor));
  processor.state.set64(SEGMENT_WORDS[TR].base, base);
}

/** LLDT. */
export function loadLocalTable(processor: Processor, selector: number): void {
  if ((selector & 0xfffc) === 0) {
    setNull(processor, LDTR, selector);
    return;
  }
  const descriptor = systemDescriptor(processor, selector, [SystemType.LDT]);
  const base = systemBase(processor, descriptor);
  fill(processor, LDTR, descriptor);
  processor.state.set64(SEGMENT_WORDS[LDTR].base, base);
}

/**
 * A present descriptor of a type in the GDT, or the fault that LTR and LLDT raise.
 * @param vector of faults, and of that of a segment that is not present
 */
function systemDescriptor(
  processor: Processor,
  selector: number,
  types: readonly number[],
  vector: number = Vector.GP,
  absent: number = Vector.NP,
): Descriptor {
  const code = selector & 0xfffc;
  if ((selector & 4) !== 0) throw new GuestFault(vector, code);
  const descriptor = readDescriptor(processor, selector, vector);
  const { rights } = descriptor;
  if (!isSystem(rights) || !types.includes(rights & Rights.TYPE)) {
    throw new GuestFault(vector, code);
  }
  if (!isPresent(rights)) throw new GuestFault(absent, code);
  return descriptor;
}

/** TR of a task that is switched to; its TSS is marked as busy. */
export function setTaskRegister(processor: Processor, descriptor: Descriptor): void {
  fill(processor, TR, descriptor);
}

/**
 * The segments of a task that is switched to, whose flags are loaded: all selectors first, then
 * what they name, so that a fault happens in the new task. SDM 3, "Task Switching".
 */
export function loadTaskSegments(
  processor: Processor,
  segments: readonly (readonly [number: number, selector: number])[],
  localTable: number,
): void {
  const { words } = processor.state;
  for (const [number, selector] of [...segments, [LDTR, localTable] as const]) {
    words[SEGMENT_WORDS[number].selector] = selector;
  }
  processor.updateMode();
  if ((localTable & 0xfffc) === 0) setNull(processor, LDTR, localTable);
  else {
    const types = [SystemType.LDT];
    fill(processor, LDTR, systemDescriptor(processor, localTable, types, Vector.TS, Vector.TS));
  }
  const isVirtual = processor.mode === 'virtual8086';
  const cpl = words[Word.CS_SELECTOR] & 3;
  for (const [number, selector] of segments) {
    if (isVirtual) loadParagraph(processor, number, selector);
    else loadTaskSegment(processor, number, selector, cpl);
  }
}

function loadTaskSegment(processor: Processor, number: number, selector: number, cpl: number) {
  if (number === Segment.SS) {
    const rules = { vector: Vector.TS, isNullable: false };
    const stack = checkStackSegment(processor, selector, cpl, rules);
    setStackSegment(processor, stack && setAccessed(processor, stack), { selector, cpl });
    return;
  }
  const code = selector & 0xfffc;
  if (code === 0 && number !== Segment.CS) {
    setNull(processor, number, selector);
    return;
  }
  if (code === 0) throw new GuestFault(Vector.TS, 0);
  const descriptor = readDescriptor(processor, selector, Vector.TS);
  const { rights } = descriptor;
  const isRight = number === Segment.CS ? mayRun(rights, cpl) : mayRead(rights, selector, cpl);
  if (!isRight) throw new GuestFault(Vector.TS, code);
  if (!isPresent(rights)) throw new GuestFault(Vector.NP, code);
  fill(processor, number, setAccessed(processor, descriptor));
}

/** A code segment for a task of that privilege level. */
function mayRun(rights: number, cpl: number): boolean {
  return isCode(rights) && (isConforming(rights) ? dplOf(rights) <= cpl : dplOf(rights) === cpl);
}

/** True if TR holds a 16-bit TSS, which is laid out in another way. */
export function hasNarrowTaskState({ state }: Processor): boolean {
  return (state.words[SEGMENT_WORDS[TR].rights] & WIDE_TYPE) === 0;
}

const FLAT_LIMIT = 0xffffffff | 0;
const FLAT_CODE = 0xb | Rights.S | Rights.P | Rights.G;
const FLAT_DATA = 0x3 | Rights.S | Rights.P | Rights.G | Rights.DB;

/**
 * CS and SS as fast system calls set them: flat, without looking at descriptors.
 * @param selector of CS, whose RPL does not matter
 * @param stackDistance from there to the selector of SS, whose RPL is at least that
 * @param isWide a 64-bit code segment rather than one of 32 bits
 */
export function loadFlatSegments(
  processor: Processor,
  selector: number,
  stackDistance: number,
  { cpl, isWide }: { readonly cpl: number; readonly isWide: boolean },
): void {
  const flat = { base: 0, limit: FLAT_LIMIT };
  const privilege = cpl << Rights.DPL_SHIFT;
  const code = (selector & 0xfffc) | cpl;
  const stack = ((selector + stackDistance) & 0xffff) | cpl;
  const codeRights = FLAT_CODE | privilege | (isWide ? Rights.L : Rights.DB);
  fill(processor, Segment.CS, { ...flat, selector: code, rights: codeRights });
  fill(processor, Segment.SS, { ...flat, selector: stack, rights: FLAT_DATA | privilege });
}

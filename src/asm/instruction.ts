// From a parsed instruction to bytes, by the encoder of the instruction table. Adds what the
// encoder does not know: sections, forward references, and which address fields the listing marks.

import Long from 'long';
import {
  type AssemblyMemory,
  type AssemblyNumber,
  type AssemblyOperand,
  type AssemblyPointer,
  type AssemblyRegister,
  addressWidthOf,
  type Encoded,
  encode,
  type Row,
} from '../isa/index.ts';
import { memoryOperand } from './address.ts';
import { type EvaluationContext, evaluate } from './evaluate.ts';
import type { Section } from './sections.ts';
import type { Place } from './source.ts';
import { immediateSizes, isAsWide, widthOf } from './spelling.ts';
import type {
  AddressField,
  BranchForms,
  BranchLengths,
  InstructionBody,
  MemoryOperandText,
  NumberOperandText,
  PointerOperandText,
} from './statement.ts';
import { isJustUnknown, isNumber, isUnknown, sectionOf, type Value } from './value.ts';

/** Where and how an instruction is assembled. */
export interface InstructionContext extends EvaluationContext {
  /** The section that the instruction is in. */
  readonly section: Section;
  readonly place: Place;
  /** Do not take the short form of a branch: sizes have gone to and fro long enough. */
  readonly preferNear: boolean;
}

/** Forms of an instruction that a message lists. */
const MAX_FORMS = 8;

/** An operand with a value, and the section that it is an address in. */
interface EvaluatedOperand {
  readonly operand: AssemblyOperand;
  readonly section: Section | null;
  readonly place: Place;
  /** Value of a symbol that has none yet: the encoding is a guess. */
  readonly unknown: boolean;
}

type Encoding = Encoded & { readonly kind: 'bytes' };

/** An instruction whose operands have values; it can be encoded at several addresses. */
export class EvaluatedInstruction {
  private readonly body: InstructionBody;
  private readonly operands: readonly EvaluatedOperand[];
  private readonly context: InstructionContext;

  constructor(
    body: InstructionBody,
    operands: readonly EvaluatedOperand[],
    context: InstructionContext,
  ) {
    this.body = body;
    this.operands = operands;
    this.context = context;
  }

  /** The encoding at an address; null after reporting an error. */
  encode(address: Long): Encoding | null {
    const { reporter, place } = this.context;
    const encoded = this.attempt(address);
    if (encoded.kind === 'bytes') {
      if (reporter !== null && !this.check(encoded.row)) return null;
      return encoded;
    }
    if (reporter !== null && !this.blameNumber(address, encoded.expected)) {
      reporter.error(place, encoded.message, encoded.expected.slice(0, MAX_FORMS));
    }
    return null;
  }

  /** Report the number without which the instruction would be fine, if there is one. */
  private blameNumber(address: Long, expected: readonly string[]): boolean {
    const { reporter } = this.context;
    for (const [i, { operand, place }] of this.operands.entries()) {
      if (operand.kind !== 'number' || this.attemptWith(i, address).kind === 'error') continue;
      if (this.body.branch !== null) {
        const encoded = this.attempt(address);
        const message = encoded.kind === 'error' ? encoded.message : '';
        reporter?.error(place, message, ["'near'", 'a target nearby']);
      } else {
        const forms = expected.slice(0, MAX_FORMS);
        reporter?.error(place, `${describe(operand.value)} does not fit the operand`, forms);
      }
      return true;
    }
    return false;
  }

  /** Encode with another number at `index`: one that fits wherever any does. */
  private attemptWith(index: number, address: Long): Encoded {
    const value = this.body.branch !== null ? address : Long.fromInt(2);
    const operands = this.operands.map(({ operand }, i) =>
      i === index && operand.kind === 'number' ? { ...operand, value } : operand,
    );
    return this.encoded(operands, address);
  }

  /** Whether it takes as many bytes as another evaluation of the same text, wherever it stands. */
  isAsLongAs({ operands }: EvaluatedInstruction): boolean {
    return this.operands.every(({ operand, unknown }, i) => {
      const other = operands[i];
      if (!hasValue(operand) || other === undefined) return true;
      return unknown === other.unknown && hasSameField(operand, other.operand);
    });
  }

  /** Bytes that it takes, if it is no branch to a place; an error counts as none until later. */
  measure(address: Long): number {
    const encoded = this.attempt(address);
    if (encoded.kind === 'error') return 0;
    // NASM guesses `push word` first. Guesses decide which of several stable layouts comes about.
    const isGuess = this.body.mnemonic === 'PUSH' && this.operands[0]?.operand.kind === 'number';
    return encoded.bytes.length + (isGuess && this.operands[0]?.unknown === true ? 1 : 0);
  }

  /** Bytes that a branch to a place takes at an address, hopefully the fewer. */
  measureBranch(address: Long, lengths: BranchLengths): number {
    const target = this.operands[0];
    if (target?.operand.kind !== 'number') return 0;
    const { distance, value } = target.operand;
    if (lengths.short === 0 || distance === 'near') return lengths.near;
    if (lengths.near === 0 || distance === 'short' || target.unknown) return lengths.short;
    const away = value.sub(address).sub(lengths.short);
    return away.ge(-128) && away.le(127) ? lengths.short : lengths.near;
  }

  branchLengths(): BranchLengths {
    const length = (distance: 'short' | 'near') => {
      const operands = this.operands.map(({ operand }) =>
        operand.kind === 'number' ? { ...operand, value: Long.ZERO, distance } : operand,
      );
      const encoded = this.encoded(operands, Long.ZERO);
      return encoded.kind === 'bytes' ? encoded.bytes.length : 0;
    };
    return { short: length('short'), near: length('near') };
  }

  /** The parts of the encoding that depend on where sections stand. */
  fields({ row, fields: encoded }: Encoding): readonly AddressField[] {
    const fields: AddressField[] = [];
    this.operands.forEach(({ operand, section }, i) => {
      const field = encoded[i];
      if (section === null || operand.kind === 'register' || !field) return;
      const isMemory = operand.kind === 'memory';
      const relative = isMemory ? operand.ripRelative : row.operands[i]?.place === 'relative';
      if (relative && section === this.context.section) return;
      const value = addressIn(operand);
      fields.push({ ...field, relative, shown: value.sub(section.vstart) });
    });
    return fields;
  }

  private attempt(address: Long): Encoded {
    const operands = this.operands.map(({ operand }) => operand);
    return this.encoded(operands, address);
  }

  private encoded(operands: readonly AssemblyOperand[], address: Long): Encoded {
    const { mnemonic, prefixes, codeSize } = this.body;
    return encode(mnemonic, operands, prefixes, address, codeSize);
  }

  /** Things that the encoder lets pass: addresses that are cut off, a LOCK that is undefined. */
  private check(row: Row): boolean {
    const { reporter, place } = this.context;
    const locked = this.operands[0]?.operand.kind === 'memory';
    if (this.body.prefixes.lock && (row.lock !== true || !locked)) {
      reporter?.warn(place, `'lock' makes this instruction undefined`);
    }
    if (this.body.prefixes.operandWidth === 64 && row.mnemonic === 'MOV') {
      reporter?.error(place, "'o64' says nothing before a MOV: its operands have sizes");
      return false;
    }
    if (this.body.prefixes.repeat === 'repne' && row.cost === 'branch') {
      reporter?.error(place, "'repne' cannot stand before a branch");
      return false;
    }
    for (const [i, { operand, section }] of this.operands.entries()) {
      const spec = row.operands[i];
      if (spec === undefined || operand.kind === 'register') continue;
      if (operand.kind === 'pointer') {
        if (fitsField(operand.offset, spec.immediateWidth, false)) continue;
        return this.cutOff(operand.offset, spec.immediateWidth);
      }
      if (operand.kind === 'memory' && !this.checkSize(operand.width, spec.memoryWidth))
        return false;
      if (section === null && !operand.relocatable) continue;
      if (operand.kind === 'number' && spec.place === 'immediate') {
        const isSigned = row.width === 64 || row.width === 0;
        if (!fitsField(operand.value, spec.immediateWidth, isSigned)) {
          return this.cutOff(operand.value, spec.immediateWidth);
        }
      }
      if (operand.kind === 'memory' && !operand.ripRelative && spec.place === 'rm') {
        const { prefixes, codeSize } = this.body;
        const width = addressWidthOf(operand, prefixes.addressWidth, codeSize);
        const field = Math.min(32, width);
        if (!fitsField(operand.displacement, field, width === 64)) {
          return this.cutOff(operand.displacement, field);
        }
      }
    }
    return true;
  }

  /** Only the address of this memory counts; LEA may have a size before it all the same. */
  private checkSize(given: number, wanted: number): boolean {
    if (given === 0 || wanted !== 0 || this.body.mnemonic === 'LEA') return true;
    this.context.reporter?.error(
      this.context.place,
      'memory of no particular size has no size keyword',
    );
    return false;
  }

  private cutOff(address: Long, width: number): false {
    const message = `address 0x${address.toUnsigned().toString(16)} does not fit ${width} bits`;
    this.context.reporter?.error(this.context.place, message);
    return false;
  }
}

/** Give the operands of an instruction values; null after reporting an error. */
export function evaluateInstruction(
  body: InstructionBody,
  context: InstructionContext,
): EvaluatedInstruction | null {
  const operands: EvaluatedOperand[] = [];
  for (const text of body.operands) {
    if (text.kind === 'register') {
      const { place } = context;
      operands.push({ operand: text, section: null, place, unknown: false });
      continue;
    }
    const evaluated =
      text.kind === 'memory'
        ? evaluateMemory(text, body, context)
        : text.kind === 'pointer'
          ? evaluatePointer(text, context)
          : evaluateNumber(text, body, context);
    if (evaluated === null) return null;
    operands.push(evaluated);
  }
  return new EvaluatedInstruction(body, operands, context);
}

function evaluateMemory(
  text: MemoryOperandText,
  body: InstructionBody,
  context: InstructionContext,
): EvaluatedOperand | null {
  const address = memoryOperand(text, body, context);
  if (address === null) return null;
  if (body.prefixes.segment >= 0 && text.segment >= 0) {
    context.reporter?.error(text.place, 'two segments for one address');
    return null;
  }
  const { addressWidth } = body.prefixes;
  const width = addressWidthOf(address.operand, addressWidth, body.codeSize);
  if (addressWidth !== 0 && addressWidth !== width) {
    const message = `prefix a${addressWidth} does not go with this address`;
    context.reporter?.error(text.place, message);
    return null;
  }
  return { ...address, place: text.place };
}

/** `selector:offset`: the selector is a plain number, the offset may be an address. */
function evaluatePointer(
  text: PointerOperandText,
  context: InstructionContext,
): EvaluatedOperand | null {
  const { place } = text.offset;
  const selector = evaluate(text.selector, context);
  const offset = evaluate(text.offset, context);
  if (selector === null || offset === null) return null;
  const section = isUnknown(offset) ? null : sectionOf(offset);
  const isAddress = section !== null || isNumber(offset) || isUnknown(offset);
  if (!isAddress || !(isNumber(selector) || isUnknown(selector))) {
    const at = isAddress ? text.selector.place : place;
    const what = isAddress ? 'a selector is a plain number' : 'this is no address';
    context.reporter?.error(at, what);
    return null;
  }
  const known = isUnknown(offset) ? Long.ZERO : offset.number;
  const operand: AssemblyPointer = {
    kind: 'pointer',
    selector: isUnknown(selector) ? Long.ZERO : selector.number,
    offset: known.add(section?.vstart ?? Long.ZERO),
    width: text.width,
    relocatable: section !== null,
  };
  return { operand, section, place, unknown: isJustUnknown(offset) };
}

function evaluateNumber(
  text: NumberOperandText,
  body: InstructionBody,
  context: InstructionContext,
): EvaluatedOperand | null {
  const { place } = text.value;
  const value = evaluate(text.value, context);
  if (value === null) return null;
  const unknown = isUnknown(value);
  const section = unknown ? null : sectionOf(value);
  if (section === null && !isNumber(value) && !unknown) {
    context.reporter?.error(place, 'this is neither a number nor an address');
    return null;
  }
  const { width } = text;
  const sizes = immediateSizes(body.mnemonic, body.operands, body.operands.indexOf(text));
  if (width !== 0 && sizes.length > 0 && !sizes.includes(width)) {
    const expected = sizes.map((bits) => `${bits} bits`);
    context.reporter?.error(place, `a number of ${width} bits does not go with this`, expected);
    return null;
  }
  const operation = body.operands[0] === undefined ? 0 : widthOf(body.operands[0]);
  const strict = text.strict || isAsWide(text, body.mnemonic, operation);
  const known = unknown ? Long.ZERO : value.number;
  const number = known.add(section?.vstart ?? Long.ZERO);
  const { branch } = body;
  if (branch !== null && width !== 0 && !isBranchSize(text, body)) {
    context.reporter?.error(place, 'a branch target has no size', ["'short'", "'near'"]);
    return null;
  }
  if (branch !== null && text.distance !== null && !branch.near) {
    context.reporter?.error(place, `this branch is always short; leave '${text.distance}' out`);
    return null;
  }
  const distance = branch === null ? text.distance : branchDistance(text, value, branch, context);
  const operand: AssemblyNumber = {
    kind: 'number',
    value: number,
    width,
    strict,
    relocatable: section !== null || text.wide === true,
    distance,
  };
  return { operand, section, place, unknown: isJustUnknown(value) };
}

/** Outside 64-bit mode a size before the target of a long branch is the operand size. */
function isBranchSize({ width, distance }: NumberOperandText, body: InstructionBody): boolean {
  if (body.codeSize === 64 || body.branch?.near !== true || distance === 'short') return false;
  return width >= 16 && width <= 32 && (distance === 'near' || !body.branch.conditional);
}

/** NASM counts on a short branch only within a section, whose distances it knows. */
function branchDistance(
  text: NumberOperandText,
  value: Value,
  branch: BranchForms,
  context: InstructionContext,
): AssemblyNumber['distance'] {
  if (text.distance !== null || !branch.near) return text.distance;
  if (text.width !== 0) return 'near';
  if (isJustUnknown(value) && !context.preferNear) return null;
  // What another file defines could be anywhere to those who assemble file by file.
  const isForeign = text.value.steps.some(
    (step) => step.kind === 'symbol' && step.symbol.definition !== null,
  );
  const isWithin = !isForeign && sectionOf(value) === context.section;
  return text.strict || context.preferNear || !isWithin ? 'near' : null;
}

/** Whether the value of an operand could decide about the length of the instruction. */
function hasValue(operand: AssemblyOperand): operand is AssemblyNumber | AssemblyMemory {
  return operand.kind === 'number' || operand.kind === 'memory';
}

/** The number, displacement or offset that an operand is. */
function addressIn(operand: Exclude<AssemblyOperand, AssemblyRegister>): Long {
  if (operand.kind === 'memory') return operand.displacement;
  return operand.kind === 'pointer' ? operand.offset : operand.value;
}

/** An address has a field of one width whatever it is; a number, one that depends on it. */
function hasSameField(a: AssemblyNumber | AssemblyMemory, b: AssemblyOperand): boolean {
  if (a.kind !== b.kind || !hasValue(b) || a.relocatable !== b.relocatable) return false;
  return a.relocatable || addressIn(a).eq(addressIn(b));
}

/** A number for a message: small ones in decimal. */
function describe(value: Long): string {
  if (value.ge(-0x10000) && value.lt(0x10000)) return value.toString();
  return `0x${value.toUnsigned().toString(16)}`;
}

/** Whether the field holds the number: as a signed one, or in any way that has so many bits. */
export function fitsField(value: Long, width: number, isSigned: boolean): boolean {
  if (width === 64) return true;
  const limit = 2 ** (isSigned ? width - 1 : width);
  return value.ge(-(2 ** (width - 1))) && value.lt(limit);
}

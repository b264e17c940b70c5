// From a parsed instruction to bytes, by the encoder of the instruction table. Adds what the encoder
// does not know: sections, forward references, and which address fields the listing marks.

import Long from 'long';
import {
  type AssemblyNumber,
  type AssemblyOperand,
  type Encoded,
  encode,
  type Row,
  rowsByMnemonic,
} from '../isa/index.ts';
import { memoryOperand } from './address.ts';
import { type EvaluationContext, evaluate } from './evaluate.ts';
import type { Section } from './sections.ts';
import type { Place } from './source.ts';
import { immediateSizes, isAsWide, widthOf } from './spelling.ts';
import type {
  AddressField,
  InstructionBody,
  MemoryOperandText,
  NumberOperandText,
} from './statement.ts';
import { isNumber, sectionOf, type Value } from './value.ts';

/** Where and how an instruction is assembled. */
export interface InstructionContext extends EvaluationContext {
  /** The section that the instruction is in. */
  readonly section: Section;
  readonly place: Place;
  /** Do not take the short form of a branch: sizes have gone to and fro long enough. */
  readonly preferNear: boolean;
}

/** An operand with a value, and the section that it is an address in. */
interface EvaluatedOperand {
  readonly operand: AssemblyOperand;
  readonly section: Section | null;
  /** Value of a symbol that has none yet: the encoding is a guess. */
  readonly unknown: boolean;
}

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

  /** The bytes at an address; null after reporting an error. */
  encode(address: Long): Uint8Array | null {
    const { reporter, place } = this.context;
    const encoded = this.attempt(address);
    if (encoded.kind === 'bytes') {
      if (reporter !== null && !this.check(encoded.row)) return null;
      return encoded.bytes;
    }
    reporter?.error(place, encoded.message, encoded.expected);
    return null;
  }

  /** Bytes that it takes; an error will be reported later and counts as none. */
  measure(address: Long): number {
    const encoded = this.attempt(address);
    if (encoded.kind === 'bytes') return encoded.bytes.length;
    // A short branch may come into reach when the sizes around it have settled.
    const near = this.attempt(address, address);
    return near.kind === 'bytes' ? near.bytes.length : 0;
  }

  /** The parts of the encoding that depend on where sections stand. */
  fields(address: Long): AddressField[] {
    const encoded = this.attempt(address);
    if (encoded.kind === 'error') return [];
    const { bytes, row } = encoded;
    const immediateBytes = row.pattern.immediateBytes.reduce((sum, count) => sum + count, 0);
    const fields: AddressField[] = [];
    this.operands.forEach(({ operand, section }, i) => {
      if (section === null || operand.kind === 'register') return;
      const isMemory = operand.kind === 'memory';
      const relative = isMemory ? operand.ripRelative : row.operands[i]?.place === 'relative';
      if (relative && section === this.context.section) return;
      const isOffset = row.operands[i]?.place === 'moffs';
      const lengthBytes = isMemory && !isOffset ? 4 : immediateBytes;
      const at = bytes.length - lengthBytes - (isMemory && !isOffset ? immediateBytes : 0);
      const value = isMemory ? operand.displacement : operand.value;
      fields.push({ at, lengthBytes, relative, shown: value.sub(section.vstart) });
    });
    return fields;
  }

  private attempt(address: Long, target: Long | null = null): Encoded {
    const operands = this.operands.map(({ operand, unknown }) => {
      if (operand.kind !== 'number') return operand;
      const isTarget = isBranch(this.body.mnemonic) && (unknown || target !== null);
      return isTarget ? { ...operand, value: address } : operand;
    });
    return encode(this.body.mnemonic, operands, this.body.prefixes, address);
  }

  /** Things that the encoder lets pass: addresses that are cut off, a LOCK that is undefined. */
  private check(row: Row): boolean {
    const { reporter, place } = this.context;
    const locked = this.operands[0]?.operand.kind === 'memory';
    if (this.body.prefixes.lock && (row.lock !== true || !locked)) {
      reporter?.warn(place, `'lock' makes this instruction undefined`);
    }
    for (const [i, { operand, section }] of this.operands.entries()) {
      const spec = row.operands[i];
      if (section === null || spec === undefined || operand.kind === 'register') continue;
      if (operand.kind === 'number' && spec.place === 'immediate') {
        const isSigned = row.width === 64 || row.width === 0;
        if (!fitsField(operand.value, spec.immediateWidth, isSigned)) {
          return this.cutOff(operand.value, spec.immediateWidth);
        }
      }
      if (operand.kind === 'memory' && !operand.ripRelative && spec.place === 'rm') {
        const wide = (operand.base ?? operand.index)?.width !== 32;
        if (!fitsField(operand.displacement, 32, wide)) {
          return this.cutOff(operand.displacement, 32);
        }
      }
    }
    return true;
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
      operands.push({ operand: text, section: null, unknown: false });
      continue;
    }
    const evaluated =
      text.kind === 'memory'
        ? evaluateMemory(text, body, context)
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
  const operand = memoryOperand(text, context);
  if (operand === null) return null;
  if (body.prefixes.segment >= 0 && text.segment >= 0) {
    context.reporter?.error(text.place, 'two segments for one address');
    return null;
  }
  const { addressWidth } = body.prefixes;
  const width = (operand.base ?? operand.index)?.width ?? 64;
  if (addressWidth !== 0 && addressWidth !== width) {
    const message = `prefix a${addressWidth} does not go with this address`;
    context.reporter?.error(text.place, message);
    return null;
  }
  const value = evaluate(text.address, context);
  const sections = value?.terms.flatMap(({ of }) => ('vstart' in of ? [of] : [])) ?? [];
  return { operand, section: sections[0] ?? null, unknown: value?.unknown === true };
}

function evaluateNumber(
  text: NumberOperandText,
  body: InstructionBody,
  context: InstructionContext,
): EvaluatedOperand | null {
  const { place } = text.value;
  const value = evaluate(text.value, context);
  if (value === null) return null;
  const section = sectionOf(value);
  if (section === null && !isNumber(value)) {
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
  const number = value.number.add(section?.vstart ?? Long.ZERO);
  const branch = isBranch(body.mnemonic);
  if (branch && width !== 0) {
    context.reporter?.error(place, 'a branch target has no size', ["'short'", "'near'"]);
    return null;
  }
  if (branch && text.distance !== null && !hasNearForm(body.mnemonic)) {
    context.reporter?.error(place, `this branch is always short; '${text.distance}' is not said`);
    return null;
  }
  const distance = branch ? branchDistance(text, value, body.mnemonic, context) : text.distance;
  const operand: AssemblyNumber = {
    kind: 'number',
    value: number,
    width,
    strict,
    relocatable: section !== null,
    distance,
  };
  return { operand, section, unknown: value.unknown };
}

/** NASM counts on a short branch only within a section, whose distances it knows. */
function branchDistance(
  text: NumberOperandText,
  value: Value,
  mnemonic: string,
  context: InstructionContext,
): AssemblyNumber['distance'] {
  if (text.distance !== null || !hasNearForm(mnemonic)) return text.distance;
  if (value.unknown && !context.preferNear) return null;
  const isWithin = sectionOf(value) === context.section;
  return text.strict || context.preferNear || !isWithin ? 'near' : null;
}

/** Whether the mnemonic takes an address to go to, as the table has it. */
export function isBranch(mnemonic: string): boolean {
  return rowsByMnemonic(mnemonic).some(({ operands }) => operands[0]?.place === 'relative');
}

function hasNearForm(mnemonic: string): boolean {
  return rowsByMnemonic(mnemonic).some(
    ({ operands }) => operands[0]?.place === 'relative' && operands[0].immediateWidth === 32,
  );
}

/** Whether the field holds the number: as a signed one, or in any way that has so many bits. */
export function fitsField(value: Long, width: number, isSigned: boolean): boolean {
  if (width === 64) return true;
  const limit = 2 ** (isSigned ? width - 1 : width);
  return value.ge(-(2 ** (width - 1))) && value.lt(limit);
}

// One row and operands that fit it, written out as bytes: prefixes, opcode, ModR/M, displacement
// and immediates. SDM 2, "Instruction Format"; of several ways to encode an address, NASM's.

import Long from 'long';
import type { AssemblyMemory, AssemblyOperand } from './assembly-operand.ts';
import type { AssemblyPrefixes, Encoded, EncodedField } from './encoder.ts';
import { type CodeSize, Gpr, type RegisterName, Segment, type Width } from './registers.ts';
import type { OperandSpec, Row } from './row.ts';

/** Where an instruction stands: its address, and the size of the code there. */
export interface CodePlace {
  readonly address: Long;
  readonly codeSize: CodeSize;
}

/** The bytes of `row` with these operands, or what stands against them. */
export function encodeRow(
  row: Row,
  operands: readonly AssemblyOperand[],
  prefixes: AssemblyPrefixes,
  place: CodePlace,
): Encoded {
  return new Encoding(row, operands, prefixes, place).encode();
}

/** Whether code of a size needs a 66 for an operand of a width. */
function takesOperandPrefix(row: Row, width: Width | 0, codeSize: CodeSize): boolean {
  const { operandSize, pattern } = row;
  if (operandSize === 'native' || operandSize === 'dword' || pattern.vex) return false;
  // NP rows and those whose opcode has a 66 are what they are with just these prefixes.
  if (pattern.mandatoryPrefix === 0x66) return false;
  if (codeSize === 64) return width === 16 && operandSize !== 'forced64';
  return width === (codeSize === 16 ? 32 : 16);
}

/** Bits of the addresses that an operand makes the instruction compute. */
export function addressWidthOf(
  { base, index, displacementWidth, ripRelative }: AssemblyMemory,
  asked: Width | 0,
  codeSize: CodeSize,
): Width {
  const register = base ?? index;
  if (register !== null) return register.width as Width;
  // In 64-bit code a keyword says how long the displacement is, elsewhere what the address is.
  if (codeSize === 64 || ripRelative || displacementWidth === 64) return 64;
  return displacementWidth > 8 ? (displacementWidth as 16 | 32) : asked || codeSize;
}

/** Collects the fields of one encoding and writes them out. */
class Encoding {
  private readonly row: Row;
  private readonly operands: readonly AssemblyOperand[];
  private readonly prefixes: AssemblyPrefixes;
  private readonly place: CodePlace;
  private rex = 0;
  private rexForbidden = false;
  /** Bits of addresses, as a memory operand or a prefix says; 0 if nothing does. */
  private addressWidth: Width | 0;
  private segment: number;
  private opcodeRegister = 0;
  private vexRegister = 0;
  private modrm = 0;
  private readonly tail: number[] = [];
  /** For each operand the field with its number, counted from the first byte of the tail. */
  private readonly fields: (EncodedField | null)[];
  private ripRelativeAt = -1;
  private problem: string | null = null;

  constructor(
    row: Row,
    operands: readonly AssemblyOperand[],
    prefixes: AssemblyPrefixes,
    place: CodePlace,
  ) {
    this.row = row;
    this.operands = operands;
    this.prefixes = prefixes;
    this.place = place;
    this.segment = prefixes.segment;
    this.addressWidth = prefixes.addressWidth === 0 ? row.addressWidth : prefixes.addressWidth;
    this.fields = operands.map(() => null);
  }

  encode(): Encoded {
    const { row } = this;
    const { pattern } = row;
    const isAskedFor = row.width === 0 && this.prefixes.operandWidth === 64;
    const isDefault = row.operandSize !== undefined && row.operandSize !== 'dword';
    if ((row.width === 64 && !isDefault) || isAskedFor) this.rex |= 0x48;
    if (pattern.modrm === 'digit') this.modrm = pattern.modrmValue << 3;
    else if (pattern.modrm === 'fixed') this.modrm = pattern.modrmValue;
    for (const prefix of this.prefixes.extra ?? []) if (isRex(prefix)) this.rex |= prefix;
    // ModR/M and what follows it come before immediates, whatever the order of the operands.
    this.eachOperand((operand, spec, i) => this.placeRegisterOrMemory(operand, spec, i));
    this.eachOperand((operand, spec, i) => this.placeNumber(operand, spec, i));
    if (pattern.suffix >= 0) this.tail.push(pattern.suffix);
    if (this.rex !== 0 && this.rexForbidden) {
      return failure('AH, BH, CH and DH cannot be used with a REX prefix');
    }
    if (this.problem !== null) return failure(this.problem);
    const head = this.head();
    this.eachOperand((operand, spec, i) => this.placeRelative(operand, spec, i, head.length));
    if (this.ripRelativeAt >= 0) this.fixRipRelative(head.length);
    if (this.problem !== null) return failure(this.problem);
    const bytes = Uint8Array.from([...head, ...this.tail]);
    const fields = this.fields.map((field) =>
      field === null ? null : { ...field, at: field.at + head.length },
    );
    return { kind: 'bytes', bytes, row, fields };
  }

  private eachOperand(
    place: (operand: AssemblyOperand, spec: OperandSpec, index: number) => void,
  ): void {
    this.row.operands.forEach((spec, i) => {
      place(this.operands[i], spec, i);
    });
  }

  /** Prefixes, opcode and ModR/M. */
  private head(): number[] {
    const { pattern } = this.row;
    const bytes = this.legacyPrefixes();
    if (pattern.vex) bytes.push(...this.vexPrefix());
    else {
      if (pattern.mandatoryPrefix > 0) bytes.push(pattern.mandatoryPrefix);
      if (this.rex !== 0) bytes.push(this.rex | 0x40);
      if (pattern.map > 0) bytes.push(0x0f);
      if (pattern.map > 1) bytes.push(pattern.map === 2 ? 0x38 : 0x3a);
    }
    bytes.push(pattern.opcode | this.opcodeRegister);
    if (pattern.modrm !== 'none') bytes.push(this.modrm);
    return bytes;
  }

  private legacyPrefixes(): number[] {
    const { row, prefixes, addressWidth } = this;
    const { codeSize } = this.place;
    const repeat = prefixes.repeat === 'none' ? [] : [prefixes.repeat === 'rep' ? 0xf3 : 0xf2];
    const lock = prefixes.lock ? [0xf0] : [];
    const segment = this.segment >= 0 ? [SEGMENT_PREFIXES[this.segment]] : [];
    const width = row.width === 0 ? prefixes.operandWidth || this.suffixWidth() : row.width;
    // What is asked for in so many words is written, even if it says nothing (66 C3).
    const isFree = row.width === 0 || /^(native|dword)$/.test(row.operandSize ?? '');
    const isAsked = isFree && prefixes.operandWidth === (codeSize === 16 ? 32 : 16);
    const operand = isAsked || takesOperandPrefix(row, width, codeSize) ? [0x66] : [];
    const address = addressWidth !== 0 && addressWidth !== codeSize ? [0x67] : [];
    const extra = (prefixes.extra ?? []).filter((prefix) => !isRex(prefix));
    const extraOf = (...bytes: number[]) => extra.filter((prefix) => bytes.includes(prefix));
    return prefixes.order === 'gnu'
      ? [
          ...extraOf(...SEGMENT_PREFIXES),
          ...segment,
          ...(address.length > 0 ? address : extraOf(0x67)),
          ...extraOf(0x66),
          ...operand,
          ...extraOf(0xf2),
          ...repeat,
          ...lock,
        ]
      : [...repeat, ...lock, ...segment, ...operand, ...address];
  }

  /** What a suffix says of a row that has every operand size: `retw`, `lgdtl`. */
  private suffixWidth(): Width | 0 {
    const { suffix } = this.prefixes;
    const isFree = this.row.operands.every(
      ({ registerWidth, memoryWidth }) => registerWidth === 0 && memoryWidth <= 0,
    );
    return this.place.codeSize !== 64 && suffix !== undefined && isFree ? suffix : 0;
  }

  /** In three bytes, of which the two-byte form could not name map, X, B or W. */
  private vexPrefix(): number[] {
    const { map, mandatoryPrefix } = this.row.pattern;
    const prefix = [0, 0x66, 0xf3, 0xf2].indexOf(mandatoryPrefix);
    const last = ((~this.vexRegister & 15) << 3) | prefix;
    if (map === 1 && (this.rex & 11) === 0) return [0xc5, ((~this.rex & 4) << 5) | last];
    return [0xc4, ((~this.rex & 7) << 5) | map, ((this.rex & 8) << 4) | last];
  }

  private placeRegisterOrMemory(operand: AssemblyOperand, spec: OperandSpec, index: number): void {
    if (operand.kind === 'register') this.placeRegister(operand.register, spec);
    else if (operand.kind === 'memory') {
      if (operand.segment >= 0) this.segment = operand.segment;
      const { codeSize } = this.place;
      const width = addressWidthOf(operand, this.addressWidth, codeSize);
      const at = this.tail.length;
      if (this.addressWidth !== 0 && this.addressWidth !== width) {
        this.problem = `prefix a${this.addressWidth} does not go with this address`;
      } else if (width === 16 && codeSize === 64) {
        this.problem = '16-bit addresses do not exist in 64-bit mode';
      } else {
        this.addressWidth = width;
        if (spec.place === 'moffs') this.number(operand.displacement, width / 8);
        else this.placeMemory(operand, width);
      }
      const lengthBytes = this.tail.length - at;
      // A SIB byte is no part of the displacement.
      const hasSib = (this.modrm & 7) === 4 && width !== 16 && spec.place !== 'moffs' ? 1 : 0;
      this.fields[index] = { at: at + hasSib, lengthBytes: lengthBytes - hasSib };
    }
  }

  private placeRegister(register: RegisterName, spec: OperandSpec): void {
    if (spec.place === 'implied') return;
    let { number } = register;
    if (register.class === 'general' && register.width === 8) {
      if (register.high) {
        number += 4;
        this.rexForbidden = true;
      } else if (number >= 4 && number < 8) this.rex |= 0x40;
    }
    if (spec.place === 'vvvv') this.vexRegister = number;
    else if (spec.place === 'reg') {
      this.modrm |= (number & 7) << 3;
      this.rex |= number >= 8 ? 0x44 : 0;
    } else if (spec.place === 'opcode') {
      this.opcodeRegister = number & 7;
      this.rex |= number >= 8 ? 0x41 : 0;
    } else {
      this.modrm |= 0xc0 | (number & 7);
      this.rex |= number >= 8 ? 0x41 : 0;
    }
  }

  private placeMemory(given: AssemblyMemory, width: Width): void {
    if (width === 16) {
      this.placeMemory16(given);
      return;
    }
    const memory = given.exact ? given : arrange(given);
    const { base, index, displacement } = memory;
    if (width < 32 || (base !== null && index !== null && index.width !== base.width)) {
      this.problem = 'registers of an address must have the same width';
      return;
    }
    if (index?.number === Gpr.RSP) {
      this.problem = 'RSP cannot be an index';
      return;
    }
    if (!isSigned32(displacement) && !(width === 32 && displacement.high === 0)) {
      if (!(given.ripRelative || given.relocatable)) {
        this.problem = 'displacement does not fit 32 bits';
        return;
      }
    }
    if (memory.ripRelative) {
      this.modrm |= 0x05;
      this.ripRelativeAt = this.tail.length;
      this.number(displacement, 4);
      return;
    }
    if (base === null) {
      // Without SIB this is relative to RIP in 64-bit mode.
      if (index === null && this.place.codeSize !== 64) this.modrm |= 0x05;
      else {
        this.modrm |= 0x04;
        this.sib(5, index, memory.scale);
      }
      this.number(displacement, 4);
      return;
    }
    const bytes = displacementBytes(memory, base);
    this.modrm |= bytes === 0 ? 0 : bytes === 1 ? 0x40 : 0x80;
    this.rex |= base.number >= 8 ? 0x41 : 0;
    if (index === null && (base.number & 7) !== Gpr.RSP) this.modrm |= base.number & 7;
    else {
      this.modrm |= 0x04;
      this.sib(base.number & 7, index, memory.scale);
    }
    this.number(displacement, bytes);
  }

  /** SDM 2, "16-Bit Addressing Forms with the ModR/M Byte". */
  private placeMemory16({ base, index, scale, ...rest }: AssemblyMemory): void {
    const { displacement, displacementWidth, relocatable } = rest;
    const registers = [base, index].filter((register) => register !== null);
    const numbers = registers.map(({ number }) => number).sort((a, b) => a - b);
    const form = FORMS_16[numbers.join()];
    if (form === undefined || scale !== 1 || registers.some(({ width }) => width !== 16)) {
      this.problem = 'a 16-bit address is BX or BP plus SI or DI, or one of the four';
      return;
    }
    if (!relocatable && (displacement.lt(-0x8000) || displacement.gt(0xffff))) {
      this.problem = 'displacement does not fit 16 bits';
      return;
    }
    const signed = (displacement.low << 16) >> 16;
    const isShort = signed >= -128 && signed <= 127;
    let bytes = isShort ? 1 : 2;
    if (registers.length === 0 || displacementWidth === 16 || relocatable) bytes = 2;
    else if (displacementWidth === 8) bytes = 1;
    else if (signed === 0 && form !== BP_ALONE) bytes = 0;
    // No register is BP without a displacement.
    const mod = registers.length === 0 ? 0 : bytes;
    this.modrm |= (mod << 6) | form;
    this.number(displacement, bytes);
  }

  private sib(base: number, index: RegisterName | null, scale: number): void {
    const number = index === null ? Gpr.RSP : index.number;
    this.rex |= number >= 8 ? 0x42 : 0;
    this.tail.push((Math.log2(scale) << 6) | ((number & 7) << 3) | base);
  }

  private placeNumber(operand: AssemblyOperand, spec: OperandSpec, index: number): void {
    const at = this.tail.length;
    const lengthBytes = spec.immediateWidth / 8;
    if (operand.kind === 'number' && spec.place === 'immediate') {
      this.number(operand.value, lengthBytes);
    } else if (operand.kind === 'pointer' && spec.place === 'pointer') {
      this.number(operand.offset, lengthBytes);
      this.number(operand.selector, 2);
    } else return;
    this.fields[index] = { at, lengthBytes };
  }

  private placeRelative(
    operand: AssemblyOperand,
    spec: OperandSpec,
    index: number,
    headBytes: number,
  ): void {
    if (operand.kind !== 'number' || spec.place !== 'relative') return;
    const field = spec.immediateWidth;
    const lengthBytes = field / 8;
    const end = this.place.address.add(headBytes + lengthBytes);
    const distance = operand.value.sub(end);
    // Where a whole segment is in reach, distances go round its end.
    const isRound = field > 8 && this.place.codeSize !== 64;
    const reach = isRound ? 2 ** field : 2 ** (field - 1);
    if (distance.lt(-reach) || distance.ge(reach)) {
      this.problem =
        field === 8
          ? `target is ${distance} bytes away; a short branch reaches -128 to 127`
          : `target is ${distance} bytes away, beyond ${field === 16 ? '64 KiB' : '2 GiB'}`;
    }
    this.fields[index] = { at: this.tail.length, lengthBytes };
    this.number(distance, lengthBytes);
  }

  /** Turn the address at `ripRelativeAt` into a distance from the end of the instruction. */
  private fixRipRelative(headBytes: number): void {
    const memory = this.operands.find((operand) => operand.kind === 'memory');
    if (memory === undefined || (memory.exact && !memory.relocatable)) return;
    const end = this.place.address.add(headBytes + this.tail.length);
    const distance = memory.displacement.sub(end);
    if (!isSigned32(distance)) this.problem = 'address is out of reach for RIP-relative addressing';
    for (let i = 0; i < 4; i++)
      this.tail[this.ripRelativeAt + i] = (distance.low >>> (8 * i)) & 255;
  }

  private number(value: Long, bytes: number): void {
    for (let i = 0; i < bytes; i++) {
      this.tail.push(((i < 4 ? value.low : value.high) >>> (8 * (i & 3))) & 255);
    }
  }
}

function failure(message: string): Encoded {
  return { kind: 'error', message, expected: [] };
}

export function isRex(prefix: number): boolean {
  return prefix >> 4 === 4;
}

const SEGMENT_PREFIXES: readonly number[] = (() => {
  const prefixes: number[] = [];
  prefixes[Segment.ES] = 0x26;
  prefixes[Segment.CS] = 0x2e;
  prefixes[Segment.SS] = 0x36;
  prefixes[Segment.DS] = 0x3e;
  prefixes[Segment.FS] = 0x64;
  prefixes[Segment.GS] = 0x65;
  return prefixes;
})();

/** ModRM.rm by the registers of a 16-bit address, in ascending order; none is a displacement. */
const FORMS_16: Readonly<Record<string, number>> = {
  [[Gpr.RBX, Gpr.RSI].join()]: 0,
  [[Gpr.RBX, Gpr.RDI].join()]: 1,
  [[Gpr.RBP, Gpr.RSI].join()]: 2,
  [[Gpr.RBP, Gpr.RDI].join()]: 3,
  [[Gpr.RSI].join()]: 4,
  [[Gpr.RDI].join()]: 5,
  [[Gpr.RBP].join()]: 6,
  [[Gpr.RBX].join()]: 7,
  '': 6,
};

/** The form of BP alone, which always takes a displacement. */
const BP_ALONE = 6;

/** Rearrange an address as NASM does: RSP cannot be an index, and a lone index becomes a base. */
function arrange(memory: AssemblyMemory): AssemblyMemory {
  const { base, index, scale } = memory;
  if (index === null) return memory;
  if (base === null) {
    if (scale === 1) return { ...memory, base: index, index: null };
    if (scale === 2 && index.number !== Gpr.RSP) return { ...memory, base: index, scale: 1 };
    return memory;
  }
  if (scale === 1 && index.number === Gpr.RSP) return { ...memory, base: index, index: base };
  return memory;
}

/** 0, 1 or 4. A base of RBP or R13 always takes a displacement. */
function displacementBytes(memory: AssemblyMemory, base: RegisterName): number {
  const { displacement, displacementWidth, relocatable } = memory;
  if (displacementWidth === 8) return 1;
  if (displacementWidth === 32 || relocatable) return 4;
  const signed = base.width === 32 ? Long.fromInt(displacement.low) : displacement;
  if (signed.isZero() && (base.number & 7) !== Gpr.RBP) return 0;
  return signed.ge(-128) && signed.le(127) ? 1 : 4;
}

function isSigned32(value: Long): boolean {
  return value.high === value.low >> 31;
}

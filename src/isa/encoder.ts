// From a mnemonic and operands to bytes: of all rows that fit, the shortest encoding, and among
// equals the first in the table, which is what NASM chooses. For 64-bit mode.

import Long from 'long';
import { type AssemblyMemory, type AssemblyOperand, fits } from './assembly-operand.ts';
import { Gpr, type RegisterName, Segment, type Width } from './registers.ts';
import { type OperandSpec, type Row, syntax } from './row.ts';
import { rowsByMnemonic } from './table.ts';

/** Prefixes that assembly text can put before an instruction. */
export interface AssemblyPrefixes {
  readonly lock: boolean;
  readonly repeat: 'none' | 'rep' | 'repne';
  /** Segment override number, or -1. */
  readonly segment: number;
  /** `o16`, `o32`, `o64`, or 0. */
  readonly operandWidth: Width | 0;
  /** `a32`, `a64`, or 0. */
  readonly addressWidth: Width | 0;
  /** Prefixes besides those that the operands ask for, each as it is encoded. */
  readonly extra?: readonly number[];
  /** What a suffix of the mnemonic says that the instruction works on, if it has one. */
  readonly suffix?: Width;
  /** Whose order prefixes come in, NASM's if nothing is said. The processor takes any. */
  readonly order?: 'gnu';
}

export const NO_PREFIXES: AssemblyPrefixes = {
  lock: false,
  repeat: 'none',
  segment: -1,
  operandWidth: 0,
  addressWidth: 0,
};

export type Encoded =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly row: Row }
  /** `expected` lists the operand forms that the mnemonic has. */
  | { readonly kind: 'error'; readonly message: string; readonly expected: readonly string[] };

/**
 * Encode one instruction.
 * @param mnemonic in upper case
 * @param address where the instruction will stand, for relative operands
 */
export function encode(
  mnemonic: string,
  operands: readonly AssemblyOperand[],
  prefixes: AssemblyPrefixes,
  address: Long,
): Encoded {
  const rows = rowsByMnemonic(mnemonic, 64);
  if (rows.length === 0) return failure(`unknown instruction '${mnemonic.toLowerCase()}'`, []);
  const matching = rows.filter((row) => matches(row, operands, prefixes));
  if (matching.length === 0) return explain(rows, operands, prefixes);
  if (sizeIsOpen(rows, operands, prefixes)) {
    const size = 'byte, word, dword or qword before the operand';
    return failure('operation size not specified', [
      prefixes.order === 'gnu'
        ? 'a suffix b, w, l or q; in Intel syntax dword ptr and so on'
        : size,
    ]);
  }
  let best: Encoded | null = null;
  for (const row of preferred(matching, operands)) {
    const encoded = new Encoding(row, operands, prefixes, address).encode();
    if (best === null || isShorter(encoded, best)) best = encoded;
  }
  return best as Encoded;
}

function failure(message: string, expected: readonly string[]): Encoded {
  return { kind: 'error', message, expected };
}

function isShorter(candidate: Encoded, than: Encoded): boolean {
  if (candidate.kind === 'error') return false;
  return than.kind === 'error' || candidate.bytes.length < than.bytes.length;
}

function matches(
  row: Row,
  operands: readonly AssemblyOperand[],
  prefixes: AssemblyPrefixes,
): boolean {
  if (row.operands.length !== operands.length) return false;
  if (prefixes.operandWidth !== 0 && !takesOperandWidth(row, prefixes.operandWidth)) return false;
  const addressWidth = prefixes.addressWidth === 0 ? row.addressWidth : prefixes.addressWidth;
  if (row.addressWidth !== 0 && row.addressWidth !== addressWidth) return false;
  const { suffix } = prefixes;
  if (suffix !== undefined && !worksOn(row, suffix)) return false;
  if (row.width === 16 && suffix !== 16 && !saysSixteen(row, operands)) return false;
  if (row.operandSize === 'default64' && row.width === 64 && operands.some(isWordNumber))
    return false;
  return row.operands.every((_, i) => operandFits(row, i, operands[i]));
}

/** Whether a suffix can mean the row: rows without a width of their own go by their operands. */
function worksOn(row: Row, suffix: Width): boolean {
  if (row.mnemonic === 'CRC32') {
    const source = row.operands[1];
    return source?.memoryWidth === suffix;
  }
  if (row.width !== 0) return row.width === suffix;
  const widths = row.operands.flatMap(({ registerWidth, memoryWidth, fixed }) =>
    [registerWidth, memoryWidth, fixed?.width ?? 0].filter((width) => width > 0),
  );
  return widths.length === 0 ? suffix === 64 : widths.includes(suffix);
}

function operandFits(row: Row, index: number, operand: AssemblyOperand): boolean {
  const spec = row.operands[index];
  if (fits(operand, spec, operationWidth(row))) return true;
  // A count or bit number of 8 bits (SHL, BT) is not extended, and may be any byte.
  return operand.kind === 'number' && spec.immediateWidth === 8 && !isExtended(row, index)
    ? fits(operand, { ...spec, unsigned: true }, 8)
    : false;
}

/** Whether a byte at `index` is short for a number as wide as the operation. */
function isExtended(row: Row, index: number): boolean {
  return rowsByMnemonic(row.mnemonic).some((other) => {
    const spec = other.operands[index];
    return spec?.place === 'immediate' && spec.immediateWidth > 8;
  });
}

/** Whether `o16`, `o32` or `o64` can stand before the row without making something else of it. */
function takesOperandWidth(row: Row, width: Width): boolean {
  // What is 64 bits wide without REX.W would get one all the same.
  if (row.width !== 0) {
    return row.width === width && (!isWideByDefault(row) || row.operands.length > 0);
  }
  if (width === 64) return row.operands.length === 0;
  return row.operands.every(({ registerWidth, memoryWidth, fixed }) =>
    [registerWidth, memoryWidth, fixed?.width ?? 0].every((own) => own <= 8 || own === width),
  );
}

/**
 * A 16-bit form without a register or memory operand has to be asked for (`push word 5`), unless
 * the mnemonic has no other (PUSHFW).
 */
function saysSixteen(row: Row, operands: readonly AssemblyOperand[]): boolean {
  if (row.operandSize !== 'default64') return true;
  if (rowsByMnemonic(row.mnemonic).every(({ width }) => width === 16)) return true;
  return operands.some((operand) => operand.kind !== 'number' || operand.width === 16);
}

/** 64 bits wide in 64-bit mode without REX.W. */
function isWideByDefault({ operandSize }: Row): boolean {
  return operandSize !== undefined && operandSize !== 'dword';
}

function isWordNumber(operand: AssemblyOperand): boolean {
  return operand.kind === 'number' && operand.width === 16;
}

function operationWidth(row: Row): Width {
  const first = row.operands[0];
  if (first !== undefined && row.width === 0) {
    const width = first.fixed?.width ?? (first.registerWidth || first.memoryWidth);
    if (width > 0 && width < 128) return width as Width;
    if (first.place === 'immediate') return first.immediateWidth || 64;
  }
  return row.width === 0 ? 64 : row.width;
}

/**
 * A memory operand without size fits rows of several sizes, and nothing else decides. A number does
 * not: that it fits one size only is chance.
 */
function sizeIsOpen(
  rows: readonly Row[],
  operands: readonly AssemblyOperand[],
  prefixes: AssemblyPrefixes,
): boolean {
  const at = operands.findIndex((operand) => operand.kind === 'memory' && operand.width === 0);
  if (at < 0) return false;
  const zeroed = operands.map((operand) =>
    operand.kind === 'number' ? { ...operand, value: Long.ZERO } : operand,
  );
  const fitting = rows.filter((row) => matches(row, zeroed, prefixes));
  const widths = new Set(fitting.map((row) => row.operands[at]?.memoryWidth));
  return widths.size > 1;
}

/** For a relocatable number only the rows with the widest field are safe. */
function preferred(rows: readonly Row[], operands: readonly AssemblyOperand[]): readonly Row[] {
  const at = operands.findIndex((operand) => operand.kind === 'number' && operand.relocatable);
  if (at < 0) return rows;
  const field = (row: Row) => row.operands[at]?.immediateWidth ?? 0;
  const widest = Math.max(...rows.map(field));
  const isBranch = rows.some((row) => row.operands[at]?.place === 'relative');
  return isBranch ? rows : rows.filter((row) => field(row) === widest);
}

/** Why no row fits, as closely as the operands allow, and the forms that come nearest. */
function explain(
  rows: readonly Row[],
  operands: readonly AssemblyOperand[],
  prefixes: AssemblyPrefixes,
): Encoded {
  const forms = (of: readonly Row[]) => [...new Set(of.map(syntax))];
  const unprefixed = rows.filter((row) => matches(row, operands, NO_PREFIXES));
  if (unprefixed.length > 0 && prefixes !== NO_PREFIXES) {
    const what = prefixes.suffix === undefined ? 'a prefix' : 'the suffix';
    return failure(`${what} does not go with these operands`, []);
  }
  const sameCount = rows.filter((row) => row.operands.length === operands.length);
  const outOfRange = sameCount.filter((row) => fitsButForNumbers(row, operands));
  if (outOfRange.length > 0) return failure('number does not fit the operand', forms(outOfRange));
  const message = 'invalid combination of instruction and operands';
  if (sameCount.length === 0) return failure(message, forms(rows));
  const fitting = sameCount.map((row) => fittingOperands(row, operands));
  const most = Math.max(...fitting);
  return failure(message, forms(sameCount.filter((_, i) => fitting[i] === most)));
}

/** How many operands fit; the first, which says most about what is meant, counts double. */
function fittingOperands(row: Row, operands: readonly AssemblyOperand[]): number {
  let fitting = 0;
  row.operands.forEach((_, i) => {
    if (operandFits(row, i, operands[i])) fitting += i === 0 ? 2 : 1;
  });
  return fitting;
}

function fitsButForNumbers(row: Row, operands: readonly AssemblyOperand[]): boolean {
  const operation = operationWidth(row);
  return row.operands.every((spec, i) => {
    const operand = operands[i];
    if (operand.kind === 'number' && spec.place === 'immediate') return true;
    return fits(operand, spec, operation);
  });
}

/** Collects the fields of one encoding and writes them out. */
class Encoding {
  private readonly row: Row;
  private readonly operands: readonly AssemblyOperand[];
  private readonly prefixes: AssemblyPrefixes;
  private readonly address: Long;
  private rex = 0;
  private rexForbidden = false;
  private addressPrefix = false;
  private segment: number;
  private opcodeRegister = 0;
  private vexRegister = 0;
  private modrm = 0;
  private readonly tail: number[] = [];
  private ripRelativeAt = -1;
  private problem: string | null = null;

  constructor(
    row: Row,
    operands: readonly AssemblyOperand[],
    prefixes: AssemblyPrefixes,
    address: Long,
  ) {
    this.row = row;
    this.operands = operands;
    this.prefixes = prefixes;
    this.address = address;
    this.segment = prefixes.segment;
  }

  encode(): Encoded {
    const { row } = this;
    const { pattern } = row;
    const isAskedFor = row.width === 0 && this.prefixes.operandWidth === 64;
    if ((row.width === 64 && !isWideByDefault(row)) || isAskedFor) this.rex |= 0x48;
    if (pattern.modrm === 'digit') this.modrm = pattern.modrmValue << 3;
    else if (pattern.modrm === 'fixed') this.modrm = pattern.modrmValue;
    for (const prefix of this.prefixes.extra ?? []) if (isRex(prefix)) this.rex |= prefix;
    // ModR/M and what follows it come before immediates, whatever the order of the operands.
    this.eachOperand((operand, spec) => this.placeRegisterOrMemory(operand, spec));
    this.eachOperand((operand, spec) => this.placeNumber(operand, spec));
    if (pattern.suffix >= 0) this.tail.push(pattern.suffix);
    if (this.rex !== 0 && this.rexForbidden) {
      return failure('AH, BH, CH and DH cannot be used with a REX prefix', []);
    }
    if (this.problem !== null) return failure(this.problem, []);
    const head = this.head();
    this.eachOperand((operand, spec) => this.placeRelative(operand, spec, head.length));
    if (this.ripRelativeAt >= 0) this.fixRipRelative(head.length);
    if (this.problem !== null) return failure(this.problem, []);
    return { kind: 'bytes', bytes: Uint8Array.from([...head, ...this.tail]), row };
  }

  private eachOperand(place: (operand: AssemblyOperand, spec: OperandSpec) => void): void {
    this.row.operands.forEach((spec, i) => {
      place(this.operands[i], spec);
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
    const { row, prefixes } = this;
    const repeat = prefixes.repeat === 'none' ? [] : [prefixes.repeat === 'rep' ? 0xf3 : 0xf2];
    const lock = prefixes.lock ? [0xf0] : [];
    const segment = this.segment >= 0 ? [SEGMENT_PREFIXES[this.segment]] : [];
    const isWord = row.width === 16 || (row.width === 0 && prefixes.operandWidth === 16);
    const operand = isWord ? [0x66] : [];
    const rowAddress = row.addressWidth === 32 && prefixes.addressWidth === 0;
    const isNarrow = prefixes.addressWidth === 32 || rowAddress || this.addressPrefix;
    const address = isNarrow ? [0x67] : [];
    const extra = (prefixes.extra ?? []).filter((prefix) => !isRex(prefix));
    const extraOf = (...bytes: number[]) => extra.filter((prefix) => bytes.includes(prefix));
    return prefixes.order === 'gnu'
      ? [
          ...extraOf(...SEGMENT_PREFIXES),
          ...segment,
          ...(isNarrow ? address : extraOf(0x67)),
          ...extraOf(0x66),
          ...operand,
          ...extraOf(0xf2),
          ...repeat,
          ...lock,
        ]
      : [...repeat, ...lock, ...segment, ...operand, ...address];
  }

  /** In three bytes, of which the two-byte form could not name map, X, B or W. */
  private vexPrefix(): number[] {
    const { map, mandatoryPrefix } = this.row.pattern;
    const prefix = [0, 0x66, 0xf3, 0xf2].indexOf(mandatoryPrefix);
    const last = ((~this.vexRegister & 15) << 3) | prefix;
    if (map === 1 && (this.rex & 11) === 0) return [0xc5, ((~this.rex & 4) << 5) | last];
    return [0xc4, ((~this.rex & 7) << 5) | map, ((this.rex & 8) << 4) | last];
  }

  private placeRegisterOrMemory(operand: AssemblyOperand, spec: OperandSpec): void {
    if (operand.kind === 'register') this.placeRegister(operand.register, spec);
    else if (operand.kind === 'memory') {
      if (operand.segment >= 0) this.segment = operand.segment;
      if (spec.place === 'moffs') this.number(operand.displacement, 8);
      else this.placeMemory(operand);
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

  private placeMemory(given: AssemblyMemory): void {
    const memory = given.exact ? given : arrange(given);
    const { base, index, displacement } = memory;
    const width = base?.width ?? index?.width;
    if (width !== undefined && (width < 32 || (index !== null && index.width !== width))) {
      this.problem = 'registers of an address must both have 64 or both 32 bits';
      return;
    }
    if (index?.number === Gpr.RSP) {
      this.problem = 'RSP cannot be an index';
      return;
    }
    if (width === 32) this.addressPrefix = true;
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
      this.modrm |= 0x04;
      this.sib(5, index, memory.scale);
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

  private sib(base: number, index: RegisterName | null, scale: number): void {
    const number = index === null ? Gpr.RSP : index.number;
    this.rex |= number >= 8 ? 0x42 : 0;
    this.tail.push((Math.log2(scale) << 6) | ((number & 7) << 3) | base);
  }

  private placeNumber(operand: AssemblyOperand, spec: OperandSpec): void {
    if (operand.kind !== 'number' || spec.place !== 'immediate') return;
    this.number(operand.value, spec.immediateWidth / 8);
  }

  private placeRelative(operand: AssemblyOperand, spec: OperandSpec, headBytes: number): void {
    if (operand.kind !== 'number' || spec.place !== 'relative') return;
    const bytes = spec.immediateWidth / 8;
    const end = this.address.add(headBytes + bytes);
    const distance = operand.value.sub(end);
    const reach = 2 ** (spec.immediateWidth - 1);
    if (distance.lt(-reach) || distance.ge(reach)) {
      this.problem =
        spec.immediateWidth === 8
          ? `target is ${distance} bytes away; a short branch reaches -128 to 127`
          : `target is ${distance} bytes away, beyond 2 GiB`;
    }
    this.number(distance, bytes);
  }

  /** Turn the address at `ripRelativeAt` into a distance from the end of the instruction. */
  private fixRipRelative(headBytes: number): void {
    const memory = this.operands.find((operand) => operand.kind === 'memory');
    if (memory === undefined || (memory.exact && !memory.relocatable)) return;
    const end = this.address.add(headBytes + this.tail.length);
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

function isRex(prefix: number): boolean {
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

// From bytes to an instruction, by the rows of the table.
// SDM 2, "Instruction Format". Does not fetch: the caller hands over bytes that it may read.

import Long from 'long';
import type { Instruction, MemoryOperand, Operand, Repeat } from './instruction.ts';
import {
  type CodeSize,
  Gpr,
  type MemoryWidth,
  type RegisterClass,
  type RegisterName,
  Segment,
  type Width,
} from './registers.ts';
import type { OperandSpec, Row } from './row.ts';
import { rowsByOpcode } from './table.ts';
import { isUndefinedExtension, isUndefinedOpcode } from './undefined.ts';

/** An instruction longer than this raises #GP(0). */
export const MAX_INSTRUCTION_BYTES = 15;

export type Decoded =
  | { readonly kind: 'instruction'; readonly instruction: Instruction }
  /** Not an instruction on any processor: #UD. */
  | { readonly kind: 'undefined' }
  /** An instruction of real processors that the table does not have. */
  | { readonly kind: 'unimplemented' }
  /** The bytes end before the instruction does. */
  | { readonly kind: 'truncated' }
  /** More than 15 bytes: #GP(0). */
  | { readonly kind: 'tooLong' };

const UNDEFINED: Decoded = { kind: 'undefined' };
const UNIMPLEMENTED: Decoded = { kind: 'unimplemented' };

/** Thrown inside the decoder when bytes run out, and caught in {@link decode}. */
const OUT_OF_BYTES = { kind: 'truncated' } as const;

/** Prefixes and position while an instruction is being decoded. */
interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  /** The last of F2 and F3, or 0. */
  repeat: number;
  segment: number;
  /** The REX byte, or one that says the same as the VEX prefix, or 0. */
  rex: number;
  vex: Vex | null;
}

/** What a VEX prefix says beside what REX says. SDM 2, "The VEX Prefix". */
interface Vex {
  readonly map: number;
  /** 66, F3, F2 or 0. */
  readonly mandatoryPrefix: number;
  /** Number of the register, already inverted. */
  readonly register: number;
  readonly isLong: boolean;
}

const VEX_PREFIXES = [0, 0x66, 0xf3, 0xf2];

/**
 * Decode the instruction that starts at `bytes[start]`; bytes from `end` on may not be looked at.
 * The result depends on the bytes and the code size only.
 */
export function decode(bytes: Uint8Array, start: number, end: number, codeSize: CodeSize): Decoded {
  const limit = Math.min(end, start + MAX_INSTRUCTION_BYTES);
  try {
    return new Decoder(bytes, start, limit, codeSize).decode();
  } catch (thrown) {
    if (thrown !== OUT_OF_BYTES) throw thrown;
    return limit === start + MAX_INSTRUCTION_BYTES ? { kind: 'tooLong' } : OUT_OF_BYTES;
  }
}

class Decoder {
  private readonly bytes: Uint8Array;
  private readonly start: number;
  private readonly end: number;
  private readonly codeSize: CodeSize;
  private at: number;
  private readonly prefixes: Prefixes = {
    operandSize: false,
    addressSize: false,
    lock: false,
    repeat: 0,
    segment: -1,
    rex: 0,
    vex: null,
  };
  private modrm = -1;

  constructor(bytes: Uint8Array, start: number, end: number, codeSize: CodeSize) {
    this.bytes = bytes;
    this.start = start;
    this.at = start;
    this.end = end;
    this.codeSize = codeSize;
  }

  decode(): Decoded {
    let opcode = this.readPrefixes();
    if ((opcode === 0xc4 || opcode === 0xc5) && this.isVex()) return this.decodeVex(opcode);
    let map = 0;
    if (opcode === 0x0f) {
      opcode = this.byte();
      map = 1;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        opcode = this.byte();
      }
    }
    const candidates = rowsByOpcode(this.codeSize, map, opcode);
    const row = candidates.find((candidate) => this.matches(candidate, opcode));
    if (row === undefined) return this.unmatched(map, opcode);
    return this.assemble(row, opcode);
  }

  /** Outside 64-bit mode C4 and C5 are LES and LDS if what follows is a ModR/M with memory. */
  private isVex(): boolean {
    return this.codeSize === 64 || this.peek() >= 0xc0;
  }

  /**
   * A VEX prefix takes the place of 66, F2, F3 and REX, which may not stand before it. Outside
   * 64-bit mode B, W and the highest bit of vvvv do not count; R and X are what makes it VEX.
   */
  private decodeVex(first: number): Decoded {
    const { prefixes } = this;
    const isWide = this.codeSize === 64;
    const second = this.byte();
    const map = first === 0xc4 ? second & 31 : 1;
    if (map < 1 || map > 3) return UNDEFINED;
    const third = first === 0xc4 ? this.byte() : second;
    const opcode = this.byte();
    const isVoid = prefixes.operandSize || prefixes.lock || prefixes.repeat !== 0;
    if (isVoid || prefixes.rex !== 0) return UNDEFINED;
    const inverted = ~(first === 0xc4 ? second : second | 0x60);
    const rex = 0x40 | ((inverted >> 5) & 7) | (first === 0xc4 ? (third >> 4) & 8 : 0);
    prefixes.rex = isWide ? rex : 0;
    prefixes.vex = {
      map,
      mandatoryPrefix: VEX_PREFIXES[third & 3],
      register: (~third >> 3) & (isWide ? 15 : 7),
      isLong: (third & 4) !== 0,
    };
    const candidates = rowsByOpcode(this.codeSize, map, opcode, true);
    const row = candidates.find((candidate) => this.matches(candidate, opcode));
    if (row !== undefined) return this.assemble(row, opcode);
    // Rows that have the opcode leave nothing of it for other instructions.
    return candidates.length > 0 ? UNDEFINED : UNIMPLEMENTED;
  }

  /** Consume prefixes and return the first opcode byte. A REX not directly before it is void. */
  private readPrefixes(): number {
    const prefixes = this.prefixes;
    for (;;) {
      const byte = this.byte();
      if (byte >= 0x40 && byte <= 0x4f && this.codeSize === 64) {
        prefixes.rex = byte;
        const next = this.byte();
        if (!isLegacyPrefix(next) && (next < 0x40 || next > 0x4f)) return next;
        this.at--;
        prefixes.rex = 0;
        continue;
      }
      if (!isLegacyPrefix(byte)) return byte;
      if (byte === 0x66) prefixes.operandSize = true;
      else if (byte === 0x67) prefixes.addressSize = true;
      else if (byte === 0xf0) prefixes.lock = true;
      else if (byte >= 0xf2) prefixes.repeat = byte;
      else if (byte >= 0x64) prefixes.segment = byte === 0x64 ? Segment.FS : Segment.GS;
      // In 64-bit mode 26, 2E, 36 and 3E are ignored; an FS or GS override before them stays.
      else if (this.codeSize !== 64) prefixes.segment = (byte >> 3) & 3;
    }
  }

  private matches(row: Row, opcode: number): boolean {
    const { pattern } = row;
    const { operandSize, repeat, rex, vex } = this.prefixes;
    if (vex !== null) {
      if (vex.isLong || vex.mandatoryPrefix !== pattern.mandatoryPrefix) return false;
      if (vex.register !== 0 && row.operands.every(({ place }) => place !== 'vvvv')) return false;
    } else if (pattern.mandatoryPrefix === -1) {
      if (operandSize || repeat !== 0) return false;
    } else if (pattern.mandatoryPrefix === -2) {
      if (repeat !== 0) return false;
    } else if (pattern.mandatoryPrefix === 0x66) {
      if (!operandSize || repeat !== 0) return false;
    } else if (pattern.mandatoryPrefix !== 0) {
      if (repeat !== pattern.mandatoryPrefix) return false;
    } else if (repeat !== 0 && pattern.map >= 2) return false;
    if (pattern.noRexB && (rex & 1) !== 0) return false;
    if (row.width !== 0 && row.width !== this.operandSize(row)) return false;
    if (row.addressWidth !== 0 && row.addressWidth !== this.addressWidth) return false;
    if (pattern.modrm !== 'none' && !this.matchesModrm(row)) return false;
    return row.operands.every((spec) => this.admits(row, spec, opcode));
  }

  private matchesModrm(row: Row): boolean {
    const { modrm, modrmValue, modrmLast } = row.pattern;
    const byte = this.peek();
    if (modrm === 'fixed') return byte >= modrmValue && byte <= modrmLast;
    return modrm === 'register' || ((byte >> 3) & 7) === modrmValue;
  }

  /** Whether an operand can be what the encoding says it is. */
  private admits(row: Row, spec: OperandSpec, opcode: number): boolean {
    if (spec.place === 'opcode') return this.opcodeRegister(opcode) !== spec.excluded;
    if (spec.place === 'reg') return this.admitsRegField(spec);
    if (spec.place !== 'rm') return true;
    const isRegister = this.peek() >= 0xc0;
    if (spec.memoryWidth === -1) return isRegister || ignoresMod(row);
    return isRegister ? spec.registerWidth !== 0 : true;
  }

  private admitsRegField({ registerClass, excluded }: OperandSpec): boolean {
    const number = registerClass === 'segment' ? this.regField & 7 : this.regField;
    return registerExists(registerClass, number) && number !== excluded;
  }

  private unmatched(map: number, opcode: number): Decoded {
    const { codeSize } = this;
    if (isUndefinedOpcode(codeSize, map, opcode)) return UNDEFINED;
    const known = rowsByOpcode(this.codeSize, map, opcode);
    const modrm = this.at < this.end ? this.peek() : 0;
    if (isUndefinedExtension(codeSize, map, opcode, modrm, this.prefixes.repeat)) return UNDEFINED;
    // A register that does not exist (CR1, segment 6) or may not be used here (MOV CS) is too.
    const badRegister = known.some((row) =>
      row.operands.some((spec) => spec.place === 'reg' && !this.admitsRegField(spec)),
    );
    return badRegister ? UNDEFINED : UNIMPLEMENTED;
  }

  private assemble(row: Row, opcode: number): Decoded {
    const { lock, repeat, segment } = this.prefixes;
    if (row.pattern.modrm !== 'none') this.modrm = this.byte();
    const width = this.operationWidth(row);
    const memory = row.pattern.modrm !== 'none' && this.modrm < 0xc0 && this.hasMemory(row);
    const rm = memory ? this.memoryOperand(row) : null;
    const operands = row.operands.map((spec) => this.operand(spec, opcode, width, rm));
    if (lock && (row.lock === undefined || operands[0]?.kind !== 'memory')) return UNDEFINED;
    const lengthBytes = this.at - this.start;
    return {
      kind: 'instruction',
      instruction: {
        row,
        codeSize: this.codeSize,
        lengthBytes,
        width,
        addressWidth: this.addressWidth,
        lock,
        repeat: row.repeat === undefined ? 'none' : repeatKind(repeat),
        segmentOverride: segment,
        operands,
      },
    };
  }

  private hasMemory(row: Row): boolean {
    return row.operands.some((spec) => spec.place === 'rm' && spec.memoryWidth !== -1);
  }

  private operand(
    spec: OperandSpec,
    opcode: number,
    width: Width,
    memory: MemoryOperand | null,
  ): Operand {
    switch (spec.place) {
      case 'implied':
        if (spec.fixed === null) return immediate(width, Long.fromInt(spec.fixedNumber ?? 0));
        return registerOperand(spec.fixed);
      case 'opcode':
        return this.register(spec, this.opcodeRegister(opcode));
      case 'reg':
        return this.register(spec, this.regField);
      case 'vvvv':
        return this.register(spec, this.prefixes.vex?.register ?? 0);
      case 'rm':
        if (memory !== null) return memory;
        return this.register(spec, (this.modrm & 7) | ((this.prefixes.rex & 1) << 3));
      case 'relative': {
        const displacement = this.signed((spec.immediateWidth || 8) / 8).toInt();
        return { kind: 'relative', displacement };
      }
      case 'immediate': {
        const value = this.signed((spec.immediateWidth || 8) / 8);
        return immediate(spec.unsigned ? spec.immediateWidth || 8 : width, value);
      }
      case 'pointer': {
        const offsetWidth = spec.immediateWidth || 8;
        const offset = zeroExtend(offsetWidth, this.signed(offsetWidth / 8)).toNumber();
        return { kind: 'pointer', selector: this.signed(2).low & 0xffff, offset };
      }
      case 'moffs':
        return this.absolute(spec);
    }
  }

  private register(spec: OperandSpec, number: number): Operand {
    const width = spec.registerWidth || 64;
    const high = spec.registerClass === 'general' && width === 8 && this.isHighByte(number);
    const kept = high ? number & 3 : spec.registerClass === 'segment' ? number & 7 : number;
    return registerOperand({ class: spec.registerClass, number: kept, width, high });
  }

  private isHighByte(number: number): boolean {
    return this.prefixes.rex === 0 && number >= 4 && number < 8;
  }

  private absolute(spec: OperandSpec): MemoryOperand {
    const { addressWidth } = this;
    const displacement = zeroExtend(addressWidth, this.signed(addressWidth / 8));
    return this.memory(spec.memoryWidth, -1, -1, 0, displacement, false);
  }

  private memoryOperand(row: Row): MemoryOperand {
    const spec = row.operands.find((operand) => operand.place === 'rm');
    const width = spec === undefined || spec.memoryWidth === -1 ? 0 : spec.memoryWidth;
    if (this.addressWidth === 16) return this.shortMemoryOperand(width);
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    const { rex } = this.prefixes;
    let base = rm | ((rex & 1) << 3);
    let index = -1;
    let scale = 0;
    let ripRelative = false;
    let displacementBytes = mod === 1 ? 1 : mod === 2 ? 4 : 0;
    if (rm === 4) {
      const sib = this.byte();
      scale = sib >> 6;
      index = ((sib >> 3) & 7) | ((rex & 2) << 2);
      if (index === Gpr.RSP) index = -1;
      base = (sib & 7) | ((rex & 1) << 3);
      if ((sib & 7) === 5 && mod === 0) {
        base = -1;
        displacementBytes = 4;
      }
    } else if (rm === 5 && mod === 0) {
      base = -1;
      ripRelative = this.codeSize === 64;
      displacementBytes = 4;
    }
    const displacement = displacementBytes === 0 ? Long.ZERO : this.signed(displacementBytes);
    return this.memory(width, base, index, scale, displacement, ripRelative);
  }

  /** SDM 2, "16-Bit Addressing Forms with the ModR/M Byte". */
  private shortMemoryOperand(width: MemoryWidth | 0): MemoryOperand {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    if (mod === 0 && rm === 6) return this.memory(width, -1, -1, 0, this.signed(2), false);
    const [base, index] = SHORT_ADDRESSES[rm];
    const displacement = mod === 0 ? Long.ZERO : this.signed(mod);
    return this.memory(width, base, index, 0, displacement, false);
  }

  private memory(
    width: MemoryWidth | 0 | -1,
    base: number,
    index: number,
    scale: number,
    displacement: Long,
    ripRelative: boolean,
  ): MemoryOperand {
    const isAbsolute = base < 0 && index < 0 && this.codeSize !== 64;
    const fallback = base === Gpr.RSP || base === Gpr.RBP ? Segment.SS : Segment.DS;
    return {
      kind: 'memory',
      width: width === -1 ? 0 : width,
      segment: this.prefixes.segment < 0 ? fallback : this.prefixes.segment,
      base,
      index,
      scale,
      displacement: isAbsolute ? zeroExtend(this.addressWidth, displacement) : displacement,
      ripRelative,
      addressWidth: this.addressWidth,
    };
  }

  /** The width that the instruction works on: of its first operand, or the operand size. */
  private operationWidth(row: Row): Width {
    const first = row.operands[0];
    if (first !== undefined && row.width === 0) {
      // In halves.
      if (first.registerClass === 'xmm') return 64;
      if (first.fixed?.class === 'general') return first.fixed.width as Width;
      if (first.registerClass === 'general' && first.registerWidth !== 0)
        return first.registerWidth as Width;
      if (first.memoryWidth > 0 && first.memoryWidth < 128) return first.memoryWidth as Width;
    }
    return this.operandSize(row);
  }

  private operandSize(row: Row): Width {
    const { operandSize: rule, pattern } = row;
    const isPlain = rule !== 'dword' && pattern.mandatoryPrefix !== 0x66 && !pattern.vex;
    if (this.codeSize !== 64) {
      if (rule === 'native' || !isPlain) return 32;
      return this.prefixes.operandSize === (this.codeSize === 16) ? 32 : 16;
    }
    if (rule === 'forced64' || rule === 'native' || (this.prefixes.rex & 8) !== 0) return 64;
    if (this.prefixes.operandSize && isPlain) return 16;
    return rule === 'default64' ? 64 : 32;
  }

  private get addressWidth(): 16 | 32 | 64 {
    const { addressSize } = this.prefixes;
    if (this.codeSize === 64) return addressSize ? 32 : 64;
    return addressSize === (this.codeSize === 16) ? 32 : 16;
  }

  private get regField(): number {
    const modrm = this.modrm >= 0 ? this.modrm : this.peek();
    return ((modrm >> 3) & 7) | ((this.prefixes.rex & 4) << 1);
  }

  private opcodeRegister(opcode: number): number {
    return (opcode & 7) | ((this.prefixes.rex & 1) << 3);
  }

  private peek(): number {
    if (this.at >= this.end) throw OUT_OF_BYTES;
    return this.bytes[this.at];
  }

  private byte(): number {
    if (this.at >= this.end) throw OUT_OF_BYTES;
    return this.bytes[this.at++];
  }

  /** A little-endian signed number. */
  private signed(lengthBytes: number): Long {
    let low = 0;
    let high = 0;
    for (let i = 0; i < lengthBytes; i++) {
      const byte = this.byte();
      if (i < 4) low |= byte << (8 * i);
      else high |= byte << (8 * i - 32);
    }
    if (lengthBytes < 4) low = (low << (32 - 8 * lengthBytes)) >> (32 - 8 * lengthBytes);
    return lengthBytes === 8 ? Long.fromBits(low, high) : Long.fromInt(low);
  }
}

/** Base and index by ModR/M.rm, with addresses of 16 bits. */
const SHORT_ADDRESSES: readonly (readonly [base: number, index: number])[] = [
  [Gpr.RBX, Gpr.RSI],
  [Gpr.RBX, Gpr.RDI],
  [Gpr.RBP, Gpr.RSI],
  [Gpr.RBP, Gpr.RDI],
  [Gpr.RSI, -1],
  [Gpr.RDI, -1],
  [Gpr.RBP, -1],
  [Gpr.RBX, -1],
];

function isLegacyPrefix(byte: number): boolean {
  return (
    (byte & 0xe7) === 0x26 ||
    (byte >= 0x64 && byte <= 0x67) ||
    byte === 0xf0 ||
    byte === 0xf2 ||
    byte === 0xf3
  );
}

/** MOV to and from control and debug registers takes every ModR/M byte for a register. */
function ignoresMod(row: Row): boolean {
  return row.operands.some(
    (spec) => spec.registerClass === 'control' || spec.registerClass === 'debug',
  );
}

function repeatKind(prefix: number): Repeat {
  return prefix === 0xf3 ? 'rep' : prefix === 0xf2 ? 'repne' : 'none';
}

const CONTROL_REGISTERS = [0, 2, 3, 4, 8];

function registerExists(of: RegisterClass, number: number): boolean {
  switch (of) {
    case 'general':
      return true;
    case 'segment':
      return number < 6;
    case 'control':
      return CONTROL_REGISTERS.includes(number);
    case 'debug':
      return number < 8;
    case 'xmm':
      return true;
  }
}

/** All register operands are built here, so that they share one hidden class. */
function registerOperand(register: RegisterName): Operand {
  return {
    kind: 'register',
    class: register.class,
    number: register.number,
    width: register.width,
    high: register.high,
  };
}

function immediate(width: Width, value: Long): Operand {
  return { kind: 'immediate', width, value: zeroExtend(width, value) };
}

/** Keep the low `width` bits. */
export function zeroExtend(width: Width, value: Long): Long {
  if (width === 64) return value;
  const low = width === 32 ? value.low : value.low & ((1 << width) - 1);
  return Long.fromBits(low, 0);
}

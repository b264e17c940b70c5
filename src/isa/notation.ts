// Reads the SDM's notation. `instruction(...)` takes an instruction's page (name, attributes,
// meaning, forms) and makes its rows. In a form, `16|32|64` stands for three rows at once:
//
//   ['r/m16|32|64, imm16|32|32', '81 /0 iw|id|id']
//
// and selects the operand size (66, nothing, REX.W). Operands: r8 r16 r32 r64, r/m8.., m8.. (memory
// only), m (address only), m16:16.. (far pointer in memory), ptr16:16.. (in the instruction),
// imm8.. (sign-extended to the operand size), uimm8.. (not), rel8 rel16 rel32, moffs8.., Sreg, CRn,
// DRn, 1, and register names in capitals. `r32/m16` is a register of 32 bits or memory of 16.
// `r32-EAX` is any but EAX, `Sreg-CS` any but CS.
// Opcodes: o16 o32 o64 (the operand size, where no group says it), a16 a32 a64 (the address size,
// where it selects the row), NP NFx 66 F2 F3, REX.B0 (not with REX.B), 0F.., +r, /r, /0 to /7, a
// fixed ModR/M byte or a range E8-EF of them, ib iw id io cb cw cd cp mo. As in the SDM
// `VEX.LZ.F2.0F38.W0|W1 F5 /r`, where `v32` in the syntax is the register in VEX.vvvv. xmm1 is the
// XMM register in ModRM.reg, xmm2 the one in ModRM.rm; xmm2/m64 may be memory. A byte behind /r is
// an immediate.

import type { Meaning } from './domain.ts';
import { type MemoryWidth, REGISTERS, type Width } from './registers.ts';
import type { Attributes, OpcodePattern, OperandSpec, Row } from './row.ts';

/** Syntax of the operands, opcode, and what is special about this form. */
export type Form = readonly [operands: string, opcode: string, special?: FormAttributes];

export interface FormAttributes extends Attributes {
  readonly encodeOnly?: true;
}

/** Make the rows of one instruction. Throws on a notation that it does not know. */
export function instruction(
  mnemonic: string,
  summary: string,
  attributes: Attributes,
  meaning: Meaning,
  forms: readonly Form[],
): Row[] {
  const rows: Row[] = [];
  for (const [operands, opcode, special] of forms) {
    const own = special === undefined ? attributes : { ...attributes, ...special };
    for (const form of expand(operands, opcode)) {
      const { pattern, width, addressWidth } = parsePattern(form.opcode);
      // All keys of all rows in one order: V8 reads them faster, and is quick at making them.
      rows.push({
        lock: own.lock,
        alwaysLocked: own.alwaysLocked,
        intercept: own.intercept,
        privilege: own.privilege,
        unit: own.unit,
        operandSize: own.operandSize,
        only64: own.only64,
        not64: own.not64,
        protectedOnly: own.protectedOnly,
        repeat: own.repeat,
        mnemonic,
        summary,
        meaning,
        cost: own.cost ?? 'simple',
        encodeOnly: special?.encodeOnly === true,
        pattern,
        operands: operandsOf(form.operands, pattern),
        width: form.width === 0 ? width : form.width,
        addressWidth,
      });
    }
  }
  return rows;
}

/** Of a form, and which field of the encoding each operand is named by. */
function operandsOf(texts: readonly string[], pattern: OpcodePattern): OperandSpec[] {
  // ModRM.reg may hold a segment, control or debug register, or a part of the opcode.
  const takesReg = pattern.modrm === 'digit' || texts.some(takesModrmReg);
  const generalPlace = pattern.plusRegister ? 'opcode' : takesReg ? 'rm' : 'reg';
  return texts.map((text) => operandOf(text, generalPlace));
}

function takesModrmReg(text: string): boolean {
  const { place, registerClass } = operandOf(text, 'reg');
  return place === 'reg' && registerClass !== 'general';
}

interface ExpandedForm {
  readonly operands: readonly string[];
  readonly opcode: string;
  /** The operand size that the first group says, or 0. */
  readonly width: Width | 0;
}

/** A group of alternatives, `a|b|c`. */
const GROUP = /([\w/]+(?:\|[\w/]+)+)/;

/** Write out the alternatives of groups; all groups of a form advance together. */
function expand(operands: string, opcode: string): ExpandedForm[] {
  if (!operands.includes('|') && !opcode.includes('|')) {
    return [{ operands: listOf(operands), opcode, width: 0 }];
  }
  // Every second piece is a group.
  const pieces = `${operands} : ${opcode}`.split(GROUP);
  const groups = pieces.map((piece, i) => (i % 2 === 0 ? [] : piece.split('|')));
  return groups[1].map((selecting, choice) => {
    const chosen = pieces.map((piece, i) => (i % 2 === 0 ? piece : alternative(groups[i], choice)));
    const [chosenOperands, chosenOpcode] = chosen.join('').split(' : ') as [string, string];
    return {
      operands: listOf(chosenOperands),
      opcode: chosenOpcode,
      width: operandSize(selecting),
    };
  });
}

function listOf(operands: string): string[] {
  return operands === '' ? [] : operands.split(', ');
}

/** One of `r/m16|32|64`: a bare number takes the stem of the first alternative. */
function alternative(options: readonly string[], choice: number): string {
  const option = options[choice];
  return /^\d/.test(option) ? options[0].replace(/\d+$/, '') + option : option;
}

const ACCUMULATOR_WIDTHS: Readonly<Record<string, Width>> = { AX: 16, EAX: 32, RAX: 64 };

/** The operand size that an alternative of a form's first group stands for, or 0. */
function operandSize(selecting: string): Width | 0 {
  const named = ACCUMULATOR_WIDTHS[selecting];
  if (named !== undefined) return named;
  const digits = /(?:^|\D)(16|32|64)$/.exec(selecting);
  return digits === null ? 0 : (Number(digits[1]) as Width);
}

const NO_OPERAND: Omit<OperandSpec, 'text' | 'place'> = {
  registerClass: 'general',
  registerWidth: 0,
  memoryWidth: -1,
  far: false,
  immediateWidth: 0,
  unsigned: false,
  fixed: null,
  fixedNumber: null,
  excluded: -1,
};

/** By the field that a general register stands in, where the syntax does not say. */
const OPERANDS = {
  reg: new Map<string, OperandSpec>(),
  rm: new Map<string, OperandSpec>(),
  opcode: new Map<string, OperandSpec>(),
} as const;

/** Most operands come up many times: each is parsed once, for the sake of a quick start. */
function operandOf(text: string, generalPlace: keyof typeof OPERANDS): OperandSpec {
  const known = OPERANDS[generalPlace].get(text);
  if (known !== undefined) return known;
  const parsed = parseOperand(text);
  const isGeneral = parsed.place === 'reg' && parsed.registerClass === 'general';
  const settled = isGeneral ? { ...parsed, place: generalPlace } : parsed;
  OPERANDS[generalPlace].set(text, settled);
  return settled;
}

function parseOperand(text: string): OperandSpec {
  const base = { ...NO_OPERAND, text };
  // Only in capitals: `r8` is a register of 8 bits, `R8` would be the register of that name.
  const fixed = /^[A-Z]/.test(text) ? REGISTERS.get(text.toLowerCase()) : undefined;
  if (fixed !== undefined) {
    return { ...base, place: 'implied', fixed, registerClass: fixed.class };
  }
  if (text === '1' || text === '3') {
    return { ...base, place: 'implied', fixedNumber: Number(text) };
  }
  const segment = /^Sreg(?:-(\w+))?$/.exec(text);
  if (segment !== null) {
    const excluded = segment[1] === undefined ? -1 : excludedNumber(segment[1]);
    return { ...base, place: 'reg', registerClass: 'segment', registerWidth: 16, excluded };
  }
  if (text === 'CRn') {
    return { ...base, place: 'reg', registerClass: 'control', registerWidth: 64 };
  }
  if (text === 'DRn') return { ...base, place: 'reg', registerClass: 'debug', registerWidth: 64 };
  const far = /^m16:(16|32|64)$/.exec(text);
  if (far !== null) {
    return { ...base, place: 'rm', memoryWidth: Number(far[1]) as Width, far: true };
  }
  const pointer = /^ptr16:(16|32)$/.exec(text);
  if (pointer !== null) {
    return { ...base, place: 'pointer', far: true, immediateWidth: Number(pointer[1]) as Width };
  }
  if (text === 'm') return { ...base, place: 'rm', memoryWidth: 0 };
  if (text === 'm128') return { ...base, place: 'rm', memoryWidth: 128 };
  const xmm = /^xmm([12])(?:\/m(32|64|128))?$/.exec(text);
  if (xmm !== null) return parseXmm(base, xmm);
  const match = /^(r\/m|u?imm|rel|moffs|m|r|v)(8|16|32|64)(\/m(8|16|32|64)|-(\w+))?$/.exec(text);
  if (match === null) throw new SyntaxError(`unknown operand '${text}'`);
  const width = Number(match[2]) as Width;
  const memory = match[4] === undefined ? -1 : (Number(match[4]) as Width);
  switch (match[1]) {
    case 'r/m':
      return { ...base, place: 'rm', registerWidth: width, memoryWidth: width };
    case 'm':
      return { ...base, place: 'rm', memoryWidth: width };
    case 'imm':
      return { ...base, place: 'immediate', immediateWidth: width };
    case 'uimm':
      return { ...base, place: 'immediate', immediateWidth: width, unsigned: true };
    case 'rel':
      return { ...base, place: 'relative', immediateWidth: width };
    case 'moffs':
      return { ...base, place: 'moffs', memoryWidth: width };
    case 'v':
      return { ...base, text: `r${width}`, place: 'vvvv', registerWidth: width };
    default: {
      const place = memory === -1 ? 'reg' : 'rm';
      const excluded = match[5] === undefined ? -1 : excludedNumber(match[5]);
      return { ...base, place, registerWidth: width, memoryWidth: memory, excluded };
    }
  }
}

function parseXmm(
  base: Omit<OperandSpec, 'place'>,
  [, place, memory]: readonly string[],
): OperandSpec {
  return {
    ...base,
    place: place === '1' ? 'reg' : 'rm',
    registerClass: 'xmm',
    registerWidth: 128,
    memoryWidth: memory === undefined ? -1 : (Number(memory) as MemoryWidth),
  };
}

function excludedNumber(name: string): number {
  const register = REGISTERS.get(name.toLowerCase());
  if (register === undefined) throw new SyntaxError(`unknown register '${name}'`);
  return register.number;
}

const IMMEDIATE_BYTES: Readonly<Record<string, number>> = {
  ib: 1,
  iw: 2,
  id: 4,
  io: 8,
  cb: 1,
  cw: 2,
  cd: 4,
  cp: 6,
  mo: 8,
};

/** What a word of the opcode column says. */
type Token =
  | { readonly kind: 'prefix'; readonly prefix: number }
  | { readonly kind: 'vex'; readonly prefix: number; readonly escapes: readonly number[] }
  | { readonly kind: 'operandSize' | 'addressSize'; readonly width: 16 | 32 | 64 }
  | { readonly kind: 'noRexB' | 'register' }
  | { readonly kind: 'digit'; readonly digit: number }
  | { readonly kind: 'immediate'; readonly bytes: number }
  | {
      readonly kind: 'byte';
      readonly byte: number;
      readonly last: number;
      readonly plusRegister: boolean;
    };

const TOKENS = new Map<string, Token>();

/** As {@link operandOf}, of a word of the opcode column. */
function tokenOf(text: string, pattern: string): Token {
  const known = TOKENS.get(text);
  if (known !== undefined) return known;
  const parsed = parseToken(text);
  if (parsed === null) throw new SyntaxError(`unknown opcode notation '${text}' in '${pattern}'`);
  TOKENS.set(text, parsed);
  return parsed;
}

/** `VEX.LZ.F2.0F38.W1`: length, mandatory prefix, map; W follows from the operand size. */
const VEX = /^VEX\.LZ\.(?:(66|F2|F3)\.)?0F(38|3A)?\.W[01]$/;

function parseToken(text: string): Token | null {
  if (text === 'NP') return { kind: 'prefix', prefix: -1 };
  if (text === 'NFx') return { kind: 'prefix', prefix: -2 };
  if (text === 'REX.B0') return { kind: 'noRexB' };
  if (text === '/r') return { kind: 'register' };
  if (/^\/[0-7]$/.test(text)) return { kind: 'digit', digit: Number(text[1]) };
  const bytes = IMMEDIATE_BYTES[text];
  if (bytes !== undefined) return { kind: 'immediate', bytes };
  const size = /^[oa](16|32|64)$/.exec(text);
  if (size !== null) {
    const width = Number(size[1]) as 16 | 32 | 64;
    return { kind: text.startsWith('o') ? 'operandSize' : 'addressSize', width };
  }
  const vex = VEX.exec(text);
  if (vex !== null) {
    const [, prefix = '0', map] = vex;
    const escapes = map === undefined ? [0x0f] : [0x0f, Number.parseInt(map, 16)];
    return { kind: 'vex', prefix: Number.parseInt(prefix, 16), escapes };
  }
  const hex = /^([0-9A-F]{2})(\+r|-([0-9A-F]{2}))?$/.exec(text);
  if (hex === null) return null;
  const byte = Number.parseInt(hex[1], 16);
  const last = hex[3] === undefined ? byte : Number.parseInt(hex[3], 16);
  return { kind: 'byte', byte, last, plusRegister: hex[2] === '+r' };
}

/** What the words of an opcode column have said so far. */
interface Reading {
  mandatoryPrefix: number;
  vex: boolean;
  noRexB: boolean;
  plusRegister: boolean;
  modrm: OpcodePattern['modrm'];
  modrmValue: number;
  modrmLast: number;
  suffix: number;
  readonly immediateBytes: number[];
  /** Of the opcode, with those that lead to its map. */
  readonly bytes: number[];
  width: Width | 0;
  addressWidth: 16 | 32 | 64 | 0;
}

function read(reading: Reading, token: Token): void {
  switch (token.kind) {
    case 'vex':
      reading.vex = true;
      reading.bytes.push(...token.escapes);
      reading.mandatoryPrefix = token.prefix;
      break;
    case 'prefix':
      reading.mandatoryPrefix = token.prefix;
      break;
    case 'operandSize':
      reading.width = token.width;
      break;
    case 'addressSize':
      reading.addressWidth = token.width;
      break;
    case 'noRexB':
      reading.noRexB = true;
      break;
    case 'register':
      reading.modrm = 'register';
      break;
    case 'digit':
      reading.modrm = 'digit';
      reading.modrmValue = reading.modrmLast = token.digit;
      break;
    case 'immediate':
      reading.immediateBytes.push(token.bytes);
      break;
    case 'byte':
      if (reading.modrm === 'register') reading.suffix = token.byte;
      else {
        if (reading.bytes.length > 0 || !isPrefix(token.byte)) reading.bytes.push(token.byte);
        else reading.mandatoryPrefix = token.byte;
        reading.plusRegister ||= token.plusRegister;
        reading.modrmLast = token.last;
      }
  }
}

/** The opcode column, and the sizes that it selects: 0 for any. */
function parsePattern(text: string): Pick<Row, 'pattern' | 'width' | 'addressWidth'> {
  const reading: Reading = {
    mandatoryPrefix: 0,
    vex: false,
    noRexB: false,
    plusRegister: false,
    modrm: 'none',
    modrmValue: 0,
    modrmLast: 0,
    suffix: -1,
    immediateBytes: [],
    bytes: [],
    width: 0,
    addressWidth: 0,
  };
  for (const word of text.split(' ')) read(reading, tokenOf(word, text));
  const { bytes, width, addressWidth, ...said } = reading;
  const map = bytes[0] !== 0x0f ? 0 : bytes[1] === 0x38 ? 2 : bytes[1] === 0x3a ? 3 : 1;
  const opcodeAt = map === 0 ? 0 : map === 1 ? 1 : 2;
  const opcode = bytes[opcodeAt];
  if (opcode === undefined) throw new SyntaxError(`no opcode in '${text}'`);
  const behind = bytes[opcodeAt + 1];
  if (behind !== undefined) {
    said.modrm = 'fixed';
    said.modrmValue = behind;
  }
  return { pattern: { text, map, opcode, ...said }, width, addressWidth };
}

/** Bytes that are a part of the opcode where they stand first: operand size, REPNE, REP. */
function isPrefix(byte: number): boolean {
  return byte === 0x66 || byte === 0xf2 || byte === 0xf3;
}

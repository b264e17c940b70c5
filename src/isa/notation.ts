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

/** In front of every row, so that all have the same keys in the same order: V8 reads them faster. */
const NOTHING_SPECIAL: Readonly<Record<Exclude<keyof Attributes, 'cost'>, undefined>> = {
  lock: undefined,
  alwaysLocked: undefined,
  intercept: undefined,
  privilege: undefined,
  unit: undefined,
  operandSize: undefined,
  only64: undefined,
  not64: undefined,
  protectedOnly: undefined,
  repeat: undefined,
};

/** Make the rows of one instruction. Throws on a notation that it does not know. */
export function instruction(
  mnemonic: string,
  summary: string,
  attributes: Attributes,
  meaning: Meaning,
  forms: readonly Form[],
): Row[] {
  return forms.flatMap(([operands, opcode, special]) => {
    const { encodeOnly, ...own } = special ?? {};
    return expand(operands, opcode).map((form) => ({
      ...NOTHING_SPECIAL,
      mnemonic,
      summary,
      meaning,
      cost: 'simple' as const,
      ...attributes,
      ...own,
      encodeOnly: encodeOnly === true,
      ...parseForm(form),
      width: form.width,
      addressWidth: addressSize(form.opcode),
    }));
  });
}

/** Parse both columns, and settle which operand each field of the encoding names. */
function parseForm(form: ExpandedForm): Pick<Row, 'operands' | 'pattern'> {
  const pattern = parsePattern(form.opcode);
  const operands = form.operands.map(operandOf);
  // ModRM.reg may hold a segment, control or debug register, or a part of the opcode.
  const special = operands.some((spec) => spec.place === 'reg' && spec.registerClass !== 'general');
  const takesReg = special || pattern.modrm === 'digit';
  const generalPlace = pattern.plusRegister ? 'opcode' : takesReg ? 'rm' : 'reg';
  return {
    pattern,
    operands: operands.map((spec) =>
      spec.place === 'reg' && spec.registerClass === 'general'
        ? { ...spec, place: generalPlace }
        : spec,
    ),
  };
}

interface ExpandedForm {
  readonly operands: readonly string[];
  readonly opcode: string;
  readonly width: Width | 0;
}

/** Write out the alternatives of `a|b|c` groups; all groups of a form advance together. */
function expand(operands: string, opcode: string): ExpandedForm[] {
  if (!`${operands}${opcode}`.includes('|')) {
    const list = operands === '' ? [] : operands.split(', ');
    return [{ operands: list, opcode, width: operandSize('', opcode) }];
  }
  const text = `${operands} : ${opcode}`;
  const group = /[\w/]+(?:\|[\w/]+)+/g;
  const first = text.match(group)?.[0]?.split('|') ?? [''];
  return first.map((selecting, choice) => {
    const chosen = text.replace(group, (alternatives) => alternative(alternatives, choice));
    const [chosenOperands, chosenOpcode] = chosen.split(' : ') as [string, string];
    return {
      operands: chosenOperands === '' ? [] : chosenOperands.split(', '),
      opcode: chosenOpcode,
      width: operandSize(selecting, chosenOpcode),
    };
  });
}

/** One of `r/m16|32|64`: a bare number takes the stem of the first alternative. */
function alternative(alternatives: string, choice: number): string {
  const options = alternatives.split('|');
  const option = options[choice];
  const stem = options[0].replace(/\d+$/, '');
  return /^\d/.test(option) ? stem + option : option;
}

const ACCUMULATOR_WIDTHS: Readonly<Record<string, Width>> = { AX: 16, EAX: 32, RAX: 64 };

/** The operand size that selects a form: from its first group, or `o16`, `o32`, `o64`. */
function operandSize(selecting: string, opcode: string): Width | 0 {
  const named = ACCUMULATOR_WIDTHS[selecting];
  if (named !== undefined) return named;
  const digits = /(?:^|\D)(16|32|64)$/.exec(selecting) ?? /\bo(16|32|64)\b/.exec(opcode);
  return digits === null ? 0 : (Number(digits[1]) as Width);
}

function addressSize(opcode: string): 16 | 32 | 64 | 0 {
  const match = /\ba(16|32|64)\b/.exec(opcode);
  return match === null ? 0 : (Number(match[1]) as 16 | 32 | 64);
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

const OPERANDS = new Map<string, OperandSpec>();

/** Most operands come up many times: each is parsed once, for the sake of a quick start. */
function operandOf(text: string): OperandSpec {
  const known = OPERANDS.get(text);
  if (known !== undefined) return known;
  const parsed = parseOperand(text);
  OPERANDS.set(text, parsed);
  return parsed;
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

/** `VEX.LZ.F2.0F38.W1`: length, mandatory prefix, map; W follows from the operand size. */
const VEX = /^VEX\.LZ\.(?:(66|F2|F3)\.)?0F(38|3A)?\.W[01]$/;

function parsePattern(text: string): OpcodePattern {
  const [leading, ...rest] = text.split(' ');
  const vex = VEX.exec(leading);
  if (vex === null) return parseOpcode(text);
  const [, prefix = '0', map = ''] = vex;
  const escapes = ['0F', map].filter((byte) => byte !== '');
  const pattern = parseOpcode([...escapes, ...rest].join(' '));
  return { ...pattern, text, vex: true, mandatoryPrefix: Number.parseInt(prefix, 16) };
}

function parseOpcode(text: string): OpcodePattern {
  let mandatoryPrefix = 0;
  let noRexB = false;
  let plusRegister = false;
  let modrm: OpcodePattern['modrm'] = 'none';
  let modrmValue = 0;
  let modrmLast = 0;
  let suffix = -1;
  const bytes: number[] = [];
  const immediateBytes: number[] = [];
  for (const token of text.split(' ')) {
    const hex = /^([0-9A-F]{2})(\+r|-([0-9A-F]{2}))?$/.exec(token);
    const immediate = IMMEDIATE_BYTES[token];
    if (token === 'NP') mandatoryPrefix = -1;
    else if (token === 'NFx') mandatoryPrefix = -2;
    else if (/^[oa](16|32|64)$/.test(token)) continue;
    else if (token === 'REX.B0') noRexB = true;
    else if (token === '/r') modrm = 'register';
    else if (/^\/[0-7]$/.test(token)) {
      modrm = 'digit';
      modrmValue = modrmLast = Number(token[1]);
    } else if (immediate !== undefined) immediateBytes.push(immediate);
    else if (hex !== null) {
      const byte = Number.parseInt(hex[1], 16);
      if (modrm === 'register') {
        suffix = byte;
        continue;
      }
      if (bytes.length === 0 && (byte === 0xf2 || byte === 0xf3 || byte === 0x66)) {
        mandatoryPrefix = byte;
      } else bytes.push(byte);
      plusRegister ||= hex[2] === '+r';
      modrmLast = hex[3] === undefined ? byte : Number.parseInt(hex[3], 16);
    } else throw new SyntaxError(`unknown opcode notation '${token}' in '${text}'`);
  }
  const map = bytes[0] !== 0x0f ? 0 : bytes[1] === 0x38 ? 2 : bytes[1] === 0x3a ? 3 : 1;
  const opcodeAt = map === 0 ? 0 : map === 1 ? 1 : 2;
  if (bytes.length > opcodeAt + 1) {
    modrm = 'fixed';
    modrmValue = bytes[opcodeAt + 1];
  }
  const opcode = bytes[opcodeAt];
  if (opcode === undefined) throw new SyntaxError(`no opcode in '${text}'`);
  return {
    text,
    mandatoryPrefix,
    vex: false,
    map,
    opcode,
    plusRegister,
    modrm,
    modrmValue,
    modrmLast,
    noRexB,
    suffix,
    immediateBytes,
  };
}

// What an instruction says, independent of the bytes that say it: two encodings of `add rax, rbx`
// or of `[rax*2]` give the same text here.

import Long from 'long';
import {
  type AssemblyOperand,
  addressWidthOf,
  type CodeSize,
  type Instruction,
  type MemoryOperand,
  type Operand,
  type Row,
  syntax,
} from '../../src/isa/index.ts';

/** One operand; branch targets and RIP-relative addresses become absolute, counted from `end`. */
export function operandText(operand: Operand, end: Long): string {
  switch (operand.kind) {
    case 'register':
      return `${operand.class} ${operand.number}${operand.high ? ' high' : ''} :${operand.width}`;
    case 'immediate':
      return `number ${modulo(operand.value, operand.width)}`;
    case 'relative':
      return `target ${end.add(operand.displacement).toUnsigned()}`;
    case 'memory':
      return memoryText(operand, end);
    case 'pointer':
      return `pointer ${operand.selector}:${operand.offset}`;
  }
}

/** An operand as an assembler states it, in the same form; `width` is that of the operation. */
export function askedText(
  asked: AssemblyOperand,
  decoded: Operand,
  codeSize: CodeSize = 64,
): string {
  if (asked.kind === 'register') return operandText({ ...asked, ...asked.register }, Long.ZERO);
  if (asked.kind === 'number') {
    if (decoded.kind === 'relative') return `target ${asked.value.toUnsigned()}`;
    return `number ${modulo(asked.value, decoded.kind === 'immediate' ? decoded.width : 64)}`;
  }
  if (asked.kind === 'pointer') return `pointer ${asked.selector}:${asked.offset}`;
  const { base, index, scale, width, segment, displacement } = asked;
  const addressWidth = addressWidthOf(asked, 0, codeSize) as CodeSize;
  const memory: MemoryOperand = {
    ...{ kind: 'memory', width, segment, displacement, addressWidth, ripRelative: false },
    base: base?.number ?? -1,
    index: index?.number ?? -1,
    scale: Math.log2(scale),
  };
  return memoryText(memory, Long.ZERO);
}

/** The address as a sum: which register is called base and which index does not matter. */
function memoryText(memory: MemoryOperand, end: Long): string {
  const { base, index, scale, addressWidth, displacement, segment, width } = memory;
  const factors = new Map<number, number>();
  if (base >= 0) factors.set(base, 1);
  if (index >= 0) factors.set(index, (factors.get(index) ?? 0) + (1 << scale));
  const terms = [...factors]
    .sort(([a], [b]) => a - b)
    .map(([number, factor]) => `${factor}*${number}`);
  const constant = memory.ripRelative ? displacement.add(end) : displacement;
  const sum = [...terms, modulo(constant, addressWidth)].join('+');
  return `memory:${width} ${segment >= 4 ? segment : ''}[${sum}]a${addressWidth}`;
}

function modulo(value: Long, width: number): string {
  const mask = width === 64 ? Long.NEG_ONE : Long.ONE.shl(width).sub(1);
  return value.and(mask).toUnsigned().toString();
}

/** The whole instruction at an address; instructions that do the same give the same text. */
export function instructionText(instruction: Instruction, address: Long): string {
  const { row, lock, repeat, segmentOverride, operands, addressWidth } = instruction;
  const end = address.add(instruction.lengthBytes);
  const implicit = row.repeat !== undefined || row.mnemonic === 'XLATB';
  const mnemonic = row.mnemonic === 'SAL' ? 'SHL' : row.mnemonic;
  // A number or selector moved to 32 bits of a register is moved to all 64 as well.
  const [to, from] = operands;
  const isPlain = from?.kind === 'immediate' || (from?.kind === 'register' && from.width === 16);
  const widens = mnemonic === 'MOV' && to?.kind === 'register' && to.width === 32 && isPlain;
  const same = widens ? [{ ...to, width: 64 } as const, ...operands.slice(1)] : operands;
  const texts = same.map((operand) =>
    operand.kind === 'relative'
      ? `target ${modulo(end.add(operand.displacement), instruction.width)}`
      : operandText(operand, end),
  );
  if (mnemonic === 'XCHG') texts.sort();
  return [
    ...[mnemonic, widens ? 64 : instruction.width, lock ? 'lock' : '', repeat],
    ...(implicit ? [addressWidth, segmentOverride] : []),
    ...texts,
  ].join(' | ');
}

/** Forms of the hardware that NASM has no syntax for. */
const UNKNOWN_TO_NASM = [
  'BSWAP r16',
  'MOVSX r16, r/m16',
  'MOVSXD r16, r/m16',
  'MOVSXD r32, r/m32',
  'MOVZX r16, r/m16',
  'PMOVMSKB r64, xmm2',
  'SLDT r64',
];

export function isKnownToNasm(row: Row): boolean {
  // 66 90 and 48 90 print as the NOP that they are.
  return !UNKNOWN_TO_NASM.includes(syntax(row)) && row.mnemonic !== 'NOP';
}

const RELATIVE = /^((?:[oa]\d\d )*(?:j\w+|call|loop\w*)(?: short| near d?word)?) (0x\w+|\d+)$/;

/**
 * NASM takes a bare number for an absolute address; this makes it one in the section. Of two
 * registers that are exchanged, it encodes the first as ModRM.reg, which disassemblers name second.
 * It refuses the size that the memory of CMPSD has.
 */
export function forNasm(text: string): string {
  return text
    .replace(/\[rel ((?:[fg]s:)?)/, '[rel $1$$$$+')
    .replace(RELATIVE, '$1 $$$$+$2')
    .replace(/^((?:a\d\d )?cmpsd xmm\w+, )qword /, '$1')
    .replace(/^xchg (\w+), (\w+)$/, 'xchg $2, $1');
}

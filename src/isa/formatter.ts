// From an instruction to NASM syntax that assembles to the same instruction.

import Long from 'long';
import type { Instruction, MemoryOperand, Operand } from './instruction.ts';
import { GPR_NAMES, REGISTERS, registerName, SEGMENT_NAMES, type Width } from './registers.ts';

const SIZE_KEYWORDS: Readonly<Record<Width, string>> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  64: 'qword',
};

/**
 * The text of an instruction.
 * @param address where it stands, to print branch targets and RIP-relative addresses
 */
export function format(instruction: Instruction, address: Long): string {
  const { row, operands } = instruction;
  const end = address.add(instruction.lengthBytes);
  const sized = operands.some(
    (operand) => operand.kind === 'register' && operand.class !== 'segment',
  );
  const text = operands.map((operand, i) => {
    const spec = row.operands[i];
    if (operand.kind === 'memory')
      return memory(operand, end, sized && !row.mnemonic.startsWith('MOV'));
    if (operand.kind === 'relative') return hex(end.add(operand.displacement));
    if (operand.kind === 'immediate') return number(operand.value, operand.width, spec?.unsigned);
    return registerName(operand);
  });
  return [prefixes(instruction) + row.mnemonic.toLowerCase(), text.join(', ')].join(' ').trim();
}

function prefixes(instruction: Instruction): string {
  const { row, lock, repeat, addressWidth, segmentOverride, operands } = instruction;
  let text = '';
  if (lock) text += 'lock ';
  if (repeat !== 'none')
    text += row.repeat === 'compare' ? `${repeat}e `.replace('nee', 'ne') : 'rep ';
  const hasMemory = operands.some((operand) => operand.kind === 'memory');
  if (!hasMemory && row.repeat !== undefined) {
    if (addressWidth === 32) text += 'a32 ';
    if (segmentOverride >= 0) text += `${SEGMENT_NAMES[segmentOverride]} `;
  }
  return text;
}

function memory(operand: MemoryOperand, end: Long, sized: boolean): string {
  const size = operand.width === 0 || sized ? '' : `${SIZE_KEYWORDS[operand.width]} `;
  const segment = operand.segment >= 4 ? `${SEGMENT_NAMES[operand.segment]}:` : '';
  const parts: string[] = [];
  if (operand.ripRelative) return `${size}[rel ${segment}${hex(end.add(operand.displacement))}]`;
  if (operand.base >= 0) parts.push(addressRegister(operand.base, operand.addressWidth));
  if (operand.index >= 0) {
    const scale = operand.scale === 0 ? '' : `*${1 << operand.scale}`;
    parts.push(addressRegister(operand.index, operand.addressWidth) + scale);
  }
  const { displacement } = operand;
  if (parts.length === 0) return `${size}[${segment}${hex(displacement)}]`;
  if (displacement.isZero()) return `${size}[${segment}${parts.join('+')}]`;
  const sign = displacement.isNegative() ? '-' : '+';
  const magnitude = hex(displacement.isNegative() ? displacement.neg() : displacement);
  return `${size}[${segment}${parts.join('+')}${sign}${magnitude}]`;
}

function addressRegister(numberOf: number, width: 16 | 32 | 64): string {
  const name = GPR_NAMES[numberOf] as string;
  if (width === 64) return name;
  for (const [candidate, register] of REGISTERS) {
    if (register.class === 'general' && register.number === numberOf && register.width === width) {
      return candidate;
    }
  }
  return name;
}

function number(value: Long, width: Width, unsigned = false): string {
  const signed = unsigned ? value : signExtend(value, width);
  return signed.ge(-128) && signed.isNegative() ? `-${hex(signed.neg())}` : hex(value);
}

function signExtend(value: Long, width: Width): Long {
  return value.shl(64 - width).shr(64 - width);
}

/** Hexadecimal as NASM reads it; small numbers stay decimal. */
function hex(value: Long): string {
  const unsigned = value.toUnsigned();
  return unsigned.lt(10) ? unsigned.toString() : `0x${unsigned.toString(16)}`;
}

/** The text of an operand alone, for messages. */
export function formatOperand(operand: Operand): string {
  if (operand.kind === 'register') return registerName(operand);
  if (operand.kind === 'memory') return memory(operand, Long.ZERO, true);
  if (operand.kind === 'immediate') return number(operand.value, operand.width);
  return `$${operand.displacement < 0 ? '' : '+'}${operand.displacement}`;
}

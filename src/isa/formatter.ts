// From an instruction to NASM syntax that assembles to the same instruction.

import Long from 'long';
import { zeroExtend } from './decoder.ts';
import type { Instruction, MemoryOperand, Operand, PointerOperand } from './instruction.ts';
import {
  type CodeSize,
  GPR_NAMES,
  Gpr,
  type MemoryWidth,
  REGISTERS,
  registerName,
  SEGMENT_NAMES,
  Segment,
  type Width,
} from './registers.ts';
import type { Row } from './row.ts';
import { rowsByMnemonic } from './table.ts';

const SIZE_KEYWORDS: Readonly<Record<MemoryWidth, string>> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  64: 'qword',
  128: 'oword',
};

/**
 * The text of an instruction.
 * @param address where it stands, to print branch targets and RIP-relative addresses
 */
export function format(instruction: Instruction, address: Long): string {
  const { row, operands } = instruction;
  const end = address.add(instruction.lengthBytes);
  const text = operands.map((operand, i) => {
    const spec = row.operands[i];
    if (operand.kind === 'memory') {
      const isWide = spec?.place === 'moffs' && operand.addressWidth === 64;
      const segment = segmentText(operand, instruction.codeSize);
      const text = memory(operand, end, isSized(instruction, operand), isWide, segment);
      return spec?.far === true ? `far ${text}` : text;
    }
    if (operand.kind === 'register') return registerName(operand);
    const size = hasOtherSize(instruction) ? `${SIZE_KEYWORDS[instruction.width]} ` : '';
    if (operand.kind === 'pointer') return size + pointer(operand);
    if (operand.kind === 'relative') {
      const target = zeroExtend(instruction.width, end.add(operand.displacement));
      return (size === '' ? '' : distance(instruction)) + hex(target);
    }
    const isOpen = instruction.row.operandSize === 'default64' && spec?.unsigned === false;
    return (isOpen ? size : '') + number(operand.value, operand.width, spec?.unsigned);
  });
  return [prefixes(instruction) + row.mnemonic.toLowerCase(), text.join(', ')].join(' ').trim();
}

/**
 * A register says how wide its partner in memory is, unless the instruction takes several widths;
 * the CL of a shift does not.
 */
function isSized({ row, operands }: Instruction, { width }: MemoryOperand): boolean {
  if (takesOtherWidths(row)) return false;
  return operands.some(
    (operand, i) =>
      operand.kind === 'register' &&
      operand.class !== 'segment' &&
      operand.width === width &&
      row.operands[i]?.place !== 'implied',
  );
}

/** PUSH, branches and kin of another size than is usual in the code around them. */
function hasOtherSize({ row, width, codeSize }: Instruction): boolean {
  const isOpen = row.operandSize === 'default64' || row.operandSize === 'forced64';
  return (isOpen || takesPointer(row)) && width !== codeSize;
}

function takesPointer(row: Row): boolean {
  return row.operands[0]?.place === 'pointer';
}

/** How NASM wants to be told of a branch whose target has another size than is usual. */
function distance({ row, width }: Instruction): string {
  if (row.operands[0]?.immediateWidth !== 8) return `near ${SIZE_KEYWORDS[width]} `;
  return row.mnemonic.startsWith('LOOP') || row.mnemonic.endsWith('CXZ') ? '' : 'short ';
}

/** The mnemonic stands for several operand sizes, and nothing else shows which (SYSRET). */
function isWidthOpen(row: Row): boolean {
  if (row.operandSize !== undefined && row.operandSize !== 'dword') return false;
  return rowsByMnemonic(row.mnemonic).some(({ width }) => width !== 0 && width < row.width);
}

/** Another row of the mnemonic differs in nothing but the width of its memory operand. */
function takesOtherWidths(row: Row): boolean {
  return rowsByMnemonic(row.mnemonic).some(
    ({ operands }) =>
      operands.length === row.operands.length &&
      operands.some(({ memoryWidth }, i) => memoryWidth !== row.operands[i].memoryWidth) &&
      operands.every(
        ({ text, memoryWidth }, i) => memoryWidth > 0 || text === row.operands[i].text,
      ),
  );
}

function prefixes(instruction: Instruction): string {
  const { row, lock, repeat, addressWidth, codeSize, segmentOverride, operands, width } =
    instruction;
  let text = '';
  if (hasOtherSize(instruction) && !showsSize(instruction)) text += `o${width} `;
  if (TABLE_LOADS.includes(row.mnemonic) && codeSize !== 64 && width !== codeSize) {
    text += `o${width} `;
  }
  if (operands.length === 0 && width === 64 && isWidthOpen(row)) text += 'o64 ';
  if (lock) text += 'lock ';
  if (repeat === 'repne') text += 'repne ';
  else if (repeat === 'rep') text += row.repeat === 'compare' ? 'repe ' : 'rep ';
  const accessesImplicitly = row.repeat !== undefined || row.mnemonic === 'XLATB';
  const addressesImplicitly =
    accessesImplicitly || row.mnemonic.startsWith('LOOP') || operands.some(isWithoutRegisters);
  if (addressesImplicitly && addressWidth !== codeSize) text += `a${addressWidth} `;
  if (accessesImplicitly && segmentOverride >= 0) text += `${SEGMENT_NAMES[segmentOverride]} `;
  return text;
}

/** With a 16-bit operand size they take fewer bits of the base. */
const TABLE_LOADS: readonly string[] = ['LGDT', 'LIDT'];

/** LEAVE, PUSH FS and kin have no operand that would show their size; PUSHFW says it by name. */
function showsSize({ row, operands }: Instruction): boolean {
  if (row.width !== 0 && row.operands.length === 0 && /F[WD]$/.test(row.mnemonic)) return true;
  return operands.some((operand, i) => {
    const spec = row.operands[i];
    if (operand.kind === 'immediate') return !spec.unsigned;
    if (operand.kind === 'relative') return spec.immediateWidth !== 8;
    return operand.kind !== 'register' || operand.class === 'general';
  });
}

/** No register in the address shows how wide it is. */
function isWithoutRegisters(operand: Operand): boolean {
  return operand.kind === 'memory' && operand.base < 0 && operand.index < 0;
}

/**
 * The segment as far as it must be said. NASM makes a lone index the base (and of twice one both),
 * and of EBP as base it concludes SS.
 */
function segmentText({ segment, base, index, scale }: MemoryOperand, codeSize: CodeSize): string {
  const assumed = base < 0 && scale <= 1 ? index : base;
  const isStack = assumed === Gpr.RSP || assumed === Gpr.RBP;
  const isUsual =
    codeSize === 64 ? segment < Segment.FS : segment === (isStack ? Segment.SS : Segment.DS);
  return isUsual ? '' : `${SEGMENT_NAMES[segment]}:`;
}

/** @param isWide the offset has 64 bits in the encoding, which NASM wants to be told */
function memory(
  operand: MemoryOperand,
  end: Long,
  sized: boolean,
  isWide: boolean,
  segment: string,
): string {
  const size = operand.width === 0 || sized ? '' : `${SIZE_KEYWORDS[operand.width]} `;
  const parts: string[] = [];
  if (operand.ripRelative) return `${size}[rel ${segment}${hex(end.add(operand.displacement))}]`;
  if (operand.base >= 0) parts.push(addressRegister(operand.base, operand.addressWidth));
  if (operand.index >= 0) {
    const scale = operand.scale === 0 ? '' : `*${1 << operand.scale}`;
    parts.push(addressRegister(operand.index, operand.addressWidth) + scale);
  }
  const { displacement } = operand;
  if (parts.length === 0) {
    return `${size}[${isWide ? 'qword ' : ''}${segment}${hex(displacement)}]`;
  }
  if (displacement.isZero()) return `${size}[${segment}${parts.join('+')}]`;
  const sign = displacement.isNegative() ? '-' : '+';
  const magnitude = hex(displacement.isNegative() ? displacement.neg() : displacement);
  return `${size}[${segment}${parts.join('+')}${sign}${magnitude}]`;
}

function addressRegister(numberOf: number, width: 16 | 32 | 64): string {
  const name = GPR_NAMES[numberOf];
  if (width === 64) return name;
  for (const [candidate, register] of REGISTERS) {
    if (register.class === 'general' && register.number === numberOf && register.width === width) {
      return candidate;
    }
  }
  return name;
}

function pointer({ selector, offset }: PointerOperand): string {
  return `${hex(Long.fromNumber(selector))}:${hex(Long.fromNumber(offset))}`;
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
  if (operand.kind === 'memory') {
    return memory(operand, Long.ZERO, true, false, segmentText(operand, operand.addressWidth));
  }
  if (operand.kind === 'immediate') return number(operand.value, operand.width);
  if (operand.kind === 'pointer') return pointer(operand);
  return `$${operand.displacement < 0 ? '' : '+'}${operand.displacement}`;
}

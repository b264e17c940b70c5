// The disassembler iced-x86 as a second opinion: what it makes of bytes, told in the words in which
// `toldText` tells what our decoder makes of them.

import { Code, Decoder, Mnemonic, OpKind, Register, type Instruction as Theirs } from 'iced-x86';
import type Long from 'long';
import {
  type CodeSize,
  type Instruction,
  type MemoryOperand,
  type Operand,
  registerName,
  SEGMENT_NAMES,
} from '../../src/isa/index.ts';

/** Operands that iced lists although assembly text has none, by mnemonic. */
const IMPLIED = /^(MOVS|CMPS|STOS|LODS|SCAS|INS|OUTS)[BWDQ]$|^XLATB$|^MONITOR$|^MWAIT$/;

/** Instructions that have an operand size in every form, and no operand that would show it. */
const SIZED = /^(RETN?|RETF|LEAVE|ENTER)[WDQ]?$/;

/** Length, mnemonic and operands as iced sees them. */
export function icedTexts(
  codes: readonly { readonly bytes: Uint8Array; readonly address: Long }[],
  codeSize: CodeSize,
): string[] {
  return codes.map(({ bytes, address }) => {
    const decoder = new Decoder(codeSize, bytes, 0);
    decoder.ip = BigInt(address.toUnsigned().toString());
    const instruction = decoder.decode();
    const text = theirText(instruction);
    instruction.free();
    decoder.free();
    return text;
  });
}

/** The same of an instruction decoded here. */
export function toldText({
  bytes,
  address,
  instruction,
}: {
  readonly bytes: Uint8Array;
  readonly address: Long;
  readonly instruction: Instruction;
}): string {
  const { row, operands, lock, repeat } = instruction;
  const end = BigInt(address.add(instruction.lengthBytes).toUnsigned().toString());
  const texts = IMPLIED.test(row.mnemonic)
    ? []
    : operands.map((operand) => ourOperand(operand, instruction, end));
  const prefixes = [lock ? 'lock' : '', row.repeat === undefined ? 'none' : repeat];
  const name = SIZED.test(row.mnemonic)
    ? `${row.mnemonic.replace(SIZED, '$1')}${instruction.width}`
    : row.mnemonic;
  return [bytes.length, name, ...prefixes, ...arranged(name, texts)].join(' ');
}

function theirText(instruction: Theirs): string {
  const mnemonic = Mnemonic[instruction.mnemonic] ?? '?';
  const letter = /^(?:Retn|Retf|Leave|Enter)([wdq])/.exec(Code[instruction.code] ?? '')?.[1];
  const width = { w: 16, d: 32, q: 64 }[letter ?? ''] ?? '';
  const name = `${MNEMONICS.get(mnemonic) ?? mnemonic.toUpperCase()}${width}`;
  const operands: string[] = [];
  for (let i = 0; !IMPLIED.test(name) && i < instruction.opCount; i++) {
    // What a string or MASKMOVQ stores to is not written.
    if (!IMPLIED_MEMORY.has(instruction.opKind(i))) operands.push(theirOperand(instruction, i));
  }
  const isString = instruction.isStringInstruction;
  const repeat = instruction.hasRepnePrefix ? 'repne' : instruction.hasRepPrefix ? 'rep' : 'none';
  const prefixes = [instruction.hasLockPrefix ? 'lock' : '', isString ? repeat : 'none'];
  return [instruction.length, name, ...prefixes, ...arranged(name, operands)].join(' ');
}

/**
 * Where the two tell the same differently: which of two exchanged registers comes first, and how
 * much of a register goes to a selector.
 */
function arranged(mnemonic: string, operands: readonly string[]): string[] {
  if (mnemonic === 'XCHG') return [...operands].sort();
  const isLoad = mnemonic === 'MOV' && /^[c-gs]s$/.test(operands[0] ?? '');
  return operands.map((text) => (isLoad || SELECTORS.test(mnemonic) ? wordOf(text) : text));
}

/** Instructions whose registers hold selectors or words, of which iced names all that is there. */
const SELECTORS = /^(LLDT|LTR|VERR|VERW|ARPL|LMSW)$/;

/** The name of the lower half of a register. */
function wordOf(name: string): string {
  return name.replace(/^[er](?=[a-ds][xpi]$|bp$)/, '').replace(/^(r\d+)d$/, '$1w');
}

/** Names that iced has for ours. */
const MNEMONICS: ReadonlyMap<string, string> = new Map([
  ['Iret', 'IRETW'],
  ['Pushf', 'PUSHFW'],
  ['Popf', 'POPFW'],
  ['Pusha', 'PUSHAW'],
  ['Popa', 'POPAW'],
  ['Wait', 'FWAIT'],
]);

function theirOperand(instruction: Theirs, i: number): string {
  switch (instruction.opKind(i)) {
    case OpKind.Register:
      return (Register[instruction.opRegister(i)] ?? '?').toLowerCase().replace(/^(r\d+)l$/, '$1b');
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return `to ${instruction.nearBranchTarget.toString(16)}`;
    case OpKind.FarBranch16:
      return `far ${instruction.farBranchSelector}:${instruction.farBranch16}`;
    case OpKind.FarBranch32:
      return `far ${instruction.farBranchSelector}:${instruction.farBranch32}`;
    case OpKind.Memory:
      return theirMemory(instruction);
    default: {
      const bits = IMMEDIATE_BITS.get(instruction.opKind(i)) ?? 8;
      return `number ${BigInt.asIntN(bits, instruction.immediate(i))}`;
    }
  }
}

const IMPLIED_MEMORY: ReadonlySet<OpKind> = new Set([
  OpKind.MemorySegDI,
  OpKind.MemorySegEDI,
  OpKind.MemorySegRDI,
]);

const IMMEDIATE_BITS: ReadonlyMap<OpKind, number> = new Map([
  [OpKind.Immediate16, 16],
  [OpKind.Immediate32, 32],
  [OpKind.Immediate64, 64],
  [OpKind.Immediate8to16, 16],
  [OpKind.Immediate8to32, 32],
  [OpKind.Immediate8to64, 64],
  [OpKind.Immediate32to64, 64],
]);

function theirMemory(instruction: Theirs): string {
  const { memoryBase, memoryIndex, memoryIndexScale, memorySegment } = instruction;
  const name = (register: Register) =>
    register === Register.None ? '' : (Register[register] ?? '?').toLowerCase();
  const isRelative = memoryBase === Register.RIP || memoryBase === Register.EIP;
  const index = memoryIndex === Register.None ? '' : `${name(memoryIndex)}*${memoryIndexScale}`;
  const base = isRelative ? '' : name(memoryBase);
  const displacement = BigInt.asUintN(64, instruction.memoryDisplacement);
  return `${name(memorySegment)}:[${base} ${index} ${displacement.toString(16)}]`;
}

function ourOperand(operand: Operand, { width, addressWidth }: Instruction, end: bigint): string {
  switch (operand.kind) {
    case 'register':
      return registerName(operand);
    case 'relative': {
      const target = BigInt.asUintN(width, end + BigInt(operand.displacement));
      return `to ${target.toString(16)}`;
    }
    case 'pointer':
      return `far ${operand.selector}:${operand.offset}`;
    case 'immediate':
      return `number ${BigInt.asIntN(operand.width, BigInt(operand.value.toString()))}`;
    case 'memory':
      return ourMemory(operand, addressWidth, end);
  }
}

function ourMemory(memory: MemoryOperand, addressWidth: CodeSize, end: bigint): string {
  const name = (number: number) =>
    number < 0 ? '' : registerName({ class: 'general', number, width: addressWidth, high: false });
  const index = memory.index < 0 ? '' : `${name(memory.index)}*${1 << memory.scale}`;
  const sum = BigInt(memory.displacement.toString()) + (memory.ripRelative ? end : 0n);
  const displacement = BigInt.asUintN(addressWidth, sum).toString(16);
  return `${SEGMENT_NAMES[memory.segment]}:[${name(memory.base)} ${index} ${displacement}]`;
}

// The operands of IN, OUT, INS and OUTS, for whoever has to decide before the instruction executes.

import { Gpr, type Instruction } from '../isa/index.ts';

export interface PortAccess {
  readonly port: number;
  readonly lengthBytes: number;
  readonly isIn: boolean;
  /** The port is in the instruction rather than in DX. */
  readonly isImmediate: boolean;
  /** INS or OUTS: the data are in memory. */
  readonly isString: boolean;
}

const STRING_BYTES: Readonly<Record<string, number>> = { B: 1, W: 2, D: 4 };

/** @param words the state words of the processor that is about to execute the instruction */
export function portAccess(instruction: Instruction, words: Int32Array): PortAccess {
  const { mnemonic, repeat } = instruction.row;
  const isIn = mnemonic.startsWith('IN');
  const isString = repeat !== undefined;
  const [first, second] = instruction.operands;
  const portOperand = isIn ? second : first;
  const accumulator = isIn ? first : second;
  const isImmediate = portOperand?.kind === 'immediate';
  const operandBytes = accumulator?.kind === 'register' ? accumulator.width / 8 : 4;
  return {
    port: isImmediate ? portOperand.value.low : words[2 * Gpr.RDX] & 0xffff,
    lengthBytes: isString ? STRING_BYTES[mnemonic.slice(-1)] : operandBytes,
    isIn,
    isImmediate,
    isString,
  };
}

/** The ports that an instruction is about to access; null if it accesses none. */
export function portsOf(instruction: Instruction, words: Int32Array): PortAccess | null {
  if (instruction.row.intercept !== 'IO') return null;
  const mask = instruction.addressWidth === 16 ? 0xffff : -1;
  const isOver = instruction.repeat !== 'none' && (words[2 * Gpr.RCX] & mask) === 0;
  return isOver ? null : portAccess(instruction, words);
}

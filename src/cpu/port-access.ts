// The operands of IN and OUT, for whoever has to decide before the instruction executes.

import { Gpr, type Instruction } from '../isa/index.ts';

export interface PortAccess {
  readonly port: number;
  readonly lengthBytes: number;
  readonly isIn: boolean;
  /** The port is in the instruction rather than in DX. */
  readonly isImmediate: boolean;
}

/** @param words the state words of the processor that is about to execute the instruction */
export function portAccess(instruction: Instruction, words: Int32Array): PortAccess {
  const isIn = instruction.row.mnemonic === 'IN';
  const [first, second] = instruction.operands;
  const portOperand = isIn ? second : first;
  const accumulator = isIn ? first : second;
  const isImmediate = portOperand?.kind === 'immediate';
  return {
    port: isImmediate ? portOperand.value.low : words[2 * Gpr.RDX] & 0xffff,
    lengthBytes: accumulator?.kind === 'register' ? accumulator.width / 8 : 4,
    isIn,
    isImmediate,
  };
}

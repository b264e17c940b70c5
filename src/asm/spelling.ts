// What NASM lets be written in more ways than the instruction table has, and which size keywords it
// lets stand before a number.

import { type MemoryWidth, rowsByMnemonic, type Width } from '../isa/index.ts';
import type { BranchForms, NumberOperandText, OperandText } from './statement.ts';

/** An instruction as the table spells it. */
export interface Spelling {
  /** In upper case. */
  readonly mnemonic: string;
  readonly operands: readonly OperandText[];
}

/** Respell `imul rax, 5`, `test rbx, [rax]`, `movsx rax, eax`. */
export function tableSpelling(mnemonic: string, operands: readonly OperandText[]): Spelling {
  const [first, second] = operands;
  if (operands.length !== 2 || first?.kind !== 'register' || second === undefined) {
    return { mnemonic, operands };
  }
  if (mnemonic === 'IMUL' && second.kind === 'number') {
    return { mnemonic, operands: [first, first, second] };
  }
  if (mnemonic === 'TEST' && second.kind === 'memory') {
    return { mnemonic, operands: [second, first] };
  }
  if (mnemonic === 'MOVSX' && first.register.width === 64 && widthOf(second) === 32) {
    return { mnemonic: 'MOVSXD', operands };
  }
  return { mnemonic, operands };
}

/** The forms in which the mnemonic branches to a place, or null if it is no branch. */
export function branchForms(mnemonic: string): BranchForms | null {
  const targets = rowsByMnemonic(mnemonic)
    .map(({ operands }) => operands[0])
    .filter((spec) => spec?.place === 'relative');
  const has = (width: Width) => targets.some((spec) => spec?.immediateWidth === width);
  return targets.length === 0
    ? null
    : { short: has(8), near: has(32), conditional: /^J(?!MP)/.test(mnemonic) };
}

/** Bits of an operand as it is written, 0 if that does not say. */
export function widthOf(operand: OperandText): MemoryWidth | 0 {
  return operand.kind === 'register' ? operand.register.width : operand.width;
}

/**
 * The size keywords that may stand before the number at `index`; empty if any may. A number has the
 * size of the operation or, where the encoding can extend it, of a byte.
 */
export function immediateSizes(
  mnemonic: string,
  operands: readonly OperandText[],
  index: number,
): readonly Width[] {
  const operation = operands[0] === undefined || index === 0 ? 0 : widthOf(operands[0]);
  if (operation === 0 || operation === 128) return [];
  const fields = rowsByMnemonic(mnemonic)
    .filter((row) => row.operands.length === operands.length)
    .map((row) => row.operands[index]?.immediateWidth ?? 0);
  if (Math.max(0, ...fields) <= 8) return [8];
  // MOV and IMUL name the 32 bits that they extend to 64; the others do not. MOV extends no byte.
  const whole: Width[] = operation === 64 && /^(MOV|IMUL)$/.test(mnemonic) ? [32, 64] : [operation];
  return mnemonic === 'MOV' || operation === 8 ? whole : [8, ...whole];
}

/** NASM does not shorten `imul rax, rbx, dword 5`, although it shortens every other number. */
export function isAsWide(
  { width }: NumberOperandText,
  mnemonic: string,
  operation: MemoryWidth | 0,
) {
  return mnemonic === 'IMUL' && operation === 64 && width === 32;
}

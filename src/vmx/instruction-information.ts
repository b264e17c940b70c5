// The VM-exit instruction-information field of VMX instructions, INS and OUTS,
// and of those that load or store descriptor-table registers: scale, address size,
// registers and segment of the operands. SDM 3, "VM-Exit Instruction Information Field".

import type { Instruction } from '../isa/index.ts';

const REGISTER_FORM = 1 << 10;
const NO_INDEX = 1 << 22;
const NO_BASE = 1 << 27;

const ADDRESS_SIZES: Readonly<Record<16 | 32 | 64, number>> = { 16: 0, 32: 1, 64: 2 };

/** Bits 9:7. */
export function addressSizeInformation(width: 16 | 32 | 64): number {
  return ADDRESS_SIZES[width] << 7;
}

/** 0 for instructions without operands. VMREAD and VMWRITE may have a register for memory. */
export function instructionInformation({ operands, row, addressWidth }: Instruction): number {
  const at = row.operands.findIndex(({ place }) => place === 'rm');
  if (at < 0) return 0;
  const place = operands[at];
  const other = operands[1 - at];
  const second = other?.kind === 'register' ? other.number << 28 : 0;
  if (place.kind === 'register') return second | REGISTER_FORM | (place.number << 3);
  if (place.kind !== 'memory') return 0;
  const { base, index, scale, segment } = place;
  return (
    second |
    scale |
    addressSizeInformation(addressWidth) |
    (segment << 15) |
    (index < 0 ? NO_INDEX : index << 18) |
    (base < 0 ? NO_BASE : base << 23)
  );
}

const OPERAND_SIZE_32 = 1 << 11;

/**
 * Of LGDT and its kin, and of LLDT and its kin: the operand, with which of the four it is. The
 * operand size is that of LGDT and its kin; undefined, here 0, in 64-bit mode.
 */
export function tableInformation(
  instruction: Instruction,
  hasSize: boolean,
  identity: number,
): number {
  const isWide = hasSize && instruction.codeSize !== 64 && instruction.width === 32;
  return instructionInformation(instruction) | (isWide ? OPERAND_SIZE_32 : 0) | (identity << 28);
}

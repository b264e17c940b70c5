// The flags that the SDM leaves undefined. The interpreter follows the processors named here, on
// which the flags are compared all the same; elsewhere they are not.

import type { Instruction } from '../../src/isa/index.ts';
import type { Case } from './protocol.ts';

const CF = 1 << 0;
const PF = 1 << 2;
const AF = 1 << 4;
const ZF = 1 << 6;
const SF = 1 << 7;
const OF = 1 << 11;
const ALL = CF | PF | AF | ZF | SF | OF;

/** Family 6, by model: Sapphire Rapids, Emerald Rapids. */
export const FOLLOWED_MODELS: readonly number[] = [143, 207];

/** SDM 2, "Flags Affected" of each instruction. */
const UNDEFINED: readonly (readonly [mnemonics: RegExp, flags: number])[] = [
  [/^I?MUL$/, SF | ZF | AF | PF],
  [/^I?DIV$/, ALL],
  [/^(AND|OR|XOR|TEST)$/, AF],
  [/^BS[FR]$/, CF | OF | SF | AF | PF],
  [/^[LT]ZCNT$/, OF | SF | AF | PF],
  [/^BT[CRS]?$/, OF | SF | AF | PF],
  [/^(ANDN|BLSI|BLSR|BLSMSK|BZHI)$/, AF | PF],
  [/^BEXTR$/, AF | SF | PF],
  [/^DA[AS]$/, OF],
  [/^AA[AS]$/, OF | SF | ZF | PF],
  [/^AA[MD]$/, OF | AF | CF],
];

/** Bits of RFLAGS that are undefined after an instruction. */
export function undefinedFlags(instruction: Instruction, before: Case): number {
  const { mnemonic } = instruction.row;
  if (/^(RO|RC|SH|SA)[LR]$|^SH[LR]D$/.test(mnemonic)) return afterShift(instruction, before);
  return UNDEFINED.find(([mnemonics]) => mnemonics.test(mnemonic))?.[1] ?? 0;
}

/** OF is defined for counts of 1; CF unless more is shifted than there is. */
function afterShift({ row, operands, width }: Instruction, { registers }: Case): number {
  const amount = operands[operands.length - 1];
  const raw = amount.kind === 'immediate' ? amount.value.low : registers[2];
  const count = raw & (width === 64 ? 63 : 31);
  if (count === 0) return 0;
  const overflow = count === 1 ? 0 : OF;
  if (/^R/.test(row.mnemonic)) return overflow;
  if (/D$/.test(row.mnemonic) && count > width) return ALL;
  return overflow | AF | (count >= width ? CF : 0);
}

// Which rows of the instruction table are compared with the processor, how, and why not all of
// them: a line for each exception, with its reason.

import { type CodeSize, type Row, rowsIn } from '../../src/isa/index.ts';
import { Mode, modeFor } from './protocol.ts';

/** Rows that are not executed here, by mnemonic. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  SYSCALL: 'it would call the kernel of this machine',
  SYSENTER: 'it would call the kernel of this machine',
  VMCALL: 'whoever virtualizes this machine would answer it',
  VMMCALL: 'whoever virtualizes this machine would answer it',
  SGDT: 'the kernel answers it instead of the processor (UMIP)',
  SIDT: 'the kernel answers it instead of the processor (UMIP)',
  SLDT: 'the kernel answers it instead of the processor (UMIP)',
  SMSW: 'the kernel answers it instead of the processor (UMIP)',
  STR: 'the kernel answers it instead of the processor (UMIP)',
  INVPCID: 'the processor of the laboratory does not have it',
  XGETBV: 'the processor of the laboratory does not have it',
  XSETBV: 'the processor of the laboratory does not have it',
};

/** General registers whose value afterwards is this machine's own affair, by mnemonic. */
const OWN_ANSWERS: Readonly<Record<string, readonly number[]>> = {
  CPUID: [0, 1, 2, 3],
  RDTSC: [0, 2],
  RDTSCP: [0, 1, 2],
};

/** Instructions that answer with something of this machine in the register they name. */
const OWN_OPERAND = /^(RDRAND|RDSEED|RDPID)$/;

/** Features, as the kernel names them, that instructions belong to. */
const FEATURES: Readonly<Record<string, RegExp>> = {
  abm: /^LZCNT$/,
  adx: /^AD[CO]X$/,
  bmi1: /^(ANDN|BEXTR|BLSI|BLSMSK|BLSR|TZCNT)$/,
  bmi2: /^(BZHI|MULX|PDEP|PEXT|RORX|SARX|SHLX|SHRX)$/,
  cx16: /^CMPXCHG16B$/,
  fsgsbase: /^(RD|WR)[FG]SBASE$/,
  movbe: /^MOVBE$/,
  popcnt: /^POPCNT$/,
  rdpid: /^RDPID$/,
  rdrand: /^RDRAND$/,
  rdseed: /^RDSEED$/,
  rdtscp: /^RDTSCP$/,
  sse4_2: /^CRC32$/,
};

/** Why a row is not compared on a processor with these features, or null. */
export function whyLeftOut(row: Row, features: ReadonlySet<string>): string | null {
  if (LEFT_OUT[row.mnemonic] !== undefined) return LEFT_OUT[row.mnemonic];
  for (const [feature, pattern] of Object.entries(FEATURES)) {
    if (pattern.test(row.mnemonic) && !features.has(feature)) {
      return `this processor does not have ${feature}`;
    }
  }
  return null;
}

/** Rows that machine code of this size can be decoded to. */
export function decodableRows(codeSize: CodeSize): readonly Row[] {
  return rowsIn(codeSize).filter(({ encodeOnly }) => !encodeOnly);
}

/**
 * Executions that must never happen, whatever the row: INT 80h calls the kernel. INT 3 and INT 4
 * have gates that a user program may use; what is behind them is not compared.
 */
export function isForbidden(row: Row, code: Uint8Array): boolean {
  return row.mnemonic === 'INT' && [0x80, 3, 4].includes(code[code.length - 1]);
}

export function isFarBranch({ mnemonic, operands }: Row): boolean {
  return /^(JMP|CALL)$/.test(mnemonic) && operands[0].far;
}

/** How cases of a row are executed in code of this size. */
export function modeOf(row: Row, codeSize: CodeSize): number {
  const isStepped = row.cost === 'branch' || /^(POPF|IRET|INT$)/.test(row.mnemonic);
  const names = row.operands.map(({ registerClass, text }) => `${registerClass} ${text}`);
  const hasSegment =
    names.some((name) => /segment/.test(name)) || /[FG]SBASE$|^L[DEFGS]S$/.test(row.mnemonic);
  const own =
    (isStepped ? Mode.SINGLE_STEP : 0) |
    (hasSegment ? Mode.SEGMENTS : 0) |
    (row.unit === undefined ? 0 : Mode.VECTORS);
  return own | modeFor(codeSize);
}

/** Registers not to compare: those that the instruction fills with this machine's own answer. */
export function ownAnswers({ mnemonic }: Row, named: number): readonly number[] {
  if (OWN_OPERAND.test(mnemonic)) return [named];
  return OWN_ANSWERS[mnemonic] ?? [];
}

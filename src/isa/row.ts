// A row of the instruction table: one encoding form of one instruction, with everything that is
// known about it. Decoder, encoder, formatter, engines and documentation read rows and nothing
// else.

import type { Meaning } from './domain.ts';
import type { CodeSize, MemoryWidth, RegisterName, Width } from './registers.ts';

/**
 * What an instruction costs; a cost preset gives cycles for each. A row with a memory operand pays
 * `load` or `store` on top, one with a LOCK prefix (or an XCHG with memory) `locked`.
 */
export type CostClass =
  | 'simple'
  | 'multiply'
  | 'divide'
  | 'branch'
  | 'string'
  | 'fence'
  | 'pause'
  | 'timestamp'
  | 'cpuid'
  | 'msr'
  | 'io'
  | 'system'
  | 'interrupt';

export const COST_CLASSES: readonly CostClass[] = [
  'simple',
  'multiply',
  'divide',
  'branch',
  'string',
  'fence',
  'pause',
  'timestamp',
  'cpuid',
  'msr',
  'io',
  'system',
  'interrupt',
];

/**
 * A reason for which a processor under virtualization may refuse to execute an instruction and
 * leave to its owner instead. The processor asks before it executes a row that declares one.
 */
export type Intercept =
  | 'CPUID'
  | 'CR_ACCESS'
  | 'DESCRIPTOR_TABLE'
  | 'DR_ACCESS'
  | 'HLT'
  | 'INVD'
  | 'INVLPG'
  | 'INVPCID'
  | 'IO'
  | 'MACHINE_STATUS'
  | 'MONITOR'
  | 'MWAIT'
  | 'PAUSE'
  | 'RDMSR'
  | 'RDPID'
  | 'RDPMC'
  | 'RDTSC'
  | 'RDTSCP'
  | 'VMCALL'
  | 'VMX'
  | 'WBINVD'
  | 'WRMSR';

/**
 * Checked before the intercept: `supervisor` #GP(0) unless CPL is 0, `io` #GP(0) unless CPL <= IOPL
 * or the TSS bitmap allows the port, `iopl` #GP(0) unless CPL <= IOPL, `tsc` #GP(0) if CR4.TSD is 1
 * and CPL is not 0, `pmc` #GP(0) if CR4.PCE is 0 and CPL is not 0, `umip` #GP(0) if CR4.UMIP is 1
 * and CPL is not 0, `hidden` #UD unless CPL is 0.
 */
export type Privilege = 'supervisor' | 'io' | 'iopl' | 'tsc' | 'pmc' | 'umip' | 'hidden';

/**
 * How an instruction's operand size departs from the usual (code size 16 or 32, changed by 66; in
 * 64-bit mode 32, 16 with 66 and 64 with REX.W):
 * `default64` 64 instead of 32 in 64-bit mode (PUSH, POP);
 * `forced64` 64 in 64-bit mode, whatever the prefixes say (near branches);
 * `native` 64 in 64-bit mode and 32 elsewhere, whatever the prefixes say (MOV with CRn);
 * `dword` 32, or 64 with REX.W, whatever else the prefixes and the code size say (ADOX).
 */
export type OperandSizeRule = 'default64' | 'forced64' | 'native' | 'dword';

/**
 * The unit that executes an instruction, which control registers may switch off. `sse`: #UD if
 * CR0.EM is 1 or CR4.OSFXSR is 0, #NM if CR0.TS is 1. `fpu`: #NM if CR0.EM or CR0.TS is 1. `wait`:
 * #NM if CR0.MP and CR0.TS are 1. SDM 3, "Control Registers".
 */
export type Unit = 'sse' | 'fpu' | 'wait';

/** What is said once for all forms of an instruction. */
export interface Attributes {
  /** LOCK is legal when the first operand is memory. */
  readonly lock?: true | undefined;
  /** Always locked when an operand is memory, prefix or not (XCHG). */
  readonly alwaysLocked?: true | undefined;
  readonly cost?: CostClass;
  readonly intercept?: Intercept | undefined;
  readonly privilege?: Privilege | undefined;
  readonly unit?: Unit | undefined;
  readonly operandSize?: OperandSizeRule | undefined;
  /** The form exists in 64-bit mode only. */
  readonly only64?: true | undefined;
  /** The form exists outside 64-bit mode only. */
  readonly not64?: true | undefined;
  /** #UD in real and virtual-8086 mode. */
  readonly protectedOnly?: true | undefined;
  /** String instruction: REP (and REPNE) repeat it. `compare`: they also look at ZF. */
  readonly repeat?: 'plain' | 'compare' | undefined;
}

/** Where an operand stands in the encoding. */
export type OperandPlace =
  | 'reg'
  | 'rm'
  /** The register that a VEX prefix names. */
  | 'vvvv'
  | 'opcode'
  | 'immediate'
  | 'relative'
  /** A far pointer in the instruction: an offset, and behind it a selector. */
  | 'pointer'
  | 'moffs'
  | 'implied';

/** One operand of a row's syntax, in the SDM's notation. */
export interface OperandSpec {
  /** As written: `r/m32`, `imm8`, `CL`. */
  readonly text: string;
  readonly place: OperandPlace;
  readonly registerClass: RegisterName['class'];
  /** Width as a register, or 0 if it may not be one. */
  readonly registerWidth: MemoryWidth | 0;
  /** Width as memory; 0 if only the address counts; -1 if it may not be memory. */
  readonly memoryWidth: MemoryWidth | 0 | -1;
  /** A pointer in memory: an offset of `memoryWidth` and behind it a selector. */
  readonly far: boolean;
  /** Width of the immediate or relative offset in the encoding, or 0. */
  readonly immediateWidth: Width | 0;
  /** True for immediates that are not sign-extended. */
  readonly unsigned: boolean;
  /** The only register allowed, or null. */
  readonly fixed: RegisterName | null;
  /** The only number allowed (the 1 of `SHL r/m8, 1`), or null. */
  readonly fixedNumber: number | null;
  /** A register number that may not be used here, or -1. */
  readonly excluded: number;
}

/** The opcode column of the SDM. */
export interface OpcodePattern {
  /** As written, after expansion: `REX.W 81 /0 id`. */
  readonly text: string;
  /**
   * A prefix that is part of the opcode, 0 for none; `NP` (no 66, F2, F3 allowed) is -1, `NFx` (no
   * F2, F3) is -2.
   */
  readonly mandatoryPrefix: number;
  /** A VEX prefix stands for the mandatory prefix, REX and the map. Its vector length is 0. */
  readonly vex: boolean;
  /** 0 one byte, 1 after 0F, 2 after 0F 38, 3 after 0F 3A. */
  readonly map: number;
  readonly opcode: number;
  /** The low three bits of the opcode are a register. */
  readonly plusRegister: boolean;
  /** `none`; `register` for /r; `digit` for /0 to /7; `fixed` for a given byte. */
  readonly modrm: 'none' | 'register' | 'digit' | 'fixed';
  /** The digit or the fixed byte. */
  readonly modrmValue: number;
  /** Last fixed byte that decodes to the row (`E8-EF`); equal to `modrmValue` otherwise. */
  readonly modrmLast: number;
  /** Not matched when REX.B is 1 (90 is NOP, 41 90 is XCHG R8D, EAX). */
  readonly noRexB: boolean;
  /** An immediate byte that is part of the opcode (CMPEQPS), or -1; not for the decoder. */
  readonly suffix: number;
  /** Bytes after ModR/M and displacement: immediates, offsets, addresses. */
  readonly immediateBytes: readonly number[];
}

export interface Row extends Attributes {
  readonly mnemonic: string;
  /** One line on what the instruction does. */
  readonly summary: string;
  readonly operands: readonly OperandSpec[];
  readonly pattern: OpcodePattern;
  /** The operand size that selects this row, or 0 if every size does. */
  readonly width: Width | 0;
  /** The address size that selects this row, or 0 if every size does. */
  readonly addressWidth: 16 | 32 | 64 | 0;
  /** The encoder may use the row, the decoder never reports it (another row has the same bytes). */
  readonly encodeOnly: boolean;
  readonly cost: CostClass;
  readonly meaning: Meaning;
}

/** Whether code of this size can contain the form at all. */
export function existsIn(row: Row, codeSize: CodeSize): boolean {
  const { width, addressWidth, operandSize } = row;
  if (codeSize === 64) {
    if (row.not64 || addressWidth === 16) return false;
    if (operandSize === 'forced64' || operandSize === 'native') return width === 0 || width === 64;
    return operandSize !== 'default64' || width !== 32;
  }
  if (row.only64 || width === 64 || addressWidth === 64) return false;
  const isWide = row.operands.some(
    ({ registerClass, registerWidth, fixed }) =>
      registerClass === 'general' && (registerWidth === 64 || fixed?.width === 64),
  );
  if (isWide) return false;
  return operandSize !== 'native' || width !== 16;
}

/** The syntax column: `ADD r/m32, imm8`. */
export function syntax(row: Row): string {
  const operands = row.operands.map((operand) => operand.text).join(', ');
  return operands === '' ? row.mnemonic : `${row.mnemonic} ${operands}`;
}

// The words of the language. Names of registers and instructions come from the instruction table.

import {
  type MemoryWidth,
  mnemonics,
  REGISTERS,
  rowsByMnemonic,
  type Width,
} from '../isa/index.ts';

/** Size keywords, with bits. */
export const SIZES: ReadonlyMap<string, Width> = new Map([
  ['byte', 8],
  ['word', 16],
  ['dword', 32],
  ['qword', 64],
]);

/** As {@link SIZES}, before an address. */
export const MEMORY_SIZES: ReadonlyMap<string, MemoryWidth> = new Map<string, MemoryWidth>([
  ...SIZES,
  ['oword', 128],
]);

/** Data and reservation directives, with the bytes of one item. */
export const DATA: ReadonlyMap<string, number> = new Map([
  ['db', 1],
  ['dw', 2],
  ['dd', 4],
  ['dq', 8],
]);

export const RESERVE: ReadonlyMap<string, number> = new Map([
  ['resb', 1],
  ['resw', 2],
  ['resd', 4],
  ['resq', 8],
]);

/** Directives that no label stands before. */
export const DIRECTIVES: readonly string[] = [
  ...['bits', 'use16', 'use32', 'use64', 'org', 'default', 'cpu'],
  ...['section', 'segment', 'global', 'extern'],
];

/** Directives that take up space, so that a label may stand before. */
const PLACED_DIRECTIVES: readonly string[] = ['align', 'alignb', 'incbin', 'times', 'equ'];

/** What NASM has and this assembler has not: worth another message than "unknown". */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  ...['absolute', 'common', 'static', 'struc', 'endstruc', 'istruc', 'at'],
  ...['iend', 'float', 'dt', 'do', 'dy', 'dz', 'rest', 'reso', 'resy', 'resz', 'group'],
  ...['sectalign', 'required', 'uppercase', 'warning', 'list', 'pragma'],
]);

export const REPEAT_PREFIXES: ReadonlyMap<string, 'rep' | 'repne'> = new Map([
  ['rep', 'rep'],
  ['repe', 'rep'],
  ['repz', 'rep'],
  ['repne', 'repne'],
  ['repnz', 'repne'],
]);

export const OPERAND_PREFIXES: ReadonlyMap<string, Width> = new Map([
  ['o16', 16],
  ['o32', 32],
  ['o64', 64],
]);

export const ADDRESS_PREFIXES: ReadonlyMap<string, Width> = new Map([
  ['a16', 16],
  ['a32', 32],
  ['a64', 64],
]);

const OTHER_RESERVED: readonly string[] = [
  ...['strict', 'short', 'near', 'far', 'to', 'rel', 'abs', 'nosplit', 'seg', 'wrt'],
  ...['tword', 'yword', 'zword', 'ptr', 'lock', 'bnd', 'nobnd', 'wait'],
  ...['xacquire', 'xrelease'],
];

const RESERVED: ReadonlySet<string> = new Set([
  ...MEMORY_SIZES.keys(),
  ...OTHER_RESERVED,
  ...REPEAT_PREFIXES.keys(),
  ...OPERAND_PREFIXES.keys(),
  ...ADDRESS_PREFIXES.keys(),
]);

const FOREIGN_REGISTER =
  /^([xyz]mm([12]?\d|3[01])|mm[0-7]|st[0-7]|k[0-7]|bnd[0-3]|tmm[0-7]|tr[0-7]|[cd]r\d+)$/;

/** A word of the operand syntax, in lower case: it cannot be the name of a symbol. */
export function isReserved(word: string): boolean {
  return RESERVED.has(word);
}

/** Whether `word`, in lower case, is a register, of the instruction table or not. */
export function isRegister(word: string): boolean {
  return REGISTERS.has(word) || isForeignRegister(word);
}

/** A register of real processors that the instruction table does not know. */
export function isForeignRegister(word: string): boolean {
  return !REGISTERS.has(word) && FOREIGN_REGISTER.test(word);
}

/** A directive of NASM that this assembler does not have. */
export function isUnsupported(word: string): boolean {
  return UNSUPPORTED.has(word);
}

/** Whether `word`, in lower case, is an instruction. */
export function isMnemonic(word: string): boolean {
  return rowsByMnemonic(word.toUpperCase()).length > 0;
}

/** Whether `word`, in lower case, begins a directive or data line. */
export function isDirective(word: string): boolean {
  return DATA.has(word) || RESERVE.has(word) || DIRECTIVE_NAMES.has(word);
}

const DIRECTIVE_NAMES: ReadonlySet<string> = new Set([...DIRECTIVES, ...PLACED_DIRECTIVES]);

/** Everything that can stand where an instruction is expected, for suggestions. */
export function* instructionWords(): Generator<string> {
  for (const mnemonic of mnemonics(64)) yield mnemonic.toLowerCase();
  yield* DATA.keys();
  yield* RESERVE.keys();
  yield* DIRECTIVE_NAMES;
  yield* REPEAT_PREFIXES.keys();
  yield 'lock';
}

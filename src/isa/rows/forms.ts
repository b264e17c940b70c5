// Families of encoding forms that several instructions share.

import type { Form, FormAttributes } from '../notation.ts';

/** The forms that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP share, from opcode `base` on. */
export function binaryForms(base: number): Form[] {
  const opcode = (offset: number) => hex(base + offset);
  const digit = base >> 3;
  return [
    ['r/m8, r8', `${opcode(0)} /r`],
    ['r/m16|32|64, r16|32|64', `${opcode(1)} /r`],
    ['r8, r/m8', `${opcode(2)} /r`],
    ['r16|32|64, r/m16|32|64', `${opcode(3)} /r`],
    ['r/m16|32|64, imm8', `83 /${digit} ib`],
    ['AL, imm8', `${opcode(4)} ib`],
    ['AX|EAX|RAX, imm16|32|32', `${opcode(5)} iw|id|id`],
    ['r/m8, imm8', `80 /${digit} ib`],
    ['r/m16|32|64, imm16|32|32', `81 /${digit} iw|id|id`],
    ['r/m8, imm8', `82 /${digit} ib`, { not64: true }],
  ];
}

/** `NAME r/m8` and `NAME r/m16|32|64`. */
export function unaryForms(opcode8: string, opcode: string, digit: number): Form[] {
  return [
    ['r/m8', `${opcode8} /${digit}`],
    ['r/m16|32|64', `${opcode} /${digit}`],
  ];
}

/** The sixteen condition codes: all names of each, the one a disassembler prints first. */
export const CONDITIONS: readonly (readonly string[])[] = [
  ['O'],
  ['NO'],
  ['B', 'C', 'NAE'],
  ['AE', 'NB', 'NC'],
  ['E', 'Z'],
  ['NE', 'NZ'],
  ['BE', 'NA'],
  ['A', 'NBE'],
  ['S'],
  ['NS'],
  ['P', 'PE'],
  ['NP', 'PO'],
  ['L', 'NGE'],
  ['GE', 'NL'],
  ['LE', 'NG'],
  ['G', 'NLE'],
];

/** Two hexadecimal digits, as the opcode notation wants them. */
export function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}

/** The first name of a form is the one that the decoder reports; the others only assemble. */
export function synonym(alias: number): FormAttributes {
  return alias === 0 ? {} : { encodeOnly: true };
}

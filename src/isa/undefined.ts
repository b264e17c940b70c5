// Encodings that no processor defines, or not in 64-bit mode, or only there: they raise #UD.
// Whatever is neither here nor in the instruction table exists on hardware but not yet here, and
// stops the run instead.
// SDM 2, "Opcode Map", and its notes on reserved ModR/M extensions.

import type { CodeSize } from './registers.ts';

type Mod = 'memory' | 'register' | 'any';

/** Whole opcodes of the one-byte map that 64-bit mode does without. */
const NOT_IN_64: readonly number[] = [
  0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce,
  0xd4, 0xd5, 0xd6, 0xea,
];

/** SYSCALL and SYSRET, in the two-byte map. */
const ONLY_IN_64: readonly number[] = [0x05, 0x07];

/** Whole opcodes, by map. */
const OPCODES: readonly (readonly number[])[] = [
  [],
  [
    0x04, 0x0a, 0x0c, 0x0e, 0x0f, 0x24, 0x25, 0x26, 0x27, 0x36, 0x39, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
    0x7a, 0x7b, 0xa6, 0xa7, 0xb9, 0xff,
  ],
];

/** Single values of ModR/M.reg, and which kind of r/m they are undefined with. */
const EXTENSIONS: readonly (readonly [map: number, opcode: number, digits: string, Mod])[] = [
  [0, 0x8d, '01234567', 'register'],
  [0, 0x8f, '1234567', 'any'],
  [0, 0xc6, '1234567', 'memory'],
  [0, 0xc6, '123456', 'register'],
  [0, 0xc7, '1234567', 'memory'],
  [0, 0xc7, '123456', 'register'],
  [0, 0xfe, '234567', 'any'],
  [0, 0xff, '7', 'any'],
  [0, 0xff, '35', 'register'],
  [1, 0x00, '67', 'any'],
  [1, 0xb2, '01234567', 'register'],
  [1, 0xb4, '01234567', 'register'],
  [1, 0xb5, '01234567', 'register'],
  [1, 0xba, '0123', 'any'],
  [1, 0xc3, '01234567', 'register'],
  [1, 0xc7, '02', 'any'],
  [1, 0xc7, '1', 'register'],
];

/** True if hardware raises #UD for an opcode of a map, whatever follows. */
export function isUndefinedOpcode(codeSize: CodeSize, map: number, opcode: number): boolean {
  if (map === 0 && codeSize === 64) return NOT_IN_64.includes(opcode);
  if (map === 1 && codeSize !== 64 && ONLY_IN_64.includes(opcode)) return true;
  return OPCODES[map]?.includes(opcode) === true;
}

/** True if hardware raises #UD for an opcode of a map with this ModR/M byte and repeat prefix. */
export function isUndefinedExtension(
  codeSize: CodeSize,
  map: number,
  opcode: number,
  modrm: number,
  repeat: number,
): boolean {
  if (map === 1 && opcode === 0x00 && repeat === 0xf2) return false; // LKGS
  if (map === 1 && opcode === 0xc7 && modrm >= 0xf0 && repeat === 0xf2) return true; // RDRAND
  if (map === 2 && (opcode & 0xfe) === 0xf0 && repeat === 0xf3) return true; // MOVBE, CRC32
  // SWAPGS, and the instructions for the bases of FS and GS.
  if (map === 1 && codeSize !== 64) {
    if (opcode === 0x01 && modrm === 0xf8) return true;
    if (opcode === 0xae && repeat === 0xf3 && modrm >= 0xc0 && modrm < 0xe0) return true;
  }
  const mod: Mod = modrm >= 0xc0 ? 'register' : 'memory';
  const digit = String((modrm >> 3) & 7);
  return EXTENSIONS.some(
    ([ofMap, of, digits, withMod]) =>
      ofMap === map &&
      of === opcode &&
      (withMod === 'any' || withMod === mod) &&
      digits.includes(digit),
  );
}

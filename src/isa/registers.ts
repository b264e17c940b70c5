// The register names of the SDM and their numbers in instruction encodings.

/** Widths of integer operands, in bits. */
export type Width = 8 | 16 | 32 | 64;

/**
 * The default code size: 64 in 64-bit mode, else what CS.D says, in real and virtual-8086 mode 16.
 * SDM 3, "Code Segment Descriptor in 64-bit Mode".
 */
export type CodeSize = 16 | 32 | 64;

export const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];

/** Widths of memory operands, in bits; the widest are taken in halves. */
export type MemoryWidth = Width | 128;

/** Numbers of the general-purpose registers, as ModR/M and opcodes encode them. */
export const Gpr = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
} as const;

/** Numbers of the segment registers, as ModR/M encodes them. */
export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;

/** The kinds of register that an operand can name. */
export type RegisterClass = 'general' | 'segment' | 'control' | 'debug' | 'xmm';

/** A register as assembly text names it. */
export interface RegisterName {
  readonly class: RegisterClass;
  readonly number: number;
  /** Bits; segment registers 16, control and debug registers 64, XMM registers 128. */
  readonly width: MemoryWidth;
  /** True for AH, CH, DH, BH. */
  readonly high: boolean;
}

const LEGACY = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;
const NUMBERED = ['8', '9', '10', '11', '12', '13', '14', '15'] as const;

/** Names of the 64-bit general-purpose registers by number. */
export const GPR_NAMES: readonly string[] = [
  ...LEGACY.map((name) => `r${name}`),
  ...NUMBERED.map((name) => `r${name}`),
];

export const SEGMENT_NAMES: readonly string[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

const NAMES_BY_WIDTH: Readonly<Record<Width, readonly string[]>> = {
  8: [
    ...['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'],
    ...NUMBERED.map((name) => `r${name}b`),
  ],
  16: [...LEGACY, ...NUMBERED.map((name) => `r${name}w`)],
  32: [...LEGACY.map((name) => `e${name}`), ...NUMBERED.map((name) => `r${name}d`)],
  64: GPR_NAMES,
};

const HIGH_NAMES = ['ah', 'ch', 'dh', 'bh'];

/** The name of a register, in lower case. */
export function registerName(register: RegisterName): string {
  switch (register.class) {
    case 'segment':
      return SEGMENT_NAMES[register.number] ?? '?';
    case 'control':
      return `cr${register.number}`;
    case 'debug':
      return `dr${register.number}`;
    case 'xmm':
      return `xmm${register.number}`;
    case 'general':
      if (register.high) return HIGH_NAMES[register.number] ?? '?';
      return NAMES_BY_WIDTH[register.width as Width][register.number] ?? '?';
  }
}

/** Every register that assembly text can name, by its lower-case name. */
export const REGISTERS: ReadonlyMap<string, RegisterName> = buildRegisters();

function buildRegisters(): Map<string, RegisterName> {
  const registers = new Map<string, RegisterName>();
  const add = (register: RegisterName) => registers.set(registerName(register), register);
  for (const width of [8, 16, 32, 64] as const) {
    for (let number = 0; number < 16; number++) {
      add({ class: 'general', number, width, high: false });
    }
  }
  for (let number = 0; number < 4; number++) {
    add({ class: 'general', number, width: 8, high: true });
  }
  for (let number = 0; number < 6; number++) {
    add({ class: 'segment', number, width: 16, high: false });
  }
  for (const number of [0, 2, 3, 4, 8]) {
    add({ class: 'control', number, width: 64, high: false });
  }
  for (let number = 0; number < 8; number++) {
    add({ class: 'debug', number, width: 64, high: false });
  }
  for (let number = 0; number < 16; number++) {
    add({ class: 'xmm', number, width: 128, high: false });
  }
  return registers;
}

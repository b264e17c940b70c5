// The registers that gdb is shown, in the order of their numbers: the features that gdb knows for
// x86-64 (gdb's manual, "i386 Features"), the control and system registers, and every field of the
// VMCS. Name, width and place of each stand here; the description for gdb is derived.

import Long from 'long';
import { FIELDS, type FieldName } from '../../vmx/index.ts';
import { littleEndian, longOfLittleEndian } from './hex.ts';

/** Where the values are; names are those of the processor's state, and of VMCS fields. */
export interface RegisterValues {
  get(item: string): Long;
  set(item: string, value: Long): void;
  field(name: FieldName): Long;
  setField(name: FieldName, value: Long): void;
}

export interface TargetRegister {
  readonly name: string;
  readonly bits: number;
  /** What gdb prints it as: one of its own types, or one of {@link REGISTER_TYPES}. */
  readonly type: string;
  /** What `info registers` lists it under. */
  readonly group: string;
  /** Bytes in little-endian order. */
  read(values: RegisterValues): Uint8Array;
  /** False if it cannot be written. */
  write(values: RegisterValues, bytes: Uint8Array): boolean;
}

export interface RegisterFeature {
  readonly name: string;
  /** Types that its registers use, beside gdb's own. */
  readonly types: readonly RegisterType[];
  readonly registers: readonly TargetRegister[];
}

export type RegisterType =
  | {
      readonly kind: 'flags';
      readonly name: string;
      readonly bytes: number;
      /** Names of single bits. */
      readonly bits: readonly (readonly [name: string, bit: number])[];
    }
  | { readonly kind: 'vector'; readonly name: string; readonly of: string; readonly count: number }
  | {
      readonly kind: 'union';
      readonly name: string;
      readonly fields: readonly (readonly [name: string, type: string])[];
    };

/** A register that is one item of the state. */
function plain(name: string, item: string, bits: number, type: string, group: string) {
  const register: TargetRegister = {
    name,
    bits,
    type,
    group,
    read: (values) => littleEndian(values.get(item), bits / 8),
    write: (values, bytes) => {
      values.set(item, longOfLittleEndian(bytes));
      return true;
    },
  };
  return register;
}

const GENERAL = [
  ...['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
];

const POINTERS = ['rbp', 'rsp'];

const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'];

const FSW_TOP_SHIFT = 11;

/** Physical number of the register that is ST(i). */
function physical(values: RegisterValues, i: number): number {
  return ((values.get('fsw').low >>> FSW_TOP_SHIFT) + i) & 7;
}

function stackRegister(i: number): TargetRegister {
  return {
    name: `st${i}`,
    bits: 80,
    type: 'i387_ext',
    group: 'float',
    read: (values) => {
      const number = physical(values, i);
      const significand = littleEndian(values.get(`fpr${number}Significand`), 8);
      return Uint8Array.of(...significand, ...littleEndian(values.get(`fpr${number}Exponent`), 2));
    },
    write: (values, bytes) => {
      const number = physical(values, i);
      values.set(`fpr${number}Significand`, longOfLittleEndian(bytes.subarray(0, 8)));
      values.set(`fpr${number}Exponent`, longOfLittleEndian(bytes.subarray(8)));
      return true;
    },
  };
}

/** Values of a register's two bits in the full tag word. SDM 1, "x87 FPU Tag Word". */
const Tag = { VALID: 0, ZERO: 1, SPECIAL: 2, EMPTY: 3 } as const;

function tagOf(values: RegisterValues, number: number): number {
  if (((values.get('ftw').low >> number) & 1) === 0) return Tag.EMPTY;
  const significand = values.get(`fpr${number}Significand`);
  const exponent = values.get(`fpr${number}Exponent`).low & 0x7fff;
  if (exponent === 0 && significand.eqz()) return Tag.ZERO;
  return exponent === 0 || exponent === 0x7fff || significand.high >= 0 ? Tag.SPECIAL : Tag.VALID;
}

/** The state has a bit for each register, as FXSAVE; gdb wants the word of FSAVE. */
const TAGS: TargetRegister = {
  name: 'ftag',
  bits: 32,
  type: 'int',
  group: 'float',
  read: (values) => {
    let word = 0;
    for (let number = 0; number < 8; number++) word |= tagOf(values, number) << (2 * number);
    return littleEndian(Long.fromInt(word), 4);
  },
  write: (values, bytes) => {
    const word = longOfLittleEndian(bytes).low;
    let full = 0;
    for (let number = 0; number < 8; number++) {
      if (((word >> (2 * number)) & 3) !== Tag.EMPTY) full |= 1 << number;
    }
    values.set('ftw', Long.fromInt(full));
    return true;
  },
};

/** A half of a 64-bit pointer: where 32-bit code has offset and selector. */
function pointerHalf(name: string, item: string, half: 'low' | 'high'): TargetRegister {
  return {
    name,
    bits: 32,
    type: 'int',
    group: 'float',
    read: (values) => littleEndian(Long.fromInt(values.get(item)[half]), 4),
    write: (values, bytes) => {
      const old = values.get(item);
      const { low } = longOfLittleEndian(bytes);
      values.set(
        item,
        Long.fromBits(half === 'low' ? low : old.low, half === 'low' ? old.high : low),
      );
      return true;
    },
  };
}

function vectorRegister(i: number): TargetRegister {
  return {
    name: `xmm${i}`,
    bits: 128,
    type: 'vec128',
    group: 'vector',
    read: (values) =>
      Uint8Array.of(
        ...littleEndian(values.get(`xmm${i}Low`), 8),
        ...littleEndian(values.get(`xmm${i}High`), 8),
      ),
    write: (values, bytes) => {
      values.set(`xmm${i}Low`, longOfLittleEndian(bytes.subarray(0, 8)));
      values.set(`xmm${i}High`, longOfLittleEndian(bytes.subarray(8)));
      return true;
    },
  };
}

const FLOAT_CONTROL = (['fctrl', 'fstat'] as const).map((name) =>
  plain(name, name === 'fctrl' ? 'fcw' : 'fsw', 32, 'int', 'float'),
);

const CORE: RegisterFeature = {
  name: 'org.gnu.gdb.i386.core',
  types: [
    {
      kind: 'flags',
      name: 'i386_eflags',
      bytes: 4,
      bits: [
        ...([
          ['CF', 0],
          ['', 1],
          ['PF', 2],
          ['AF', 4],
          ['ZF', 6],
          ['SF', 7],
        ] as const),
        ...([
          ['TF', 8],
          ['IF', 9],
          ['DF', 10],
          ['OF', 11],
          ['NT', 14],
          ['RF', 16],
        ] as const),
        ...([
          ['VM', 17],
          ['AC', 18],
          ['VIF', 19],
          ['VIP', 20],
          ['ID', 21],
        ] as const),
      ],
    },
  ],
  registers: [
    ...GENERAL.map((name) =>
      plain(name, name, 64, POINTERS.includes(name) ? 'data_ptr' : 'int64', 'general'),
    ),
    plain('rip', 'rip', 64, 'code_ptr', 'general'),
    plain('eflags', 'rflags', 32, 'i386_eflags', 'general'),
    ...SEGMENTS.map((name) => plain(name, `${name}Selector`, 32, 'int32', 'general')),
    ...[0, 1, 2, 3, 4, 5, 6, 7].map(stackRegister),
    ...FLOAT_CONTROL,
    TAGS,
    pointerHalf('fiseg', 'fip', 'high'),
    pointerHalf('fioff', 'fip', 'low'),
    pointerHalf('foseg', 'fdp', 'high'),
    pointerHalf('fooff', 'fdp', 'low'),
    plain('fop', 'fop', 32, 'int', 'float'),
  ],
};

const SSE: RegisterFeature = {
  name: 'org.gnu.gdb.i386.sse',
  types: [
    { kind: 'vector', name: 'v4f', of: 'ieee_single', count: 4 },
    { kind: 'vector', name: 'v2d', of: 'ieee_double', count: 2 },
    { kind: 'vector', name: 'v16i8', of: 'int8', count: 16 },
    { kind: 'vector', name: 'v8i16', of: 'int16', count: 8 },
    { kind: 'vector', name: 'v4i32', of: 'int32', count: 4 },
    { kind: 'vector', name: 'v2i64', of: 'int64', count: 2 },
    {
      kind: 'union',
      name: 'vec128',
      fields: [
        ['v4_float', 'v4f'],
        ['v2_double', 'v2d'],
        ['v16_int8', 'v16i8'],
        ['v8_int16', 'v8i16'],
        ['v4_int32', 'v4i32'],
        ['v2_int64', 'v2i64'],
        ['uint128', 'uint128'],
      ],
    },
    {
      kind: 'flags',
      name: 'i386_mxcsr',
      bytes: 4,
      bits: [
        ...([
          ['IE', 0],
          ['DE', 1],
          ['ZE', 2],
          ['OE', 3],
          ['UE', 4],
          ['PE', 5],
        ] as const),
        ...([
          ['DAZ', 6],
          ['IM', 7],
          ['DM', 8],
          ['ZM', 9],
          ['OM', 10],
          ['UM', 11],
        ] as const),
        ...([
          ['PM', 12],
          ['FZ', 15],
        ] as const),
      ],
    },
  ],
  registers: [
    ...Array.from({ length: 16 }, (_, i) => vectorRegister(i)),
    plain('mxcsr', 'mxcsr', 32, 'i386_mxcsr', 'vector'),
  ],
};

const BASES: RegisterFeature = {
  name: 'org.gnu.gdb.i386.segments',
  types: [],
  registers: [
    plain('fs_base', 'fsBase', 64, 'int64', 'general'),
    plain('gs_base', 'gsBase', 64, 'int64', 'general'),
  ],
};

const CONTROL: RegisterFeature = {
  name: 'org.vmxlab.control',
  types: [
    {
      kind: 'flags',
      name: 'x64_cr0',
      bytes: 8,
      bits: [
        ...([
          ['PE', 0],
          ['MP', 1],
          ['EM', 2],
          ['TS', 3],
          ['ET', 4],
          ['NE', 5],
        ] as const),
        ...([
          ['WP', 16],
          ['AM', 18],
          ['NW', 29],
          ['CD', 30],
          ['PG', 31],
        ] as const),
      ],
    },
    {
      kind: 'flags',
      name: 'x64_cr4',
      bytes: 8,
      bits: [
        ...([
          ['VME', 0],
          ['PVI', 1],
          ['TSD', 2],
          ['DE', 3],
          ['PSE', 4],
          ['PAE', 5],
        ] as const),
        ...([
          ['MCE', 6],
          ['PGE', 7],
          ['PCE', 8],
          ['OSFXSR', 9],
          ['OSXMMEXCPT', 10],
        ] as const),
        ...([
          ['UMIP', 11],
          ['VMXE', 13],
          ['FSGSBASE', 16],
          ['PCIDE', 17],
        ] as const),
        ...([
          ['SMEP', 20],
          ['SMAP', 21],
        ] as const),
      ],
    },
    {
      kind: 'flags',
      name: 'x64_efer',
      bytes: 8,
      bits: [
        ['SCE', 0],
        ['LME', 8],
        ['LMA', 10],
        ['NXE', 11],
      ],
    },
  ],
  registers: [
    plain('cr0', 'cr0', 64, 'x64_cr0', 'control'),
    plain('cr2', 'cr2', 64, 'int64', 'control'),
    plain('cr3', 'cr3', 64, 'int64', 'control'),
    plain('cr4', 'cr4', 64, 'x64_cr4', 'control'),
    plain('cr8', 'cr8', 64, 'int64', 'control'),
    plain('efer', 'efer', 64, 'x64_efer', 'control'),
  ],
};

/** What belongs to no other feature, and to no field of the VMCS. */
const SYSTEM: RegisterFeature = {
  name: 'org.vmxlab.system',
  types: [],
  registers: (
    [
      ...['dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7'].map((name) => [name, name] as const),
      ['k_gs_base', 'kernelGsBase'],
      ...['star', 'lstar', 'cstar'].map((name) => [name, name] as const),
      ['sfmask', 'sfmask'],
      ['tsc_aux', 'tscAux'],
      ['tsc_adjust', 'tscAdjust'],
    ] as const
  ).map(([name, item]) => plain(name, item, 64, 'int64', 'system')),
};

const VMCS: RegisterFeature = {
  name: 'org.vmxlab.vmcs',
  types: [],
  registers: FIELDS.map(({ name, width, type }) => {
    const register: TargetRegister = {
      name,
      bits: width,
      type: `uint${width}`,
      group: 'vmcs',
      read: (values) => littleEndian(values.field(name), width / 8),
      write: (values, bytes) => {
        if (type === 'exitInformation') return false;
        values.setField(name, longOfLittleEndian(bytes));
        return true;
      },
    };
    return register;
  }),
};

/** What is described to gdb. */
export const FEATURES: readonly RegisterFeature[] = [CORE, SSE, BASES, CONTROL, SYSTEM, VMCS];

/** By number. */
export const REGISTERS: readonly TargetRegister[] = FEATURES.flatMap(({ registers }) => registers);

/** So many, the first ones, are in the answer to `g`; gdb asks for the others one by one. */
export const BULK_REGISTER_COUNT = [CORE, SSE, BASES].reduce(
  (sum, { registers }) => sum + registers.length,
  0,
);

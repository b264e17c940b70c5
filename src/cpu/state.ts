// The architectural state of one logical processor, declared once. It lies in physical memory as
// 32-bit words, so that compiled code can reach it; snapshots, hashes and the debugger read the
// same declaration. Names are those of the SDM.

import Long from 'long';
import type { PhysicalMemory } from '../memory/index.ts';

const SEGMENT_REGISTERS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;

const GENERAL = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
] as const;

/** Name and width of every item, in the order in which they lie in memory. */
const DECLARATION: readonly (readonly [name: string, width: 32 | 64])[] = [
  ...GENERAL.map((name) => [name, 64] as const),
  ['rip', 64],
  ['rflags', 64],
  ['cr0', 64],
  ['cr2', 64],
  ['cr3', 64],
  ['cr4', 64],
  ['cr8', 64],
  ['dr0', 64],
  ['dr1', 64],
  ['dr2', 64],
  ['dr3', 64],
  ['dr6', 64],
  ['dr7', 64],
  ['efer', 64],
  ['star', 64],
  ['lstar', 64],
  ['cstar', 64],
  ['sfmask', 64],
  ['kernelGsBase', 64],
  ['tscAux', 64],
  ['sysenterCs', 64],
  ['sysenterEsp', 64],
  ['sysenterEip', 64],
  ['pat', 64],
  ['debugctl', 64],
  ['tscAdjust', 64],
  ['pdpte0', 64],
  ['pdpte1', 64],
  ['pdpte2', 64],
  ['pdpte3', 64],
  ...SEGMENT_REGISTERS.flatMap((name) => [
    [`${name}Base`, 64] as const,
    [`${name}Selector`, 32] as const,
    [`${name}Limit`, 32] as const,
    [`${name}Rights`, 32] as const,
    [`${name}Reserved`, 32] as const,
  ]),
  ['gdtrBase', 64],
  ['gdtrLimit', 32],
  ['idtrBase', 64],
  ['idtrLimit', 32],
  ['interruptibility', 32],
  ['activity', 32],
  ['pendingDebug', 64],
  // What RDRAND and RDSEED go on from; not on hardware.
  ['entropy', 64],
  ...[...GENERAL.keys()].flatMap((number) => [
    [`xmm${number}Low`, 64] as const,
    [`xmm${number}High`, 64] as const,
  ]),
  ['mxcsr', 32],
  // Of the x87 FPU. The tag word has a bit for each register that is not empty, as FXSAVE saves it.
  ['fcw', 32],
  ['fsw', 32],
  ['ftw', 32],
  ['fop', 32],
  ['fip', 64],
  ['fdp', 64],
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap((number) => [
    [`fpr${number}Significand`, 64] as const,
    [`fpr${number}Exponent`, 32] as const,
  ]),
];

export interface StateItem {
  readonly name: string;
  /** Index of its first 32-bit word. */
  readonly word: number;
  readonly width: 32 | 64;
}

/** Every item with its place, for whoever lists, saves or compares the state. */
export const STATE_ITEMS: readonly StateItem[] = place();

function place(): StateItem[] {
  let word = 0;
  return DECLARATION.map(([name, width]) => {
    const item = { name, word, width };
    word += width / 32;
    return item;
  });
}

const WORD_BY_NAME: ReadonlyMap<string, number> = new Map(
  STATE_ITEMS.map(({ name, word }) => [name, word]),
);

/** The index of an item's first word. Throws on an unknown name. */
export function wordOf(name: string): number {
  const word = WORD_BY_NAME.get(name);
  if (word === undefined) throw new RangeError(`no processor state named '${name}'`);
  return word;
}

/** Word indexes of what the processor touches by itself. General registers start at 0, two each. */
export const Word = {
  RSP: wordOf('rsp'),
  RIP: wordOf('rip'),
  RFLAGS: wordOf('rflags'),
  CR0: wordOf('cr0'),
  CR2: wordOf('cr2'),
  CR3: wordOf('cr3'),
  CR4: wordOf('cr4'),
  CR8: wordOf('cr8'),
  DR6: wordOf('dr6'),
  DR7: wordOf('dr7'),
  EFER: wordOf('efer'),
  /** Of four registers, two words each. */
  PDPTE0: wordOf('pdpte0'),
  CS_SELECTOR: wordOf('csSelector'),
  CS_RIGHTS: wordOf('csRights'),
  SS_SELECTOR: wordOf('ssSelector'),
  SS_RIGHTS: wordOf('ssRights'),
  TR_BASE: wordOf('trBase'),
  TR_LIMIT: wordOf('trLimit'),
  TR_RIGHTS: wordOf('trRights'),
  TR_SELECTOR: wordOf('trSelector'),
  GDTR_BASE: wordOf('gdtrBase'),
  GDTR_LIMIT: wordOf('gdtrLimit'),
  IDTR_BASE: wordOf('idtrBase'),
  IDTR_LIMIT: wordOf('idtrLimit'),
  INTERRUPTIBILITY: wordOf('interruptibility'),
  ACTIVITY: wordOf('activity'),
  PENDING_DEBUG: wordOf('pendingDebug'),
  /** Four words for each XMM register. */
  XMM: wordOf('xmm0Low'),
  MXCSR: wordOf('mxcsr'),
} as const;

/** Word indexes of a segment register's parts, by its number (ES 0 to GS 5, LDTR 6, TR 7). */
export const SEGMENT_WORDS = SEGMENT_REGISTERS.map((name) => ({
  base: wordOf(`${name}Base`),
  selector: wordOf(`${name}Selector`),
  limit: wordOf(`${name}Limit`),
  rights: wordOf(`${name}Rights`),
}));

const WORD_COUNT = STATE_ITEMS.reduce((sum, { width }) => sum + width / 32, 0);

/** Bytes that the state of one processor takes. */
export const STATE_BYTES = WORD_COUNT * 4;

/** Behind the state lies room for values that live only as long as an instruction. */
export const SCRATCH_WORD = WORD_COUNT;
const SCRATCH_WORDS = 512;

/** Behind that lies a log of the last blocks: two words each, and two for the log itself. */
export const LOG_WORD = SCRATCH_WORD + SCRATCH_WORDS;
export const LOG_ENTRIES = 16;
export const LOG_STRIDE = 4;
const LOG_WORDS = 1 + LOG_STRIDE * LOG_ENTRIES;

/** And behind that what compiled code leaves: see compiled/left-behind.ts. */
export const COMPILED_WORD = LOG_WORD + LOG_WORDS;
const COMPILED_WORDS = 62;

/** Bytes to set aside for one processor: its state, its scratch room, its log and so on. */
export const PROCESSOR_BYTES = STATE_BYTES + (SCRATCH_WORDS + LOG_WORDS + COMPILED_WORDS) * 4;

/** Bits of RFLAGS. */
export const Rflags = {
  CF: 1 << 0,
  FIXED: 1 << 1,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;

/** All bits of RFLAGS that exist. */
export const DEFINED_FLAGS = Object.values(Rflags).reduce((bits, bit) => bits | bit, 0);

export const Cr0 = {
  PE: 1 << 0,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 1 << 31,
} as const;

export const Cr4 = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  VMXE: 1 << 13,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
} as const;

export const Efer = { SCE: 1 << 0, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11 } as const;

/** Activity states, as the VMCS numbers them. */
export const Activity = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;

/** Interruptibility bits, as the VMCS numbers them. */
export const Blocking = { STI: 1 << 0, MOV_SS: 1 << 1, SMI: 1 << 2, NMI: 1 << 3 } as const;

/** Bits of the pending debug exceptions, as the VMCS numbers them. */
export const PendingDebug = {
  /** B0 to B3. */
  BREAKPOINTS: 15,
  ENABLED_BREAKPOINT: 1 << 12,
  /** Single step. */
  BS: 1 << 14,
} as const;

/** Bits of segment access rights in the VMCS layout. */
export const Rights = {
  TYPE: 15,
  S: 1 << 4,
  DPL_SHIFT: 5,
  P: 1 << 7,
  L: 1 << 13,
  DB: 1 << 14,
  G: 1 << 15,
  UNUSABLE: 1 << 16,
} as const;

/** One processor's state: a window on its words, scratch included. */
export class ProcessorState {
  readonly words: Int32Array;

  /** @param hpa where the state lies, a multiple of 8; {@link PROCESSOR_BYTES} long */
  constructor(memory: PhysicalMemory, hpa: number) {
    const at = memory.bytes.byteOffset + hpa;
    this.words = new Int32Array(memory.bytes.buffer, at, PROCESSOR_BYTES / 4);
    memory.noteWrite(hpa, PROCESSOR_BYTES);
  }

  /** A 64-bit item by its first word. */
  get64(word: number): Long {
    return Long.fromBits(this.words[word], this.words[word + 1]);
  }

  set64(word: number, value: Long): void {
    this.words[word] = value.low;
    this.words[word + 1] = value.high;
  }

  /** Set a general register to 32 bits, zero-extended. */
  setLow(register: number, value: number): void {
    this.words[2 * register] = value;
    this.words[2 * register + 1] = 0;
  }

  /** An item by name; 32-bit ones zero-extended. */
  get(name: string): Long {
    const item = itemNamed(name);
    const low = this.words[item.word];
    return item.width === 64 ? this.get64(item.word) : Long.fromBits(low, 0);
  }

  set(name: string, value: Long): void {
    const item = itemNamed(name);
    this.words[item.word] = value.low;
    if (item.width === 64) this.words[item.word + 1] = value.high;
  }

  /** Current privilege level: the DPL of SS, also while SS is unusable. */
  get cpl(): number {
    return (this.words[Word.SS_RIGHTS] >> Rights.DPL_SHIFT) & 3;
  }
}

function itemNamed(name: string): StateItem {
  const item = ITEM_BY_NAME.get(name);
  if (item === undefined) throw new RangeError(`no processor state named '${name}'`);
  return item;
}

const ITEM_BY_NAME: ReadonlyMap<string, StateItem> = new Map(
  STATE_ITEMS.map((item) => [item.name, item]),
);

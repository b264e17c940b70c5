// Formats of paging-structure entries in the three paging modes: where an entry lies, which of its
// bits are reserved, and where it points. SDM 3, "32-Bit Paging", "PAE Paging" and "4-Level Paging
// and 5-Level Paging". Entries are two 32-bit halves; 32-bit paging has no upper one.

import { Cr0, Cr4, Efer, Word } from './state.ts';

/** Width of physical addresses, as CPUID 80000008H reports it. */
export const PHYSICAL_ADDRESS_BITS = 46;

/** How linear addresses are translated. SDM 3, "Paging Modes and Control Bits". */
export type PagingMode = 'none' | '32-bit' | 'PAE' | '4-level';

export function pagingModeOf(words: Int32Array): PagingMode {
  if ((words[Word.CR0] & Cr0.PG) === 0) return 'none';
  if ((words[Word.CR4] & Cr4.PAE) === 0) return '32-bit';
  return (words[Word.EFER] & Efer.LMA) === 0 ? 'PAE' : '4-level';
}

/** Bits of a paging-structure entry, low word. */
export const Entry = { P: 1, RW: 2, US: 4, A: 32, D: 64, PS: 128 } as const;

export const PAGE_MASK = ~0xfff;

const NX_HIGH = 1 << 31;
/** Bits of the address in the upper half. */
const ADDRESS_HIGH = 2 ** (PHYSICAL_ADDRESS_BITS - 32) - 1;
/** Bits 51:46, and of PAE entries 62:46 too. */
const RESERVED_HIGH = 0x000fffff & ~ADDRESS_HIGH;
const RESERVED_HIGH_PAE = 0x7fffffff & ~ADDRESS_HIGH;

export interface EntryFormat {
  readonly entryBytes: 4 | 8;
  /** Level at which the walk begins; 1 is the page table. */
  readonly topLevel: number;
  /** What an entry may say of page sizes, given CR4. */
  isLeaf(low: number, level: number, cr4: number): boolean;
  /** Place of the entry for a linear address in its table. */
  index(low: number, high: number, level: number): number;
  hasReservedBits(
    low: number,
    high: number,
    level: number,
    isLeaf: boolean,
    noExecuteOn: boolean,
  ): boolean;
  /** Guest-physical address of the 4-KiB page that holds the linear address. */
  leafGpa(entryLow: number, entryHigh: number, level: number, low: number): number;
}

/** Bits 45:12 of CR3 or of an entry. */
export function tableGpa(low: number, high: number): number {
  return (high & ADDRESS_HIGH) * 2 ** 32 + ((low & PAGE_MASK) >>> 0);
}

/** Within the large page of `sizeBytes` at `base`. */
function within(base: number, sizeBytes: number, low: number): number {
  return Math.floor(base / sizeBytes) * sizeBytes + ((low & PAGE_MASK & (sizeBytes - 1)) >>> 0);
}

/** Bits 20:13 of a PDE for a 4-MiB page are bits 39:32 of its address; bit 21 is reserved. */
const BIG_PDE_RESERVED = 1 << 21;

const LEGACY: EntryFormat = {
  entryBytes: 4,
  topLevel: 2,
  isLeaf: (low, level, cr4) => level === 1 || (low & Entry.PS & ((cr4 & Cr4.PSE) << 3)) !== 0,
  index: (low, _high, level) => (level === 1 ? (low >>> 12) & 1023 : low >>> 22),
  hasReservedBits: (low, _high, level, isLeaf) =>
    isLeaf && level === 2 && (low & BIG_PDE_RESERVED) !== 0,
  leafGpa: (entryLow, _entryHigh, level, low) => {
    if (level === 1) return (entryLow & PAGE_MASK) >>> 0;
    const base = ((entryLow >>> 13) & 0xff) * 2 ** 32 + ((entryLow & 0xffc00000) >>> 0);
    return within(base, 2 ** 22, low);
  },
};

/** Of entries with 64 bits; PAE paging differs in its top and in what is reserved. */
function wideFormat(topLevel: 2 | 4, reservedHigh: number): EntryFormat {
  return {
    entryBytes: 8,
    topLevel,
    isLeaf: (low, level) => level === 1 || ((low & Entry.PS) !== 0 && level <= 3),
    index: (low, high, level) => {
      if (level === 1) return (low >>> 12) & 511;
      if (level === 2) return (low >>> 21) & 511;
      if (level === 3) return ((low >>> 30) | (high << 2)) & 511;
      return (high >>> 7) & 511;
    },
    hasReservedBits: (low, high, level, isLeaf, noExecuteOn) => {
      if ((high & reservedHigh) !== 0) return true;
      if (!noExecuteOn && (high & NX_HIGH) !== 0) return true;
      if (level === 4) return (low & Entry.PS) !== 0;
      if (!isLeaf || level === 1) return false;
      // Bit 12 of a large page is PAT; the address bits below the page size are reserved.
      return (low & (level === 2 ? 0x1fe000 : 0x3fffe000)) !== 0;
    },
    leafGpa: (entryLow, entryHigh, level, low) => {
      const base = tableGpa(entryLow, entryHigh);
      if (level === 1) return base;
      return within(base, level === 2 ? 2 ** 21 : 2 ** 30, low);
    },
  };
}

export const ENTRY_FORMATS: Readonly<Record<Exclude<PagingMode, 'none'>, EntryFormat>> = {
  '32-bit': LEGACY,
  PAE: wideFormat(2, RESERVED_HIGH_PAE),
  '4-level': wideFormat(4, RESERVED_HIGH),
};

/** Bits 2:1 and 8:5 of a page-directory-pointer-table entry of PAE paging. */
const PDPTE_RESERVED_LOW = 0x1e6;

/** Legal to be loaded into a PDPTE register: what is not present may be anything. */
export function isPdpteLegal(low: number, high: number): boolean {
  if ((low & Entry.P) === 0) return true;
  return (low & PDPTE_RESERVED_LOW) === 0 && (high & ~ADDRESS_HIGH) === 0;
}

/**
 * The guest-physical address of a linear one, without the checks and the side effects of an access;
 * null if it is not mapped.
 * @param readWord the 32-bit word at a guest-physical address, null if there is no memory
 */
export function lookUpLinear(
  words: Int32Array,
  low: number,
  high: number,
  readWord: (gpa: number) => number | null,
): number | null {
  const mode = pagingModeOf(words);
  if (mode === 'none') return low >>> 0;
  const format = ENTRY_FORMATS[mode];
  const root = mode === 'PAE' ? Word.PDPTE0 + 2 * (low >>> 30) : Word.CR3;
  if (mode === 'PAE' && (words[root] & Entry.P) === 0) return null;
  if (mode === '4-level' && (high << 16) >> 16 !== high) return null;
  let table = tableGpa(words[root], mode === '32-bit' ? 0 : words[root + 1]);
  for (let level = format.topLevel; ; level--) {
    const gpa = table + format.index(low, high, level) * format.entryBytes;
    const entryLow = readWord(gpa);
    const entryHigh = format.entryBytes === 8 ? readWord(gpa + 4) : 0;
    if (entryLow === null || entryHigh === null || (entryLow & Entry.P) === 0) return null;
    if (format.isLeaf(entryLow, level, words[Word.CR4])) {
      return format.leafGpa(entryLow, entryHigh, level, low) + (low & ~PAGE_MASK);
    }
    table = tableGpa(entryLow, entryHigh);
  }
}

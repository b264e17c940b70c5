// Extended page tables: from guest-physical to host-physical addresses, and building the tables.
// SDM 3, "The Extended Page Table Mechanism (EPT)". Four levels; accessed and dirty flags are not
// offered. Tables lie in the memory of the virtual machine, like everything host-physical.

import { PHYSICAL_ADDRESS_BITS } from '../cpu/index.ts';
import { PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';

/** Bits of an EPT entry. */
export const EptBit = { READ: 1, WRITE: 2, EXECUTE: 4, LARGE: 1 << 7 } as const;

export const EPT_RIGHTS = EptBit.READ | EptBit.WRITE | EptBit.EXECUTE;

/** In the high word of an entry: bits of the address, and reserved bits up to bit 51. */
const ADDRESS_HIGH = 2 ** (PHYSICAL_ADDRESS_BITS - 32) - 1;
const RESERVED_HIGH = 0xfffff & ~ADDRESS_HIGH;

const MEMORY_TYPE_SHIFT = 3;
export const WRITE_BACK = 6;

/** Bytes that an entry of each level stands for; in a table, for powers are slow. */
const SPANS = [0, 2 ** 12, 2 ** 21, 2 ** 30, 2 ** 39];

/** Which entry of a table of a level an address has. V8 is slow at remainders of doubles. */
const indexAt = (gpa: number, level: number) => Math.floor(gpa / SPANS[level]) & 511;

/** Where an address lies in what a leaf of a level maps. */
const offsetAt = (gpa: number, level: number) => gpa & (SPANS[level] - 1);

/** EPTP for a table at `hpa`: write-back, four levels. */
export function eptPointer(hpa: number): number {
  return hpa + WRITE_BACK + (3 << 3);
}

export type EptWalk =
  | { readonly kind: 'mapped'; readonly hpa: number }
  /** `rights` is the AND of the entries used, 0 if one was not present. */
  | { readonly kind: 'violation'; readonly rights: number }
  | { readonly kind: 'misconfiguration' };

const MISCONFIGURED: EptWalk = { kind: 'misconfiguration' };

/** Translate a guest-physical address for an access that needs `needed` (bits of EptBit). */
export function walkEpt(
  memory: PhysicalMemory,
  root: number,
  gpa: number,
  needed: number,
): EptWalk {
  let table = root;
  let rights = EPT_RIGHTS;
  for (let level = 4; ; level--) {
    const at = table + indexAt(gpa, level) * 8;
    const low = memory.view.getInt32(at, true);
    const high = memory.view.getInt32(at + 4, true);
    const own = low & EPT_RIGHTS;
    if (own === 0) return { kind: 'violation', rights: 0 };
    const isLeaf = level === 1 || (level < 4 && (low & EptBit.LARGE) !== 0);
    if (isMisconfigured(low, high, level, isLeaf)) return MISCONFIGURED;
    rights &= own;
    const address = (high & ADDRESS_HIGH) * 2 ** 32 + ((low & ~0xfff) >>> 0);
    if (!isLeaf) {
      table = address;
      continue;
    }
    if ((rights & needed) !== needed) return { kind: 'violation', rights };
    return { kind: 'mapped', hpa: address + offsetAt(gpa, level) };
  }
}

/** Writable without readable, execute-only, reserved bits set, or an undefined memory type. */
function isMisconfigured(low: number, high: number, level: number, isLeaf: boolean): boolean {
  const rights = low & EPT_RIGHTS;
  if ((rights & EptBit.READ) === 0 || (high & RESERVED_HIGH) !== 0) return true;
  if (!isLeaf) return (low & 0xf8) !== 0;
  const type = (low >> MEMORY_TYPE_SHIFT) & 7;
  if (type === 2 || type === 3 || type === 7) return true;
  return level > 1 && (low & (SPANS[level] - 1) & ~0xfff) !== 0;
}

/** As KVM marks pages of devices. */
const MISCONFIGURED_ENTRY = EptBit.WRITE | EptBit.EXECUTE;

const LARGE_PAGE_BYTES = 2 ** 21;

/**
 * Builds EPT tables: 2 MiB pages where addresses and length allow, 4 KiB pages elsewhere. Who
 * changes what a processor may have cached has it forget that (INVEPT).
 */
export class EptBuilder {
  readonly root: number;
  private readonly memory: PhysicalMemory;

  constructor(memory: PhysicalMemory) {
    this.memory = memory;
    this.root = memory.allocatePages(1);
  }

  /** Map `lengthBytes` (a multiple of 4096) from `gpa` to `hpa`, in large pages if they may be. */
  map(
    gpa: number,
    hpa: number,
    lengthBytes: number,
    rights: number = EPT_RIGHTS,
    mayBeLarge = true,
  ): void {
    let done = 0;
    while (done < lengthBytes) {
      const large =
        mayBeLarge &&
        (gpa + done) % LARGE_PAGE_BYTES === 0 &&
        (hpa + done) % LARGE_PAGE_BYTES === 0 &&
        lengthBytes - done >= LARGE_PAGE_BYTES;
      const leaf = large ? EptBit.LARGE : 0;
      const entry = hpa + done + rights + leaf + (WRITE_BACK << MEMORY_TYPE_SHIFT);
      this.setEntry(gpa + done, large ? 2 : 1, entry);
      done += large ? LARGE_PAGE_BYTES : PAGE_SIZE;
    }
  }

  /**
   * Have every access to the page at `gpa` be a misconfiguration, by an entry that is writable and
   * executable but not readable.
   * @param table gives an empty page for a table, or null if there is none
   * @returns false without tables on the way, or if the page is mapped as part of a larger one
   */
  misconfigure(gpa: number, table: () => number | null): boolean {
    let at = this.root;
    for (let level = 4; level > 1; level--) {
      at += indexAt(gpa, level) * 8;
      let low = this.memory.view.getInt32(at, true);
      if ((low & EPT_RIGHTS) === 0) {
        const page = table();
        if (page === null) return false;
        low = page | EPT_RIGHTS;
        this.memory.write64(at, low, 0);
      } else if ((low & EptBit.LARGE) !== 0) return false;
      at = (low & ~0xfff) >>> 0;
    }
    this.memory.write64(at + indexAt(gpa, 1) * 8, MISCONFIGURED_ENTRY, 0);
    return true;
  }

  /** Make `lengthBytes` (a multiple of 4096) from `gpa` absent; what was mapped as a whole goes. */
  unmap(gpa: number, lengthBytes: number): void {
    for (let done = 0; done < lengthBytes; done += PAGE_SIZE) {
      const at = this.leafOf(gpa + done);
      if (at !== null) this.memory.write64(at, 0, 0);
    }
  }

  /** Where the entry lies that maps an address as a page, or null. */
  private leafOf(gpa: number): number | null {
    let table = this.root;
    for (let level = 4; ; level--) {
      const at = table + indexAt(gpa, level) * 8;
      const low = this.memory.view.getInt32(at, true);
      if ((low & EPT_RIGHTS) === 0) return null;
      if (level === 1 || (level === 2 && (low & EptBit.LARGE) !== 0)) return at;
      table = (low & ~0xfff) >>> 0;
    }
  }

  private setEntry(gpa: number, leafLevel: number, entry: number): void {
    let table = this.root;
    for (let level = 4; level > leafLevel; level--) {
      const at = table + indexAt(gpa, level) * 8;
      let low = this.memory.view.getInt32(at, true);
      if (low === 0 || (level === 2 && (low & EptBit.LARGE) !== 0)) {
        low = this.memory.allocatePages(1) | EPT_RIGHTS;
        this.memory.write64(at, low, 0);
      }
      table = (low & ~0xfff) >>> 0;
    }
    const at = table + indexAt(gpa, leafLevel) * 8;
    this.memory.write64(at, entry | 0, Math.floor(entry / 2 ** 32));
  }
}

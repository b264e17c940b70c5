// Memory slots: which guest-physical addresses are RAM, where that lies, whether it may be written,
// and which of its pages have been. Linux virt/kvm/kvm_main.c, kvm_set_memory_region and
// kvm_get_dirty_log. The tables that follow from slots are in memory, and saved with it.

import { PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';
import { EPT_RIGHTS, EptBit, type EptBuilder } from '../vmx/index.ts';

/** KVM_MEM_*. */
export const SlotFlag = { LOG_DIRTY_PAGES: 1 << 0, READONLY: 1 << 1 } as const;

export interface MemorySlot {
  readonly id: number;
  /** First guest-physical address, and length; multiples of 4096. */
  readonly gpa: number;
  readonly lengthBytes: number;
  /** Where it lies in host memory. */
  readonly hpa: number;
  /** Bits of {@link SlotFlag}. */
  readonly flags: number;
}

/** Plain data: the slots, and of each that is logged the bytes of its log. */
export interface MemorySlotsState {
  readonly slots: readonly MemorySlot[];
  readonly dirty: readonly (readonly [id: number, bytes: readonly number[]])[];
}

const READ_EXECUTE = EptBit.READ | EptBit.EXECUTE;

export class MemorySlots {
  private readonly memory: PhysicalMemory;
  private readonly ept: EptBuilder;
  private readonly changed: () => void;
  private slots: MemorySlot[] = [];
  /** By slot, a bit for each page that was written since the log was read last. */
  private dirty = new Map<number, Uint8Array>();

  /** @param changed called when cached translations may be wrong */
  constructor(memory: PhysicalMemory, ept: EptBuilder, changed: () => void) {
    this.memory = memory;
    this.ept = ept;
    this.changed = changed;
  }

  get state(): MemorySlotsState {
    return { slots: this.slots, dirty: [...this.dirty].map(([id, log]) => [id, [...log]]) };
  }

  /** Restore, after memory has been. */
  set state(saved: MemorySlotsState) {
    this.slots = [...saved.slots];
    this.dirty = new Map(saved.dirty.map(([id, log]) => [id, Uint8Array.from(log)]));
  }

  get list(): readonly MemorySlot[] {
    return this.slots;
  }

  byId(id: number): MemorySlot | undefined {
    return this.slots.find((slot) => slot.id === id);
  }

  /** Create a slot, or put another in the place of one. It must not overlap others. */
  set(slot: MemorySlot): void {
    this.remove(slot.id);
    this.slots.push(slot);
    const isLogged = (slot.flags & SlotFlag.LOG_DIRTY_PAGES) !== 0;
    if (isLogged) this.dirty.set(slot.id, new Uint8Array(bitmapBytes(slot)));
    const isWritable = !isLogged && (slot.flags & SlotFlag.READONLY) === 0;
    const rights = isWritable ? EPT_RIGHTS : READ_EXECUTE;
    // Pages that are logged need entries of their own.
    this.ept.map(slot.gpa, slot.hpa, slot.lengthBytes, rights, !isLogged);
    this.changed();
  }

  remove(id: number): void {
    const at = this.slots.findIndex((slot) => slot.id === id);
    if (at < 0) return;
    const [slot] = this.slots.splice(at, 1);
    this.dirty.delete(id);
    this.ept.unmap(slot.gpa, slot.lengthBytes);
    this.changed();
  }

  /** The slot that holds an address, or undefined. */
  at(gpa: number): MemorySlot | undefined {
    return this.slots.find((slot) => gpa >= slot.gpa && gpa < slot.gpa + slot.lengthBytes);
  }

  /** Where an address lies; null where there is no RAM, or for a write to RAM that is read-only. */
  hpaOf(gpa: number, isWrite = false): number | null {
    const slot = this.at(gpa);
    if (slot === undefined) return null;
    if (isWrite) {
      if ((slot.flags & SlotFlag.READONLY) !== 0) return null;
      this.markDirty(slot, gpa);
    }
    return slot.hpa + (gpa - slot.gpa);
  }

  /**
   * The guest was kept from an access: true if it may try again, because the page is logged and was
   * written for the first time; false if the access is for user space.
   */
  resolve(gpa: number, isWrite: boolean): boolean {
    const slot = this.at(gpa);
    if (slot === undefined || !isWrite || (slot.flags & SlotFlag.READONLY) !== 0) return false;
    if (!this.dirty.has(slot.id)) return false;
    this.markDirty(slot, gpa);
    const page = gpa - (gpa % PAGE_SIZE);
    this.ept.map(page, slot.hpa + (page - slot.gpa), PAGE_SIZE, EPT_RIGHTS, false);
    this.changed();
    return true;
  }

  /** The log of a slot, which stays; null if it is not logged. */
  dirtyOf(id: number): Uint8Array | null {
    return this.dirty.get(id)?.slice() ?? null;
  }

  /**
   * Pages of a slot that is logged count as not written again: those among `bitmap`'s, whose first
   * bit is for the page `firstPage`, a multiple of 8 (kvm_clear_dirty_log_protect).
   */
  clearDirty(id: number, firstPage: number, bitmap: Uint8Array): void {
    const slot = this.byId(id);
    const dirty = this.dirty.get(id);
    if (slot === undefined || dirty === undefined) return;
    const pages = Math.min(slot.lengthBytes / PAGE_SIZE - firstPage, 8 * bitmap.length);
    for (let i = 0; i < pages; i++) {
      const [page, bit] = [firstPage + i, 1 << (i & 7)];
      if ((bitmap[i >> 3] & dirty[page >> 3] & bit) === 0) continue;
      dirty[page >> 3] &= ~bit;
      const offset = page * PAGE_SIZE;
      this.ept.map(slot.gpa + offset, slot.hpa + offset, PAGE_SIZE, READ_EXECUTE, false);
    }
    this.changed();
  }

  /** All pages of a slot count as written, without having been (KVM_DIRTY_LOG_INITIALLY_SET). */
  setAllDirty({ id, lengthBytes }: MemorySlot): void {
    const dirty = this.dirty.get(id);
    for (let page = 0; page < lengthBytes / PAGE_SIZE; page++) {
      if (dirty !== undefined) dirty[page >> 3] |= 1 << (page & 7);
    }
  }

  private markDirty(slot: MemorySlot, gpa: number): void {
    const page = Math.floor((gpa - slot.gpa) / PAGE_SIZE);
    const dirty = this.dirty.get(slot.id);
    if (dirty !== undefined) dirty[page >> 3] |= 1 << (page & 7);
    this.memory.touched[(slot.hpa - (slot.hpa % PAGE_SIZE)) / PAGE_SIZE + page] = 1;
  }
}

/** A bit for each page, in whole 64-bit words, as the kernel returns it. */
function bitmapBytes({ lengthBytes }: MemorySlot): number {
  return Math.ceil(lengthBytes / PAGE_SIZE / 64) * 8;
}

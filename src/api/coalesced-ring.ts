// KVM_REGISTER_COALESCED_MMIO: writes to device memory that nobody waits for are put into a ring,
// which user space empties when the guest comes out for something else. Linux
// virt/kvm/coalesced_mmio.c; struct kvm_coalesced_mmio_ring is one page, at KVM_COALESCED_MMIO_PAGE
// of each vCPU's mapping.

import Long from 'long';
import type { IoSpace } from '../kvm/index.ts';
import { require } from './errors.ts';
import type { KvmCoalescedMmioZone } from './structures.ts';

const PAGE_BYTES = 4096;
const HEAD_BYTES = 8;
const ENTRY_BYTES = 24;

/** KVM_COALESCED_MMIO_MAX: entries of the ring, of which one stays free. */
export const COALESCED_MMIO_MAX = Math.floor((PAGE_BYTES - HEAD_BYTES) / ENTRY_BYTES);

/** struct kvm_coalesced_mmio. */
export interface KvmCoalescedMmio {
  readonly physAddr: Long;
  readonly len: number;
  /** 1: `physAddr` is a port. */
  readonly pio: number;
  /** 8 bytes, of which `len` count. */
  readonly data: Uint8Array;
}

interface Zone {
  readonly space: IoSpace;
  readonly first: number;
  readonly end: number;
}

/** The ring of one virtual machine, and the addresses whose writes go there. */
export class CoalescedRing {
  /** struct kvm_coalesced_mmio_ring. */
  readonly bytes = new Uint8Array(PAGE_BYTES);
  private readonly view = new DataView(this.bytes.buffer);
  private zones: readonly Zone[] = [];

  /** Index of the oldest entry; user space moves it on. */
  get first(): number {
    return this.view.getUint32(0, true);
  }
  set first(value: number) {
    this.view.setUint32(0, value, true);
  }

  /** Index behind the newest entry: the same as {@link first} if there is none. */
  get last(): number {
    return this.view.getUint32(4, true);
  }

  /** The oldest entry, which is taken out; null if there is none. */
  take(): KvmCoalescedMmio | null {
    const { first, last, view } = this;
    if (first === last) return null;
    const at = HEAD_BYTES + ENTRY_BYTES * (first % COALESCED_MMIO_MAX);
    this.first = (first + 1) % COALESCED_MMIO_MAX;
    return {
      physAddr: Long.fromBits(view.getInt32(at, true), view.getInt32(at + 4, true), true),
      len: view.getUint32(at + 8, true),
      pio: view.getUint32(at + 12, true),
      data: this.bytes.slice(at + 16, at + ENTRY_BYTES),
    };
  }

  /** KVM_REGISTER_COALESCED_MMIO. */
  register(zone: KvmCoalescedMmioZone): void {
    this.zones = [...this.zones, zoneOf(zone, 'KVM_REGISTER_COALESCED_MMIO')];
  }

  /** KVM_UNREGISTER_COALESCED_MMIO: every zone that holds the given one. */
  unregister(given: KvmCoalescedMmioZone): void {
    const { space, first, end } = zoneOf(given, 'KVM_UNREGISTER_COALESCED_MMIO');
    this.zones = this.zones.filter((zone) => !holds(zone, space, first, end));
  }

  /** A write: true if it is in the ring now, false if user space has to be told. */
  write(space: IoSpace, address: number, lengthBytes: number, value: Long): boolean {
    const end = address + lengthBytes;
    if (!this.zones.some((zone) => holds(zone, space, address, end))) return false;
    const last = this.last % COALESCED_MMIO_MAX;
    const next = (last + 1) % COALESCED_MMIO_MAX;
    // Full, or user space has written nonsense.
    if (next === this.first) return false;
    const at = HEAD_BYTES + ENTRY_BYTES * last;
    const { view } = this;
    view.setUint32(at, address >>> 0, true);
    view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
    view.setUint32(at + 8, lengthBytes, true);
    view.setUint32(at + 12, space === 'pio' ? 1 : 0, true);
    const bytes = value.toBytesLE().slice(0, lengthBytes);
    this.bytes.set([...bytes, ...new Array(8 - lengthBytes).fill(0)], at + 16);
    view.setUint32(4, next, true);
    return true;
  }
}

function zoneOf({ addr, size, pio = 0 }: KvmCoalescedMmioZone, call: string): Zone {
  require(pio === 0 || pio === 1, call, 'EINVAL', `pio is 0 or 1, not ${pio}`);
  const first = Long.fromValue(addr).toUnsigned().toNumber();
  return { space: pio === 1 ? 'pio' : 'mmio', first, end: first + size };
}

function holds(zone: Zone, space: IoSpace, first: number, end: number): boolean {
  return zone.space === space && first >= zone.first && end <= zone.end;
}

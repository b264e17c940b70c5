// Writes to ports and device memory that are only a signal: KVM_IOEVENTFD. The guest goes on at
// once, and user space hears of it; or later, if writes are collected. Linux virt/kvm/eventfd.c,
// ioeventfd_in_range and ioeventfd_write. They belong to whoever sets a machine up and are not part
// of a snapshot.

import type Long from 'long';
import type { Pcpu } from '../host/index.ts';

export type IoSpace = 'pio' | 'mmio';

export interface IoEvent {
  readonly space: IoSpace;
  readonly address: number;
  /** 1, 2, 4 or 8; 0 for accesses of any length. */
  readonly lengthBytes: number;
  /** The only value that counts, or null for any. */
  readonly datamatch: Long | null;
  /** Called in the handler of the exit. */
  readonly signal: (pcpu: Pcpu) => void;
}

/** Whether two values are the same in the bytes of an access. */
function isSame(a: Long, b: Long, lengthBytes: number): boolean {
  const unused = 64 - 8 * lengthBytes;
  return a.shl(unused).eq(b.shl(unused));
}

export class EventBus {
  private readonly events: IoEvent[] = [];
  /** Takes writes that are no signal but may wait: KVM_REGISTER_COALESCED_MMIO. */
  absorb: ((space: IoSpace, address: number, lengthBytes: number, value: Long) => boolean) | null =
    null;

  get list(): readonly IoEvent[] {
    return this.events;
  }

  add(event: IoEvent): void {
    this.events.push(event);
  }

  remove(event: IoEvent): void {
    const at = this.events.indexOf(event);
    if (at >= 0) this.events.splice(at, 1);
  }

  /** KVM_FAST_MMIO_BUS: true if an access of any length is a signal, whatever it writes. */
  signalAny(address: number, pcpu: Pcpu): boolean {
    const event = this.events.find(
      (each) => each.space === 'mmio' && each.lengthBytes === 0 && each.address === address,
    );
    event?.signal(pcpu);
    return event !== undefined;
  }

  /** A write: true if it was a signal, or may wait, so that nobody else need hear of it now. */
  write(space: IoSpace, address: number, lengthBytes: number, value: Long, pcpu: Pcpu): boolean {
    const event = this.events.find(
      (each) =>
        each.space === space &&
        each.address === address &&
        (each.lengthBytes === 0 || each.lengthBytes === lengthBytes) &&
        (each.datamatch === null || isSame(each.datamatch, value, lengthBytes)),
    );
    event?.signal(pcpu);
    if (event !== undefined) return true;
    return this.absorb?.(space, address, lengthBytes, value) ?? false;
  }
}

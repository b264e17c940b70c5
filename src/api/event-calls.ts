// KVM_IRQFD and KVM_IOEVENTFD of one virtual machine: which events make interrupts, and which
// writes of the guest make events. Linux virt/kvm/eventfd.c.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import {
  type EventBus,
  type IoEvent,
  type IoSpace,
  type Irqchip,
  IrqSource,
} from '../kvm/index.ts';
import { KvmError, require } from './errors.ts';
import { type Eventfd, openEvent } from './eventfd.ts';
import type { KvmIoeventfd, KvmIrqfd } from './structures.ts';

/** KVM_IRQFD_FLAG_*. */
export const KVM_IRQFD_FLAG = { DEASSIGN: 1 << 0, RESAMPLE: 1 << 1 } as const;

/** KVM_IOEVENTFD_FLAG_*. */
export const KVM_IOEVENTFD_FLAG = { DATAMATCH: 1 << 0, PIO: 1 << 1, DEASSIGN: 1 << 2 } as const;

const LENGTHS = [0, 1, 2, 4, 8];

interface Irqfd {
  readonly event: Eventfd;
  readonly gsi: number;
  readonly end: () => void;
}

interface Ioeventfd {
  readonly event: Eventfd;
  readonly on: IoEvent;
}

/** What the calls need of their virtual machine. */
export interface EventOwner {
  readonly irqchip: Irqchip | null;
  readonly ioEvents: EventBus;
  /** Where who calls is taken to run. */
  readonly caller: Pcpu;
  /** User space has a turn on a pCPU while vCPUs are in KVM_RUN. */
  userTurn(pcpu: Pcpu, act: () => void): void;
}

export class EventCalls {
  private readonly owner: EventOwner;
  private irqfds: readonly Irqfd[] = [];
  private ioeventfds: readonly Ioeventfd[] = [];

  constructor(owner: EventOwner) {
    this.owner = owner;
  }

  irqfd({ fd, gsi, flags = 0, resamplefd = null }: KvmIrqfd): void {
    const call = 'KVM_IRQFD';
    const known = KVM_IRQFD_FLAG.DEASSIGN | KVM_IRQFD_FLAG.RESAMPLE;
    require((flags & ~known) === 0, call, 'EINVAL', `flags ${flags} are not known`);
    if ((flags & KVM_IRQFD_FLAG.DEASSIGN) !== 0) {
      const event = openEvent(fd, call);
      this.endIrqfds((each) => each.event === event && each.gsi === gsi);
      return;
    }
    const { irqchip } = this.owner;
    if (irqchip === null) throw new KvmError(call, 'EINVAL', 'there is no irqchip');
    const event = openEvent(fd, call);
    const resample = (flags & KVM_IRQFD_FLAG.RESAMPLE) === 0 ? null : openEvent(resamplefd, call);
    const isNew = this.irqfds.every((each) => each.event !== event);
    require(isNew, call, 'EBUSY', 'the event makes another interrupt already');
    const end =
      resample === null
        ? event.onSignal(() => this.pulse(irqchip, event, gsi))
        : this.resampled(irqchip, event, gsi, resample);
    event.onClose(() => this.endIrqfds((each) => each.event === event));
    this.irqfds = [...this.irqfds, { event, gsi, end }];
    // What was written before counts.
    if (event.isReadable) event.write(0);
  }

  private endIrqfds(ends: (irqfd: Irqfd) => boolean): void {
    for (const irqfd of this.irqfds) if (ends(irqfd)) irqfd.end();
    this.irqfds = this.irqfds.filter((irqfd) => !ends(irqfd));
  }

  /** The event's line rises and falls again: irqfd_inject. */
  private pulse(irqchip: Irqchip, event: Eventfd, gsi: number): void {
    if (!event.isReadable) return;
    event.read();
    const { caller } = this.owner;
    irqchip.setIrq(gsi, true, IrqSource.USER_SPACE, caller);
    irqchip.setIrq(gsi, false, IrqSource.USER_SPACE, caller);
  }

  /** The event's line stays high until the guest ends the interrupt: irqfd_resampler_ack. */
  private resampled(irqchip: Irqchip, event: Eventfd, gsi: number, resample: Eventfd): () => void {
    const source = IrqSource.RESAMPLER;
    const endSignal = event.onSignal(() => {
      if (!event.isReadable) return;
      event.read();
      irqchip.setIrq(gsi, true, source, this.owner.caller);
    });
    const endAck = irqchip.onAck(gsi, (_gsi, pcpu) => {
      irqchip.setIrq(gsi, false, source, pcpu);
      if (!resample.isClosed) this.owner.userTurn(pcpu, () => resample.write());
    });
    return () => {
      endSignal();
      endAck();
      irqchip.setIrq(gsi, false, source, this.owner.caller);
    };
  }

  ioeventfd(request: KvmIoeventfd): void {
    const call = 'KVM_IOEVENTFD';
    const { fd, addr, len, flags = 0, datamatch = 0 } = request;
    const check = (holds: boolean, detail: string) => require(holds, call, 'EINVAL', detail);
    const space: IoSpace = (flags & KVM_IOEVENTFD_FLAG.PIO) === 0 ? 'mmio' : 'pio';
    const matches = (flags & KVM_IOEVENTFD_FLAG.DATAMATCH) !== 0;
    const address = Long.fromValue(addr).toUnsigned();
    const match = matches ? Long.fromValue(datamatch).toUnsigned() : null;
    if ((flags & KVM_IOEVENTFD_FLAG.DEASSIGN) !== 0) {
      const event = openEvent(fd, call);
      const wanted = { space, address: address.toNumber(), lengthBytes: len, datamatch: match };
      const found = this.ioeventfds.find(
        (each) => each.event === event && isTheSame(each.on, wanted),
      );
      if (found === undefined) throw new KvmError(call, 'ENOENT', 'there is no such event');
      this.owner.ioEvents.remove(found.on);
      this.ioeventfds = this.ioeventfds.filter((each) => each !== found);
      return;
    }
    const known = Object.values(KVM_IOEVENTFD_FLAG).reduce((mask, bit) => mask | bit, 0);
    check(LENGTHS.includes(len), `the length is 0, 1, 2, 4 or 8, not ${len}`);
    check(address.add(len).gte(address), 'the address wraps around');
    check((flags & ~known) === 0, `flags ${flags} are not known`);
    check(len !== 0 || !matches, 'any length, and a value');
    const event = openEvent(fd, call);
    const on: IoEvent = {
      space,
      address: address.toNumber(),
      lengthBytes: len,
      datamatch: match,
      signal: (pcpu) => {
        if (!event.isClosed) this.owner.userTurn(pcpu, () => event.write());
      },
    };
    const clash = this.ioeventfds.some((each) => collide(each.on, on));
    require(!clash, call, 'EEXIST', 'there is an event for such writes');
    this.owner.ioEvents.add(on);
    this.ioeventfds = [...this.ioeventfds, { event, on }];
  }
}

type Condition = Omit<IoEvent, 'signal'>;

const sameData = (a: Long | null, b: Long | null) => (a === null || b === null ? a === b : a.eq(b));

/** ioeventfd_check_collision: a write could be for both. */
function collide(a: Condition, b: Condition): boolean {
  if (a.space !== b.space || a.address !== b.address) return false;
  if (a.lengthBytes === 0 || b.lengthBytes === 0) return true;
  if (a.lengthBytes !== b.lengthBytes) return false;
  return a.datamatch === null || b.datamatch === null || a.datamatch.eq(b.datamatch);
}

function isTheSame(a: Condition, b: Condition): boolean {
  const isPlace = a.space === b.space && a.address === b.address;
  return isPlace && a.lengthBytes === b.lengthBytes && sameData(a.datamatch, b.datamatch);
}

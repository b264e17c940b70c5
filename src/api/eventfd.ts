// eventfd(2) in virtual time: a counter that whoever writes to it adds to, and that wakes who waits
// for it. KVM_IRQFD makes interrupts of it, KVM_IOEVENTFD writes to it for the guest, and programs
// have a function called.

import { KvmError, require } from './errors.ts';

/** Hears of a write, at the moment of virtual time at which it happens. */
type Listener = (event: Eventfd) => void;

/** Largest count: 2^53 - 1, where the real one has 2^64 - 2. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

export class Eventfd {
  private count: number;
  private readonly listeners = new Set<Listener>();
  private readonly closers = new Set<() => void>();
  private closed = false;

  /** eventfd(initial, EFD_NONBLOCK). */
  constructor(initial = 0) {
    require(isCount(initial), 'eventfd', 'EINVAL', `${initial} is no count`);
    this.count = initial;
  }

  /** Add to the counter, and tell who waits. */
  write(value = 1): void {
    require(!this.closed, 'write', 'EBADF', 'the eventfd is closed');
    require(isCount(value), 'write', 'EINVAL', `${value} is no count`);
    require(this.count + value <= MAX_COUNT, 'write', 'EAGAIN', 'the counter would overflow');
    this.count += value;
    for (const listener of [...this.listeners]) listener(this);
  }

  /** The counter, which becomes 0; EAGAIN if it is. */
  read(): number {
    require(!this.closed, 'read', 'EBADF', 'the eventfd is closed');
    if (this.count === 0) throw new KvmError('read', 'EAGAIN', 'nobody has written');
    const { count } = this;
    this.count = 0;
    return count;
  }

  /** A read would not fail: POLLIN. */
  get isReadable(): boolean {
    return !this.closed && this.count > 0;
  }

  get isClosed(): boolean {
    return this.closed;
  }

  /**
   * Have a function called with each write, as by a thread that polls: it may read the event, look
   * at guest memory and change it, write to other events and raise lines, but not run vCPUs.
   * @returns what ends it
   */
  onSignal(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** close(2): the interrupt that it makes ends with it. Closing twice is nothing. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.listeners.clear();
    for (const close of [...this.closers]) close();
    this.closers.clear();
  }

  /** Who has to know that the event is closed. */
  onClose(closer: () => void): void {
    this.closers.add(closer);
  }
}

const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;

/** The event that a call was given; EBADF if it is not open. */
export function openEvent(event: Eventfd | null, call: string): Eventfd {
  if (event === null || event.isClosed) throw new KvmError(call, 'EBADF', 'not an open eventfd');
  require(event instanceof Eventfd, call, 'EINVAL', 'not an eventfd');
  return event;
}

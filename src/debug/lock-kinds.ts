// Whose turn a lock's word says it is: stores to it, read as those of a plain word, a ticket lock,
// an MCS queue or a queued spin lock. Knows values and who stored them, nothing of the code.

import type { Store } from './stores.ts';

export const LOCK_KINDS = ['word', 'ticket', 'mcs', 'qspinlock'] as const;
export type LockKind = (typeof LOCK_KINDS)[number];

/** Bits of the watched value that are one number. */
export interface Field {
  readonly shift: number;
  readonly bits: number;
}

/** What a lock is and where its parts lie. */
export type LockLayout =
  /** 0 while it is free. */
  | { readonly kind: 'word' | 'mcs' | 'qspinlock'; readonly word: Field }
  /** Where tickets are drawn from, and which one's turn it is. */
  | { readonly kind: 'ticket'; readonly next: Field; readonly shown: Field };

/** Index of a vCPU; null for the host, or where the stores do not say. */
type Who = number | null;

/** What a store did. */
export interface LockEvent {
  readonly store: Store;
  /** In words, to be read behind who did it; vCPUs are named by `name`. */
  readonly text: (name: (vcpu: Who) => string) => string;
  /** Who has the lock from here on, if this gave it to somebody. */
  readonly taker?: Who;
}

/** What is known behind the last store. */
export type Holder =
  | { readonly kind: 'free' | 'unknown' }
  | { readonly kind: 'held'; readonly vcpu: Who; readonly since: number }
  /** Who is in line since the lock was free, first come first; the first of them may be done. */
  | { readonly kind: 'queue'; readonly vcpus: readonly Who[] };

export interface LockStory {
  readonly events: readonly LockEvent[];
  readonly holder: Holder;
}

/** Read stores, oldest first. Those that change no part of the lock are left out. */
export function lockStory(layout: LockLayout, stores: readonly Store[]): LockStory {
  switch (layout.kind) {
    case 'word':
      return wordStory(layout.word, stores, () => []);
    case 'qspinlock':
      return wordStory({ ...layout.word, bits: 8 }, stores, (store) =>
        queueNotes(layout.word, store),
      );
    case 'mcs':
      return queueStory(layout.word, stores);
    case 'ticket':
      return ticketStory(layout, stores);
  }
}

function read(value: bigint, { shift, bits }: Field): bigint {
  return (value >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n);
}

const hex = (value: bigint) => `0x${value.toString(16)}`;

// A word that is 0 while the lock is free

function wordStory(
  word: Field,
  stores: readonly Store[],
  notesOf: (store: Store) => readonly string[],
): LockStory {
  const events: LockEvent[] = [];
  let holder: Holder = { kind: 'unknown' };
  for (const store of stores) {
    const [old, now] = [read(store.old, word), read(store.new, word)];
    const { vcpu, time } = store;
    const notes = [...notesOf(store)];
    let taker: { readonly taker?: Who } = {};
    if (old === 0n && now !== 0n) {
      notes.unshift('acquires');
      holder = { kind: 'held', vcpu, since: time };
      taker = { taker: vcpu };
    } else if (old !== 0n && now === 0n) {
      const since = holder.kind === 'held' ? holder.since : null;
      notes.unshift(since === null ? 'releases' : `releases after ${time - since} cycles`);
      holder = { kind: 'free' };
    } else if (notes.length === 0) notes.push(changeText(store));
    events.push({ store, text: () => notes.join(', '), ...taker });
  }
  return { events, holder };
}

function changeText({ old, new: now }: Store): string {
  if (old === now) return 'tries';
  return now === old + 1n ? 'adds 1' : 'changes';
}

/** Bits of a queued spin lock above the locked byte. Linux, qspinlock_types.h. */
const PENDING = 1n << 8n;
const TAIL = 0xffff0000n;

function queueNotes(word: Field, store: Store): string[] {
  const [old, now] = [read(store.old, word), read(store.new, word)];
  const notes: string[] = [];
  if ((now & PENDING) > (old & PENDING)) notes.push('is the next (pending)');
  if ((now & TAIL) !== (old & TAIL)) {
    notes.push((now & TAIL) === 0n ? 'leaves no queue' : 'gets in line, as the last');
  }
  return notes;
}

// Tickets

/** Half a range: what is drawn ahead of what is shown is less than this away. */
function isAhead(next: bigint, shown: bigint, bits: number): boolean {
  const mask = (1n << BigInt(bits)) - 1n;
  const distance = (next - shown) & mask;
  return distance !== 0n && distance < 1n << BigInt(bits - 1);
}

function ticketStory(
  { next, shown }: Extract<LockLayout, { kind: 'ticket' }>,
  stores: readonly Store[],
): LockStory {
  // Linux 3.12 to 4.1: tickets count by two, and bit 0 of what is shown says that somebody sleeps.
  const draws = stores.map((store) => read(store.new, next) - read(store.old, next));
  const flag = draws.includes(2n) && !draws.includes(1n) ? 1n : 0n;
  const drawnBy = new Map<bigint, Who>();
  const events: LockEvent[] = [];
  let holder: Holder = { kind: 'unknown' };
  for (const store of stores) {
    const { vcpu, time } = store;
    const drawn = read(store.old, next);
    const isDraw = drawn !== read(store.new, next);
    const [before, after] = [read(store.old, shown) & ~flag, read(store.new, shown) & ~flag];
    if (isDraw) {
      drawnBy.set(drawn, vcpu);
      const isFree = drawn === before;
      if (isFree) holder = { kind: 'held', vcpu, since: time };
      events.push({
        store,
        text: () => `draws ticket ${drawn}${isFree ? ', and has the lock' : ''}`,
        ...(isFree ? { taker: vcpu } : {}),
      });
    }
    if (before !== after) {
      const since = holder.kind === 'held' ? ` after ${time - holder.since} cycles` : '';
      const isTaken = isAhead(read(store.new, next), after, next.bits);
      const heir = drawnBy.get(after) ?? null;
      holder = isTaken ? { kind: 'held', vcpu: heir, since: time } : { kind: 'free' };
      const isKnown = drawnBy.has(after);
      const heirText = (name: (vcpu: Who) => string) =>
        isTaken ? `ticket ${after}, ${isKnown ? name(heir) : 'drawn before'}` : 'free';
      events.push({
        store,
        text: (name) => `releases${since}: ${heirText(name)}`,
        ...(isTaken ? { taker: heir } : {}),
      });
    } else if (!isDraw) {
      const isFlag = store.old !== store.new;
      events.push({ store, text: () => (isFlag ? 'changes the flag of sleepers' : 'tries') });
    }
  }
  if (holder.kind === 'held' && holder.vcpu === null) holder = { kind: 'unknown' };
  return { events, holder };
}

// A pointer to the last of a queue

function queueStory(word: Field, stores: readonly Store[]): LockStory {
  const nodeOf = new Map<bigint, Who>();
  const events: LockEvent[] = [];
  let line: Who[] | null = null;
  for (const store of stores) {
    const [old, now] = [read(store.old, word), read(store.new, word)];
    const { vcpu } = store;
    if (now === 0n) {
      line = [];
      events.push({ store, text: () => (old === 0n ? 'tries' : 'releases, and nobody waits') });
    } else if (old === 0n) {
      line = [vcpu];
      events.push({ store, text: () => 'acquires', taker: vcpu });
    } else {
      line?.push(vcpu);
      const before = nodeOf.get(old);
      events.push({
        store,
        text: (name) => `gets in line behind ${before === undefined ? hex(old) : name(before)}`,
        taker: vcpu,
      });
    }
    nodeOf.set(now, vcpu);
  }
  if (line === null) return { events, holder: { kind: 'unknown' } };
  const [only, ...others] = line;
  if (only === undefined) return { events, holder: { kind: 'free' } };
  const last = events.at(-1)?.store.time ?? 0;
  if (others.length === 0) return { events, holder: { kind: 'held', vcpu: only, since: last } };
  return { events, holder: { kind: 'queue', vcpus: line } };
}

// Which kind it is

/**
 * The layout of a lock in one word, as far as stores tell: tickets are drawn from the upper half by
 * ones or twos, and a queued spin lock keeps its locked byte below its queue.
 */
export function layoutOf(stores: readonly Store[], lengthBytes: number): LockLayout {
  const word: Field = { shift: 0, bits: 8 * lengthBytes };
  const halves = ticketHalves(lengthBytes);
  const changes = stores.filter(({ old, new: now }) => old !== now);
  const draws = changes.map(({ old, new: now }) => {
    const step = (read(now, halves.next) - read(old, halves.next)) & read(-1n, halves.next);
    return read(now, halves.shown) === read(old, halves.shown) ? step : 0n;
  });
  const isDraw = (step: bigint) => step === 1n || step === 2n;
  const areOthersBelow = changes.every(
    ({ old, new: now }, i) => isDraw(draws[i]) || read(old, halves.next) === read(now, halves.next),
  );
  if (draws.some(isDraw) && areOthersBelow) return { kind: 'ticket', ...halves };
  const values = changes.flatMap(({ old, new: now }) => [old, now]);
  const isQueued =
    lengthBytes === 4 &&
    values.every((value) => [0n, 1n, 3n].includes(value & 0xffn)) &&
    values.some((value) => value > 0xffn);
  return isQueued ? { kind: 'qspinlock', word } : { kind: 'word', word };
}

/** Linux's ticket locks: what is shown below, the next ticket above. */
export function ticketHalves(lengthBytes: number): { readonly next: Field; readonly shown: Field } {
  const bits = 4 * lengthBytes;
  return { next: { shift: bits, bits }, shown: { shift: 0, bits } };
}

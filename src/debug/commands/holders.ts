// `holders`: who had a lock when, by the stores to its word, and who has it now.

import Long from 'long';
import { DebugError } from '../debug-error.ts';
import {
  type Holder,
  LOCK_KINDS,
  type LockEvent,
  type LockLayout,
  layoutOf,
  lockStory,
  ticketHalves,
} from '../lock-kinds.ts';
import type { Session } from '../session.ts';
import type { Store, Stores } from '../stores.ts';
import type { Context, Lines } from './command.ts';
import { countOf, watchOf } from './parse.ts';
import { hex, placeText } from './print.ts';

export const LOCK_ARGUMENT = '[/COUNT] ADDRESS[,LENGTH] [as KIND [SHOWN[,LENGTH]]]';

/** Stores that are shown if it is not told how many. */
const MOST_STORES = 16;

/** So many more are looked at to know who drew a ticket, and no more than that. */
const MORE_STORES = 4;
const MOST_LOOKED_AT = 4096;

/** Bytes of a lock, unless told: what spin locks have, and queues. */
const LOCK_BYTES = 4;
const POINTER_BYTES = 8;

/** What was asked for. */
interface Asked {
  readonly spec: Range;
  /** Null if the stores are to tell. */
  readonly layout: LockLayout | null;
}

type Range = Extract<ReturnType<typeof watchOf>, { kind: 'memory' }>;

/** `holders lock`, `holders lock as ticket`, `holders tail as ticket head` */
export function* holders(context: Context, text: string, format: string): Lines {
  const { session, vcpu } = context;
  const { spec, layout: given } = askedFor(context, text);
  const wanted = format === '' ? MOST_STORES : countOf(format);
  const { stores, isAll, layout } = yield* session.aside(() =>
    lookBack(session, spec, given, wanted),
  );
  const story = lockStory(layout, stores);
  const events = story.events.slice(-wanted);
  if (events.length === 0) return ['Nobody has stored there up to here.'];
  const nameOf = (by: number | null) => (by === null ? 'the host' : session.vcpu(by).thread.name);
  const isWhole = isAll && events.length === story.events.length;
  return [
    ...(layout.kind === 'word' ? [] : [`${KIND_NAMES[layout.kind]}:`]),
    ...(isWhole ? [] : ['...']),
    ...events.map((event) => eventLine(session, vcpu, event, nameOf)),
    ...holderLines(session, story.holder),
    ...programLines(session, vcpu, spec.address),
  ];
}

const KIND_NAMES = {
  ticket: 'A ticket lock',
  mcs: 'An MCS queue',
  qspinlock: 'A queued spin lock',
} as const;

function askedFor({ session, vcpu }: Context, text: string): Asked {
  const [, place = '', kind, shown] = /^(.*?)(?:\s+as\s+(\S+)(?:\s+(.+))?)?$/s.exec(text) ?? [];
  const known = LOCK_KINDS.find((one) => one === kind);
  if (kind !== undefined && known === undefined) {
    throw new DebugError(`a kind of lock expected (${LOCK_KINDS.join(', ')}), not '${kind}'`);
  }
  const range = rangeOf(session, vcpu, place, known === 'mcs' ? POINTER_BYTES : LOCK_BYTES);
  const word = { shift: 0, bits: 8 * range.lengthBytes };
  if (shown !== undefined && known !== 'ticket') {
    throw new DebugError(`a lock of the kind '${kind}' is one word, not also '${shown}'`);
  }
  if (known === undefined) return { spec: range, layout: null };
  if (known !== 'ticket') return { spec: range, layout: { kind: known, word } };
  if (shown === undefined) {
    return { spec: range, layout: { kind: known, ...ticketHalves(range.lengthBytes) } };
  }
  return twoWords(range, rangeOf(session, vcpu, shown, LOCK_BYTES));
}

function rangeOf(session: Session, vcpu: number, text: string, lengthBytes: number): Range {
  const sized = text === '' || /,\s*\d+$/.test(text) ? text : `${text},${lengthBytes}`;
  const spec = watchOf(session, vcpu, sized, 'change');
  if (spec.kind !== 'memory') throw new DebugError('an address expected');
  return spec;
}

/** One range that has both, with what lies between them. */
function twoWords(next: Range, shown: Range): Asked {
  const address = next.address.lt(shown.address) ? next.address : shown.address;
  const endOf = (one: Range) => one.address.sub(address).toNumber() + one.lengthBytes;
  const fieldOf = (one: Range) => ({
    shift: 8 * one.address.sub(address).toNumber(),
    bits: 8 * one.lengthBytes,
  });
  const lengthBytes = Math.max(endOf(next), endOf(shown));
  const layout = { kind: 'ticket', next: fieldOf(next), shown: fieldOf(shown) } as const;
  return { spec: { ...next, address, lengthBytes }, layout };
}

/** As many stores as it takes to know who has the lock. */
function* lookBack(
  session: Session,
  spec: Range,
  given: LockLayout | null,
  wanted: number,
): Generator<void, Stores & { readonly layout: LockLayout }> {
  for (let most = wanted; ; most *= MORE_STORES) {
    const found = yield* session.stores(spec, most);
    const layout = given ?? layoutOf(found.stores, spec.lengthBytes);
    const { holder, events } = lockStory(layout, found.stores);
    const isKnown = holder.kind !== 'unknown' && events.length >= wanted;
    if (found.isAll || isKnown || most >= MOST_LOOKED_AT) return { ...found, layout };
  }
}

function eventLine(
  session: Session,
  vcpu: number,
  { store, text }: LockEvent,
  nameOf: (vcpu: number | null) => string,
): string {
  const { vcpu: by, rip, time } = store;
  const where = rip === null ? '' : `  ${placeText(session, by ?? vcpu, rip)}`;
  return `${String(time).padStart(12)}  ${nameOf(by)}  ${text(nameOf)}${valuesOf(store)}${where}`;
}

/** What is longer than a word has other things in it. */
const MOST_SHOWN = 1n << 64n;

function valuesOf({ old, new: now }: Store): string {
  return old < MOST_SHOWN && now < MOST_SHOWN ? `  ${hex(old)} -> ${hex(now)}` : '';
}

function holderLines(session: Session, holder: Holder): string[] {
  switch (holder.kind) {
    case 'free':
      return ['It is free now.'];
    case 'unknown':
      return [];
    case 'queue': {
      const names = holder.vcpus.map((by) =>
        by === null ? 'the host' : session.vcpu(by).thread.name,
      );
      return [`In line since it was free, first come first: ${names.join(', ')}.`];
    }
    case 'held': {
      if (holder.vcpu === null) return [`Held by the host since ${holder.since}.`];
      const wait = session.waitOf(holder.vcpu);
      const doing = wait === null ? 'which runs' : `which ${wait}`;
      const { name } = session.vcpu(holder.vcpu).thread;
      return [`Held by ${name} since ${holder.since}, ${doing}.`];
    }
  }
}

/** What programs say of themselves that have `lock_held` and `lock_wait`: a lock for each vCPU. */
function programLines(session: Session, vcpu: number, lock: Long): string[] {
  const symbols = session.symbolsOf(vcpu);
  const { vm } = session.vcpu(vcpu);
  const sayIn = (label: string): readonly string[] | null => {
    const table = symbols.addressOf(label);
    if (table === null) return null;
    return vm.vcpus.flatMap(({ index, thread }) => {
      const bytes = session.readMemory(vcpu, 'linear', table.add(8 * index), 8);
      const isThis = bytes !== null && Long.fromBytesLE([...bytes], true).eq(lock.toUnsigned());
      return isThis ? [thread.name] : [];
    });
  };
  const [held, waiting] = [sayIn('lock_held'), sayIn('lock_wait')];
  if (held === null || waiting === null) return [];
  const had = held.length === 0 ? 'nobody has it' : `${held.join(', ')} has it`;
  const wait = waiting.length === 0 ? '' : `, ${waiting.join(', ')} want it`;
  return [`By lock_held and lock_wait of the program, ${had}${wait}.`];
}

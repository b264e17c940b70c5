// Commands that ask about the past: who held a lock when, and where the time of vCPUs went.

import { USE_NAMES, USES } from '../../machine/index.ts';
import { DebugError } from '../debug-error.ts';
import type { Delays, VcpuDelays } from '../delays.ts';
import type { Position } from '../position.ts';
import type { Session } from '../session.ts';
import { type LockStep, lockStepOf, type Store } from '../stores.ts';
import { type Command, type Context, command, type Lines } from './command.ts';
import { countOf, timeOf, watchOf } from './parse.ts';
import { hex, placeText } from './print.ts';
import { valueNames } from './words.ts';

/** Stores that `holders` shows if it is not told. */
const MOST_STORES = 16;

/** Bytes of a lock, unless told: what spin locks have. */
const LOCK_BYTES = 4;

/** Who stored to a lock's word, oldest first, and who has it now. */
function* holders(context: Context, text: string, format: string): Lines {
  const { session, vcpu } = context;
  const sized = text === '' || /,\s*\d+$/.test(text) ? text : `${text},${LOCK_BYTES}`;
  const spec = watchOf(session, vcpu, sized, 'change');
  if (spec.kind !== 'memory') throw new DebugError('an address expected');
  const most = format === '' ? MOST_STORES : countOf(format);
  const { stores, isAll } = yield* session.aside(() => session.stores(spec, most));
  if (stores.length === 0) return ['Nobody has stored there up to here.'];
  const since = new Map<number | null, number>();
  const lines = stores.map((store) => {
    const step = lockStepOf(store);
    const taken = since.get(store.vcpu);
    if (step === 'acquires') since.set(store.vcpu, store.time);
    if (step === 'releases') since.clear();
    const held = step === 'releases' && taken !== undefined ? store.time - taken : null;
    return storeLine(session, vcpu, store, step, held);
  });
  return [...(isAll ? [] : ['...']), ...lines, ...nowLines(session, stores)];
}

function storeLine(
  session: Session,
  vcpu: number,
  { vcpu: by, rip, time, old, new: now }: Store,
  step: LockStep,
  held: number | null,
): string {
  const who = by === null ? 'the host' : session.vcpu(by).thread.name;
  const where = rip === null ? '' : `  ${placeText(session, by ?? vcpu, rip)}`;
  const long = held === null ? '' : ` after ${held} cycles`;
  const values = `${hex(old)} -> ${hex(now)}`;
  return `${String(time).padStart(12)}  ${who}  ${step}${long}  ${values}${where}`;
}

/** Who has a lock that is free when it is 0. */
function nowLines(session: Session, stores: readonly Store[]): string[] {
  const last = stores.at(-1) as Store;
  if (last.new === 0n) return ['It is free now.'];
  const isWord = stores.some((store) => store.new === 0n);
  const taker = stores.findLast((store) => lockStepOf(store) === 'acquires');
  if (!isWord || taker === undefined || taker.vcpu === null) return [];
  const wait = session.waitOf(taker.vcpu);
  const doing = wait === null ? 'which runs' : `which ${wait}`;
  const { name } = session.vcpu(taker.vcpu).thread;
  return [`Held by ${name} since ${taker.time}, ${doing}.`];
}

/** `delays [FROM [TO]]`: since the last motion began, or between events or times. */
function* delays({ session }: Context, text: string): Lines {
  const places = text === '' ? [] : text.split(/\s+/);
  if (places.length > 2) throw new DebugError("two places at most: 'delays FROM TO'");
  const { before, when } = session;
  const found = yield* session.aside(function* () {
    const first = places[0] === undefined ? before : yield* placeAt(session, places[0]);
    const second = places[1] === undefined ? when : yield* placeAt(session, places[1]);
    const [from, to] = first.event <= second.event ? [first, second] : [second, first];
    return from.event === to.event ? null : yield* session.delays(from, to);
  });
  if (found === null) throw new DebugError('there is no time between these places');
  return delayLines(session, found);
}

function* placeAt(session: Session, text: string): Generator<void, Position> {
  const time = timeOf(session, text);
  if (time === null && !/^\d+$/.test(text)) {
    throw new DebugError(`an event number or a time such as 1.5us expected, not '${text}'`);
  }
  const travel = time === null ? session.travelToEvent(Number(text)) : session.travelToTime(time);
  return (yield* travel).position;
}

function delayLines({ machine }: Session, { from, to, vcpus, knowsLocks }: Delays): string[] {
  const uses = USE_NAMES.filter((use) => vcpus.some((one) => one.uses[use] > 0));
  const column = (title: string, value: (one: VcpuDelays) => number) => {
    const cells = [title, ...vcpus.map((one) => String(value(one)))];
    const width = Math.max(...cells.map((text) => text.length));
    return cells.map((text) => text.padStart(width));
  };
  const names = ['', ...vcpus.map(({ name }) => name)];
  const width = Math.max(...names.map((name) => name.length));
  const columns = [
    names.map((name) => name.padEnd(width)),
    ...uses.map((use) => column(use, (one) => one.uses[use])),
    column('sum', (one) => one.elapsed),
  ];
  const us = (machine.host.frequency.toNs(to.time - from.time) / 1000).toFixed(3);
  return [
    `From event ${from.event} to ${to.event}, ${us} us; in cycles:`,
    ...names.map((_, i) => columns.map((cells) => cells[i]).join('  ')),
    ...uses.map((use) => `  ${use}: ${USES[use]}`),
    ...(knowsLocks
      ? []
      : [
          'The program does not say what it waits for (lock_wait, lock_held): that is useful here.',
        ]),
  ];
}

export const PAST: readonly Command[] = [
  command(
    'holders',
    '[/COUNT] ADDRESS[,LENGTH]',
    'who stored to the word of a lock, when, and who has it now',
    holders,
    { words: valueNames },
  ),
  command(
    'delays',
    '[FROM [TO]]',
    'where the time of vCPUs went since the last motion, or between events or times',
    delays,
  ),
];

// Commands that ask about the past: who held a lock when, and where the time of vCPUs went.

import { USE_NAMES, USES } from '../../machine/index.ts';
import { DebugError } from '../debug-error.ts';
import type { Delays, VcpuDelays } from '../delays.ts';
import { LOCK_KINDS } from '../lock-kinds.ts';
import type { Position } from '../position.ts';
import type { Session } from '../session.ts';
import { type Command, type Context, command, type Lines } from './command.ts';
import { holders, LOCK_ARGUMENT } from './holders.ts';
import { timeOf } from './parse.ts';
import { valueNames } from './words.ts';

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

function* lockWords(context: Context, before: string): Iterable<string> {
  if (/\sas\s+$/.test(before)) yield* LOCK_KINDS;
  else if (/\S\s+$/.test(before) && !/\sas\s/.test(before)) yield 'as';
  else yield* valueNames(context);
}

export const PAST: readonly Command[] = [
  command(
    'holders',
    LOCK_ARGUMENT,
    'who stored to the word of a lock, when, and who has it now',
    holders,
    { words: lockWords, scope: 'anywhere' },
  ),
  command(
    'delays',
    '[FROM [TO]]',
    'where the time of vCPUs went since the last motion, or between events or times',
    delays,
    { scope: 'anywhere' },
  ),
];

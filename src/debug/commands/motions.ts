// Commands that move the machine. Each is a generator: between its pieces it may be interrupted.

import { DebugError } from '../debug-error.ts';
import type { Direction, Motion, Session, StopReport } from '../session.ts';
import { type Command, type Context, command, type Lines } from './command.ts';
import { displayLines } from './displays.ts';
import { countOf, numberOf, timeOf, watchOf } from './parse.ts';
import { stopLines } from './print.ts';
import { valueNames } from './words.ts';

/** A command that moves as many times as its argument says. */
function move(
  names: string,
  summary: string,
  motion: (context: Context) => Motion,
  direction: Direction = 'forward',
): Command {
  const work = function* (context: Context, text: string): Lines {
    const { session } = context;
    let stop: StopReport | null = null;
    for (let left = countOf(text); left > 0; left--) {
      stop = yield* session.move(motion(context), direction);
      if (stop.reason !== 'step' && stop.reason !== 'breakpoint') break;
    }
    return arrived(context, stop as StopReport);
  };
  return command(names, '[COUNT]', summary, work, { again: 'same' });
}

/** The machine has come somewhere: what there is to say about it. */
export function arrived(context: Context, stop: StopReport): readonly string[] {
  context.vcpu = stop.vcpu;
  context.frame = 0;
  context.listed = null;
  return [...stopLines(context.session, stop), ...displayLines(context)];
}

const instruction = ({ vcpu }: Context): Motion => ({ kind: 'instruction', vcpu });
const anyExit = (): Motion => ({ kind: 'exit', vcpu: null });
const host = (): Motion => ({ kind: 'host' });
const onwards = (): Motion => ({ kind: 'continue' });

/** Who wrote last: back to the last write, which is told, at the place behind it. */
function* lastWrite(context: Context, text: string): Lines {
  const { session, vcpu } = context;
  const spec = { ...watchOf(session, vcpu, text, 'change'), access: 'write' } as const;
  const stop = yield* session.lastHit(spec);
  if (stop.reason === 'beginning')
    return ['Nobody has written there before; this is the beginning.'];
  return arrived(context, stop);
}

function* goTo(context: Context, text: string): Lines {
  const { session } = context;
  if (text === '') throw new DebugError('an event number, a time or a checkpoint expected');
  const time = timeOf(session, text);
  if (time !== null) return arrived(context, yield* session.travelToTime(time));
  if (!/^\d+$/.test(text)) return arrived(context, session.goToBookmark(text));
  return arrived(context, yield* session.travelToEvent(Number(text)));
}

/** `thread`, `thread 2` */
export function thread(context: Context, text: string): readonly string[] {
  const { session } = context;
  const vcpu = text === '' ? context.vcpu : numberOf(text);
  session.vcpu(vcpu);
  return arrived(context, { ...session.stop, reason: 'step', vcpu, hits: [], records: [] });
}

function branch(context: Context, text: string): readonly string[] {
  if (text === '') return branchLines(context.session);
  return arrived(context, context.session.switchBranch(numberOf(text)));
}

export function branchLines({ branch: current, branches }: Session): readonly string[] {
  return branches.map(({ id, cause, from }) => {
    return `${id === current.id ? '*' : ' '} ${id}  from event ${from.event}: ${cause}`;
  });
}

export const MOTIONS: readonly Command[] = [
  move('stepi si', 'one instruction of this vCPU', instruction),
  move('reverse-stepi rsi', 'one instruction back', instruction, 'backward'),
  move('exit', 'to the next VM exit of any vCPU, before it is handled', anyExit),
  move('rexit', 'back to the VM exit before', anyExit, 'backward'),
  move('host', 'to the next thing that the host does: exit, handler, entry, switch', host),
  move('rhost', 'back to what the host did before', host, 'backward'),
  move('continue c', 'to the next breakpoint, or the end', onwards),
  move('reverse-continue rc', 'back to the last breakpoint, or the beginning', onwards, 'backward'),
  command(
    'goto',
    'EVENT|TIME|NAME',
    'to an event number, a time such as 1.5us, or a checkpoint',
    goTo,
    { words: ({ session }) => session.bookmarks.map(({ name }) => name) },
  ),
  command(
    'last-write',
    'ADDRESS[,LENGTH]',
    'back to behind the instruction that wrote there last',
    lastWrite,
    { words: valueNames },
  ),
  command('branch', '[ID]', 'list branches of history, or go to where one begins', branch),
];

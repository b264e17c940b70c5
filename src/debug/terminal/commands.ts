// The commands of `vmxlab debug`, under gdb's names where gdb has them. One table, of which help
// and completion are made. What moves the machine is a generator: between its pieces it may be
// interrupted.

import Long from 'long';
import { textLine } from '../../trace/index.ts';
import { DebugError } from '../debug-error.ts';
import { monitorCommand } from '../monitor.ts';
import { registerNamed } from '../registers.ts';
import type { Direction, Motion, Session, StopReport } from '../session.ts';
import { addressOf, breakpointOf, countOf, formatOf, numberOf, timeOf, watchOf } from './parse.ts';
import { breakpointText, disassembly, hex, memoryLines, stopLines, whenText } from './print.ts';

/** What a command works on. */
export interface Context {
  readonly session: Session;
  /** The vCPU that commands are about. */
  vcpu: number;
  isOver: boolean;
}

export type Lines = Generator<void, readonly string[]>;

export interface Command {
  readonly names: readonly string[];
  readonly argument: string;
  readonly summary: string;
  /** @param format what stood behind a slash, as in `x/8gx` */
  execute(context: Context, argument: string, format: string): Lines;
}

/** A command that is done at once. */
function at(
  names: string,
  argument: string,
  summary: string,
  work: (context: Context, argument: string, format: string) => readonly string[],
): Command {
  return {
    names: names.split(' '),
    argument,
    summary,
    // biome-ignore lint/correctness/useYield: it is done at once
    execute: function* (context, text, format) {
      return work(context, text, format);
    },
  };
}

/** A command that moves the machine, as many times as its argument says. */
function move(
  names: string,
  summary: string,
  motion: (context: Context) => Motion,
  direction: Direction = 'forward',
): Command {
  return {
    names: names.split(' '),
    argument: '[COUNT]',
    summary,
    execute: function* (context, text) {
      const { session } = context;
      let stop: StopReport | null = null;
      for (let left = countOf(text); left > 0; left--) {
        stop = yield* session.move(motion(context), direction);
        if (stop.reason !== 'step' && stop.reason !== 'breakpoint') break;
      }
      return arrived(context, stop as StopReport);
    },
  };
}

function arrived(context: Context, stop: StopReport): readonly string[] {
  context.vcpu = stop.vcpu;
  return stopLines(context.session, stop);
}

const instruction = ({ vcpu }: Context): Motion => ({ kind: 'instruction', vcpu });
const anyExit = (): Motion => ({ kind: 'exit', vcpu: null });
const host = (): Motion => ({ kind: 'host' });
const onwards = (): Motion => ({ kind: 'continue' });

function setBreakpoint({ session, vcpu }: Context, text: string, temporary: boolean): string[] {
  const breakpoint = session.breakpoints.add({ ...breakpointOf(session, vcpu, text), temporary });
  return [`Breakpoint ${breakpointText(breakpoint)}`];
}

function watch(access: 'read' | 'change' | 'access') {
  return ({ session, vcpu }: Context, text: string): string[] => {
    const breakpoint = session.breakpoints.add(watchOf(session, vcpu, text, access));
    return [`Breakpoint ${breakpointText(breakpoint)}`];
  };
}

function setEnabled(isEnabled: boolean) {
  return ({ session: { breakpoints } }: Context, text: string): string[] => {
    const ids =
      text === '' ? breakpoints.list().map(({ id }) => id) : text.split(/\s+/).map(numberOf);
    for (const id of ids) {
      if (!breakpoints.setEnabled(id, isEnabled)) throw new DebugError(`no breakpoint ${id}`);
    }
    return [];
  };
}

function remove({ session: { breakpoints } }: Context, text: string): string[] {
  const ids =
    text === '' ? breakpoints.list().map(({ id }) => id) : text.split(/\s+/).map(numberOf);
  for (const id of ids) if (!breakpoints.remove(id)) throw new DebugError(`no breakpoint ${id}`);
  return [];
}

/** `set $rax = 1`, `set u32[0x1000] = 1`, `set vmcs FIELD = 1` */
function set({ session, vcpu }: Context, text: string): string[] {
  const [, target, value] = /^(.*?)\s*=\s*([^=].*)$/s.exec(text) ?? [];
  if (target === undefined || value === undefined) {
    throw new DebugError(
      "'set $REGISTER = VALUE', 'set u64[ADDRESS] = VALUE' or 'set vmcs FIELD = VALUE'",
    );
  }
  const number = addressOf(session, vcpu, value);
  const [, size, address] = /^u(8|16|32|64)\[(.*)\]$/s.exec(target) ?? [];
  const [, field] = /^vmcs\s+(.+)$/.exec(target) ?? [];
  if (field !== undefined) session.writeVmcsField(vcpu, field, number);
  else if (address === undefined) session.writeRegister(vcpu, target.replace(/^\$/, ''), number);
  else {
    const bytes = Uint8Array.from(number.toBytesLE().slice(0, Number(size) / 8));
    const where = addressOf(session, vcpu, address);
    if (!session.writeMemory(vcpu, 'linear', where, bytes)) {
      throw new DebugError(`no memory at ${hex(where)}`);
    }
  }
  return [`branch ${session.branch.id} of history begins at event ${session.when.event}`];
}

function registers({ session, vcpu }: Context, text: string): string[] {
  const all = session.readRegisters(vcpu);
  const general = all.slice(0, 18).map(({ name }) => name);
  const names =
    text === '' ? [...general, 'cs', 'ss', 'cr0', 'cr3', 'cr4', 'efer'] : text.split(/\s+/);
  const chosen = names[0] === 'all' ? all.map(({ name }) => name) : names;
  return chosen.map((given) => {
    const name = given.replace(/^\$/, '');
    const shown = registerNamed(name)?.name ?? name;
    return `${shown.padEnd(8)} ${hex(session.readRegister(vcpu, name))}`;
  });
}

type Topic = (context: Context, argument: string) => readonly string[];

const remote =
  (name: string): Topic =>
  ({ session, vcpu }, argument) =>
    monitorCommand(session, vcpu, `${name} ${argument}`).trimEnd().split('\n');

const TOPICS: Readonly<Record<string, Topic>> = {
  registers,
  breakpoints: ({ session }) => session.breakpoints.list().map(breakpointText),
  threads: ({ session, vcpu }) =>
    session.vcpus.map(({ thread }, i) => {
      const rip = hex(session.readRegister(i, 'rip'));
      const doing = remote('threads')({ session, vcpu, isOver: false }, '')[i].replace(
        /^.*? {2,}/,
        '',
      );
      return `${i === vcpu ? '*' : ' '} ${i}  ${thread.name}  rip ${rip}  ${doing}`;
    }),
  exits: remote('exits'),
  vmcs: remote('vmcs'),
  sched: remote('sched'),
  lapic: remote('lapic'),
  checkpoints: ({ session }) =>
    session.bookmarks.map(({ id, name, position }) => `${id}  ${name}  event ${position.event}`),
  branches: ({ session }) =>
    session.branches.map(({ id, cause, from }) => {
      return `${id === session.branch.id ? '*' : ' '} ${id}  from event ${from.event}: ${cause}`;
    }),
  symbols: ({ session, vcpu }, text) =>
    session
      .symbolsOf(vcpu)
      .names.filter(({ name }) => name.includes(text))
      .map(({ name, start }) => `${hex(start)}  ${name}`),
};

export const TOPIC_NAMES: readonly string[] = Object.keys(TOPICS);

function info(context: Context, text: string): readonly string[] {
  const [, name = '', argument = ''] = /^(\S*)\s*(.*)$/s.exec(text) ?? [];
  const found = TOPIC_NAMES.filter((topic) => topic.startsWith(name));
  if (name !== '' && found.length > 0) return TOPICS[found[0]](context, argument);
  throw new DebugError(`'info' and one of: ${TOPIC_NAMES.join(', ')}`);
}

/** Who wrote last: back to the last write, which is told, at the place behind it. */
function* lastWrite(context: Context, text: string): Lines {
  const { session, vcpu } = context;
  const spec = { ...watchOf(session, vcpu, text, 'change'), access: 'write' } as const;
  const stop = yield* session.lastHit(spec);
  if (stop.reason === 'beginning') return ['Nobody has written there; this is the beginning.'];
  return arrived(context, stop);
}

function* goTo(context: Context, text: string): Lines {
  const { session } = context;
  const time = timeOf(session, text);
  if (time !== null) return arrived(context, yield* session.travelToTime(time));
  if (!/^\d+$/.test(text)) return arrived(context, session.goToBookmark(text));
  return arrived(context, yield* session.travelToEvent(Number(text)));
}

function thread(context: Context, text: string): string[] {
  const wanted = numberOf(text);
  context.session.vcpu(wanted);
  context.vcpu = wanted;
  return stopLines(context.session, {
    ...context.session.stop,
    reason: 'step',
    vcpu: wanted,
    hits: [],
    records: [],
  });
}

function timeline({ session }: Context, text: string): string[] {
  const records = session.recentRecords(text === '' ? 20 : countOf(text));
  return records.map((record) => textLine(record).trim());
}

function list({ session, vcpu }: Context, text: string, format: string): string[] {
  const from = text === '' ? session.readRegister(vcpu, 'rip') : addressOf(session, vcpu, text);
  return disassembly(session, vcpu, from, format === '' ? 10 : countOf(format));
}

function examine({ session, vcpu }: Context, text: string, format: string): string[] {
  if (text === '') throw new DebugError('an address expected');
  return memoryLines(session, vcpu, addressOf(session, vcpu, text), formatOf(format));
}

function print({ session, vcpu }: Context, text: string, format: string): string[] {
  if (text === '') throw new DebugError('an expression expected');
  const value = session.evaluate(vcpu, text);
  const { letter } = formatOf(format === '' ? 'x' : format);
  const signed = Long.fromString(value.toString(16), true, 16).toSigned();
  return [letter === 'd' ? signed.toString() : letter === 'u' ? String(value) : hex(value)];
}

function checkpoint({ session }: Context, name: string): string[] {
  const mark = session.addBookmark(name);
  return [`checkpoint ${mark.id}, ${mark.name}, at event ${mark.position.event}`];
}

function help(_: Context, text: string): string[] {
  const chosen = COMMANDS.filter(({ names }) => text === '' || names.includes(text));
  if (chosen.length === 0) throw new DebugError(`no command named '${text}'`);
  return chosen.map(({ names, argument, summary }) => {
    return `${`${names.join(', ')} ${argument}`.trim().padEnd(34)} ${summary}`;
  });
}

const PLACE = '[PLACE] [vcpu N] [if EXPR]';

export const COMMANDS: readonly Command[] = [
  move('stepi si', 'one instruction of this vCPU', instruction),
  move('reverse-stepi rsi', 'one instruction back', instruction, 'backward'),
  move('exit', 'to the next VM exit of any vCPU, before it is handled', anyExit),
  move('rexit', 'back to the VM exit before', anyExit, 'backward'),
  move('host', 'to the next thing that the host does: exit, handler, entry, switch', host),
  move('rhost', 'back to what the host did before', host, 'backward'),
  move('continue c', 'to the next breakpoint, or the end', onwards),
  move('reverse-continue rc', 'back to the last breakpoint, or the beginning', onwards, 'backward'),
  at(
    'break b',
    PLACE,
    'stop at SYMBOL, *ADDRESS, FILE:LINE, exit [REASON], entry, hypercall [N], ' +
      'msr N, port N, time CYCLES, or a tracepoint',
    (context, text) => setBreakpoint(context, text, false),
  ),
  at('tbreak tb', PLACE, 'the same, once', (context, text) => setBreakpoint(context, text, true)),
  at('watch', 'ADDRESS[,LENGTH] [if EXPR]', 'stop when memory changes', watch('change')),
  at('rwatch', 'ADDRESS[,LENGTH] [if EXPR]', 'stop when memory is read', watch('read')),
  at('awatch', 'ADDRESS[,LENGTH] [if EXPR]', 'stop when memory is accessed', watch('access')),
  at('delete d', '[ID...]', 'remove breakpoints; all if none is given', remove),
  at('enable', '[ID...]', 'let breakpoints stop again', setEnabled(true)),
  at('disable', '[ID...]', 'keep breakpoints from stopping', setEnabled(false)),
  at('info i', 'TOPIC', `look at: ${TOPIC_NAMES.join(', ')}`, info),
  at('x', '[/FORMAT] ADDRESS', 'memory: count, size (b h w g), format (x d u c i)', examine),
  at('print p', '[/FORMAT] EXPR', 'the value of an expression', print),
  at('set', 'TARGET = EXPR', 'change $REGISTER, u8[ADDRESS] to u64[ADDRESS], or vmcs FIELD', set),
  at('disassemble list l', '[/COUNT] [ADDRESS]', 'instructions, from the next one on', list),
  at('thread t', 'N', 'be about vCPU N', thread),
  at('why', '', 'why the last VM exit of this vCPU happened', remote('why')),
  at('timeline', '[COUNT]', 'what has happened last, as ftrace prints it', timeline),
  at('when', '', 'where this is in the run', ({ session }) => [whenText(session)]),
  {
    names: ['last-write'],
    argument: 'ADDRESS[,LENGTH]',
    summary: 'back to behind the instruction that wrote there last',
    execute: lastWrite,
  },
  {
    names: ['goto'],
    argument: 'EVENT|TIME|NAME',
    summary: 'to an event number, a time such as 1.5us, or a checkpoint',
    execute: goTo,
  },
  at('checkpoint', '[NAME]', 'give this place a name', checkpoint),
  at('branch', '[ID]', 'list branches of history, or go to where one begins', (context, text) =>
    text === ''
      ? TOPICS.branches(context, '')
      : arrived(context, context.session.switchBranch(numberOf(text))),
  ),
  at('help h', '[COMMAND]', 'this list', help),
  at('quit q', '', 'leave', (context) => {
    context.isOver = true;
    return [];
  }),
];

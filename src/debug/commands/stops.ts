// Commands about breakpoints.

import { DebugError } from '../debug-error.ts';
import { type Command, type Context, command } from './command.ts';
import { breakpointOf, numberOf, watchOf } from './parse.ts';
import { breakpointText } from './print.ts';
import { placeNames, valueNames } from './words.ts';

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

/** The numbers that a text lists, or those of all breakpoints. */
function idsOf({ session }: Context, text: string): readonly number[] {
  if (text === '') return session.breakpoints.list().map(({ id }) => id);
  return text.split(/[\s,]+/).map(numberOf);
}

function setEnabled(isEnabled: boolean) {
  return (context: Context, text: string): string[] => {
    const { breakpoints } = context.session;
    for (const id of idsOf(context, text)) {
      if (!breakpoints.setEnabled(id, isEnabled)) throw new DebugError(`no breakpoint ${id}`);
    }
    return [];
  };
}

/** `delete 1 2`, `delete breakpoints`, `delete checkpoint 1` */
function remove(context: Context, text: string): string[] {
  const { session } = context;
  const [, kind, rest = text] = /^(breakpoints?|checkpoints?)(?:\s+(.*))?$/s.exec(text) ?? [];
  if (kind?.startsWith('checkpoint')) {
    if (rest === '') throw new DebugError('the number or the name of a checkpoint expected');
    for (const which of rest.split(/[\s,]+/)) session.removeBookmark(which);
    return [];
  }
  for (const id of idsOf(context, kind === undefined ? text : rest)) {
    if (!session.breakpoints.remove(id)) throw new DebugError(`no breakpoint ${id}`);
  }
  return [];
}

/** `ignore 1 10` */
function ignore({ session }: Context, text: string): string[] {
  const [, id, count] = /^(\d+)\s+(\d+)$/.exec(text) ?? [];
  if (count === undefined)
    throw new DebugError("the number of a breakpoint and a count: 'ignore 1 10'");
  if (!session.breakpoints.ignore(Number(id), Number(count))) {
    throw new DebugError(`no breakpoint ${id}`);
  }
  return [`Breakpoint ${id} ignores the next ${count} hits.`];
}

/** `condition 1 r12 == 2`, `condition 1` */
function condition({ session }: Context, text: string): string[] {
  const [, id, expression = ''] = /^(\d+)(?:\s+(?:if\s+)?(.+))?$/s.exec(text) ?? [];
  if (id === undefined) {
    throw new DebugError("the number of a breakpoint and an expression: 'condition 1 rax == 2'");
  }
  if (!session.breakpoints.setCondition(Number(id), expression)) {
    throw new DebugError(`no breakpoint ${id}`);
  }
  return [];
}

/** What follows, up to `end`, is said where the breakpoint stops the machine; see Prompt. */
function commands(context: Context, text: string): string[] {
  const last = context.session.breakpoints.list().at(-1);
  const id = text === '' ? last?.id : numberOf(text);
  if (id === undefined || context.session.breakpoints.get(id) === undefined) {
    throw new DebugError(id === undefined ? 'there is no breakpoint' : `no breakpoint ${id}`);
  }
  context.writing = { id, lines: [] };
  return [];
}

const PLACE = '[PLACE] [vcpu N] [if EXPR]';
const RANGE = 'ADDRESS[,LENGTH] [if EXPR]';

export const STOPS: readonly Command[] = [
  command(
    'break b hbreak',
    PLACE,
    'stop at SYMBOL, *ADDRESS, [FILE:]LINE, exit [REASON], entry, hypercall [N], ' +
      'msr N, port N, time CYCLES, or a tracepoint',
    (context, text) => setBreakpoint(context, text, false),
    { words: placeNames },
  ),
  command(
    'tbreak tb thbreak',
    PLACE,
    'the same, once',
    (context, text) => setBreakpoint(context, text, true),
    { words: placeNames },
  ),
  command('watch', RANGE, 'stop when memory changes', watch('change'), { words: valueNames }),
  command('rwatch', RANGE, 'stop when memory is read', watch('read'), { words: valueNames }),
  command('awatch', RANGE, 'stop when memory is accessed', watch('access'), { words: valueNames }),
  command(
    'delete d',
    '[ID...] | checkpoint ID',
    'remove breakpoints, all if none is given, or a checkpoint',
    remove,
    { words: (_, before) => (before.trim() === '' ? ['breakpoints', 'checkpoint'] : []) },
  ),
  command('enable', '[ID...]', 'let breakpoints stop again', setEnabled(true)),
  command('disable', '[ID...]', 'keep breakpoints from stopping', setEnabled(false)),
  command('ignore', 'ID COUNT', 'pass over the next hits of a breakpoint', ignore),
  command(
    'condition',
    'ID [EXPR]',
    'change the condition of a breakpoint, or remove it',
    condition,
  ),
  command('commands', '[ID]', "lines up to 'end': said where the breakpoint stops", commands),
];

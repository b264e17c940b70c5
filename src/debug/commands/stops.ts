// Commands about breakpoints.

import type { BreakpointSpec } from '../breakpoints.ts';
import { DebugError } from '../debug-error.ts';
import { addressesOf } from '../places.ts';
import { type Command, type Context, command } from './command.ts';
import { undisplay } from './displays.ts';
import { breakpointOf, numberOf, watchOf } from './parse.ts';
import { breakpointText } from './print.ts';
import { placeNames, valueNames } from './words.ts';

function setBreakpoint({ session, vcpu }: Context, text: string, temporary: boolean): string[] {
  const spec = breakpointOf(session, vcpu, text);
  session.checkCondition(vcpu, spec, spec.condition ?? '');
  const breakpoint = session.breakpoints.add({ ...spec, temporary });
  return [`Breakpoint ${breakpointText(breakpoint)}`];
}

function watch(access: 'read' | 'change' | 'access') {
  return ({ session, vcpu }: Context, text: string): string[] => {
    const spec = watchOf(session, vcpu, text, access);
    session.checkCondition(vcpu, spec, spec.condition ?? '');
    const breakpoint = session.breakpoints.add(spec);
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
function remove(context: Context, text: string): readonly string[] {
  const { session } = context;
  const [, shown] = /^display\b\s*(.*)$/s.exec(text) ?? [];
  if (shown !== undefined) return undisplay(context, shown);
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

/** `enable 1 2`, `enable once 1`, `enable delete 1` */
function enable(context: Context, text: string): string[] {
  const [, how, ids = ''] = /^(once|delete)\b\s*(.*)$/s.exec(text) ?? [];
  if (how === undefined) return setEnabled(true)(context, text);
  const { breakpoints } = context.session;
  for (const id of idsOf(context, ids)) {
    const then = how === 'once' ? 'disabled' : 'gone';
    if (!breakpoints.enableUntilHit(id, then)) throw new DebugError(`no breakpoint ${id}`);
  }
  return [];
}

type CodeSpec = Extract<BreakpointSpec, { kind: 'address' | 'symbol' | 'line' }>;

function isOfCode(spec: BreakpointSpec): spec is BreakpointSpec & CodeSpec {
  return spec.kind === 'address' || spec.kind === 'symbol' || spec.kind === 'line';
}

/** `clear`, `clear again`, `clear lock.asm:12`: whatever stops there. */
function clear({ session, vcpu }: Context, text: string): string[] {
  const symbols = session.symbolsOf(vcpu);
  const place = breakpointOf(session, vcpu, text);
  if (!isOfCode(place)) throw new DebugError(`a place in the code expected, not '${text}'`);
  const places = addressesOf(place, symbols);
  const there = session.breakpoints.list().filter(({ spec }) => {
    const isHere = isOfCode(spec) && (spec.vm ?? 0) === place.vm;
    return isHere && addressesOf(spec, symbols).some((one) => places.some((own) => own.eq(one)));
  });
  if (there.length === 0) throw new DebugError('no breakpoint is there');
  for (const { id } of there) session.breakpoints.remove(id);
  const ids = there.map(({ id }) => id).join(', ');
  return [`Removed breakpoint${there.length === 1 ? '' : 's'} ${ids}.`];
}

/** Breakpoints that one `rbreak` sets, at most. */
const MOST_MATCHES = 200;

/** `rbreak ^lock_` */
function breakAtAll(context: Context, text: string): string[] {
  const { session, vcpu } = context;
  let pattern: RegExp;
  try {
    pattern = new RegExp(text);
  } catch {
    throw new DebugError(`'${text}' is no regular expression`);
  }
  const names = session.symbolsOf(vcpu).names.filter(({ name }) => pattern.test(name));
  if (names.length === 0) throw new DebugError(`no symbol matches '${text}'`);
  if (names.length > MOST_MATCHES) throw new DebugError(`${names.length} symbols match '${text}'`);
  const vm = session.vcpu(vcpu).vm.id;
  return names.map(({ name }) => {
    const breakpoint = session.breakpoints.add({ kind: 'symbol', symbol: name, vm });
    return `Breakpoint ${breakpointText(breakpoint)}`;
  });
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
function condition({ session, vcpu }: Context, text: string): string[] {
  const [, id, expression = ''] = /^(\d+)(?:\s+(?:if\s+)?(.+))?$/s.exec(text) ?? [];
  if (id === undefined) {
    throw new DebugError("the number of a breakpoint and an expression: 'condition 1 rax == 2'");
  }
  const spec = session.breakpoints.get(Number(id))?.spec;
  if (spec !== undefined) session.checkCondition(vcpu, spec, expression);
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
  command('clear', '[PLACE]', 'remove the breakpoints at a place in the code', clear, {
    words: placeNames,
  }),
  command('rbreak', 'REGEX', 'stop at all symbols that match', breakAtAll),
  command('enable', '[once|delete] [ID...]', 'let breakpoints stop again, or once more', enable, {
    words: (_, before) => (before.trim() === '' ? ['once', 'delete'] : []),
  }),
  command('disable dis', '[ID...]', 'keep breakpoints from stopping', setEnabled(false)),
  command('ignore', 'ID COUNT', 'pass over the next hits of a breakpoint', ignore),
  command(
    'condition',
    'ID [EXPR]',
    'change the condition of a breakpoint, or remove it',
    condition,
  ),
  command('commands', '[ID]', "lines up to 'end': said where the breakpoint stops", commands),
];

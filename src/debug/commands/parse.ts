// Arguments of commands: places, formats, numbers and conditions.

import Long from 'long';
import { isTracepoint } from '../../trace/index.ts';
import type { BreakpointSpec } from '../breakpoints.ts';
import { typeBytes } from '../condition.ts';
import { DebugError } from '../debug-error.ts';
import { sourceLineOf } from '../places.ts';
import type { Session } from '../session.ts';

/** `12`, or 1 if nothing is given. Throws {@link DebugError}. */
export function countOf(text: string): number {
  if (text === '') return 1;
  if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
  throw new DebugError(`a number from 1 expected, not '${text}'`);
}

/** The value of an expression, as an address. */
export function addressOf(session: Session, vcpu: number, text: string): Long {
  const value = session.evaluate(vcpu, text.replace(/^\*/, ''));
  return Long.fromString(value.toString(16), true, 16);
}

/** Words behind those that begin a place, at most. */
const MOST_ARGUMENTS: Readonly<Record<string, number>> = {
  exit: 1,
  entry: 0,
  hypercall: 1,
  msr: 2,
  port: 2,
  time: 1,
};

const MOST_MSR = 0xffff_ffff;
const MOST_PORT = 0xffff;

/** `PLACE [vcpu N] [if CONDITION]`, in any of the forms that `help break` lists. */
export function breakpointOf(session: Session, vcpu: number, text: string): BreakpointSpec {
  const [, head = '', condition] = /^(.*?)(?:(?:^|\s+)if(?:\s+(.*))?)?$/s.exec(text.trim()) ?? [];
  if (/(^|\s)if$/.test(text.trim())) throw new DebugError("an expression expected behind 'if'");
  // gdb's people say thread.
  const [, place = '', only] = /^(.*?)(?:\s+(?:vcpu|thread)\s+(\d+))?$/.exec(head.trim()) ?? [];
  const rest = {
    vm: session.vcpu(vcpu).vm.id,
    ...(only === undefined ? {} : { vcpu: Number(only) }),
    ...(condition === undefined ? {} : { condition }),
  };
  const [kind, argument = '', access = ''] = place.split(/\s+/);
  const surplus = place.split(/\s+/)[1 + (MOST_ARGUMENTS[kind] ?? Number.POSITIVE_INFINITY)];
  if (surplus !== undefined) {
    throw new DebugError(`'vcpu N', 'if EXPR' or nothing expected, not '${surplus}'`);
  }
  switch (kind) {
    case 'exit':
      return { kind, ...(argument === '' ? {} : { reason: argument.toUpperCase() }), ...rest };
    case 'entry':
      return { kind, ...rest };
    case 'hypercall':
      return { kind, ...(argument === '' ? {} : { number: numberOf(argument) }), ...rest };
    case 'msr':
      return { kind, index: numberUpTo(MOST_MSR, argument), ...accessOf(access), ...rest };
    case 'port':
      return { kind, port: numberUpTo(MOST_PORT, argument), ...accessOf(access), ...rest };
    case 'time':
      return { kind, time: timeOf(session, argument) ?? numberOf(argument), ...rest };
    default:
      return { ...placeOf(session, vcpu, place), ...rest };
  }
}

/** An address (`*0x100000`), a line (`file.asm:12`, `12`), a tracepoint, or a symbol. */
function placeOf(session: Session, vcpu: number, place: string): BreakpointSpec {
  if (place === '') {
    return { kind: 'address', address: session.readRegister(vcpu, 'rip') };
  }
  if (/^\d+$/.test(place)) {
    const here = sourceLineOf(session.symbolsOf(vcpu), session.vcpu(vcpu).linearRip);
    if (here !== null) return { kind: 'line', file: here.file, line: Number(place) };
    throw new DebugError('no source is known for this place; FILE:LINE or *ADDRESS expected');
  }
  if (/^(\*|0x)/.test(place)) {
    return { kind: 'address', address: addressOf(session, vcpu, place) };
  }
  const [, file, line] = /^(.+):(\d+)$/.exec(place) ?? [];
  if (file !== undefined) return { kind: 'line', file, line: Number(line) };
  if (isTracepoint(place)) return { kind: 'hostEvent', event: place };
  return { kind: 'symbol', symbol: place };
}

function accessOf(text: string): { access?: 'read' | 'write' } {
  if (text === '') return {};
  if (text === 'read' || text === 'write') return { access: text };
  throw new DebugError(`'read' or 'write' expected, not '${text}'`);
}

export function numberOf(text: string): number {
  if (/^(0x[\da-f]+|\d+)$/i.test(text)) return Number(text);
  throw new DebugError(`a number expected${text === '' ? '' : `, not '${text}'`}`);
}

function numberUpTo(most: number, text: string): number {
  const number = numberOf(text);
  if (number <= most) return number;
  throw new DebugError(`a number up to 0x${most.toString(16)} expected, not '${text}'`);
}

const NS_PER_UNIT: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** A virtual time with its unit (`1.5us`), in cycles; null if it is something else. */
export function timeOf(session: Session, text: string): number | null {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ns|us|ms|s)$/.exec(text) ?? [];
  if (unit === undefined) return null;
  return session.machine.host.frequency.toCycles(Number(number) * NS_PER_UNIT[unit]);
}

/** `*(int *)ADDRESS` and `{int}ADDRESS`: what is in memory, and how long it is; null for others. */
export function typedPlace(text: string): { address: string; lengthBytes: number } | null {
  const cast = /^\*\s*\(([\w\s]+)\*\s*\)(.+)$/s.exec(text) ?? /^\{([\w\s]+)\}(.+)$/s.exec(text);
  const lengthBytes = cast === null ? undefined : typeBytes(cast[1]);
  return cast === null || lengthBytes === undefined ? null : { address: cast[2], lengthBytes };
}

/** `EXPRESSION[,LENGTH]`: what to watch, 8 bytes unless told; also behind gdb's `-l`. */
export function watchOf(
  session: Session,
  vcpu: number,
  text: string,
  access: 'read' | 'change' | 'access',
): BreakpointSpec {
  const [, head = '', condition] = /^(.*?)(?:\s+if\s+(.+))?$/s.exec(text.trim()) ?? [];
  const told = head.replace(/^-l(?:ocation)?(?:\s+|$)/, '');
  const [, all = '', length] = /^(.*?)(?:\s*,\s*(\d+))?$/.exec(told) ?? [];
  const { address: place, lengthBytes } = typedPlace(all) ?? { address: all, lengthBytes: 8 };
  if (place === '') throw new DebugError('an address expected');
  return {
    kind: 'memory',
    space: 'linear',
    access,
    address: addressOf(session, vcpu, place),
    lengthBytes: length === undefined ? lengthBytes : Number(length),
    vm: session.vcpu(vcpu).vm.id,
    ...(condition === undefined ? {} : { condition }),
  };
}

/** What stands between commas that are in no brackets and no text. */
export function partsOf(text: string): readonly string[] {
  const parts = [''];
  let depth = 0;
  for (const piece of text.match(/"(?:[^"\\]|\\.)*"|./gs) ?? []) {
    if ('(['.includes(piece)) depth++;
    if (')]'.includes(piece)) depth--;
    if (piece === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += piece;
  }
  return parts.map((part) => part.trim());
}

/** gdb's `/8gx`: how many, of which size in bytes, in which format. */
export interface Format {
  readonly count: number;
  readonly sizeBytes: number;
  readonly letter: string;
}

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };

export function formatOf(text: string): Format {
  const [, count = '', letters] = /^(\d*)([bhwgxduotacsi]*)$/.exec(text) ?? [];
  if (letters === undefined) {
    throw new DebugError(
      `'/${text}': a count, a size (b h w g) and a format (x d u o t a c s i) expected`,
    );
  }
  const size = [...letters].find((letter) => SIZES[letter] !== undefined);
  const letter = [...letters].find((one) => SIZES[one] === undefined) ?? 'x';
  const most = Math.min(count === '' ? 1 : countOf(count), 4096);
  return {
    count: most,
    sizeBytes: SIZES[size ?? (letter === 'c' || letter === 's' ? 'b' : 'g')],
    letter,
  };
}

// Commands about who called whom, and the frame that others are about until the machine moves.

import type Long from 'long';
import { DebugError } from '../debug-error.ts';
import { sourceLineOf } from '../places.ts';
import type { Session } from '../session.ts';
import { type Frame, framesOf } from '../stack.ts';
import { type Command, type Context, command } from './command.ts';
import { countOf, numberOf } from './parse.ts';
import { disassembly, hex, placeText } from './print.ts';

/** `0x100000 <outer+0x3> at lock.asm:12`: of a caller, the line of the CALL that it stands behind. */
function frameText(session: Session, vcpu: number, { address }: Frame, index: number): string {
  const symbols = session.symbolsOf(vcpu);
  const source = sourceLineOf(symbols, index === 0 ? address : address.sub(1));
  const name = symbols.symbolAt(address);
  const called = name === null ? '' : ` <${name}>`;
  const where = source === null ? '' : ` at ${source.file}:${source.line}`;
  return `${hex(address)}${called}${where}`;
}

function backtrace(context: Context, text: string): string[] {
  const { session, vcpu } = context;
  const all = framesOf(session, vcpu);
  // There is no more to a frame than what is shown.
  if (/^-?full$/.test(text)) return backtrace(context, '');
  return all
    .slice(0, text === '' ? all.length : countOf(text))
    .map((one, i) => `#${i}  ${frameText(session, vcpu, one, i)}`);
}

/** Where the code of the chosen frame is: what `list` and `disassemble` are about. */
export function frameAddress({ session, vcpu, frame }: Context): Long {
  const outer = frame === 0 ? undefined : framesOf(session, vcpu)[frame];
  return outer?.address.sub(1) ?? session.vcpu(vcpu).linearRip.toUnsigned();
}

function choose(context: Context, index: number): string[] {
  const { session, vcpu, source } = context;
  const chosen = framesOf(session, vcpu)[index];
  if (chosen === undefined) throw new DebugError(`there is no frame ${index}`);
  context.frame = index;
  context.listed = null;
  const line = sourceLineOf(session.symbolsOf(vcpu), frameAddress(context));
  const text = line === null ? undefined : source(line.file)?.[line.line - 1];
  const { name } = session.vcpu(vcpu).thread;
  const place =
    index === 0
      ? `[${name}] ${placeText(session, vcpu, chosen.address)}`
      : `[${name}] #${index}  ${frameText(session, vcpu, chosen, index)}`;
  if (text !== undefined) return [place, `${line?.line}\t${text}`];
  return [place, ...disassembly(session, vcpu, chosen.address, 1)];
}

function frame(context: Context, text: string): string[] {
  return choose(context, text === '' ? context.frame : numberOf(text));
}

/** As gdb's, as far as there are frames. */
function outwards(context: Context, text: string): string[] {
  const last = framesOf(context.session, context.vcpu).length - 1;
  if (context.frame >= last) throw new DebugError('no outer frame is known');
  return choose(context, Math.min(context.frame + countOf(text), last));
}

function inwards(context: Context, text: string): string[] {
  if (context.frame === 0) throw new DebugError('this is the innermost frame');
  return choose(context, Math.max(context.frame - countOf(text), 0));
}

export function frameLines({ session, vcpu, frame: index }: Context): string[] {
  const frames = framesOf(session, vcpu);
  const own = frames[index] ?? frames[0];
  const caller = frames[index + 1];
  return [
    `frame ${index} at ${frameText(session, vcpu, own, index)}`,
    caller === undefined
      ? 'no caller is known'
      : `called by frame ${index + 1} at ${frameText(session, vcpu, caller, index + 1)}`,
    ...(own.top === null ? [] : [`behind its return, RSP is above ${hex(own.top)}`]),
  ];
}

export const FRAMES: readonly Command[] = [
  command('backtrace bt where', '[COUNT]', 'who called, as far as it can be told', backtrace, {
    scope: 'anywhere',
  }),
  command('frame f', '[N]', 'be about frame N; where it is, and its line of the source', frame, {
    scope: 'anywhere',
  }),
  command('up', '[COUNT]', 'be about the caller: for list, disassemble, info frame', outwards, {
    again: 'same',
  }),
  command('down', '[COUNT]', 'be about the frame that it called', inwards, { again: 'same' }),
];

// Commands that step as gdb's do: by lines, over calls, out of functions, up to a place.

import type Long from 'long';
import { DebugError } from '../debug-error.ts';
import { addressesOf } from '../places.ts';
import type { Direction, StopReport } from '../session.ts';
import { type StepKind, Stepper } from '../stepping.ts';
import { type Command, type Context, command, type Lines } from './command.ts';
import { arrived } from './motions.ts';
import { breakpointOf, countOf } from './parse.ts';
import { codeNames } from './words.ts';

/** A command that steps as many times as its argument says. */
function step(
  names: string,
  summary: string,
  kind: StepKind,
  direction: Direction = 'forward',
): Command {
  const work = function* (context: Context, text: string): Lines {
    const { session, vcpu } = context;
    let stop: StopReport = session.stop;
    for (let left = countOf(text); left > 0; left--) {
      stop = yield* new Stepper(session, vcpu).step(kind, direction);
      if (stop.reason !== 'step') break;
    }
    return arrived(context, stop);
  };
  return command(names, '[COUNT]', summary, work, { again: 'same' });
}

/** `until`: out of a loop; `until PLACE`: to it, or out of the function. */
function* until(context: Context, text: string): Lines {
  const { session, vcpu } = context;
  const stepper = new Stepper(session, vcpu);
  if (text === '') return arrived(context, yield* stepper.step('past'));
  return arrived(context, yield* stepper.until(codeAddress(context, text)));
}

function codeAddress({ session, vcpu }: Context, text: string): Long {
  const spec = breakpointOf(session, vcpu, text);
  if (spec.kind !== 'address' && spec.kind !== 'symbol' && spec.kind !== 'line') {
    throw new DebugError(`a place in the code expected, not '${text}'`);
  }
  return addressesOf(spec, session.symbolsOf(vcpu))[0];
}

/** `jump PLACE`: RIP is there, and the machine goes on, on a branch of history of its own. */
function* jump(context: Context, text: string): Lines {
  const { session, vcpu } = context;
  if (text === '') throw new DebugError('a place in the code expected');
  const { linearRip, rip } = session.vcpu(vcpu);
  const base = linearRip.sub(rip);
  session.writeRegister(vcpu, 'rip', codeAddress(context, text).sub(base));
  return arrived(context, yield* session.move({ kind: 'continue' }));
}

/** `starti`: to the beginning. */
function* starti(context: Context): Lines {
  return arrived(context, yield* context.session.travelToEvent(0));
}

/** `run`: from the beginning to the next breakpoint. */
function* run(context: Context): Lines {
  const { session } = context;
  yield* session.travelToEvent(0);
  return arrived(context, yield* session.move({ kind: 'continue' }));
}

export const STEPS: readonly Command[] = [
  step('step s', 'to the next line of the source, into calls', 'line'),
  step('next n', 'to the next line of the source, over calls', 'overLine'),
  step('nexti ni', 'one instruction of this vCPU, over calls', 'overInstruction'),
  step('reverse-step rs', 'to the beginning of the line before', 'line', 'backward'),
  step('reverse-next rn', 'the same, over calls', 'overLine', 'backward'),
  step('reverse-nexti rni', 'one instruction back, over calls', 'overInstruction', 'backward'),
  step('finish fin', 'to where this function returns', 'out'),
  step('reverse-finish', 'back to where this function was called', 'out', 'backward'),
  command(
    'until u advance',
    '[PLACE]',
    'to a line behind this one, out of loops; or to a place, or out of this function',
    until,
    { words: codeNames },
  ),
  command('jump j', 'PLACE', 'go on from another place: a branch of history', jump, {
    words: codeNames,
  }),
  command('starti start', '', 'to the beginning', starti),
  command('run r', '', 'from the beginning to the next breakpoint', run),
];

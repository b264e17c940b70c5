// Requests that let the machine go on.

import Long from 'long';
import type { Direction } from '../session.ts';
import type { AdapterState, Handler } from './adapter.ts';
import { type Arguments, countOf, integerOf, textOr } from './arguments.ts';
import type { DapMovement, DapStop, DapThread } from './target.ts';
import { threadOf } from './threads.ts';

/** What is under way. */
export interface Motion {
  /** Go on for a while; how it ended, or null if it has not. */
  advance(): DapStop | null;
}

function threadIn({ target }: AdapterState, args: Arguments): DapThread {
  return threadOf(target, integerOf(args, 'threadId'));
}

function begin(
  state: AdapterState,
  args: Arguments,
  movement: DapMovement,
  direction: Direction = 'forward',
): void {
  const { target } = state;
  target.resume(movement, direction, threadIn(state, args));
  state.motion = { advance: () => target.advance() };
}

/** A step by lines, or by instructions if that is asked for. */
function stepping(line: DapMovement, instruction: DapMovement, direction?: Direction): Handler {
  return (state, args) => {
    const isByLine = textOr(args, 'granularity', 'statement') !== 'instruction';
    begin(state, args, isByLine ? line : instruction, direction);
    return undefined;
  };
}

/** It executes nothing, but the machine stops elsewhere. */
const goto: Handler = (state, args) => {
  const thread = threadIn(state, args);
  const address = Long.fromNumber(countOf(args, 'targetId'));
  state.target.registers(thread).set('rip', address);
  const stop: DapStop = { reason: { kind: 'goto' }, thread, message: '' };
  state.motion = { advance: () => stop };
  return undefined;
};

export const MOTION_HANDLERS = {
  goto,
  continue: (state: AdapterState, args: Arguments) => {
    begin(state, args, 'continue');
    return { allThreadsContinued: true };
  },
  reverseContinue: (state: AdapterState, args: Arguments) => {
    begin(state, args, 'continue', 'backward');
    return undefined;
  },
  next: stepping('overLine', 'overInstruction'),
  stepIn: stepping('line', 'instruction'),
  stepBack: stepping('line', 'instruction', 'backward'),
  stepOut: stepping('out', 'out'),
  pause: (state: AdapterState) => {
    state.isPauseWanted = state.motion !== null;
    return undefined;
  },
};

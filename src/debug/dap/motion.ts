// Requests that let the machine go on, and what that takes: a step by a line is many steps of one
// instruction, a step over a call is a run up to its return.

import Long from 'long';
import { disassembleOne } from '../disassembly.ts';
import type { Direction } from '../session.ts';
import type { AdapterState, Handler } from './adapter.ts';
import { type Arguments, countOf, integerOf, textOr } from './arguments.ts';
import { framesOf } from './data-requests.ts';
import { placeOf } from './sources.ts';
import { isCall } from './stack.ts';
import { BadRequest, type DapStop, type DapTarget, type DapThread } from './target.ts';
import { threadOf } from './threads.ts';

/** What is under way. */
export interface Motion {
  /**
   * Go on for a while; how it ended, or null if it has not.
   * @param isPauseWanted it is to end as soon as it can
   */
  advance(isPauseWanted: boolean): DapStop | null;
}

/** The group of breakpoints that nobody sees. */
const HIDDEN = 'motion';

/** Instructions in one go, between two looks at the client. */
const STEPS_AT_ONCE = 100;

class Run implements Motion {
  private readonly target: DapTarget;

  constructor(target: DapTarget, direction: Direction, thread: DapThread) {
    this.target = target;
    target.resume('continue', direction, thread);
  }

  advance(): DapStop | null {
    return this.target.advance();
  }
}

/** A run up to an address, of one thread, with a stack that is higher than it was. */
class RunTo implements Motion {
  private readonly target: DapTarget;
  private readonly thread: DapThread;
  private readonly above: Long;
  private readonly id: number;

  constructor(target: DapTarget, thread: DapThread, address: Long, above: Long) {
    this.target = target;
    this.thread = thread;
    this.above = above.toUnsigned();
    const where = { kind: 'address', address, thread } as const;
    const plain = { condition: null, ignoreCount: 0, logMessage: null };
    const [verdict] = target.setBreakpoints(HIDDEN, [{ where, ...plain }]);
    if (verdict?.verified !== true) throw new BadRequest('no breakpoint can be set there');
    this.id = verdict.id;
    target.resume('continue', 'forward', thread);
  }

  advance(isPauseWanted: boolean): DapStop | null {
    const stop = this.target.advance();
    if (stop === null) return null;
    const { reason } = stop;
    const isOurs =
      reason.kind === 'breakpoint' && reason.ids.length === 1 && reason.ids[0] === this.id;
    const isThere = stop.thread.id === this.thread.id && this.stackPointer.gt(this.above);
    if (isOurs && !isThere && !isPauseWanted) {
      // Somebody else, or a call within the call.
      this.target.resume('continue', 'forward', this.thread);
      return null;
    }
    this.target.setBreakpoints(HIDDEN, []);
    return isOurs ? { ...stop, reason: { kind: 'step' } } : stop;
  }

  private get stackPointer(): Long {
    return this.target.registers(this.thread).get('rsp').toUnsigned();
  }
}

interface StepOptions {
  readonly direction: Direction;
  readonly isByLine: boolean;
  readonly isOverCalls: boolean;
}

/** Steps of one instruction, up to the next line if it goes by lines. */
class Step implements Motion {
  private readonly target: DapTarget;
  private readonly thread: DapThread;
  private readonly options: StepOptions;
  private line: string | null;
  private part: Motion;
  /** Going back: the line before has been reached, and its beginning is looked for. */
  private isInLineBefore = false;
  private isReturning = false;

  constructor(target: DapTarget, thread: DapThread, options: StepOptions) {
    this.target = target;
    this.thread = thread;
    this.options = options;
    this.line = options.isByLine ? this.currentLine : null;
    this.part = this.next();
  }

  advance(isPauseWanted: boolean): DapStop | null {
    for (let steps = 0; steps < STEPS_AT_ONCE; steps++) {
      const stop = this.part.advance(isPauseWanted);
      if (stop === null) return null;
      if (isPauseWanted || stop.reason.kind !== 'step' || this.isThere()) return stop;
    }
    return null;
  }

  /** True at the end; else the next instruction is under way. */
  private isThere(): boolean {
    if (this.line === null || this.isReturning) return true;
    const { currentLine } = this;
    const isSame = currentLine === this.line;
    if (!isSame && this.options.direction === 'backward') {
      if (this.isInLineBefore) {
        // One step too far: the line before begins where we came from.
        this.isReturning = true;
        this.part = stepOf(this.target, 'forward', this.thread);
        return false;
      }
      this.isInLineBefore = true;
      this.line = currentLine;
      if (currentLine === null) return true;
    } else if (!isSame) return true;
    this.part = this.next();
    return false;
  }

  private next(): Motion {
    const { target, thread, options } = this;
    if (options.isOverCalls && options.direction === 'forward') {
      const address = target.linearRip(thread);
      const line = disassembleOne(address, target.codeSize(thread), (at, lengthBytes) =>
        target.readMemory(thread, at, lengthBytes),
      );
      if (isCall(line)) {
        // Behind the return the stack is where it is now, or higher.
        const above = target.registers(thread).get('rsp').sub(1);
        return new RunTo(target, thread, address.add(line.bytes.length), above);
      }
    }
    return stepOf(target, options.direction, thread);
  }

  /** Where the thread is, as text; null where no line is known. */
  private get currentLine(): string | null {
    const { target, thread } = this;
    const place = placeOf(target, thread, target.linearRip(thread));
    return place === null ? null : `${place.path}:${place.line}`;
  }
}

function stepOf(target: DapTarget, direction: Direction, thread: DapThread): Motion {
  target.resume('step', direction, thread);
  return { advance: () => target.advance() };
}

function threadIn({ target }: AdapterState, args: Arguments): DapThread {
  return threadOf(target, integerOf(args, 'threadId'));
}

function stepping(direction: Direction, isOverCalls: boolean): Handler {
  return (state, args) => {
    const isByLine = textOr(args, 'granularity', 'statement') !== 'instruction';
    const thread = threadIn(state, args);
    state.motion = new Step(state.target, thread, { direction, isByLine, isOverCalls });
    return undefined;
  };
}

const stepOut: Handler = (state, args) => {
  const thread = threadIn(state, args);
  const [own, caller] = framesOf(state.target, thread);
  if (caller === undefined) {
    throw new BadRequest('no caller is known: the program keeps no frame pointer here');
  }
  state.motion = new RunTo(state.target, thread, caller.address, own.framePointer);
  return undefined;
};

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
    state.motion = new Run(state.target, 'forward', threadIn(state, args));
    return { allThreadsContinued: true };
  },
  reverseContinue: (state: AdapterState, args: Arguments) => {
    state.motion = new Run(state.target, 'backward', threadIn(state, args));
    return undefined;
  },
  next: stepping('forward', true),
  stepIn: stepping('forward', false),
  stepBack: stepping('backward', false),
  stepOut,
  pause: (state: AdapterState) => {
    state.isPauseWanted = state.motion !== null;
    return undefined;
  },
};

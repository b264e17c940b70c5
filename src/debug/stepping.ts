// Steps that are made of motions: by lines of the source, over calls, out of a function, up to a
// place. As gdb has them; they stop wherever a breakpoint stops the machine on the way.

import type Long from 'long';
import { codeSizeOf } from '../cpu/index.ts';
import type { BreakpointSpec } from './breakpoints.ts';
import { DebugError } from './debug-error.ts';
import { type DisassembledLine, disassembleOne } from './disassembly.ts';
import type { Direction, Motion, StopReport } from './motion.ts';
import { type SourcePlace, sourceLineOf } from './places.ts';
import { readMapped } from './remote-memory.ts';
import type { Session } from './session.ts';
import { callBefore, framesOf, isCall } from './stack.ts';

/** How a step comes to its parts; whoever prints at breakpoints and goes on has one of his own. */
export type Move = (motion: Motion, direction: Direction) => Generator<void, StopReport>;

/** What a step is; `past` is over calls by lines, and out of loops. */
export type StepKind = 'line' | 'overLine' | 'overInstruction' | 'past' | 'out';

/** Instructions in one go, between two looks at the user. */
const STEPS_AT_ONCE = 100;

/** Steps of one vCPU of a session. */
export class Stepper {
  private readonly session: Session;
  private readonly vcpu: number;
  private readonly move: Move;

  constructor(session: Session, vcpu: number, move: Move = (...args) => session.move(...args)) {
    this.session = session;
    this.vcpu = vcpu;
    this.move = move;
  }

  /** Throws {@link DebugError} if there is no way out of the function. */
  step(kind: StepKind, direction: Direction = 'forward'): Generator<void, StopReport> {
    switch (kind) {
      case 'line':
        return this.byLine(direction, false);
      case 'overLine':
        return this.byLine(direction, true);
      case 'overInstruction':
        return this.overInstruction(direction);
      case 'past':
        return this.pastLine();
      case 'out':
        return direction === 'forward' ? this.out() : this.backToCall();
    }
  }

  /** Run to a place in this function, or to where it has returned. */
  *until(address: Long): Generator<void, StopReport> {
    const [own, caller] = framesOf(this.session, this.vcpu);
    const returned =
      caller === undefined || own.top === null ? [] : [specOf(caller.address, own.top)];
    return yield* this.runTo([specOf(address, null), ...returned], 'forward');
  }

  // By lines

  private *byLine(direction: Direction, isOverCalls: boolean): Generator<void, StopReport> {
    const line = this.line;
    const next = () =>
      isOverCalls ? this.overInstruction(direction) : this.instruction(direction);
    const stop = yield* this.while(next, () => this.isAt(line));
    if (line === null || direction === 'forward' || stop.reason !== 'step') return stop;
    // The line before has been reached; its beginning is where the step begins that leaves it.
    const before = this.line;
    if (before === null) return stop;
    const { session } = this;
    let begin = session.when;
    const back = function* () {
      begin = session.when;
      return yield* next();
    };
    const left = yield* this.while(back, () => this.isAt(before));
    if (left.reason !== 'step') return left;
    return { ...(yield* session.travelTo(begin)), vcpu: this.vcpu };
  }

  /** As `next`, but not back to the beginning of a loop: gdb's `until`. */
  private *pastLine(): Generator<void, StopReport> {
    const line = this.line;
    const start = this.address;
    const next = () => this.overInstruction('forward');
    return yield* this.while(next, () => this.isAt(line) || this.isInLoop(start));
  }

  /** Before an address, in the same function. */
  private isInLoop(start: Long): boolean {
    const symbols = this.session.symbolsOf(this.vcpu);
    const functionOf = (address: Long) => /^[^.+]*/.exec(symbols.symbolAt(address) ?? '')?.[0];
    const { address } = this;
    return address.lt(start) && functionOf(address) === functionOf(start);
  }

  /** Again and again, at least once. */
  private *while(
    next: () => Generator<void, StopReport>,
    goesOn: () => boolean,
  ): Generator<void, StopReport> {
    for (let steps = 1; ; steps++) {
      const stop = yield* next();
      if (stop.reason !== 'step' || !goesOn()) return stop;
      if (steps % STEPS_AT_ONCE === 0) yield;
      if (this.session.isInterrupted) return { ...stop, reason: 'interrupted' };
    }
  }

  private get address(): Long {
    return this.session.vcpu(this.vcpu).linearRip.toUnsigned();
  }

  private get line(): SourcePlace | null {
    return sourceLineOf(this.session.symbolsOf(this.vcpu), this.address);
  }

  /** Without lines every instruction is one. */
  private isAt(line: SourcePlace | null): boolean {
    const here = this.line;
    return line !== null && here?.line === line.line && here.file === line.file;
  }

  // By instructions

  private instruction(direction: Direction): Generator<void, StopReport> {
    return this.move({ kind: 'instruction', vcpu: this.vcpu }, direction);
  }

  private *overInstruction(direction: Direction): Generator<void, StopReport> {
    if (direction === 'forward') {
      const line = this.instructionAt(this.address);
      if (!isCall(line)) return yield* this.instruction(direction);
      // Behind the return the stack is where it is now, or higher.
      const behind = line.address.add(line.bytes.length);
      return yield* this.runTo([specOf(behind, this.stackPointer.sub(1))], direction);
    }
    const behind = this.address;
    const top = this.stackPointer;
    const stop = yield* this.instruction(direction);
    const isReturn = this.instructionAt(this.address).instruction?.row.mnemonic === 'RET';
    const call = isReturn ? callBefore(this.code, behind) : null;
    if (stop.reason !== 'step' || call === null) return stop;
    return yield* this.runTo([specOf(call.address, top.sub(1))], direction);
  }

  // Out

  /** Says at once if there is no way. */
  private out(): Generator<void, StopReport> {
    const [own, caller] = framesOf(this.session, this.vcpu);
    if (caller === undefined || own.top === null) throw new DebugError(NO_CALLER);
    return this.runTo([specOf(caller.address, own.top)], 'forward');
  }

  private backToCall(): Generator<void, StopReport> {
    const [own, caller] = framesOf(this.session, this.vcpu);
    if (caller === undefined || own.top === null) throw new DebugError(NO_CALLER);
    const call = callBefore(this.code, caller.address);
    if (call === null) throw new DebugError(NO_CALLER);
    return this.runTo([specOf(call.address, own.top)], 'backward');
  }

  /** Run until the vCPU is at one of some places, or something else stops the machine. */
  private *runTo(
    places: readonly (BreakpointSpec & { kind: 'address' })[],
    direction: Direction,
  ): Generator<void, StopReport> {
    const { session, vcpu } = this;
    const vm = session.vcpu(vcpu).vm.id;
    const ids = places.map((place) => session.breakpoints.addInternal({ ...place, vcpu, vm }).id);
    try {
      const stop = yield* this.move({ kind: 'continue' }, direction);
      const hits = stop.hits.filter(({ id }) => !ids.includes(id));
      const isThere = hits.length < stop.hits.length && hits.length === 0;
      return { ...stop, hits, reason: isThere ? 'step' : stop.reason };
    } finally {
      for (const id of ids) session.breakpoints.remove(id);
    }
  }

  private get stackPointer(): Long {
    return this.session.readRegister(this.vcpu, 'rsp');
  }

  private get code() {
    const { session, vcpu } = this;
    return {
      codeSize: codeSizeOf(session.vcpu(vcpu).virtual.processor.state),
      read: (address: Long, lengthBytes: number) => readMapped(session, vcpu, address, lengthBytes),
    };
  }

  private instructionAt(address: Long): DisassembledLine {
    const { codeSize, read } = this.code;
    return disassembleOne(address, codeSize, read);
  }
}

const NO_CALLER = 'no caller is known: the program keeps no frame pointer here';

/** @param top what RSP has to be above, or null */
function specOf(address: Long, top: Long | null): BreakpointSpec & { kind: 'address' } {
  const condition = top === null ? {} : { condition: `rsp > 0x${top.toUnsigned().toString(16)}` };
  return { kind: 'address', address, ...condition };
}

// One processor's way into compiled code: which blocks are hot, what a region is given, and what it
// leaves behind.

import { Segment } from '../../isa/index.ts';
import type { PhysicalMemory } from '../../memory/index.ts';
import type { BlockLog } from '../block-log.ts';
import { type Block, pieceOf } from '../code-cache.ts';
import { OWNER_STOP } from '../exceptions.ts';
import { WIDE_FOOTING } from '../footing.ts';
import type { Mmu } from '../mmu.ts';
import type { SkippedWork } from '../skipped-work.ts';
import { COMPILED_WORD, type ProcessorState, Rflags, SEGMENT_WORDS, Word } from '../state.ts';
import { carryOfAdd, carryOfSub, flagsOfResult, STATUS_FLAGS } from '../status-flags.ts';
import type { PauseWatch, Virtualization } from '../virtualization.ts';
import { Checkpoint, EngineDifference } from './check.ts';
import type { Compiler, Region, RegionFunction } from './compiler.ts';
import { ALL_GIVEN, RecordKind, recordKind, recordWidth } from './flag-record.ts';
import { CompiledOffset, Left, MOST_CYCLES } from './left-behind.ts';
import type { Runner } from './relay.ts';
import { Trail } from './trail.ts';

/** How guest code runs; it makes no difference to what it does. */
export const ENGINES = ['interpreter', 'compiled', 'check'] as const;

export type Engine = (typeof ENGINES)[number];

/** The interpreter around it, which does what compiled code leaves. */
export interface Interpreter {
  readonly engine: Engine;
  clock: number;
  /** When the last instruction began, in cycles. */
  begun: number;
  instructions: number;
  compiledInstructions: number;
  readonly skipped: SkippedWork;
  /** Its owner has stopped it at RIP. */
  readonly isTakenOver: boolean;
  /** Where the code of the last block lies. */
  readonly codeHpa: number;
  readonly footing: number;
  readonly virtualization: Virtualization;
  /** Somebody may want to look before the instruction at RIP. */
  readonly mayStopHere: boolean;
  /** The block at RIP; throws what fetching it faults with. */
  enterBlock(): Block;
  /** Execute a block or a part of it; at least one instruction. */
  interpret(block: Block, limit: number): void;
}

/** What was done ahead of time. */
export interface Ahead {
  region: Region | null;
  cycles: number;
  instructions: number;
  /** Of these, those of delay loops that were not executed. */
  skippedCycles: number;
  skippedInstructions: number;
  /** Of the last of them. */
  lastCycles: number;
}

/** Who takes part in a relay: see `joinRelay`. */
export interface Entrant {
  readonly base: number;
  readonly horizon: number;
  readonly place: number;
  readonly number: number;
}

export interface EngineParts {
  readonly memory: PhysicalMemory;
  readonly state: ProcessorState;
  readonly mmu: Mmu;
  readonly log: BlockLog;
}

export class CompiledEngine {
  /** Null without a compiler. */
  static of(compiler: Compiler | undefined, parts: EngineParts): CompiledEngine | null {
    return compiler === undefined ? null : new CompiledEngine(compiler, parts);
  }

  /** Cycles and instructions of the last run. */
  private cycles = 0;
  private instructions = 0;
  /** Of these, those of delay loops that were not executed. */
  private skippedCycles = 0;
  private skippedInstructions = 0;
  private readonly compiler: Compiler;
  private readonly memory: PhysicalMemory;
  private readonly state: ProcessorState;
  private readonly words: Int32Array;
  private readonly stateOffset: number;
  private readonly trail: Trail;
  /** How PAUSE is watched, from CompiledOffset.END on. */
  private readonly pauses: Float64Array;
  private readonly mmu: Mmu;
  private readonly log: BlockLog;
  private readonly runner: Runner;
  /** How PAUSE is watched in the relay that is under way. */
  private relayWatch: PauseWatch | null = null;

  constructor(compiler: Compiler, { memory, state, mmu, log }: EngineParts) {
    this.compiler = compiler;
    this.memory = memory;
    this.state = state;
    this.words = state.words;
    this.stateOffset = state.words.byteOffset;
    this.trail = new Trail(state.words, CompiledOffset.TRAIL / 4);
    const { buffer } = state.words;
    this.pauses = new Float64Array(buffer, this.stateOffset + CompiledOffset.END, WINDOW + 1);
    this.mmu = mmu;
    this.log = log;
    this.runner = compiler.relay.runner(log);
  }

  /** By compiled code as far as it gets; the interpreter does what it leaves. */
  execute(interpreter: Interpreter, block: Block, limit: number): void {
    const { statistics } = this.compiler;
    const reason = this.attempt(interpreter, block, limit);
    if (reason < 0) {
      if (block.region !== null) statistics.leftToInterpreter(block);
      interpreter.interpret(block, limit);
      return;
    }
    if (reason === Left.CHAIN || interpreter.clock >= limit || interpreter.mayStopHere) return;
    let next = interpreter.enterBlock();
    if (reason === Left.INTERPRET) statistics.leftToInterpreter(next);
    else {
      if (this.finish(interpreter, next, limit)) return;
      // Where compiled code has come to nothing the log takes the block for its own.
      next = interpreter.enterBlock();
    }
    interpreter.interpret(next, limit);
  }

  /** The part of a block that still fits, so that turns end in compiled code; false if nothing. */
  private finish(interpreter: Interpreter, block: Block, limit: number): boolean {
    const piece = pieceOf(block, limit - interpreter.clock);
    if (this.runner.isNoting && piece.region !== null && piece.region.run !== null) {
      // The same code may be mapped elsewhere as well.
      if (this.isHere(piece.region, interpreter.footing)) this.notePiece(piece, piece.region);
    }
    return this.attempt(interpreter, piece, limit) >= 0 && this.cycles + this.instructions > 0;
  }

  /** Run from RIP if there is compiled code; returns a `Left`, or -1. */
  private attempt(interpreter: Interpreter, block: Block, limit: number): number {
    const isChecked = interpreter.engine === 'check';
    const before = isChecked
      ? new Checkpoint(this.memory, this.state, this.mmu.writablePages())
      : null;
    const reason = this.run(block, interpreter, limit - interpreter.clock);
    if (reason < 0) return reason;
    this.compiler.statistics.left(reason);
    const { skipped } = interpreter;
    const skippedBefore = skipped.instructions;
    if (before !== null) this.repeat(interpreter, before);
    else {
      interpreter.clock += this.cycles;
      interpreter.instructions += this.instructions;
      // A turn is over, or pauses: it is told apart by where its last instruction began.
      if ((interpreter.clock >= limit || interpreter.mayStopHere) && this.cycles > 0)
        interpreter.begun = interpreter.clock - this.trail.lastCycles(block.region as Region);
      if (this.skippedInstructions > 0) {
        skipped.add('delays', this.skippedCycles, this.skippedInstructions);
      }
      if (block.region?.hasWaits === true) this.addWaits(skipped);
    }
    const skippedNow = skipped.instructions - skippedBefore;
    interpreter.compiledInstructions += this.instructions - skippedNow;
    return reason;
  }

  private addWaits(skipped: SkippedWork): void {
    const { waitedCycles, waitedInstructions } = this.trail;
    if (waitedInstructions > 0) skipped.add('waits', waitedCycles, waitedInstructions);
  }

  /** Let the interpreter do again what compiled code did, and compare. */
  private repeat(interpreter: Interpreter, before: Checkpoint): void {
    const { clock, instructions } = interpreter;
    const got = before.now();
    const end = clock + this.cycles;
    before.restore();
    try {
      while (interpreter.clock < end) {
        interpreter.interpret(interpreter.enterBlock(), end);
        if (interpreter.isTakenOver) throw OWNER_STOP;
      }
    } catch (thrown) {
      throw new EngineDifference(`from ${before.rip}: only the interpreter stops: ${thrown}`);
    }
    const counted = interpreter.instructions - instructions;
    let found = before.now().difference(got);
    if (counted !== this.instructions) found = `${this.instructions} instructions, not ${counted}`;
    if (interpreter.clock !== end) {
      found = `${this.cycles} cycles, not ${interpreter.clock - clock}`;
    }
    if (found === null) return;
    throw new EngineDifference(`compiled code from ${before.rip} to ${got.rip}: ${found}`);
  }

  /**
   * Run from RIP, where a block begins, for at most so many cycles. Returns a `Left`, or -1 if
   * there is no compiled code.
   */
  private run(block: Block, interpreter: Interpreter, cyclesLeft: number): number {
    const { codeHpa, footing } = interpreter;
    let { region } = block;
    if (block.mayStop) return -1;
    if (region === null || !this.isHere(region, footing)) {
      region = this.regionHere(block, codeHpa, footing);
      if (region === null) return -1;
      block.region = region;
    }
    const { run } = region;
    if (this.runner.isNoting && !block.isPiece) this.note(block, region);
    if (run === null || (footing !== WIDE_FOOTING && !this.isNarrow())) return -1;
    const most = Math.min(MOST_CYCLES, Math.ceil(cyclesLeft));
    const watch = region.hasPauses ? this.watchPauses(interpreter, most) : null;
    const reason = this.call(region, run, most);
    if (watch !== null) this.settlePauses(watch);
    this.trail.tell(this.log, region);
    return reason;
  }

  /** Returns a `Left`. */
  private call({ hasDelays, hasWaits }: Region, run: RegionFunction, most: number): number {
    const { stateOffset, trail } = this;
    this.giveFlags();
    trail.begin(hasDelays, hasWaits);
    const reason = run(stateOffset, this.mmu.tlbOffset, most, stateOffset + CompiledOffset.TRAIL);
    this.cycles = most - trail.cyclesLeft;
    this.instructions = trail.instructions;
    this.skippedCycles = hasDelays ? trail.skippedCycles : 0;
    this.skippedInstructions = hasDelays ? trail.skippedInstructions : 0;
    this.settleFlags();
    return reason;
  }

  /**
   * Run what touches nothing but registers, from RIP in 64-bit mode on, for at most so many cycles;
   * false if there is nothing of that kind. The log does not hear of it, see {@link keepAhead}.
   */
  runAhead(ahead: Ahead, block: Block, hpa: number, most: number): boolean {
    const { words } = this;
    const { region } = block;
    if (region?.loopsInRegisters !== true || !this.isHere(region, WIDE_FOOTING)) return false;
    if (block.ahead === null || !this.isHere(block.ahead, WIDE_FOOTING)) {
      const place = { low: words[Word.RIP], high: words[Word.RIP + 1], hpa, footing: WIDE_FOOTING };
      block.ahead = this.compiler.compile(block, place, true);
    }
    const { run } = block.ahead;
    if (run === null) return false;
    const limit = Math.min(MOST_CYCLES, Math.ceil(most));
    this.compiler.statistics.left(this.call(block.ahead, run, limit));
    ahead.region = block.ahead;
    ahead.cycles = this.cycles;
    ahead.instructions = this.instructions;
    ahead.skippedCycles = this.skippedCycles;
    ahead.skippedInstructions = this.skippedInstructions;
    ahead.lastCycles = this.trail.lastCycles(block.ahead);
    return true;
  }

  /** What was run ahead has come to pass; nothing else has been run since. */
  keepAhead({ region }: Ahead): void {
    this.trail.tell(this.log, region as Region);
  }

  /** In relays, the region that begins with a block is found at RIP. */
  private note(block: Block, region: Region): void {
    const { words } = this;
    const [low, high] = [words[Word.RIP], words[Word.RIP + 1]];
    this.runner.note(low, high, this.mmu.tlbOffset, region, block);
  }

  /** And what was made of its beginning. */
  private notePiece({ instructions }: Block, region: Region): void {
    const { words } = this;
    const [low, high] = [words[Word.RIP], words[Word.RIP + 1]];
    this.runner.notePiece(low, high, this.mmu.tlbOffset, instructions.length, region);
  }

  /** Take part in a relay; false if compiled code cannot go on from here. */
  joinRelay(interpreter: Interpreter, { base, horizon, place, number }: Entrant): boolean {
    const { footing } = interpreter;
    const now = interpreter.clock - base;
    const isNear = now >= 0 && now < RELAY_REACH && Number.isInteger(now);
    if (!isNear || (footing !== WIDE_FOOTING && !this.isNarrow())) return false;
    const { mmu, words, runner } = this;
    runner.settleTag(mmu.epoch, footing, footing === WIDE_FOOTING ? 0 : words[CS_BASE]);
    this.giveFlags();
    this.relayWatch = this.watchPauses(interpreter, 0);
    const until = Math.floor(Math.min(horizon - base, RELAY_REACH));
    const count = interpreter.instructions | 0;
    runner.start(now, until, this.stateOffset, mmu.tlbOffset, count);
    this.compiler.relay.enlist(place, runner, number);
    return true;
  }

  /** What was done since, if anything. */
  leaveRelay(interpreter: Interpreter, base: number, isStopped: boolean): void {
    const { runner, relayWatch } = this;
    runner.isNoting = isStopped;
    const { instructions, skippedInstructions, waitedInstructions } = runner;
    if (relayWatch !== null) this.settlePauses(relayWatch);
    if (instructions === 0 && base + runner.now === interpreter.clock) return;
    this.settleFlags();
    interpreter.clock = base + runner.now;
    interpreter.begun = interpreter.clock - runner.lastCycles;
    interpreter.instructions += instructions;
    interpreter.compiledInstructions += instructions - skippedInstructions - waitedInstructions;
    if (skippedInstructions > 0) {
      interpreter.skipped.add('delays', runner.skippedCycles, skippedInstructions);
    }
    if (waitedInstructions > 0) {
      interpreter.skipped.add('waits', runner.waitedCycles, waitedInstructions);
    }
    runner.finish();
  }

  /** Lay out how PAUSE is watched. What is done twice, to be compared, asks for each. */
  private watchPauses({ engine, clock, virtualization }: Interpreter, most: number) {
    const watch = engine === 'check' ? null : virtualization.pauses();
    this.words[CompiledOffset.PAUSES / 4] = watch === null ? 0 : 1;
    if (watch === null) return null;
    const { pauses } = this;
    pauses[END] = clock + most;
    pauses[FIRST] = watch.state.first;
    pauses[LAST] = watch.state.last;
    pauses[GAP] = watch.gap;
    pauses[WINDOW] = watch.window;
    return watch;
  }

  private settlePauses({ state }: PauseWatch): void {
    state.first = this.pauses[FIRST];
    state.last = this.pauses[LAST];
  }

  private isHere({ valid, low, high, footing }: Region, wanted: number): boolean {
    const { words } = this;
    return valid && low === words[Word.RIP] && high === words[Word.RIP + 1] && footing === wanted;
  }

  /** What was made of a block for the address and the footing in effect, or is worth making now. */
  private regionHere(block: Block, hpa: number, footing: number): Region | null {
    const isEntry = (region: Region) => !region.inRegisters && this.isHere(region, footing);
    const known = block.dependents.find(isEntry);
    if (known !== undefined) return known;
    block.heat++;
    if (!this.compiler.isWorthIt(block, hpa)) return null;
    block.heat = 0;
    const { words } = this;
    const place = { low: words[Word.RIP], high: words[Word.RIP + 1], hpa, footing };
    return this.compiler.compile(block, place);
  }

  /**
   * Outside 64-bit mode, the upper halves of all registers are 0: so compiled code takes them for
   * granted, and leaves them so.
   */
  private isNarrow(): boolean {
    const { words } = this;
    let ones = 0;
    for (let number = 0; number < NARROW_REGISTERS; number++) ones |= words[2 * number + 1];
    return ones === 0;
  }

  /** Status flags one by one, for compiled code to begin with. */
  private giveFlags(): void {
    const { words } = this;
    words[COMPILED_WORD] = ALL_GIVEN;
    words[COMPILED_WORD + 1] = words[Word.RFLAGS];
  }

  /** Status flags from the record that was left. */
  private settleFlags(): void {
    const { words } = this;
    const op = words[COMPILED_WORD];
    const given = words[COMPILED_WORD + 1] & op;
    const status = op === ALL_GIVEN ? 0 : this.statusOf(op) & ~op;
    words[Word.RFLAGS] = (words[Word.RFLAGS] & ~STATUS_FLAGS) | ((given | status) & STATUS_FLAGS);
  }

  private statusOf(op: number): number {
    const { words } = this;
    const width = recordWidth(op);
    const upper = width === 64 ? 1 : 0;
    const sign = width === 64 ? 31 : width - 1;
    const [x, y, r] = [X, Y, RESULT];
    const result = flagsOfResult(width, words[r], words[r + 1]);
    if (recordKind(op) === RecordKind.LOGIC) return result;
    const auxiliary = (words[x] ^ words[y] ^ words[r]) & Rflags.AF;
    const carries = recordKind(op) === RecordKind.ADD ? carryOfAdd : carryOfSub;
    const carry = carries(words[x + upper], words[y + upper], words[r + upper], sign);
    return result | auxiliary | carry;
  }
}

/** Among the f64 from CompiledOffset.END on. */
const END = 0;
const FIRST = (CompiledOffset.FIRST - CompiledOffset.END) / 8;
const LAST = (CompiledOffset.LAST - CompiledOffset.END) / 8;
const GAP = (CompiledOffset.GAP - CompiledOffset.END) / 8;
const WINDOW = (CompiledOffset.WINDOW - CompiledOffset.END) / 8;

/** Cycles of a relay, at most: fewer than there are of an i32. */
const RELAY_REACH = 2 ** 28;

const CS_BASE = SEGMENT_WORDS[Segment.CS].base;

/** General registers outside 64-bit mode. */
const NARROW_REGISTERS = 8;

const X = CompiledOffset.X / 4;
const Y = CompiledOffset.Y / 4;
const RESULT = CompiledOffset.RESULT / 4;

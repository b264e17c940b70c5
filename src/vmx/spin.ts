// Finds loops that only wait: one iteration, watched instruction by instruction, stored nothing and
// left everything as it was but the clock. The next ones do the same until somebody writes to a
// line that it read, or until the PAUSE-loop window or the preemption timer ends it; so they need
// not be executed. See docs/decisions/exact-skipping.md.

import {
  type Delay,
  type Observer,
  type Prepared,
  type Processor,
  passDelay,
  STATE_BYTES,
  Word,
} from '../cpu/index.ts';
import { effectsOf, type Instruction, type MemoryOperand, writesVectors } from '../isa/index.ts';
import { LINE_SIZE, type PhysicalMemory, Watch } from '../memory/index.ts';
import { asDouble } from '../sim/index.ts';
import { AdvancePolicy, LEAST_GAIN } from './advance-policy.ts';
import type { PauseLoopDetector } from './pause-loop.ts';

/** What ends a wait from outside of the loop. */
export interface SpinEnds {
  /** When the VMX-preemption timer expires, in cycles, or null. */
  readonly timerDeadline: number | null;
  /** PLE_Window. */
  readonly pauseWindow: number;
}

/** A guest that only loops. */
export interface Quiet {
  readonly kind: 'quiet';
  /** Clock up to which nothing happens but the loop. */
  readonly until: number;
  /** Cycles of an iteration: none of its instructions takes more. */
  readonly step: number;
}

/** Cycles that were left out: to find that out costs about as much as to execute them. */
const SHORT_WAIT = 1500;

/** Cycles in which PAUSE is not looked at, after the first look that did not pay, and at most. */
const LEAST_PATIENCE = 500;
const MOST_PATIENCE = 2 ** 20;

/** Instructions of an iteration. */
const MOST_INSTRUCTIONS = 64;

/** Reads of different lines by an iteration. */
const MOST_READS = 64;

const STATE_WORDS = STATE_BYTES / 4;

/** What instructions that call no system function change: these, and XMM registers with MXCSR. */
const PLAIN_WORDS = Word.RFLAGS + 2;

/** What an instruction of a wait does besides. */
interface Plan {
  /** The memory operands that it reads. */
  readonly reads: readonly MemoryOperand[];
  /** It writes no register but general ones, and flags. */
  readonly isPlain: boolean;
}

/** Plans at hand: of more instructions than a loop has. */
const PLANS = 2 * 64;

/** What is known to repeat, and why. */
type LoopKind =
  /** Nothing is. */
  | 'none'
  /** A loop that only counts down, standing where an iteration begins. */
  | 'delay'
  /** Nothing but registers changes; it was run ahead, and taken back. */
  | 'ahead'
  /** A loop that waits, standing where an iteration begins. */
  | 'wait';

/** One for all kinds, used again: it is found out anew in each turn that goes on past its end. */
class KnownLoop implements Quiet {
  readonly kind = 'quiet';
  loop: LoopKind = 'none';
  until = asDouble(0);
  step = asDouble(0);
  delay: Delay | null = null;
  /** Of an iteration of a wait. */
  instructions = 0;
  /** The first PAUSE of the PAUSE loop moves on with each iteration. */
  movesFirst = false;
  movesLast = false;

  /** @param until clock up to which nothing else happens, where an iteration begins */
  become(loop: LoopKind, step: number, until: number, delay: Delay | null): void {
    this.loop = loop;
    this.step = step;
    this.until = until;
    this.delay = delay;
  }
}

export class SpinDetector implements Observer {
  /** Cleared where everything is to be executed. */
  isEnabled = false;
  private readonly processor: Processor;
  private readonly memory: PhysicalMemory;
  private readonly pauseLoop: PauseLoopDetector;
  private readonly ends: SpinEnds;
  /** Instructions seen lately, their plans (null if unsuitable), and which one came last. */
  private readonly planned: Prepared[] = [];
  private readonly plans: (Plan | null)[] = [];
  private lastPlan = -1;
  /** Numbers of the lines that the iteration has read, and how many; an operand may be in two. */
  private readonly lines = new Int32Array(2 * MOST_READS);
  private lineCount = 0;
  /** The processor's state, and what it was where the iteration began. */
  private readonly words: Int32Array;
  private readonly anchor = new Int32Array(STATE_WORDS);
  /** The iteration so far has changed nothing behind {@link PLAIN_WORDS}. */
  private isPlain = true;
  private anchorClock = asDouble(-1);
  private anchorInstructions = asDouble(0);
  private anchorFirst = asDouble(0);
  private anchorLast = asDouble(0);
  private isObserving = false;
  private readonly known = new KnownLoop();
  private readonly advances = new AdvancePolicy();
  /** Clock from which PAUSE is looked at; nothing depends on it but speed. */
  private lookAt = asDouble(0);
  private patience = 0;

  constructor(
    processor: Processor,
    memory: PhysicalMemory,
    pauseLoop: PauseLoopDetector,
    ends: SpinEnds,
  ) {
    this.processor = processor;
    this.words = processor.state.words.subarray(0, STATE_WORDS);
    this.memory = memory;
    this.pauseLoop = pauseLoop;
    this.ends = ends;
  }

  /** Clock from which a PAUSE is of interest; until then, each look has been in vain. */
  get nextLook(): number {
    return this.isEnabled ? this.lookAt : Number.POSITIVE_INFINITY;
  }

  /** Something is known, or looked for. */
  get isBusy(): boolean {
    return this.known.loop !== 'none' || this.isObserving;
  }

  /** Clock from which {@link advance} is of use. */
  get nextAdvance(): number {
    return this.isEnabled ? this.advances.lookAt : Number.POSITIVE_INFINITY;
  }

  /** A PAUSE is executed that does not exit. */
  paused(): void {
    if (this.isObserving || this.processor.clock < this.nextLook) return;
    this.isObserving = true;
    this.anchorClock = -1;
    this.lineCount = 0;
    this.processor.observe(this);
  }

  /** Stop watching, and forget what was found: something else happens now. */
  abandon(): void {
    this.known.loop = 'none';
    if (this.isObserving) this.giveUp();
  }

  /** Whether a line at an hpa, watched for some reasons, matters to what is known. */
  dependsOn(hpa: number, watched: number): boolean {
    if (this.known.loop === 'none' && !this.isObserving) return false;
    return (watched & ~Watch.SPIN) !== 0 || this.hasRead(hpa / LINE_SIZE);
  }

  /**
   * See `Virtualization.delays`.
   * @param limit where the turn ends, in cycles
   */
  delays(delay: Delay, iterations: number, limit: number): boolean {
    if (!this.isEnabled) return false;
    const passable = Math.min(iterations, this.iterationsUntilTimer(delay.cycles));
    const until = this.processor.clock + passable * delay.cycles;
    if (until < limit) return false;
    this.lineCount = 0;
    this.known.become('delay', delay.cycles, until, delay);
    return true;
  }

  /**
   * Run ahead of a turn, if nothing but registers changes; true if that goes on past its end.
   * @param limit where the turn ends, in cycles
   * @param expiry when the VMX-preemption timer makes the guest exit, in cycles
   */
  advance(limit: number, expiry: number): boolean {
    const { processor, advances } = this;
    const { clock } = processor;
    const most = Math.min(advances.cycles, expiry - clock);
    if (clock < advances.lookAt || most < LEAST_GAIN * (limit - clock)) return false;
    const passed = processor.runAhead.run(most);
    if (passed < LEAST_GAIN * (limit - clock)) {
      // Nothing is lost: so far it has come, and goes on from there.
      if (passed > 0 && clock + passed <= limit) processor.runAhead.keep();
      advances.failed(clock);
      return false;
    }
    this.lineCount = 0;
    this.known.become('ahead', processor.runAhead.blockCycles, clock + passed, null);
    return true;
  }

  /** What happens next, if it is known to loop; good until something else is. */
  get quiet(): Quiet | null {
    return this.known.loop === 'none' ? null : this.known;
  }

  /** Let as many iterations pass as end before the clock has passed a limit. */
  pass(limit: number): void {
    const { known, processor } = this;
    const { loop } = known;
    if (loop === 'none') return;
    known.loop = 'none';
    if (loop === 'delay') {
      passDelay(processor, known.delay as Delay, Math.min(limit, known.until));
    } else if (loop === 'ahead') {
      const isKept = limit >= known.until;
      if (isKept) processor.runAhead.keep();
      if (isKept) this.advances.kept();
      else this.advances.dropped(limit);
    } else this.passWait(limit);
  }

  private passWait(limit: number): void {
    const { known, processor, pauseLoop } = this;
    const { step, instructions, movesFirst, movesLast, until } = known;
    // The last instruction before the limit is executed: where it begins is where a turn ends.
    const end = Math.min(limit - 1, until);
    const count = Math.max(0, Math.floor((end - processor.clock) / step));
    if (count > 0) processor.passIterations(count, step, instructions, 'waits');
    this.learn(count * step);
    if (movesFirst) pauseLoop.state.first += count * step;
    if (movesLast) pauseLoop.state.last += count * step;
  }

  /** The processor is about to execute an instruction. True when an iteration is found to wait. */
  before(prepared: Prepared): boolean {
    const { processor } = this;
    if (processor.mayStopHere) {
      this.giveUp();
      return false;
    }
    if (this.anchorClock < 0) this.drop();
    else if (processor.state.words[Word.RIP] === this.anchor[Word.RIP]) return this.compare();
    const passed = processor.instructions - this.anchorInstructions;
    const plan = passed < MOST_INSTRUCTIONS ? this.planOf(prepared) : null;
    if (plan === null) {
      this.giveUp();
      return false;
    }
    this.isPlain &&= plan.isPlain;
    const { reads } = plan;
    for (let i = 0; i < reads.length; i++) if (!this.note(prepared, reads[i])) break;
    return false;
  }

  /** This loop does more than wait. */
  private giveUp(): void {
    this.isObserving = false;
    this.processor.observe(null);
    this.learn(0);
  }

  /** Who waited long once will do so again; what did not pay is not looked at again so soon. */
  private learn(cyclesLeftOut: number): void {
    const isLong = cyclesLeftOut >= SHORT_WAIT;
    const { patience } = this;
    this.patience = isLong ? 0 : Math.min(Math.max(2 * patience, LEAST_PATIENCE), MOST_PATIENCE);
    this.lookAt = this.processor.clock + this.patience;
  }

  /** The iteration begins here. */
  private drop(): void {
    const { processor, pauseLoop } = this;
    this.anchor.set(this.words);
    this.isPlain = true;
    this.anchorClock = processor.clock;
    this.anchorInstructions = processor.instructions;
    this.anchorFirst = pauseLoop.state.first;
    this.anchorLast = pauseLoop.state.last;
  }

  /** Watch what an instruction reads; false if that cannot be done. */
  private note(prepared: Prepared, operand: MemoryOperand): boolean {
    const hpa = this.processor.locateRead(prepared, operand);
    if (hpa < 0 || this.lineCount > 2 * MOST_READS - 2) {
      this.giveUp();
      return false;
    }
    const bytes = operand.width >> 3;
    this.memory.watch(Watch.SPIN, hpa, bytes);
    for (const at of [hpa, hpa + bytes - 1]) {
      const line = Math.floor(at / LINE_SIZE);
      if (!this.hasRead(line)) this.lines[this.lineCount++] = line;
    }
    return true;
  }

  private hasRead(line: number): boolean {
    for (let i = 0; i < this.lineCount; i++) if (this.lines[i] === line) return true;
    return false;
  }

  /** The iteration is over. True if it was one of a wait. */
  private compare(): boolean {
    const { processor, words, anchor, pauseLoop } = this;
    const count = this.isPlain ? PLAIN_WORDS : STATE_WORDS;
    for (let i = 0; i < count; i++) {
      if (words[i] === anchor[i]) continue;
      this.giveUp();
      return false;
    }
    const cycles = processor.clock - this.anchorClock;
    const first = pauseLoop.state.first - this.anchorFirst;
    const last = pauseLoop.state.last - this.anchorLast;
    const isRegular = (first === 0 || first === cycles) && (last === 0 || last === cycles);
    if (!isRegular || (first !== 0 && last === 0)) {
      this.giveUp();
      return false;
    }
    this.isObserving = false;
    processor.observe(null);
    const { known } = this;
    known.become('wait', cycles, this.endOf(cycles, last !== 0 && first === 0), null);
    known.instructions = processor.instructions - this.anchorInstructions;
    known.movesFirst = first !== 0;
    known.movesLast = last !== 0;
    return true;
  }

  /** Where the iteration begins in which, at the earliest, something else happens. */
  private endOf(cycles: number, isPauseLoop: boolean): number {
    const { clock } = this.processor;
    const { pauseWindow } = this.ends;
    let iterations = this.iterationsUntilTimer(cycles);
    if (isPauseLoop) {
      const end = this.pauseLoop.state.first + pauseWindow;
      iterations = Math.min(iterations, Math.floor((end - clock) / cycles));
    }
    return clock + iterations * cycles;
  }

  /** Iterations before the one that the VMX-preemption timer ends. */
  private iterationsUntilTimer(cycles: number): number {
    const { timerDeadline } = this.ends;
    if (timerDeadline === null) return Number.POSITIVE_INFINITY;
    // It expires at the first boundary that is not earlier.
    return Math.ceil((timerDeadline - this.processor.clock) / cycles) - 1;
  }

  /** What an instruction reads from memory; null if it does more than that. */
  private planOf(prepared: Prepared): Plan | null {
    const { planned, plans } = this;
    // Loops come by their instructions in turn.
    const next = this.lastPlan + 1;
    let place = planned[next] === prepared ? next : planned.indexOf(prepared);
    if (place < 0) {
      if (planned.length >= PLANS) planned.length = plans.length = 0;
      place = planned.push(prepared) - 1;
      plans.push(planOf(prepared.instruction));
    }
    this.lastPlan = place;
    return plans[place];
  }
}

function planOf(instruction: Instruction): Plan | null {
  const { row, operands } = instruction;
  const isAsked = row.intercept !== undefined && row.intercept !== 'PAUSE';
  if (isAsked || row.privilege !== undefined) return null;
  const effects = effectsOf(instruction);
  if (effects.calls.length > 0 || effects.repeats) return null;
  if (effects.memory.some(({ kind, certain }) => kind !== 'read' || !certain)) return null;
  const reads = operands.filter(
    (operand): operand is MemoryOperand => operand.kind === 'memory' && operand.width !== 0,
  );
  if (reads.length !== effects.memory.length) return null;
  return { reads, isPlain: !writesVectors(effects) };
}

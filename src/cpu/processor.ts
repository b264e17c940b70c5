// One logical processor: fetches, checks, executes, delivers events, and stops when
// its clock reaches a limit or its owner wants it to. Knows nothing of who owns it.

import Long from 'long';
import {
  type CodeSize,
  type Instruction,
  type MemoryOperand,
  type Operand,
  Segment,
} from '../isa/index.ts';
import { Watch } from '../memory/index.ts';
import { asDouble } from '../sim/index.ts';
import { BlockLog, type LoggedBlock } from './block-log.ts';
import type { Block, InstructionCosts, Prepared } from './code-cache.ts';
import { CodeFetch } from './code-fetch.ts';
import { type Attendant, Attendants, type CodeStops, type StopMet } from './code-stops.ts';
import { CompiledEngine, type Engine } from './compiled/engine.ts';
import {
  Breakpoints,
  type DataWatch,
  isInstructionBreakpoint,
  recordDebugException,
} from './debug-registers.ts';
import { isTheOwners, passDelay } from './delay.ts';
import { deliver, eventOf } from './delivery.ts';
import { Evaluator } from './evaluator.ts';
import {
  type DeliveredEvent,
  GuestFault,
  NotImplemented,
  OwnerStop,
  Vector,
} from './exceptions.ts';
import { footingOf, NO_FOOTING } from './footing.ts';
import { checkUnit } from './fpu.ts';
import { Mmu } from './mmu.ts';
import { codeSizeOf, hasParagraphs, type Mode, modeOf, stackWidthOf } from './mode.ts';
import { portsOf } from './port-access.ts';
import { isPrivileged } from './privilege.ts';
import {
  INACTIVE,
  LIMIT,
  type Observer,
  OWNER,
  type ProcessorParts,
  type ProcessorStop,
} from './processor-parts.ts';
import { RunAhead } from './run-ahead.ts';
import { SkippedWork, type SkipRule } from './skipped-work.ts';
import { Activity, Blocking, PendingDebug, ProcessorState, Rflags, Word } from './state.ts';
import { callSystem } from './system-functions.ts';
import { Access, type Platform, type Virtualization } from './virtualization.ts';

export class Processor {
  readonly state: ProcessorState;
  readonly mmu: Mmu;
  readonly evaluator: Evaluator;
  virtualization: Virtualization;
  platform: Platform;
  /** Cycles of virtual time; the caller sets it before {@link run}. */
  clock = asDouble(0);
  /** The clock where the instruction began that is being executed, or was last. */
  begun = asDouble(0);
  /** Instructions completed; a repeated string instruction counts once. */
  instructions = asDouble(0);
  /** Of these, what compiled code has completed, and what was skipped; not state. */
  compiledInstructions = asDouble(0);
  readonly skipped = new SkippedWork();
  /** The event being delivered right now, or null. */
  delivering: DeliveredEvent | null = null;
  /** IRET, being executed right now, has ended the blocking of NMIs. */
  nmisUnblocked = false;
  /** What is in effect; kept by {@link updateMode}. */
  mode: Mode = 'real';
  codeSize: CodeSize = 16;
  /** What compiled code may take for granted; kept by {@link updateFooting}. */
  footing = NO_FOOTING;
  private attention = true;
  /** The owner has taken over at the instruction at RIP. */
  isTakenOver = false;
  /** Debug traps stay pending: something of higher priority follows each instruction. */
  holdsTraps = false;
  private observer: Observer | null = null;
  private readonly stops: CodeStops;
  private stopMet: StopMet | null = null;
  private readonly attendants = new Attendants();
  /** Where {@link run} ends, in cycles. */
  private limit = asDouble(0);
  private newBlocking = 0;
  /** The instruction being executed ends in a single-step trap. */
  private stepping = false;
  private readonly breakpoints = new Breakpoints();
  readonly blockLog: BlockLog;
  private readonly fetch: CodeFetch;
  private readonly costs: InstructionCosts;
  /** Let the iterations of delay loops pass at once. */
  skipsDelays = false;
  /** Without a compiler there is only the interpreter. */
  engine: Engine;
  readonly compiled: CompiledEngine | null;
  readonly runAhead: RunAhead;

  constructor(parts: ProcessorParts) {
    this.costs = parts.costs;
    this.stops = parts.codeCache.stops;
    this.virtualization = parts.virtualization;
    this.platform = parts.platform;
    this.state = new ProcessorState(parts.memory, parts.stateHpa);
    this.blockLog = new BlockLog(this.state);
    this.mmu = new Mmu(
      parts.memory,
      this.state,
      parts.virtualization,
      parts.platform,
      this.breakpoints,
    );
    this.mmu.mayBeMisaligned = () => this.evaluator.instruction.operands.some(isWide);
    // A store to a paging structure may have remapped the code that is being executed.
    parts.memory.onLineWritten(Watch.TRANSLATION, () => this.requestAttention());
    this.evaluator = new Evaluator(parts.memory, this.state, this.mmu, (name, args) =>
      callSystem(this, name, args),
    );
    this.fetch = new CodeFetch(
      parts.memory,
      this.state,
      this.mmu,
      parts.codeCache,
      this.evaluator.segmentation,
    );
    const { memory, codeCache, compiler } = parts;
    const { state, mmu, blockLog: log } = this;
    this.compiled = CompiledEngine.of(compiler, { memory, state, mmu, log });
    this.runAhead = new RunAhead(this, this.compiled, log, codeCache);
    this.engine = compiler === undefined ? 'interpreter' : 'compiled';
    this.updateMode();
  }

  /** Something may be due at the next instruction boundary: look before going on. */
  requestAttention(): void {
    this.attention = true;
  }

  /** Block events for one instruction (bits of `Blocking`), from the instruction being executed. */
  block(blocking: number): void {
    this.newBlocking |= blocking;
    this.state.words[Word.INTERRUPTIBILITY] |= blocking;
    this.attention = true;
  }

  /**
   * An event is being delivered: it ends event blocking, and the instruction is not stepped over.
   */
  beginDelivery(isSoftware: boolean): void {
    const { words } = this.state;
    const movSs = words[Word.INTERRUPTIBILITY] & Blocking.MOV_SS;
    // Debug exceptions that MOV SS holds pending survive INT n, INT3 and INTO only.
    if (!isSoftware || movSs === 0) words[Word.PENDING_DEBUG] = 0;
    words[Word.INTERRUPTIBILITY] &= ~SHADOWS;
    this.stepping = false;
  }

  /**
   * The instruction ends in a single-step trap if TF is set behind it, rather than before it: so a
   * system may mask TF on SYSCALL, and give it back by SYSRET for the whole of the call.
   */
  stepByNewFlags(): void {
    this.stepping = (this.state.words[Word.RFLAGS] & Rflags.TF) !== 0;
  }

  /** To be called after the state was changed from outside. */
  stateChanged(): void {
    this.updateBreakpoints();
    this.updateMode();
    this.attention = true;
  }

  /** To be called when DR0 to DR3, DR7 or CR4.DE may have changed. */
  updateBreakpoints(): void {
    this.breakpoints.update(this.state);
    this.mmu.flush();
    this.attention = true;
  }

  /**
   * To be called whenever CR0.PE, EFER.LMA, RFLAGS.VM or AC, or the access rights of CS or SS may
   * have changed: what is derived from them is kept at hand.
   */
  updateMode(): void {
    this.mode = modeOf(this.state);
    this.codeSize = codeSizeOf(this.state);
    this.blockLog.codeSize = this.codeSize;
    this.evaluator.setMode(this.mode, stackWidthOf(this.state));
    this.mmu.updatePrivilege();
    this.updateFooting();
  }

  /** To be called when any segment register was loaded. */
  updateFooting(): void {
    this.footing = footingOf(this.state, this.mode, this.codeSize);
  }

  /** Execute until the clock has reached `limit` at an instruction boundary, or something stops. */
  run(limit: number): ProcessorStop {
    this.limit = limit;
    for (;;) {
      try {
        return this.loop();
      } catch (thrown) {
        const stop = this.interrupted(thrown);
        if (stop !== null) return stop;
      }
    }
  }

  /** The run that is under way ends earlier, at the next instruction boundary if need be. */
  hurry(limit: number): void {
    this.limit = Math.min(this.limit, limit);
    this.attention = true;
  }

  /**
   * Have each instruction looked at from here on; null for none. While breakpoints are enabled
   * nobody is let in.
   */
  observe(observer: Observer | null): void {
    this.observer = this.breakpoints.isLooking ? null : observer;
    this.attention = true;
  }

  /** Have somebody hear of the stops in the code cache, and a debugger of data; null for none. */
  attend(stopMet: StopMet, data: DataWatch | null, attendant: Attendant = 'debugger'): void {
    const told = this.attendants.with(attendant, stopMet);
    this.stopMet = this.stops.isEmpty ? null : told;
    if (attendant === 'debugger') this.breakpoints.watch = data;
    this.observe(null);
    this.updateBreakpoints();
  }

  /** Nothing has to be looked at before the instruction at RIP. */
  get isUndisturbed(): boolean {
    return !this.attention && this.stopMet === null;
  }

  /** Somebody may want to look before the instruction at RIP. */
  get mayStopHere(): boolean {
    return this.stopMet !== null && this.stops.endsBlock(this.nextInstruction[0]);
  }

  /** Pause before the instruction at RIP, at the boundary where the last one ended. */
  private stopsHere(begun: number): boolean {
    const [low, high] = this.nextInstruction;
    if (!this.stops.endsBlock(low) || this.evaluator.unfinished) return false;
    if (!this.stops.has(low | 0, high | 0)) return false;
    const { begun: own } = this;
    // Whoever hears of it finds that the instruction has not begun.
    this.begun = begun;
    const isMet = this.stopMet?.(Long.fromBits(low, high)) === true;
    if (isMet) this.attention = true;
    else this.begun = own;
    return isMet;
  }

  /** Where an operand that an instruction at RIP reads lies: an hpa, or below 0. */
  locateRead({ instruction, lengthBytes }: Prepared, operand: MemoryOperand): number {
    const { evaluator, mmu } = this;
    evaluator.begin(instruction, lengthBytes);
    // For its faults, which are those that executing it has.
    evaluator.read(operand);
    const { low, high } = evaluator.linearAddress(operand);
    evaluator.abandon();
    const isStack = operand.segment === Segment.SS;
    return mmu.locate(low, high, operand.width >> 3, Access.READ, isStack);
  }

  /**
   * A loop of some instructions has been executed some more times, which took time. Waits are
   * observed, so that each of their instructions is a block in the log.
   */
  passIterations(count: number, cycles: number, instructions: number, rule: SkipRule): void {
    const blocks = rule === 'waits' ? instructions : 1;
    this.blockLog.repeat(blocks, instructions, count, this.instructions);
    this.clock += count * cycles;
    this.instructions += count * instructions;
    this.skipped.add(rule, count * cycles, count * instructions);
  }

  /** Execute exactly one instruction, without looking for events first. */
  step(): ProcessorStop | null {
    const stop = this.attempt(() => this.executeUnderBlocking());
    return stop ?? (this.isTakenOver ? this.handOver() : null);
  }

  /** As {@link step}, in other surroundings for just this instruction; its cycles do not count. */
  stepIn(virtualization: Virtualization, platform: Platform): ProcessorStop | null {
    const { clock, virtualization: own, platform: ownPlatform } = this;
    this.surround(virtualization, platform, false);
    try {
      return this.step();
    } finally {
      this.surround(own, ownPlatform, true);
      this.clock = clock;
    }
  }

  /** Until this is called again with what there was. */
  surround(virtualization: Virtualization, platform: Platform, isOwn: boolean): void {
    this.mmu.remembers = isOwn;
    this.virtualization = this.mmu.virtualization = virtualization;
    this.platform = this.mmu.platform = platform;
  }

  /** Deliver an event from outside before the next instruction; what stopped it, or null. */
  inject(event: DeliveredEvent): ProcessorStop | null {
    return this.attempt(() => {
      this.clock += this.costs.classes.interrupt;
      deliver(this, event);
      this.attention = true;
    });
  }

  /**
   * Deliver debug exceptions that are pending before the next instruction, unless MOV SS holds
   * them; what stopped the delivery, or null. SDM 3, "Delivery of Pending Debug Exceptions after VM
   * Entry".
   */
  deliverPendingDebug(): ProcessorStop | null {
    return this.attempt(() => this.trap());
  }

  private attempt(work: () => void): ProcessorStop | null {
    try {
      work();
      return null;
    } catch (thrown) {
      return this.interrupted(thrown);
    }
  }

  private loop(): ProcessorStop {
    const { words } = this.state;
    this.stepping = false;
    while (this.clock < this.limit) {
      const { begun } = this;
      this.begun = this.clock;
      if (this.attention) {
        if (this.isTakenOver) return this.handOver();
        this.attention = false;
        const outcome = this.virtualization.boundary();
        if (outcome === 'delivered') this.clock += this.costs.classes.interrupt;
        const isInactive = words[Word.ACTIVITY] !== Activity.ACTIVE;
        if (outcome === 'stop' || isInactive) {
          this.attention = true;
          return outcome === 'stop' ? OWNER : INACTIVE;
        }
        if (this.needsCare) {
          if (this.stopMet === null || !this.stopsHere(begun)) this.executeCarefully();
          continue;
        }
      }
      if (this.stopMet !== null && this.stopsHere(begun)) continue;
      this.executeBlock(this.limit);
      if (this.stepping) this.endStep();
    }
    return this.isTakenOver ? this.handOver() : LIMIT;
  }

  /** True while an instruction must be followed by a look at what it did to event blocking. */
  private get needsCare(): boolean {
    const { words } = this.state;
    const isBlocking = (words[Word.INTERRUPTIBILITY] & SHADOWS) !== 0;
    const isFlagged = (words[Word.RFLAGS] & (Rflags.TF | Rflags.RF)) !== 0;
    return isBlocking || isFlagged || this.breakpoints.armed || this.observer !== null;
  }

  /** One instruction under event blocking, single-stepping, RF, or with breakpoints enabled. */
  private executeCarefully(): void {
    const { words } = this.state;
    this.attention = true;
    this.stepping = (words[Word.RFLAGS] & Rflags.TF) !== 0;
    if (this.breakpoints.armed) this.breakAtInstruction();
    this.executeUnderBlocking();
    if (!this.isTakenOver) this.endStep();
  }

  /** The fault of an instruction breakpoint, which RF holds off, and MOV SS before it. */
  private breakAtInstruction(): void {
    const { words } = this.state;
    // What an instruction met that did not complete does not count.
    this.breakpoints.take();
    const isHeldOff =
      (words[Word.RFLAGS] & Rflags.RF) !== 0 ||
      (words[Word.INTERRUPTIBILITY] & Blocking.MOV_SS) !== 0;
    if (isHeldOff) return;
    const met = this.breakpoints.atInstruction(...this.nextInstruction);
    if (met !== 0) throw new GuestFault(Vector.DB, null, met);
  }

  /** Breakpoints on the instruction that comes next: the trap before it reports them as well. */
  private metAhead(): number {
    return this.breakpoints.armed ? this.breakpoints.atInstruction(...this.nextInstruction) : 0;
  }

  /** Linear address of the instruction at RIP, lower and upper half. */
  private get nextInstruction(): [low: number, high: number] {
    const { words } = this.state;
    const rip = words[Word.RIP];
    if (this.codeSize === 64) return [rip, words[Word.RIP + 1]];
    return [this.evaluator.segmentation.unchecked(Segment.CS, rip), 0];
  }

  private endStep(): void {
    const { words } = this.state;
    const met = this.breakpoints.take();
    if (met !== 0) words[Word.PENDING_DEBUG] |= met | PendingDebug.ENABLED_BREAKPOINT;
    if (this.stepping) words[Word.PENDING_DEBUG] |= PendingDebug.BS | this.metAhead();
    // A trap between two iterations of a string instruction does not end it.
    if (this.evaluator.unfinished && (met !== 0 || this.stepping)) words[Word.RFLAGS] |= Rflags.RF;
    this.stepping = false;
    this.trap();
  }

  /** One instruction, with which event blocking ends that it does not begin itself. */
  private executeUnderBlocking(): void {
    const { words } = this.state;
    this.newBlocking = 0;
    this.executeOne();
    if (this.isTakenOver) return;
    words[Word.INTERRUPTIBILITY] = (words[Word.INTERRUPTIBILITY] & ~SHADOWS) | this.newBlocking;
  }

  private executeOne(): void {
    const { words } = this.state;
    this.blockLog.enter(this.instructions | 0);
    const prepared = this.fetch.block(this.codeSize).instructions[0];
    if (this.observer?.before(prepared) === true) {
      this.isTakenOver = true;
      return;
    }
    // RF is for this instruction only; IRET may set it for the next, a fault for another attempt.
    const resume = words[Word.RFLAGS] & Rflags.RF;
    words[Word.RFLAGS] &= ~Rflags.RF;
    if (this.breakpoints.hasPorts) {
      const access = portsOf(prepared.instruction, words);
      if (access !== null) this.breakpoints.notePort(access.port, access.lengthBytes);
    }
    this.execute(prepared);
    if (this.evaluator.unfinished || this.isTakenOver) words[Word.RFLAGS] |= resume;
  }

  /** The blocks that were entered last, oldest first; for reports, not state. */
  get recentBlocks(): readonly LoggedBlock[] {
    return this.blockLog.blocks(this.instructions);
  }

  /** To be called before memory is saved: the log in it must not need compiled code. */
  settleLog(): void {
    if (this.compiled !== null) this.blockLog.settle(this.instructions);
  }

  private executeBlock(limit: number): void {
    const block = this.enterBlock();
    const isCompiled = this.engine !== 'interpreter' && this.footing !== NO_FOOTING;
    if (isCompiled && this.compiled !== null) this.compiled.execute(this, block, limit);
    else this.interpret(block, limit);
  }

  /** Where the code of the last block lies. */
  get codeHpa(): number {
    return this.fetch.hpa;
  }

  /** The block at RIP, which goes into the log. */
  enterBlock(): Block {
    this.begun = this.clock;
    this.blockLog.enter(this.instructions | 0);
    return this.fetch.block(this.codeSize);
  }

  /** A block, for as long as nothing wants to come between its instructions. */
  interpret(block: Block, limit: number): void {
    const { instructions, delay } = block;
    if (delay !== null && this.skipsDelays) {
      if (isTheOwners(this, delay, limit)) {
        this.isTakenOver = true;
        this.attention = true;
        return;
      }
      passDelay(this, delay, limit);
    }
    for (let i = 0; i < instructions.length; i++) {
      this.execute(instructions[i]);
      if (this.clock >= limit || this.attention || !block.valid || this.evaluator.unfinished)
        return;
    }
  }

  private execute(prepared: Prepared): void {
    const { evaluator } = this;
    this.begun = this.clock;
    evaluator.begin(prepared.instruction, prepared.lengthBytes);
    const isAsked = prepared.guarded && this.guard(prepared.instruction);
    if (!isAsked) prepared.meaning(evaluator, prepared.first, prepared.second, prepared.third);
    if (isAsked || evaluator.isStopped) this.takeOver();
    else {
      evaluator.commit();
      this.clock += prepared.cycles;
      if (!evaluator.unfinished) this.instructions++;
    }
  }

  /** The owner wants what the instruction asks for: nothing of it has happened. */
  private takeOver(): void {
    this.evaluator.abandon();
    this.blockLog.cutShort();
    this.isTakenOver = true;
    this.attention = true;
  }

  private handOver(): ProcessorStop {
    this.isTakenOver = false;
    return OWNER;
  }

  /** The debug trap that is pending, if there is one. SDM 3, "Debug Exceptions". */
  private trap(): void {
    const { words } = this.state;
    if (this.holdsTraps || (words[Word.INTERRUPTIBILITY] & Blocking.MOV_SS) !== 0) return;
    const pending = words[Word.PENDING_DEBUG];
    words[Word.PENDING_DEBUG] = 0;
    if ((pending & (PendingDebug.BS | PendingDebug.ENABLED_BREAKPOINT)) === 0) return;
    const event = eventOf(this, new GuestFault(Vector.DB));
    const conditions = pending & (PendingDebug.BS | PendingDebug.BREAKPOINTS);
    this.virtualization.exception(event, Long.fromInt(conditions));
    recordDebugException(this.state, conditions);
    this.clock += this.costs.classes.interrupt;
    deliver(this, event);
    this.attention = true;
  }

  /**
   * Privilege first, then the owner's wishes. SDM 3, "Relative Priority of Faults and VM Exits".
   * True if the owner takes over.
   */
  private guard(instruction: Instruction): boolean {
    const { privilege, intercept, protectedOnly, unit } = instruction.row;
    if (unit !== undefined) checkUnit(this.state, unit);
    if (protectedOnly === true && hasParagraphs(this.mode)) throw new GuestFault(Vector.UD);
    if (privilege !== undefined) {
      if (intercept !== undefined && this.virtualization.beforePrivilege(instruction)) return true;
      if (!isPrivileged(this, instruction)) {
        throw privilege === 'hidden' ? new GuestFault(Vector.UD) : new GuestFault(Vector.GP, 0);
      }
    }
    return intercept !== undefined && this.virtualization.intercept(instruction);
  }

  /** Deal with what cut an instruction short; null to go on. */
  private interrupted(thrown: unknown): ProcessorStop | null {
    try {
      if (thrown instanceof GuestFault) {
        if (this.evaluator.abandon()) this.blockLog.cutShort();
        this.deliverFault(thrown);
        return null;
      }
    } catch (nested) {
      return this.stopped(nested);
    } finally {
      this.nmisUnblocked = false;
    }
    return this.stopped(thrown);
  }

  private stopped(thrown: unknown): ProcessorStop {
    if (this.evaluator.abandon()) this.blockLog.cutShort();
    this.attention = true;
    if (thrown instanceof OwnerStop) return OWNER;
    if (thrown instanceof NotImplemented) return { kind: 'notImplemented', what: thrown.what };
    throw thrown;
  }

  private deliverFault(fault: GuestFault): void {
    const event = eventOf(this, fault);
    const linear = Long.fromBits(fault.linearLow, fault.linearHigh);
    this.attention = true;
    if (!isInstructionBreakpoint(fault)) this.state.words[Word.RFLAGS] |= Rflags.RF;
    this.virtualization.exception(event, linear);
    if (fault.vector === Vector.PF) this.state.set64(Word.CR2, linear);
    if (fault.vector === Vector.DB) recordDebugException(this.state, fault.linearLow);
    this.clock += this.costs.classes.interrupt;
    deliver(this, event);
  }
}

/** Memory operands of 128 bits are checked by the instruction itself, if at all. */
const isWide = (operand: Operand) => operand.kind === 'memory' && operand.width === 128;

const SHADOWS = Blocking.STI | Blocking.MOV_SS;

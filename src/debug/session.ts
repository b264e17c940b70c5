// A debugger's session with a machine: run, step and stop, forwards and backwards; look at and
// change registers, memory and VMCS. Takes and returns plain records and does no I/O; terminals and
// protocols are its clients. A run that is debugged is the run that it would have been: breakpoints
// and steps pause it, and change nothing.

import type Long from 'long';
import type { Vcpu } from '../kvm/index.ts';
import { Machine, type MachineOptions, type Scenario, SymbolMap } from '../machine/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { FIELDS, type FieldDefinition, type FieldName } from '../vmx/index.ts';
import { Bookmarks } from './bookmarks.ts';
import { type BreakpointSpec, Breakpoints } from './breakpoints.ts';
import { parseCondition } from './condition.ts';
import { DebugError } from './debug-error.ts';
import { type Delays, delaysBetween } from './delays.ts';
import { linearPieces, physicalPieces, readPieces, writePieces } from './guest-view.ts';
import { type Branch, DEFAULT_HISTORY, History, type HistorySettings } from './history.ts';
import { Journal } from './journal.ts';
import type { Bookmark, Direction, Motion, StopReason, StopReport } from './motion.ts';
import { Mover } from './mover.ts';
import type { Position } from './position.ts';
import { namesGivenBy } from './record-values.ts';
import {
  type RegisterValue,
  readRegister,
  readRegisters,
  registerNamed,
  writeRegister,
} from './registers.ts';
import { type Stores, storesBefore } from './stores.ts';
import { Variables } from './variables.ts';
import { waitOf } from './waits.ts';
import { Watcher } from './watcher.ts';
import { knowsLastExit, whyLines } from './why.ts';

export type { Bookmark, Direction, Motion, StopReason, StopReport } from './motion.ts';

export type AddressSpace = 'linear' | 'physical';

/** Records that a stop report has at most. */
const MOST_RECORDS = 200;

/**
 * So near to an event the rest of the way is gone in single steps, in cycles of each pCPU; and how
 * much farther from it they begin if that was too near, as steps of the host are long.
 */
const FIRST_CLOSE = 512;
const CLOSE_FACTOR = 8;

/** @param settings what is left out is as in {@link DEFAULT_HISTORY} */
export function createSession(
  scenario: Scenario,
  options: MachineOptions,
  settings: Partial<HistorySettings> = {},
): Session {
  return new Session(scenario, options, { ...DEFAULT_HISTORY, ...settings });
}

export class Session {
  /** To be looked at; what changes it goes through the session. */
  readonly machine: Machine;
  readonly breakpoints: Breakpoints;
  /** What the user keeps; not the machine's. */
  readonly variables = new Variables();
  /** The last stop. */
  stop: StopReport;
  private previous: Position;
  private readonly history: History;
  private readonly watcher: Watcher;
  private readonly mover: Mover;
  private readonly marks: Bookmarks;

  constructor(scenario: Scenario, options: MachineOptions, settings: HistorySettings) {
    const { sink = null } = options;
    const journal = new Journal();
    const record = (event: TraceRecord) => {
      journal.add(event);
      sink?.record(event);
    };
    this.machine = new Machine(scenario, { ...options, sink: { record } });
    this.history = new History(this.machine, journal, settings);
    this.previous = this.history.position;
    this.marks = new Bookmarks(this.history);
    this.breakpoints = new Breakpoints(() => this.watcher.update());
    this.watcher = new Watcher(
      this.machine,
      journal,
      () => this.breakpoints.list(),
      this.variables,
      sink,
    );
    this.history.isHeard = () => this.watcher.needsRecords;
    this.mover = new Mover(this.machine, this.history, this.watcher, this.breakpoints);
    this.stop = this.report('beginning', 0);
  }

  get vcpus(): readonly Vcpu[] {
    return this.machine.vcpus;
  }

  /** Where the machine is. */
  get when(): Position {
    return this.history.position;
  }

  /** The newest trace records up to here, oldest first. */
  recentRecords(most: number): readonly TraceRecord[] {
    const { journal } = this.history;
    this.history.recall(() => journal.known >= most);
    return journal.recent(most);
  }

  // Moving

  /**
   * Move to its end, without a pause. `steps` of {@link move} is for whoever has to do something
   * else meanwhile.
   */
  run(motion: Motion, direction: Direction = 'forward'): StopReport {
    return exhaust(this.move(motion, direction));
  }

  stepInstruction(vcpu: number, direction: Direction = 'forward'): StopReport {
    return this.run({ kind: 'instruction', vcpu }, direction);
  }

  stepExit(vcpu: number | null, direction: Direction = 'forward'): StopReport {
    return this.run({ kind: 'exit', vcpu }, direction);
  }

  stepHost(direction: Direction = 'forward'): StopReport {
    return this.run({ kind: 'host' }, direction);
  }

  continue(direction: Direction = 'forward'): StopReport {
    return this.run({ kind: 'continue' }, direction);
  }

  /** Somebody has asked the last motion to stop. */
  get isInterrupted(): boolean {
    return this.mover.isInterrupted;
  }

  /** Have the motion that is under way stop at the next place between two of its pieces. */
  interrupt(): void {
    this.mover.isInterrupted = true;
  }

  /**
   * Move in pieces of some milliseconds: between them the caller gets control, and may
   * {@link interrupt}; nothing else may be asked of the session until the report is returned.
   * Throws {@link DebugError} if there is no such vCPU.
   */
  *move(motion: Motion, direction: Direction = 'forward'): Generator<void, StopReport> {
    if ('vcpu' in motion && motion.vcpu !== null) this.vcpu(motion.vcpu);
    this.mover.isInterrupted = false;
    this.history.beginMotion();
    const start = this.when;
    this.stop =
      direction === 'forward' ? yield* this.forward(motion) : yield* this.backward(motion);
    if (this.when.event !== start.event) this.previous = start;
    this.watcher.end();
    return this.stop;
  }

  private *forward(motion: Motion): Generator<void, StopReport> {
    const { journal } = this.history;
    const before = journal.mark;
    if (this.machine.ending !== null) return this.report('ended', this.stop.vcpu);
    const reason = yield* this.mover.toNext(motion, { isCounting: true, isArmed: true });
    this.watcher.end();
    yield* this.history.comeToPosition();
    const report = this.report(
      reason,
      this.focusOf(motion),
      journal.after(before).slice(-MOST_RECORDS),
    );
    for (const { id } of report.hits) this.breakpoints.wasHit(id);
    return report;
  }

  private focusOf(motion: Motion): number {
    const { focus } = this.watcher;
    if (focus !== null) return this.vcpus.indexOf(focus);
    if ('vcpu' in motion && motion.vcpu !== null) return motion.vcpu;
    return this.vcpuAt(this.when) ?? this.stop.vcpu;
  }

  /** The vCPU that runs on the pCPU of a position, if one does. */
  private vcpuAt({ pcpu }: Position): number | null {
    const thread = this.machine.host.pcpus[pcpu]?.current;
    const index = this.vcpus.findIndex((vcpu) => vcpu.thread === thread);
    return index < 0 ? null : index;
  }

  private report(
    reason: StopReason,
    vcpu: number,
    records: readonly TraceRecord[] = [],
  ): StopReport {
    const { ending } = this.machine;
    const hits = reason === 'breakpoint' ? [...this.watcher.hits] : [];
    return { reason, position: this.when, vcpu, hits, records, ending };
  }

  // Back

  private *backward(motion: Motion): Generator<void, StopReport> {
    const { history, mover } = this;
    const start = { branch: this.branch, position: this.when };
    for (let here = start.position; ; ) {
      const { branch } = history;
      const found = yield* mover.lastBefore(motion, here);
      if (mover.isInterrupted) {
        history.branch = start.branch;
        return yield* this.arriveAt(start.position, 'interrupted', motion);
      }
      if (found !== null) return yield* this.arriveAt(found, this.reasonFor(motion), motion);
      if (branch.parent === null) return yield* this.arriveAt(branch.from, 'beginning', motion);
      history.branch = branch.parent;
      here = branch.from;
    }
  }

  private reasonFor({ kind }: Motion): StopReason {
    return kind === 'continue' ? 'breakpoint' : 'step';
  }

  private *arriveAt(
    position: Position,
    reason: StopReason,
    motion: Motion,
  ): Generator<void, StopReport> {
    const { hits, focus } = this.mover.lastMet;
    this.watcher.end();
    yield* this.history.goTo(position);
    const wanted = 'vcpu' in motion ? motion.vcpu : null;
    const vcpu = wanted ?? focus ?? this.vcpuAt(position) ?? this.stop.vcpu;
    return { ...this.report(reason, vcpu), hits: reason === 'breakpoint' ? hits : [] };
  }

  // Places

  /** Go to a place that was seen before, on this branch of history. */
  *travelTo(position: Position): Generator<void, StopReport> {
    this.watcher.end();
    if (position.event < this.history.beginning.event) {
      throw new DebugError(`there is nothing before event ${this.history.beginning.event}`);
    }
    yield* this.history.goTo(position);
    const reason = position.pcpu < 0 ? 'beginning' : 'step';
    this.stop = this.report(reason, this.vcpuAt(position) ?? this.stop.vcpu);
    return this.stop;
  }

  /** Go to the first position at or past an event number, on this branch of history. */
  *travelToEvent(event: number): Generator<void, StopReport> {
    const { history } = this;
    this.watcher.end();
    if (event <= history.beginning.event) return yield* this.travelTo(history.beginning);
    if (event <= this.when.event) history.restoreBefore(event - 1);
    this.mover.isInterrupted = false;
    let close = FIRST_CLOSE * this.machine.host.pcpus.length;
    yield* this.approach(event, close);
    while (history.position.event >= event && !this.mover.isInterrupted) {
      history.restoreBefore(event - 1);
      close *= CLOSE_FACTOR;
      yield* this.approach(event, close);
    }
    while (history.position.event < event && this.machine.ending === null) {
      if (this.mover.isInterrupted) break;
      history.settle();
    }
    if (!Number.isInteger(history.position.event)) history.settle();
    const reason = this.machine.ending === null ? 'step' : 'ended';
    this.stop = this.report(reason, this.vcpuAt(this.when) ?? this.stop.vcpu);
    return this.stop;
  }

  /** Run on to so many cycles before an event, or some steps of the host farther. */
  private *approach(event: number, close: number): Generator<void, void> {
    const { history, mover } = this;
    const { pcpus } = this.machine.host;
    // No pCPU is ahead of all of them together: but for its last step, half of the way is not far.
    for (let left = event - history.position.event; left > close; ) {
      const half = Math.floor(mover.now + left / (2 * pcpus.length));
      if (history.advance(null, half) === 'ended') return;
      const rest = event - history.position.event;
      if (rest > left - 1 || mover.isInterrupted) return;
      left = rest;
      yield;
    }
  }

  /** Back to the last place at which a breakpoint would have stopped; it is not kept. */
  lastHit(spec: BreakpointSpec): Generator<void, StopReport> {
    return this.onlyAt(spec, 'backward');
  }

  /** Go to the first position at or past a virtual time in cycles. */
  *travelToTime(time: number): Generator<void, StopReport> {
    if (time <= this.mover.now) yield* this.travelTo(this.history.beginning);
    return yield* this.onlyAt({ kind: 'time', time }, 'forward');
  }

  private onlyAt(spec: BreakpointSpec, direction: Direction): Generator<void, StopReport> {
    return this.withOnly(spec, () => this.move({ kind: 'continue' }, direction));
  }

  /** Do something while one breakpoint is the only one. */
  private *withOnly<T>(spec: BreakpointSpec, work: () => Generator<void, T>): Generator<void, T> {
    const enabled = this.breakpoints.list().filter(({ isEnabled }) => isEnabled);
    const { id } = this.breakpoints.addInternal(spec);
    for (const other of enabled) this.breakpoints.setEnabled(other.id, false);
    try {
      return yield* work();
    } finally {
      this.breakpoints.remove(id);
      for (const other of enabled) this.breakpoints.setEnabled(other.id, true);
    }
  }

  goTo(position: Position): StopReport {
    return exhaust(this.travelTo(position));
  }

  /** Why the last VM exit of a vCPU happened, what came of it, and what it waits for, in lines. */
  why(vcpu: number): readonly string[] {
    const { journal } = this.history;
    this.history.recall(() => knowsLastExit(journal, this.vcpu(vcpu)));
    return whyLines(this.machine, journal, this.vcpu(vcpu));
  }

  /** What a vCPU waits for, to be read behind "it"; null if it goes on. */
  waitOf(vcpu: number): string | null {
    return waitOf(this.machine, this.vcpu(vcpu));
  }

  /** Where the machine was before the last motion. */
  get before(): Position {
    return this.previous;
  }

  /** Go elsewhere on this branch of history for something, and come back. */
  *aside<T>(work: () => Generator<void, T>): Generator<void, T> {
    const { stop, previous, when } = this;
    const result = yield* work();
    this.watcher.end();
    yield* this.history.goTo(when);
    this.stop = stop;
    this.previous = previous;
    return result;
  }

  /** Where the time of vCPUs went between two places of this branch of history; it moves. */
  delays(from: Position, to: Position): Generator<void, Delays> {
    this.watcher.end();
    return delaysBetween(this.machine, this.history, from, to);
  }

  /** The last stores to some memory, up to here; it moves. */
  stores(spec: Extract<BreakpointSpec, { kind: 'memory' }>, most: number): Generator<void, Stores> {
    const work = () => storesBefore(this.history, this.watcher, most);
    return this.withOnly({ ...spec, access: 'write' }, work);
  }

  /** Give this place a name, and make sure that going back to it is quick. */
  addBookmark(name = ''): Bookmark {
    return this.marks.add(name);
  }

  get bookmarks(): readonly Bookmark[] {
    return this.marks.list;
  }

  /** By name or number. Throws {@link DebugError} if there is none. */
  removeBookmark(which: string): void {
    this.marks.remove(which);
  }

  /** By name or number. Throws {@link DebugError} if there is none. */
  goToBookmark(which: string): StopReport {
    const mark = this.marks.named(which);
    if (mark.branch !== this.branch.id) this.switchBranch(mark.branch);
    return this.goTo(mark.position);
  }

  /** The branch of history that the machine is on. */
  get branch(): Branch {
    return this.history.branch;
  }

  get branches(): readonly Branch[] {
    return this.history.branches;
  }

  /** Change over to where a branch begins. Throws {@link DebugError} if there is none. */
  switchBranch(id: number): StopReport {
    const branch = this.history.branches[id];
    if (branch === undefined) throw new DebugError(`no branch ${id}`);
    this.history.switchTo(branch);
    this.stop = this.report('step', this.vcpuAt(this.when) ?? this.stop.vcpu);
    return this.stop;
  }

  // Looking and changing

  /** Throws {@link DebugError} if there is none with this index. */
  vcpu(index: number): Vcpu {
    const vcpu = this.vcpus[index];
    if (vcpu === undefined) throw new DebugError(`there is no vCPU ${index}`);
    return vcpu;
  }

  /** Names of the addresses that a vCPU sees. */
  symbolsOf(vcpu: number): SymbolMap {
    return this.machine.symbols[this.vcpu(vcpu).vm.id] ?? SymbolMap.EMPTY;
  }

  /** Every item of the architectural state. */
  readRegisters(vcpu: number): readonly RegisterValue[] {
    return readRegisters(this.vcpu(vcpu));
  }

  /** Unsigned. Also `eax`, `al`, `cs` and so on. Throws {@link DebugError} on an unknown name. */
  readRegister(vcpu: number, name: string): Long {
    return readRegister(this.vcpu(vcpu), name);
  }

  /** Begins a branch of history, as everything that changes the state does. */
  writeRegister(vcpu: number, name: string, value: Long): void {
    const target = this.vcpu(vcpu);
    if (registerNamed(name) === undefined) throw new DebugError(`no register named '${name}'`);
    this.change(`${name} = 0x${value.toUnsigned().toString(16)} on vCPU ${vcpu}`, () =>
      writeRegister(target, name, value),
    );
  }

  /** Null if any of the bytes is not in RAM. Linear addresses are those of the vCPU. */
  readMemory(
    vcpu: number,
    space: AddressSpace,
    address: Long,
    lengthBytes: number,
  ): Uint8Array | null {
    const { vm } = this.vcpu(vcpu);
    const pieces = this.pieces(vcpu, space, address, lengthBytes);
    return pieces === null ? null : readPieces(vm, pieces);
  }

  /** Whatever the protection; false, and nothing is written, if any byte is not in RAM. */
  writeMemory(vcpu: number, space: AddressSpace, address: Long, data: Uint8Array): boolean {
    const { vm } = this.vcpu(vcpu);
    const pieces = this.pieces(vcpu, space, address, data.length);
    if (pieces === null) return false;
    const where = `0x${address.toUnsigned().toString(16)}`;
    this.change(`${data.length} bytes at ${where}`, () => {
      writePieces(vm, pieces, data);
      for (const { virtual } of vm.vcpus) virtual.stateChanged();
    });
    return true;
  }

  private pieces(vcpu: number, space: AddressSpace, address: Long, lengthBytes: number) {
    const target = this.vcpu(vcpu);
    return space === 'linear'
      ? linearPieces(target, address, lengthBytes)
      : physicalPieces(target.vm, address, lengthBytes);
  }

  /** Every field of the VMCS, in the order of their encodings. */
  readVmcs(vcpu: number): readonly { readonly field: FieldDefinition; readonly value: Long }[] {
    const { vmcs } = this.vcpu(vcpu).virtual;
    return FIELDS.map((field) => ({ field, value: vmcs.read(field.name).toUnsigned() }));
  }

  /** By the kernel's name or the manual's, in capitals or not. */
  readVmcsField(vcpu: number, name: string): Long {
    return this.vcpu(vcpu).virtual.vmcs.read(fieldNamed(name)).toUnsigned();
  }

  writeVmcsField(vcpu: number, name: string, value: Long): void {
    const { virtual } = this.vcpu(vcpu);
    const field = fieldNamed(name);
    this.change(`${field} = 0x${value.toUnsigned().toString(16)} on vCPU ${vcpu}`, () => {
      virtual.vmcs.write(field, value);
      virtual.stateChanged();
    });
  }

  private change(cause: string, work: () => void): void {
    if (this.machine.ending !== null) throw new DebugError('the machine has ended');
    work();
    this.history.fork(cause);
  }

  /** The value of an expression on a vCPU. Throws {@link DebugError} if it has none. */
  evaluate(vcpu: number, text: string): bigint {
    return parseCondition(text).bind(this.watcher.valuesFor(this.vcpu(vcpu)))();
  }

  /**
   * Throws {@link DebugError} if the condition of a breakpoint cannot be read, or has a name
   * without a value that is no variable's, and is not given by what it waits for. An empty one is
   * none.
   */
  checkCondition(vcpu: number, spec: BreakpointSpec, condition: string): void {
    if (condition === '') return;
    const { name, memory } = this.watcher.valuesFor(this.vcpu(vcpu));
    const given = namesGivenBy(spec);
    const look = (word: string) => {
      const value = name(word);
      const isKnown = condition.includes(`$${word}`) || given.includes(word);
      if (!isKnown && value() === undefined) throw new DebugError(`no value named '${word}'`);
      return value;
    };
    parseCondition(condition).bind({ name: look, memory });
  }

  /** Identifies the state of the machine. */
  stateHash(): string {
    return this.machine.stateHash();
  }
}

function fieldNamed(name: string): FieldName {
  const wanted = name.toLowerCase();
  const field = FIELDS.find(
    (one) => one.name.toLowerCase() === wanted || one.title.toLowerCase() === wanted,
  );
  if (field === undefined) throw new DebugError(`no VMCS field named '${name}'`);
  return field.name;
}

function exhaust(motion: Generator<void, StopReport>): StopReport {
  for (;;) {
    const step = motion.next();
    if (step.done === true) return step.value;
  }
}

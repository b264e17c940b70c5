// Emits a region as one function. Its parameters are where the processor's state and its TLB view
// lie, the cycles that are left, and where its trail goes; it returns why it was left, and leaves
// everything else in the words at COMPILED_WORD and in the trail. The budget is looked at when a
// block is entered: if all of it but its last instruction fits, it runs as a whole, else the
// interpreter does the rest, to the same boundary.

import type { LoggedStretch } from '../block-log.ts';
import { Word } from '../state.ts';
import { type Account, Accountant, NOTHING_OWED, withBlock } from './account.ts';
import { bulkOf } from './bulk.ts';
import { type BulkParts, emitBulk } from './bulk-emitter.ts';
import { emitDelay } from './delay-emitter.ts';
import type { Discovered, RegionBlock } from './discovery.ts';
import { directTargets } from './discovery.ts';
import { type Effect, type Exit, exitsOf, forEachEffect, valuesOf } from './effects.ts';
import { ExpressionEmitter, type Point } from './expression.ts';
import { type Alternatives, FlagFlow, isNumber, SAVED } from './flag-flow.ts';
import { FlagRecord } from './flag-record.ts';
import { nodesOf } from './flag-shape.ts';
import { CompiledOffset, Left, slotOffset } from './left-behind.ts';
import { Slot, slotType } from './locals.ts';
import { emitLocate, LOADS, type MemoryLayout, type Place, STORES } from './memory-access.ts';
import { FunctionBody, Op, Type, type ValueType } from './module.ts';
import { type Node, Pseudo, result } from './nodes.ts';
import { type Shape, shapeOf } from './shape.ts';
import { changes } from './slot-changes.ts';
import { graphOf, type RegionGraph } from './unrolling.ts';
import { emitWait } from './wait-emitter.ts';
import { type Wait, waitsOf } from './waits.ts';

/** Index of the imported function that computes the status flags of a record. */
const STATUS_FUNCTION = 0;
const Parameter = { STATE: 0, TLB: 1, CYCLES: 2, TRAIL: 3 } as const;
const PARAMETER_COUNT = 4;

const REGISTERS = Array.from({ length: Slot.OPERATION }, (_, number) => number);

/** A region as code, and what it says of where it came by: see {@link Accountant}. */
export interface EmittedRegion {
  readonly body: FunctionBody;
  readonly stretches: readonly LoggedStretch[];
  readonly quietBefore: readonly number[];
  /** Places that access memory. */
  readonly siteCount: number;
  /** It has loops that wait, whose rounds may be left out. */
  readonly hasWaits: boolean;
}

/**
 * @param firstSite where the places that access memory are numbered from
 * @param passesWaits rounds of loops that wait may be left out
 */
export function emitRegion(
  discovered: Discovered,
  layout: MemoryLayout,
  firstSite: number,
  passesWaits: boolean,
): EmittedRegion {
  return new RegionEmitter(discovered, layout, firstSite, passesWaits).emit();
}

class RegionEmitter {
  private readonly body = new FunctionBody(PARAMETER_COUNT);
  private readonly layout: MemoryLayout;
  private readonly firstSite: number;
  private siteCount = 0;
  private readonly graph: RegionGraph;
  private readonly blocks: readonly RegionBlock[];
  /** Number of the pseudo-block that returns lead to. */
  private readonly dispatch: number;
  private readonly shape: Shape;
  private readonly flow: FlagFlow;
  /** By the block that goes back; none where every round is to be executed. */
  private readonly waits: ReadonlyMap<number, Wait>;
  private readonly written: readonly boolean[];
  /** Locals by slot; those behind the registers when they are asked for. */
  private readonly slots: number[];
  private readonly expressions: ExpressionEmitter;
  private readonly accountant: Accountant;
  private readonly rip: number;
  private readonly reason: number;
  private readonly condition: number;
  private leave = 0;
  /** Where the block that is being emitted begins. */
  private owed = NOTHING_OWED;
  /** Labels of loops and of blocks that end before a merge, by the number of the block. */
  private readonly loops = new Map<number, number>();
  private readonly merges = new Map<number, number>();

  constructor(
    discovered: Discovered,
    layout: MemoryLayout,
    firstSite: number,
    passesWaits: boolean,
  ) {
    const { body } = this;
    this.firstSite = firstSite;
    this.layout = layout;
    this.graph = graphOf(discovered);
    this.blocks = this.graph.blocks;
    this.dispatch = this.blocks.length;
    const { returnSites } = this.graph;
    const successors = [...this.blocks.map((_, number) => this.successors(number)), returnSites];
    this.shape = shapeOf(successors);
    const { order } = this.shape;
    const sequence = [...order.keys()].filter((node) => order[node] >= 0);
    sequence.sort((a, b) => order[a] - order[b]);
    const flagged = this.blocks.map((block) => ({ ...block, isBulk: bulkOf(block) !== null }));
    this.flow = new FlagFlow([...flagged, null], successors, sequence);
    this.waits = passesWaits ? waitsOf(this.blocks, successors, this.shape) : new Map();
    this.written = this.registersWritten();
    const read = this.registersRead();
    this.slots = REGISTERS.map((slot) =>
      this.written[slot] || read[slot] ? body.local(Type.I64) : -1,
    );
    this.rip = body.local(Type.I64);
    this.reason = body.local(Type.I32);
    this.condition = body.local(Type.I32);
    this.accountant = new Accountant(body, Parameter.TRAIL);
    this.expressions = new ExpressionEmitter(body, {
      local: (slot) => this.localOf(slot),
      state: Parameter.STATE,
      statusFunction: STATUS_FUNCTION,
    });
  }

  private localOf(slot: number): number {
    this.slots[slot] ??= this.body.local(slotType(slot));
    return this.slots[slot];
  }

  private successors(number: number): number[] {
    const { graph } = this;
    const block = this.blocks[number];
    if (block.declined !== null) return [];
    if (this.isIndirect(block)) return graph.returnSites.length > 0 ? [this.dispatch] : [];
    return directTargets(block.continuation).flatMap((to) => graph.target(number, to) ?? []);
  }

  private isIndirect({ continuation }: RegionBlock): boolean {
    return directTargets(continuation).length === 0;
  }

  /** Registers that a block changes, by its end or where it is left. */
  private registersWritten(): boolean[] {
    const written = REGISTERS.map(() => false);
    for (const block of this.blocks) {
      for (const state of [block, ...exitsOf(block.effects)]) {
        for (const [slot] of changes(state.registers)) written[slot] = true;
      }
    }
    return written;
  }

  /** Registers whose values at the start of a block are put to use. */
  private registersRead(): boolean[] {
    const read = REGISTERS.map(() => false);
    const seen = new Set<Node>();
    const visit = (x: Node) => {
      if (x.op === Pseudo.LOCAL && x.local < read.length) read[x.local] = true;
      if (x.operands.length === 0 || seen.has(x)) return;
      seen.add(x);
      for (const operand of x.operands) visit(operand);
    };
    for (const block of this.blocks) {
      visit(block.continuation);
      forEachEffect(block.effects, (effect) => {
        for (const value of valuesOf(effect)) visit(value);
      });
      for (const { registers, flags } of [block, ...exitsOf(block.effects)]) {
        for (const [, value] of changes(registers)) visit(value);
        for (const value of nodesOf(flags)) visit(value);
      }
    }
    return read;
  }

  emit(): EmittedRegion {
    const { body } = this;
    for (const slot of REGISTERS) {
      if (this.slots[slot] < 0) continue;
      body.get(Parameter.STATE);
      body.memory(Op.i64Load, slotOffset(slot));
      body.set(this.slots[slot]);
    }
    this.accountant.begin(Parameter.CYCLES);
    this.leave = body.open(Op.block);
    this.tree(0, NOTHING_OWED);
    body.close();
    for (const slot of REGISTERS) {
      if (!this.written[slot]) continue;
      body.get(Parameter.STATE);
      body.get(this.slots[slot]);
      body.memory(Op.i64Store, slotOffset(slot));
    }
    body.get(Parameter.STATE);
    body.get(this.rip);
    body.memory(Op.i64Store, 4 * Word.RIP);
    this.accountant.end();
    body.get(this.reason);
    const { stretches, quietBefore } = this.accountant;
    const hasWaits = this.waits.size > 0;
    return { body, stretches, quietBefore, siteCount: this.siteCount, hasWaits };
  }

  /**
   * A node and everything that it dominates.
   * @param owed what came before and is not taken into account yet
   */
  private tree(node: number, owed: Account): void {
    const { body, shape } = this;
    if (shape.isLoopHeader[node]) this.loops.set(node, body.open(Op.loop));
    const merging = shape.children[node]
      .filter((child) => shape.isMerge[child])
      .sort((a, b) => shape.order[a] - shape.order[b]);
    for (const child of [...merging].reverse()) this.merges.set(child, body.open(Op.block));
    if (node === this.dispatch) this.emitDispatch(owed);
    else this.emitBlock(node, owed);
    for (const child of merging) {
      body.close();
      this.tree(child, NOTHING_OWED);
    }
    if (shape.isLoopHeader[node]) body.close();
  }

  /** Go on at a block of the region, or leave. */
  private follow(from: number, target: bigint, owed: Account, repeats = false): void {
    const to = this.graph.target(from, target);
    if (to !== undefined && this.shape.edge(from, to) !== 'cut') {
      if (repeats) this.accountant.settleIteration(owed);
      this.followTo(from, to, repeats ? NOTHING_OWED : owed);
    } else {
      this.body.i64(target);
      this.body.set(this.rip);
      this.chain(from, owed);
    }
  }

  /** Where the block follows right here, it takes over what is owed; other ways may meet it. */
  private followTo(from: number, to: number, owed: Account): void {
    this.handOver(from, to);
    const label = this.labelOf(from, to);
    if (label === undefined) {
      const isMet = this.shape.isLoopHeader[to];
      if (isMet) this.accountant.settle(owed, -1);
      this.tree(to, isMet ? NOTHING_OWED : owed);
      return;
    }
    const { body, accountant } = this;
    accountant.settle(owed, this.isQuietWay(from, to) ? to : -1);
    const wait = this.waits.get(from);
    if (wait?.header === to) emitWait({ body, accountant, state: Parameter.STATE }, wait);
    body.branch(label);
  }

  /** Where a loop begins, a way around it; elsewhere any way of those that meet. */
  private isQuietWay(from: number, to: number): boolean {
    if (from === this.dispatch || to === this.dispatch) return false;
    return !this.shape.isLoopHeader[to] || this.shape.edge(from, to) === 'back';
  }

  /** Where an edge branches to, unless the block follows right here. */
  private labelOf(from: number, to: number): number | undefined {
    return this.shape.edge(from, to) === 'back' ? this.loops.get(to) : this.merges.get(to);
  }

  /** Say what the flags follow from, in the way that the next block wants it. */
  private handOver(from: number, to: number): void {
    const { flow } = this;
    const out = flow.after(from);
    const wanted = flow.at(to);
    const tell = (number: number) => {
      if (wanted.size === 1) return;
      this.body.i32(number);
      this.body.set(this.localOf(Slot.WHICH));
    };
    if (out.kind === 'shape') {
      const isKnown = wanted.has(out.number);
      if (!isKnown) this.save(out.shape.record);
      tell(isKnown ? out.number : SAVED);
    } else if (out.kind === 'saved') tell(SAVED);
    else {
      const given = flow.at(from);
      const isKnown = [...given.keys()].every((number) => wanted.has(number));
      if (!isKnown) this.saveAny(given);
      if (!isKnown) tell(SAVED);
      else if (given.size === 1) for (const number of given.keys()) tell(number);
    }
  }

  /** Leave behind a block, for code elsewhere. */
  private chain(from: number, owed: Account, reason: number = Left.CHAIN): void {
    const out = this.flow.after(from);
    if (out.kind === 'shape') this.save(out.shape.record);
    else if (out.kind === 'same') this.saveAny(this.flow.at(from));
    this.leaveFor(reason, owed, -1);
  }

  private leaveFor(reason: number, owed: Account, at: number): void {
    this.accountant.settleAtExit(owed, at);
    this.body.i32(reason);
    this.body.set(this.reason);
    this.body.branch(this.leave);
  }

  /** A flag record to memory. */
  private save(record: FlagRecord): void {
    const { body, expressions } = this;
    const { op, c, x, y, r } = record.packed();
    const parts = [op, c, x, y, r].flatMap((value, i): [number, Node][] => {
      const slot = Slot.OPERATION + i;
      const isThere = value === null || (value.op === Pseudo.SAVED && value.local === slot);
      return isThere ? [] : [[slot, value]];
    });
    for (const [, value] of parts) {
      body.get(Parameter.STATE);
      expressions.push(value);
    }
    for (const [slot] of parts.reverse()) {
      body.memory(slotType(slot) === Type.I32 ? Op.i32Store : Op.i64Store, slotOffset(slot));
    }
  }

  /** Whichever it is. */
  private saveAny(alternatives: Alternatives): void {
    const { body, expressions } = this;
    for (const [number, record] of alternatives) {
      if (number === SAVED) continue;
      if (alternatives.size === 1) {
        this.save(record);
        continue;
      }
      expressions.push(isNumber(number));
      body.open(Op.if);
      expressions.within(() => this.save(record));
      body.close();
    }
  }

  /** RIP is a place to return to, or elsewhere. */
  private emitDispatch(owed: Account): void {
    const { body } = this;
    this.expressions.begin();
    for (const site of this.graph.returnSites) {
      if (this.shape.edge(this.dispatch, site) === 'cut') continue;
      body.get(this.rip);
      body.i64(this.blocks[site].start);
      body.op(Op.i64Eq);
      body.open(Op.if);
      this.followTo(this.dispatch, site, owed);
      body.close();
    }
    this.expressions.begin();
    this.chain(this.dispatch, owed);
  }

  private emitBlock(number: number, owed: Account): void {
    const { body, expressions } = this;
    const block = this.blocks[number];
    const exits = exitsOf(block.effects);
    const labels = new Map<Exit, number>();
    for (const exit of [...exits].reverse()) labels.set(exit, body.open(Op.block));
    const tooLong = body.open(Op.block);
    expressions.begin((x) => this.flow.resolve(number, x));
    this.emitBulk(number, owed);
    this.emitDelay(number, owed);
    const start = expressions.here;
    this.accountant.pushSpent(owed, block.cycles - block.lastCycles);
    body.branch(tooLong, Op.brIf);
    const points = new Map<Exit, Point>();
    this.countUses(number, block);
    const jumpIf = (exit: Exit) => {
      if (!points.has(exit)) points.set(exit, expressions.here);
      body.branch(labels.get(exit) as number, Op.brIf);
    };
    this.owed = owed;
    this.emitEffects(block.effects, jumpIf);
    this.emitEnd(number, block, owed);
    body.close();
    expressions.outOfLine(start, () => {
      this.saveAny(this.flow.at(number));
      body.i64(block.start);
      body.set(this.rip);
      this.leaveFor(Left.BUDGET, owed, number);
    });
    for (const exit of exits) {
      body.close();
      const point = points.get(exit) as Point;
      const done = withBlock(owed, number, block.start, exit);
      expressions.outOfLine(point, () => this.emitExit(number, exit, done));
    }
  }

  /** As many iterations of a repeated instruction as can be done at once. */
  private emitBulk(number: number, owed: Account): void {
    const { body, expressions, accountant } = this;
    const block = this.blocks[number];
    const bulk = bulkOf(block);
    // What is owed has to be settled, as where a loop begins it is.
    if (bulk === null || block.cycles < 1 || owed.stretch.length > 0) return;
    const parts: BulkParts = {
      ...{ number, body, expressions, accountant, state: Parameter.STATE },
      watchedLines: this.layout.watchedLines,
      register: (slot) => block.locals[slot],
      setRegister: (slot, value) => {
        expressions.push(value);
        body.set(this.slots[slot]);
      },
      locate: (linear, access, label) => {
        const hpa = result(Type.I32, 32);
        const located = { linear, bytes: 1, access, result: hpa };
        this.emitLocate(located, () => body.branch(label, Op.brIf));
        return hpa;
      },
    };
    emitBulk(parts, bulk, block);
  }

  /** As many iterations of a delay loop as fit into the cycles left. */
  private emitDelay(number: number, owed: Account): void {
    const { body, accountant } = this;
    const { delay } = this.blocks[number];
    if (delay === null || owed.stretch.length > 0 || !this.written[delay.register]) return;
    emitDelay({ body, accountant, counter: this.slots[delay.register] }, delay);
  }

  private emitExit(number: number, exit: Exit, owed: Account): void {
    const { body } = this;
    this.assign(changes(exit.registers), () => {
      if (exit.flags === FlagRecord.INCOMING) this.saveAny(this.flow.at(number));
      else this.save(exit.flags);
    });
    body.i64(this.blocks[number].start + BigInt(exit.offset));
    body.set(this.rip);
    this.leaveFor(Left.INTERPRET, owed, -1);
  }

  /** @param work done between computing the values and assigning them */
  private assign(
    values: readonly (readonly [slot: number, value: Node])[],
    work: () => void = () => {},
  ): void {
    for (const [, value] of values) this.expressions.push(value);
    work();
    for (const [slot] of [...values].reverse()) this.body.set(this.localOf(slot));
  }

  /** What a block leaves in locals. */
  private left(number: number, block: RegionBlock): (readonly [slot: number, value: Node])[] {
    const out = this.flow.after(number);
    const slots = out.kind === 'shape' ? out.shape.slots : [];
    return [...changes(block.registers), ...slots];
  }

  private countUses(number: number, block: RegionBlock): void {
    const { expressions } = this;
    forEachEffect(block.effects, (effect) => {
      for (const value of valuesOf(effect)) expressions.count(value);
    });
    for (const [, value] of this.left(number, block)) expressions.count(value);
    const { continuation } = block;
    if (this.isIndirect(block)) expressions.count(continuation);
    else if (!continuation.isConstant) expressions.count(continuation.operands[2]);
  }

  private emitEnd(number: number, block: RegionBlock, owed: Account): void {
    const { body, expressions } = this;
    const { continuation } = block;
    const targets = directTargets(continuation);
    const done = withBlock(owed, number, block.start, block);
    if (targets.length === 0) {
      expressions.push(continuation);
      body.set(this.rip);
    } else if (targets.length === 2) {
      expressions.push(continuation.operands[2]);
      body.set(this.condition);
    }
    if (this.flow.after(number).kind === 'saved') this.saveAny(this.flow.at(number));
    this.assign(this.left(number, block));
    if (block.declined !== null) {
      body.i64(continuation.value);
      body.set(this.rip);
      this.chain(number, done, Left.INTERPRET);
    } else if (targets.length === 0) {
      const isInside = this.graph.returnSites.length > 0;
      if (isInside && this.shape.edge(number, this.dispatch) !== 'cut') {
        this.followTo(number, this.dispatch, done);
      } else this.chain(number, done);
    } else {
      if (targets.length === 2) this.emitBranch(number, block, targets[0], owed);
      this.follow(number, targets[targets.length - 1], done);
    }
  }

  private emitBranch(from: number, block: RegionBlock, target: bigint, owed: Account): void {
    const { body } = this;
    const { start, repeats } = block;
    const done = withBlock(owed, from, start, repeats ? { ...block, instructions: 0 } : block);
    body.get(this.condition);
    body.open(Op.if);
    this.expressions.within(() => this.follow(from, target, done, repeats));
    body.close();
  }

  private emitEffects(effects: readonly Effect[], jumpIf: (exit: Exit) => void): void {
    for (const effect of effects) this.emitEffect(effect, jumpIf);
  }

  private emitEffect(effect: Effect, jumpIf: (exit: Exit) => void): void {
    const { body, expressions } = this;
    switch (effect.kind) {
      case 'locate':
        this.emitLocate(effect, () => jumpIf(effect.exit));
        break;
      case 'load':
        expressions.push(effect.hpa);
        body.memory(LOADS[effect.width], 0);
        expressions.keep(effect.result);
        break;
      case 'store':
        expressions.push(effect.hpa);
        expressions.push(effect.value);
        body.memory(STORES[effect.width], 0);
        break;
      case 'guard':
        expressions.push(effect.condition);
        jumpIf(effect.exit);
        break;
      case 'if':
        this.emitIf(effect, jumpIf);
        break;
      case 'assign':
        expressions.push(effect.value);
        expressions.keep(effect.result);
        break;
      case 'loadState':
        body.get(Parameter.STATE);
        body.memory(stateAccess(effect.result.type).load, effect.offset);
        expressions.keep(effect.result);
        break;
      case 'storeState':
        body.get(Parameter.STATE);
        expressions.push(effect.value);
        body.memory(stateAccess(effect.value.type).store, effect.offset);
        break;
      case 'clock':
        body.get(Parameter.STATE);
        body.memory(Op.f64Load, CompiledOffset.END);
        this.accountant.pushCycles();
        body.i32(this.owed.cycles + effect.cycles);
        body.op(Op.i32Sub);
        body.op(Op.f64ConvertI32S);
        body.op(Op.f64Sub);
        expressions.keep(effect.result);
        break;
    }
  }

  private emitIf(effect: Extract<Effect, { kind: 'if' }>, jumpIf: (exit: Exit) => void): void {
    const { body, expressions } = this;
    for (const inner of effect.whenTrue)
      if (inner.kind === 'assign') expressions.reserve(inner.result);
    expressions.push(effect.condition);
    body.open(Op.if);
    expressions.within(() => this.emitEffects(effect.whenTrue, jumpIf));
    body.op(Op.else);
    expressions.within(() => this.emitEffects(effect.whenFalse, jumpIf));
    body.close();
  }

  private emitLocate(place: Place, leaveIf: () => void): void {
    const { body, expressions, layout } = this;
    const site = this.firstSite + this.siteCount++;
    emitLocate({ body, expressions, layout, tlb: Parameter.TLB, site, leaveIf }, place);
  }
}

/** How a part of the state is loaded and stored. */
function stateAccess(type: ValueType): { readonly load: number; readonly store: number } {
  switch (type) {
    case Type.I32:
      return { load: Op.i32Load, store: Op.i32Store };
    case Type.I64:
      return { load: Op.i64Load, store: Op.i64Store };
    case Type.F64:
      return { load: Op.f64Load, store: Op.f64Store };
    default:
      throw new TypeError('there is no such state');
  }
}

// Emits a region as one function. Its parameters are where the processor's state and its TLB view
// lie, and the cycles that are left; it returns why it was left, and leaves everything else in the
// words at COMPILED_WORD. The budget is looked at when a block is entered: if all of it but its
// last instruction fits, it runs as a whole, else the interpreter does the rest, to the same
// boundary.

import { Word } from '../state.ts';
import { Access } from '../virtualization.ts';
import { type Account, NOTHING_OWED, withBlock } from './account.ts';
import { bulkOf } from './bulk.ts';
import { type BulkParts, emitBulk } from './bulk-emitter.ts';
import type { Discovered, RegionBlock } from './discovery.ts';
import { directTargets } from './discovery.ts';
import { type Effect, type Exit, exitsOf, forEachEffect, valuesOf } from './effects.ts';
import { ExpressionEmitter, type Point } from './expression.ts';
import {
  CompiledOffset,
  Left,
  LOGGED_INSTRUCTIONS,
  PARTIAL_SHIFT,
  PATH_BITS,
  PATH_MASK,
  slotOffset,
} from './left-behind.ts';
import { LOCALS, slotType } from './locals.ts';
import { FunctionBody, Op, Type } from './module.ts';
import { type Node, Pseudo, result } from './nodes.ts';
import { type Shape, shapeOf } from './shape.ts';
import { changes } from './slot-changes.ts';

/** Where things lie beside the state. */
export interface MemoryLayout {
  /** The bytes that say which lines are watched. */
  readonly watchedLines: number;
  /** Of a TLB entry. */
  readonly tlbStrideShift: number;
  readonly tlbEntryMask: number;
  readonly tlbTags: readonly number[];
  readonly tlbAddend: number;
}

/** Index of the imported function that computes the status flags of a record. */
const STATUS_FUNCTION = 0;
const Parameter = { STATE: 0, TLB: 1, LEFT: 2 } as const;
const PARAMETER_COUNT = 3;

const PAGE_MASK = -4096n;

export function emitRegion(discovered: Discovered, layout: MemoryLayout): FunctionBody {
  return new RegionEmitter(discovered, layout).emit();
}

class RegionEmitter {
  private readonly body = new FunctionBody(PARAMETER_COUNT);
  private readonly layout: MemoryLayout;
  private readonly blocks: readonly RegionBlock[];
  private readonly numbers: ReadonlyMap<bigint, number>;
  private readonly returnSites: readonly number[];
  /** Number of the pseudo-block that returns lead to. */
  private readonly dispatch: number;
  private readonly shape: Shape;
  private readonly written: readonly boolean[];
  private readonly slots: readonly number[];
  private readonly expressions: ExpressionEmitter;
  private readonly rip: number;
  private readonly instructions: number;
  private readonly reason: number;
  private readonly path: number;
  private readonly condition: number;
  private leave = 0;
  /** Labels of loops and of blocks that end before a merge, by the number of the block. */
  private readonly loops = new Map<number, number>();
  private readonly merges = new Map<number, number>();

  constructor(discovered: Discovered, layout: MemoryLayout) {
    const { body } = this;
    this.layout = layout;
    this.blocks = [...discovered.blocks.values()];
    this.numbers = new Map(this.blocks.map(({ start }, i) => [start, i]));
    this.dispatch = this.blocks.length;
    this.returnSites = [...discovered.returnSites].flatMap((site) => this.numbers.get(site) ?? []);
    this.shape = shapeOf([...this.blocks.map((block) => this.successors(block)), this.returnSites]);
    this.written = this.slotsWritten();
    const read = this.slotsRead();
    this.slots = LOCALS.map((_, slot) =>
      this.written[slot] || read[slot] ? body.local(slotType(slot)) : -1,
    );
    this.rip = body.local(Type.I64);
    this.instructions = body.local(Type.I32);
    this.reason = body.local(Type.I32);
    this.path = body.local(Type.I64);
    this.condition = body.local(Type.I32);
    this.expressions = new ExpressionEmitter(body, this.slots, STATUS_FUNCTION);
  }

  private successors(block: RegionBlock): number[] {
    if (block.declined !== null) return [];
    if (this.isIndirect(block)) return this.returnSites.length > 0 ? [this.dispatch] : [];
    return directTargets(block.continuation).flatMap((target) => this.numbers.get(target) ?? []);
  }

  private isIndirect({ continuation }: RegionBlock): boolean {
    return directTargets(continuation).length === 0;
  }

  /** Slots that a block changes, by its end or where it is left. */
  private slotsWritten(): boolean[] {
    const written = LOCALS.map(() => false);
    for (const block of this.blocks) {
      for (const state of [block, ...exitsOf(block.effects)]) {
        for (const [slot] of changes(state)) written[slot] = true;
      }
    }
    return written;
  }

  /** Slots whose values at the start of a block are put to use. */
  private slotsRead(): boolean[] {
    const read = LOCALS.map(() => false);
    const seen = new Set<Node>();
    const visit = (x: Node) => {
      if (x.op === Pseudo.LOCAL) read[x.local] = true;
      if (x.operands.length === 0 || seen.has(x)) return;
      seen.add(x);
      for (const operand of x.operands) visit(operand);
    };
    for (const block of this.blocks) {
      visit(block.continuation);
      forEachEffect(block.effects, (effect) => {
        for (const value of valuesOf(effect)) visit(value);
      });
      for (const state of [block, ...exitsOf(block.effects)]) {
        for (const [, value] of changes(state)) visit(value);
      }
    }
    return read;
  }

  emit(): FunctionBody {
    const { body } = this;
    this.slots.forEach((local, slot) => {
      if (local < 0) return;
      body.get(Parameter.STATE);
      body.memory(slotType(slot) === Type.I32 ? Op.i32Load : Op.i64Load, slotOffset(slot));
      body.set(local);
    });
    this.leave = body.open(Op.block);
    this.tree(0, NOTHING_OWED);
    body.close();
    this.slots.forEach((local, slot) => {
      if (!this.written[slot]) return;
      body.get(Parameter.STATE);
      body.get(local);
      body.memory(slotType(slot) === Type.I32 ? Op.i32Store : Op.i64Store, slotOffset(slot));
    });
    body.get(Parameter.STATE);
    body.get(this.rip);
    body.memory(Op.i64Store, 4 * Word.RIP);
    body.get(Parameter.STATE);
    body.get(Parameter.LEFT);
    body.memory(Op.i32Store, CompiledOffset.LEFT);
    body.get(Parameter.STATE);
    body.get(this.instructions);
    body.memory(Op.i32Store, CompiledOffset.INSTRUCTIONS);
    body.get(Parameter.STATE);
    body.get(this.path);
    body.memory(Op.i64Store, CompiledOffset.PATH);
    body.get(this.reason);
    return body;
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
  private follow(from: number, target: bigint, owed: Account): void {
    const to = this.numbers.get(target);
    if (to !== undefined && this.shape.edge(from, to) !== 'cut') this.followTo(from, to, owed);
    else {
      this.body.i64(target);
      this.body.set(this.rip);
      this.leaveFor(Left.CHAIN, owed);
    }
  }

  /** Where the block follows right here, it takes over what is owed; other ways may meet it. */
  private followTo(from: number, to: number, owed: Account): void {
    const label = this.labelOf(from, to);
    if (label === undefined) {
      this.tree(to, this.shape.isLoopHeader[to] ? this.settle(owed) : owed);
      return;
    }
    this.settle(owed);
    this.body.branch(label);
  }

  /** Where an edge branches to, unless the block follows right here. */
  private labelOf(from: number, to: number): number | undefined {
    return this.shape.edge(from, to) === 'back' ? this.loops.get(to) : this.merges.get(to);
  }

  private leaveFor(reason: number, owed: Account): void {
    this.settle(owed);
    this.body.i32(reason);
    this.body.set(this.reason);
    this.body.branch(this.leave);
  }

  /** RIP is a place to return to, or elsewhere. */
  private emitDispatch(owed: Account): void {
    const { body } = this;
    for (const site of this.returnSites) {
      if (this.shape.edge(this.dispatch, site) === 'cut') continue;
      body.get(this.rip);
      body.i64(this.blocks[site].start);
      body.op(Op.i64Eq);
      body.open(Op.if);
      this.followTo(this.dispatch, site, owed);
      body.close();
    }
    this.leaveFor(Left.CHAIN, owed);
  }

  private emitBlock(number: number, owed: Account): void {
    const { body, expressions } = this;
    const block = this.blocks[number];
    const exits = exitsOf(block.effects);
    const labels = new Map<Exit, number>();
    for (const exit of [...exits].reverse()) labels.set(exit, body.open(Op.block));
    const tooLong = body.open(Op.block);
    expressions.begin();
    this.emitBulk(number, owed);
    body.get(Parameter.LEFT);
    body.i32(owed.cycles + block.cyclesButLast);
    body.op(Op.i32LeS);
    body.branch(tooLong, Op.brIf);
    const points = new Map<Exit, Point>();
    this.countUses(block);
    const jumpIf = (exit: Exit) => {
      if (!points.has(exit)) points.set(exit, expressions.here);
      body.branch(labels.get(exit) as number, Op.brIf);
    };
    this.emitEffects(block.effects, jumpIf);
    this.emitEnd(number, block, withBlock(owed, block, number));
    body.close();
    body.i64(block.start);
    body.set(this.rip);
    this.leaveFor(Left.BUDGET, owed);
    for (const exit of exits) {
      body.close();
      const point = points.get(exit) as Point;
      const done = withBlock(owed, exit, number);
      expressions.outOfLine(point, () => this.emitExit(block, exit, done));
    }
  }

  /** As many iterations of a repeated instruction as can be done at once. */
  private emitBulk(number: number, owed: Account): void {
    const { body, expressions } = this;
    const block = this.blocks[number];
    const bulk = bulkOf(block);
    // What is owed has to be settled, as where a loop begins it is.
    if (bulk === null || block.cycles < 1 || owed.pathBits > 0) return;
    const parts: BulkParts = {
      ...{ body, expressions, state: Parameter.STATE, left: Parameter.LEFT },
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
      noteEntered: () => this.lengthenPath(BigInt(number + 1), PATH_BITS, true),
    };
    emitBulk(parts, bulk, block.cycles);
  }

  /** Take what is owed into account. */
  private settle({ cycles, instructions, path, pathBits, isRepeat }: Account): Account {
    if (pathBits === 0) return NOTHING_OWED;
    const { body } = this;
    body.get(Parameter.LEFT);
    body.i32(cycles);
    body.op(Op.i32Sub);
    body.set(Parameter.LEFT);
    if (instructions !== 0) {
      body.get(this.instructions);
      body.i32(instructions);
      body.op(Op.i32Add);
      body.set(this.instructions);
    }
    // Of a path, what is older than the instructions that are of interest is left out.
    this.lengthenPath(path, instructions < LOGGED_INSTRUCTIONS ? pathBits : 64, isRepeat);
    return NOTHING_OWED;
  }

  /** Another iteration of the same instruction is no step further. */
  private lengthenPath(path: bigint, bits: number, isRepeat: boolean): void {
    const { body } = this;
    if (bits < 64) {
      body.get(this.path);
      body.i64(BigInt(bits));
      body.op(Op.i64Shl);
      body.i64(path);
      body.op(Op.i64Or);
    } else body.i64(path);
    if (isRepeat) {
      body.get(this.path);
      body.get(this.path);
      body.i64(PATH_MASK);
      body.op(Op.i64And);
      body.i64(path);
      body.op(Op.i64Ne);
      body.op(Op.select);
    }
    body.set(this.path);
  }

  private emitExit(block: RegionBlock, exit: Exit, owed: Account): void {
    const { body } = this;
    this.assignSlots(exit);
    body.i64(block.start + BigInt(exit.offset));
    body.set(this.rip);
    this.leaveFor(Left.INTERPRET | (exit.instructions << PARTIAL_SHIFT), owed);
  }

  private assignSlots(state: Pick<Exit, 'registers' | 'flags'>): void {
    const changed = changes(state);
    for (const [, value] of changed) this.expressions.push(value);
    for (const [slot] of changed.reverse()) this.body.set(this.slots[slot]);
  }

  private countUses(block: RegionBlock): void {
    const { expressions } = this;
    forEachEffect(block.effects, (effect) => {
      for (const value of valuesOf(effect)) expressions.count(value);
    });
    for (const [, value] of changes(block)) expressions.count(value);
    const { continuation } = block;
    if (this.isIndirect(block)) expressions.count(continuation);
    else if (!continuation.isConstant) expressions.count(continuation.operands[2]);
  }

  private emitEnd(number: number, block: RegionBlock, owed: Account): void {
    const { body, expressions } = this;
    const { continuation } = block;
    const targets = directTargets(continuation);
    if (targets.length === 0) {
      expressions.push(continuation);
      body.set(this.rip);
    } else if (targets.length === 2) {
      expressions.push(continuation.operands[2]);
      body.set(this.condition);
    }
    this.assignSlots(block);
    if (block.declined !== null) {
      body.i64(continuation.value);
      body.set(this.rip);
      this.leaveFor(Left.INTERPRET | (block.instructions << PARTIAL_SHIFT), owed);
    } else if (targets.length === 0) {
      const isInside = this.returnSites.length > 0;
      if (isInside && this.shape.edge(number, this.dispatch) !== 'cut') {
        this.followTo(number, this.dispatch, owed);
      } else this.leaveFor(Left.CHAIN, owed);
    } else {
      if (targets.length === 2) this.emitBranch(number, targets[0], owed);
      const counted = block.repeats ? { ...owed, instructions: owed.instructions + 1 } : owed;
      this.follow(number, targets[targets.length - 1], counted);
    }
  }

  private emitBranch(from: number, target: bigint, owed: Account): void {
    const { body } = this;
    body.get(this.condition);
    body.open(Op.if);
    this.follow(from, target, owed);
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
        body.memory(effect.result.type === Type.I64 ? Op.i64Load : Op.i32Load, effect.offset);
        expressions.keep(effect.result);
        break;
      case 'storeState':
        body.get(Parameter.STATE);
        expressions.push(effect.value);
        body.memory(effect.value.type === Type.I64 ? Op.i64Store : Op.i32Store, effect.offset);
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

  /**
   * The TLB entry of the page must have the tag of the page in which the last byte lies: another
   * page has another entry. A line that is watched is not written to.
   */
  private emitLocate(
    { linear, bytes, access, result }: Omit<Extract<Effect, { kind: 'locate' }>, 'exit' | 'kind'>,
    leaveIf: () => void,
  ): void {
    const { body, expressions, layout } = this;
    const low = body.scratch(Type.I32, 0);
    const entry = body.scratch(Type.I32, 1);
    expressions.push(linear);
    body.op(Op.i32WrapI64);
    body.tee(low);
    body.i32(12 - layout.tlbStrideShift);
    body.op(Op.i32ShrU);
    body.i32(layout.tlbEntryMask << layout.tlbStrideShift);
    body.op(Op.i32And);
    body.get(Parameter.TLB);
    body.op(Op.i32Add);
    body.tee(entry);
    body.memory(Op.i64Load, layout.tlbTags[access]);
    expressions.push(linear);
    if (bytes > 1) {
      body.i64(BigInt(bytes - 1));
      body.op(Op.i64Add);
    }
    body.i64(PAGE_MASK);
    body.op(Op.i64And);
    body.op(Op.i64Ne);
    leaveIf();
    body.get(low);
    body.get(entry);
    body.memory(Op.i32Load, layout.tlbAddend);
    body.op(Op.i32Add);
    expressions.keep(result);
    if (access !== Access.WRITE) return;
    const watched = (last: number) => {
      expressions.push(result);
      if (last > 0) {
        body.i32(last);
        body.op(Op.i32Add);
      }
      body.i32(6);
      body.op(Op.i32ShrU);
      body.memory(Op.i32Load8U, layout.watchedLines);
    };
    watched(0);
    if (bytes > 1) {
      watched(bytes - 1);
      body.op(Op.i32Or);
    }
    leaveIf();
  }
}

const LOADS = { 8: Op.i64Load8U, 16: Op.i64Load16U, 32: Op.i64Load32U, 64: Op.i64Load } as const;
const STORES = { 8: Op.i64Store8, 16: Op.i64Store16, 32: Op.i64Store32, 64: Op.i64Store } as const;

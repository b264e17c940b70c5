// What the status flags follow from where each block of a region begins: one of a few records that
// the blocks before leave, or the record in memory, with which the region is entered. Where it may
// be more than one, a local says which.

import { FlagRecord } from './flag-record.ts';
import { isIntact, type Shape, shapeOf } from './flag-shape.ts';
import { LOCALS, Slot } from './locals.ts';
import { Op, Type } from './module.ts';
import { either, int, type Node, narrow } from './nodes.ts';

/** Number of the record in memory; others are numbered from 1. */
export const SAVED = 0;

/** Records that the flags may follow from where a block begins, by number. */
export type Alternatives = ReadonlyMap<number, FlagRecord>;

/** What a block does about the flags that it leaves. */
export type Outgoing =
  /** They follow from a record of its own. */
  | { readonly kind: 'shape'; readonly number: number; readonly shape: Shape }
  /** They are as they were. */
  | { readonly kind: 'same' }
  /** They are as they were, but what they follow from is lost: to memory with it before. */
  | { readonly kind: 'saved' };

/** What the flow needs to know of a block. */
export interface FlagBlock {
  readonly registers: readonly Node[];
  readonly flags: FlagRecord;
  /** Registers change before anything else of it, so that flags cannot follow from them. */
  readonly isBulk: boolean;
}

const MOST_ALTERNATIVES = 3;
const MOST_PASSES = 6;

const SAME: Outgoing = { kind: 'same' };
const ONLY_SAVED: Alternatives = new Map([[SAVED, FlagRecord.SAVED]]);

export class FlagFlow {
  private readonly blocks: readonly (FlagBlock | null)[];
  private readonly successors: readonly (readonly number[])[];
  private readonly sequence: readonly number[];
  private readonly numbers = new Map<string, number>();
  private readonly widened = new Set<number>();
  private readonly incoming: Alternatives[] = [];
  private readonly outgoing: Outgoing[] = [];

  /**
   * @param blocks the entry first; null for one that does nothing
   * @param sequence those that can be reached, in an order in which most come before those after
   */
  constructor(
    blocks: readonly (FlagBlock | null)[],
    successors: readonly (readonly number[])[],
    sequence: readonly number[],
  ) {
    this.blocks = blocks;
    this.successors = successors;
    this.sequence = sequence;
    for (const node of sequence) if (blocks[node]?.isBulk) this.widened.add(node);
    let back: Alternatives[] = blocks.map(() => new Map());
    for (let passes = 1; ; passes++) {
      if (passes > MOST_PASSES) for (const node of sequence) this.widened.add(node);
      const widened = this.widened.size;
      const next = this.pass(back);
      const isStable = next.every((alternatives, node) => isEqual(alternatives, back[node]));
      back = next;
      if (isStable && this.widened.size === widened) break;
    }
  }

  /** What the flags may follow from at the start of a block. */
  at(node: number): Alternatives {
    return this.incoming[node];
  }

  /** What a block does about them. */
  after(node: number): Outgoing {
    return this.outgoing[node];
  }

  /** What follows from the flags at the start of a block: an INCOMING node as any others. */
  resolve(node: number, x: Node): Node {
    const [[, first], ...others] = [...this.at(node)].reverse();
    return others.reduce(
      (value, [number, record]) => either(isNumber(number), record.resolve(x), value),
      first.resolve(x),
    );
  }

  /**
   * Once through all blocks, by what those before them leave.
   * @param back what edges back to each block brought in the pass before
   */
  private pass(back: readonly Alternatives[]): Alternatives[] {
    const incoming = back.map((alternatives) => new Map(alternatives));
    const next = back.map(() => new Map<number, FlagRecord>());
    incoming[0].set(SAVED, FlagRecord.SAVED);
    const done = new Set<number>();
    for (const node of this.sequence) {
      if (incoming[node].size > MOST_ALTERNATIVES) this.widened.add(node);
      const known = this.widened.has(node) ? ONLY_SAVED : incoming[node];
      this.incoming[node] = known;
      const out = this.leave(this.blocks[node], known);
      this.outgoing[node] = out;
      done.add(node);
      for (const to of this.successors[node]) {
        const into = done.has(to) ? next[to] : incoming[to];
        if (out.kind === 'shape') into.set(out.number, out.shape.record);
        else if (out.kind === 'saved') into.set(SAVED, FlagRecord.SAVED);
        else for (const [number, record] of known) into.set(number, record);
      }
    }
    return next;
  }

  private leave(block: FlagBlock | null, known: Alternatives): Outgoing {
    if (block === null) return SAME;
    const { flags, registers } = block;
    const [[number, only] = [SAVED, null]] = known;
    const before = known.size === 1 && number !== SAVED ? only : null;
    if (flags !== FlagRecord.INCOMING) return this.shaped(shapeOf(flags, registers, before));
    if (areIntact(known, registers)) return SAME;
    return before === null ? { kind: 'saved' } : this.shaped(shapeOf(before, registers, null));
  }

  private shaped(shape: Shape): Outgoing {
    const number = this.numbers.get(shape.key) ?? this.numbers.size + 1;
    this.numbers.set(shape.key, number);
    return { kind: 'shape', number, shape };
  }
}

/** The local says that it is a record. */
export function isNumber(number: number): Node {
  return narrow(1, Op.i32Eq, Type.I32, LOCALS[Slot.WHICH], int(number));
}

function areIntact(alternatives: Alternatives, registers: readonly Node[]): boolean {
  return [...alternatives].every(
    ([number, record]) => number === SAVED || isIntact(record, registers),
  );
}

function isEqual(a: Alternatives, b: Alternatives): boolean {
  return a.size === b.size && [...a.keys()].every((number) => b.has(number));
}

// Loops that only wait: each round reads the same places and computes the same from them, stores
// nothing, and counts nothing. As long as nobody writes, which during a turn nobody else does, one
// round is like the one before; so once one has come round, those that fit into the turn follow.

import type { RegionBlock } from './discovery.ts';
import { forEachEffect, valuesOf } from './effects.ts';
import { FlagRecord } from './flag-record.ts';
import { nodesOf } from './flag-shape.ts';
import { CompiledOffset } from './left-behind.ts';
import { type Node, Pseudo } from './nodes.ts';
import type { Shape } from './shape.ts';
import { changes } from './slot-changes.ts';

/** A loop that waits. */
export interface Wait {
  /** Number of the block where a round begins. */
  readonly header: number;
  /** Of a round. */
  readonly cycles: number;
  readonly instructions: number;
  /** There is one PAUSE in it, rather than none. */
  readonly hasPause: boolean;
}

/** Blocks of a round. */
const MOST_BLOCKS = 8;

const PAUSE_TIMES: readonly number[] = [CompiledOffset.FIRST, CompiledOffset.LAST];

/**
 * By the number of the block from which it goes back to where a round begins.
 * @param successors of each block, and of what is not a block
 */
export function waitsOf(
  blocks: readonly RegionBlock[],
  successors: readonly (readonly number[])[],
  shape: Shape,
): ReadonlyMap<number, Wait> {
  const predecessors: number[][] = successors.map(() => []);
  successors.forEach((targets, from) => {
    for (const to of new Set(targets)) {
      if (shape.order[from] >= 0 && shape.edge(from, to) !== 'cut') predecessors[to].push(from);
    }
  });
  const waits = new Map<number, Wait>();
  successors.forEach((targets, last) => {
    for (const header of new Set(targets)) {
      if (shape.order[last] < 0 || shape.edge(last, header) !== 'back') continue;
      const round = roundOf(header, last, predecessors);
      const wait =
        round === null
          ? null
          : waitOf(
              round.map((number) => blocks[number]),
              header,
            );
      if (wait !== null) waits.set(last, wait);
    }
  });
  return waits;
}

/** The blocks from the header to the last one, if that is the only way there. */
function roundOf(
  header: number,
  last: number,
  predecessors: readonly (readonly number[])[],
): number[] | null {
  const round = [last];
  while (round[0] !== header) {
    const [before, ...others] = predecessors[round[0]];
    if (before === undefined || others.length > 0 || round.length === MOST_BLOCKS) return null;
    round.unshift(before);
  }
  return round;
}

function waitOf(round: readonly (RegionBlock | undefined)[], header: number): Wait | null {
  const blocks = round.filter((block) => block !== undefined);
  if (blocks.length < round.length || !blocks.every(isQuiet) || !isSteady(blocks)) return null;
  let loads = 0;
  let pauses = 0;
  for (const { effects } of blocks) {
    forEachEffect(effects, ({ kind }) => {
      if (kind === 'load') loads++;
      if (kind === 'clock') pauses++;
    });
  }
  if (loads === 0 || pauses > 1) return null;
  const sum = (of: (block: RegionBlock) => number) => blocks.reduce((all, x) => all + of(x), 0);
  const cycles = sum((block) => block.cycles);
  const instructions = sum((block) => block.instructions);
  return { header, cycles, instructions, hasPause: pauses === 1 };
}

/** It stores nothing but the times of PAUSE. */
function isQuiet({ effects, declined, repeats, delay }: RegionBlock): boolean {
  let stores = declined !== null || repeats || delay !== null;
  forEachEffect(effects, (effect) => {
    if (effect.kind === 'store') stores = true;
    else if (effect.kind === 'storeState') stores ||= !PAUSE_TIMES.includes(effect.offset);
  });
  return !stores;
}

/** What it computes does not depend on what the round before has left in registers and flags. */
function isSteady(blocks: readonly RegionBlock[]): boolean {
  const written = new Set(blocks.flatMap(({ registers }) => changes(registers).map(([n]) => n)));
  const known = new Set<number>();
  let knowsFlags = false;
  const seen = new Set<Node>();
  const depends = (x: Node): boolean => {
    if (x.op === Pseudo.LOCAL) return written.has(x.local) && !known.has(x.local);
    if (x.op === Pseudo.INCOMING || x.op === Pseudo.SAVED) return !knowsFlags;
    if (seen.has(x)) return false;
    seen.add(x);
    return x.operands.some(depends);
  };
  for (const { effects, registers, flags, continuation } of blocks) {
    seen.clear();
    const used = [continuation, ...changes(registers).map(([, value]) => value)];
    forEachEffect(effects, (effect) => used.push(...valuesOf(effect)));
    const isOwn = flags !== FlagRecord.INCOMING;
    if (isOwn) used.push(...nodesOf(flags));
    if (used.some(depends)) return false;
    for (const [number] of changes(registers)) known.add(number);
    knowsFlags ||= isOwn;
  }
  return true;
}

// The blocks of a region as a graph, in which short loops stand several times, one round behind the
// other. What a round costs beside its instructions is then paid once for several: WebAssembly's
// look at the stack, the account, and moves that bring values to where the next round wants them.

import { type Discovered, directTargets, type RegionBlock } from './discovery.ts';
import { type Shape, shapeOf } from './shape.ts';

/** Blocks by number, the entry first. */
export interface RegionGraph {
  readonly blocks: readonly RegionBlock[];
  /** Which block a branch to an address leads to, or undefined if out of the region. */
  target(from: number, address: bigint): number | undefined;
  /** Where returns within the region may lead to. */
  readonly returnSites: readonly number[];
}

const MOST_ROUNDS = 4;
/** Of all rounds of a loop together; longer ones gain little. */
const MOST_INSTRUCTIONS = 64;
const MOST_BLOCKS = 16;

export function graphOf(discovered: Discovered): RegionGraph {
  const blocks = [...discovered.blocks.values()];
  const numbers = new Map(blocks.map(({ start }, number) => [start, number]));
  const returnSites = [...discovered.returnSites].flatMap((site) => numbers.get(site) ?? []);
  const successors = blocks.map((block) =>
    directTargets(block.continuation).flatMap((address) => numbers.get(address) ?? []),
  );
  // By block, those of its round and the first one of the next, by what they are copies of.
  const rounds = new Map<number, ReadonlyMap<number, number>>();
  for (const { header, body } of innermostLoops(successors)) {
    if (returnSites.some((site) => body.has(site))) continue;
    const original = new Map([...body].map((number) => [number, number]));
    const all = [original];
    for (let left = roundsOf([...body].map((number) => blocks[number])); left > 1; left--) {
      all.push(new Map([...body].map((number) => [number, blocks.push(blocks[number]) - 1])));
    }
    all.forEach((round, i) => {
      const next = all[(i + 1) % all.length].get(header) as number;
      for (const copy of round.values()) rounds.set(copy, new Map([...round, [header, next]]));
    });
  }
  const target = (from: number, address: bigint) => {
    const to = numbers.get(address);
    return to === undefined ? undefined : (rounds.get(from)?.get(to) ?? to);
  };
  return { blocks, target, returnSites };
}

/** A loop with no other loop in it. */
interface Loop {
  readonly header: number;
  readonly body: ReadonlySet<number>;
}

function innermostLoops(successors: readonly (readonly number[])[]): Loop[] {
  const shape = shapeOf(successors);
  const loops = successors.flatMap((_, header) =>
    shape.isLoopHeader[header] ? [{ header, body: bodyOf(header, successors, shape) }] : [],
  );
  return loops.filter(({ header, body }) =>
    [...body].every((number) => number === header || !shape.isLoopHeader[number]),
  );
}

/** What leads back to the header without passing it. */
function bodyOf(
  header: number,
  successors: readonly (readonly number[])[],
  shape: Shape,
): ReadonlySet<number> {
  const body = new Set([header]);
  const isBack = (from: number) =>
    shape.order[from] >= 0 &&
    successors[from].some((to) =>
      to === header
        ? shape.edge(from, to) === 'back'
        : body.has(to) && shape.edge(from, to) !== 'cut',
    );
  for (let size = 0; size !== body.size; ) {
    size = body.size;
    for (const from of successors.keys()) if (isBack(from)) body.add(from);
  }
  return body;
}

/** How often a loop of these blocks stands in the region. */
function roundsOf(body: readonly RegionBlock[]): number {
  // What is repeated is done in bulk, and who waits is in no hurry.
  const isPlain = body.every(
    ({ repeats, effects }) => !repeats && effects.every(({ kind }) => kind !== 'clock'),
  );
  if (!isPlain || body.length * 2 > MOST_BLOCKS) return 1;
  const instructions = body.reduce((sum, block) => sum + block.instructions, 0);
  const most = Math.min(MOST_INSTRUCTIONS / instructions, MOST_BLOCKS / body.length);
  return Math.max(1, Math.min(MOST_ROUNDS, Math.floor(most)));
}

// `npm run walks`: random walks of the debugger through each scene, for as long as it takes. Prints
// the moves that led to a state that differs by how one came to it.

import { parseArgs } from 'node:util';
import { type Difference, type Move, SCENES, type Scene, walk } from './walk.ts';

const USAGE = `npm run walks -- [--moves N] [--seed N] [--walks N] [--held] [--scene TEXT]
  --moves  of each walk (default 4000)
  --seed   of the first walk (default 1)
  --walks  how many through each scene (default 1)
  --held   hold each new place against a run that goes straight there; takes long
  --scene  only those with this in their name: ${SCENES.map(({ name }) => name).join('; ')}`;

/** Moves that are shown of a walk that came to a difference: the last ones. */
const SHOWN = 12;

interface Wanted {
  readonly scenes: readonly Scene[];
  readonly moves: number;
  readonly first: number;
  readonly walks: number;
  readonly isHeld: boolean;
}

function wantedFrom(args: readonly string[]): Wanted {
  const text = { type: 'string' } as const;
  const options = {
    moves: text,
    seed: text,
    walks: text,
    scene: text,
    held: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args: [...args], options, strict: true });
  const { moves = '4000', seed = '1', walks = '1', scene = '' } = values;
  const scenes = SCENES.filter(({ name }) => name.includes(scene));
  if (scenes.length === 0) throw new RangeError(`no scene has '${scene}' in its name`);
  return {
    scenes,
    moves: count(moves, '--moves', 1),
    first: count(seed, '--seed', 0),
    walks: count(walks, '--walks', 1),
    isHeld: values.held === true,
  };
}

function count(text: string, name: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= 0x7fffffff) return value;
  throw new RangeError(`${name} takes a number from ${least} on, not '${text}'`);
}

function main(): void {
  let wanted: Wanted;
  try {
    wanted = wantedFrom(process.argv.slice(2));
  } catch (thrown) {
    console.error(`${(thrown as Error).message}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const { scenes, moves, first, walks, isHeld } = wanted;
  for (const scene of scenes) {
    for (let seed = first; seed < first + walks; seed++) {
      const { forward, backward, difference } = walk(scene, moves, seed, isHeld);
      const steps = `${forward} steps forward, ${backward} back`;
      const result = difference === null ? 'the same states' : 'another state';
      console.log(`${scene.name}, seed ${seed}: ${steps}: ${result}`);
      if (difference === null) continue;
      process.exitCode = 1;
      for (const line of linesOf(difference)) console.log(`  ${line}`);
    }
  }
}

function linesOf({ place, moves, items }: Difference): readonly string[] {
  const { event, pcpu, time } = place;
  const left = Math.max(moves.length - SHOWN, 0);
  const shown = moves.slice(left);
  return [
    `at event ${event}, pCPU ${pcpu} at ${time} cycles, behind ${moves.length} moves; the last:`,
    ...shown.map((move, i) => `${left + i + 1}. ${moveText(move)}`),
    'the state beside that to which one gets without a pause:',
    ...items,
  ];
}

function moveText(move: Move): string {
  if (move.kind === 'goto') return `goto ${JSON.stringify(move.to)}`;
  if (move.kind === 'run') return `${move.direction} ${JSON.stringify(move.motion)}`;
  return `${move.direction} to code at 0x${move.address.toUnsigned().toString(16)}`;
}

main();

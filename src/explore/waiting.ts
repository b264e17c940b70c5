// Who only waits, where somebody decides by priorities who goes on: a vCPU that has come to the
// very state where it was, all by itself, would go round for ever. It sleeps, so to speak, until
// somebody else touches what it has looked at.

import type { Footprint } from './footprint.ts';
import { type Action, ActionKind, kindOf, vcpuOf, type World } from './world.ts';

type Range = Footprint['ranges'][number];

/** Where a vCPU was, and what it has looked at since. */
interface Mark {
  readonly registers: number;
  readonly state: number;
  readonly ranges: Range[];
}

/** Steps in a row before the first mark. */
const FIRST_MARK = 16;

export class Waiting {
  private readonly world: World;
  /** By vCPU, what those that sleep have looked at. */
  private readonly asleep = new Map<number, readonly Range[]>();
  private last = -1;
  private steps = 0;
  private mark: Mark | null = null;

  constructor(world: World) {
    this.world = world;
  }

  /** True if a step of a vCPU would only lead it round once more. */
  isVain(action: Action): boolean {
    return kindOf(action) === ActionKind.STEP && this.asleep.has(vcpuOf(action));
  }

  /** Before a choice: true if whoever has gone on until now goes round, and is asleep from here. */
  goesRound(): boolean {
    const { mark, world, last } = this;
    if (mark === null || world.registersOf(last) !== mark.registers) return false;
    if (world.keyOf(world.save()) !== mark.state) return false;
    this.asleep.set(last, mark.ranges);
    this.mark = null;
    this.last = -1;
    return true;
  }

  /** An action is about to be taken. */
  takes(action: Action): void {
    const { world } = this;
    const vcpu = vcpuOf(action);
    const footprint = world.footprintOf(action);
    const isStep = kindOf(action) === ActionKind.STEP;
    for (const [sleeper, ranges] of this.asleep) {
      const isOwn = sleeper === vcpu;
      if (isOwn || footprint.scope !== 'registers' || meets(footprint.ranges, ranges)) {
        this.asleep.delete(sleeper);
      }
    }
    if (!isStep || vcpu !== this.last) {
      this.last = isStep ? vcpu : -1;
      this.steps = 0;
      this.mark = null;
      return;
    }
    this.steps++;
    const isPlace = this.steps >= FIRST_MARK && (this.steps & (this.steps - 1)) === 0;
    if (isPlace) {
      const state = world.keyOf(world.save());
      this.mark = { registers: world.registersOf(vcpu), state, ranges: [] };
    }
    this.mark?.ranges.push(...footprint.ranges);
  }
}

/** True if one of these writes what one of those accesses. */
function meets(ranges: readonly Range[], others: readonly Range[]): boolean {
  return ranges.some(
    ({ hpa, lengthBytes, isWrite }) =>
      isWrite &&
      others.some((other) => hpa < other.hpa + other.lengthBytes && other.hpa < hpa + lengthBytes),
  );
}

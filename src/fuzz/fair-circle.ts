// Whether a schedule comes to a state where it was, though everything that could happen there has
// happened meanwhile: then nothing keeps it from going on like that for ever.

import type { Action, World } from '../explore/index.ts';

export class FairCircle {
  /** Steps after which each state was there last, by its key. */
  private readonly seen = new Map<number, number>();
  /** Steps after which each action was taken last. */
  private readonly taken = new Map<Action, number>();

  /** An action is taken, as which step (from 1). */
  took(action: Action, step: number): void {
    this.taken.set(action, step);
  }

  /** The state after so many steps, and what can happen in it. */
  isClosed(world: World, enabled: readonly Action[], step: number): boolean {
    const key = world.keyOf(world.save());
    const before = this.seen.get(key);
    if (before === undefined) {
      this.seen.set(key, step);
      return false;
    }
    return enabled.every((action) => (this.taken.get(action) ?? 0) > before);
  }
}

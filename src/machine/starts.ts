// When and where the threads of a scenario begin: after a delay, on which of the pCPUs that are
// equally good. What is left to chance comes from streams of their own, so that neither changes
// anything else that the seed decides.

import type { Host, Thread } from '../host/index.ts';
import { Hash, Prng } from '../sim/index.ts';
import type { DurationRange } from './schema.ts';

/** Of pCPUs with equally few threads, a new thread gets the first, or one by seed. */
export const PLACEMENTS = ['first', 'seed'] as const;

export type Placement = (typeof PLACEMENTS)[number];

export class Starts {
  private readonly host: Host;
  private readonly placement: Placement;
  private readonly delays: Prng;
  private readonly places: Prng;

  constructor(host: Host, placement: Placement, seed: number) {
    this.host = host;
    this.placement = placement;
    this.delays = streamOf('start delay', seed);
    this.places = streamOf('start place', seed);
  }

  /** Start a thread after a delay, before the run begins. */
  start(thread: Thread, { leastNs, mostNs }: DurationRange): void {
    const { host } = this;
    const order = this.placement === 'seed' ? this.shuffled(thread.affinity) : thread.affinity;
    const delayNs = leastNs + Math.round((this.delays.next() / 2 ** 32) * (mostNs - leastNs));
    if (delayNs === 0) {
      host.scheduler.start(thread, order);
      return;
    }
    const timer = `start/${thread.id}`;
    host.timers.register(timer, (actor) => {
      // An interrupt for a vCPU may have started it earlier.
      if (thread.state.status === 'blocked') host.scheduler.start(thread, order, actor);
    });
    const expires = host.frequency.toCycles(delayNs);
    host.timers.arm(timer, expires, host.pcpus[thread.affinity[0]]);
  }

  private shuffled(affinity: readonly number[]): readonly number[] {
    const order = [...affinity];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.places.below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}

function streamOf(purpose: string, seed: number): Prng {
  const digest = new Hash().text(purpose).number(seed).digest();
  return new Prng(Number.parseInt(digest.slice(0, 13), 16));
}

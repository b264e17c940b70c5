// A fair queue in a given situation, without a host: threads a, b, c, ... that wait, each with a
// virtual run time, and one that runs.

import { type FairTunables, RunQueue, Thread, weightOfNice } from '../../src/host/index.ts';

/** As on one pCPU, in round numbers. */
export const TUNABLES: FairTunables = {
  latencyNs: 6_000_000,
  minGranularityNs: 750_000,
  wakeupGranularityNs: 1_000_000,
  nrLatency: 8,
  hasSkipBuddy: true,
  tickNs: 4_000_000,
};

/** A thread by name, with its virtual run time and nice level. */
export interface ThreadSpec {
  readonly name: string;
  readonly vruntime?: number;
  readonly nice?: number;
}

export interface Situation {
  readonly waiting?: readonly ThreadSpec[];
  readonly running?: ThreadSpec;
  /** Threads that exist, but are not on this queue. */
  readonly elsewhere?: readonly ThreadSpec[];
  readonly next?: string;
  readonly last?: string;
  readonly skip?: string;
}

export class QueueBench {
  readonly threads: Thread[] = [];
  readonly queue: RunQueue;

  constructor(situation: Situation, tunables: FairTunables = TUNABLES) {
    this.queue = new RunQueue('cfs', tunables, this.threads);
    const { waiting = [], running, elsewhere = [] } = situation;
    for (const spec of [...waiting, ...(running === undefined ? [] : [running]), ...elsewhere]) {
      this.create(spec);
    }
    for (const { name } of waiting) this.queue.root.line.state.queued.push(this.thread(name).id);
    this.queue.root.line.state.queued.sort((a, b) => this.vruntimeOf(a) - this.vruntimeOf(b));
    if (running !== undefined) this.queue.root.line.state.current = this.thread(running.name).id;
    const least = [...waiting, ...(running === undefined ? [] : [running])];
    this.queue.root.line.state.minVruntime = Math.min(...least.map(({ vruntime = 0 }) => vruntime));
    if (least.length === 0) this.queue.root.line.state.minVruntime = 0;
    for (const buddy of ['next', 'last', 'skip'] as const) {
      const name = situation[buddy];
      if (name !== undefined) this.queue.root.line.state[buddy] = this.thread(name).id;
    }
  }

  private create({ name, vruntime = 0, nice = 0 }: ThreadSpec): void {
    const id = this.threads.length;
    const body = {
      run: () => 'block' as const,
      interrupted: () => false,
      schedIn: () => {},
      schedOut: () => {},
    };
    const thread = new Thread(id, 1000 + id, weightOfNice(nice), {
      ...{ name, nice, affinity: [0], body },
    });
    thread.state.vruntime = vruntime;
    this.threads.push(thread);
  }

  private vruntimeOf(id: number): number {
    return this.threads[id].state.vruntime;
  }

  thread(name: string): Thread {
    return this.threads.find((thread) => thread.name === name) as Thread;
  }

  /** Names of those that wait, in order. */
  get waiting(): string[] {
    return this.queue.waiting.map(({ name }) => name);
  }

  /** The running thread goes on waiting, and the queue chooses. */
  pick(): string | null {
    const { current } = this.queue.root.line.state;
    const previous = current < 0 ? null : this.threads[current];
    this.queue.putPrevious(true);
    return this.queue.pickNext(0, previous)?.name ?? null;
  }

  /** Name of a buddy, or null. */
  buddy(kind: 'next' | 'last' | 'skip'): string | null {
    const id = this.queue.root.line.state[kind];
    return id < 0 ? null : this.threads[id].name;
  }
}

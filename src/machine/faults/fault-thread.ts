// Threads that faults take pCPUs away with: one that computes until a time, and in passing moves
// others. What there is to do is plain data of the injector's.

import type { Pcpu, Thread, ThreadBody } from '../../host/index.ts';

/** What a thread has to do. Plain data. */
export interface FaultWork {
  /** Cycles of its pCPU's clock up to which it computes. */
  until: number;
  /** Ids of threads that leave this pCPU, and the index of the one that each goes to. */
  moves: [thread: number, pcpu: number][];
}

/** @param workOf what there is to do, as it is now */
export function faultThreadBody(threads: readonly Thread[], workOf: () => FaultWork): ThreadBody {
  return {
    run(pcpu: Pcpu) {
      if (pcpu.interruptPending) {
        pcpu.handleInterrupts();
        if (pcpu.needResched) return 'resched';
      }
      const work = workOf();
      for (const [thread, to] of work.moves.splice(0)) {
        const { scheduler, pcpus } = pcpu.host;
        scheduler.move(threads[thread], pcpus[to], pcpu);
      }
      const { until } = work;
      if (pcpu.now >= until) return 'block';
      if (pcpu.maySkip && until >= pcpu.limit) {
        pcpu.quietUntil = until;
        return 'quiet';
      }
      pcpu.advanceTo(Math.max(pcpu.now, Math.min(pcpu.limit, until)), 'host');
      // The turn ends first, also where it was left out.
      return pcpu.now >= pcpu.limit ? 'limit' : 'block';
    },
    interrupted: () => true,
    schedIn: () => {},
    schedOut: () => {},
  };
}

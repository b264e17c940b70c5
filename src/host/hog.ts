// A thread that computes in user mode and never sleeps: the competition for pCPUs. The kernel gets
// hold of it only by an interrupt; that somebody wants its pCPU it does not see before.

import type { Pcpu } from './pcpu.ts';
import type { ThreadBody } from './thread.ts';

export const HOG_BODY: ThreadBody = {
  run(pcpu: Pcpu) {
    if (pcpu.interruptPending) {
      pcpu.handleInterrupts();
      if (pcpu.needResched) return 'resched';
    }
    if (pcpu.maySkip) {
      pcpu.quietUntil = Number.POSITIVE_INFINITY;
      return 'quiet';
    }
    pcpu.advanceTo(Math.max(pcpu.limit, pcpu.now), 'host');
    return 'limit';
  },
  interrupted: () => true,
  schedIn: () => {},
  schedOut: () => {},
};

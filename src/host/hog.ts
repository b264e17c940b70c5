// A thread that computes and never sleeps: the competition for pCPUs.

import type { Pcpu } from './pcpu.ts';
import type { ThreadBody } from './thread.ts';

export const HOG_BODY: ThreadBody = {
  run(pcpu: Pcpu, limit: number) {
    if (pcpu.needResched) return 'resched';
    pcpu.advanceTo(Math.max(limit, pcpu.now), 'host');
    return 'limit';
  },
  interrupted: () => false,
  schedIn: () => {},
  schedOut: () => {},
};

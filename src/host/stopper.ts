// The kernel's thread of real time on each pCPU by which another pCPU gets what runs there: it
// takes the pCPU, and moves who ran. Linux kernel/stop_machine.c.

import type { Pcpu } from './pcpu.ts';
import type { ThreadBody } from './thread.ts';

export const STOPPER_BODY: ThreadBody = {
  run(pcpu: Pcpu) {
    if (pcpu.interruptPending) pcpu.handleInterrupts();
    pcpu.host.scheduler.balancer.pushed(pcpu);
    pcpu.host.scheduler.expel(pcpu);
    return 'block';
  },
  interrupted: () => true,
  schedIn: () => {},
  schedOut: () => {},
};

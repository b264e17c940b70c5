// External interrupt: something wants the pCPU. The run loop has called the host's handlers
// already, as the kernel does before it dispatches (handle_external_interrupt_irqoff).

import type { ExitHandler } from './handler.ts';

export const externalInterrupt: ExitHandler = (vcpu) => {
  vcpu.counters.irq_exits++;
  return 'resume';
};

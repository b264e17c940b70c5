// Interrupt window: the guest can take the interrupt that waits for it now.
// Linux arch/x86/kvm/vmx/vmx.c, handle_interrupt_window.

import { Primary } from '../../vmx/index.ts';
import { setWindow } from '../inject.ts';
import type { ExitHandler } from './handler.ts';

export const interruptWindow: ExitHandler = (vcpu) => {
  setWindow(vcpu, Primary.INTR_WINDOW_EXITING, false);
  vcpu.requestEvent();
  vcpu.counters.irq_window_exits++;
  return 'resume';
};

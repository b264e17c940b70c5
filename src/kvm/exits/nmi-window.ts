// NMI window: the guest can take the NMI that waits for it now.
// Linux arch/x86/kvm/vmx/vmx.c, handle_nmi_window.

import { Primary } from '../../vmx/index.ts';
import { setWindow } from '../inject.ts';
import type { ExitHandler } from './handler.ts';

export const nmiWindow: ExitHandler = (vcpu) => {
  setWindow(vcpu, Primary.NMI_WINDOW_EXITING, false);
  vcpu.requestEvent();
  vcpu.counters.nmi_window_exits++;
  return 'resume';
};

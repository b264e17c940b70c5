// PAUSE: the guest spins. Linux arch/x86/kvm/vmx/vmx.c, handle_pause.

import type { Pcpu } from '../../host/index.ts';
import { grownWindow } from '../ple-window.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

export const pauseInstruction: ExitHandler = (vcpu, pcpu) => {
  setPleWindow(vcpu, grownWindow(vcpu.state.pleWindow, vcpu.vm.parameters), pcpu);
  vcpu.skipInstruction();
  return vcpu.vm.decisions.spin(vcpu, pcpu);
};

/** Change the window; it is written to the VMCS before the next entry. */
export function setPleWindow(vcpu: Vcpu, window: number, pcpu: Pcpu): void {
  const old = vcpu.state.pleWindow;
  if (window === old) return;
  vcpu.state.pleWindow = window;
  if (pcpu.traced) pcpu.trace('kvm_ple_window_update', { vcpu: vcpu.index, old, new: window });
}

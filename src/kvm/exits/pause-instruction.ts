// PAUSE: the guest spins. Linux arch/x86/kvm/vmx/vmx.c, handle_pause.

import type { Pcpu } from '../../host/index.ts';
import { grownWindow, shrunkWindow } from '../ple-window.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

export const pauseInstruction: ExitHandler = (vcpu, pcpu) => {
  setPleWindow(vcpu, true, pcpu);
  vcpu.skipInstruction();
  return vcpu.vm.decisions.spin(vcpu, pcpu);
};

/**
 * Change the window; it is written to the VMCS before the next entry.
 * @param grow after a PAUSE-loop exit, rather than when the vCPU is scheduled in
 */
export function setPleWindow(vcpu: Vcpu, grow: boolean, pcpu: Pcpu): void {
  const { parameters } = vcpu.vm;
  const old = vcpu.state.pleWindow;
  const window = grow ? grownWindow(old, parameters) : shrunkWindow(old, parameters);
  vcpu.state.pleWindow = window;
  if (!pcpu.traced) return;
  const fields = { vcpu: vcpu.index, old, new: window };
  if (parameters.tracesSteadyWindows) {
    if (parameters.pleGap !== 0) pcpu.trace('kvm_ple_window', { grow, ...fields });
  } else if (window !== old) pcpu.trace('kvm_ple_window_update', fields);
}

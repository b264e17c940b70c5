// Triple fault: the guest is beyond help; user space decides what a shutdown means.
// Linux arch/x86/kvm/vmx/vmx.c, handle_triple_fault.

import type { ExitHandler } from './handler.ts';

export const tripleFault: ExitHandler = () => ({ reason: 'SHUTDOWN' });

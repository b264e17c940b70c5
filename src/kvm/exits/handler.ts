// What an exit handler is.

import type { Pcpu } from '../../host/index.ts';
import type { KvmExit } from '../kvm-exit.ts';
import type { Vcpu } from '../vcpu.ts';

/**
 * What is to happen after a handler: enter the guest again, give the pCPU away first (the handler
 * has told the scheduler to whom), sleep for 100 us first, or let user space deal with the exit.
 */
export type HandlerResult = 'resume' | 'yield' | 'doze' | KvmExit;

/**
 * Deals with one exit of a vCPU. Reads the VMCS, changes the guest, and spends what that costs on
 * the pCPU; the way from and to the guest has its own cost.
 */
export type ExitHandler = (vcpu: Vcpu, pcpu: Pcpu) => HandlerResult;

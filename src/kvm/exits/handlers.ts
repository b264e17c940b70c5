// Which handler deals with which exit. A virtual machine may replace any of them.
// Linux arch/x86/kvm/vmx/vmx.c, kvm_vmx_exit_handlers.

import { EXIT_REASONS, Exit, type ExitReasonName } from '../../vmx/index.ts';
import { apicAccess } from './apic-access.ts';
import { cpuid } from './cpuid.ts';
import { crAccess } from './cr-access.ts';
import { descriptorTable } from './descriptor-table.ts';
import { drAccess } from './dr-access.ts';
import { eptMisconfig } from './ept-misconfig.ts';
import { eptViolation } from './ept-violation.ts';
import { exceptionNmi } from './exception-nmi.ts';
import { externalInterrupt } from './external-interrupt.ts';
import type { ExitHandler } from './handler.ts';
import { hlt } from './hlt.ts';
import { interruptWindow } from './interrupt-window.ts';
import { invlpg } from './invlpg.ts';
import { invpcid } from './invpcid.ts';
import { ioInstruction } from './io-instruction.ts';
import { monitorTrap } from './monitor-trap.ts';
import { msrRead } from './msr-read.ts';
import { msrWrite } from './msr-write.ts';
import { nmiWindow } from './nmi-window.ts';
import { noOperation } from './no-operation.ts';
import { pauseInstruction } from './pause-instruction.ts';
import { preemptionTimer } from './preemption-timer.ts';
import { rdpmc } from './rdpmc.ts';
import { rdtsc, rdtscp } from './rdtsc.ts';
import { taskSwitch } from './task-switch.ts';
import { tprBelowThreshold } from './tpr-below-threshold.ts';
import { tripleFault } from './triple-fault.ts';
import { vmcall } from './vmcall.ts';
import { vmxInstruction } from './vmx-instruction.ts';

/** Handlers by exit reason; an exit without handler is an internal error. */
export type ExitHandlers = Partial<Readonly<Record<ExitReasonName, ExitHandler>>>;

export const EXIT_HANDLERS: ExitHandlers = {
  EXCEPTION_NMI: exceptionNmi,
  EXTERNAL_INTERRUPT: externalInterrupt,
  TRIPLE_FAULT: tripleFault,
  INTERRUPT_WINDOW: interruptWindow,
  NMI_WINDOW: nmiWindow,
  TASK_SWITCH: taskSwitch,
  CPUID: cpuid,
  HLT: hlt,
  INVD: noOperation,
  INVLPG: invlpg,
  INVPCID: invpcid,
  VMCALL: vmcall,
  CR_ACCESS: crAccess,
  DR_ACCESS: drAccess,
  GDTR_IDTR: descriptorTable,
  LDTR_TR: descriptorTable,
  IO_INSTRUCTION: ioInstruction,
  MSR_READ: msrRead,
  MSR_WRITE: msrWrite,
  PAUSE_INSTRUCTION: pauseInstruction,
  TPR_BELOW_THRESHOLD: tprBelowThreshold,
  APIC_ACCESS: apicAccess,
  EPT_MISCONFIG: eptMisconfig,
  EPT_VIOLATION: eptViolation,
  PREEMPTION_TIMER: preemptionTimer,
  MONITOR_INSTRUCTION: noOperation,
  MONITOR_TRAP_FLAG: monitorTrap,
  MWAIT_INSTRUCTION: noOperation,
  RDPMC: rdpmc,
  RDTSC: rdtsc,
  RDTSCP: rdtscp,
  WBINVD: noOperation,
  INVEPT: vmxInstruction,
  INVVPID: vmxInstruction,
  VMCLEAR: vmxInstruction,
  VMLAUNCH: vmxInstruction,
  VMOFF: vmxInstruction,
  VMON: vmxInstruction,
  VMPTRLD: vmxInstruction,
  VMPTRST: vmxInstruction,
  VMREAD: vmxInstruction,
  VMRESUME: vmxInstruction,
  VMWRITE: vmxInstruction,
};

const NAMED: Readonly<Record<string, ExitHandler>> = {
  apicAccess,
  cpuid,
  crAccess,
  descriptorTable,
  drAccess,
  eptMisconfig,
  eptViolation,
  exceptionNmi,
  externalInterrupt,
  hlt,
  interruptWindow,
  invlpg,
  invpcid,
  ioInstruction,
  monitorTrap,
  msrRead,
  msrWrite,
  nmiWindow,
  noOperation,
  pauseInstruction,
  preemptionTimer,
  rdpmc,
  rdtsc,
  rdtscp,
  taskSwitch,
  tprBelowThreshold,
  tripleFault,
  vmcall,
  vmxInstruction,
};

/** What the standard handler of a reason is called, for help; null if there is none. */
export function handlerName(reason: ExitReasonName): string | null {
  const handler = EXIT_HANDLERS[reason];
  return Object.keys(NAMED).find((name) => NAMED[name] === handler) ?? null;
}

const REASON_COUNT = 1 + Math.max(...EXIT_REASONS.map(({ number }) => number));

/** By number of the basic exit reason: every exit asks, and a name that varies is looked up slowly. */
export function handlersByReason(handlers: ExitHandlers): readonly (ExitHandler | undefined)[] {
  const byReason = new Array<ExitHandler | undefined>(REASON_COUNT).fill(undefined);
  for (const [name, handler] of Object.entries(handlers)) {
    byReason[Exit[name as ExitReasonName]] = handler;
  }
  return byReason;
}

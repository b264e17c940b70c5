// How a run can end, and the exit code that says so. A guest that writes to the exit port decides
// its code as under QEMU, (value << 1) | 1, which is always odd; vmxlab's own codes are even.

import { Rflags } from '../cpu/index.ts';
import type { KvmExit, Vcpu, Vm } from '../kvm/index.ts';
import { type EntryExplanation, exitReasonName, fieldIndex } from '../vmx/index.ts';
import { printDuration } from './schema.ts';

export type EndingStatus =
  /** The guest wrote to the exit port. */
  | 'exited'
  /** Every vCPU is halted with interrupts off, or nothing can wake it. */
  | 'halted'
  /** A limit of the scenario was reached. */
  | 'limit'
  /** Whoever runs the machine has stopped it; the machine itself never ends so. */
  | 'interrupted'
  | 'tripleFault'
  /** The guest asked for a reset of the machine. */
  | 'reset'
  /** Some vCPU waits for an interrupt that can never come. */
  | 'deadlock'
  | 'notImplemented'
  | 'entryFailed'
  | 'kvmError'
  /** Code of the user in the place of a decision has failed. */
  | 'policyFailed';

/** Plain data, saved with the machine. */
export interface MachineEnding {
  readonly status: EndingStatus;
  readonly exitCode: number;
  /** What happened, as a sentence without a full stop. */
  readonly message: string;
  /** The vCPU concerned, or null. */
  readonly vcpu: { readonly vm: number; readonly index: number } | null;
}

/** Endings that neither the guest decides nor whoever runs the machine. */
type OwnStatus = Exclude<EndingStatus, 'exited' | 'interrupted'>;

/** Exit codes of runs that the guest did not end itself. */
export const EXIT_CODES: Readonly<Record<OwnStatus, number>> = {
  halted: 0,
  limit: 4,
  tripleFault: 6,
  deadlock: 8,
  notImplemented: 10,
  entryFailed: 12,
  kvmError: 14,
  reset: 16,
  policyFailed: 20,
};

function ending(status: OwnStatus, message: string, vcpu: Vcpu | null): MachineEnding {
  return { status, exitCode: EXIT_CODES[status], message, vcpu: vcpu === null ? null : idOf(vcpu) };
}

function idOf(vcpu: Vcpu): { vm: number; index: number } {
  return { vm: vcpu.vm.id, index: vcpu.index };
}

export const Ending = {
  exited(vcpu: Vcpu, value: number): MachineEnding {
    const exitCode = ((value << 1) | 1) & 0xff;
    const message = `vCPU ${vcpu.index} wrote ${value} to the exit port`;
    return { status: 'exited', exitCode, message, vcpu: idOf(vcpu) };
  },
  tripleFault(vcpu: Vcpu): MachineEnding {
    return ending('tripleFault', `vCPU ${vcpu.index} met a triple fault`, vcpu);
  },
  reset(vcpu: Vcpu, port: number): MachineEnding {
    const where = `port 0x${port.toString(16)}`;
    return ending('reset', `vCPU ${vcpu.index} reset the machine, by ${where}`, vcpu);
  },
  notImplemented(vcpu: Vcpu, message: string): MachineEnding {
    return ending('notImplemented', `vCPU ${vcpu.index}: ${message}`, vcpu);
  },
  kvmError(vcpu: Vcpu, message: string): MachineEnding {
    return ending('kvmError', `vCPU ${vcpu.index}: ${message}`, vcpu);
  },
  entryFailed(vcpu: Vcpu, exit: Extract<KvmExit, { reason: 'FAIL_ENTRY' }>): MachineEnding {
    const code = `0x${exit.hardwareReason.toString(16)}`;
    const { rule, fields, section } = exit.why;
    const values = fields.map(({ name, value }) => `${name} 0x${value.toUnsigned().toString(16)}`);
    const read = values.length === 0 ? '' : `${values.join(', ')}; `;
    const why = `the check that failed: ${rule} (${read}SDM 3, "${section}")`;
    const what = `VM entry failed with ${code} (${reportText(exit.why)}); ${why}`;
    return ending('entryFailed', `vCPU ${vcpu.index}: ${what}`, vcpu);
  },
  policyFailed(problem: string, ns: number): MachineEnding {
    const hint = `--until ${Math.max(1, ns - 1)}ns stops the same run just before`;
    return ending('policyFailed', `${problem}, at ${ns} ns; ${hint}`, null);
  },
  /** Who runs the machine, or decides its order, has seen enough. */
  stopped(message: string): MachineEnding {
    return ending('limit', message, null);
  },
  limit(which: 'time' | 'instructions', value: number): MachineEnding {
    const text = which === 'time' ? printDuration(value) : `${value} instructions`;
    const flag = which === 'time' ? '--until' : '--max-instructions';
    const hint = `raise it with ${flag}, or limits.${which} in a scenario`;
    return ending('limit', `still running after ${text}, the limit; ${hint}`, null);
  },
};

/** How the processor has told of an entry that failed. */
function reportText({ report }: EntryExplanation): string {
  switch (report.kind) {
    case 'VMfailInvalid':
      return report.kind;
    case 'VMfailValid':
      return `${report.kind}: ${report.meaning}`;
    case 'entryFailure': {
      const { reason, qualification } = report;
      return `${exitReasonName(reason)}, qualification ${qualification}`;
    }
  }
}

const RFLAGS = fieldIndex('GUEST_RFLAGS');

/** The ending of a machine whose vCPUs all sleep for good. */
export function endingOfHalt(vm: Vm): MachineEnding {
  const waiting = vm.vcpus.filter(
    ({ state, virtual }) =>
      state.phase !== 'ended' && (virtual.vmcs.get32(RFLAGS) & Rflags.IF) !== 0,
  );
  if (waiting.length === 0) {
    const hasWaiting = vm.vcpus.some(({ isStarted }) => !isStarted);
    const orWaits = hasWaiting ? ', or waits for INIT and a start-up IPI' : '';
    return ending('halted', `every vCPU is halted with interrupts off${orWaits}`, null);
  }
  const list = waiting.map(waitOf).join('; ');
  return ending('deadlock', `nothing can happen any more: ${list}`, waiting[0]);
}

function waitOf(vcpu: Vcpu): string {
  const rip = vcpu.rip.toUnsigned().toString(16);
  return `vCPU ${vcpu.index} at 0x${rip} waits for an interrupt, but ${obstacleOf(vcpu)}`;
}

function obstacleOf({ lapic }: Vcpu): string {
  if (!lapic.isEnabled) return 'its local APIC is not enabled';
  if (lapic.requestedVector < 0) return 'no timer is armed and no other vCPU runs';
  const vector = `0x${lapic.requestedVector.toString(16)}`;
  const priority = `0x${lapic.processorPriority.toString(16)}`;
  return `its processor priority, ${priority}, holds back vector ${vector}`;
}

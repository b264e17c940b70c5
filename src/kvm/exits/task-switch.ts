// A task switch, done for the guest: an event that came through a task gate counts as delivered,
// and a task that an instruction leaves goes on behind it. Linux arch/x86/kvm/vmx/vmx.c,
// handle_task_switch, and x86.c, kvm_task_switch.

import Long from 'long';
import {
  Blocking,
  EventTypes,
  GuestFault,
  OwnerStop,
  switchTask,
  TaskSource,
  type TaskSourceNumber,
  type TaskSwitch,
  Vector,
  Word,
} from '../../cpu/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { InternalError } from '../kvm-exit.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler, HandlerResult } from './handler.ts';

const F = {
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
  IDT_INFO: fieldIndex('IDT_VECTORING_INFO_FIELD'),
  IDT_ERROR_CODE: fieldIndex('IDT_VECTORING_ERROR_CODE'),
  LENGTH: fieldIndex('VM_EXIT_INSTRUCTION_LEN'),
  RIP: fieldIndex('GUEST_RIP'),
} as const;

const HAS_ERROR_CODE = 1 << 11;

/** Events at whose return the task goes on where it was. */
const BETWEEN_INSTRUCTIONS: readonly number[] = [
  EventTypes.EXTERNAL_INTERRUPT,
  EventTypes.NMI,
  EventTypes.HARDWARE_EXCEPTION,
];

export const taskSwitch: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.emulate);
  const { vmcs } = vcpu.virtual;
  const qualification = vmcs.get32(F.QUALIFICATION);
  const source = (qualification >>> 30) as TaskSourceNumber;
  const information = vmcs.get32(F.IDT_INFO);
  const type = (information >> 8) & 7;
  let errorCode: number | null = null;
  if (source === TaskSource.GATE && information < 0) {
    vcpu.state.reinject = null;
    if ((information & HAS_ERROR_CODE) !== 0) errorCode = vmcs.get32(F.IDT_ERROR_CODE);
    if (type === EventTypes.NMI) {
      vcpu.virtual.processor.state.words[Word.INTERRUPTIBILITY] |= Blocking.NMI;
    }
  }
  const isBetween = information < 0 && BETWEEN_INSTRUCTIONS.includes(type);
  const lengthBytes = isBetween ? 0 : vmcs.get32(F.LENGTH);
  const returnAddress = vmcs.get32(F.RIP) + lengthBytes;
  const task = { selector: qualification & 0xffff, source, returnAddress, errorCode };
  const result = attempt(vcpu, task);
  // The processor is in another task, or at a fault in one of them.
  vcpu.virtual.stateChanged();
  return result;
};

/** Do it where KVM does it: in memory; a TSS or a table in a device is more than it can do. */
function attempt(vcpu: Vcpu, task: TaskSwitch): HandlerResult {
  const { emulation, virtual } = vcpu;
  const { processor } = virtual;
  const { virtualization, platform } = processor;
  const { words } = processor.state;
  emulation.begin([]);
  processor.surround(emulation, emulation, false);
  try {
    switchTask(processor, task);
    words[Word.INTERRUPTIBILITY] &= ~(Blocking.STI | Blocking.MOV_SS);
  } catch (thrown) {
    if (thrown instanceof GuestFault) raise(vcpu, thrown);
    else if (!(thrown instanceof OwnerStop)) throw thrown;
  } finally {
    processor.surround(virtualization, platform, true);
  }
  if (emulation.pending.length === 0) return 'resume';
  const message = `a task switch that needs device memory, ${vcpu.place}`;
  return { reason: 'INTERNAL_ERROR', suberror: InternalError.EMULATION, data: [], message };
}

/** As the processor would; KVM loses faults of task switches. */
function raise(vcpu: Vcpu, { vector, errorCode, linearLow, linearHigh }: GuestFault): void {
  const { state } = vcpu.virtual.processor;
  if (vector === Vector.PF) state.set64(Word.CR2, Long.fromBits(linearLow, linearHigh));
  vcpu.queueException(vector, errorCode);
}

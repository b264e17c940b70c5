// vmx: VMX operation of one logical processor. Knows nothing of KVM or of threads.
//
//   const virtual = new VirtualProcessor({ memory, stateHpa, vmcsHpa, codeCache, ... });
//   virtual.vmcs.write('GUEST_RIP', 0x100000); // and the other fields
//   if (virtual.enter(now, true).kind === 'entered') {
//     const outcome = virtual.run(now + 10_000);
//     if (outcome.kind === 'exit') exitReasonName(virtual.vmcs.read('VM_EXIT_REASON').low); // 'HLT'
//   }

export { setMsrExit } from './bitmaps.ts';
export { VMX_CAPABILITY_MSRS } from './capabilities.ts';
export type { EntryCheck } from './check.ts';
export {
  CONTROL_WORDS,
  type ControlWord,
  EntryControl,
  ExitControl,
  Pin,
  Primary,
  Secondary,
} from './controls.ts';
export { ENTRY_CHECKS } from './entry-checks.ts';
export { EPT_RIGHTS, EptBit, EptBuilder, eptPointer, walkEpt } from './ept.ts';
export {
  ENTRY_FAILURE,
  EXIT_REASONS,
  Exit,
  type ExitReason,
  type ExitReasonName,
  exitReasonName,
} from './exit-reasons.ts';
export { FIELDS, type FieldDefinition, type FieldName, fieldIndex } from './fields.ts';
export { CR0_FIXED_1, CR4_FIXED_1 } from './fixed-bits.ts';
export { EVERY_ENTRY_CHECKS } from './guest-checks.ts';
export { PauseLoopDetector } from './pause-loop.ts';
export { TIMER_RATE_SHIFT, timerDeadline, timerRemaining } from './preemption-timer.ts';
export { scaleTimeStamp, TSC_MULTIPLIER_ONE } from './time-stamp.ts';
export {
  type EntryOutcome,
  type RunOutcome,
  VirtualProcessor,
  type VirtualProcessorParts,
  type VirtualProcessorState,
  type VmxCosts,
} from './virtual-processor.ts';
export { VMCS_REVISION, Vmcs, VmxError } from './vmcs.ts';

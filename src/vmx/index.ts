// vmx: VMX operation of one logical processor: VMCS, VM entry, VM exit, PAUSE-loop exiting, the
// preemption timer. Knows nothing of KVM or of threads. `VirtualProcessor` is the whole; its parts
// work alone as well.
//
//   import { exitReasonName, PauseLoopDetector, timerDeadline } from 'vmxlab/vmx';
//   const detector = new PauseLoopDetector();
//   detector.pause(1000, 128, 20); // false
//   detector.pause(1020, 128, 20); // false
//   detector.pause(1021, 128, 20); // true
//   timerDeadline(100, 3, 5); // 192
//   exitReasonName(52); // 'PREEMPTION_TIMER'

export { setMsrExit } from './bitmaps.ts';
export { vmxCapabilityMsrs } from './capabilities.ts';
export type { EntryCheck } from './check.ts';
export {
  CONTROL_WORDS,
  type ControlWord,
  controlBits,
  EntryControl,
  EXTRA_EXITS,
  ExitControl,
  type ExtraExit,
  Pin,
  PRIMARY,
  Primary,
  SECONDARY,
  Secondary,
} from './controls.ts';
export type { EntryOutcome } from './entry.ts';
export { ENTRY_CHECKS } from './entry-checks.ts';
export { EPT_RIGHTS, EptBit, EptBuilder, eptPointer, walkEpt } from './ept.ts';
export type { BitRange } from './exit-layouts.ts';
export {
  ENTRY_FAILURE,
  ENTRY_FAILURES,
  EXIT_REASONS,
  Exit,
  type ExitReason,
  type ExitReasonName,
  exitReasonName,
} from './exit-reasons.ts';
export { type EntryExplanation, explainEntry } from './explain-entry.ts';
export {
  type ExitExplanation,
  type ExitReasonDetail,
  type ExplainedBits,
  type ExplainedControl,
  type ExplainedField,
  exitReasonDetail,
  explainExit,
} from './explain-exit.ts';
export { FIELDS, type FieldDefinition, type FieldName, fieldIndex } from './fields.ts';
export { CR0_FIXED_1, CR4_FIXED_1, UNRESTRICTED_CR0_FIXED_1 } from './fixed-bits.ts';
export { EVERY_ENTRY_CHECKS } from './guest-state-checks.ts';
export { PauseLoopDetector } from './pause-loop.ts';
export { STANDARD_TIMER_RATE_SHIFT, timerDeadline, timerRemaining } from './preemption-timer.ts';
export { scaleTimeStamp, TSC_MULTIPLIER_ONE, tscMultiplier, unscaleCycles } from './time-stamp.ts';
export { VirtualProcessor } from './virtual-processor.ts';
export type {
  RunOutcome,
  VirtualProcessorParts,
  VirtualProcessorState,
  VmxCosts,
} from './virtual-processor-parts.ts';
export { Stale, VIRTUAL_PROCESSOR_BYTES, VMCS_REVISION, Vmcs, VmxError } from './vmcs.ts';

// What a virtual processor is made of, what it tells its owner, and how it is saved.

import type {
  CodeCache,
  Compiler,
  InstructionCosts,
  Platform,
  ProcessorStop,
} from '../cpu/index.ts';
import type { PhysicalMemory } from '../memory/index.ts';
import type { PauseLoopState } from './pause-loop.ts';
import type { Quiet } from './spin.ts';

/** Cycles that the hardware spends between guest and host. */
export interface VmxCosts {
  readonly exit: number;
  readonly entry: number;
}

export type RunOutcome =
  /** The clock reached the limit; the guest is still in non-root operation. */
  | { readonly kind: 'limit' }
  /** A VM exit: the VMCS says which. */
  | { readonly kind: 'exit' }
  /** The guest waits in a loop; up to a clock nothing but that happens, and is not executed yet. */
  | Quiet
  /** The guest used something that is not implemented; non-root operation goes on from here. */
  | { readonly kind: 'notImplemented'; readonly what: string }
  /** A VM exit that cannot save or load MSRs: the VMX-abort indicator. */
  | { readonly kind: 'abort'; readonly indicator: number };

/** The saved form of a `VirtualProcessor`; registers and VMCS are in memory. */
export interface VirtualProcessorState {
  readonly clock: number;
  readonly instructions: number;
  readonly nonRoot: boolean;
  readonly timerDeadline: number | null;
  readonly pauseLoop: PauseLoopState;
  /** An exit, say, in the injection at the last entry, which the next `run` returns. */
  readonly injectionStop: ProcessorStop | null;
  /** Exits that are due at the next boundary: bits of `Due`. */
  readonly due: number;
  /** Of the start-up IPI among them. */
  readonly sipiVector: number;
  /** `VirtualProcessor.tscAhead`, its two halves; left out for null. */
  readonly tscAhead?: readonly [low: number, high: number];
}

export interface VirtualProcessorParts {
  readonly memory: PhysicalMemory;
  /** Where the processor's state lies, and the VMCS: `VIRTUAL_PROCESSOR_BYTES`, whole pages. */
  readonly hpa: number;
  readonly codeCache: CodeCache;
  readonly compiler?: Compiler | undefined;
  readonly instructionCosts: InstructionCosts;
  readonly costs: VmxCosts;
  /** IA32_VMX_MISC[4:0]: the preemption timer counts once in 2 to the power of this TSC cycles. */
  readonly timerRateShift?: number;
  /** What the guest reaches by accesses that do not exit. */
  readonly platform?: Platform;
}

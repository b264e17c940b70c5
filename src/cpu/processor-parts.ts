// What a processor is made of, and what it tells its owner.

import type { PhysicalMemory } from '../memory/index.ts';
import type { CodeCache, InstructionCosts, Prepared } from './code-cache.ts';
import type { Compiler } from './compiled/compiler.ts';
import type { Platform, Virtualization } from './virtualization.ts';

export interface ProcessorParts {
  readonly memory: PhysicalMemory;
  /** Where the processor's state lies in memory. */
  readonly stateHpa: number;
  readonly codeCache: CodeCache;
  readonly costs: InstructionCosts;
  readonly virtualization: Virtualization;
  readonly platform: Platform;
  /** Makes compiled code of what is hot; without one, everything is interpreted. */
  readonly compiler?: Compiler | undefined;
}

/** Who looks at instructions before they are executed, one by one. */
export interface Observer {
  /** True if the processor is to stop, as `owner`, before the instruction. */
  before(prepared: Prepared): boolean;
}

/** Why a processor's `run` returned. */
export type ProcessorStop =
  /** The clock reached the limit. */
  | { readonly kind: 'limit' }
  /** The owner stopped it, for reasons that the owner knows. */
  | { readonly kind: 'owner' }
  /** The activity state is not active and nothing here ends it. */
  | { readonly kind: 'inactive' }
  /** The guest used something that real processors have and this one does not. */
  | { readonly kind: 'notImplemented'; readonly what: string };

export const LIMIT: ProcessorStop = { kind: 'limit' };
export const OWNER: ProcessorStop = { kind: 'owner' };
export const INACTIVE: ProcessorStop = { kind: 'inactive' };

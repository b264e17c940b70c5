// What a session is asked to do, and what it tells when it has stopped: plain records.

import type { MachineEnding } from '../machine/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import type { Hit } from './breakpoints.ts';
import type { Position } from './position.ts';

export type Direction = 'forward' | 'backward';

/** Where to move to. vCPUs are given by their index among all of the session; null for any. */
export type Motion =
  /** One instruction of a vCPU; what it calls for from the host is done before it counts. */
  | { readonly kind: 'instruction'; readonly vcpu: number }
  /** The next VM exit, before it is handled. */
  | { readonly kind: 'exit'; readonly vcpu: number | null }
  /** The next thing that the host does: an exit, its handler, a switch, an entry, a wake-up. */
  | { readonly kind: 'host' }
  /** The next breakpoint, or the end. */
  | { readonly kind: 'continue' };

export type StopReason =
  /** Nothing has been executed yet; also where a backward motion finds nothing. */
  | 'beginning'
  /** The motion is complete. */
  | 'step'
  | 'breakpoint'
  /** The machine has ended. */
  | 'ended'
  | 'interrupted';

export interface StopReport {
  readonly reason: StopReason;
  readonly position: Position;
  /** Index of the vCPU that it is about. */
  readonly vcpu: number;
  readonly hits: readonly Hit[];
  /**
   * What the host has done since the last stop, if the motion was forward; newest last. Of long
   * motions that did not wait for any of it, what was kept.
   */
  readonly records: readonly TraceRecord[];
  readonly ending: MachineEnding | null;
}

/** A place that was given a name. */
export interface Bookmark {
  readonly id: number;
  readonly name: string;
  readonly position: Position;
  /** Id of its branch. */
  readonly branch: number;
}

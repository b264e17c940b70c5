// What an emulator has to offer to be measured.

import type { Command } from './child.ts';
import type { Image } from './images.ts';
import type { Size, Workload } from './workloads.ts';

/** A workload as one process is to run it. */
export interface Job {
  readonly workload: Workload;
  readonly size: Size;
  readonly image: Image;
  /** A folder of its own. */
  readonly folder: string;
}

export interface Peer {
  /** On the command line. */
  readonly name: string;
  /** In tables. */
  readonly title: string;
  /** Measured only when it is named. */
  readonly isOptional?: boolean;
  /** It takes so many times as long as others until all is compiled that will be. */
  readonly warmUp?: number;
  /** Its version, or why it cannot run here. */
  readonly presence: () => Presence;
  readonly canRun: (workload: Workload, size: Size) => boolean;
  /** Writes what the process needs into the folder. It prints the result of the image. */
  readonly command: (job: Job) => Command;
}

export type Presence =
  | { readonly kind: 'present'; readonly version: string }
  | { readonly kind: 'missing'; readonly reason: string };

export function present(version: string): Presence {
  return { kind: 'present', version };
}

export function missing(reason: string): Presence {
  return { kind: 'missing', reason };
}

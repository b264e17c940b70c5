// What the handlers of gdb's packets share.

import type { GdbStop, GdbTarget, GdbThread } from './target.ts';
import { parseThread } from './thread-ids.ts';
import type { TransferredFiles } from './transferred-files.ts';

/** Answers to a packet that makes no sense, and to one that cannot be done (EFAULT). */
export const MALFORMED = 'E01';
export const IMPOSSIBLE = 'E0e';

export interface StubState {
  readonly target: GdbTarget;
  /** The thread that registers and memory are asked of: `Hg`. */
  thread: GdbThread;
  /** The thread that packets without one let go on: `Hc`; null for any. */
  resumed: GdbThread | null;
  /** What gdb said it understands. */
  readonly features: Set<string>;
  readonly files: TransferredFiles;
  /** How it stopped last. */
  stop: GdbStop;
}

/** The thread that a text names; of several, the current one if it is among them. */
export function threadOf(state: StubState, text: string): GdbThread | null {
  const id = parseThread(text);
  if (id === null) return null;
  const fits = (thread: GdbThread) =>
    (typeof id.process !== 'number' || id.process === thread.process) &&
    (typeof id.thread !== 'number' || id.thread === thread.thread);
  return fits(state.thread) ? state.thread : (state.target.threads.find(fits) ?? null);
}

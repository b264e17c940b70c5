// Names of threads in packets: `p1.2` is thread 2 of process 1, -1 stands for all and 0 for any.
// gdb's manual, "Packets", at "thread-id syntax".

import { countOfHex } from './hex.ts';
import type { GdbThread } from './target.ts';

type Part = number | 'all' | 'any';

export interface ThreadId {
  readonly process: Part;
  readonly thread: Part;
}

/** What a text names; without a process, thread ids mean process 1. Null if it is none. */
export function parseThread(text: string): ThreadId | null {
  const [, process, thread] = /^p(-?[\da-f]+)(?:\.(-?[\da-f]+))?$/i.exec(text) ?? [];
  if (process !== undefined) {
    const whose = partOf(process);
    const which = thread === undefined ? 'all' : partOf(thread);
    return whose === null || which === null ? null : { process: whose, thread: which };
  }
  const which = partOf(text);
  if (which === null) return null;
  return { process: typeof which === 'number' ? 1 : which, thread: which };
}

function partOf(text: string): Part | null {
  if (text === '-1') return 'all';
  const number = countOfHex(text);
  return number === 0 ? 'any' : number;
}

export function formatThread({ process, thread }: GdbThread): string {
  return `p${process.toString(16)}.${thread.toString(16)}`;
}

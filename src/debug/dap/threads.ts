// Threads by their number.

import { BadRequest, type DapTarget, type DapThread } from './target.ts';

/** Throws {@link BadRequest} if there is none. */
export function threadOf(target: DapTarget, id: number): DapThread {
  const thread = target.threads[id - 1];
  if (thread !== undefined) return thread;
  throw new BadRequest(`there is no thread ${id}: they are 1 to ${target.threads.length}`);
}

// Places in history that were given a name. Their states are kept while they have one.

import { DebugError } from './debug-error.ts';
import type { History } from './history.ts';
import type { Bookmark } from './motion.ts';

export class Bookmarks {
  private readonly history: History;
  private readonly marks: Bookmark[] = [];
  private nextId = 1;

  constructor(history: History) {
    this.history = history;
  }

  get list(): readonly Bookmark[] {
    return this.marks;
  }

  /** Give the place where the machine is a name, or `markN`. */
  add(name: string): Bookmark {
    const { position, branch } = this.history;
    const id = this.nextId++;
    const mark = { id, name: name === '' ? `mark${id}` : name, position, branch: branch.id };
    this.history.save(true);
    this.marks.push(mark);
    return mark;
  }

  /** By name or number. Throws {@link DebugError} if there is none. */
  named(which: string): Bookmark {
    const mark =
      this.marks.find(({ name }) => name === which) ??
      this.marks.find(({ id }) => String(id) === which);
    if (mark === undefined) throw new DebugError(`no checkpoint '${which}'`);
    return mark;
  }

  /** Forget one; its state may be thinned out then. Throws {@link DebugError} if there is none. */
  remove(which: string): void {
    const mark = this.named(which);
    this.marks.splice(this.marks.indexOf(mark), 1);
    const isUsed = this.marks.some(({ branch, position }) => {
      return branch === mark.branch && position.event === mark.position.event;
    });
    if (!isUsed) this.history.release(mark.branch, mark.position.event);
  }
}

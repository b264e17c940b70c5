// What can be waited for: kinds of breakpoints, and the list of those that are set. What they mean
// for a machine is in watcher.ts.

import type Long from 'long';
import type { TracepointName } from '../trace/index.ts';
import { type Condition, parseCondition } from './condition.ts';

/** What a breakpoint waits for. Addresses are linear; `vm` is the index of a virtual machine. */
export type BreakpointSpec = (
  | { readonly kind: 'address'; readonly address: Long }
  /** A label, or `label+0x10`, of the vCPU's virtual machine. */
  | { readonly kind: 'symbol'; readonly symbol: string }
  | { readonly kind: 'line'; readonly file: string; readonly line: number }
  /** Any VM exit, or those of one reason, before it is handled. */
  | { readonly kind: 'exit'; readonly reason?: string }
  /** VM entries: before the first instruction. */
  | { readonly kind: 'entry' }
  /** What a tracepoint tells, by its name. */
  | { readonly kind: 'hostEvent'; readonly event: TracepointName }
  | { readonly kind: 'hypercall'; readonly number?: number }
  | { readonly kind: 'msr'; readonly index: number; readonly access?: 'read' | 'write' }
  | { readonly kind: 'port'; readonly port: number; readonly access?: 'read' | 'write' }
  | {
      readonly kind: 'memory';
      readonly access: 'read' | 'write' | 'change' | 'access';
      readonly space: 'linear' | 'physical';
      readonly address: Long;
      readonly lengthBytes: number;
    }
  /** Virtual time, in cycles. */
  | { readonly kind: 'time'; readonly time: number }
) & {
  /** Index of a vCPU among all of the session; left out for any. */
  readonly vcpu?: number;
  /** Index of the virtual machine, for addresses; 0 if left out. */
  readonly vm?: number;
  /** An expression that must not be 0; see docs/debugger.md. */
  readonly condition?: string;
  /** Hits to pass over first. */
  readonly ignore?: number;
  /** Gone once it was hit. */
  readonly temporary?: boolean;
  /** Disabled once it was hit. */
  readonly once?: boolean;
};

export interface Breakpoint {
  readonly id: number;
  readonly spec: BreakpointSpec;
  isEnabled: boolean;
  /** Hits whose condition held, going forward. */
  hits: number;
  /** Hits still to be passed over. */
  ignore: number;
  readonly condition: Condition | null;
}

/** What a session tells of a breakpoint that was hit. */
export interface Hit {
  readonly id: number;
  readonly spec: BreakpointSpec;
  /** In words: what was written where, which exit. */
  readonly detail: string;
}

export class Breakpoints {
  private readonly byId = new Map<number, Breakpoint>();
  private nextId = 1;
  private nextInternalId = -1;
  private readonly changed: () => void;

  constructor(changed: () => void) {
    this.changed = changed;
  }

  /** Throws {@link DebugError} if the condition cannot be read. */
  add(spec: BreakpointSpec): Breakpoint {
    const breakpoint = this.place(spec, this.nextId);
    this.nextId++;
    return breakpoint;
  }

  /** One that nobody has asked for: its number is negative, and none is used up. */
  addInternal(spec: BreakpointSpec): Breakpoint {
    return this.place(spec, this.nextInternalId--);
  }

  private place(spec: BreakpointSpec, id: number): Breakpoint {
    const breakpoint: Breakpoint = {
      id,
      spec,
      isEnabled: true,
      hits: 0,
      ignore: spec.ignore ?? 0,
      condition: spec.condition === undefined ? null : parseCondition(spec.condition),
    };
    this.byId.set(breakpoint.id, breakpoint);
    try {
      this.changed();
    } catch (problem) {
      this.byId.delete(breakpoint.id);
      this.changed();
      throw problem;
    }
    return breakpoint;
  }

  /** False if there is none with this number. */
  remove(id: number): boolean {
    const isThere = this.byId.delete(id);
    if (isThere) this.changed();
    return isThere;
  }

  setEnabled(id: number, isEnabled: boolean): boolean {
    const breakpoint = this.byId.get(id);
    if (breakpoint === undefined) return false;
    breakpoint.isEnabled = isEnabled;
    this.changed();
    return true;
  }

  /** Pass over so many hits; false if there is none with this number. */
  ignore(id: number, count: number): boolean {
    const breakpoint = this.byId.get(id);
    if (breakpoint !== undefined) breakpoint.ignore = count;
    return breakpoint !== undefined;
  }

  /**
   * Change the condition, or remove it. False if there is none with this number; throws
   * {@link DebugError} if the condition cannot be read.
   */
  setCondition(id: number, text: string): boolean {
    const breakpoint = this.byId.get(id);
    if (breakpoint === undefined) return false;
    const { condition: _, ...rest } = breakpoint.spec;
    const spec = (text === '' ? rest : { ...rest, condition: text }) as BreakpointSpec;
    const condition = text === '' ? null : parseCondition(text);
    // In its place in the order.
    this.byId.set(id, { ...breakpoint, spec, condition });
    this.changed();
    return true;
  }

  /** Let it stop once more, and be gone or disabled then. False if there is none. */
  enableUntilHit(id: number, then: 'gone' | 'disabled'): boolean {
    const breakpoint = this.byId.get(id);
    if (breakpoint === undefined) return false;
    const spec = { ...breakpoint.spec, temporary: then === 'gone', once: then === 'disabled' };
    this.byId.set(id, { ...breakpoint, spec, isEnabled: true });
    this.changed();
    return true;
  }

  /** It has stopped the machine, going forward. */
  wasHit(id: number): void {
    const breakpoint = this.byId.get(id);
    if (breakpoint?.spec.temporary) this.remove(id);
    else if (breakpoint?.spec.once) {
      this.byId.set(id, { ...breakpoint, spec: { ...breakpoint.spec, once: false } });
      this.setEnabled(id, false);
    }
  }

  get(id: number): Breakpoint | undefined {
    return this.byId.get(id);
  }

  /** In the order in which they were set. */
  list(): readonly Breakpoint[] {
    return [...this.byId.values()];
  }
}

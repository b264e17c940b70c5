// What a compiled block does in order: accesses to memory, and ways out to the interpreter. All
// else about it is values, and where these go at its end.

import type { Width } from '../../isa/index.ts';
import type { AccessKind } from '../virtualization.ts';
import type { FlagRecord } from './flag-record.ts';
import type { Node } from './nodes.ts';

/** The state at the start of an instruction, which is left to the interpreter if need be. */
export interface Exit {
  /** Values of the general registers by number. */
  readonly registers: readonly Node[];
  readonly flags: FlagRecord;
  /** Of the instruction, from the start of the block. */
  readonly offset: number;
  /** What the block has taken before it. */
  readonly cycles: number;
  readonly instructions: number;
}

export type Effect =
  /** Find the bytes at a linear address, all in one page and accessible, or leave. */
  | {
      readonly kind: 'locate';
      readonly linear: Node;
      readonly bytes: number;
      readonly access: AccessKind;
      /** The hpa, an i32. */
      readonly result: Node;
      readonly exit: Exit;
    }
  | {
      readonly kind: 'load';
      readonly hpa: Node;
      readonly width: Width;
      readonly result: Node;
    }
  | {
      readonly kind: 'store';
      readonly hpa: Node;
      readonly width: Width;
      readonly value: Node;
    }
  /** Leave if the condition holds. */
  | { readonly kind: 'guard'; readonly condition: Node; readonly exit: Exit }
  | {
      readonly kind: 'if';
      readonly condition: Node;
      readonly whenTrue: readonly Effect[];
      readonly whenFalse: readonly Effect[];
    }
  /** Give a result its value, in both arms of an `if`. */
  | { readonly kind: 'assign'; readonly result: Node; readonly value: Node }
  /** A part of the processor's state that is not in a local, by its offset in bytes. */
  | { readonly kind: 'loadState'; readonly offset: number; readonly result: Node }
  | { readonly kind: 'storeState'; readonly offset: number; readonly value: Node }
  /** The clock, an f64, when the block has taken so many cycles. */
  | { readonly kind: 'clock'; readonly cycles: number; readonly result: Node };

/** Every effect, those in the arms of others too. */
export function forEachEffect(effects: readonly Effect[], work: (effect: Effect) => void): void {
  for (const effect of effects) {
    work(effect);
    if (effect.kind !== 'if') continue;
    forEachEffect(effect.whenTrue, work);
    forEachEffect(effect.whenFalse, work);
  }
}

/** Ways out in the order in which they are first taken. */
export function exitsOf(effects: readonly Effect[]): Exit[] {
  const exits = new Set<Exit>();
  forEachEffect(effects, (effect) => {
    if (effect.kind === 'locate' || effect.kind === 'guard') exits.add(effect.exit);
  });
  return [...exits];
}

/** What an effect pushes, as often as it does. */
export function valuesOf(effect: Effect): readonly Node[] {
  switch (effect.kind) {
    case 'locate':
      return [effect.linear, effect.linear];
    case 'load':
      return [effect.hpa];
    case 'store':
      return [effect.hpa, effect.value];
    case 'guard':
    case 'if':
      return [effect.condition];
    case 'assign':
    case 'storeState':
      return [effect.value];
    case 'loadState':
    case 'clock':
      return [];
  }
}

// Accesses to memory as compiled code makes them: a look-up in the TLB, then a load or a store.

import { Access } from '../virtualization.ts';
import type { Effect } from './effects.ts';
import type { ExpressionEmitter } from './expression.ts';
import { type FunctionBody, Op, Type } from './module.ts';

/** Where things lie beside the state. */
export interface MemoryLayout {
  /** The bytes that say which lines are watched. */
  readonly watchedLines: number;
  /** Of a TLB entry. */
  readonly tlbStrideShift: number;
  readonly tlbEntryMask: number;
  readonly tlbTags: readonly number[];
  readonly tlbAddend: number;
}

/** What emitting an access takes. */
export interface AccessEmitter {
  readonly body: FunctionBody;
  readonly expressions: ExpressionEmitter;
  readonly layout: MemoryLayout;
  /** The parameter that says where the TLB entries in effect lie. */
  readonly tlb: number;
  /** Take the way out if the i32 on the stack is not 0. */
  readonly leaveIf: () => void;
}

/** Bytes to be found. */
export type Place = Omit<Extract<Effect, { kind: 'locate' }>, 'exit' | 'kind'>;

const PAGE_MASK = -4096n;

/**
 * Push nothing, and keep the hpa as the result. The TLB entry of the page must have the tag of the
 * page in which the last byte lies: another page has another entry. A line that is watched is not
 * written to.
 */
export function emitLocate(
  { body, expressions, layout, tlb, leaveIf }: AccessEmitter,
  { linear, bytes, access, result }: Place,
): void {
  const low = body.scratch(Type.I32, 0);
  const entry = body.scratch(Type.I32, 1);
  expressions.push(linear);
  body.op(Op.i32WrapI64);
  body.tee(low);
  body.i32(12 - layout.tlbStrideShift);
  body.op(Op.i32ShrU);
  body.i32(layout.tlbEntryMask << layout.tlbStrideShift);
  body.op(Op.i32And);
  body.get(tlb);
  body.op(Op.i32Add);
  body.tee(entry);
  body.memory(Op.i64Load, layout.tlbTags[access]);
  expressions.push(linear);
  if (bytes > 1) {
    body.i64(BigInt(bytes - 1));
    body.op(Op.i64Add);
  }
  body.i64(PAGE_MASK);
  body.op(Op.i64And);
  body.op(Op.i64Ne);
  leaveIf();
  body.get(low);
  body.get(entry);
  body.memory(Op.i32Load, layout.tlbAddend);
  body.op(Op.i32Add);
  expressions.keep(result);
  if (access !== Access.WRITE) return;
  const watched = (last: number) => {
    expressions.push(result);
    if (last > 0) {
      body.i32(last);
      body.op(Op.i32Add);
    }
    body.i32(6);
    body.op(Op.i32ShrU);
    body.memory(Op.i32Load8U, layout.watchedLines);
  };
  watched(0);
  if (bytes > 1) {
    watched(bytes - 1);
    body.op(Op.i32Or);
  }
  leaveIf();
}

export const LOADS = {
  8: Op.i64Load8U,
  16: Op.i64Load16U,
  32: Op.i64Load32U,
  64: Op.i64Load,
} as const;

export const STORES = {
  8: Op.i64Store8,
  16: Op.i64Store16,
  32: Op.i64Store32,
  64: Op.i64Store,
} as const;

// Accesses to memory as compiled code makes them: a look-up in the TLB, then a load or a store.

import { NO_TAG, type TLB_LAYOUT } from '../tlb.ts';
import { Access } from '../virtualization.ts';
import type { Effect } from './effects.ts';
import type { ExpressionEmitter } from './expression.ts';
import { type FunctionBody, Op, Type } from './module.ts';

/** Where things lie beside the state. */
export interface MemoryLayout {
  /** The bytes that say which lines are watched, and which pages have such lines. */
  readonly watchedLines: number;
  readonly watchedPages: number;
  readonly tlb: typeof TLB_LAYOUT;
}

/** What emitting an access takes. */
export interface AccessEmitter {
  readonly body: FunctionBody;
  readonly expressions: ExpressionEmitter;
  readonly layout: MemoryLayout;
  /** The parameter that says where the TLB entries in effect lie. */
  readonly tlb: number;
  /** Which of the places that keep a translation it is. */
  readonly site: number;
  /** Take the way out if the i32 on the stack is not 0. */
  readonly leaveIf: () => void;
}

/** Bytes to be found. */
export type Place = Omit<Extract<Effect, { kind: 'locate' }>, 'exit' | 'kind'>;

const PAGE_MASK = -4096n;
const PAGE_SHIFT = 12;
const LINE_SHIFT = 6;

/**
 * Find bytes, and keep their hpa as the result. First by the translation that the place used last;
 * then by the TLB entry, which the place keeps. Of a page with lines that are watched it keeps none
 * for writing: each of these stores has a look at its lines.
 */
export function emitLocate(emitter: AccessEmitter, place: Place): void {
  new LocateEmitter(emitter, place).emit();
}

class LocateEmitter {
  private readonly emitter: AccessEmitter;
  private readonly place: Place;
  private readonly low: number;
  private readonly entry: number;
  /** Offset of what the place keeps, from the TLB entries. */
  private readonly kept: number;

  constructor(emitter: AccessEmitter, place: Place) {
    const { body, layout, site } = emitter;
    const { siteBytes, siteCount, sites } = layout.tlb;
    this.emitter = emitter;
    this.place = place;
    this.low = body.scratch(Type.I32, 0);
    this.entry = body.scratch(Type.I32, 1);
    this.kept = sites[place.access === Access.WRITE ? 1 : 0] + (site % siteCount) * siteBytes;
  }

  emit(): void {
    const { body, expressions, tlb, layout } = this.emitter;
    const { linear, access, result } = this.place;
    expressions.push(linear);
    body.op(Op.i32WrapI64);
    body.set(this.low);
    const found = body.open(Op.block);
    body.get(tlb);
    body.memory(Op.i64Load, this.kept);
    this.pushAlignedPage();
    body.op(Op.i64Eq);
    body.branch(found, Op.brIf);
    this.findEntry();
    if (access === Access.WRITE) this.leaveIfWatched(found);
    this.keep(() => this.pushPage());
    body.close();
    body.get(this.low);
    body.get(tlb);
    body.memory(Op.i32Load, this.kept + layout.tlb.siteAddend);
    body.op(Op.i32Add);
    expressions.keep(result);
  }

  /** The page in which the last byte lies: that of the first has another tag if it is another. */
  private pushPage(): void {
    const { body, expressions } = this.emitter;
    const { linear, bytes } = this.place;
    expressions.push(linear);
    if (bytes > 1) {
      body.i64(BigInt(bytes - 1));
      body.op(Op.i64Add);
    }
    body.i64(PAGE_MASK);
    body.op(Op.i64And);
  }

  /**
   * The page, and no page if the bytes are not aligned: so aligned ones, which lie in one page,
   * need a single comparison with what is kept. Others take the entry, as if nothing were kept.
   */
  private pushAlignedPage(): void {
    const { body, expressions } = this.emitter;
    const { linear, bytes } = this.place;
    const alignment = 1 << (32 - Math.clz32(bytes - 1));
    expressions.push(linear);
    body.i64(PAGE_MASK | BigInt(alignment - 1));
    body.op(Op.i64And);
  }

  private findEntry(): void {
    const { body, tlb, layout, leaveIf } = this.emitter;
    const { strideShift, entryMask, tags } = layout.tlb;
    body.get(this.low);
    body.i32(PAGE_SHIFT - strideShift);
    body.op(Op.i32ShrU);
    body.i32(entryMask << strideShift);
    body.op(Op.i32And);
    body.get(tlb);
    body.op(Op.i32Add);
    body.tee(this.entry);
    body.memory(Op.i64Load, tags[this.place.access]);
    this.pushPage();
    body.op(Op.i64Ne);
    leaveIf();
  }

  /** Go on in a page with lines that are watched, unless the bytes lie in one. */
  private leaveIfWatched(found: number): void {
    const { body, layout, leaveIf } = this.emitter;
    const { bytes } = this.place;
    const pushLine = (last: number) => {
      this.pushHpa();
      body.i32(last);
      body.op(Op.i32Add);
      body.i32(LINE_SHIFT);
      body.op(Op.i32ShrU);
      body.memory(Op.i32Load8U, layout.watchedLines);
    };
    this.pushHpa();
    body.i32(PAGE_SHIFT);
    body.op(Op.i32ShrU);
    body.memory(Op.i32Load8U, layout.watchedPages);
    body.open(Op.if);
    pushLine(0);
    pushLine(bytes - 1);
    body.op(Op.i32Or);
    leaveIf();
    this.keep(() => body.i64(BigInt(NO_TAG)));
    body.branch(found);
    body.close();
  }

  private pushHpa(): void {
    const { body, layout } = this.emitter;
    body.get(this.low);
    body.get(this.entry);
    body.memory(Op.i32Load, layout.tlb.addend);
    body.op(Op.i32Add);
  }

  /** The place keeps the translation, for as long as the tag is that of the page. */
  private keep(pushTag: () => void): void {
    const { body, tlb, layout } = this.emitter;
    body.get(tlb);
    pushTag();
    body.memory(Op.i64Store, this.kept);
    body.get(tlb);
    body.get(this.entry);
    body.memory(Op.i32Load, layout.tlb.addend);
    body.memory(Op.i32Store, this.kept + layout.tlb.siteAddend);
  }
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

// Emits the function that lets several processors take their turns, one after the other and piece
// of time by piece, without leaving compiled code: it looks for the region at each one's RIP among
// those that were noted, and runs it, until there is none, or what a region leaves is not its own.
// All times in it are cycles, from where the relay begins.

import { Word } from '../state.ts';
import {
  COUNT_MASK,
  COUNT_SHIFT,
  CompiledOffset,
  CYCLES_SHIFT,
  GONE,
  Left,
  TRAIL_BYTES,
  TrailOffset,
} from './left-behind.ts';
import { FunctionBody, Op, type Signature, Type } from './module.ts';

/** Where a runner keeps what: offsets in bytes. */
export const RunnerOffset = {
  /** Its clock. */
  NOW: 0,
  /** A piece of time that ends there, or later, is not for the relay. */
  HORIZON: 4,
  /** Where its state lies and its TLB view. */
  STATE: 8,
  TLB: 12,
  /** What was noted under another number does not hold. */
  TAG: 16,
  /** The lower half of the count. */
  INSTRUCTIONS: 20,
  /** Regions that were run. */
  RUNS: 24,
  /** Of delay loops that were not executed. */
  SKIPPED_CYCLES: 28,
  SKIPPED_INSTRUCTIONS: 32,
  /** Of loops that waited. */
  WAITED_CYCLES: 36,
  WAITED_INSTRUCTIONS: 40,
  /** Regions by RIP, see {@link EntryOffset}. */
  ENTRIES: 64,
} as const;

/** Regions that a runner knows, by RIP. */
export const ENTRY_COUNT = 64;
const ENTRY_SHIFT = 7;
export const ENTRY_BYTES = 1 << ENTRY_SHIFT;

export const EntryOffset = {
  /** RIP, 8 bytes. */
  RIP: 0,
  TAG: 8,
  TLB: 12,
  /** Index of the region in the table. */
  REGION: 16,
  /**
   * And of those of the beginnings of its first block, by length: each with the cycles up to which
   * it is the one, first. The last is none, for as many as there are.
   */
  PIECES: 24,
} as const;

export const PIECE_BYTES = 8;
export const MOST_PIECES = (ENTRY_BYTES - EntryOffset.PIECES) / PIECE_BYTES - 1;

/** The trails of the last runs, in turn, each with what was run. */
export const TRAILS_OFFSET = RunnerOffset.ENTRIES + ENTRY_COUNT * ENTRY_BYTES;
export const KEPT_TRAILS = 16;
export const KeptOffset = {
  /** Where it began, 8 bytes, and the count of instructions there. */
  RIP: TRAIL_BYTES,
  INSTRUCTIONS: TRAIL_BYTES + 8,
  /** Index of the region. */
  REGION: TRAIL_BYTES + 12,
} as const;
export const KEPT_BYTES = TRAIL_BYTES + 32;

export const RUNNER_BYTES = TRAILS_OFFSET + KEPT_TRAILS * KEPT_BYTES;

/** The list of those that take part, in the order of their numbers; what is told comes first. */
export const ListOffset = {
  /** The end of the piece in which the relay ended. */
  END: 0,
  /** Place in the list of the runner that needs something else, and of who had a turn last, or -1. */
  STOPPED: 4,
  LAST: 8,
  /** Turns that were taken to their end. */
  TURNS: 12,
  /** Of each: where it lies, and its number. */
  RUNNERS: 16,
} as const;
export const LISTED_BYTES = 8;

/** Where a region may be found: the same in {@link emitRelay}. */
export function entryIndexOf(ripLow: number): number {
  return (ripLow ^ (ripLow >>> 6)) & (ENTRY_COUNT - 1);
}

/**
 * The arguments: where the list lies, and how many are on it; who is first, and how many turns are
 * in the first piece; where that ends, cycles of the others, and the end of the last; the number
 * that is first in the order of that piece, and how many there are; and where the relay begins.
 */
const P = {
  LIST: 0,
  COUNT: 1,
  NEXT: 2,
  TURNS: 3,
  END: 4,
  LOOKAHEAD: 5,
  LAST_END: 6,
  FIRST_NUMBER: 7,
  NUMBERS: 8,
  BASE: 9,
} as const;

/** Returns 1 if a runner needs something else, 0 at the end of the last piece. */
export const RELAY_SIGNATURE: Signature = {
  parameters: [...Array<typeof Type.I32>(P.BASE).fill(Type.I32), Type.F64],
  results: [Type.I32],
};

/** @param regionType index of the type of regions */
export function emitRelay(regionType: number): FunctionBody {
  return new RelayEmitter(regionType).emit();
}

class RelayEmitter {
  private readonly body = new FunctionBody(RELAY_SIGNATURE.parameters.length);
  private readonly regionType: number;
  /** Place in the list of who is first in the order of the piece. */
  private readonly first: number;
  private readonly runner: number;
  private readonly state: number;
  private readonly left: number;
  private readonly rip: number;
  private readonly entry: number;
  private readonly region: number;
  /** A piece of a block is wanted, for the rest of a turn. */
  private readonly wantsPiece: number;
  private readonly trail: number;
  private readonly reason: number;
  private readonly packed: number;
  private readonly last: number;
  private readonly turns: number;

  constructor(regionType: number) {
    const { body } = this;
    this.regionType = regionType;
    this.first = body.local(Type.I32);
    this.runner = body.local(Type.I32);
    this.state = body.local(Type.I32);
    this.left = body.local(Type.I32);
    this.rip = body.local(Type.I64);
    this.entry = body.local(Type.I32);
    this.region = body.local(Type.I32);
    this.wantsPiece = body.local(Type.I32);
    this.trail = body.local(Type.I32);
    this.reason = body.local(Type.I32);
    this.packed = body.local(Type.I64);
    this.last = body.local(Type.I32);
    this.turns = body.local(Type.I32);
  }

  emit(): FunctionBody {
    const { body } = this;
    this.setTo(this.last, -1);
    // The order turns by one place with each piece, so who is first is found once, and then near.
    this.findFirst();
    const stopped = body.open(Op.block);
    const over = body.open(Op.block);
    const piece = body.open(Op.loop);
    this.takeTurns(stopped);
    body.get(P.END);
    body.get(P.LAST_END);
    body.op(Op.i32GeS);
    body.branch(over, Op.brIf);
    this.nextPiece();
    body.branch(piece);
    body.close();
    body.close();
    this.tell();
    body.i32(0);
    body.op(Op.return);
    body.close();
    this.tell();
    body.i32(1);
    return body;
  }

  /** All turns of a piece. */
  private takeTurns(stopped: number): void {
    const { body } = this;
    const pieceOver = body.open(Op.block);
    const turn = body.open(Op.loop);
    body.get(P.TURNS);
    body.op(Op.i32Eqz);
    body.branch(pieceOver, Op.brIf);
    this.pushListed(P.NEXT);
    body.memory(Op.i32Load, ListOffset.RUNNERS);
    body.set(this.runner);
    const turnOver = body.open(Op.block);
    body.get(P.END);
    this.load(this.runner, RunnerOffset.NOW);
    body.op(Op.i32Sub);
    body.tee(this.left);
    body.i32(0);
    body.op(Op.i32LeS);
    body.branch(turnOver, Op.brIf);
    this.beginTurn(stopped);
    this.runRegions(turnOver, stopped);
    body.close();
    this.add(P.NEXT, 1);
    body.get(P.NEXT);
    body.get(P.COUNT);
    body.op(Op.i32Eq);
    body.open(Op.if);
    this.setTo(P.NEXT, 0);
    body.close();
    this.add(P.TURNS, -1);
    body.branch(turn);
    body.close();
    body.close();
  }

  private beginTurn(stopped: number): void {
    const { body } = this;
    body.get(P.END);
    this.load(this.runner, RunnerOffset.HORIZON);
    body.op(Op.i32GeS);
    body.branch(stopped, Op.brIf);
    body.get(P.NEXT);
    body.set(this.last);
    this.add(this.turns, 1);
    this.load(this.runner, RunnerOffset.STATE);
    body.tee(this.state);
    body.get(P.BASE);
    body.get(P.END);
    body.op(Op.f64ConvertI32S);
    body.op(Op.f64Add);
    body.memory(Op.f64Store, CompiledOffset.END);
    this.setTo(this.wantsPiece, 0);
  }

  /** Region after region, up to the end of the turn. */
  private runRegions(turnOver: number, stopped: number): void {
    const { body } = this;
    const next = body.open(Op.loop);
    this.find(stopped);
    this.findPiece();
    this.call(stopped);
    this.account();
    body.get(this.left);
    body.i32(0);
    body.op(Op.i32LeS);
    body.branch(turnOver, Op.brIf);
    // What leaves a piece before its end is not for regions.
    body.get(this.wantsPiece);
    body.branch(stopped, Op.brIf);
    body.get(this.reason);
    body.i32(Left.INTERPRET);
    body.op(Op.i32Eq);
    body.branch(stopped, Op.brIf);
    body.get(this.reason);
    body.i32(Left.BUDGET);
    body.op(Op.i32Eq);
    body.set(this.wantsPiece);
    body.branch(next);
    body.close();
  }

  /** The entry for RIP. */
  private find(stopped: number): void {
    const { body, runner, rip, entry } = this;
    body.get(this.state);
    body.memory(Op.i64Load, 4 * Word.RIP);
    body.tee(rip);
    body.get(rip);
    body.i64(6n);
    body.op(Op.i64ShrU);
    body.op(Op.i64Xor);
    body.op(Op.i32WrapI64);
    body.i32(ENTRY_COUNT - 1);
    body.op(Op.i32And);
    body.i32(ENTRY_SHIFT);
    body.op(Op.i32Shl);
    body.get(runner);
    body.op(Op.i32Add);
    body.i32(RunnerOffset.ENTRIES);
    body.op(Op.i32Add);
    body.tee(entry);
    body.memory(Op.i64Load, EntryOffset.RIP);
    body.get(rip);
    body.op(Op.i64Ne);
    body.branch(stopped, Op.brIf);
    for (const [entryOffset, runnerOffset] of [
      [EntryOffset.TAG, RunnerOffset.TAG],
      [EntryOffset.TLB, RunnerOffset.TLB],
    ]) {
      this.load(entry, entryOffset);
      this.load(runner, runnerOffset);
      body.op(Op.i32Ne);
      body.branch(stopped, Op.brIf);
    }
    this.load(entry, EntryOffset.REGION);
    body.set(this.region);
  }

  /** In place of the region, the beginning of its first block that the cycles left are enough for. */
  private findPiece(): void {
    const { body, entry } = this;
    body.get(this.wantsPiece);
    body.open(Op.if);
    const search = body.open(Op.loop);
    this.load(entry, EntryOffset.PIECES);
    body.get(this.left);
    body.op(Op.i32LtS);
    body.open(Op.if);
    this.add(entry, PIECE_BYTES);
    body.branch(search);
    body.close();
    body.close();
    this.load(entry, EntryOffset.PIECES + 4);
    body.set(this.region);
    body.close();
  }

  private call(stopped: number): void {
    const { body, runner, trail } = this;
    this.load(runner, RunnerOffset.RUNS);
    body.i32(KEPT_TRAILS - 1);
    body.op(Op.i32And);
    body.i32(KEPT_BYTES);
    body.op(Op.i32Mul);
    body.get(runner);
    body.op(Op.i32Add);
    body.i32(TRAILS_OFFSET);
    body.op(Op.i32Add);
    body.set(trail);
    body.get(trail);
    body.get(this.rip);
    body.memory(Op.i64Store, KeptOffset.RIP);
    this.store(trail, KeptOffset.REGION, () => body.get(this.region));
    this.store(trail, KeptOffset.INSTRUCTIONS, () => this.load(runner, RunnerOffset.INSTRUCTIONS));
    this.store(trail, TrailOffset.REPEATED, () => body.i32(-1));
    for (const offset of [TrailOffset.SKIPPED, TrailOffset.WAITED]) {
      body.get(trail);
      body.i64(0n);
      body.memory(Op.i64Store, offset);
    }
    body.get(this.state);
    this.load(runner, RunnerOffset.TLB);
    body.get(this.left);
    body.get(trail);
    body.get(this.region);
    body.callIndirect(this.regionType);
    body.tee(this.reason);
    body.i32(GONE);
    body.op(Op.i32Eq);
    body.branch(stopped, Op.brIf);
  }

  /** Of the run: clock, instructions and the rest. */
  private account(): void {
    const { body, runner, trail, packed } = this;
    body.get(trail);
    body.memory(Op.i64Load, TrailOffset.LEFT);
    body.set(packed);
    this.increase(RunnerOffset.INSTRUCTIONS, () => this.pushCount());
    this.increase(RunnerOffset.RUNS, () => body.i32(1));
    this.pushCycles();
    body.set(this.left);
    this.store(runner, RunnerOffset.NOW, () => {
      body.get(P.END);
      body.get(this.left);
      body.op(Op.i32Sub);
    });
    const { SKIPPED_CYCLES, SKIPPED_INSTRUCTIONS } = RunnerOffset;
    this.accumulate(TrailOffset.SKIPPED, SKIPPED_CYCLES, SKIPPED_INSTRUCTIONS);
    const { WAITED_CYCLES, WAITED_INSTRUCTIONS } = RunnerOffset;
    this.accumulate(TrailOffset.WAITED, WAITED_CYCLES, WAITED_INSTRUCTIONS);
  }

  /** What was left out, if anything was. */
  private accumulate(offset: number, cycles: number, instructions: number): void {
    const { body } = this;
    body.get(this.trail);
    body.memory(Op.i64Load, offset);
    body.tee(this.packed);
    body.op(Op.i64Eqz);
    body.op(Op.i32Eqz);
    body.open(Op.if);
    this.increase(instructions, () => this.pushCount());
    this.increase(cycles, () => this.pushCycles());
    body.close();
  }

  private pushCount(): void {
    const { body } = this;
    body.get(this.packed);
    body.op(Op.i32WrapI64);
    body.i32(COUNT_MASK);
    body.op(Op.i32And);
    body.i32(COUNT_SHIFT);
    body.op(Op.i32ShrU);
  }

  private pushCycles(): void {
    const { body } = this;
    body.get(this.packed);
    body.i64(BigInt(CYCLES_SHIFT));
    body.op(Op.i64ShrS);
    body.op(Op.i32WrapI64);
  }

  private nextPiece(): void {
    const { body } = this;
    body.get(P.END);
    body.get(P.LOOKAHEAD);
    body.op(Op.i32Add);
    body.set(P.END);
    this.setTo(this.last, -1);
    this.add(P.FIRST_NUMBER, 1);
    body.get(P.FIRST_NUMBER);
    body.get(P.NUMBERS);
    body.op(Op.i32Eq);
    body.open(Op.if);
    this.setTo(P.FIRST_NUMBER, 0);
    this.setTo(this.first, 0);
    body.close();
    this.findFirst();
    // Behind the last one it is the first again.
    body.get(this.first);
    body.i32(0);
    body.get(this.first);
    body.get(P.COUNT);
    body.op(Op.i32LtS);
    body.op(Op.select);
    body.set(P.NEXT);
    body.get(P.COUNT);
    body.set(P.TURNS);
  }

  /** From where it was on, the first whose number is not below that of the piece. */
  private findFirst(): void {
    const { body, first } = this;
    const found = body.open(Op.block);
    const search = body.open(Op.loop);
    body.get(first);
    body.get(P.COUNT);
    body.op(Op.i32GeS);
    body.branch(found, Op.brIf);
    this.pushListed(first);
    body.memory(Op.i32Load, ListOffset.RUNNERS + 4);
    body.get(P.FIRST_NUMBER);
    body.op(Op.i32GeS);
    body.branch(found, Op.brIf);
    this.add(first, 1);
    body.branch(search);
    body.close();
    body.close();
  }

  private tell(): void {
    const { body } = this;
    this.store(P.LIST, ListOffset.END, () => body.get(P.END));
    this.store(P.LIST, ListOffset.STOPPED, () => body.get(P.NEXT));
    this.store(P.LIST, ListOffset.LAST, () => body.get(this.last));
    this.store(P.LIST, ListOffset.TURNS, () => body.get(this.turns));
  }

  /** What is in a list at a place, but for the offset. */
  private pushListed(place: number): void {
    const { body } = this;
    body.get(place);
    body.i32(LISTED_BYTES);
    body.op(Op.i32Mul);
    body.get(P.LIST);
    body.op(Op.i32Add);
  }

  private load(base: number, offset: number): void {
    this.body.get(base);
    this.body.memory(Op.i32Load, offset);
  }

  private store(base: number, offset: number, push: () => void): void {
    this.body.get(base);
    push();
    this.body.memory(Op.i32Store, offset);
  }

  private increase(offset: number, push: () => void): void {
    this.store(this.runner, offset, () => {
      this.load(this.runner, offset);
      push();
      this.body.op(Op.i32Add);
    });
  }

  private setTo(local: number, value: number): void {
    this.body.i32(value);
    this.body.set(local);
  }

  private add(local: number, value: number): void {
    const { body } = this;
    body.get(local);
    body.i32(value);
    body.op(Op.i32Add);
    body.set(local);
  }
}

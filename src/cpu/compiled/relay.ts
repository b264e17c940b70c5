// Relays: several processors of one memory take their turns one after the other, without leaving
// compiled code between them. Which regions they come by is noted by the way that each goes by
// itself; where nothing is noted, or something else is to be done, the relay ends in the middle of
// a turn, which goes on as ever. See docs/decisions/relays.md.

import type { CodeSize } from '../../isa/index.ts';
import type { PhysicalMemory } from '../../memory/index.ts';
import type { Relay, RelayCourse, RelayFinish } from '../../sim/index.ts';
import type { BlockLog, LogKeeper } from '../block-log.ts';
import type { Block } from '../code-cache.ts';
import type { Region } from './compiler.ts';
import type { EngineStatistics } from './engine-statistics.ts';
import { GONE } from './left-behind.ts';
import { FunctionBody, functionOf, moduleBytes, type Signature } from './module.ts';
import {
  ENTRY_BYTES,
  EntryOffset,
  emitRelay,
  entryIndexOf,
  KEPT_BYTES,
  KEPT_TRAILS,
  KeptOffset,
  LISTED_BYTES,
  ListOffset,
  MOST_PIECES,
  PIECE_BYTES,
  RELAY_SIGNATURE,
  RUNNER_BYTES,
  RunnerOffset,
  TRAILS_OFFSET,
} from './relay-emission.ts';
import { Trail } from './trail.ts';

/** Who can take part in a relay. */
const MOST_RUNNERS = 512;
const LIST_BYTES = ListOffset.RUNNERS + MOST_RUNNERS * LISTED_BYTES;

/** Regions that are noted at a time, at first and at most. */
const FIRST_REGIONS = 256;
const MOST_REGIONS = 2 ** 16;

type RelayFunction = (...values: readonly number[]) => number;

/** One for all processors of a memory. */
export class CompiledRelay implements Relay {
  /** Bytes beside the memory for so many processors. */
  static besideBytes(processorCount: number): number {
    return LIST_BYTES + processorCount * RUNNER_BYTES;
  }

  private readonly finish: RelayFinish = {
    isStopped: false,
    end: 0,
    stopped: 0,
    last: 0,
    turns: 0,
  };
  private readonly memory: PhysicalMemory;
  private readonly list: Int32Array;
  /** Of those that were noted, by their index in the table; nothing is at 0. */
  private readonly regions: (Region | null)[] = [null];
  private table: WebAssembly.Table | null = null;
  private gone: unknown = null;
  private go: RelayFunction | null = null;
  private readonly regionSignature: Signature;
  private readonly storage: unknown;
  private readonly statistics: EngineStatistics;

  /** @param storage what the memory lies in */
  constructor(
    storage: unknown,
    memory: PhysicalMemory,
    regionSignature: Signature,
    statistics: EngineStatistics,
  ) {
    this.statistics = statistics;
    this.storage = storage;
    this.memory = memory;
    this.regionSignature = regionSignature;
    this.list = memory.beside(LIST_BYTES);
  }

  /** A place for one more processor. */
  runner(log: BlockLog): Runner {
    return new Runner(this, this.memory.beside(RUNNER_BYTES), log);
  }

  /** Put a runner on the list. */
  enlist(place: number, { words }: Runner, number: number): void {
    const at = (ListOffset.RUNNERS + place * LISTED_BYTES) / 4;
    this.list[at] = words.byteOffset;
    this.list[at + 1] = number;
  }

  /** Let those on the list, so many, take their turns. */
  run(count: number, course: RelayCourse): RelayFinish {
    const { list, finish } = this;
    this.go ??= this.made();
    const { next, turns, end, lookahead, lastEnd, firstNumber, numbers, base } = course;
    const times = [end, lookahead, lastEnd] as const;
    finish.isStopped =
      this.go(list.byteOffset, count, next, turns, ...times, firstNumber, numbers, base) !== 0;
    finish.end = list[ListOffset.END / 4];
    finish.stopped = list[ListOffset.STOPPED / 4];
    finish.last = list[ListOffset.LAST / 4];
    finish.turns = list[ListOffset.TURNS / 4];
    this.statistics.relayTurns += finish.turns;
    return finish;
  }

  /** The index of a region in the table, 0 if there is no room. */
  indexOf(region: Region): number {
    if (region.relayIndex > 0) return region.relayIndex;
    const { regions } = this;
    if (regions.length === MOST_REGIONS || region.run === null) return 0;
    this.go ??= this.made();
    const table = this.table as WebAssembly.Table;
    if (regions.length === table.length) table.grow(table.length);
    table.set(regions.length, region.run);
    region.relayIndex = regions.push(region) - 1;
    return region.relayIndex;
  }

  /** A region is dropped: whoever has noted it finds nothing. */
  drop({ relayIndex }: Region): void {
    if (relayIndex === 0) return;
    this.table?.set(relayIndex, this.gone);
    this.regions[relayIndex] = null;
  }

  /** Null if it was dropped. */
  regionAt(index: number): Region | null {
    return this.regions[index];
  }

  /** The relay itself, when it is needed first. */
  private made(): RelayFunction {
    const body = new FunctionBody(this.regionSignature.parameters.length);
    body.i32(GONE);
    const m = this.storage;
    const tableOf = this.regionSignature;
    const plain = { imports: [], memoryPages: 1 };
    this.gone = functionOf(moduleBytes({ ...plain, signature: tableOf, body }), { m });
    this.table = new WebAssembly.Table({ element: 'anyfunc', initial: FIRST_REGIONS });
    this.table.set(0, this.gone);
    const relay = { ...plain, signature: RELAY_SIGNATURE, body: emitRelay(0), tableOf };
    return functionOf(moduleBytes(relay), { m, t: this.table }) as RelayFunction;
  }
}

/** One processor's place in the relays of its memory. */
export class Runner implements LogKeeper {
  readonly words: Int32Array;
  /** It was stopped for want of something: what it comes by is to be noted. */
  isNoting = false;
  private readonly relay: CompiledRelay;
  private readonly log: BlockLog;
  private readonly trails: readonly Trail[];
  /** What the tag stands for. */
  private epoch = -1;
  private footing = -1;
  private codeBase = 0;
  private codeSize: CodeSize = 64;
  /** The count when it joined. */
  private instructionsBefore = 0;

  constructor(relay: CompiledRelay, words: Int32Array, log: BlockLog) {
    this.relay = relay;
    this.words = words;
    this.log = log;
    this.trails = Array.from({ length: KEPT_TRAILS }, (_, i) => new Trail(words, keptAt(i)));
  }

  /**
   * What is noted holds as long as these do.
   * @param epoch of the translations
   * @param codeBase what is added to RIP for a linear address
   */
  settleTag(epoch: number, footing: number, codeBase: number): void {
    const isSame = epoch === this.epoch && footing === this.footing && codeBase === this.codeBase;
    if (isSame) return;
    this.epoch = epoch;
    this.footing = footing;
    this.codeBase = codeBase;
    const { words } = this;
    words[RunnerOffset.TAG / 4]++;
    // Not 0, which is the tag of what was never noted.
    if (words[RunnerOffset.TAG / 4] <= 0) {
      words.fill(0, RunnerOffset.ENTRIES / 4, TRAILS_OFFSET / 4);
      words[RunnerOffset.TAG / 4] = 1;
    }
  }

  /**
   * Take part from here on.
   * @param now clock, and the time that it may not come to, in cycles from where the relay begins
   * @param instructions the lower half of the count
   */
  start(now: number, horizon: number, state: number, tlb: number, instructions: number): void {
    const { words } = this;
    words[RunnerOffset.NOW / 4] = now;
    words[RunnerOffset.HORIZON / 4] = horizon;
    words[RunnerOffset.STATE / 4] = state;
    words[RunnerOffset.TLB / 4] = tlb;
    words[RunnerOffset.INSTRUCTIONS / 4] = instructions;
    words[RunnerOffset.SKIPPED_CYCLES / 4] = 0;
    words[RunnerOffset.SKIPPED_INSTRUCTIONS / 4] = 0;
    words[RunnerOffset.WAITED_CYCLES / 4] = 0;
    words[RunnerOffset.WAITED_INSTRUCTIONS / 4] = 0;
    this.instructionsBefore = instructions;
  }

  /** Cycles from where the relay began. */
  get now(): number {
    return this.words[RunnerOffset.NOW / 4];
  }

  /** Since it joined. */
  get instructions(): number {
    return (this.words[RunnerOffset.INSTRUCTIONS / 4] - this.instructionsBefore) | 0;
  }

  get skippedCycles(): number {
    return this.words[RunnerOffset.SKIPPED_CYCLES / 4];
  }

  get skippedInstructions(): number {
    return this.words[RunnerOffset.SKIPPED_INSTRUCTIONS / 4];
  }

  get waitedCycles(): number {
    return this.words[RunnerOffset.WAITED_CYCLES / 4];
  }

  get waitedInstructions(): number {
    return this.words[RunnerOffset.WAITED_INSTRUCTIONS / 4];
  }

  /** Cycles of the instruction that it did last. */
  get lastCycles(): number {
    const newest = (this.words[RunnerOffset.RUNS / 4] - 1) & (KEPT_TRAILS - 1);
    const region = this.keptRegion(newest);
    return region === null ? 0 : this.trails[newest].lastCycles(region);
  }

  private keptRegion(at: number): Region | null {
    return this.relay.regionAt(this.words[keptAt(at) + KeptOffset.REGION / 4]);
  }

  /** The log is behind by what was done. */
  finish(): void {
    const { log } = this;
    log.keeper = this;
    this.codeSize = log.codeSize;
  }

  /** Tell the log what it has not heard of; the oldest first, of as much as is kept. */
  tell(log: BlockLog): void {
    const { words, codeSize, codeBase } = this;
    const runs = words[RunnerOffset.RUNS / 4];
    words[RunnerOffset.RUNS / 4] = 0;
    if (runs > KEPT_TRAILS) log.forget();
    for (let run = Math.max(0, runs - KEPT_TRAILS); run < runs; run++) {
      const at = run & (KEPT_TRAILS - 1);
      const region = this.keptRegion(at);
      if (region === null) {
        log.forget();
        continue;
      }
      const kept = keptAt(at) + KeptOffset.RIP / 4;
      const low = (words[kept] + codeBase) | 0;
      const instructions = words[kept + KEPT_INSTRUCTIONS];
      log.enterAt(low, codeSize === 64 ? words[kept + 1] : 0, instructions, codeSize);
      this.trails[at].tell(log, region);
    }
  }

  /** What it has done is not to be told any more: something else is restored. */
  forget(): void {
    this.words[RunnerOffset.RUNS / 4] = 0;
  }

  /** A region runs at RIP, which begins with a block. */
  note(ripLow: number, ripHigh: number, tlb: number, region: Region, block: Block): void {
    const { words } = this;
    const at = entryAt(ripLow);
    if (this.isAt(at, ripLow, ripHigh, tlb) && words[at + REGION] === region.relayIndex) return;
    words[at] = ripLow;
    words[at + 1] = ripHigh;
    words[at + TAG] = words[RunnerOffset.TAG / 4];
    words[at + TLB] = tlb;
    words[at + REGION] = this.relay.indexOf(region);
    let cycles = 0;
    for (let i = 0; i <= MOST_PIECES; i++) {
      const isPiece = i < block.instructions.length && i < MOST_PIECES;
      if (isPiece) cycles += block.instructions[i].cycles;
      words[at + pieceAt(i)] = isPiece ? cycles : INT_MAX;
      words[at + pieceAt(i) + 1] = 0;
    }
  }

  /** And of that block's beginning of so many instructions there is a region, too. */
  notePiece(ripLow: number, ripHigh: number, tlb: number, count: number, region: Region): void {
    const at = entryAt(ripLow);
    if (count > MOST_PIECES || !this.isAt(at, ripLow, ripHigh, tlb)) return;
    this.words[at + pieceAt(count - 1) + 1] = this.relay.indexOf(region);
  }

  private isAt(at: number, ripLow: number, ripHigh: number, tlb: number): boolean {
    const { words } = this;
    const isIt = words[at] === ripLow && words[at + 1] === ripHigh;
    return isIt && words[at + TAG] === words[RunnerOffset.TAG / 4] && words[at + TLB] === tlb;
  }
}

const INT_MAX = 0x7fffffff;

/** Index of the first word of a kept trail. */
const keptAt = (at: number) => (TRAILS_OFFSET + at * KEPT_BYTES) / 4;
const KEPT_INSTRUCTIONS = (KeptOffset.INSTRUCTIONS - KeptOffset.RIP) / 4;

/** And of the entry for a RIP. */
const entryAt = (ripLow: number) => (RunnerOffset.ENTRIES + entryIndexOf(ripLow) * ENTRY_BYTES) / 4;
const TAG = EntryOffset.TAG / 4;
const TLB = EntryOffset.TLB / 4;
const REGION = EntryOffset.REGION / 4;
const pieceAt = (i: number) => (EntryOffset.PIECES + i * PIECE_BYTES) / 4;

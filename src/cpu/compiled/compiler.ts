// Makes regions of hot code, for all processors of one memory. A region belongs to RIP and the
// host-physical address of its entry, and goes when any of its bytes changes.

import { PAGE_SIZE, PhysicalMemory } from '../../memory/index.ts';
import type { LoggedStretch } from '../block-log.ts';
import type { Block, CodeCache } from '../code-cache.ts';
import { codeSizeOn } from '../footing.ts';
import { TLB_BYTES, TLB_LAYOUT } from '../tlb.ts';
import { type Discovered, discover, loopsInRegisters } from './discovery.ts';
import { EngineStatistics } from './engine-statistics.ts';
import { ExpressionEmitter } from './expression.ts';
import { FlagRecord, RecordKind, recordWord, statusOf } from './flag-record.ts';
import { LOCALS, Slot } from './locals.ts';
import type { MemoryLayout } from './memory-access.ts';
import { FunctionBody, functionOf, moduleBytes, Op, type Signature, Type } from './module.ts';
import { int, type Node, narrow } from './nodes.ts';
import { emitRegion } from './region-emitter.ts';
import { CompiledRelay } from './relay.ts';
import type { StretchTables } from './trail.ts';

/** Runs from the entry; returns why it was left, see `Left`. */
export type RegionFunction = (
  stateOffset: number,
  tlbOffset: number,
  cyclesLeft: number,
  trailOffset: number,
) => number;

export interface Region extends StretchTables {
  /** The upper half of RIP at the entry. */
  readonly high: number;
  /** What it takes for granted. */
  readonly footing: number;
  /** It has PAUSE, and is told how that is watched. */
  readonly hasPauses: boolean;
  /** Iterations of delay loops may be left out, and of loops that wait. */
  readonly hasDelays: boolean;
  readonly hasWaits: boolean;
  /** It was made of nothing else than what touches registers only; see `RunAhead`. */
  readonly inRegisters: boolean;
  /** A loop of it does so. */
  readonly loopsInRegisters: boolean;
  /** Cycles of its longest block. */
  readonly blockCycles: number;
  /** Null if the first instruction is one that cannot be compiled. */
  readonly run: RegionFunction | null;
  /** Where relays find it, 0 if they do not. */
  relayIndex: number;
  valid: boolean;
}

/** What becomes of the code of a region, see there. */
interface Code {
  readonly run: RegionFunction | null;
  readonly stretches: readonly LoggedStretch[];
  readonly quietBefore: readonly number[];
  readonly hasWaits: boolean;
}

const NOTHING: Code = { run: null, stretches: [], quietBefore: [], hasWaits: false };

/** Where a region begins. */
export interface CodePlace {
  /** RIP. */
  readonly low: number;
  readonly high: number;
  /** Where the code lies. */
  readonly hpa: number;
  readonly footing: number;
}

const REGION_SIGNATURE: Signature = {
  parameters: [Type.I32, Type.I32, Type.I32, Type.I32],
  results: [Type.I32],
};

const STATUS_SIGNATURE: Signature = {
  parameters: [Type.I32, Type.I64, Type.I64, Type.I64, Type.I32],
  results: [Type.I32],
};

const WASM_PAGE_BYTES = 65_536;

/** A WebAssembly.Memory, in words that declarations can use where nobody declares that. */
export interface CompilableMemory {
  readonly buffer: ArrayBuffer;
}

/** A memory that compiled code reaches, with room for so many processors. */
export function compilableMemory(sizeBytes: number, processorCount: number): CompilableMemory {
  const beside =
    PhysicalMemory.besideBytes(sizeBytes) +
    processorCount * TLB_BYTES +
    CompiledRelay.besideBytes(processorCount);
  const pages = Math.ceil((sizeBytes + beside) / WASM_PAGE_BYTES);
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}

export class Compiler {
  readonly statistics = new EngineStatistics();
  /**
   * A block is compiled when it is entered so often: about when interpreting it has taken as long
   * as compiling it will, with the compiler's own code cold.
   */
  threshold = 1024;
  /** Leave delay loops to the interpreter, for it lets their iterations pass at once. */
  leavesDelays = false;
  /** Let rounds of loops that only wait pass in closed form. */
  passesWaits = false;
  /** By how many powers of two the threshold grows for code that changes again and again. */
  mostDoublings = 6;
  /** Of WebAssembly, some 10 KB a region, and a few times that as code; beyond, all is dropped. */
  mostBytes = 16 * 2 ** 20;
  /** How often each entry was compiled, by hpa and, of pieces, by their length. */
  private readonly attempts = new Map<number, number>();
  /** Places in compiled code that access memory. */
  private sites = 0;
  /** Of WebAssembly, since everything was dropped last. */
  private bytes = 0;
  readonly relay: CompiledRelay;
  private readonly storage: CompilableMemory;
  private readonly codeCache: CodeCache;
  private readonly layout: MemoryLayout;
  /** The function that computes status flags, when the first region wants it. */
  private status: unknown = null;

  constructor(storage: CompilableMemory, memory: PhysicalMemory, codeCache: CodeCache) {
    this.storage = storage;
    this.codeCache = codeCache;
    if (memory.watchedLines.buffer !== storage.buffer) throw new RangeError('no room for lines');
    this.relay = new CompiledRelay(storage, memory, REGION_SIGNATURE, this.statistics);
    codeCache.regionDropped = (region) => this.relay.drop(region);
    this.layout = {
      watchedLines: memory.watchedLines.byteOffset,
      watchedPages: memory.watchedPages.byteOffset,
      tlb: TLB_LAYOUT,
    };
  }

  /** Whether a block is hot; code that changes again and again has to be hotter each time. */
  isWorthIt(block: Block, hpa: number): boolean {
    const { heat } = block;
    if (heat < this.threshold) return false;
    const attempts = this.attempts.get(entryKey(block, hpa)) ?? 0;
    const doublings = Math.min(attempts, this.mostDoublings);
    return heat >= this.threshold * 2 ** doublings;
  }

  get regionsDropped(): number {
    return this.codeCache.regionsDropped;
  }

  /**
   * Compile from a place on.
   * @param inRegisters only what touches nothing but general registers and flags
   */
  compile(block: Block, place: CodePlace, inRegisters = false): Region {
    const { statistics } = this;
    const begun = statistics.hostClock?.() ?? 0;
    const region = this.made(block, place, inRegisters);
    statistics.compilationNs += (statistics.hostClock?.() ?? 0) - begun;
    return region;
  }

  private made(block: Block, { low, high, hpa, footing }: CodePlace, inRegisters: boolean): Region {
    if (this.bytes > this.mostBytes) {
      this.codeCache.clear();
      this.attempts.clear();
      this.bytes = 0;
    }
    if (!inRegisters) {
      const key = entryKey(block, hpa);
      this.attempts.set(key, (this.attempts.get(key) ?? 0) + 1);
    }
    const entry = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    const page = hpa - (hpa & (PAGE_SIZE - 1));
    const codeSize = codeSizeOn(footing);
    const discovered = discover(entry, {
      footing,
      inRegisters,
      leavesDelays: this.leavesDelays,
      entryOffset: hpa - page,
      stopsAt: (offset) => this.codeCache.stops.endsBlock(offset),
      blockAt: (offset) => {
        // A piece goes no further than it is long.
        if (block.isPiece) return page + offset === hpa ? block : null;
        const known = this.codeCache.at(page + offset, codeSize);
        if (known !== undefined) return known;
        const built = this.codeCache.build(page + offset, codeSize);
        return 'instructions' in built ? built : null;
      },
    });
    const isCode = discovered.blocks.has(entry);
    if (!isCode && !inRegisters) this.statistics.declinedEntry(discovered.declined);
    const emitted = isCode ? this.emitted(discovered, inRegisters) : NOTHING;
    const { run, stretches, quietBefore, hasWaits } = emitted;
    const blocks = [...discovered.blocks.values()];
    // One literal, for V8 gives objects that are put together of others layouts of their own.
    const region: Region = {
      low,
      high,
      codeSize,
      footing,
      hasPauses: blocks.some(({ effects }) => effects.some(({ kind }) => kind === 'clock')),
      hasDelays: blocks.some(({ delay }) => delay !== null),
      hasWaits,
      inRegisters,
      loopsInRegisters: loopsInRegisters(discovered),
      blockCycles: Math.max(0, ...blocks.map(({ cycles }) => cycles)),
      run,
      stretches,
      lengths: Int32Array.from(stretches, lengthOf),
      lastCycles: Int32Array.from(stretches, (stretch) => stretch.at(-1)?.lastCycles ?? -1),
      quietBefore: Int32Array.from(quietBefore),
      relayIndex: 0,
      valid: true,
    };
    for (const { dependents } of [block, ...discovered.sources]) {
      const gone = dependents.findIndex(({ valid }) => !valid);
      if (gone < 0) dependents.push(region);
      else dependents[gone] = region;
    }
    return region;
  }

  private emitted(discovered: Discovered, inRegisters: boolean): Code {
    const passesWaits = this.passesWaits && !inRegisters;
    const emitted = emitRegion(discovered, this.layout, this.sites, passesWaits);
    const { body, stretches, quietBefore, hasWaits } = emitted;
    this.sites += emitted.siteCount;
    this.status ??= this.instantiate(statusBody(), STATUS_SIGNATURE, {});
    const imports = { status: this.status };
    const run = this.instantiate(body, REGION_SIGNATURE, imports) as RegionFunction;
    this.statistics.made(discovered, inRegisters);
    return { run, stretches, quietBefore, hasWaits };
  }

  private instantiate(body: FunctionBody, signature: Signature, imports: object): unknown {
    const signatures = Object.keys(imports).map((name) => ({ name, signature: STATUS_SIGNATURE }));
    const bytes = moduleBytes({ imports: signatures, signature, body, memoryPages: 1 });
    this.statistics.bytes += bytes.length;
    this.bytes += bytes.length;
    return functionOf(bytes, { m: this.storage, ...imports });
  }
}

/** Instructions of a stretch. */
function lengthOf(stretch: LoggedStretch): number {
  return stretch.reduce((sum, { instructions }) => sum + instructions, 0);
}

/** Pieces of several lengths begin at the same place. */
function entryKey({ isPiece, instructions }: Block, hpa: number): number {
  return isPiece ? hpa + instructions.length * 2 ** 40 : hpa;
}

/** The status flags of any record: (op, x, y, r, c) -> bits of RFLAGS. */
function statusBody(): FunctionBody {
  const body = new FunctionBody(STATUS_SIGNATURE.parameters.length);
  const slots: number[] = [];
  [Slot.OPERATION, Slot.X, Slot.Y, Slot.RESULT, Slot.GIVEN].forEach((slot, parameter) => {
    slots[slot] = parameter;
  });
  const places = { local: (slot: number) => slots[slot], state: 0, statusFunction: 0 };
  const expressions = new ExpressionEmitter(body, places);
  const [op, c, x, y, r] = LOCALS.slice(Slot.OPERATION);
  const known = body.local(Type.I32);
  for (const kind of [RecordKind.ADD, RecordKind.SUB, RecordKind.LOGIC] as const) {
    for (const width of [8, 16, 32, 64] as const) {
      const word = recordWord(kind, width);
      const status = statusOf(new FlagRecord({ kind, width, x, y, r, isPlain: false }));
      expressions.begin();
      const isIt: Node = narrow(1, Op.i32Eq, Type.I32, maskedBy(op, 0xf000), int(word));
      expressions.push(isIt);
      body.open(Op.if);
      expressions.within(() => expressions.push(status));
      body.set(known);
      body.close();
    }
  }
  // (known & ~op) | (c & op), for the low bits of op are a mask of the flags in c.
  body.get(known);
  expressions.push(op);
  body.i32(-1);
  body.op(Op.i32Xor);
  body.op(Op.i32And);
  expressions.push(c);
  expressions.push(op);
  body.op(Op.i32And);
  body.op(Op.i32Or);
  body.i32(0x8d5);
  body.op(Op.i32And);
  return body;
}

function maskedBy(x: Node, mask: number): Node {
  return narrow(32, Op.i32And, Type.I32, x, int(mask));
}

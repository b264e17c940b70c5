// Decoded code by code size and host-physical address, in blocks, shared by all processors of one
// memory. A cache: dropping any part of it changes nothing but speed.

import type Long from 'long';
import {
  CODE_SIZES,
  type CodeSize,
  type CostClass,
  type Decoded,
  decode,
  type Instruction,
  type Meaning,
  type Operand,
} from '../isa/index.ts';
import { PAGE_SHIFT, PAGE_SIZE, type PhysicalMemory, Watch } from '../memory/index.ts';
import { CodeStops } from './code-stops.ts';
import type { Region } from './compiled/compiler.ts';
import { type Delay, delayOf } from './delay.ts';

/** Cycles that instructions take. */
export interface InstructionCosts {
  readonly classes: Readonly<Record<CostClass, number>>;
  /** On top, for a memory operand. */
  readonly memory: number;
  /** On top, for a locked access to memory. */
  readonly locked: number;
}

/** An instruction with everything that executing it needs at hand. */
export interface Prepared {
  readonly instruction: Instruction;
  readonly lengthBytes: number;
  readonly meaning: Meaning;
  readonly first: Operand;
  readonly second: Operand;
  readonly third: Operand;
  /** Cycles of one execution, or of one iteration under REP. */
  readonly cycles: number;
  /** It has a privilege check or an intercept, to be looked at first. */
  readonly guarded: boolean;
}

/** Instructions that follow each other in memory, up to a branch or the end of the page. */
export interface Block {
  readonly instructions: readonly Prepared[];
  readonly lengthBytes: number;
  /** Somebody may want to look before it is entered. */
  readonly mayStop: boolean;
  /** What it is if it only counts, or null. */
  readonly delay: Delay | null;
  /** Cleared when the bytes of any of them have changed. */
  valid: boolean;
  /** What was made of it, and is cleared with it. */
  readonly dependents: Region[];
  /** How often it was entered since compiled code was made of it last. */
  heat: number;
  /** What was made of it as an entry, and of what touches nothing but registers behind it. */
  region: Region | null;
  ahead: Region | null;
  /** It is the beginning of another block, see {@link pieceOf}. */
  readonly isPiece: boolean;
  /** By number of instructions, its beginnings that were asked for. */
  readonly pieces: Map<number, Block>;
}

export function newBlock(
  instructions: readonly Prepared[],
  lengthBytes: number,
  isPiece = false,
  mayStop = false,
): Block {
  // Each iteration has to be looked at.
  const delay = mayStop ? null : delayOf(instructions, lengthBytes);
  // One literal, for V8 gives objects that are put together of others layouts of their own.
  return {
    instructions,
    lengthBytes,
    mayStop,
    delay,
    valid: true,
    dependents: [],
    heat: 0,
    region: null,
    ahead: null,
    isPiece,
    pieces: new Map(),
  };
}

/**
 * The beginning of a block that takes so many cycles, or the last instruction of which crosses that
 * limit: a block by itself, so that what a turn has room for can be compiled too.
 */
export function pieceOf(block: Block, cycles: number): Block {
  const { instructions, pieces } = block;
  let count = 0;
  for (let taken = 0; taken < cycles && count < instructions.length; count++) {
    taken += instructions[count].cycles;
  }
  const known = pieces.get(count);
  if (known !== undefined) return known;
  const first = instructions.slice(0, count);
  const lengthBytes = first.reduce((sum, prepared) => sum + prepared.lengthBytes, 0);
  const piece = newBlock(first, lengthBytes, true, block.mayStop);
  pieces.set(count, piece);
  return piece;
}

/** Stands in for operands that an instruction does not have. */
const NO_OPERAND: Operand = { kind: 'relative', displacement: 0 };

/** Longer straight-line code continues in another block. */
const MAX_BLOCK_INSTRUCTIONS = 64;

const LINE_BYTES = 64;

/** What one page holds: blocks by the offset at which they begin. */
interface CodePage {
  readonly blocks: (Block | undefined)[];
  /** Every block that has bytes in a line, by line. */
  readonly byLine: Set<Block>[];
}

export class CodeCache {
  /** Regions whose code has changed, or that were dropped to make room. */
  regionsDropped = 0;
  /** Who hears of each of them, or null. */
  regionDropped: ((region: Region) => void) | null = null;
  /** Where blocks end; see {@link setStops}. */
  readonly stops = new CodeStops();
  private readonly memory: PhysicalMemory;
  private readonly costs: InstructionCosts;
  /** By {@link rankOf} the code size, and in it by page number. */
  private readonly pages: (CodePage | undefined)[][] = CODE_SIZES.map(() => []);

  constructor(memory: PhysicalMemory, costs: InstructionCosts) {
    this.memory = memory;
    this.costs = costs;
    memory.onLineWritten(Watch.CODE, (hpa) => this.dropLine(hpa));
  }

  at(hpa: number, codeSize: CodeSize): Block | undefined {
    const page = this.pages[rankOf(codeSize)][hpa >>> PAGE_SHIFT];
    return page === undefined ? undefined : page.blocks[hpa & (PAGE_SIZE - 1)];
  }

  /**
   * Decode the block that starts at `hpa`, remember it and watch its bytes. What is returned
   * instead says why there is not even one instruction within the page.
   */
  build(hpa: number, codeSize: CodeSize): Block | Exclude<Decoded, { kind: 'instruction' }> {
    const pageEnd = hpa - (hpa & (PAGE_SIZE - 1)) + PAGE_SIZE;
    const instructions: Prepared[] = [];
    let at = hpa;
    while (instructions.length < MAX_BLOCK_INSTRUCTIONS && at < pageEnd) {
      const decoded = decode(this.memory.bytes, at, pageEnd, codeSize);
      if (decoded.kind !== 'instruction') {
        if (instructions.length === 0) return decoded;
        break;
      }
      instructions.push(this.prepare(decoded.instruction));
      at += decoded.instruction.lengthBytes;
      if (endsBlock(decoded.instruction) || this.stops.endsBlock(at)) break;
    }
    const block = newBlock(instructions, at - hpa, false, this.stops.endsBlock(hpa));
    this.enter(hpa, codeSize, block);
    return block;
  }

  /** Have blocks end before some linear addresses, in place of earlier ones. */
  setStops(linear: readonly Long[]): void {
    this.stops.set(linear);
    this.clear();
  }

  /** Forget everything. */
  clear(): void {
    for (const pages of this.pages) {
      for (const page of pages) {
        for (const block of page?.blocks ?? []) if (block !== undefined) this.invalidate(block);
      }
      pages.length = 0;
    }
  }

  prepare(instruction: Instruction): Prepared {
    const { row, operands, lock } = instruction;
    const memory = operands.some((operand) => operand.kind === 'memory' && operand.width !== 0);
    const locked = memory && (lock || row.alwaysLocked === true);
    return {
      instruction,
      lengthBytes: instruction.lengthBytes,
      meaning: row.meaning,
      first: operands[0] ?? NO_OPERAND,
      second: operands[1] ?? NO_OPERAND,
      third: operands[2] ?? NO_OPERAND,
      cycles:
        this.costs.classes[row.cost] +
        (memory ? this.costs.memory : 0) +
        (locked ? this.costs.locked : 0),
      guarded:
        row.privilege !== undefined ||
        row.intercept !== undefined ||
        row.unit !== undefined ||
        row.protectedOnly === true,
    };
  }

  private enter(hpa: number, codeSize: CodeSize, block: Block): void {
    const { lengthBytes } = block;
    const offset = hpa & (PAGE_SIZE - 1);
    const pages = this.pagesFor(codeSize);
    const number = hpa >>> PAGE_SHIFT;
    pages[number] ??= { blocks: new Array(PAGE_SIZE).fill(undefined), byLine: [] };
    const page = pages[number];
    page.blocks[offset] = block;
    const lastLine = Math.floor((offset + lengthBytes - 1) / LINE_BYTES);
    for (let line = Math.floor(offset / LINE_BYTES); line <= lastLine; line++) {
      page.byLine[line] ??= new Set();
      page.byLine[line].add(block);
    }
    this.memory.watch(Watch.CODE, hpa, lengthBytes);
  }

  /** Of full length from the first one on: V8 makes hash tables of arrays with wide gaps. */
  private pagesFor(codeSize: CodeSize): (CodePage | undefined)[] {
    const rank = rankOf(codeSize);
    if (this.pages[rank].length === 0) {
      const count = Math.ceil(this.memory.bytes.length / PAGE_SIZE);
      this.pages[rank] = new Array<CodePage | undefined>(count).fill(undefined);
    }
    return this.pages[rank];
  }

  private invalidate(block: Block): void {
    block.valid = false;
    for (const dependent of block.dependents) {
      if (!dependent.valid) continue;
      dependent.valid = false;
      if (dependent.run !== null) this.regionsDropped++;
      this.regionDropped?.(dependent);
    }
    for (const piece of block.pieces.values()) this.invalidate(piece);
  }

  /** Drop the blocks that overlap a line. */
  private dropLine(hpa: number): void {
    for (const pages of this.pages) {
      const page = pages[hpa >>> PAGE_SHIFT];
      const dropped = page?.byLine[(hpa & (PAGE_SIZE - 1)) / LINE_BYTES];
      if (page === undefined || dropped === undefined) continue;
      for (const block of dropped) {
        this.invalidate(block);
        page.blocks[page.blocks.indexOf(block)] = undefined;
      }
      dropped.clear();
    }
  }
}

/** 0, 1 and 2: V8 makes a hash table of an object whose keys are the sizes themselves. */
function rankOf(codeSize: CodeSize): number {
  return codeSize >> 5;
}

/** Branches and whatever may change the mode, the mapping or the activity state. */
function endsBlock({ row }: Instruction): boolean {
  return row.cost !== 'simple' && row.cost !== 'multiply' && row.cost !== 'divide';
}

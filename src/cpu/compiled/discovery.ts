// Finds what belongs to a region: from the address at which it is entered, the blocks that direct
// branches within the page lead to, each with its values and effects.

import { effectsOf, type Instruction } from '../../isa/index.ts';
import { PAGE_SIZE } from '../../memory/index.ts';
import type { Block, Prepared } from '../code-cache.ts';
import type { Delay } from '../delay.ts';
import { hasParagraphsOn, lastAddressOn } from '../footing.ts';
import { BlockDomain } from './block-domain.ts';
import { Declined } from './block-state.ts';
import type { Effect } from './effects.ts';
import type { FlagRecord } from './flag-record.ts';
import { Op } from './module.ts';
import { FALSE, type Node } from './nodes.ts';

/** A block of a region. */
export interface RegionBlock {
  /** RIP, as all addresses here. */
  readonly start: bigint;
  /** The general registers at its start. */
  readonly locals: readonly Node[];
  readonly effects: readonly Effect[];
  /** At its end. */
  readonly registers: readonly Node[];
  readonly flags: FlagRecord;
  /** RIP at its end. */
  readonly continuation: Node;
  /** The instruction at its end is the interpreter's. */
  readonly declined: string | null;
  readonly cycles: number;
  /** Of its last instruction: only those before it have to fit. */
  readonly lastCycles: number;
  readonly instructions: number;
  /** One instruction, which counts when it is not repeated any more. */
  readonly repeats: boolean;
  /** What it is if it only counts, and its iterations may pass at once; else null. */
  readonly delay: Delay | null;
}

/** Where the code of a region comes from. */
export interface CodeSource {
  /** What is taken for granted of mode and segments. */
  readonly footing: number;
  /** Where in its page the entry lies. */
  readonly entryOffset: number;
  /** Decoded code at an offset in the page of the region, or null if there is none. */
  blockAt(offset: number): Block | null;
  /** True if code must be left before an offset in the page. */
  stopsAt(offset: number): boolean;
  /** The interpreter does delay loops. */
  readonly leavesDelays: boolean;
  /** Only what touches nothing but general registers and flags. */
  readonly inRegisters: boolean;
}

export interface Discovered {
  /** By address; the entry first, unless it was declined. */
  readonly blocks: ReadonlyMap<bigint, RegionBlock>;
  /** Why the entry was declined, if it was and is code. */
  readonly declined: string | null;
  /** Addresses behind calls within the region, which returns may lead to. */
  readonly returnSites: ReadonlySet<bigint>;
  /** All code it was made from. */
  readonly sources: ReadonlySet<Block>;
}

/** A path has 6 bits for each. */
const MAX_BLOCKS = 63;
const MAX_INSTRUCTIONS = 512;
const MAX_BLOCK_INSTRUCTIONS = 48;

/** @param entry RIP */
export function discover(entry: bigint, source: CodeSource): Discovered {
  return new Discovery(entry, source).run();
}

class Discovery {
  private readonly page: bigint;
  private readonly source: CodeSource;
  private readonly waiting: bigint[];
  private readonly leaders: Set<bigint>;
  private readonly blocks = new Map<bigint, RegionBlock>();
  private readonly returnSites = new Set<bigint>();
  private readonly sources = new Set<Block>();
  private instructions = 0;
  private declined: string | null = null;
  private readonly entry: bigint;
  /** Of code. */
  private readonly lastAddress: bigint;

  constructor(entry: bigint, source: CodeSource) {
    this.entry = entry;
    this.page = entry - BigInt(source.entryOffset);
    this.source = source;
    this.lastAddress = lastAddressOn(source.footing);
    this.waiting = [entry];
    this.leaders = new Set([entry]);
  }

  run(): Discovered {
    for (;;) {
      const start = this.waiting.shift();
      const isFull = this.blocks.size >= MAX_BLOCKS || this.instructions >= MAX_INSTRUCTIONS;
      if (start === undefined || isFull) break;
      const block = this.build(start);
      // Where nothing can be compiled there is no block: branches to it leave the region.
      if (block.instructions === 0) {
        if (start === this.entry) this.declined = block.declined;
        continue;
      }
      this.instructions += block.instructions;
      this.blocks.set(start, block);
      for (const target of directTargets(block.continuation)) this.reach(target);
    }
    const { blocks, declined, returnSites, sources } = this;
    return { blocks, declined, returnSites, sources };
  }

  private isInPage(address: bigint): boolean {
    return address >= this.page && address < this.page + BigInt(PAGE_SIZE);
  }

  private reach(address: bigint): void {
    if (!this.isInPage(address) || this.leaders.has(address)) return;
    if (this.source.stopsAt(Number(address - this.page))) return;
    this.leaders.add(address);
    this.waiting.push(address);
  }

  private build(start: bigint): RegionBlock {
    const domain = new BlockDomain(start, this.source.footing);
    const locals = domain.registers;
    const { leavesDelays } = this.source;
    const delay = leavesDelays
      ? (this.source.blockAt(Number(start - this.page))?.delay ?? null)
      : null;
    if (delay !== null) domain.leaveLong(delay);
    let offset = 0;
    let cycles = 0;
    let lastCycles = 0;
    let instructions = 0;
    let declined: string | null = null;
    let repeats = false;
    for (const prepared of this.codeFrom(start)) {
      const { instruction } = prepared;
      // What may be repeated is a block by itself, so that it can be entered again.
      if (instruction.repeat !== 'none' && instructions > 0) {
        this.reach(start + BigInt(offset));
        break;
      }
      declined =
        reasonAgainst(prepared, this.source) ??
        append(domain, instruction, { offset, cycles, instructions });
      if (declined !== null) break;
      offset += prepared.lengthBytes;
      lastCycles = prepared.cycles;
      cycles += prepared.cycles;
      instructions++;
      repeats = domain.repeats !== FALSE;
      if (domain.hasJumped || this.source.stopsAt(Number(start - this.page) + offset)) break;
      if (instructions >= MAX_BLOCK_INSTRUCTIONS) this.reach(start + BigInt(offset));
      if (this.leaders.has(start + BigInt(offset))) break;
    }
    const { registers, flags, effects, continuation } = domain;
    if (domain.askedNext && declined === null) this.noteCall(start + BigInt(offset), continuation);
    // One literal, for V8 gives objects that are put together of others layouts of their own.
    return {
      start,
      locals,
      effects,
      registers,
      flags,
      continuation,
      declined,
      cycles,
      lastCycles,
      instructions,
      repeats,
      delay,
    };
  }

  /** Behind a call there is something to return to. */
  private noteCall(back: bigint, target: Node): void {
    if (!target.isConstant || !this.isInPage(target.value) || !this.isInPage(back)) return;
    this.returnSites.add(back);
    this.reach(back);
  }

  /** Instructions from an address to the end of the page, or to something that is none. */
  private *codeFrom(start: bigint): Iterable<Prepared> {
    let offset = Number(start - this.page);
    while (offset < PAGE_SIZE) {
      const block = this.source.blockAt(offset);
      if (block === null) return;
      this.sources.add(block);
      for (const prepared of block.instructions) {
        offset += prepared.lengthBytes;
        // Outside 64-bit mode RIP starts again behind the end of the code segment, or faults.
        if (this.page + BigInt(offset - 1) > this.lastAddress) return;
        yield prepared;
      }
    }
  }
}

/** Why an instruction is not compiled, or null. */
function reasonAgainst(
  { instruction }: Prepared,
  { footing, inRegisters }: CodeSource,
): string | null {
  if (inRegisters && !staysInRegisters(instruction)) return instruction.row.mnemonic;
  const { privilege, intercept, unit, protectedOnly, mnemonic } = instruction.row;
  const isAsked = privilege !== undefined || (intercept !== undefined && intercept !== 'PAUSE');
  const isSwitched = unit !== undefined && unit !== 'sse';
  const isMissing = protectedOnly === true && hasParagraphsOn(footing);
  return isAsked || isSwitched || isMissing ? mnemonic : null;
}

/** It neither sees nor changes anything but general registers and flags. */
function staysInRegisters(instruction: Instruction): boolean {
  const { unit, intercept } = instruction.row;
  if (unit !== undefined || intercept !== undefined) return false;
  const { memory, calls, repeats } = effectsOf(instruction);
  return memory.length === 0 && calls.length === 0 && !repeats;
}

/** There is a way around in it, from the entry on, that touches nothing but registers. */
export function loopsInRegisters({ blocks }: Discovered): boolean {
  const done = new Set<bigint>();
  const path = new Set<bigint>();
  const meetsItself = (start: bigint): boolean => {
    const block = blocks.get(start);
    if (path.has(start)) return true;
    if (block === undefined || done.has(start)) return false;
    done.add(start);
    if (block.effects.some(({ kind }) => kind !== 'guard')) return false;
    path.add(start);
    const isLoop = directTargets(block.continuation).some(meetsItself);
    path.delete(start);
    return isLoop;
  };
  for (const start of blocks.keys()) return meetsItself(start);
  return false;
}

function append(
  domain: BlockDomain,
  instruction: Instruction,
  at: { offset: number; cycles: number; instructions: number },
): string | null {
  try {
    domain.append(instruction, at);
    return null;
  } catch (thrown) {
    if (thrown instanceof Declined) return `${instruction.row.mnemonic}: ${thrown.reason}`;
    throw thrown;
  }
}

/** Where a block may go that says so itself. */
export function directTargets(continuation: Node): readonly bigint[] {
  if (continuation.isConstant) return [continuation.value];
  if (continuation.op !== Op.select) return [];
  const [whenTrue, whenFalse] = continuation.operands;
  return whenTrue.isConstant && whenFalse.isConstant ? [whenTrue.value, whenFalse.value] : [];
}

// What the compiled engine does and declines, counted for people: no run depends on it. One for
// all processors of a memory.

import type { Block } from '../code-cache.ts';
import type { Discovered } from './discovery.ts';
import { Left } from './left-behind.ts';

export class EngineStatistics {
  regions = 0;
  /** Guest instructions in them. */
  instructions = 0;
  /** WebAssembly of everything that was made. */
  bytes = 0;
  /** Blocks whose first instruction was declined, by the reason. */
  readonly declined = new Map<string, number>();
  /** Blocks of regions that end at an instruction that was declined, by the reason. */
  readonly declinedWithin = new Map<string, number>();
  /** How often a region was left, by {@link Left}. */
  readonly ways: Record<keyof typeof Left, number> = { CHAIN: 0, BUDGET: 0, INTERPRET: 0 };
  /** Turns that were begun in relays: where their regions were left is not counted. */
  relayTurns = 0;
  /** How often the interpreter was left an instruction, by mnemonic; counted only if asked for. */
  readonly interpreted = new Map<string, number>();
  countsInterpreted = false;
  /** Reads a clock of the host's, in nanoseconds; without one, no times. */
  hostClock: (() => number) | null = null;
  compilationNs = 0;

  /** @param inRegisters it was not to go any further */
  made({ blocks }: Discovered, inRegisters: boolean): void {
    this.regions++;
    for (const block of blocks.values()) {
      this.instructions += block.instructions;
      if (block.declined !== null && !inRegisters) count(this.declinedWithin, block.declined);
    }
  }

  declinedEntry(reason: string | null): void {
    count(this.declined, reason ?? 'no code');
  }

  left(reason: number): void {
    const { ways } = this;
    if (reason === Left.CHAIN) ways.CHAIN++;
    else if (reason === Left.BUDGET) ways.BUDGET++;
    else ways.INTERPRET++;
  }

  /** The first instruction of a block could not be executed by compiled code. */
  leftToInterpreter({ instructions }: Block): void {
    if (this.countsInterpreted) count(this.interpreted, instructions[0].instruction.row.mnemonic);
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

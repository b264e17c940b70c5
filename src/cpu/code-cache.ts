// Decoded instructions by host-physical address, shared by all processors of one memory. A cache:
// dropping any part of it changes nothing but speed.

import type { CostClass, Instruction, Meaning, Operand } from '../isa/index.ts';
import { MAX_INSTRUCTION_BYTES } from '../isa/index.ts';
import { PAGE_SHIFT, PAGE_SIZE, type PhysicalMemory, Watch } from '../memory/index.ts';

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
  readonly meaning: Meaning;
  readonly first: Operand;
  readonly second: Operand;
  readonly third: Operand;
  /** Cycles of one execution, or of one iteration under REP. */
  readonly cycles: number;
  /** It has a privilege check or an intercept, to be looked at first. */
  readonly guarded: boolean;
}

/** Stands in for operands that an instruction does not have. */
const NO_OPERAND: Operand = { kind: 'relative', displacement: 0 };

const LINE_BYTES = 64;

export class CodeCache {
  private readonly memory: PhysicalMemory;
  private readonly costs: InstructionCosts;
  private readonly pages: (Prepared | undefined)[][] = [];

  constructor(memory: PhysicalMemory, costs: InstructionCosts) {
    this.memory = memory;
    this.costs = costs;
    memory.onLineWritten(Watch.CODE, (hpa) => this.dropLine(hpa));
  }

  at(hpa: number): Prepared | undefined {
    const page = this.pages[hpa >>> PAGE_SHIFT];
    return page === undefined ? undefined : page[hpa & (PAGE_SIZE - 1)];
  }

  /** Remember an instruction whose bytes all lie in one page, and watch them. */
  enter(hpa: number, prepared: Prepared): void {
    const number = hpa >>> PAGE_SHIFT;
    this.pages[number] ??= new Array(PAGE_SIZE).fill(undefined);
    (this.pages[number] as Prepared[])[hpa & (PAGE_SIZE - 1)] = prepared;
    this.memory.watch(Watch.CODE, hpa, prepared.instruction.lengthBytes);
  }

  /** Forget everything. */
  clear(): void {
    this.pages.length = 0;
  }

  prepare(instruction: Instruction): Prepared {
    const { row, operands, lock } = instruction;
    const memory = operands.some((operand) => operand.kind === 'memory' && operand.width !== 0);
    const locked = memory && (lock || row.alwaysLocked === true);
    return {
      instruction,
      meaning: row.meaning,
      first: operands[0] ?? NO_OPERAND,
      second: operands[1] ?? NO_OPERAND,
      third: operands[2] ?? NO_OPERAND,
      cycles:
        this.costs.classes[row.cost] +
        (memory ? this.costs.memory : 0) +
        (locked ? this.costs.locked : 0),
      guarded: row.privilege !== undefined || row.intercept !== undefined,
    };
  }

  /** Drop what overlaps a line; instructions may begin in the line before it. */
  private dropLine(hpa: number): void {
    const page = this.pages[hpa >>> PAGE_SHIFT];
    if (page === undefined) return;
    const line = hpa & (PAGE_SIZE - 1);
    const first = Math.max(0, line - MAX_INSTRUCTION_BYTES + 1);
    page.fill(undefined, first, line + LINE_BYTES);
  }
}

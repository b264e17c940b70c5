// One processor's way into compiled code: which blocks are hot, what a region is given, and what it
// leaves behind.

import type { BlockLog } from '../block-log.ts';
import type { Block } from '../code-cache.ts';
import type { Mmu } from '../mmu.ts';
import { COMPILED_WORD, type ProcessorState, Rflags, Word } from '../state.ts';
import { carryOfAdd, carryOfSub, flagsOfResult, STATUS_FLAGS } from '../status-flags.ts';
import type { Compiler } from './compiler.ts';
import { ALL_GIVEN, RecordKind, recordKind, recordWidth } from './flag-record.ts';
import { CompiledOffset, Left, PARTIAL_SHIFT } from './left-behind.ts';

/** At most so many cycles at once. */
const MOST_CYCLES = 2 ** 30;

const LEFT = CompiledOffset.LEFT / 4;
const INSTRUCTIONS = CompiledOffset.INSTRUCTIONS / 4;

export class CompiledEngine {
  /** Cycles and instructions of the last run. */
  cycles = 0;
  instructions = 0;
  readonly compiler: Compiler;
  private readonly words: Int32Array;
  private readonly stateOffset: number;
  private readonly mmu: Mmu;

  private readonly log: BlockLog;

  constructor(compiler: Compiler, state: ProcessorState, mmu: Mmu, log: BlockLog) {
    this.log = log;
    this.compiler = compiler;
    this.words = state.words;
    this.stateOffset = state.words.byteOffset;
    this.mmu = mmu;
  }

  /**
   * Run from RIP, where a block begins, for at most so many cycles. Returns a `Left`, or -1 if
   * there is no compiled code.
   * @param hpa where the code lies
   */
  run(block: Block, hpa: number, cyclesLeft: number): number {
    const { words } = this;
    let { region } = block;
    if (region === null || !region.valid) {
      if (++block.heat < this.compiler.threshold) return -1;
      block.heat = 0;
      region = this.compiler.compile(block, words[Word.RIP], words[Word.RIP + 1], hpa);
      block.region = region;
    }
    const { run } = region;
    if (run === null) return -1;
    if (region.low !== words[Word.RIP] || region.high !== words[Word.RIP + 1]) return -1;
    const most = Math.min(MOST_CYCLES, Math.ceil(cyclesLeft));
    words[COMPILED_WORD] = ALL_GIVEN;
    words[COMPILED_WORD + 1] = words[Word.RFLAGS];
    const left = run(this.stateOffset, this.mmu.tlbOffset, most);
    const reason = left & REASON_MASK;
    const partial = reason === Left.INTERPRET ? left >> PARTIAL_SHIFT : -1;
    this.log.ranCompiled(region.blocks, words[PATH], words[PATH + 1], partial);
    this.cycles = most - words[LEFT];
    this.instructions = words[INSTRUCTIONS];
    this.settleFlags();
    return reason;
  }

  /** Status flags from the record that was left. */
  private settleFlags(): void {
    const { words } = this;
    const op = words[COMPILED_WORD];
    const given = words[COMPILED_WORD + 1] & op;
    const status = op === ALL_GIVEN ? 0 : this.statusOf(op) & ~op;
    words[Word.RFLAGS] = (words[Word.RFLAGS] & ~STATUS_FLAGS) | ((given | status) & STATUS_FLAGS);
  }

  private statusOf(op: number): number {
    const { words } = this;
    const width = recordWidth(op);
    const upper = width === 64 ? 1 : 0;
    const sign = width === 64 ? 31 : width - 1;
    const [x, y, r] = [X, Y, RESULT];
    const result = flagsOfResult(width, words[r], words[r + 1]);
    if (recordKind(op) === RecordKind.LOGIC) return result;
    const auxiliary = (words[x] ^ words[y] ^ words[r]) & Rflags.AF;
    const carries = recordKind(op) === RecordKind.ADD ? carryOfAdd : carryOfSub;
    const carry = carries(words[x + upper], words[y + upper], words[r + upper], sign);
    return result | auxiliary | carry;
  }
}

const REASON_MASK = (1 << PARTIAL_SHIFT) - 1;
const PATH = CompiledOffset.PATH / 4;
const X = CompiledOffset.X / 4;
const Y = CompiledOffset.Y / 4;
const RESULT = CompiledOffset.RESULT / 4;

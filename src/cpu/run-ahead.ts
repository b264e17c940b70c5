// Loops in registers, run ahead of time: nobody sees what they do, and they see nobody. So what a
// processor will have done up to some clock is found out at once, and taken back until its time
// has come; if something else comes first, it is done again up to there.
// See docs/decisions/exact-skipping.md.

import type { BlockLog } from './block-log.ts';
import type { CodeCache } from './code-cache.ts';
import type { Ahead, CompiledEngine, Engine } from './compiled/engine.ts';
import type { Mmu } from './mmu.ts';
import type { SkippedWork } from './skipped-work.ts';
import { type ProcessorState, Word } from './state.ts';

/** General registers, RIP and RFLAGS: all that changes. */
const CHANGING_WORDS = Word.RFLAGS + 2;

/** The processor that is run ahead. */
export interface Forerunner {
  readonly state: ProcessorState;
  readonly mmu: Mmu;
  readonly engine: Engine;
  readonly codeSize: number;
  readonly isUndisturbed: boolean;
  clock: number;
  begun: number;
  instructions: number;
  compiledInstructions: number;
  readonly skipped: SkippedWork;
}

export class RunAhead {
  private readonly processor: Forerunner;
  private readonly compiled: CompiledEngine | null;
  private readonly log: BlockLog;
  private readonly codeCache: CodeCache;
  private readonly words: Int32Array;
  private readonly before = new Int32Array(CHANGING_WORDS);
  private readonly after = new Int32Array(CHANGING_WORDS);
  private readonly ahead: Ahead = {
    region: null,
    cycles: 0,
    instructions: 0,
    skippedCycles: 0,
    skippedInstructions: 0,
    lastCycles: 0,
  };

  constructor(
    processor: Forerunner,
    compiled: CompiledEngine | null,
    log: BlockLog,
    codeCache: CodeCache,
  ) {
    this.processor = processor;
    this.compiled = compiled;
    this.log = log;
    this.codeCache = codeCache;
    this.words = processor.state.words.subarray(0, CHANGING_WORDS);
  }

  /** Cycles of the longest block among what was run ahead. */
  get blockCycles(): number {
    return this.ahead.region?.blockCycles ?? 0;
  }

  /**
   * Cycles that pass from here on, at most so many, with nothing but what touches registers; 0 if
   * that is not known. Until {@link keep} all is as it was.
   */
  run(most: number): number {
    const { processor, words, compiled } = this;
    if (compiled === null || processor.engine !== 'compiled') return 0;
    if (processor.codeSize !== 64 || !processor.isUndisturbed) return 0;
    const hpa = processor.mmu.knownCode(words[Word.RIP], words[Word.RIP + 1]);
    const block = hpa < 0 ? undefined : this.codeCache.at(hpa, 64);
    if (block === undefined) return 0;
    this.before.set(words);
    if (!compiled.runAhead(this.ahead, block, hpa, most)) return 0;
    this.after.set(words);
    words.set(this.before);
    return this.ahead.cycles;
  }

  /** It has come to pass. To be called before anything else is run. */
  keep(): void {
    const { processor, ahead } = this;
    const { cycles, instructions, lastCycles, skippedCycles, skippedInstructions } = ahead;
    this.log.enter(processor.instructions | 0);
    this.words.set(this.after);
    processor.clock += cycles;
    processor.begun = processor.clock - lastCycles;
    processor.instructions += instructions;
    processor.compiledInstructions += instructions - skippedInstructions;
    processor.skipped.add('delays', skippedCycles, skippedInstructions);
    this.compiled?.keepAhead(ahead);
  }
}

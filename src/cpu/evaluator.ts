// The domain of concrete values: evaluating an instruction's meaning here executes it.

import Long from 'long';
import type {
  Domain,
  Instruction,
  MemoryOperand,
  Operand,
  RaisedVector,
  SystemFunction,
  Wide,
  Width,
} from '../isa/index.ts';
import { effectsOf, Segment, writesVectors } from '../isa/index.ts';
import type { PhysicalMemory } from '../memory/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical, type Mmu } from './mmu.ts';
import type { Mode } from './mode.ts';
import { Segmentation } from './segmentation.ts';
import { type ProcessorState, SCRATCH_WORD, SEGMENT_WORDS, Word } from './state.ts';
import type { Slot } from './values.ts';
import { VectorValues } from './vector-values.ts';
import { Access, type AccessKind, STOPPED } from './virtualization.ts';

/** What {@link Evaluator.call} reaches: the system functions of the processor. */
export type SystemCall = (name: SystemFunction, args: readonly Long[]) => Long;

export class Evaluator extends VectorValues implements Domain<Slot, boolean> {
  stackWidth: Width = 64;
  /** Applies outside 64-bit mode. */
  readonly segmentation: Segmentation;
  instruction!: Instruction;
  /** Where execution continues, as two halves. */
  nextLow = 0;
  nextHigh = 0;
  /** Set when the meaning said `again`. */
  unfinished = false;
  /** The owner has stopped the processor in an access of the instruction, which goes on for show. */
  isStopped = false;
  private inFlight = false;
  /** What it is to be undone to then. */
  private readonly before = new Int32Array(BEFORE_WORDS);
  private rspLow = 0;
  private rspHigh = 0;
  /** Segments below have neither base nor limit: ES to DS in 64-bit mode, none elsewhere. */
  private firstSegmented = 0;
  private linearLow = 0;
  private linearHigh = 0;
  private readonly view: DataView;
  private readonly watchedLines: Uint8Array;
  private readonly memory: PhysicalMemory;
  private readonly mmu: Mmu;
  private readonly system: SystemCall;

  constructor(memory: PhysicalMemory, state: ProcessorState, mmu: Mmu, system: SystemCall) {
    super(state);
    this.memory = memory;
    this.view = memory.view;
    this.watchedLines = memory.watchedLines;
    this.mmu = mmu;
    this.system = system;
    this.segmentation = new Segmentation(state);
  }

  /** Take over what a mode changes. */
  setMode(mode: Mode, stackWidth: Width): void {
    this.stackWidth = stackWidth;
    this.firstSegmented = mode === '64-bit' ? Segment.FS : Segment.ES;
    this.segmentation.mode = mode;
  }

  /** Get ready for an instruction at the current RIP. */
  begin(instruction: Instruction, lengthBytes: number): void {
    this.instruction = instruction;
    this.used = SCRATCH_WORD;
    this.unfinished = false;
    this.inFlight = true;
    this.rspLow = this.words[Word.RSP];
    this.rspHigh = this.words[Word.RSP + 1];
    const low = this.words[Word.RIP];
    const sum = (low >>> 0) + lengthBytes;
    this.nextLow = sum | 0;
    this.nextHigh = this.words[Word.RIP + 1];
    if (sum > 0xffffffff && this.firstSegmented !== Segment.ES) this.nextHigh++;
  }

  /** The instruction is complete: continue at what it said comes next. */
  commit(): void {
    this.words[Word.RIP] = this.nextLow;
    this.words[Word.RIP + 1] = this.nextHigh;
    this.inFlight = false;
  }

  /**
   * Undo what an instruction that does not complete did to RSP; it does nothing else early. False
   * if none was being executed.
   */
  abandon(): boolean {
    if (!this.inFlight) return false;
    if (this.isStopped) {
      for (let i = 0; i < BEFORE_WORDS; i++) this.words[i] = this.before[i];
      this.isStopped = false;
    }
    this.words[Word.RSP] = this.rspLow;
    this.words[Word.RSP + 1] = this.rspHigh;
    this.inFlight = false;
    return true;
  }

  /**
   * True if the owner may stop the processor in an access of the instruction that is being executed
   * by answering so: whatever it still does is undone by {@link abandon}.
   */
  get canBeStopped(): boolean {
    if (!this.inFlight) return false;
    const { instruction } = this;
    const known = STOPPABLE.get(instruction);
    if (known !== undefined) return known;
    const is = isStoppable(instruction);
    STOPPABLE.set(instruction, is);
    return is;
  }

  private stop(): Slot {
    for (let i = 0; i < BEFORE_WORDS; i++) this.before[i] = this.words[i];
    this.isStopped = true;
    return this.make(0, 0);
  }

  /** A system function has set RIP itself. */
  continueAtRip(): void {
    this.nextLow = this.words[Word.RIP];
    this.nextHigh = this.words[Word.RIP + 1];
  }

  // Operands and registers

  read(operand: Operand): Slot {
    switch (operand.kind) {
      case 'register':
        if (operand.high) return this.make((this.words[2 * operand.number] >> 8) & 255, 0);
        return this.register(operand.width as Width, operand.number);
      case 'immediate':
        return this.fromLong(operand.value);
      case 'memory':
        return this.load(operand.width as Width, operand.segment, this.effective(operand));
      case 'relative': {
        const sum = (this.nextLow >>> 0) + operand.displacement;
        return this.make(sum | 0, (this.nextHigh + Math.floor(sum / 2 ** 32)) | 0);
      }
      case 'pointer':
        throw new TypeError('a pointer is read in parts');
    }
  }

  modify(operand: Operand): Slot {
    if (operand.kind !== 'memory') return this.read(operand);
    return this.loadForWrite(operand.width as Width, operand.segment, this.effective(operand));
  }

  write(operand: Operand, value: Slot): void {
    if (operand.kind === 'register') {
      if (!operand.high) {
        this.setRegister(operand.width as Width, operand.number, value);
        return;
      }
      const at = 2 * operand.number;
      const byte = (this.words[value] & 255) << 8;
      this.words[at] = (this.words[at] & ~0xff00) | byte;
    } else if (operand.kind === 'memory') {
      this.store(operand.width as Width, operand.segment, this.effective(operand), value);
    } else throw new TypeError(`cannot write to a ${operand.kind} operand`);
  }

  address(operand: Operand): Slot {
    if (operand.kind !== 'memory') throw new TypeError(`a ${operand.kind} operand has no address`);
    return this.effective(operand);
  }

  /** What an operand of the current instruction holds. */
  operandValue(operand: Operand): Long {
    return this.toLong(this.read(operand));
  }

  /** The linear address that a memory operand of the current instruction names, unchecked. */
  linearAddress(operand: Operand): Long {
    const offset = this.address(operand);
    const segment = operand.kind === 'memory' ? operand.segment : Segment.DS;
    if (this.firstSegmented === Segment.ES) {
      return Long.fromBits(this.segmentation.unchecked(segment, this.words[offset]), 0);
    }
    this.linear(segment, offset, 1, Access.READ);
    return Long.fromBits(this.linearLow, this.linearHigh);
  }

  align(operand: Operand, bytes: number, span = 0): void {
    if (span > 0 && operand.kind === 'memory') {
      this.linear(operand.segment, this.effective(operand), span, Access.READ);
      if (this.firstSegmented !== Segment.ES && !isCanonical(this.linearHigh)) {
        throw new GuestFault(operand.segment === Segment.SS ? Vector.SS : Vector.GP, 0);
      }
    }
    if ((this.linearAddress(operand).low & (bytes - 1)) !== 0) throw new GuestFault(Vector.GP, 0);
  }

  private effective(operand: MemoryOperand): Slot {
    let { low, high } = operand.displacement;
    if (operand.base >= 0) {
      const sum = (low >>> 0) + (this.words[2 * operand.base] >>> 0);
      high += this.words[2 * operand.base + 1] + (sum > 0xffffffff ? 1 : 0);
      low = sum | 0;
    } else if (operand.ripRelative) {
      const sum = (low >>> 0) + (this.nextLow >>> 0);
      high += this.nextHigh + (sum > 0xffffffff ? 1 : 0);
      low = sum | 0;
    }
    if (operand.index >= 0) {
      const indexLow = this.words[2 * operand.index];
      const indexHigh = this.words[2 * operand.index + 1];
      const { scale } = operand;
      const sum = (low >>> 0) + ((indexLow << scale) >>> 0);
      const spilled = scale === 0 ? 0 : indexLow >>> (32 - scale);
      high += ((indexHigh << scale) | spilled) + (sum > 0xffffffff ? 1 : 0);
      low = sum | 0;
    }
    if (operand.addressWidth === 64) return this.make(low, high);
    return this.make(operand.addressWidth === 32 ? low : low & 0xffff, 0);
  }

  register(width: Width, number: number): Slot {
    return this.cut(width, this.words[2 * number], this.words[2 * number + 1]);
  }

  setRegister(width: Width, number: number, value: Slot): void {
    const at = 2 * number;
    const low = this.words[value];
    if (width === 64) {
      this.words[at] = low;
      this.words[at + 1] = this.words[value + 1];
    } else if (width === 32) {
      this.words[at] = low;
      this.words[at + 1] = 0;
    } else {
      const mask = (1 << width) - 1;
      this.words[at] = (this.words[at] & ~mask) | (low & mask);
    }
  }

  // Memory

  load(width: Width, segment: number, offset: Slot): Slot {
    return this.loadAs(width, segment, offset, Access.READ);
  }

  loadForWrite(width: Width, segment: number, offset: Slot): Slot {
    return this.loadAs(width, segment, offset, Access.WRITE);
  }

  private loadAs(width: Width, segment: number, offset: Slot, access: 0 | 1): Slot {
    this.linear(segment, offset, width >> 3, access);
    const low = this.linearLow;
    const high = this.linearHigh;
    const stack = segment === Segment.SS;
    const hpa = this.mmu.locate(low, high, width >> 3, access, stack);
    if (hpa < 0) {
      if (hpa === STOPPED) return this.stop();
      if (access === Access.WRITE) this.mmu.probeWrite(low, high, width >> 3, stack);
      return this.fromLong(this.mmu.read(low, high, width >> 3, stack));
    }
    switch (width) {
      case 64:
        return this.make(this.view.getInt32(hpa, true), this.view.getInt32(hpa + 4, true));
      case 32:
        return this.make(this.view.getInt32(hpa, true), 0);
      case 16:
        return this.make(this.view.getUint16(hpa, true), 0);
      case 8:
        return this.make(this.view.getUint8(hpa), 0);
    }
  }

  store(width: Width, segment: number, offset: Slot, value: Slot): void {
    const bytes = width >> 3;
    this.linear(segment, offset, bytes, Access.WRITE);
    const low = this.linearLow;
    const high = this.linearHigh;
    const hpa = this.mmu.locate(low, high, bytes, Access.WRITE, segment === Segment.SS);
    if (hpa < 0) {
      if (hpa === STOPPED) this.stop();
      else this.mmu.write(low, high, bytes, this.toLong(value), segment === Segment.SS);
      return;
    }
    const watched = this.watchedLines;
    const isWatched = (watched[hpa >>> 6] | watched[(hpa + bytes - 1) >>> 6]) !== 0;
    if (isWatched) this.memory.aboutToWrite(hpa, bytes);
    const valueLow = this.words[value];
    switch (width) {
      case 64:
        this.view.setInt32(hpa, valueLow, true);
        this.view.setInt32(hpa + 4, this.words[value + 1], true);
        break;
      case 32:
        this.view.setInt32(hpa, valueLow, true);
        break;
      case 16:
        this.view.setInt16(hpa, valueLow, true);
        break;
      case 8:
        this.view.setInt8(hpa, valueLow);
    }
    if (isWatched) this.memory.tellWatchers(hpa, bytes);
  }

  loadWide(segment: number, offset: Slot): Wide<Slot> {
    this.linear(segment, offset, WIDE_BYTES, Access.READ);
    const { linearLow, linearHigh, view } = this;
    const stack = segment === Segment.SS;
    const hpa = this.mmu.locate(linearLow, linearHigh, WIDE_BYTES, Access.READ, stack);
    if (hpa >= 0) {
      const low = this.make(view.getInt32(hpa, true), view.getInt32(hpa + 4, true));
      return { low, high: this.make(view.getInt32(hpa + 8, true), view.getInt32(hpa + 12, true)) };
    }
    const low = this.fromLong(this.mmu.read(linearLow, linearHigh, 8, stack));
    const upper = Long.fromBits(linearLow, linearHigh).add(8);
    return { low, high: this.fromLong(this.mmu.read(upper.low, upper.high, 8, stack)) };
  }

  storeWide(segment: number, offset: Slot, low: Slot, high: Slot): void {
    this.linear(segment, offset, WIDE_BYTES, Access.WRITE);
    const { linearLow, linearHigh, words, view } = this;
    const stack = segment === Segment.SS;
    const hpa = this.mmu.locate(linearLow, linearHigh, WIDE_BYTES, Access.WRITE, stack);
    if (hpa < 0) {
      this.mmu.probeWrite(linearLow, linearHigh, WIDE_BYTES, stack);
      this.mmu.write(linearLow, linearHigh, 8, this.toLong(low), stack);
      const upper = Long.fromBits(linearLow, linearHigh).add(8);
      this.mmu.write(upper.low, upper.high, 8, this.toLong(high), stack);
      return;
    }
    const watched = this.watchedLines;
    const isWatched = (watched[hpa >>> 6] | watched[(hpa + 15) >>> 6]) !== 0;
    if (isWatched) this.memory.aboutToWrite(hpa, WIDE_BYTES);
    view.setInt32(hpa, words[low], true);
    view.setInt32(hpa + 4, words[low + 1], true);
    view.setInt32(hpa + 8, words[high], true);
    view.setInt32(hpa + 12, words[high + 1], true);
    if (isWatched) this.memory.tellWatchers(hpa, WIDE_BYTES);
  }

  /** Put the linear address of an access into {@link linearLow} and {@link linearHigh}. */
  private linear(segment: number, offset: Slot, bytes: number, access: AccessKind): void {
    if (segment < this.firstSegmented) {
      this.linearLow = this.words[offset];
      this.linearHigh = this.words[offset + 1];
    } else if (this.firstSegmented === Segment.ES) {
      this.linearLow = this.segmentation.linear(segment, this.words[offset], bytes, access);
      this.linearHigh = 0;
    } else this.addWideBase(segment, offset);
  }

  /** In 64-bit mode only FS and GS have a base. */
  private addWideBase(segment: number, offset: Slot): void {
    const base = segment === Segment.FS ? FS_BASE : GS_BASE;
    const sum = (this.words[offset] >>> 0) + (this.words[base] >>> 0);
    const carry = sum > 0xffffffff ? 1 : 0;
    this.linearLow = sum | 0;
    this.linearHigh = (this.words[offset + 1] + this.words[base + 1] + carry) | 0;
  }

  // Control

  when(condition: boolean, then: () => void, otherwise?: () => void): void {
    if (condition) then();
    else if (otherwise !== undefined) otherwise();
  }

  next(): Slot {
    return this.make(this.nextLow, this.nextHigh);
  }

  jump(target: Slot): void {
    const low = this.words[target];
    const high = this.words[target + 1];
    if (this.firstSegmented === Segment.ES ? !this.segmentation.hasCode(low) : !isCanonical(high)) {
      throw new GuestFault(Vector.GP, 0);
    }
    this.nextLow = low;
    this.nextHigh = high;
  }

  again(): void {
    this.unfinished = true;
    this.nextLow = this.words[Word.RIP];
    this.nextHigh = this.words[Word.RIP + 1];
  }

  raise(vector: RaisedVector): void {
    throw new GuestFault(Vector[vector], vector === 'GP' ? 0 : null);
  }

  call(name: SystemFunction, ...args: Slot[]): Slot {
    return this.fromLong(
      this.system(
        name,
        args.map((arg) => this.toLong(arg)),
      ),
    );
  }
}

/** Bytes of an XMM register. */
const WIDE_BYTES = 16;

/** General registers, RIP and flags. */
const BEFORE_WORDS = Word.RFLAGS + 2;

const STOPPABLE = new WeakMap<Instruction, boolean>();

/** One access, and registers and flags: nothing that depends on it reaches further. */
function isStoppable(instruction: Instruction): boolean {
  const effects = effectsOf(instruction);
  const { memory } = effects;
  const isOne = memory.length === 1 && memory[0].kind !== 'modify' && memory[0].width > 0;
  const isPlain = effects.calls.length + effects.raises.length === 0 && effects.jumps === 'never';
  return isOne && isPlain && !writesVectors(effects) && !effects.repeats;
}

const FS_BASE = SEGMENT_WORDS[Segment.FS].base;
const GS_BASE = SEGMENT_WORDS[Segment.GS].base;

// What the compiling domain keeps while it adds an instruction to a block: the values of registers
// and flags by now, the effects so far, and the way out to the interpreter.

import type { Instruction, MemoryOperand, Width } from '../../isa/index.ts';
import { type Delay, SHORT_DELAY } from '../delay.ts';
import { stackWidthOn, WIDE_FOOTING } from '../footing.ts';
import type { AccessKind } from '../virtualization.ts';
import type { Effect, Exit } from './effects.ts';
import { FlagRecord } from './flag-record.ts';
import { LOCALS, NARROW_LOCALS } from './locals.ts';
import { Type } from './module.ts';
import { extend, FALSE, lessUnsigned, long, type Node, result, wrap, ZERO } from './nodes.ts';

/** Thrown when an instruction cannot be compiled; says why. */
export class Declined {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

const GENERAL_REGISTERS = 16;

/** Where bytes were found for the instruction, so that what it modifies is looked up once. */
interface Located {
  readonly linear: Node;
  readonly access: AccessKind;
  readonly bytes: number;
  readonly hpa: Node;
}

/** The address of an operand, with the registers that it was computed from. */
interface KnownAddress {
  readonly operand: MemoryOperand;
  readonly base: Node;
  readonly index: Node;
  readonly address: Node;
}

/** What was looked up is known only behind where that was; arms of conditions forget it. */
interface Known {
  located: Located[];
  addresses: KnownAddress[];
  /** Linear addresses by the number of the segment and the offset. */
  linears: { readonly segment: number; readonly offset: Node; readonly linear: Node }[];
}

const NOTHING_KNOWN: Known = { located: [], addresses: [], linears: [] };

export function copyOf({ located, addresses, linears }: Known): Known {
  return { located: [...located], addresses: [...addresses], linears: [...linears] };
}

export class BlockState {
  readonly stackWidth: Width;
  instruction!: Instruction;
  registers: Node[];
  flags: FlagRecord = FlagRecord.INCOMING;
  effects: Effect[] = [];
  /** RIP after the instruction. */
  continuation: Node;
  /** The instruction is to be executed again (REP). */
  repeats: Node = FALSE;
  /** The meaning asked where the next instruction is: it is a call. */
  askedNext = false;
  protected readonly footing: number;
  protected following = ZERO;
  protected known: Known = NOTHING_KNOWN;
  protected depth = 0;
  protected hasStored = false;
  /** Values that are sums and differences. */
  protected readonly operations = new Map<Node, { kind: number; x: Node; y: Node }>();
  private readonly start: bigint;
  private at = { offset: 0, cycles: 0, instructions: 0 };
  private initial: Pick<Exit, 'registers' | 'flags'>;
  private exit: Exit | null = null;

  /**
   * @param start RIP at the start of the block
   * @param footing what is taken for granted
   */
  constructor(start: bigint, footing: number) {
    this.start = start;
    this.footing = footing;
    this.stackWidth = stackWidthOn(footing);
    const locals = footing === WIDE_FOOTING ? LOCALS : NARROW_LOCALS;
    this.registers = locals.slice(0, GENERAL_REGISTERS);
    this.continuation = long(start);
    this.initial = { registers: this.registers, flags: this.flags };
  }

  protected get isWide(): boolean {
    return this.footing === WIDE_FOOTING;
  }

  /** RIP at an offset from the start of the block. */
  protected addressAt(offset: number): Node {
    const address = this.start + BigInt(offset);
    return long(this.isWide ? address : BigInt.asUintN(32, address));
  }

  /** Get ready for an instruction; what to go back to if it is declined. */
  protected begin(instruction: Instruction, at: Pick<Exit, 'offset' | 'cycles' | 'instructions'>) {
    const { registers, flags, effects } = this;
    this.instruction = instruction;
    this.at = at;
    this.registers = [...registers];
    this.effects = [];
    this.exit = null;
    this.initial = { registers, flags };
    this.hasStored = false;
    this.askedNext = false;
    this.repeats = FALSE;
    this.known = copyOf(NOTHING_KNOWN);
    this.operations.clear();
    this.following = this.addressAt(at.offset + instruction.lengthBytes);
    this.continuation = this.following;
    return { registers, flags, effects };
  }

  /** Leave the block to the interpreter as long as a delay loop has many iterations to go. */
  leaveLong({ register, width, step }: Delay): void {
    const value = this.registers[register];
    const count = width === 64 ? value : extend(wrap(value));
    const { registers, flags } = this;
    this.effects.push({
      kind: 'guard',
      condition: lessUnsigned(long(BigInt(SHORT_DELAY * step)), count),
      exit: { registers, flags, offset: 0, cycles: 0, instructions: 0 },
    });
  }

  /** The instruction that was appended last may go on elsewhere. */
  get hasJumped(): boolean {
    return this.continuation !== this.following;
  }

  /** The state at the start of the instruction. */
  protected get wayOut(): Exit {
    this.exit ??= { ...this.initial, ...this.at };
    return this.exit;
  }

  /** Leave the instruction to the interpreter if a condition holds. */
  protected readonly giveUpIf = (condition: Node): void => {
    if (condition.isConstant && condition.value === 0n) return;
    if (condition.isConstant && this.depth === 0) throw new Declined('always faults');
    // Executing it again from its start would store again what it has modified.
    if (this.hasStored) throw new Declined('may fault after a store');
    this.effects.push({ kind: 'guard', condition, exit: this.wayOut });
  };

  /** Effects that come about only in some cases. */
  protected apart(work: () => void): readonly Effect[] {
    const { effects } = this;
    this.effects = [];
    this.depth++;
    work();
    this.depth--;
    const made = this.effects;
    this.effects = effects;
    return made;
  }

  /** A word of the processor's state that is not in a local. */
  protected stateWord(word: number): Node {
    const value = result(Type.I32, 32);
    this.effects.push({ kind: 'loadState', offset: 4 * word, result: value });
    return value;
  }

  /** A number that the engine has left beside the state. */
  protected stateDouble(offset: number): Node {
    const value = result(Type.F64, 64);
    this.effects.push({ kind: 'loadState', offset, result: value });
    return value;
  }

  /** Two words of it. */
  protected stateLong(word: number): Node {
    const value = result(Type.I64, 64);
    this.effects.push({ kind: 'loadState', offset: 4 * word, result: value });
    return value;
  }
}

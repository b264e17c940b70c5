// The compiling domain: an instruction's meaning, asked for here, adds to the values and effects of
// a block. Registers and flags are values from its start on; nothing is emitted yet.

import type {
  Domain,
  Instruction,
  Operand,
  RaisedVector,
  SystemFunction,
  Width,
} from '../../isa/index.ts';
import { lastAddressOn } from '../footing.ts';
import { toBigInt } from './block-memory.ts';
import { BlockPauses } from './block-pauses.ts';
import { copyOf, Declined } from './block-state.ts';
import type { Exit } from './effects.ts';
import { FlagRecord } from './flag-record.ts';
import { Op, Type } from './module.ts';
import {
  add64,
  and32,
  and64,
  choose,
  cut,
  extend,
  FALSE,
  int,
  lessUnsigned,
  long,
  type Node,
  narrow,
  or64,
  plain,
  result,
  shl64,
  shr32,
  TRUE,
  wrap,
  ZERO,
} from './nodes.ts';

const NO_OPERAND: Operand = { kind: 'relative', displacement: 0 };

export class BlockDomain extends BlockPauses implements Domain<Node, Node> {
  /**
   * Add an instruction at an offset from the start of the block, before which the block has taken
   * so many cycles and instructions. Throws {@link Declined}, and then leaves the block as it was.
   */
  append(instruction: Instruction, at: Pick<Exit, 'offset' | 'cycles' | 'instructions'>): void {
    const before = this.begin(instruction, at);
    const { vectors } = this;
    const [first = NO_OPERAND, second = NO_OPERAND, third = NO_OPERAND] = instruction.operands;
    try {
      if (instruction.row.unit === 'sse') this.needVectors();
      if (instruction.row.intercept === 'PAUSE') this.watchPause(at.cycles);
      instruction.row.meaning(this, first, second, third);
      this.settleStores();
      this.settleVectors(true);
      this.continuation = choose(this.repeats, this.addressAt(at.offset), this.continuation);
      before.effects.push(...this.effects);
    } catch (thrown) {
      this.registers = before.registers;
      this.flags = before.flags;
      this.stores = [];
      this.vectors = vectors;
      this.settleVectors(false);
      this.continuation = this.addressAt(at.offset);
      throw thrown;
    } finally {
      this.effects = before.effects;
    }
  }

  // Operands and registers

  read(operand: Operand): Node {
    switch (operand.kind) {
      case 'register':
        if (!operand.high) return this.register(operand.width as Width, operand.number);
        return extend(and32(shr32(wrap(this.registers[operand.number]), int(8)), int(255)));
      case 'immediate':
        return cut(operand.width, long(toBigInt(operand.value)));
      case 'memory':
        return this.load(operand.width as Width, operand.segment, this.address(operand));
      case 'relative':
        return add64(this.following, long(BigInt(operand.displacement)));
      case 'pointer':
        throw new TypeError('a pointer is read in parts');
    }
  }

  modify(operand: Operand): Node {
    if (operand.kind !== 'memory') return this.read(operand);
    return this.loadForWrite(operand.width as Width, operand.segment, this.address(operand));
  }

  write(operand: Operand, value: Node): void {
    if (operand.kind === 'memory') {
      this.store(operand.width as Width, operand.segment, this.address(operand), value);
    } else if (operand.kind !== 'register') {
      throw new TypeError(`cannot write to a ${operand.kind} operand`);
    } else if (operand.high) this.setPart(operand.number, 8, 8, value);
    else this.setRegister(operand.width as Width, operand.number, value);
  }

  register(width: Width, number: number): Node {
    return cut(width, this.registers[number]);
  }

  setRegister(width: Width, number: number, value: Node): void {
    if (width < 32) this.setPart(number, 0, width, value);
    else this.registers[number] = cut(width, value);
  }

  /** Replace `width` bits from bit `at` on. */
  private setPart(number: number, at: number, width: Width, value: Node): void {
    const mask = (1n << BigInt(width)) - 1n;
    const kept = and64(this.registers[number], long(~(mask << BigInt(at))));
    this.registers[number] = or64(kept, shl64(cut(width, value), long(BigInt(at))));
  }

  // Control

  /**
   * Both arms are gone through; what they leave differently is chosen by the condition. Only if
   * they do something beside computing is there a branch.
   */
  when(condition: Node, then: () => void, otherwise: () => void = () => {}): void {
    if (condition.isConstant) {
      if (condition.value !== 0n) then();
      else otherwise();
      return;
    }
    const outer = this.effects;
    const { registers, flags, continuation, known, hasStored, stores } = this;
    if (this.repeats !== FALSE) throw new Declined('goes on after repeating');
    const arm = (work: () => void) => {
      this.effects = [];
      this.registers = [...registers];
      this.flags = flags;
      this.continuation = continuation;
      this.repeats = FALSE;
      this.known = copyOf(known);
      this.stores = [];
      this.hasStored = hasStored || stores.length > 0;
      this.depth++;
      work();
      this.depth--;
      this.settleStores();
      return {
        effects: this.effects,
        registers: this.registers,
        flags: this.flags.packed(),
        record: this.flags,
        continuation: this.continuation,
        repeats: this.repeats,
        hasStored: this.hasStored,
      };
    };
    const a = arm(then);
    const b = arm(otherwise);
    this.effects = outer;
    this.known = known;
    const branches = a.effects.length + b.effects.length > 0;
    // What was stored before comes before the arms, if these do anything.
    this.stores = stores;
    this.hasStored = hasStored;
    if (branches) {
      this.settleStores();
      this.hasStored ||= a.hasStored || b.hasStored;
    }
    const join = (x: Node, y: Node): Node => {
      if (x === y || !branches) return choose(condition, x, y);
      const joined = result(x.type, Math.max(x.bits, y.bits));
      a.effects.push({ kind: 'assign', result: joined, value: x });
      b.effects.push({ kind: 'assign', result: joined, value: y });
      return joined;
    };
    if (branches) {
      outer.push({ kind: 'if', condition, whenTrue: a.effects, whenFalse: b.effects });
    }
    this.registers = a.registers.map((x, number) => join(x, b.registers[number]));
    this.continuation = join(a.continuation, b.continuation);
    this.repeats = join(a.repeats, b.repeats);
    if (a.record === b.record) this.flags = a.record;
    else if (!branches) this.flags = FlagRecord.either(condition, a.record, b.record);
    else {
      this.flags = new FlagRecord({
        op: join(a.flags.op, b.flags.op),
        c: join(a.flags.c, b.flags.c),
        x: join(a.flags.x ?? ZERO, b.flags.x ?? ZERO),
        y: join(a.flags.y ?? ZERO, b.flags.y ?? ZERO),
        r: join(a.flags.r ?? ZERO, b.flags.r ?? ZERO),
      });
    }
  }

  next(): Node {
    this.askedNext = true;
    return this.following;
  }

  jump(target: Node): void {
    const last = lastAddressOn(this.footing);
    if (target.isConstant) {
      const isCode = this.isWide ? isCanonical(target.value) : target.value <= last;
      if (!isCode) throw new Declined('jumps out of the code');
    } else if (this.isWide) {
      const extended = plain(Op.i64ShrS, Type.I64, shl64(target, long(16n)), long(16n));
      this.giveUpIf(narrow(1, Op.i64Ne, Type.I32, extended, target));
    } else if (2n ** BigInt(target.bits) > last + 1n) {
      this.giveUpIf(lessUnsigned(long(last), target));
    }
    this.continuation = target;
  }

  again(): void {
    this.repeats = TRUE;
  }

  raise(_vector: RaisedVector): void {
    this.giveUpIf(TRUE);
  }

  call(name: SystemFunction): Node {
    throw new Declined(name);
  }
}

function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
}

// What is known when compiling about the flags at the end of a block, said by what the block leaves
// in locals: registers as far as possible, for they are there anyway, else a slot for the value. So
// a loop that ends with DEC ECX and JNZ moves nothing on from round to round for its flags.

import type { Flag } from '../../isa/index.ts';
import { FlagRecord, type Operation, type Packed, RecordKind } from './flag-record.ts';
import { isLocal, LOCALS, localOf, Slot } from './locals.ts';
import { Op } from './module.ts';
import {
  and32,
  difference,
  FALSE,
  int,
  Node,
  or32,
  Pseudo,
  shl32,
  shr32,
  sum,
  wrap,
  ZERO,
} from './nodes.ts';

/** Flags at the end of a block. */
export interface Shape {
  /** Equal for equal records. */
  readonly key: string;
  /** Its values are of locals at the end of the block. */
  readonly record: FlagRecord;
  /** What it takes beside the registers, by values of locals at the start. */
  readonly slots: readonly (readonly [slot: number, value: Node])[];
}

/** Operations that it may take to have a value from registers again. */
const MOST_OPERATIONS = 6;

/**
 * @param registers at the end of the block
 * @param before the flags with which it begins, if these are known
 */
export function shapeOf(
  record: FlagRecord,
  registers: readonly Node[],
  before: FlagRecord | null,
): Shape {
  return new Shaper(registers, before).shape(record);
}

class Shaper {
  private readonly before: FlagRecord | null;
  private readonly places = new Map<Node, Node>();
  private readonly slots: [number, Node][] = [];

  constructor(registers: readonly Node[], before: FlagRecord | null) {
    this.before = before;
    registers.forEach((value, number) => {
      const known = isRegister(value) ? LOCALS[value.local] : value;
      if (this.places.has(known)) return;
      const local = localOf(number, value.bits);
      this.places.set(known, local);
      if (value.op === Op.i64ExtendI32U) this.places.set(value.operands[0], wrap(local));
    });
  }

  shape(record: FlagRecord): Shape {
    const { operation } = record;
    const isDynamic = operation === null || 'op' in operation;
    const shaped = isDynamic
      ? this.parts(record.packed())
      : this.operation(operation, record.given);
    return { key: keyOf(shaped), record: shaped, slots: this.slots };
  }

  /** A record of which only running it says what it is of. */
  private parts({ op, c, x, y, r }: Packed): FlagRecord {
    const part = (value: Node | null, slot: number) =>
      value === null ? null : (this.inPlace(value) ?? this.inSlot(value, slot));
    return new FlagRecord({
      op: part(op, Slot.OPERATION) ?? FALSE,
      c: part(c, Slot.GIVEN) ?? FALSE,
      x: part(x, Slot.X),
      y: part(y, Slot.Y),
      r: part(r, Slot.RESULT),
    });
  }

  private operation(operation: Operation, given: ReadonlyMap<Flag, Node>): FlagRecord {
    return new FlagRecord(this.operands(operation), this.given(given));
  }

  private operands({ kind, width, isPlain, x, y, r }: Operation): Operation {
    const result = this.inPlace(r);
    const known = { kind, width, isPlain };
    if (kind === RecordKind.LOGIC) {
      return { ...known, x: ZERO, y: ZERO, r: result ?? this.inSlot(r, Slot.RESULT) };
    }
    const second = this.inPlace(y) ?? this.inSlot(y, Slot.Y);
    let first = this.inPlace(x);
    if (first === null && isPlain && result !== null) {
      const undo = kind === RecordKind.ADD ? difference : sum;
      first = undo(width, result, second);
    }
    first ??= this.inSlot(x, Slot.X);
    if (result !== null || !isPlain) {
      return { ...known, x: first, y: second, r: result ?? this.inSlot(r, Slot.RESULT) };
    }
    const redo = kind === RecordKind.ADD ? sum : difference;
    return { ...known, x: first, y: second, r: redo(width, first, second) };
  }

  /** Flags one by one; those that have no place share a slot. */
  private given(given: ReadonlyMap<Flag, Node>): Map<Flag, Node> {
    const shaped = new Map<Flag, Node>();
    let together = FALSE;
    for (const [flag, value] of given) {
      const placed = this.inPlace(value);
      shaped.set(flag, placed ?? and32(shr32(LOCALS[Slot.GIVEN], int(flag)), int(1)));
      if (placed === null) together = or32(together, shl32(value, int(flag)));
    }
    if (together !== FALSE) this.slots.push([Slot.GIVEN, together]);
    return shaped;
  }

  private inSlot(value: Node, slot: number): Node {
    if (!isLocal(value, slot)) this.slots.push([slot, value]);
    return localOf(slot, value.bits);
  }

  /** A value from the registers at the end of the block, or null. */
  private inPlace(value: Node): Node | null {
    let operations = 0;
    const place = (x: Node): Node | null => {
      if (x.isConstant) return x;
      if (x.op === Pseudo.INCOMING) return this.before && place(this.before.resolve(x));
      const placed = this.places.get(isRegister(x) ? LOCALS[x.local] : x);
      if (placed !== undefined) return placed;
      if (x.operands.length === 0 || x.op === Pseudo.STATUS) return null;
      if (++operations > MOST_OPERATIONS) return null;
      const operands: Node[] = [];
      for (const operand of x.operands) {
        const found = place(operand);
        if (found === null) return null;
        operands.push(found);
      }
      return new Node(x.op, x.type, operands, x.bits);
    };
    return place(value);
  }
}

function isRegister({ op, local }: Node): boolean {
  return op === Pseudo.LOCAL && local < Slot.OPERATION;
}

function keyOf(record: FlagRecord): string {
  const { operation, given } = record;
  const flags = [...given].map(([flag, value]) => `${flag}:${textOf(value)}`);
  if (operation === null || 'op' in operation) {
    const { op, c, x, y, r } = record.packed();
    return [op, c, x ?? ZERO, y ?? ZERO, r ?? ZERO].map(textOf).join();
  }
  const { kind, width, isPlain, x, y, r } = operation;
  return [kind, width, isPlain, ...[x, y, r].map(textOf), ...flags].join();
}

function textOf({ op, local, value, bits, operands }: Node): string {
  if (op === Pseudo.LOCAL) return `l${local}.${bits}`;
  if (op === Pseudo.CONSTANT) return `${value}`;
  return `${op}(${operands.map(textOf).join()})`;
}

/** True if none of the registers that a record follows from has changed by the end of a block. */
export function isIntact(record: FlagRecord, registers: readonly Node[]): boolean {
  const intact = (x: Node): boolean =>
    isRegister(x) ? isLocal(registers[x.local], x.local) : x.operands.every(intact);
  return nodesOf(record).every(intact);
}

/** The values that a record is made of. */
export function nodesOf({ operation, given }: FlagRecord): Node[] {
  if (operation === null) return [...given.values()];
  const { x, y, r } = operation;
  const others = 'op' in operation ? [operation.op, operation.c] : [];
  return [...[x, y, r, ...others].flatMap((part) => part ?? []), ...given.values()];
}

// Which repeated instructions may run many iterations at once: those that, iteration by iteration,
// copy an element or store the same one, and step on by its size. That is seen from what the block
// of one iteration does, so that nothing here knows an instruction.

import { Flag, Gpr } from '../../isa/index.ts';
import { Word } from '../state.ts';
import { Access } from '../virtualization.ts';
import type { RegionBlock } from './discovery.ts';
import type { Effect } from './effects.ts';
import { isLocal } from './locals.ts';
import { Op } from './module.ts';
import { int, type Node, Pseudo } from './nodes.ts';

/** Iterations of one kind, as long as the count in RCX is not 0. */
export interface Bulk {
  /** Of an element. */
  readonly bytes: 1 | 2 | 4 | 8;
  /** Of the registers that are counted and stepped. */
  readonly addressWidth: 32 | 64;
  /** The element that is stored again and again; null if elements are copied from RSI. */
  readonly value: Node | null;
}

type Of<K extends Effect['kind']> = Extract<Effect, { kind: K }>;

export function bulkOf({ repeats, effects, registers }: RegionBlock): Bulk | null {
  const [outer] = effects;
  if (!repeats || effects.length !== 1 || outer?.kind !== 'if') return null;
  const { whenTrue, whenFalse } = outer;
  if (whenFalse.some(({ kind }) => kind !== 'assign')) return null;
  const all = <K extends Effect['kind']>(kind: K) =>
    whenTrue.filter((effect): effect is Of<K> => effect.kind === kind);
  const [store, more] = all('store');
  const [load, ...otherLoads] = all('load');
  const isSimple = all('guard').length + all('if').length + all('storeState').length === 0;
  if (store === undefined || more !== undefined || otherLoads.length > 0 || !isSimple) return null;
  const after = new Map(all('assign').map(({ result, value }) => [result, value]));
  const isAdded = (slot: number, test: (added: Node) => boolean, width: 32 | 64) => {
    const value = after.get(registers[slot]);
    const added = value === undefined ? null : addedTo(value, slot, width);
    return added !== null && test(added);
  };
  const at = new Map(all('locate').map((located) => [located.result, located]));
  const isAt = (hpa: Node, slot: number, access: number, width: 32 | 64) => {
    const located = at.get(hpa);
    return located?.access === access && isRegister(located.linear, slot, width);
  };
  const direction = all('loadState').filter(({ offset }) => offset === 4 * Word.RFLAGS);
  const bytes = (store.width / 8) as Bulk['bytes'];
  const isStep = (x: Node) => direction.some((flags) => isStepBy(x, bytes, flags.result));
  const width = ([32, 64] as const).find((each) => isAt(store.hpa, Gpr.RDI, Access.WRITE, each));
  if (width === undefined || at.size !== (load === undefined ? 1 : 2)) return null;
  const isCounted = isAdded(Gpr.RCX, (x) => isNumber(x, -1, width), width);
  if (!isCounted || !isAdded(Gpr.RDI, isStep, width)) return null;
  if (load === undefined) {
    return isFixed(store.value) ? { bytes, addressWidth: width, value: store.value } : null;
  }
  const isCopy = store.value === load.result && load.width === store.width;
  const isFrom = isAt(load.hpa, Gpr.RSI, Access.READ, width) && isAdded(Gpr.RSI, isStep, width);
  return isCopy && isFrom ? { bytes, addressWidth: width, value: null } : null;
}

/** Whether a value is a register at the start of the block. */
function isRegister(x: Node, slot: number, width: 32 | 64): boolean {
  if (isLocal(x, slot)) return x.bits === width;
  return width === 32 && x.op === Op.i64ExtendI32U && isLowHalf(x.operands[0], slot);
}

function isLowHalf(x: Node, slot: number): boolean {
  return x.op === Op.i32WrapI64 && isLocal(x.operands[0], slot);
}

/** What is added to a register modulo its width, if a value is such a sum. */
function addedTo(x: Node, slot: number, width: 32 | 64): Node | null {
  if (width === 64) {
    return x.op === Op.i64Add && isLocal(x.operands[0], slot) ? x.operands[1] : null;
  }
  const sum = x.op === Op.i64ExtendI32U ? x.operands[0] : x;
  if (sum.operands.length < 2 || !isLowHalf(sum.operands[0], slot)) return null;
  const [, added] = sum.operands;
  if (sum.op === Op.i32Add) return added;
  return sum.op === Op.i32Sub && isNumber(added, 1, 32) ? MINUS_ONE : null;
}

/** Whether a value is the size of an element, negative if DF is set. */
function isStepBy(x: Node, bytes: number, flags: Node): boolean {
  const step = x.op === Op.i32WrapI64 ? x.operands[0] : x;
  if (step.op !== Op.select) return false;
  const [down, up, condition] = step.operands;
  const width = down.bits > 32 ? 64 : 32;
  const isDirection =
    condition.op === Op.i32And &&
    isNumber(condition.operands[1], 1, 32) &&
    condition.operands[0].op === Op.i32ShrU &&
    condition.operands[0].operands[0] === flags &&
    isNumber(condition.operands[0].operands[1], Flag.DF, 32);
  return isDirection && isNumber(down, -bytes, width) && isNumber(up, bytes, width);
}

function isNumber(x: Node, value: number, width: 32 | 64): boolean {
  return x.isConstant && x.value === BigInt.asUintN(width, BigInt(value));
}

/** Whether a value is the same in each iteration, and known before the first. */
function isFixed(x: Node): boolean {
  if (x.op === Pseudo.RESULT || STEPPED.some((slot) => isLocal(x, slot))) return false;
  return x.operands.every(isFixed);
}

const STEPPED = [Gpr.RCX, Gpr.RSI, Gpr.RDI];
const MINUS_ONE = int(-1);

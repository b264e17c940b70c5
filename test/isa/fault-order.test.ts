// What every engine relies on to undo an instruction that faults: until the last thing that may
// fault, a meaning changes nothing but RSP. Meanings are asked in a domain that only keeps order.

import { describe, expect, test } from 'vitest';
import {
  CODE_SIZES,
  type CodeSize,
  type Domain,
  decode,
  Gpr,
  type Instruction,
  type Operand,
  type Row,
  rowsIn,
  syntax,
  type Width,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { ANYWHERE, randomEncoding } from '../support/row-encodings.ts';

type Value = null;
type OrderDomain = Domain<Value, Value>;

/** Verbs that may fault, besides accesses to memory operands. */
const FAULTING = [
  ...['load', 'loadForWrite', 'divide', 'divideSigned', 'raise', 'call', 'jump', 'align'],
  'settleFloats',
];
const CHANGES = ['setFlag', 'flagsOfAdd', 'flagsOfSub', 'flagsOfLogic', 'setXmm'];

/** Verbs of the meaning that may fault although something is already changed. */
function lateFaults(instruction: Instruction): string[] {
  const late: string[] = [];
  let changed: string | null = null;
  const mayFault = (verb: string) => {
    if (changed !== null) late.push(`${verb} after ${changed}`);
  };
  const change = (what: string) => {
    changed ??= what;
  };
  const store = () => {
    mayFault('store');
    change('store');
  };
  const own: Partial<OrderDomain> = {
    instruction,
    stackWidth: 64,
    divide: () => {
      mayFault('divide');
      return { quotient: null, remainder: null };
    },
    divideSigned: () => {
      mayFault('divideSigned');
      return { quotient: null, remainder: null };
    },
    read: (operand: Operand) => {
      if (operand.kind === 'memory') mayFault('read');
      return null;
    },
    modify: (operand: Operand) => {
      if (operand.kind === 'memory') mayFault('modify');
      return null;
    },
    write: (operand: Operand) => {
      if (operand.kind === 'memory') store();
      else if (operand.kind === 'register' && operand.number !== Gpr.RSP) change('write');
    },
    setRegister: (_width: Width, number: number) => {
      if (number !== Gpr.RSP) change('setRegister');
    },
    store,
    loadWide: () => {
      mayFault('loadWide');
      return { low: null, high: null };
    },
    storeWide: store,
    when: (_condition, then, otherwise) => {
      const before = changed;
      then();
      const after = changed;
      changed = before;
      otherwise?.();
      changed ??= after;
    },
  };
  const domain = new Proxy(own as OrderDomain, {
    get(target, name: keyof OrderDomain) {
      if (name in target) return target[name];
      return () => {
        if (FAULTING.includes(name)) mayFault(name);
        if (CHANGES.includes(name)) change(name);
        return null;
      };
    },
  });
  const none: Operand = { kind: 'relative', displacement: 0 };
  const [first = none, second = none, third = none] = instruction.operands;
  instruction.row.meaning(domain, first, second, third);
  return late;
}

/**
 * The parts that CMPXCHG16B, SGDT and SIDT, FXSAVE and MASKMOVDQU store have been loaded for
 * writing before. What ENTER and PUSHA have pushed when they fault stays in memory, as on hardware:
 * it lies below the stack pointer.
 */
const KNOWN = [
  'CMPXCHG16B: store after store',
  'ENTER: load after store',
  'ENTER: loadForWrite after store',
  'ENTER: store after store',
  'FXSAVE64: store after store',
  'FXSAVE: store after store',
  'MASKMOVDQU: store after store',
  'PUSHAD: store after store',
  'PUSHAW: store after store',
  'SGDT: store after store',
  'SIDT: store after store',
];

describe('until the last thing that may fault, nothing but RSP changes', () => {
  test('in every row', () => {
    const prng = new Prng(11);
    const late = CODE_SIZES.flatMap((codeSize) =>
      rowsIn(codeSize)
        .filter(({ encodeOnly }) => !encodeOnly)
        .flatMap((row) => lateIn(row, codeSize, prng)),
    );
    expect([...new Set(late)].sort()).toEqual(KNOWN);
  });
});

function lateIn(row: Row, codeSize: CodeSize, prng: Prng): string[] {
  return Array.from({ length: 6 }, () => {
    const code = randomEncoding(row, prng, ANYWHERE, codeSize);
    const decoded = decode(code, 0, code.length, codeSize);
    if (decoded.kind !== 'instruction') throw new Error(`${syntax(row)}: ${decoded.kind}`);
    return lateFaults(decoded.instruction).map((late) => `${row.mnemonic}: ${late}`);
  }).flat();
}

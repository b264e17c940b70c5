// A virtual processor does not make a check again whose fields have not changed. What it says of a
// second entry has to be what it would say if it made them all.

import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/sim/index.ts';
import {
  ENTRY_CHECKS,
  EVERY_ENTRY_CHECKS,
  FIELDS,
  type FieldName,
  Vmcs,
} from '../../src/vmx/index.ts';
import { VmxBench } from '../support/vmx-bench.ts';

/** What a guest changes by itself, and checks read at every entry. */
const GUEST_ITEMS = ['rip', 'rflags', 'interruptibility', 'activity', 'pendingDebug'] as const;

/** What a list of MSRs holds is found out by loading it: msr-lists.test.ts. */
const WRITABLE = FIELDS.filter(
  ({ type, name }) => type !== 'exitInformation' && name !== 'VM_ENTRY_MSR_LOAD_COUNT',
);

/** Of 16, 32 and 64: ends, and some that mean something in many fields. */
const BITS = [0, 1, 5, 9, 13, 31, 47, 63];

function entered(): VmxBench {
  const bench = new VmxBench();
  bench.exitOf('vmcall');
  return bench;
}

function flip(bench: VmxBench, name: FieldName, bit: number): void {
  const value = bench.virtual.vmcs.read(name);
  const mask = value.xor(value).add(1).shl(bit);
  bench.virtual.vmcs.write(name, value.xor(mask));
}

/** The rule that an entry breaks first, or nothing. */
function brokenRule({ virtual }: VmxBench): string {
  const { controls, injection, host, guest } = ENTRY_CHECKS;
  const isInjecting = virtual.vmcs.read('VM_ENTRY_INTR_INFO_FIELD').low < 0;
  const all = [...controls, ...(isInjecting ? injection : []), ...host, ...guest];
  return [...all, ...EVERY_ENTRY_CHECKS].find(({ holds }) => !holds(virtual.vmcs))?.rule ?? '';
}

function ruleOfEntry(bench: VmxBench): string {
  const outcome = bench.tryToEnter();
  if (outcome.kind === 'entered') return '';
  return ('check' in outcome ? outcome.check?.rule : undefined) ?? 'no check';
}

describe('a second entry', () => {
  test.each(WRITABLE.map(({ name, width }) => [name, width] as const))(
    'after the host has changed a bit of %s',
    (name, width) => {
      let bench = entered();
      for (const bit of BITS.filter((each) => each < width)) {
        flip(bench, name, bit);
        const expected = brokenRule(bench);
        expect([bit, ruleOfEntry(bench)]).toEqual([bit, expected]);
        if (expected === '') bench = entered();
        else flip(bench, name, bit);
      }
    },
  );

  test.each([1, 2])('after guest and host have changed this and that, seed %s', (seed) => {
    const prng = new Prng(seed);
    const counts = { entered: 0, refused: 0 };
    for (let n = 0; n < 200; n++) {
      const bench = entered();
      for (let change = prng.below(4); change >= 0; change--) {
        const item = GUEST_ITEMS[prng.below(GUEST_ITEMS.length)];
        bench.setRegister(item, bench.register(item) ^ (1 << prng.below(18)));
        const { name, width } = WRITABLE[prng.below(WRITABLE.length)];
        if (prng.below(4) === 0) flip(bench, name, prng.below(width));
      }
      const expected = brokenRule(bench);
      expect(ruleOfEntry(bench)).toBe(expected);
      counts[expected === '' ? 'entered' : 'refused']++;
    }
    expect(Math.min(counts.entered, counts.refused)).toBeGreaterThan(20);
  });
});

test.each(EVERY_ENTRY_CHECKS.map((check) => [check.rule, check] as const))(
  'the fields that a check names are those that it reads: %s',
  (_rule, check) => {
    const bench = entered();
    const read = new Set<string>();
    const spy = Object.create(bench.virtual.vmcs) as Vmcs;
    spy.get32 = (index) => {
      read.add(FIELDS[index].name);
      return Vmcs.prototype.get32.call(bench.virtual.vmcs, index);
    };
    spy.getHigh = (index) => {
      read.add(FIELDS[index].name);
      return Vmcs.prototype.getHigh.call(bench.virtual.vmcs, index);
    };
    for (const rflags of [2, 0x202, 0x302, 0x20002]) {
      for (const [activity, shadow] of [
        [0, 0],
        [1, 0],
        [0, 1],
        [0, 2],
      ]) {
        for (const type of [0, 2, 3, 4]) {
          bench.set({
            GUEST_RFLAGS: rflags,
            GUEST_ACTIVITY_STATE: activity,
            GUEST_INTERRUPTIBILITY_INFO: shadow,
            VM_ENTRY_INTR_INFO_FIELD: 2 ** 31 + type * 256 + 1,
          });
          check.holds(spy);
        }
      }
    }
    expect([...read].filter((name) => !check.fields.some((field) => field === name))).toEqual([]);
  },
);

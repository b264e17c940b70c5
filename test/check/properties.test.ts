// Properties over time: what each claim says of a few events, and that a mistake in one is told at
// its place. Every claim is met by a run and broken by another.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  event,
  PropertyChecker,
  parseProperty,
  property,
  type Violation,
} from '../../src/check/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';

/** A VM exit, an entry, a kick, a wake-up or a marker (a write to a port). */
function happened(timeNs: number, what: string, vcpu: number, detail: string | number = 0) {
  const around = { timeNs, pcpu: vcpu, comm: `vcpu${vcpu}`, pid: 1000 + vcpu };
  const zero = Long.UZERO;
  const fields = {
    kvm_exit: {
      reason: detail,
      rip: Long.fromNumber(0x100000, true),
      info1: zero,
      info2: zero,
      intrInfo: 0,
      errorCode: 0,
      entryFailed: false,
      vcpu,
    },
    kvm_entry: { vcpu, rip: Long.fromNumber(0x100000, true), immediateExit: false },
    kvm_hypercall: {
      nr: Long.fromNumber(5),
      a0: zero,
      a1: Long.fromValue(detail),
      a2: zero,
      a3: zero,
    },
    sched_wakeup: { comm: `vcpu${detail}`, pid: 0, prio: 120, targetCpu: 0 },
    kvm_pio: { write: true, port: 0x80, size: 1, count: 1, value: detail },
  }[what];
  return { ...around, name: what, fields } as unknown as TraceRecord;
}

function violationsOf(
  text: string,
  events: readonly TraceRecord[],
  state: readonly string[] = [],
): Violation[] {
  const checker = new PropertyChecker([property(text)]);
  for (const one of events) checker.record(one);
  return checker.end(10_000, state);
}

/** Text of the property, events that meet it, events that break it, and what is said then. */
const CASES: readonly (readonly [string, TraceRecord[], TraceRecord[], string])[] = [
  [
    'never kvm_exit(reason=TRIPLE_FAULT)',
    [happened(1, 'kvm_exit', 0, 'HLT')],
    [happened(1, 'kvm_exit', 0, 'HLT'), happened(7, 'kvm_exit', 0, 'TRIPLE_FAULT')],
    '7: kvm_exit(reason=TRIPLE_FAULT) happened',
  ],
  [
    'always kvm_exit has (vcpu < 2, rip >= 0x100000)',
    [happened(1, 'kvm_exit', 1, 'HLT')],
    [happened(1, 'kvm_exit', 1, 'HLT'), happened(2, 'kvm_exit', 2, 'HLT')],
    '2: kvm_exit without (vcpu < 2, rip >= 0x100000)',
  ],
  [
    'every kvm_hypercall(nr=5, a1=$v) is followed by sched_wakeup(comm=vcpu$v) within 50ns',
    [happened(1, 'kvm_hypercall', 0, 1), happened(51, 'sched_wakeup', 0, 1)],
    [happened(1, 'kvm_hypercall', 0, 1), happened(52, 'sched_wakeup', 0, 1)],
    '1: kvm_hypercall(nr=5, a1=$v) is not followed by sched_wakeup(comm=vcpu$v) within 50 ns',
  ],
  [
    'every kvm_hypercall(a1=$v) is followed by sched_wakeup(comm=vcpu$v)',
    [happened(1, 'kvm_hypercall', 0, 1), happened(9000, 'sched_wakeup', 0, 1)],
    [happened(1, 'kvm_hypercall', 0, 1), happened(2, 'sched_wakeup', 0, 2)],
    '1: kvm_hypercall(a1=$v) is not followed by sched_wakeup(comm=vcpu$v) before the end',
  ],
  [
    'every kvm_exit(vcpu=$v) is preceded by kvm_entry(vcpu=$v) or kvm_pio',
    [happened(1, 'kvm_entry', 1), happened(2, 'kvm_exit', 1, 'HLT')],
    [happened(1, 'kvm_entry', 0), happened(2, 'kvm_exit', 1, 'HLT')],
    '2: kvm_exit(vcpu=$v) is not preceded by kvm_entry(vcpu=$v) or kvm_pio',
  ],
  [
    'every kvm_exit is preceded by kvm_entry within 1us',
    [happened(1, 'kvm_entry', 0), happened(1001, 'kvm_exit', 0, 'HLT')],
    [happened(1, 'kvm_entry', 0), happened(1002, 'kvm_exit', 0, 'HLT')],
    '1002: kvm_exit is not preceded by kvm_entry within 1000 ns',
  ],
  [
    'at most 1 kvm_exit within 10ns',
    [happened(1, 'kvm_exit', 0, 'HLT'), happened(12, 'kvm_exit', 0, 'HLT')],
    [happened(1, 'kvm_exit', 0, 'HLT'), happened(11, 'kvm_exit', 0, 'HLT')],
    '11: 2 of kvm_exit within 10 ns, at most 1 allowed',
  ],
  [
    'at most 2 kvm_exit',
    [happened(1, 'kvm_exit', 0, 'HLT'), happened(2, 'kvm_exit', 0, 'HLT')],
    [1, 2, 3].map((time) => happened(time, 'kvm_exit', 0, 'HLT')),
    '3: 3 of kvm_exit, at most 2 allowed',
  ],
  [
    'at least 2 kvm_exit',
    [happened(1, 'kvm_exit', 0, 'HLT'), happened(2, 'kvm_exit', 0, 'HLT')],
    [happened(1, 'kvm_exit', 0, 'HLT')],
    '10000: 1 of kvm_exit, at least 2 expected',
  ],
  [
    'one holder: at most 1 between kvm_pio(value=1) and kvm_pio(value=2)',
    [
      happened(1, 'kvm_pio', 0, 1),
      happened(2, 'kvm_pio', 0, 2),
      happened(3, 'kvm_pio', 1, 1),
      happened(4, 'kvm_pio', 1, 2),
    ],
    [happened(1, 'kvm_pio', 0, 1), happened(2, 'kvm_pio', 1, 2), happened(3, 'kvm_pio', 1, 1)],
    '3: 2 between kvm_pio(value=1) and kvm_pio(value=2), at most 1 allowed: ' +
      'vcpu0 since 1 ns, vcpu1 since 3 ns',
  ],
  [
    'never kvm_exit(vcpu=$v, reason=HLT) between kvm_pio(value=$v) and kvm_pio(value=9)',
    [happened(1, 'kvm_pio', 0, 1), happened(2, 'kvm_exit', 0, 'HLT'), happened(3, 'kvm_pio', 0, 9)],
    [happened(1, 'kvm_pio', 0, 1), happened(2, 'kvm_exit', 1, 'HLT')],
    '2: kvm_exit(vcpu=$v, reason=HLT) happened 1 ns after kvm_pio(value=$v), before kvm_pio(value=9)',
  ],
];

test.each(CASES)('%s', (text, good, bad, told) => {
  expect(violationsOf(text, good)).toEqual([]);
  expect(violationsOf(text, bad).map(({ timeNs, message }) => `${timeNs}: ${message}`)).toEqual([
    told,
  ]);
});

test('finally speaks of the final state', () => {
  const state = ['status halted', 'vcpu 0 rax 0x5', 'vcpu 0 exits HLT 3'];
  expect(violationsOf('finally vcpu 0 rax = 5', [], state)).toEqual([]);
  expect(violationsOf('finally vcpu 0 exits HLT >= 3', [], state)).toEqual([]);
  const messages = [
    'finally status = limit',
    'finally vcpu 0 rax < 5',
    'finally vcpu 1 rax = 5',
  ].map((text) => violationsOf(text, [], state)[0].message);
  expect(messages).toEqual([
    'status is halted, not = limit',
    'vcpu 0 rax is 0x5, not < 5',
    "the final state says nothing of 'vcpu 1 rax'",
  ]);
});

test('a violation has the lines around it; only the first of a property is told', () => {
  const events = Array.from({ length: 20 }, (_, i) =>
    happened(i, 'kvm_exit', 0, i >= 10 ? 'HLT' : 'CPUID'),
  );
  const [first, ...more] = violationsOf('never kvm_exit(reason=HLT)', events);
  expect(more).toEqual([]);
  expect(first.timeNs).toBe(10);
  expect(first.around).toHaveLength(8);
  expect(first.around[first.event]).toContain('reason HLT');
  expect(first.around[first.event - 1]).toContain('reason CPUID');
});

test('a claim in TypeScript may have predicates', () => {
  const hlt = event('kvm_exit', ({ fields }) => fields.reason === 'HLT');
  const given = property({ name: 'no HLT', claim: { kind: 'never', event: hlt, between: null } });
  const checker = new PropertyChecker([given]);
  checker.record(happened(3, 'kvm_exit', 0, 'HLT'));
  expect(checker.end(5, [])).toMatchObject([{ timeNs: 3, property: { name: 'no HLT' } }]);
});

describe('mistakes', () => {
  test.each([
    ['', 0, 'expected one of never, always, every, at, finally, not the end'],
    ['sometimes kvm_exit', 0, "expected one of never, always, every, at, finally, not 'sometimes'"],
    ['never kvm_exit(reason=HTL)', 22, "kvm_exit has no reason 'HTL'; did you mean 'HLT'?"],
    [
      'never sched_switch(prevState=Q)',
      29,
      "sched_switch has no prevState 'Q'; expected one of R, S, D, T, t, X, Z, P, I, R+",
    ],
    ['never kvm_exit(reson=HLT)', 15, "kvm_exit has no field 'reson'; did you mean 'reason'?"],
    ['never kvm_exit(reason HLT)', 22, "expected one of != <= >= = < >, not 'HLT)'"],
    ['never kvm_exit(reason=HLT', 25, "expected ',' or ')', not the end"],
    ['never kvm_exit kvm_entry', 15, "expected the end, not 'kvm_entry'"],
    ['every kvm_exit is kvm_entry', 18, "expected one of followed, preceded, not 'kvm_entry'"],
    [
      'every kvm_exit is followed by kvm_entry within 5',
      47,
      "expected a duration such as 50us or 2 ms, not '5'",
    ],
    ['at most x kvm_exit', 8, "expected a number, not 'x'"],
    ['finally status', 14, 'expected a comparison such as =, not the end'],
  ])('%s', (text, offset, message) => {
    expect(parseProperty(text)).toMatchObject({ offset, message });
    expect(() => property(text)).toThrow(RangeError);
  });
});

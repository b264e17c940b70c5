// What a VM entry comes to with a changed VMCS, in words that a table of cases can hold.

import { expect, test } from 'vitest';
import type { EntryOutcome } from '../../src/vmx/index.ts';
import { type FieldValues, VmxBench } from './vmx-bench.ts';

/** `entered`, `error 7` for VMfailValid, `exit 33, qualification 0` for an entry failure. */
export function outcomeText(bench: VmxBench, outcome: EntryOutcome): string {
  switch (outcome.kind) {
    case 'entered':
      return 'entered';
    case 'failInvalid':
      return 'VMfailInvalid';
    case 'failValid':
      return `error ${bench.field('VM_INSTRUCTION_ERROR')}`;
    case 'entryFailure': {
      const reason = bench.field('VM_EXIT_REASON');
      const failed = reason >= 2 ** 31 ? '' : ' without bit 31';
      const qualification = bench.field('EXIT_QUALIFICATION');
      return `exit ${reason & 0x7fffffff}${failed}, qualification ${qualification}`;
    }
  }
}

/** What is changed and why entry has to refuse it: a part of the rule's text. */
export type RefusedCase = readonly [what: string, change: FieldValues, rule: RegExp];

/** A neighbour of the refused ones that has to pass. */
export type AcceptedCase = readonly [what: string, change: FieldValues];

/** Entry refuses each change with an outcome, and names the rule and a field that was changed. */
export function refuses(expected: string, cases: readonly RefusedCase[]): void {
  test.each(cases)(`refuses %s: ${expected}`, (_what, change, rule) => {
    const bench = new VmxBench();
    bench.set(change);
    const outcome = bench.tryToEnter();
    expect(outcomeText(bench, outcome)).toBe(expected);
    if (!('check' in outcome) || outcome.check === null) throw new Error('no check named');
    expect(outcome.check.rule).toMatch(rule);
    const { fields } = outcome.check;
    expect(Object.keys(change).some((name) => fields.some((field) => field === name))).toBe(true);
  });
}

export function accepts(cases: readonly AcceptedCase[]): void {
  test.each(cases)('accepts %s', (_what, change) => {
    const bench = new VmxBench();
    bench.set(change);
    const outcome = bench.tryToEnter();
    const rule = 'check' in outcome ? outcome.check?.rule : undefined;
    expect([outcomeText(bench, outcome), rule]).toEqual(['entered', undefined]);
  });
}

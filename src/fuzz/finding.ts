// What a run is found to do wrong, and when two runs are found to do the same thing wrong.

import type { Failure, Verdict, Violation as Violated } from '../check/index.ts';
import type { Violation } from '../explore/index.ts';
import type { EndingStatus, Machine, MachineEnding } from '../machine/index.ts';

export type FindingKind =
  /** The run ended so, which it should not; `exited` by a code of the guest. */
  | Exclude<EndingStatus, 'limit' | 'interrupted'>
  /** It goes round in a circle, and would never have ended. */
  | 'hang'
  /** A directive does not hold. */
  | 'check'
  /** A property is violated. */
  | 'property'
  /** Two vCPUs in an exclusive section, or output that is not what it should be. */
  | 'exclusion'
  | 'output'
  | 'livelock'
  /** The two engines do not agree. */
  | 'engine'
  /** vmxlab itself failed. */
  | 'internal';

export interface Finding {
  readonly kind: FindingKind;
  /** A sentence without a full stop. */
  readonly message: string;
  /** Equal for runs that go wrong in the same way. */
  readonly signature: string;
  /** Virtual ns to look at in the debugger. */
  readonly timeNs: number;
}

/** What a verdict finds, or null. */
export function findingOf(machine: Machine, { failures, ending }: Verdict): Finding | null {
  const [failure] = failures;
  if (failure === undefined) return null;
  const isOfEnding = failure.stream === null && failure.heading === 'ended';
  if (isOfEnding) return endingFinding(machine, ending, failure.timeNs);
  return failureFinding(failure);
}

/** A directive that does not hold, or a property. */
export function failureFinding({ line, stream, message, expected, timeNs }: Failure): Finding {
  const kind = stream === null ? 'property' : 'check';
  const text = `${message}; expected ${expected}`;
  return { kind, message: text, signature: `${kind} ${line ?? ''}`.trim(), timeNs };
}

/** The same of a property where time stands still. */
export function violationFinding({ property, message }: Violated, line: number | null): Finding {
  const text = `PROPERTY: ${message}; expected ${property.text}`;
  const signature = `property ${line ?? property.text}`;
  return { kind: 'property', message: text, signature, timeNs: 0 };
}

const IN_CIRCLES =
  'goes round in a circle: registers and memory are the same again and again, and nothing is ' +
  'under way that could change that';

/** A run, or a schedule, comes to where it was. */
export function hangFinding(timeNs: number): Finding {
  return { kind: 'hang', message: IN_CIRCLES, signature: 'hang', timeNs };
}

function endingFinding(machine: Machine, ending: MachineEnding, timeNs: number): Finding {
  const { status, message, vcpu } = ending;
  if (status === 'limit' || status === 'interrupted') {
    throw new Error(`a run that was cut off (${status}) says nothing by its ending`);
  }
  const where = vcpu === null ? '' : placeOf(machine, vcpu);
  return { kind: status, message: `${message}${where}`, signature: status + where, timeNs };
}

function placeOf(machine: Machine, { vm, index }: NonNullable<MachineEnding['vcpu']>): string {
  const rip = machine.vms[vm].vcpus[index].linearRip.toUnsigned();
  const symbol = machine.symbols[vm].symbolAt(rip);
  return `, at 0x${rip.toString(16)}${symbol === null ? '' : ` <${symbol}>`}`;
}

/** What an exploration finds on a schedule. */
export function scheduleFinding({ kind, message }: Violation, machine: Machine): Finding {
  const { ending } = machine;
  if (kind === 'ending' && ending !== null) return endingFinding(machine, ending, 0);
  const known = kind === 'ending' ? 'internal' : kind;
  return { kind: known, message, signature: known, timeNs: 0 };
}

/** Something was thrown. */
export function internalFinding(kind: 'engine' | 'internal', thrown: unknown): Finding {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const [first] = message.split('\n', 1);
  return { kind, message: first, signature: `${kind} ${first.replace(/\d+/g, 'N')}`, timeNs: 0 };
}

// What a run is found to do wrong, and when two runs are found to do the same thing wrong.

import type { Verdict } from '../check/index.ts';
import type { Violation } from '../explore/index.ts';
import type { EndingStatus, Machine, MachineEnding } from '../machine/index.ts';

export type FindingKind =
  /** The run ended so, which it should not; `exited` by a code of the guest. */
  | Exclude<EndingStatus, 'limit' | 'interrupted'>
  /** It had not ended when it had taken many times as long as the first runs. */
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
  const { line, stream, message, expected, timeNs } = failure;
  const isOfEnding = stream === null && failure.heading === 'ended';
  if (isOfEnding) return endingFinding(machine, ending, timeNs);
  const isProperty = stream === null;
  const kind = isProperty ? 'property' : 'check';
  const text = `${message}; expected ${expected}`;
  return { kind, message: text, signature: `${kind} ${line ?? ''}`.trim(), timeNs };
}

function endingFinding(machine: Machine, ending: MachineEnding, timeNs: number): Finding {
  const { status, message, vcpu } = ending;
  if (status === 'limit' || status === 'interrupted') {
    return { kind: 'hang', message, signature: 'hang', timeNs };
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

// Code of a user in the place of decisions of host and KVM: what a scenario may name, and how it is
// put to use. Loading files is the caller's; here are functions.

import type { Pcpu, PlaceWoken, Scheduler, Thread } from '../host/index.ts';
import { type Decisions, decisionsOf, type VmPolicies } from '../kvm/index.ts';
import type { PolicyWatch } from '../sim/index.ts';
import { EXIT_REASONS } from '../vmx/index.ts';
import { type Issue, map, object, type Path, text } from './schema.ts';

/** The pCPU for a woken thread, one of its affinity. */
export type WakePlacementPolicy = (
  thread: Thread,
  pcpus: readonly Pcpu[],
  standard: (thread: Thread) => Pcpu,
) => Pcpu;

/** By place in the scenario, such as `host.policies.wake_placement` or `vms[0].policies.spin`. */
export type PolicyFunctions = ReadonlyMap<string, (...question: never[]) => unknown>;

const file = (summary: string) =>
  text({ summary: `${summary}: a module (.js, .ts)`, fallback: '' });

export const HOST_POLICY_KEYS = object('Code in the place of decisions of the host', {
  wake_placement: file('where a woken thread runs'),
});

export const VM_POLICY_KEYS = object('Code in the place of decisions of KVM', {
  spin: file('what a PAUSE-loop exit does'),
  yield_candidate: file('whom a spinner yields to'),
  halt_poll: file('the window of halt polling'),
  exits: map(
    text({ summary: 'handler of an exit reason, such as HLT: a module (.js, .ts)', fallback: '' }),
    'exit handlers',
  ),
});

interface NamingScenario {
  readonly host: { readonly policies: { readonly wake_placement: string } };
  readonly vms: readonly {
    readonly policies: {
      readonly spin: string;
      readonly yield_candidate: string;
      readonly halt_poll: string;
      readonly exits: Readonly<Record<string, string>>;
    };
  }[];
}

/** A policy that a scenario names. */
export interface NamedPolicy {
  /** Its place, and its name in messages. */
  readonly key: string;
  readonly path: Path;
  /** Relative to the scenario. */
  readonly file: string;
}

/** All policies that a scenario names. */
export function namedPolicies({ host, vms }: NamingScenario): NamedPolicy[] {
  const named = (key: string, path: Path, files: Readonly<Record<string, string>>) =>
    Object.entries(files)
      .filter(([, name]) => name !== '')
      .map(([last, name]) => ({ key: `${key}.${last}`, path: [...path, last], file: name }));
  return [
    ...named('host.policies', ['host', 'policies'], { ...host.policies }),
    ...vms.flatMap(({ policies: { exits, ...rest } }, i) => [
      ...named(`vms[${i}].policies`, ['vms', i, 'policies'], rest),
      ...named(`vms[${i}].policies.exits`, ['vms', i, 'policies', 'exits'], exits),
    ]),
  ];
}

/** Exit handlers are named as the exit reasons are. */
export function* policyIssues({ vms }: NamingScenario): Iterable<Issue> {
  for (const [i, { policies }] of vms.entries()) {
    for (const name of Object.keys(policies.exits)) {
      if (EXIT_REASONS.some((reason) => reason.name === name)) continue;
      const path = ['vms', i, 'policies', 'exits', name];
      yield { path, message: `there is no exit reason '${name}'; 'vmxlab exits' lists them` };
    }
  }
}

/** The decisions of a virtual machine. Throws if a policy that the scenario names is not given. */
export function vmDecisions(
  scenario: NamingScenario,
  id: number,
  functions: PolicyFunctions,
  watch: PolicyWatch,
): Decisions {
  const prefix = `vms[${id}].policies`;
  const { spin, yield_candidate, halt_poll, exits } = scenario.vms[id].policies;
  const given = <T>(name: string, key: string): T | undefined =>
    name === '' ? undefined : (functionAt(functions, `${prefix}.${key}`) as T);
  const handlers = Object.entries(exits).map(([reason, name]) => [
    reason,
    given(name, `exits.${reason}`),
  ]);
  const policies = {
    spin: given<VmPolicies['spin']>(spin, 'spin'),
    yieldCandidate: given<VmPolicies['yieldCandidate']>(yield_candidate, 'yield_candidate'),
    haltPoll: given<VmPolicies['haltPoll']>(halt_poll, 'halt_poll'),
    exits: Object.fromEntries(handlers) as VmPolicies['exits'],
  };
  return decisionsOf(policies as VmPolicies, prefix, watch);
}

/** Where woken threads go, or undefined for the scheduler's choice. */
export function placementOf(
  scenario: NamingScenario,
  functions: PolicyFunctions,
  watch: PolicyWatch,
  scheduler: () => Scheduler,
): PlaceWoken | undefined {
  if (scenario.host.policies.wake_placement === '') return undefined;
  const key = 'host.policies.wake_placement';
  const policy = functionAt(functions, key) as unknown as WakePlacementPolicy;
  return watch.guard(
    key,
    (thread: Thread, pcpus: readonly Pcpu[], waker: Pcpu) =>
      policy(thread, pcpus, (woken) => scheduler().place(woken, waker)),
    (chosen, thread, pcpus) =>
      pcpus.includes(chosen) && thread.affinity.includes(chosen.index)
        ? null
        : `gives no pCPU that ${thread.name} may use`,
  );
}

function functionAt(functions: PolicyFunctions, key: string): (...question: never[]) => unknown {
  const found = functions.get(key);
  if (found === undefined) throw new RangeError(`the policy ${key} is named, but not given`);
  return found;
}

// What a machine's processor does not have, scenarios cannot ask for, nor for more pCPUs than it
// has.

import {
  COST_PRESETS,
  type CostPreset,
  type CostPresetName,
  hasFeature,
  pcpusOf,
} from './presets.ts';
import type { Scenario } from './scenario.ts';
import type { Issue } from './schema.ts';

export const DEFAULT_MACHINE: CostPresetName = 'e5-2660v4';

/** The machine that a document names; the default one if it does not, or wrongly. */
export function machineOf(document: unknown): CostPreset {
  const { host } = (document ?? {}) as { readonly host?: { readonly machine?: unknown } | null };
  const found = Object.values(COST_PRESETS).find(({ name }) => name === host?.machine);
  return found ?? COST_PRESETS[DEFAULT_MACHINE];
}

/** More pCPUs than the machine has. */
export function* pcpuIssues({ host }: Scenario, machine: CostPreset): Iterable<Issue> {
  const most = pcpusOf(machine);
  if (most === null || host.pcpus <= most) return;
  const message = `expected at most ${most}, as many as ${machine.name} has, not ${host.pcpus}`;
  yield { path: ['host', 'pcpus'], message };
}

type Kvm = Scenario['vms'][number]['kvm'];

/** Parameters that mean a feature is used. */
const USES = [
  ['ple', 'ple_gap', (kvm: Kvm) => kvm.ple_gap !== 0, '0', 'PAUSE-loop exiting'],
  [
    'preemption_timer',
    'preemption_timer',
    (kvm: Kvm) => kvm.preemption_timer,
    'false',
    'VMX-preemption timer',
  ],
  ['flexpriority', 'flexpriority', (kvm: Kvm) => kvm.flexpriority, 'false', 'FlexPriority'],
  ['tsc_deadline', 'tsc_deadline', (kvm: Kvm) => kvm.tsc_deadline, 'false', 'TSC-deadline timer'],
] as const;

/** Parameters that use what the processor does not have. */
export function* featureIssues({ vms }: Scenario, machine: CostPreset): Iterable<Issue> {
  for (const [i, { kvm }] of vms.entries()) {
    for (const [feature, key, isUsed, expected, what] of USES) {
      if (hasFeature(machine, feature) || !isUsed(kvm)) continue;
      const message = `expected ${expected}: ${machine.name} has no ${what}`;
      yield { path: ['vms', i, 'kvm', key], message };
    }
  }
}

// `host.costs`: what things cost in a scenario where it is not what the machine says. The keys are
// those of the table of the machine's costs, so that each of them can be varied.

import type { HostCosts } from '../host/index.ts';
import type { VmCosts } from '../kvm/index.ts';
import type { CostPreset } from './presets.ts';
import { type Fields, integer, object, type Scalar } from './schema.ts';

/** Cycles by name, as scenarios write it, in groups. */
type Costs = Readonly<Record<string, Readonly<Record<string, number>>>>;

type CostKeys = Fields<Readonly<Record<string, Fields<Readonly<Record<string, Scalar<number>>>>>>>;

/** One of 0 might keep time from passing, and a higher one makes no sense. */
const LEAST = 1;
const MOST = 100_000_000;

const GROUPS = {
  host: "the host's own work, and of its interrupts",
  vmx: 'the hardware between guest and host',
  kvm: "KVM's software",
  instructions: 'instructions of guests',
} as const;

type Group = keyof typeof GROUPS;

type Leaf = readonly [cycles: number, source: string];
interface Branch {
  readonly [key: string]: Leaf | Branch;
}

/** The keys, with the costs of a machine as defaults. */
export function costKeys({ sources }: CostPreset): CostKeys {
  const groups = Object.entries(GROUPS).map(([group, summary]) => {
    const scalars = leavesOf(groupOf(sources, group as Group)).map(
      ([name, [cycles, source]]) =>
        [name, integer(LEAST, MOST, { summary: `cycles; ${source}`, fallback: cycles })] as const,
    );
    return [group, object(`Cost of ${summary}`, Object.fromEntries(scalars))] as const;
  });
  return object('Costs other than those of the machine', Object.fromEntries(groups));
}

/** A cost of a machine, under its key in scenarios. */
export interface CostLine {
  readonly key: string;
  readonly cycles: number;
  readonly source: string;
}

/** All costs of a machine. */
export function costLines({ sources }: CostPreset): readonly CostLine[] {
  return Object.keys(GROUPS).flatMap((group) =>
    leavesOf(groupOf(sources, group as Group)).map(([name, [cycles, source]]) => ({
      key: `host.costs.${group}.${name}`,
      cycles,
      source,
    })),
  );
}

/** What things cost in a scenario. */
export function costsOf(
  preset: CostPreset,
  costs: Costs,
): { readonly host: HostCosts; readonly vm: VmCosts } {
  const costOf = <T>(group: Group) => replaced(groupOf(preset.sources, group), costs[group]) as T;
  return {
    host: costOf<HostCosts>('host'),
    vm: {
      instructions: costOf<VmCosts['instructions']>('instructions'),
      vmx: costOf<VmCosts['vmx']>('vmx'),
      kvm: costOf<VmCosts['kvm']>('kvm'),
    },
  };
}

function groupOf({ host, vm }: CostPreset['sources'], group: Group): Branch {
  return (group === 'host' ? host : vm[group]) as unknown as Branch;
}

const isLeaf = (value: Leaf | Branch): value is Leaf => Array.isArray(value);

/** Classes of instructions are no level of their own: no name is there twice. */
function leavesOf(branch: Branch): (readonly [name: string, leaf: Leaf])[] {
  return Object.entries(branch).flatMap(([key, value]) =>
    isLeaf(value) ? [[scenarioName(key), value] as const] : leavesOf(value),
  );
}

function replaced(branch: Branch, costs: Readonly<Record<string, number>>): unknown {
  return Object.fromEntries(
    Object.entries(branch).map(([key, value]) => [
      key,
      isLeaf(value) ? costs[scenarioName(key)] : replaced(value, costs),
    ]),
  );
}

/** `contextSwitch` as `context_switch`. */
function scenarioName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

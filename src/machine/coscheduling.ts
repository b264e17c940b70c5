// Co-scheduling in scenarios: the keys of a virtual machine, what is wrong with them, the sets of
// the host made of them, and what reports say. What it is: host/coschedule.ts.

import { assignPlaces, COSCHEDULING_MODES, type Host } from '../host/index.ts';
import type { Vcpu, Vm } from '../kvm/index.ts';
import { parseCpuList, pinOf } from './cpu-list.ts';
import type { Scenario } from './scenario.ts';
import { choice, duration, type Issue } from './schema.ts';

export const COSCHEDULING_KEYS = {
  coscheduling: choice(COSCHEDULING_MODES, {
    summary:
      'where one vCPU falls behind the others too far: strict stops all of them until they can ' +
      'start together, relaxed those ahead',
    fallback: 'none',
  }),
  // Assumed: of their threshold VMware's papers say "typically a few milliseconds".
  coscheduling_skew: duration({
    summary: 'more than this is too far; assumed, as published is but "a few milliseconds"',
    fallback: 3_000_000,
  }),
};

/** Strict co-scheduling of vCPUs that can never run all at once would stop them for ever. */
export function* coschedulingIssues({ host, vms }: Scenario): Iterable<Issue> {
  for (const [i, vm] of vms.entries()) {
    if (vm.coscheduling !== 'strict') continue;
    const pins = Array.from({ length: vm.vcpus }, (_, vcpu) => pinOf(vm, vcpu));
    if (!haveRoom(pins, host.pcpus)) {
      const room = `a pCPU for each of ${vm.vcpus} vCPUs at once`;
      const message = `strict takes ${room}; there are not enough`;
      yield { path: ['vms', i, 'coscheduling'], message };
      continue;
    }
    // Changes of the same time happen in the order in which they are written.
    const changes = [...vm.affinity_changes.entries()].sort(([, a], [, b]) => a.at - b.at);
    for (const [j, { vcpu, pin }] of changes) {
      pins[vcpu] = pin;
      if (haveRoom(pins, host.pcpus)) continue;
      const message = `from then on there is no pCPU for each vCPU at once, as strict takes`;
      yield { path: ['vms', i, 'affinity_changes', j, 'pin'], message };
      break;
    }
  }
}

/** There is a pCPU for each, all different. What is no list of pCPUs is somebody else's mistake. */
function haveRoom(pins: readonly (string | undefined)[], pcpus: number): boolean {
  const all = Array.from({ length: pcpus }, (_, index) => index);
  return assignPlaces(pins.map((pin) => (pin ? (parseCpuList(pin) ?? all) : all))) !== null;
}

/** Before the vCPUs start. */
export function coschedule(host: Host, vms: readonly Vm[], scenario: Scenario): void {
  for (const [id, { coscheduling: mode, coscheduling_skew: skewNs }] of scenario.vms.entries()) {
    if (mode === 'none') continue;
    host.coschedule(
      vms[id].vcpus.map(({ thread }) => thread),
      { mode, skewNs },
    );
  }
}

/** How often a vCPU was stopped although it was runnable, and for how long up to `now` (cycles). */
export function costopsOf(
  { thread, vm }: Vcpu,
  now: number,
): { readonly costops: number; readonly costopNs: number } {
  const set = thread.coschedule;
  if (set === null) return { costops: 0, costopNs: 0 };
  const i = set.threads.indexOf(thread);
  const costopNs = vm.host.frequency.toNs(set.stoppedUpTo(now, i));
  return { costops: set.state.stops[i], costopNs };
}

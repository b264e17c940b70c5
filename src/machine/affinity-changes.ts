// vCPU threads that are told while they run to run elsewhere: sched_setaffinity, called by whoever
// manages the host. It costs nothing but what the move itself costs.

import type { Host } from '../host/index.ts';
import type { Vm } from '../kvm/index.ts';
import { affinityOf, type Scenario } from './scenario.ts';

/** Before the run begins. */
export function armAffinityChanges(host: Host, vms: readonly Vm[], scenario: Scenario): void {
  for (const [id, { affinity_changes: changes }] of scenario.vms.entries()) {
    for (const [i, { at, vcpu, pin }] of changes.entries()) {
      const affinity = affinityOf(pin, scenario.host.pcpus);
      const { thread } = vms[id].vcpus[vcpu];
      const timer = `affinity/${id}/${i}`;
      host.timers.register(timer, (actor) => host.scheduler.setAffinity(thread, affinity, actor));
      host.timers.arm(timer, host.frequency.toCycles(at), host.pcpus[0]);
    }
  }
}

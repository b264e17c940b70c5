// host: the emulated machine's pCPUs, threads, scheduler, timers and interrupts. Knows no guests.
//
//   import { HOG_BODY, Host } from 'vmxlab/host';
//   import { COST_PRESETS } from 'vmxlab/machine';
//   const costs = COST_PRESETS['e5-2660v4'].host;
//   const config = { pcpuCount: 2, khz: 2_000_000, hz: 250, lookahead: 500, seed: 1, costs };
//   const host = new Host(config);
//   for (const name of ['hog0', 'hog1', 'hog2']) {
//     const thread = host.createThread({ name, nice: 0, affinity: [0, 1], body: HOG_BODY });
//     host.scheduler.start(thread);
//   }
//   host.run(host.frequency.toCycles(1_000_000_000)); // 'until'
//   host.pcpus.map((pcpu) => pcpu.state.times.idle); // [0, 0]

export type { BalanceState } from './balancer.ts';
export type { Bandwidth, BandwidthConfig, BandwidthState } from './bandwidth.ts';
export {
  COSCHEDULING_MODES,
  type Coschedule,
  type CoscheduleConfig,
  type CoscheduleState,
  type CoschedulingMode,
} from './coschedule.ts';
export type { HostCosts } from './costs.ts';
export { type Donation, donatedUpTo } from './donation.ts';
export { HOG_BODY } from './hog.ts';
export {
  type FaultSource,
  Host,
  type HostConfig,
  type HostEvent,
  type HostState,
  type HostStop,
  NEXT_STEP,
  type PausePoint,
} from './host.ts';
export type { Order } from './order.ts';
export {
  BALANCE_RULES,
  type BalanceRule,
  DEFAULT_SCHEDULER,
  ENTRY_RESCHEDS,
  FAIR_CLASSES,
  POLICIES,
  type Policy,
  PREEMPTION_MODELS,
  type SchedulerParameters,
} from './parameters.ts';
export { Pcpu, type PcpuState, type PcpuTimes } from './pcpu.ts';
export { RunQueue } from './run-queue.ts';
export type { PlaceWoken, Scheduler, YieldResult } from './scheduler.ts';
export { assignPlaces } from './skew.ts';
export {
  type BodyOutcome,
  Thread,
  type ThreadBody,
  type ThreadConfig,
  type ThreadState,
  type ThreadTimes,
} from './thread.ts';
export { type GroupConfig, sharesOfWeight, ThreadGroup } from './thread-group.ts';
export type { TimerHandler, Timers } from './timers.ts';
export { type FairTunables, fairTunables } from './tunables.ts';
export { shareOfPeriod, virtualRuntime, weightOfNice } from './weights.ts';

// host: the emulated machine's pCPUs, threads, scheduler, timers and interrupts. Knows no guests.
//
//   const host = new Host({ pcpuCount: 2, khz: 2_000_000, hz: 250, lookahead: 500, seed: 1, costs });
//   for (let i = 0; i < 3; i++) {
//     const affinity = [0, 1];
//     host.scheduler.start(host.createThread({ name: `hog${i}`, nice: 0, affinity, body: HOG_BODY }));
//   }
//   host.run(host.frequency.toCycles(1_000_000_000));

export type { HostCosts } from './costs.ts';
export { FairQueue, type FairTunables, fairTunables } from './fair.ts';
export { HOG_BODY } from './hog.ts';
export { Host, type HostConfig, type HostState, type HostStop } from './host.ts';
export { Pcpu, type PcpuTimes } from './pcpu.ts';
export type { YieldResult } from './scheduler.ts';
export {
  type BodyOutcome,
  Thread,
  type ThreadBody,
  type ThreadConfig,
  type ThreadState,
  type ThreadTimes,
} from './thread.ts';
export type { TimerHandler } from './timers.ts';
export { shareOfPeriod, virtualRuntime, weightOfNice } from './weights.ts';

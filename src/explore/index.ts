// explore: the schedules of a guest program, all of them or many, one state at a time.
//
//   import { EVERY_SCHEDULE, explore } from 'vmxlab/explore';
//   import { checkScenario } from 'vmxlab/machine';
//   const program = Uint8Array.of(0xfa, 0xf4); // cli; hlt
//   const { scenario } = checkScenario({ vms: [{ program: 'halt.bin', vcpus: 2 }] });
//   const report = explore(scenario, { programs: [program] }, EVERY_SCHEDULE);
//   report.verdict; // 'pass'
//   report.outcomes[0].status; // 'halted'

export {
  EVERY_SCHEDULE,
  type ExploreOptions,
  type ExploreReport,
  explore,
  follow,
  type Outcome,
  STRATEGIES,
  type Strategy,
} from './explore.ts';
export { type StateGraph, stateGraph } from './livelock.ts';
export { type Moment, narrate } from './narrative.ts';
export { countSwitches, parseSchedule, printSchedule } from './schedule.ts';
export { ScheduleOrder, type ScheduleOrderOptions } from './schedule-order.ts';
export {
  type SearchLimits,
  type SearchObserver,
  type SearchOptions,
  type SearchResult,
  type SearchStatistics,
  search,
} from './search.ts';
export {
  type Expectations,
  isWithin,
  type Section,
  type Violation,
  type ViolationKind,
  violationAtTheEnd,
  violationOnTheWay,
} from './violation.ts';
export { type Choice, chooser } from './walk.ts';
export {
  type Action,
  ActionKind,
  actionOf,
  kindOf,
  MOST_VCPUS,
  timeless,
  vcpuOf,
  World,
  type WorldOptions,
  type WorldState,
} from './world.ts';

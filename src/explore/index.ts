// explore: the schedules of a guest program, all of them or many, one state at a time.

export {
  type ExploreOptions,
  type ExploreReport,
  explore,
  follow,
  type Outcome,
  STRATEGIES,
  type Strategy,
} from './explore.ts';
export { type Moment, narrate } from './narrative.ts';
export { countSwitches, parseSchedule, printSchedule } from './schedule.ts';
export {
  type SearchLimits,
  type SearchObserver,
  type SearchOptions,
  type SearchResult,
  type SearchStatistics,
  search,
} from './search.ts';
export type { Expectations, Section, Violation, ViolationKind } from './violation.ts';
export {
  type Action,
  ActionKind,
  actionOf,
  kindOf,
  MOST_VCPUS,
  vcpuOf,
  World,
  type WorldOptions,
  type WorldState,
} from './world.ts';

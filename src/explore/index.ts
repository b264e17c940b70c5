// explore: the schedules of a guest program, all of them or many, one state at a time.

export {
  type SearchLimits,
  type SearchObserver,
  type SearchOptions,
  type SearchResult,
  type SearchStatistics,
  search,
} from './search.ts';
export {
  type Action,
  ActionKind,
  MOST_VCPUS,
  World,
  type WorldOptions,
  type WorldState,
} from './world.ts';

// The threads of the host that compete with guests: hogs, which compute and never sleep, and tasks
// (`hogs[].burst`), which compute for a while and then sleep, as the processes of a compiler do on
// a machine without guests. How long is exponentially distributed, from the same kind of table that
// guests have.

import {
  type BodyOutcome,
  HOG_BODY,
  type Host,
  type Pcpu,
  type Thread,
  type ThreadBody,
  type ThreadConfig,
  type ThreadGroup,
} from '../host/index.ts';
import { affinityOf, type Scenario } from './scenario.ts';
import type { Starts } from './starts.ts';
import { VARIATE_COUNT, VARIATE_ONE, variateTable } from './variates.ts';

/** Tables of virtual machines have lower numbers. */
const FIRST_TABLE = 8;

/** Places in the table between two tasks of an entry. */
const PLACES_APART = 64;

/** What a task is at. Plain data. */
interface TaskState {
  /** Cycles that are left of its burst. */
  left: number;
  /** Its place in the table of variates. */
  place: number;
  /** Bursts that are over. */
  bursts: number;
}

/** Of the tasks of a machine. Plain data. */
export type HogsState = TaskState[];

/** What became of the threads of one entry of `hogs`. */
export interface HogReport {
  /** Time on pCPUs, of all of them together. */
  readonly cpuNs: number;
  /** Bursts that are over; those that never sleep have none. */
  readonly bursts: number;
}

export class Hogs {
  /** Of the tasks, in order of creation; plain data. */
  state: HogsState = [];
  private readonly host: Host;
  private readonly seed: number;
  /** By entry of `hogs`. */
  private readonly threads: Thread[][] = [];
  /** By entry of `hogs`, which of {@link state} are its own. */
  private readonly tasks: number[][] = [];

  /** Create the threads, and start them. */
  constructor(
    host: Host,
    scenario: Scenario,
    groups: readonly (ThreadGroup | undefined)[],
    starts: Starts,
  ) {
    this.host = host;
    this.seed = scenario.seed;
    let number = 0;
    for (const [entry, hog] of scenario.hogs.entries()) {
      this.threads.push([]);
      this.tasks.push([]);
      const affinity = affinityOf(hog.pin, scenario.host.pcpus);
      for (let i = 0; i < hog.count; i++) {
        const how = { nice: hog.nice, policy: hog.sched_policy, affinity, group: groups[entry] };
        const own = { name: `hog${number++}`, ...how };
        const thread =
          hog.burst > 0
            ? this.createTask(own, hog, entry, i)
            : host.createThread({ ...own, body: HOG_BODY });
        this.threads[entry].push(thread);
        starts.start(thread, hog.delay);
      }
    }
  }

  /** @param number its place among those of its entry */
  private createTask(
    config: Omit<ThreadConfig, 'body'>,
    { burst, block }: Scenario['hogs'][number],
    entry: number,
    number: number,
  ): Thread {
    const { host, state: states } = this;
    const index = states.length;
    this.tasks[entry].push(index);
    const timer = `task/${index}`;
    const table = variateTable('variates_exponential', this.seed, FIRST_TABLE + entry);
    const draw = (meanNs: number): number => {
      const state = this.state[index];
      const value = table[state.place];
      // Odd steps: each sees the whole table, in an order of its own.
      state.place = (state.place + 2 * number + 1) % VARIATE_COUNT;
      return Math.round((host.frequency.toCycles(meanNs) * value) / VARIATE_ONE);
    };
    states.push({ left: 0, place: (PLACES_APART * number) % VARIATE_COUNT, bursts: 0 });
    const nextBurst = () => Math.max(1, draw(burst));
    states[index].left = nextBurst();
    const body = new TaskBody(() => this.state[index], {
      nextBurst,
      sleep: (pcpu) => {
        host.timers.start(timer, pcpu.now + draw(block), pcpu);
      },
    });
    const thread = host.createThread({ ...config, body });
    host.timers.register(timer, (pcpu) => host.scheduler.wake(thread, pcpu));
    return thread;
  }

  /** By entry of `hogs`. */
  get reports(): readonly HogReport[] {
    return this.threads.map((threads, entry) => {
      const cycles = threads.reduce((sum, { state }) => sum + state.times.host, 0);
      const bursts = this.tasks[entry].reduce((sum, task) => sum + this.state[task].bursts, 0);
      return { cpuNs: this.host.frequency.toNs(cycles), bursts };
    });
  }
}

/** What a task's body asks for. */
interface TaskPlan {
  /** Cycles of another burst. */
  nextBurst(): number;
  /** Have it woken after another sleep. */
  sleep(pcpu: Pcpu): void;
}

class TaskBody implements ThreadBody {
  private readonly stateOf: () => TaskState;
  private readonly plan: TaskPlan;

  constructor(stateOf: () => TaskState, plan: TaskPlan) {
    this.stateOf = stateOf;
    this.plan = plan;
  }

  run(pcpu: Pcpu): BodyOutcome {
    const state = this.stateOf();
    if (pcpu.interruptPending) {
      pcpu.handleInterrupts();
      if (pcpu.needResched) return 'resched';
    }
    if (state.left === 0) {
      state.bursts++;
      state.left = this.plan.nextBurst();
      this.plan.sleep(pcpu);
      return 'block';
    }
    const end = pcpu.state.now + state.left;
    if (pcpu.maySkip && end >= pcpu.limit) {
      pcpu.quietUntil = end;
      return 'quiet';
    }
    const time = Math.max(pcpu.state.now, Math.min(pcpu.limit, end));
    state.left -= time - pcpu.state.now;
    pcpu.advanceTo(time, 'host');
    // The turn ends first, also where it was left out.
    return 'limit';
  }

  interrupted(): boolean {
    return true;
  }

  schedIn(): void {}

  schedOut(): void {}
}

// Hosts for tests: clocks of 1 GHz, so that cycles are nanoseconds, and threads that follow a
// script.

import {
  type BodyOutcome,
  Host,
  type HostConfig,
  type HostCosts,
  type HostState,
  type Pcpu,
  type Thread,
  type ThreadBody,
  type ThreadConfig,
  type YieldResult,
} from '../../src/host/index.ts';

/** Nothing costs anything: what is left is the scheduler's arithmetic. */
export const FREE: HostCosts = {
  contextSwitch: 0,
  ipiLatency: 0,
  ipiSend: 0,
  interrupt: 0,
  tick: 0,
  timerExpiry: 0,
  timerProgram: 0,
  wakeUp: 0,
  idleExit: 0,
};

/** Every cost another prime number. */
export const COSTLY: HostCosts = {
  contextSwitch: 3499,
  ipiLatency: 1499,
  ipiSend: 211,
  interrupt: 503,
  tick: 1511,
  timerExpiry: 809,
  timerProgram: 401,
  wakeUp: 1009,
  idleExit: 1523,
};

export const MS = 1_000_000;

/** A host of 1 GHz and, unless told otherwise, without costs. */
export function hostWith(config: Partial<HostConfig> = {}): Host {
  const clock = { khz: 1_000_000, hz: 250, lookahead: 500 };
  return new Host({ pcpuCount: 1, ...clock, skip: true, seed: 1, costs: FREE, ...config });
}

/** A thread on all pCPUs, not started. */
export function createThread(
  host: Host,
  body: ThreadBody,
  config: Partial<Omit<ThreadConfig, 'body'>> = {},
): Thread {
  const name = `t${host.threads.length}`;
  return host.createThread({ name, nice: 0, affinity: allOf(host), ...config, body });
}

/** The same, started. */
export function startThread(
  host: Host,
  body: ThreadBody,
  config: Partial<Omit<ThreadConfig, 'body'>> = {},
): Thread {
  const thread = createThread(host, body, config);
  host.scheduler.start(thread);
  return thread;
}

export function allOf(host: Host): number[] {
  return host.pcpus.map(({ index }) => index);
}

/** What a scripted thread does, one step after the other. */
export type Step =
  | { readonly kind: 'compute'; readonly cycles: number }
  /** Arm a timer and sleep until it wakes the thread. */
  | { readonly kind: 'sleep'; readonly cycles: number }
  /** Sleep until somebody else wakes it. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'wake'; readonly thread: number }
  | { readonly kind: 'yieldTo'; readonly thread: number };

interface ScriptState {
  at: number;
  /** Cycles of the current step that have been computed. */
  done: number;
}

/** A thread in user mode: it looks at need_resched when an interrupt has been handled. */
export class Script implements ThreadBody {
  state: ScriptState = { at: 0, done: 0 };
  /** What directed yields gave, and when, in order. */
  readonly yields: { readonly at: number; readonly result: YieldResult }[] = [];
  /** Called when the thread is switched in and out. */
  readonly switches: { readonly at: number; readonly pcpu: number; readonly in: boolean }[] = [];
  private readonly steps: readonly Step[];
  private readonly repeats: boolean;
  private host: Host | null = null;

  constructor(steps: readonly Step[], repeats: 'once' | 'forever' = 'once') {
    this.steps = steps;
    this.repeats = repeats === 'forever';
  }

  /** Create and start the thread of this script. */
  startOn(host: Host, config: Partial<Omit<ThreadConfig, 'body'>> = {}): Thread {
    this.host = host;
    const thread = createThread(host, this, config);
    host.timers.register(`wake ${thread.id}`, (pcpu) => host.scheduler.wake(thread, pcpu));
    host.scheduler.start(thread);
    return thread;
  }

  run(pcpu: Pcpu): BodyOutcome {
    if (pcpu.interruptPending) {
      pcpu.handleInterrupts();
      if (pcpu.needResched) return 'resched';
    }
    while (pcpu.mayGoOn()) {
      const step = this.steps[this.state.at];
      if (step === undefined) return 'exit';
      const outcome = this.take(step, pcpu);
      if (outcome !== null) return outcome;
    }
    return 'limit';
  }

  private take(step: Step, pcpu: Pcpu): BodyOutcome | null {
    const { scheduler, threads, timers } = this.host as Host;
    switch (step.kind) {
      case 'compute': {
        const cycles = Math.min(step.cycles - this.state.done, pcpu.limit - pcpu.now);
        pcpu.advanceTo(pcpu.now + cycles, 'guest');
        this.state.done += cycles;
        if (this.state.done === step.cycles) this.goOn();
        return null;
      }
      case 'sleep':
        this.goOn();
        timers.start(`wake ${pcpu.current?.id}`, pcpu.now + step.cycles, pcpu);
        return 'block';
      case 'wait':
        this.goOn();
        return 'block';
      case 'wake':
        this.goOn();
        scheduler.wake(threads[step.thread], pcpu);
        return pcpu.needResched ? 'resched' : null;
      case 'yieldTo': {
        this.goOn();
        const result = scheduler.yieldTo(pcpu, threads[step.thread]);
        this.yields.push({ at: pcpu.now, result });
        return result === 'yielded' ? 'yield' : null;
      }
    }
  }

  private goOn(): void {
    this.state.done = 0;
    this.state.at++;
    if (this.repeats) this.state.at %= this.steps.length;
  }

  interrupted(): boolean {
    return true;
  }

  schedIn(pcpu: Pcpu): void {
    this.switches.push({ at: pcpu.now, pcpu: pcpu.index, in: true });
  }

  schedOut(pcpu: Pcpu): void {
    this.switches.push({ at: pcpu.now, pcpu: pcpu.index, in: false });
  }
}

export const compute = (cycles: number): Step => ({ kind: 'compute', cycles });
export const sleep = (cycles: number): Step => ({ kind: 'sleep', cycles });
export const waitForWake: Step = { kind: 'wait' };
export const wake = (thread: number): Step => ({ kind: 'wake', thread });
export const yieldTo = (thread: number): Step => ({ kind: 'yieldTo', thread });

/** A host with scripts, saved. */
export interface SavedWorld {
  readonly host: HostState;
  readonly scripts: readonly ScriptState[];
}

export function saveWorld(host: Host, scripts: readonly Script[]): SavedWorld {
  return { host: host.state, scripts: scripts.map(({ state }) => ({ ...state })) };
}

export function restoreWorld(host: Host, scripts: readonly Script[], saved: SavedWorld): void {
  host.state = saved.host;
  scripts.forEach((script, i) => {
    script.state = { ...saved.scripts[i] };
  });
}

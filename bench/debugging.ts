// What the debugger costs: a run that it is attached to beside the same run without it, and going
// far back, the first time and again. CPU time of the machine's work alone, without the start.

import { createSession, type Session } from '../src/debug/index.ts';
import { checkScenario, Machine } from '../src/machine/index.ts';
import { imageOf } from './images.ts';
import { type Workload, workloadNamed } from './workloads.ts';

/** Instructions that a session has run before it goes back, and that it then goes back. */
export interface Way {
  readonly ahead: number;
  readonly back: number;
}

export const PROMISED_WAY: Way = { ahead: 25_000_000, back: 10_000_000 };

export interface WayBack {
  readonly firstMilliseconds: number;
  readonly againMilliseconds: number;
  /** Instructions that it went back: nearly as many as asked for. */
  readonly instructions: number;
}

const ENDLESS_ROUNDS = 4_000_000_000;

/** Both registers and memory, in loops within loops. */
const PROGRAM = 'matmul';

function setting(instructions: number) {
  const workload = workloadNamed(PROGRAM) as Workload;
  const checked = checkScenario({
    vmxlab: 1,
    host: { pcpus: workload.processors },
    vms: [{ program: 'image', vcpus: workload.processors }],
    limits: { time: '3600s', instructions },
  });
  if ('issues' in checked) throw new Error(checked.issues[0].message);
  return {
    scenario: checked.scenario,
    options: { programs: [imageOf(workload, 64, ENDLESS_ROUNDS).bytes] },
  };
}

function cpuMilliseconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Milliseconds of a run of so many instructions, with a session and no breakpoint, or without. */
export function runMilliseconds(isAttached: boolean, instructions: number): number {
  const { scenario, options } = setting(instructions);
  if (isAttached) {
    const session = createSession(scenario, options);
    return cpuMilliseconds(() => session.continue());
  }
  const machine = new Machine(scenario, options);
  return cpuMilliseconds(() => machine.run());
}

/** Run ahead, go back, return, and go back again. */
export function wayBack({ ahead, back }: Way): WayBack {
  const { scenario, options } = setting(Number.MAX_SAFE_INTEGER);
  const session = createSession(scenario, options);
  const target = eventBefore(session, ahead, back);
  const end = session.when;
  const before = session.machine.instructions;
  const go = () => {
    for (const _piece of session.travelToEvent(target));
  };
  const firstMilliseconds = cpuMilliseconds(go);
  const instructions = before - session.machine.instructions;
  session.goTo(end);
  return { firstMilliseconds, againMilliseconds: cpuMilliseconds(go), instructions };
}

/** Run ahead; the number of an event that lies so far back, between two that were seen. */
function eventBefore(session: Session, ahead: number, back: number): number {
  const { machine } = session;
  const seen = [{ instructions: 0, event: 0 }];
  for (const _piece of session.move({ kind: 'continue' })) {
    seen.push({ instructions: machine.instructions, event: session.when.event });
    if (machine.instructions >= ahead) session.interrupt();
  }
  const wanted = machine.instructions - back;
  if (wanted < 0) throw new RangeError(`nothing lies ${back} instructions back`);
  const next = seen.findIndex(({ instructions }) => instructions > wanted);
  const [before, after] = [seen[next - 1], seen[next]];
  const part = (wanted - before.instructions) / (after.instructions - before.instructions);
  return Math.floor(before.event + part * (after.event - before.event));
}

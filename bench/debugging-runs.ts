// Part of `npm run bench`: what the debugger costs, each measurement in a process of its own, those
// that are compared in turn. This file is also what those processes execute.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { PROMISED_WAY, runMilliseconds, type WayBack, wayBack } from './debugging.ts';
import { type Figures, figures, ratios } from './statistics.ts';

export interface DebuggingCosts {
  /** CPU time of a run with a session and no breakpoint, to that without a session. */
  readonly attached: Figures;
  /** CPU time to go back {@link PROMISED_WAY}, in milliseconds. */
  readonly firstMilliseconds: Figures;
  readonly againMilliseconds: Figures;
}

/** Long enough for the start of the compiled engine not to matter. */
const RUN_INSTRUCTIONS = 1_000_000_000;

const TASKS = {
  alone: () => runMilliseconds(false, RUN_INSTRUCTIONS),
  attached: () => runMilliseconds(true, RUN_INSTRUCTIONS),
  back: () => wayBack(PROMISED_WAY),
} as const;

type Task = keyof typeof TASKS;

const THIS_FILE = fileURLToPath(import.meta.url);

function inProcess<Result>(task: Task): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [THIS_FILE, task], {
    encoding: 'utf8',
  });
  if (status !== 0)
    throw new Error(`the debugger's task '${task}' ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Result;
}

/** So many runs of each. */
export function measureDebugging(runs: number): DebuggingCosts {
  const alone: number[] = [];
  const attached: number[] = [];
  const ways: WayBack[] = [];
  console.error('the debugger: attached and not, going back');
  for (let i = 0; i < runs; i++) {
    alone.push(inProcess('alone'));
    attached.push(inProcess('attached'));
    ways.push(inProcess('back'));
  }
  return {
    attached: ratios(attached, alone),
    firstMilliseconds: figures(ways.map((way) => way.firstMilliseconds)),
    againMilliseconds: figures(ways.map((way) => way.againMilliseconds)),
  };
}

if (process.argv[1] === THIS_FILE) console.log(JSON.stringify(TASKS[process.argv[2] as Task]()));

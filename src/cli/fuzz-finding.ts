// What `vmxlab fuzz` found, kept so that it can be run again and opened in the debugger: the case,
// and a recording of its run.

import { join } from 'node:path';
import { recordRun, TraceMarker } from '../debug/index.ts';
import { parseSchedule } from '../explore/index.ts';
import {
  caseText,
  type Executor,
  type FoundCase,
  type FuzzCase,
  findingName,
} from '../fuzz/index.ts';
import { Machine, namedPolicies } from '../machine/index.ts';
import { writeOutput } from './files.ts';
import type { FuzzCommandOptions } from './fuzz-command.ts';
import type { FuzzFolder } from './fuzz-folder.ts';
import type { LoadedTarget } from './fuzz-job.ts';
import { writeRecording } from './recording-file.ts';
import { saveSchedule } from './schedule-file.ts';
import { selfContained } from './self-contained.ts';
import { shellLine } from './shell-words.ts';
import { sourcesOf } from './sources.ts';
import { VERSION } from './version.ts';

export interface KeptFinding extends FoundCase {
  /** The case. */
  readonly path: string;
  /** The command that runs it again. */
  readonly replay: string;
  /** The one that opens the debugger; null where there is no run to look at. */
  readonly debug: string | null;
}

/** Keep a finding below a folder. */
export function keepFinding(
  folder: FuzzFolder,
  found: FoundCase,
  loaded: LoadedTarget,
  options: FuzzCommandOptions,
  executor: Executor,
): KeptFinding {
  folder.makeFindings();
  const base = join(folder.findings, findingName(found));
  const path = `${base}.json`;
  writeOutput(path, caseText(found.case));
  const again = shellLine(replayWords(path, options));
  const recording = `${base}.recording`;
  const isRecorded = record(recording, found, loaded, executor);
  if (!isRecorded) {
    const schedule = `${base}.schedule.json`;
    const isSaved = saveOrder(schedule, found, loaded, executor);
    const debug = isSaved ? shellLine(['vmxlab', 'debug', schedule]) : null;
    return { ...found, path, replay: again, debug };
  }
  const { timeNs } = found.finding;
  const place = timeNs > 0 ? ['--ex', `goto ${timeNs}ns`] : [];
  return {
    ...found,
    path,
    replay: shellLine(['vmxlab', 'replay', recording]),
    debug: shellLine(['vmxlab', 'debug', recording, ...place]),
  };
}

/** The flags that matter for what a case does. */
function replayWords(path: string, options: FuzzCommandOptions): string[] {
  const { file, flags, defines, includes, strategy, storeBuffers, configuration } = options;
  return [
    ...['vmxlab', 'fuzz', file, '--replay', path],
    ...(strategy === 'time' ? [] : ['--strategy', strategy]),
    ...(storeBuffers ? ['--store-buffers'] : []),
    ...(configuration === null ? [] : ['--configuration', configuration]),
    ...flags.flatMap(({ setting, value }) => [`--${setting.flag}`, value]),
    ...Object.entries(defines).flatMap(([name, value]) => [
      '-D',
      value === '' ? name : `${name}=${value}`,
    ]),
    ...includes.flatMap((place) => ['-I', place]),
  ];
}

/** False if time decided the order, or there is none. */
function saveOrder(
  path: string,
  { case: one, finding, outcome }: FoundCase,
  { input, target }: LoadedTarget,
  executor: Executor,
): boolean {
  const scenario = executor.scenarioOf(one);
  const schedule = parseSchedule(outcome.steps) ?? [];
  const isTimed = target.strategy === 'time';
  if (scenario === null || isTimed || schedule.length === 0) return false;
  const { storeBuffers } = target;
  const found = { storeBuffers, violation: finding, schedule, shared: outcome.shared };
  saveSchedule(path, found, { ...input, scenario, modules: modulesOf(executor, one) });
  return true;
}

function modulesOf(executor: Executor, one: FuzzCase) {
  return executor.optionsOf(one).modules ?? [];
}

/** False if the run cannot be recorded: it needs code of the user's, or fails in ours. */
function record(
  path: string,
  { case: one, finding }: FoundCase,
  { input, target }: LoadedTarget,
  executor: Executor,
): boolean {
  const given = executor.scenarioOf(one);
  const isOurs = finding.kind === 'internal' || finding.kind === 'engine';
  const isTimed = target.strategy === 'time';
  if (given === null || isOurs || !isTimed || namedPolicies(given).length > 0) return false;
  const limits = { ...given.limits, instructions: target.limit };
  const scenario = { ...given, limits, engine: input.scenario.engine };
  const { programs, symbols } = input;
  const modules = modulesOf(executor, one);
  const marker = new TraceMarker();
  const machine = new Machine(scenario, { programs, modules, symbols, sink: marker });
  const work = recordRun(machine, marker);
  let step = work.next();
  while (step.done !== true) step = work.next();
  const names = symbols.map((map) => map && { names: map.names, lines: map.lines });
  const contained = selfContained({ scenario, programs, modules });
  writeRecording(path, {
    ...{ vmxlab: VERSION, scenario: contained, symbols: names },
    ...{ sources: sourcesOf(input), run: step.value },
  });
  return true;
}

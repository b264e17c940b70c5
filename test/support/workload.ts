// Programs of guest-programs/ that include others, assembled as the command does it, and run.

import { join } from 'node:path';
import { loadInput } from '../../src/cli/program.ts';
import { Machine, SETTINGS } from '../../src/machine/index.ts';
import { type GuestRun, runToEnd } from './guest-run.ts';

/** Where npm and vitest run: what is compiled into build/ is not where its source is. */
const FOLDER = 'guest-programs';

export interface WorkloadSetup {
  readonly defines?: Readonly<Record<string, string>>;
  readonly parameters?: Readonly<Record<string, number>>;
  /** By the names of flags. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** The scenario of a workload, with its program: what a machine is made of. */
export function workloadInput(name: string, setup: WorkloadSetup) {
  const { defines = {}, parameters = {}, settings = {} } = setup;
  const given = [
    ...Object.entries(settings),
    ...Object.entries(parameters).map(([key, value]) => ['parameter', `${key}=${value}`] as const),
  ];
  const flags = given.map(([flag, value]) => {
    const setting = SETTINGS.find((candidate) => candidate.flag === flag);
    if (setting === undefined) throw new Error(`no setting ${flag}`);
    return { setting, value: String(value) };
  });
  const options = { defines, flags, includes: [], syntax: undefined, linked: [] };
  return loadInput(join(FOLDER, name), options);
}

/** Run a workload to its end. */
export function runWorkload(name: string, setup: WorkloadSetup = {}): GuestRun {
  const { scenario, ...options } = workloadInput(name, setup);
  return runToEnd(new Machine(scenario, options));
}

/** A result, all vCPUs together. */
export function total({ report }: GuestRun, name: string): number {
  return report.vms[0].results[name].reduce((sum: number, value) => sum + Number(value), 0);
}

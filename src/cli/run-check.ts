// `vmxlab run --check`: what runs is one of the file's configurations, and it is judged as
// `vmxlab check` judges it.

import {
  CheckedRun,
  type CheckResult,
  type Expectations,
  groupLines,
  isBad,
  resultDocument,
} from '../check/index.ts';
import type { Machine, MachineEnding, Paint } from '../machine/index.ts';
import type { TraceSink } from '../trace/index.ts';
import { type Judged, resultOfVerdict } from './check-result.ts';
import { loadExpected, statedExpectationsOf } from './expected.ts';
import { EXIT_UNEXPECTED, Failure } from './failure.ts';
import type { Input, InputOptions } from './program.ts';

export class RunCheck {
  /** What runs. */
  readonly input: Input;
  private readonly path: string;
  private readonly options: InputOptions;
  private readonly expectations: Expectations;
  private checked: CheckedRun;
  private result: CheckResult | null = null;

  /**
   * @param configuration the name of one; null for the first
   * @throws Failure if the file expects nothing, or something is wrong with it
   */
  constructor(path: string, options: InputOptions, configuration: string | null) {
    this.path = path;
    this.options = options;
    this.expectations = statedExpectationsOf(path, configuration);
    const { skip, configuration: chosen } = this.expectations;
    if (skip !== null) {
      throw new Failure(`${path}: its expectations are skipped (${skip}); run it without --check`);
    }
    // A seed of the command line is the only one.
    const isGiven = options.flags.some(({ setting }) => setting.flag === 'seed');
    const seed = isGiven ? null : (chosen.seeds[0] ?? null);
    this.input = loadExpected(path, options, this.expectations, seed);
    this.checked = new CheckedRun(this.expectations);
  }

  /** Before there is a machine: the sink for its events; null if nobody looks. */
  look(trace: TraceSink | null): TraceSink | null {
    this.checked = new CheckedRun(this.expectations, trace === null ? [] : [trace]);
    return this.checked.sink;
  }

  /** Before it runs. */
  observe(machine: Machine): void {
    this.checked.observe(machine);
  }

  /** It has ended. */
  judge(machine: Machine, ending: MachineEnding): void {
    const { path, options, expectations } = this;
    const { name } = expectations.configuration;
    const words = name === null ? [] : ['--configuration', name];
    const judged: Judged = {
      ...{ path, options, expectations },
      configuration: name ?? '',
      seed: this.input.scenario.seed,
      again: ['vmxlab', 'run', path, ...options.linked, '--check', ...words],
    };
    this.result = resultOfVerdict(judged, this.checked.judge(machine, ending));
  }

  /** True if something is not as expected. */
  get isBad(): boolean {
    return this.result !== null && isBad(this.result);
  }

  get exitCode(): number {
    return this.isBad ? EXIT_UNEXPECTED : 0;
  }

  /** The verdict as `vmxlab check` prints it; none if the run was interrupted. */
  lines(paint: Paint): string[] {
    return this.result === null ? [] : groupLines([this.result], paint);
  }

  /** What the report as JSON has of it. */
  get document(): object {
    return this.result === null ? {} : { check: resultDocument(this.result) };
  }
}

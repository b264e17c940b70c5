// The modules that a scenario names as policies: read, and turned into functions. JavaScript is
// loaded as Node does; TypeScript is stripped of its types by the package `typescript`, if it is
// there, and may not import anything.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, isAbsolute, join, resolve } from 'node:path';
import { compileFunction, Script } from 'node:vm';
import {
  type Machine,
  type MachineEnding,
  namedPolicies,
  type PolicyFunctions,
  type Scenario,
} from '../machine/index.ts';
import { PolicyError } from '../sim/index.ts';
import { Failure } from './failure.ts';

type Policy = (...question: never[]) => unknown;

/** The functions of a scenario's policies; files are relative to `folder`. Throws {@link Failure}. */
export function loadPolicies(scenario: Scenario, folder: string): PolicyFunctions {
  return new Map(
    namedPolicies(scenario).map(({ key, file }) => {
      const path = resolve(isAbsolute(file) ? file : join(folder, file));
      const policy = (load(path, key) as { readonly default?: unknown }).default;
      if (typeof policy === 'function') return [key, policy as Policy];
      throw new Failure(
        `${file}: the policy ${key} is what its module exports by default, a function`,
      );
    }),
  );
}

/** The texts of a scenario's policies, by which runs with other policies are told apart. */
export function policyTexts(scenario: Scenario, folder: string): string[] {
  return namedPolicies(scenario).map(({ file }) =>
    readFileSync(resolve(isAbsolute(file) ? file : join(folder, file)), 'utf8'),
  );
}

function load(path: string, key: string): object {
  try {
    if (extname(path) === '.ts') return loadTypeScript(path);
    // Warnings about what Node calls experimental are no concern of who runs a scenario.
    return withoutWarnings(() => asModule(createRequire(path)(path)));
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    const reason = thrown instanceof Error ? thrown.message.split('\n', 1)[0] : String(thrown);
    throw new Failure(`${path}: the policy ${key} cannot be loaded: ${reason}`);
  }
}

/** A CommonJS module exports its policy as `module.exports`. */
function asModule(loaded: unknown): object {
  return typeof loaded === 'object' && loaded !== null ? loaded : { default: loaded };
}

function withoutWarnings<T>(action: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return action();
  } finally {
    process.emitWarning = emitWarning;
  }
}

interface TypeScript {
  readonly ModuleKind: { readonly CommonJS: number };
  readonly ScriptTarget: { readonly ES2022: number };
  readonly transpileModule: (
    text: string,
    options: { readonly compilerOptions: Readonly<Record<string, unknown>> },
  ) => { readonly outputText: string };
}

function loadTypeScript(path: string): object {
  const text = readFileSync(path, 'utf8');
  const { transpileModule, ModuleKind, ScriptTarget } = typeScriptFor(path);
  const compilerOptions = { module: ModuleKind.CommonJS, target: ScriptTarget.ES2022 };
  const { outputText } = transpileModule(text, { compilerOptions });
  const exports = {};
  compileFunction(outputText, ['exports'], { filename: path })(exports);
  return exports;
}

/** The package beside the policy, else ours. */
function typeScriptFor(path: string): TypeScript {
  for (const from of [path, import.meta.url]) {
    try {
      return createRequire(from)('typescript') as TypeScript;
    } catch {
      // The next place.
    }
  }
  throw new Failure(
    `${path}: TypeScript needs the package 'typescript' (npm install typescript), ` +
      'or write the policy in JavaScript',
  );
}

/** Real time in ms that a turn of a machine with policies may take: some are a few ms long. */
export const POLICY_LIMIT_MS = 10_000;

/**
 * Do something that lets a machine run; a policy that does not return within a limit of real time
 * is stopped, and ends the run.
 */
export function watched<T>(
  machine: Machine,
  policies: PolicyFunctions,
  action: () => T,
  limitMs = POLICY_LIMIT_MS,
): T | null {
  if (policies.size === 0) return action();
  const holder = globalThis as { vmxlabAction?: () => void };
  let result: T | null = null;
  holder.vmxlabAction = () => {
    result = action();
  };
  try {
    new Script('vmxlabAction()').runInThisContext({ timeout: limitMs });
    return result;
  } catch (thrown) {
    const { underWay } = machine.watch;
    if (!isTimeout(thrown) || underWay === null) throw thrown;
    machine.policyFailed(new PolicyError(underWay, `does not return, within ${limitMs / 1000} s`));
    return null;
  } finally {
    delete holder.vmxlabAction;
  }
}

/** Real time in ms after which policies are given a new limit. */
const TURN_MS = 50;

/** Run a machine to its end, as {@link watched}; null if its limits leave it without one. */
export function runWatched(
  machine: Machine,
  policies: PolicyFunctions,
  limitMs = POLICY_LIMIT_MS,
): MachineEnding | null {
  if (policies.size === 0) return machine.run();
  let turn = machine.host.frequency.toCycles(1_000_000);
  for (let until = turn; machine.ending === null; until += turn) {
    const before = Date.now();
    const limit = until;
    watched(machine, policies, () => machine.run(limit), limitMs);
    if (Date.now() - before < TURN_MS) turn *= 2;
  }
  return machine.ending;
}

function isTimeout(thrown: unknown): boolean {
  return (thrown as { readonly code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}

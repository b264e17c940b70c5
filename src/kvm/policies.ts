// What a user may decide instead of KVM: the spin handler, whom a spinner yields to, the halt-poll
// window. (Exit handlers are replaced in exits/handlers.ts.) Each is told the standard decision as
// its last argument, to build on.

import type { Pcpu } from '../host/index.ts';
import { PolicyWatch } from '../sim/index.ts';
import { type SpinResult, vcpuOnSpin } from './directed-yield.ts';
import type { ExitHandler, HandlerResult } from './exits/handler.ts';
import { EXIT_HANDLERS, type ExitHandlers } from './exits/handlers.ts';
import { adaptedWindow, type Halt } from './halt-poll.ts';
import { KVM_EXIT_NUMBERS } from './kvm-exit.ts';
import type { KvmParameters } from './parameters.ts';
import type { Vcpu } from './vcpu.ts';

/** A vCPU spins in a PAUSE loop: what its thread does. */
export type SpinPolicy = (
  vcpu: Vcpu,
  pcpu: Pcpu,
  standard: (vcpu: Vcpu, pcpu: Pcpu) => SpinResult,
) => SpinResult;

/** Which of the vCPUs that wait for a pCPU a spinner yields to, or null. */
export type YieldCandidatePolicy = (spinner: Vcpu, waiting: readonly Vcpu[]) => Vcpu | null;

/** The halt-poll window in ns for the next halt, or null to leave it. */
export type HaltPollPolicy = (
  halt: Halt,
  parameters: KvmParameters,
  standard: typeof adaptedWindow,
) => number | null;

/** Instead of the handler of one exit reason. */
export type ExitPolicy = (vcpu: Vcpu, pcpu: Pcpu, standard: ExitHandler) => HandlerResult;

export interface VmPolicies {
  readonly spin?: SpinPolicy;
  readonly yieldCandidate?: YieldCandidatePolicy;
  readonly haltPoll?: HaltPollPolicy;
  /** By name of the exit reason. */
  readonly exits?: Readonly<Partial<Record<keyof ExitHandlers, ExitPolicy>>>;
}

/** The decisions of a virtual machine, as its code asks for them. */
export interface Decisions {
  readonly spin: (vcpu: Vcpu, pcpu: Pcpu) => SpinResult;
  /** Null: the search of the kernel. */
  readonly yieldCandidate: YieldCandidatePolicy | null;
  readonly haltPoll: typeof adaptedWindow;
  readonly handlers: ExitHandlers;
}

const SPIN_RESULTS: readonly unknown[] = ['resume', 'yield', 'doze'] satisfies SpinResult[];

/** PAUSE-loop exiting implies CPL 0: whoever holds the lock was in the kernel as well. */
const standardSpin = (vcpu: Vcpu, pcpu: Pcpu) => vcpuOnSpin(vcpu, pcpu, true);

/** Standard decisions, with policies in the places of some, which are watched. */
export function decisionsOf(
  policies: VmPolicies,
  prefix = 'policies',
  watch = new PolicyWatch(),
): Decisions {
  const { spin, yieldCandidate, haltPoll, exits = {} } = policies;
  const handlers = Object.entries(exits).map(([name, policy]) => {
    const standard = EXIT_HANDLERS[name as keyof ExitHandlers] ?? (() => 'resume');
    const handler: ExitHandler = (vcpu, pcpu) => policy(vcpu, pcpu, standard);
    const problemOf = (result: HandlerResult, _: Vcpu, pcpu: Pcpu) =>
      resultProblem(result) ?? clockProblem(pcpu);
    return [name, watch.guard(`${prefix}.exits.${name}`, handler, problemOf)] as const;
  });
  return {
    spin:
      spin === undefined
        ? standardSpin
        : watch.guard(
            `${prefix}.spin`,
            (vcpu: Vcpu, pcpu: Pcpu) => spin(vcpu, pcpu, standardSpin),
            (result, _, pcpu) =>
              SPIN_RESULTS.includes(result) ? clockProblem(pcpu) : expected(SPIN_RESULTS, result),
          ),
    yieldCandidate:
      yieldCandidate === undefined
        ? null
        : watch.guard(`${prefix}.yield_candidate`, yieldCandidate, (chosen, _, waiting) =>
            chosen === null || waiting.includes(chosen)
              ? null
              : 'gives something else than one of the vCPUs that wait, or null',
          ),
    haltPoll:
      haltPoll === undefined
        ? adaptedWindow
        : watch.guard(
            `${prefix}.halt_poll`,
            (halt: Halt, parameters: KvmParameters) => haltPoll(halt, parameters, adaptedWindow),
            windowProblem,
          ),
    handlers: Object.fromEntries(handlers),
  };
}

function expected(values: readonly unknown[], found: unknown): string {
  return `gives ${JSON.stringify(found)}; expected one of ${values.join(', ')}`;
}

/** Who spends what is no number of cycles would stop virtual time for good. */
function clockProblem({ now }: Pcpu): string | null {
  if (Number.isSafeInteger(now)) return null;
  return `has spent what is no whole number of cycles: the clock of its pCPU is ${now}`;
}

function windowProblem(windowNs: number | null): string | null {
  if (windowNs === null || (Number.isSafeInteger(windowNs) && windowNs >= 0)) return null;
  // JSON has no NaN: it would say null.
  const given = typeof windowNs === 'number' ? String(windowNs) : JSON.stringify(windowNs);
  return `gives ${given}; expected a whole number of ns, or null`;
}

function resultProblem(result: unknown): string | null {
  if (SPIN_RESULTS.includes(result)) return null;
  const isExit = typeof result === 'object' && result !== null && 'reason' in result;
  if (isExit && Object.hasOwn(KVM_EXIT_NUMBERS, String(result.reason))) return null;
  return `${expected(SPIN_RESULTS, result)}, or an exit to user space`;
}

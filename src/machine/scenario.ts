// A scenario: everything that decides how a run goes, but for the bytes of the programs. Its keys
// are declared here and nowhere else; checks, help text, JSON schema and reference page follow from
// them.

import { ENGINES } from '../cpu/index.ts';
import { POLICIES } from '../host/index.ts';
import { CGROUP_KEY, CGROUPS, cgroupIssues } from './cgroups.ts';
import { COSCHEDULING_KEYS, coschedulingIssues } from './coscheduling.ts';
import { costKeys } from './cost-keys.ts';
import { parseCpuList } from './cpu-list.ts';
import { FAULT } from './faults/catalogue.ts';
import { faultIssues } from './faults/fault-issues.ts';
import { guestInterfaceKeys } from './guest-interface.ts';
import {
  DEFAULT_KERNEL,
  KERNELS,
  type Kernel,
  KVM_PARAMETERS,
  SCHEDULER_PARAMETERS,
  scalarsFor,
} from './kernels.ts';
import { DEFAULT_MACHINE, featureIssues, machineOf, pcpuIssues } from './machine-features.ts';
import { HOST_POLICY_KEYS, policyIssues, VM_POLICY_KEYS } from './policies.ts';
import {
  COST_PRESET_NAMES,
  COST_PRESETS,
  type CostPreset,
  hasFeature,
  pcpusOf,
} from './presets.ts';
import { INPUT_LABEL } from './program-input.ts';
import {
  boolean,
  choice,
  duration,
  durationRange,
  type Infer,
  type Issue,
  integer,
  list,
  map,
  matching,
  object,
  size,
  text,
  validate,
  write,
} from './schema.ts';
import { SERIAL_PATTERN } from './serial-input.ts';
import { PLACEMENTS } from './starts.ts';

export const MAX_VCPUS = 64;
export const MAX_PCPUS = 256;

/** More than any program asks for. */
const MAX_MODULES = 64;

/** Modes of toy guests that say nothing themselves. */
const START_MODES = ['auto', '64-bit', 'protected'] as const;

/** Whether waits are executed or left out. */
const SKIP = ['on', 'off'] as const;

/** The fallback of a delay: none. */
const AT_ONCE = { leastNs: 0, mostNs: 0 };

/** How the scheduler's fair class sees the threads of a machine, or hogs. */
const CLASS_KEYS = {
  sched_policy: choice(POLICIES, {
    summary: 'scheduling policy: SCHED_NORMAL, SCHED_BATCH or SCHED_IDLE',
    fallback: 'normal',
  }),
  cgroup: CGROUP_KEY,
  // As cgroup v2 has it.
  cpu_weight: integer(0, 10_000, {
    summary:
      'cpu.weight of a control group for all of them (the default of cgroups is 100); 0: none',
    fallback: 0,
  }),
};

/** Defaults of `vms[].kvm` that a processor without a feature gives. */
const defaultsOn = (machine: CostPreset) => ({
  ...(hasFeature(machine, 'ple') ? {} : { ple_gap: 0 }),
  ...(hasFeature(machine, 'flexpriority') ? {} : { flexpriority: false }),
  ...(hasFeature(machine, 'preemption_timer') ? {} : { preemption_timer: false }),
});

const PROGRAM_INPUT = matching(
  '^([0-9a-fA-F]{2})*$',
  'hexadecimal digits in quotes, two for each byte',
  { summary: `bytes that the program finds at its label ${INPUT_LABEL}`, fallback: '' },
);

const SERIAL_INPUT = matching(
  SERIAL_PATTERN,
  'hexadecimal digits, two for each byte, and pauses, such as 564d,100us,21',
  {
    summary: 'bytes that come to COM1, and pauses before them',
    fallback: '',
    flag: 'serial-input',
  },
);

/** What a multiboot program is given. */
const MULTIBOOT_KEYS = {
  append: text({
    summary: 'command line of a multiboot program, behind its name',
    fallback: '',
    flag: 'append',
  }),
  modules: list(
    text({
      summary: 'file for a multiboot program, and what to tell about it, as "FILE words"',
      flag: 'module',
    }),
    0,
    MAX_MODULES,
    'files that a multiboot program finds in memory',
  ),
  module_images: list(
    text({ summary: 'contents of each module in base64, instead of its file', fallback: '' }),
    0,
    MAX_MODULES,
    'contents of the modules',
  ),
};

/** sched_setaffinity on the thread of a vCPU. */
const AFFINITY_CHANGE = object('A change of the pCPUs that a vCPU may run on', {
  at: duration({ summary: 'when, from the beginning', fallback: 0 }),
  vcpu: integer(0, MAX_VCPUS - 1, { summary: 'number of the vCPU', fallback: 0 }),
  pin: text({ summary: 'pCPUs that it may run on from then on, as 0-3,6; empty for all' }),
});

const vmFor = (kernel: Kernel, machine: CostPreset) =>
  object('A virtual machine', {
    name: text({
      summary: 'name in traces and reports; else vm, vm1, vm2 and so on',
      fallback: '',
    }),
    program: text({
      summary:
        'assembly source, multiboot image, ELF image or flat binary, relative to the scenario',
      fallback: '',
    }),
    image: text({
      summary: 'contents of the program in base64, instead of its file: an image or a flat binary',
      fallback: '',
    }),
    vcpus: integer(1, MAX_VCPUS, { summary: 'virtual CPUs', fallback: 1, flag: 'vcpus' }),
    memory: size(2 ** 21, 2 ** 31, { summary: 'guest RAM', fallback: 2 ** 24, flag: 'memory' }),
    pin: list(
      text({
        summary: 'pCPUs that a vCPU may run on, as 0-3,6: one list for each, or one for all',
      }),
      0,
      MAX_VCPUS,
      'pCPUs that the vCPUs may run on',
    ),
    affinity_changes: list(AFFINITY_CHANGE, 0, 64, 'when vCPUs may run elsewhere'),
    nice: integer(-20, 19, { summary: 'nice level of the vCPU threads', fallback: 0 }),
    ...CLASS_KEYS,
    vcpu_cgroups: boolean({
      summary: 'each vCPU is in a control group of its own, as libvirt makes them',
      fallback: false,
    }),
    ...COSCHEDULING_KEYS,
    delay: durationRange({
      summary: 'when its vCPUs begin; between two durations, the seed says for each of them',
      fallback: AT_ONCE,
    }),
    start: choice(START_MODES, {
      summary: 'mode in which a flat program starts; auto: that of its source, else 64-bit',
      fallback: 'auto',
    }),
    ...MULTIBOOT_KEYS,
    defines: map(
      text({ summary: 'macro for the assembler, as with -D', fallback: '' }),
      'macros for the assembler',
    ),
    input: PROGRAM_INPUT,
    serial_input: SERIAL_INPUT,
    parameters: map(
      integer(0, Number.MAX_SAFE_INTEGER, {
        summary: 'number that the program finds at its label param_NAME; as a flag NAME=NUMBER',
        flag: 'parameter',
      }),
      'numbers that the program finds at its labels',
    ),
    policies: VM_POLICY_KEYS,
    kvm: object("KVM's parameters for this machine", {
      ...scalarsFor(KVM_PARAMETERS, kernel, defaultsOn(machine)),
      ...guestInterfaceKeys(hasFeature(machine, 'tsc_deadline'), machine.timerRate[0]),
    }),
  });

const HOG = object('Threads of the host that compute', {
  count: integer(0, 1024, {
    summary: 'host threads that compute and never sleep, but for `burst`',
    fallback: 1,
    flag: 'hogs',
  }),
  nice: integer(-20, 19, { summary: 'their nice level', fallback: 0 }),
  ...CLASS_KEYS,
  pin: text({ summary: 'pCPUs that they may run on, as 0-3,6; empty for all', fallback: '' }),
  delay: durationRange({
    summary: 'when they begin; between two durations, the seed says for each of them',
    fallback: AT_ONCE,
  }),
  burst: duration({
    summary:
      'how long one computes before it sleeps: exponential, with this mean; else it never does',
    fallback: 0,
  }),
  block: duration({
    summary: 'how long it sleeps behind a burst: exponential, with this mean',
    fallback: 0,
  }),
});

/** Scenarios on a machine with a kernel, whose defaults hold. */
const scenarioFor = (kernel: Kernel, machine: CostPreset) =>
  object('A vmxlab scenario', {
    vmxlab: integer(1, 1, { summary: 'version of this format', fallback: 1 }),
    note: text({ summary: 'anything to remember; without effect', fallback: '' }),
    seed: integer(0, Number.MAX_SAFE_INTEGER, {
      summary: 'seed of everything that is left to chance',
      fallback: 1,
      flag: 'seed',
    }),
    engine: choice(ENGINES, {
      summary: 'how guest code runs; without effect on what it does',
      fallback: 'compiled',
      flag: 'engine',
    }),
    skip: choice(SKIP, {
      summary: 'leave out what only waits; without effect on what comes out',
      fallback: 'on',
      flag: 'skip',
    }),
    host: object('The emulated host', {
      pcpus: integer(1, MAX_PCPUS, {
        summary: 'physical CPUs; by default all of a machine that has a number of them',
        fallback: pcpusOf(machine) ?? 1,
        flag: 'pcpus',
      }),
      machine: choice(COST_PRESET_NAMES, {
        summary: 'processor, costs and what it has for virtualization',
        fallback: DEFAULT_MACHINE,
        flag: 'machine',
      }),
      kernel: choice(KERNELS, {
        summary: 'kernel of the host: defaults of host.scheduler and vms[].kvm',
        fallback: DEFAULT_KERNEL,
        flag: 'kernel',
      }),
      hz: integer(24, 10000, { summary: 'scheduler ticks per second', fallback: 250 }),
      lookahead: integer(1, 1_000_000, {
        summary: 'cycles of a turn: so late at most a pCPU sees what another one wrote',
        fallback: 500,
        flag: 'lookahead',
      }),
      placement: choice(PLACEMENTS, {
        summary: 'a new thread gets, of pCPUs with equally few threads, the first or one by seed',
        fallback: 'first',
      }),
      scheduler: object(
        "The scheduler of the host's kernel",
        scalarsFor(SCHEDULER_PARAMETERS, kernel),
      ),
      costs: costKeys(machine),
      cgroups: CGROUPS,
      policies: HOST_POLICY_KEYS,
    }),
    vms: list(vmFor(kernel, machine), 1, 8, 'virtual machines'),
    hogs: list(HOG, 0, 64, 'competing threads on the host'),
    faults: list(FAULT, 0, 64, 'faults to inject'),
    check: text({
      summary: 'expectations for `vmxlab check`, one a line; without effect on the run',
      fallback: '',
    }),
    limits: object('When to stop a run that does not end by itself', {
      time: duration({ summary: 'virtual time', fallback: 10e9, flag: 'until' }),
      instructions: integer(1, Number.MAX_SAFE_INTEGER, {
        summary: 'guest instructions',
        fallback: 500_000_000,
        flag: 'max-instructions',
      }),
    }),
  });

/** With the defaults of the default machine and kernel. */
export const SCENARIO = scenarioFor(DEFAULT_KERNEL, machineOf(undefined));

export type Scenario = Infer<typeof SCENARIO>;

/** The kernel that a document names; the default one if it does not, or wrongly. */
function kernelOf(document: unknown): Kernel {
  const { host } = (document ?? {}) as { readonly host?: { readonly kernel?: unknown } | null };
  return KERNELS.find((kernel) => kernel === host?.kernel) ?? DEFAULT_KERNEL;
}

/** Check a scenario, and what its parts say about each other. */
export function checkScenario(
  document: unknown,
): { readonly scenario: Scenario } | { readonly issues: readonly Issue[] } {
  const machine = machineOf(document);
  const checked = validate(scenarioFor(kernelOf(document), machine), document);
  if ('issues' in checked) return checked;
  const scenario = withNames(checked.value);
  const issues = [
    ...nameIssues(scenario),
    ...programIssues(scenario),
    ...moduleIssues(scenario),
    ...pinIssues(scenario),
    ...policyIssues(scenario),
    ...cgroupIssues(scenario),
    ...faultIssues(scenario),
    ...coschedulingIssues(scenario),
    ...pcpuIssues(scenario, machine),
    ...featureIssues(scenario, machine),
  ];
  return issues.length > 0 ? { issues } : { scenario };
}

/** The document that {@link checkScenario} makes the same scenario of, whatever the defaults are. */
export function documentOf(scenario: Scenario): Readonly<Record<string, unknown>> {
  const { kernel, machine } = scenario.host;
  return write(scenarioFor(kernel, COST_PRESETS[machine]), scenario) as Record<string, unknown>;
}

function withNames(scenario: Scenario): Scenario {
  const nameOf = (i: number) => (i === 0 ? 'vm' : `vm${i}`);
  const vms = scenario.vms.map((vm, i) => (vm.name === '' ? { ...vm, name: nameOf(i) } : vm));
  return { ...scenario, vms };
}

/** Threads and reports go by these names. */
function* nameIssues({ vms }: Scenario): Iterable<Issue> {
  for (const [i, { name }] of vms.entries()) {
    const first = vms.findIndex((vm) => vm.name === name);
    if (first === i) continue;
    yield { path: ['vms', i, 'name'], message: `'${name}' is the name of vms[${first}] already` };
  }
}

function* programIssues(scenario: Scenario): Iterable<Issue> {
  for (const [i, vm] of scenario.vms.entries()) {
    if (vm.program !== '' || vm.image !== '') continue;
    const message = 'missing; expected a program or an image';
    yield { path: ['vms', i, 'program'], message };
  }
}

function* moduleIssues(scenario: Scenario): Iterable<Issue> {
  for (const [i, { modules, module_images: images }] of scenario.vms.entries()) {
    for (const [j, text] of modules.entries()) {
      if (moduleFile(text) !== '') continue;
      yield { path: ['vms', i, 'modules', j], message: `expected a file, not '${text}'` };
    }
    if (images.length === 0 || images.length === modules.length) continue;
    const message = `expected one for each of ${modules.length} modules, not ${images.length}`;
    yield { path: ['vms', i, 'module_images'], message };
  }
}

/** The file in a module's text, which goes on behind the first space. */
export function moduleFile(text: string): string {
  return text.split(' ', 1)[0];
}

function* pinIssues(scenario: Scenario): Iterable<Issue> {
  const { pcpus } = scenario.host;
  for (const [i, vm] of scenario.vms.entries()) {
    if (vm.pin.length > 1 && vm.pin.length !== vm.vcpus) {
      const message = `expected one list for all vCPUs or ${vm.vcpus}, not ${vm.pin.length}`;
      yield { path: ['vms', i, 'pin'], message };
    }
    for (const [j, pin] of vm.pin.entries()) {
      const message = pinProblem(pin, pcpus);
      if (message !== null) yield { path: ['vms', i, 'pin', j], message };
    }
  }
  for (const [i, { vcpus, affinity_changes: changes }] of scenario.vms.entries()) {
    for (const [j, { vcpu, pin }] of changes.entries()) {
      const path = ['vms', i, 'affinity_changes', j];
      const last = vcpus - 1;
      if (vcpu > last)
        yield { path: [...path, 'vcpu'], message: `expected 0 to ${last}, not ${vcpu}` };
      const message = pin === '' ? null : pinProblem(pin, pcpus);
      if (message !== null) yield { path: [...path, 'pin'], message };
    }
  }
  for (const [i, hog] of scenario.hogs.entries()) {
    const message = hog.pin === '' ? null : pinProblem(hog.pin, pcpus);
    if (message !== null) yield { path: ['hogs', i, 'pin'], message };
  }
}

function pinProblem(pin: string, pcpus: number): string | null {
  const numbers = parseCpuList(pin);
  if (numbers === undefined) return `expected pCPUs such as 0-3,6, not '${pin}'`;
  const beyond = numbers.find((number) => number >= pcpus);
  if (beyond === undefined) return null;
  return `there is no pCPU ${beyond}: host.pcpus is ${pcpus}`;
}

/** The pCPUs in a checked list, or all of them. */
export function affinityOf(pin: string | undefined, pcpus: number): readonly number[] {
  const all = Array.from({ length: pcpus }, (_, i) => i);
  return pin === undefined || pin === '' ? all : (parseCpuList(pin) ?? all);
}

// Machines by name: how many pCPUs, what their processor has for virtualization, and what things
// cost on them, in cycles; each with where it is from. `vmxlab presets` shows them. Sources: [fog]
// Agner Fog, instruction tables; [opt] Intel optimization manual, PAUSE; [agesen] Agesen et al.,
// "Software Techniques for Avoiding Hardware Virtualization Exits", USENIX ATC 2012, and the trend
// of later parts; [est] engineering estimate, consistent with published end-to-end latencies (2 us
// thread switch, 3 us from IPI to remote entry, 1.5-2 us PAUSE-loop exit with scan); [ark] Intel's
// list of products; [adv] the commit that made the advance of timers adaptive: latency of deadlines
// on Skylake, 5700 cycles by a host timer, 2600 by the preemption timer; [rec] recalled.

import type { InstructionCosts } from '../cpu/index.ts';
import type { HostCosts } from '../host/index.ts';
import type { VmCosts } from '../kvm/index.ts';
import { STANDARD_TIMER_RATE_SHIFT } from '../vmx/index.ts';

/** A number of cycles, and where it is from. */
type Sourced = readonly [cycles: number, source: string];

/** Costs with their sources. */
export type SourcedCosts<T> = {
  readonly [Key in keyof T]: T[Key] extends number ? Sourced : SourcedCosts<T[Key]>;
};

interface MachineCosts {
  readonly host: HostCosts;
  readonly vm: VmCosts;
}

/** A machine has as many pCPUs as packages have cores; its processors have a thread for each. */
export interface Topology {
  readonly packages: number;
  readonly cores: number;
  readonly source: string;
}

/** What a processor may have or not: what it is for, and what it means here not to have it. */
export const FEATURES = {
  ept: 'EPT; without it KVM has shadow page tables, which are not modelled: no exits for paging',
  vpid: 'VPID; nothing costs more without it',
  ple: 'PAUSE-loop exiting; without it vms[].kvm.ple_gap is 0',
  preemption_timer: 'VMX-preemption timer; without it vms[].kvm.preemption_timer is false',
  tsc_deadline: "TSC-deadline mode of local APIC timers; without it guests' have none either",
} as const;

export type Feature = keyof typeof FEATURES;

/** What a machine does not have. */
export interface Missing {
  readonly features: readonly Feature[];
  readonly source: string;
}

export interface CostPreset extends MachineCosts {
  readonly name: string;
  readonly title: string;
  /** TSC rate, cycles per millisecond. */
  readonly khz: number;
  readonly khzSource: string;
  /** Family, model and stepping, as in EAX of CPUID leaf 1. */
  readonly signature: number;
  /** IA32_VMX_MISC[4:0], of those that have the VMX-preemption timer. */
  readonly timerRate: Sourced;
  /** Null: as many pCPUs as a scenario asks for. */
  readonly topology: Topology | null;
  readonly missing: Missing;
  readonly sources: SourcedCosts<MachineCosts>;
}

/** On all parts that somebody has told of. */
const USUAL_TIMER_RATE: Sourced = [STANDARD_TIMER_RATE_SHIFT, '[rec] common parts'];

const NOTHING: Missing = { features: [], source: '[ark]' };

/** Throughput rather than latency: a pipelined core hides most of the latter. */
const INSTRUCTIONS: SourcedCosts<InstructionCosts> = {
  classes: {
    simple: [1, '[fog]'],
    multiply: [3, '[fog]'],
    divide: [30, '[fog]'],
    branch: [1, '[fog]'],
    string: [2, '[fog]'],
    fence: [33, '[fog]'],
    pause: [9, '[fog]'],
    timestamp: [24, '[fog]'],
    cpuid: [100, '[fog]'],
    msr: [80, '[fog]'],
    io: [400, '[est]'],
    system: [30, '[est]'],
    interrupt: [80, '[est]'],
  },
  memory: [1, '[fog]'],
  locked: [18, '[fog]'],
};

/** At 2 GHz. */
const HOST: SourcedCosts<HostCosts> = {
  contextSwitch: [3500, '[est] with the preempt notifiers 2 us'],
  ipiLatency: [1500, '[est]'],
  ipiSend: [200, '[est]'],
  interrupt: [500, '[est]'],
  tick: [1500, '[est]'],
  timerExpiry: [800, '[est]'],
  timerProgram: [400, '[est] 0.2 us'],
  wakeUp: [1000, '[est]'],
  idleExit: [1500, '[est] shallow idle state'],
};

const VM: SourcedCosts<VmCosts> = {
  instructions: INSTRUCTIONS,
  vmx: {
    exit: [450, '[agesen] with the entry 800, the trend to Haswell and Broadwell'],
    entry: [350, '[agesen] with the exit 800'],
  },
  kvm: {
    exitPath: [500, '[est]'],
    entryPath: [700, '[est]'],
    fastPath: [250, '[est]'],
    handler: [250, '[est]'],
    spin: [1200, '[est]'],
    spinCandidate: [60, '[est]'],
    hypercall: [600, '[est] round trip 1.3 us'],
    block: [1200, '[est]'],
    emulate: [1500, '[est]'],
    userSpace: [2500, '[est] KVM_RUN return and call'],
  },
};

const BROADWELL: SourcedCosts<MachineCosts> = { host: HOST, vm: VM };

/** What the kernel does takes the time that it takes at 2 GHz, whatever the clock. */
function softwareAt<T>(khz: number, costs: SourcedCosts<T>): SourcedCosts<T> {
  const entries = Object.entries(costs).map(([key, value]) => {
    const [cycles, source] = value as Sourced;
    return [key, [Math.round((cycles * khz) / 2e6), source] as const];
  });
  return Object.fromEntries(entries) as SourcedCosts<T>;
}

/** A machine with a clock of its own, whose hardware differs in what it takes to exit and enter. */
function costsAt(
  khz: number,
  vmx: SourcedCosts<VmCosts['vmx']>,
  pause: Sourced,
): SourcedCosts<MachineCosts> {
  const classes = { ...INSTRUCTIONS.classes, pause };
  const kvm = softwareAt(khz, VM.kvm);
  return {
    host: softwareAt(khz, HOST),
    vm: { instructions: { ...INSTRUCTIONS, classes }, vmx, kvm },
  };
}

const SKYLAKE: SourcedCosts<MachineCosts> = {
  host: HOST,
  vm: {
    ...VM,
    instructions: {
      ...INSTRUCTIONS,
      classes: { ...INSTRUCTIONS.classes, pause: [140, '[opt]'] },
    },
  },
};

const WOODCREST_KHZ = 3_000_000;
const WOODCREST = costsAt(
  WOODCREST_KHZ,
  { exit: [900, '[agesen] with the entry 1600, as Merom'], entry: [700, '[agesen] see exit'] },
  [8, '[fog]'],
);

const WESTMERE_KHZ = 2_930_000;
const WESTMERE = costsAt(
  WESTMERE_KHZ,
  { exit: [430, '[agesen] with the entry 760'], entry: [330, '[agesen] see exit'] },
  [9, '[fog]'],
);

const HASWELL_KHZ = 2_300_000;
const HASWELL_SCALED = costsAt(HASWELL_KHZ, VM.vmx, [9, '[fog]']);
const HASWELL: SourcedCosts<MachineCosts> = {
  ...HASWELL_SCALED,
  host: {
    ...HASWELL_SCALED.host,
    timerExpiry: [2845, '[adv] so that a deadline by it is seen after 5700 cycles'],
  },
};

export const COST_PRESETS = {
  'e5-2660v4': {
    name: 'e5-2660v4',
    title: 'Xeon E5-2660 v4 (Broadwell-EP), 2.0 GHz: PAUSE takes 9 cycles [fog]',
    khz: 2_000_000,
    khzSource: '[ark]',
    signature: 0x406f1,
    timerRate: USUAL_TIMER_RATE,
    topology: null,
    missing: NOTHING,
    sources: BROADWELL,
    ...cyclesOf(BROADWELL),
  },
  'skylake-sp': {
    name: 'skylake-sp',
    title: 'Skylake-SP, 2.0 GHz: PAUSE takes 140 cycles [opt], longer than the default ple_gap',
    khz: 2_000_000,
    khzSource: '[est]',
    signature: 0x50654,
    timerRate: USUAL_TIMER_RATE,
    topology: null,
    missing: NOTHING,
    sources: SKYLAKE,
    ...cyclesOf(SKYLAKE),
  },
  xeon5160x2: {
    name: 'xeon5160x2',
    title: '2 Xeon 5160 (Woodcrest), 3.0 GHz: the machine of the paravirtual lock of 2010',
    khz: WOODCREST_KHZ,
    khzSource: '[ark]',
    signature: 0x6f6,
    timerRate: USUAL_TIMER_RATE,
    topology: { packages: 2, cores: 2, source: '[ark]' },
    missing: {
      features: ['ept', 'vpid', 'ple', 'preemption_timer', 'tsc_deadline'],
      source: '[rec] before Nehalem',
    },
    sources: WOODCREST,
    ...cyclesOf(WOODCREST),
  },
  westmere4: {
    name: 'westmere4',
    title: '4 cores of Westmere, 2.93 GHz: a machine of the directed yield of 2011',
    khz: WESTMERE_KHZ,
    khzSource: '[est] no machine was named',
    signature: 0x206c2,
    timerRate: USUAL_TIMER_RATE,
    topology: { packages: 1, cores: 4, source: '[est] no machine was named' },
    missing: NOTHING,
    sources: WESTMERE,
    ...cyclesOf(WESTMERE),
  },
  'e5-2660v4x2': {
    name: 'e5-2660v4x2',
    title: '2 Xeon E5-2660 v4 (Broadwell-EP), 2.0 GHz, no hyper-threading',
    khz: 2_000_000,
    khzSource: '[ark]',
    signature: 0x406f1,
    timerRate: USUAL_TIMER_RATE,
    topology: { packages: 2, cores: 14, source: '[ark]' },
    missing: NOTHING,
    sources: BROADWELL,
    ...cyclesOf(BROADWELL),
  },
  'e5-2699v3': {
    name: 'e5-2699v3',
    title: '2 isolated cores of a Xeon E5-2699 v3 (Haswell-EP), 2.3 GHz',
    khz: HASWELL_KHZ,
    khzSource: '[ark]',
    signature: 0x306f2,
    timerRate: USUAL_TIMER_RATE,
    topology: { packages: 1, cores: 2, source: 'those that were isolated' },
    missing: NOTHING,
    sources: HASWELL,
    ...cyclesOf(HASWELL),
  },
} as const satisfies Record<string, CostPreset>;

export type CostPresetName = keyof typeof COST_PRESETS;

export const COST_PRESET_NAMES = Object.keys(COST_PRESETS) as CostPresetName[];

/** True if a machine's processor has a feature. */
export function hasFeature({ missing }: CostPreset, feature: Feature): boolean {
  return !missing.features.includes(feature);
}

/** PCPUs of a machine; null: any number. */
export function pcpusOf({ topology }: CostPreset): number | null {
  return topology === null ? null : topology.packages * topology.cores;
}

/** Over how many packages so many pCPUs are spread; one where nothing is known. */
export function packagesFor({ topology }: CostPreset, pcpus: number): number {
  return topology === null ? 1 : Math.ceil(pcpus / topology.cores);
}

/** The numbers without their sources. */
function cyclesOf<T>(costs: SourcedCosts<T>): T {
  const entries = Object.entries(costs).map(([key, value]) => [
    key,
    Array.isArray(value) ? value[0] : cyclesOf(value as SourcedCosts<unknown>),
  ]);
  return Object.fromEntries(entries) as T;
}

// Cost presets: what things cost on a machine, in cycles, each with where the number is from;
// `vmxlab presets` shows them. Sources: [fog] Agner Fog, instruction tables; [opt] Intel
// optimization manual, PAUSE; [agesen] Agesen et al., "Software Techniques for Avoiding Hardware
// Virtualization Exits", USENIX ATC 2012, and the trend of later parts; [est] engineering estimate,
// consistent with published end-to-end latencies (2 us thread switch, 3 us from IPI to remote
// entry, 1.5-2 us PAUSE-loop exit with scan).

import type { InstructionCosts } from '../cpu/index.ts';
import type { HostCosts } from '../host/index.ts';
import type { VmCosts } from '../kvm/index.ts';

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

export interface CostPreset extends MachineCosts {
  readonly name: string;
  readonly title: string;
  /** TSC rate, cycles per millisecond. */
  readonly khz: number;
  /** Family, model and stepping, as in EAX of CPUID leaf 1. */
  readonly signature: number;
  readonly sources: SourcedCosts<MachineCosts>;
}

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

export const COST_PRESETS = {
  'e5-2660v4': {
    name: 'e5-2660v4',
    title: 'Xeon E5-2660 v4 (Broadwell-EP), 2.0 GHz: PAUSE takes 9 cycles [fog]',
    khz: 2_000_000,
    signature: 0x406f1,
    sources: BROADWELL,
    ...cyclesOf(BROADWELL),
  },
  'skylake-sp': {
    name: 'skylake-sp',
    title: 'Skylake-SP, 2.0 GHz: PAUSE takes 140 cycles [opt], longer than the default ple_gap',
    khz: 2_000_000,
    signature: 0x50654,
    sources: SKYLAKE,
    ...cyclesOf(SKYLAKE),
  },
} as const satisfies Record<string, CostPreset>;

export type CostPresetName = keyof typeof COST_PRESETS;

/** The numbers without their sources. */
function cyclesOf<T>(costs: SourcedCosts<T>): T {
  const entries = Object.entries(costs).map(([key, value]) => [
    key,
    Array.isArray(value) ? value[0] : cyclesOf(value as SourcedCosts<unknown>),
  ]);
  return Object.fromEntries(entries) as T;
}

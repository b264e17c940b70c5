// Cost presets: what things cost on a machine, in cycles, each with where the number is from.
// Sources: [fog] Agner Fog, instruction tables; [opt] Intel optimization manual, PAUSE; [agesen]
// Agesen et al., "Software Techniques for Avoiding Hardware Virtualization Exits", USENIX ATC 2012,
// and the trend of later parts; [est] engineering estimate, consistent with published end-to-end
// latencies (2 us thread switch, 3 us from IPI to remote entry, 1.5-2 us PAUSE-loop exit with
// scan).

import type { InstructionCosts } from '../cpu/index.ts';
import type { HostCosts } from '../host/index.ts';
import type { VmCosts } from '../kvm/index.ts';

export interface CostPreset {
  readonly name: string;
  readonly title: string;
  /** TSC rate, cycles per millisecond. */
  readonly khz: number;
  readonly host: HostCosts;
  readonly vm: VmCosts;
}

/** Throughput rather than latency: a pipelined core hides most of the latter. [fog] */
const INSTRUCTIONS: InstructionCosts = {
  classes: {
    simple: 1,
    multiply: 3,
    divide: 30,
    branch: 1,
    string: 2,
    fence: 33,
    pause: 9,
    timestamp: 24,
    cpuid: 100,
    msr: 80,
    io: 400,
    system: 30,
    interrupt: 80,
  },
  memory: 1,
  locked: 18,
};

/** At 2 GHz. */
const HOST: HostCosts = {
  contextSwitch: 3500, // [est] with the preempt notifiers 2 us
  ipiLatency: 1500, // [est]
  ipiSend: 200, // [est]
  interrupt: 500, // [est]
  tick: 1500, // [est]
  timerExpiry: 800, // [est]
  timerProgram: 400, // [est] 0.2 us
  wakeUp: 1000, // [est]
  idleExit: 1500, // [est] shallow idle state
};

const VM: VmCosts = {
  instructions: INSTRUCTIONS,
  // Together 800, as [agesen] continues to Haswell and Broadwell.
  vmx: { exit: 450, entry: 350 },
  kvm: {
    exitPath: 500, // [est]
    entryPath: 700, // [est]
    fastPath: 250, // [est]
    handler: 250, // [est]
    spin: 1200, // [est]
    spinCandidate: 60, // [est]
    hypercall: 600, // [est] round trip 1.3 us
    block: 1200, // [est]
    emulate: 1500, // [est]
    userSpace: 2500, // [est] KVM_RUN return and call
  },
};

export const COST_PRESETS = {
  'e5-2660v4': {
    name: 'e5-2660v4',
    title: 'Xeon E5-2660 v4 (Broadwell-EP), 2.0 GHz: PAUSE takes 9 cycles [fog]',
    khz: 2_000_000,
    host: HOST,
    vm: VM,
  },
  'skylake-sp': {
    name: 'skylake-sp',
    title: 'Skylake-SP, 2.0 GHz: PAUSE takes 140 cycles [opt], longer than the default ple_gap',
    khz: 2_000_000,
    host: HOST,
    vm: {
      ...VM,
      instructions: { ...INSTRUCTIONS, classes: { ...INSTRUCTIONS.classes, pause: 140 } },
    },
  },
} as const satisfies Record<string, CostPreset>;

export type CostPresetName = keyof typeof COST_PRESETS;

// `vmxlab presets`: machines and kernels by name, with every value and where it is from.

import {
  COST_PRESETS,
  type CostPreset,
  costLines,
  DEFAULT_KERNEL,
  FEATURES,
  type Feature,
  hasFeature,
  holding,
  KERNEL_PARAMETERS,
  KERNELS,
  type Kernel,
  printValue,
} from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import { Failure } from './failure.ts';

export interface PresetsOptions {
  /** Name of one machine or kernel, or undefined for all. */
  readonly name: string | undefined;
  readonly json: boolean;
}

interface Value {
  readonly key: string;
  readonly value: string;
  readonly source: string;
}

/** A machine or a kernel. */
interface Preset {
  readonly kind: 'machine' | 'kernel';
  readonly name: string;
  readonly title: string;
  readonly values: readonly Value[];
}

export function presetsCommand(options: PresetsOptions): number {
  const { name } = options;
  const all = [...Object.values(COST_PRESETS).map(machine), ...KERNELS.map(kernel)];
  const chosen = name === undefined ? all : [find(all, name)];
  const text = options.json
    ? JSON.stringify({ schemaVersion: 1, presets: chosen }, null, 2)
    : chosen.map(page).join('\n\n');
  process.stdout.write(`${text}\n`);
  return 0;
}

function find(presets: readonly Preset[], name: string): Preset {
  const found = presets.find((preset) => preset.name === name);
  if (found !== undefined) return found;
  const names = presets.map((preset) => preset.name);
  const near = nearest(name, names);
  const hint = near === null ? `known are ${names.join(', ')}` : `did you mean '${near}'?`;
  throw new Failure(`there is no machine or kernel '${name}'; ${hint}`);
}

function machine(preset: CostPreset): Preset {
  const { name, title, khz, khzSource } = preset;
  const rate: Value = { key: 'khz', value: String(khz), source: `${khzSource} TSC rate` };
  const values = [rate, ...topologyOf(preset), ...featuresOf(preset), ...costsOf(preset)];
  return { kind: 'machine', name, title, values };
}

function topologyOf({ topology }: CostPreset): Value[] {
  if (topology === null) return [];
  const { packages, cores, source } = topology;
  return [
    { key: 'topology.packages', value: String(packages), source },
    { key: 'topology.cores', value: String(cores), source: `${source} of each package` },
  ];
}

/** What the processor has, and what follows where it has not. */
function featuresOf(preset: CostPreset): Value[] {
  const { source } = preset.missing;
  const features = Object.entries(FEATURES).map(([name, meaning]) => {
    const has = hasFeature(preset, name as Feature);
    const rest = has ? meaning.replace(/;.*/, '') : meaning;
    return { key: `features.${name}`, value: has ? 'yes' : 'no', source: `${source} ${rest}` };
  });
  if (!hasFeature(preset, 'preemption_timer')) return features;
  const [rate, rateSource] = preset.timerRate;
  const meaning = `${rateSource}: 2 to the power of this TSC cycles a count`;
  return [
    ...features,
    { key: 'features.preemption_timer_rate', value: String(rate), source: meaning },
  ];
}

function costsOf(preset: CostPreset): Value[] {
  return costLines(preset).map(({ key, cycles, source }) => ({
    ...{ key, value: String(cycles), source },
  }));
}

function kernel(name: Kernel): Preset {
  const isDefault = name === DEFAULT_KERNEL ? ', the default' : '';
  const values = Object.entries(KERNEL_PARAMETERS).map(([key, row]) => {
    const { value, source } = holding(row, name);
    return { key, value: printValue(row, value), source };
  });
  return { kind: 'kernel', name, title: `host.kernel${isDefault}`, values };
}

function page({ kind, name, title, values }: Preset): string {
  const keyWidth = Math.max(...values.map(({ key }) => key.length));
  const valueWidth = Math.max(...values.map(({ value }) => value.length));
  const lines = values.map(
    ({ key, value, source }) => `  ${key.padEnd(keyWidth)}  ${value.padEnd(valueWidth)}  ${source}`,
  );
  return [`${kind} ${name}: ${title}`, ...lines].join('\n');
}

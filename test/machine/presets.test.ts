// Machines by name: complete tables, a few published figures, and what a processor does not have.

import { describe, expect, test } from 'vitest';
import { COST_PRESETS, checkScenario, pcpusOf } from '../../src/machine/index.ts';

const VM = { program: 'guest.asm' };

describe('presets', () => {
  test('are complete, and every cost is a whole number of cycles', () => {
    for (const [name, preset] of Object.entries(COST_PRESETS)) {
      expect(preset.name).toBe(name);
      const { instructions, vmx, kvm } = preset.vm;
      for (const costs of [preset.host, vmx, kvm, instructions.classes]) {
        for (const cycles of Object.values(costs)) expect(Number.isInteger(cycles)).toBe(true);
        expect(Math.min(...Object.values(costs))).toBeGreaterThan(0);
      }
    }
  });

  // Intel's optimization manual: about 10 cycles before Skylake, up to 140 from there on.
  test.each([
    ['e5-2660v4', 9],
    ['skylake-sp', 140],
  ] as const)('PAUSE on %s takes %i cycles', (name, cycles) => {
    expect(COST_PRESETS[name].vm.instructions.classes.pause).toBe(cycles);
    expect(COST_PRESETS[name].khz).toBe(2_000_000);
  });

  // Agesen et al. 2012, table 1: Merom 1579 and Westmere 761 cycles of exit and entry.
  test.each([
    ['xeon5160x2', 1600, 4, 3_000_000],
    ['westmere4', 760, 4, 2_930_000],
    ['e5-2660v4x2', 800, 28, 2_000_000],
    ['e5-2699v3', 800, 2, 2_300_000],
  ] as const)('an exit of %s and the entry take %i cycles', (name, cycles, pcpus, khz) => {
    const preset = COST_PRESETS[name];
    expect(preset.vm.vmx.exit + preset.vm.vmx.entry).toBe(cycles);
    expect([pcpusOf(preset), preset.khz]).toEqual([pcpus, khz]);
  });

  test('what a machine does not have is not there by default', () => {
    const { host, vms } = scenarioOf({ host: { machine: 'xeon5160x2' }, vms: [VM] });
    expect(host.pcpus).toBe(4);
    const { kvm } = vms[0];
    expect([kvm.ple_gap, kvm.preemption_timer, kvm.tsc_deadline]).toEqual([0, false, false]);
  });
});

function scenarioOf(document: unknown) {
  const checked = checkScenario(document);
  if ('issues' in checked) throw new Error(JSON.stringify(checked.issues));
  return checked.scenario;
}

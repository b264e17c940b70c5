// `host.costs`: every cost of every machine can be replaced, and what is replaced is what passes.

import { expect, test } from 'vitest';
import { COST_PRESETS, checkScenario, costLines, type Scenario } from '../../src/machine/index.ts';
import { lab } from '../../src/testing/index.ts';

const VM = { program: 'guest.asm' };

function costsOf(host: object): Scenario['host']['costs'] {
  const checked = checkScenario({ host, vms: [VM] });
  if ('issues' in checked) throw new Error(JSON.stringify(checked.issues));
  return checked.scenario.host.costs;
}

/** `host.costs.vmx.exit` as nested settings. */
function settingOf(key: string, value: number): object {
  return key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
}

test.each(Object.values(COST_PRESETS))('$name has a key for each of its costs', (preset) => {
  const lines = costLines(preset);
  expect(lines).toHaveLength(9 + 2 + 10 + 15);
  const costs = costsOf({ machine: preset.name });
  for (const { key, cycles } of lines) {
    const [, , group, name] = key.split('.');
    expect([key, costs[group][name]]).toEqual([key, cycles]);
  }
});

test('one that is replaced leaves the others as they are', () => {
  const { host } = settingOf('host.costs.vmx.exit', 1234) as { host: object };
  const before = costsOf({ machine: 'westmere4' });
  const after = costsOf({ machine: 'westmere4', ...host });
  expect(after).toEqual({ ...before, vmx: { ...before.vmx, exit: 1234 } });
});

test.each([
  [{ vmx: { exit: 0 } }, 'host.costs.vmx.exit'],
  [{ vmx: { leave: 100 } }, 'host.costs.vmx.leave'],
  [{ exit: 100 }, 'host.costs.exit'],
])('%j is refused', (costs, where) => {
  const checked = checkScenario({ host: { costs }, vms: [VM] });
  const found = 'issues' in checked ? checked.issues.map(({ path }) => path.join('.')) : [];
  expect(found).toContain(where);
});

const PROGRAM = `
    mov r8d, 5
.again:
    xor eax, eax
    cpuid
    dec r8d
    jnz .again
    cli
    hlt
`;

function endOf(costs: object): number {
  const scenario = { host: { costs }, vms: [{ program: 'guest.asm' }] };
  const run = lab(PROGRAM, {}, { scenario }).run();
  expect(run).toHaveExited('CPUID', { times: 5 });
  return run.machine.host.now;
}

// Five CPUID and the last HLT leave the guest; each of them, and the start, enters it.
test.each([
  ['an exit', { vmx: { exit: 1450 } }, 6 * 1000],
  ['an entry', { vmx: { entry: 1350 } }, 6 * 1000],
  ['a handler of CPUID', { kvm: { handler: 1250 } }, 5 * 1000],
  ['a PAUSE, of which there is none', { instructions: { pause: 1009 } }, 0],
])('%s that takes 1000 cycles longer is so much longer', (_, costs, cycles) => {
  expect(endOf(costs) - endOf({})).toBe(cycles);
});

// Profiles of virtual time: exact in sum, the same by every engine, and pointing at what is hot;
// and their form as flame graphs, against the schema that speedscope publishes.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import {
  type GuestProfile,
  guestStacks,
  Machine,
  profileMachine,
  SymbolMap,
  speedscopeFile,
} from '../../src/machine/index.ts';
import { checkedScenario, compileEarly } from '../support/guest-run.ts';

/** Nine tenths of the time in `hot`, a tenth in `warm`; half of the vCPUs sleep. */
const PROGRAM = `bits 64
    test edi, 1
    jnz sleep
    mov ebp, 200
round:
    mov ecx, 900
hot:
    dec ecx
    jnz hot
    mov ecx, 100
warm:
    dec ecx
    jnz warm
    dec ebp
    jnz round
sleep:
    cli
    hlt
`;

function profiled(engine: string, step: number, vcpus = 2) {
  const assembled = assemble({ name: 'test.asm', text: `org 0x100000\n${PROGRAM}` });
  if (assembled.kind !== 'ok') throw new Error('does not assemble');
  const scenario = checkedScenario({
    engine,
    host: { pcpus: 1 },
    vms: [{ program: 'test.asm', vcpus }],
    hogs: [{ count: 1 }],
  });
  const symbols = [SymbolMap.ofAssembly(assembled)];
  const parts = { programs: [assembled.bytes], symbols };
  const machine = compileEarly(new Machine(scenario, parts), 16);
  return { machine, ...profileMachine(machine, step) };
}

describe('a profile', () => {
  test('accounts for each cycle of each thread', () => {
    const { machine, profile } = profiled('interpreter', 977);
    expect(profile.vcpus.map(({ index }) => index)).toEqual([0, 1]);
    machine.vcpus.forEach((vcpu, i) => {
      const { cycles, stretches } = profile.vcpus[i];
      const { guest, host } = vcpu.thread.state.times;
      expect(cycles).toMatchObject({ guest, host });
      const sum = stretches.reduce((total, stretch) => total + stretch.cycles, 0);
      expect(sum).toBe(cycles.guest + cycles.host + cycles.waiting + cycles.blocked);
    });
    const guest = machine.vcpus.reduce((sum, vcpu) => sum + vcpu.thread.state.times.guest, 0);
    expect(profile.blocks.reduce((sum, { cycles }) => sum + cycles, 0)).toBe(guest);
    const executed = profile.blocks.reduce((sum, { instructions }) => sum + instructions, 0);
    expect(executed).toBe(machine.instructions);
  });

  test('finds the hot loop, its symbol and its line', () => {
    const { profile } = profiled('interpreter', 977);
    const [hottest, next] = profile.blocks;
    expect(hottest).toMatchObject({ symbol: 'hot', source: 'test.asm:9', lengthInstructions: 2 });
    expect(hottest.share).toBeGreaterThan(0.85);
    expect(hottest.share).toBeLessThan(0.95);
    expect(next).toMatchObject({ symbol: 'warm' });
  });

  test('is the same by every engine, and does not change the run', () => {
    const interpreted = profiled('interpreter', 977);
    const compiled = profiled('compiled', 977);
    expect(compiled.profile).toEqual(interpreted.profile);
    expect(compiled.machine.stateHash()).toBe(interpreted.machine.stateHash());
    expect(profiled('interpreter', 5000).machine.stateHash()).toBe(interpreted.machine.stateHash());
  });
});

describe('a flame graph', () => {
  const require = createRequire(import.meta.url);
  const schemaFile = require.resolve('speedscope/dist/release/file-format-schema.json');
  const validate = new Ajv({ strict: false }).compile(JSON.parse(readFileSync(schemaFile, 'utf8')));

  const graphOf = (profile: GuestProfile) =>
    speedscopeFile('test', guestStacks(profile, 2_000_000));

  test('is what speedscope reads', () => {
    const file = JSON.parse(JSON.stringify(graphOf(profiled('interpreter', 977).profile)));
    validate(file);
    expect(validate.errors).toBeNull();
    // The schema does say something.
    expect(validate({ ...file, profiles: [{ ...file.profiles[0], type: 'sampling' }] })).toBe(
      false,
    );
  });

  test('has the symbol around the block, and weights that add up', () => {
    const { shared, profiles } = graphOf(profiled('interpreter', 977).profile);
    const [first] = profiles;
    const names = first.samples.map((sample) => sample.map((index) => shared.frames[index].name));
    expect(names.some(([a, b]) => a === 'guest' && b === 'hot')).toBe(true);
    expect(names.some(([a]) => a === 'waiting')).toBe(true);
    expect(first.weights).toHaveLength(first.samples.length);
    expect(first.weights.reduce((sum, weight) => sum + weight, 0)).toBe(first.endValue);
    expect(shared.frames.some(({ file, line }) => file === 'test.asm' && line === 9)).toBe(true);
  });
});

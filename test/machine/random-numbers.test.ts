// RDRAND and RDSEED in a whole machine: different for every vCPU and every seed of the scenario,
// the same again for the same seed, and part of what a snapshot keeps.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import type { Machine } from '../../src/machine/index.ts';
import { assembleText, checkedScenario, tracedMachine } from '../support/guest-run.ts';

/** Numbers into registers, with an exit between them, on every vCPU. */
const PROGRAM = assembleText(`
    bits 64
    rdrand r8
    rdseed r9
    in al, 0x80
    mov ecx, 1000
  delay: dec ecx
    jnz delay
    rdrand r10
    rdseed r11
    cli
    hlt`);
const REGISTERS = ['r8', 'r9', 'r10', 'r11'];

interface Setup {
  readonly seed?: number;
  readonly vms?: number;
  readonly lookahead?: number;
}

function machineOf({ seed = 1, vms = 1, lookahead = 500 }: Setup = {}): Machine {
  const scenario = checkedScenario({
    seed,
    host: { pcpus: 2, lookahead },
    vms: Array.from({ length: vms }, (_, i) => ({
      name: `vm${i}`,
      program: 'random.asm',
      vcpus: 3,
      memory: '2M',
    })),
  });
  return tracedMachine(scenario, Array(vms).fill(PROGRAM)).machine;
}

/** All numbers of all vCPUs. */
function numbersOf(machine: Machine): string[] {
  return machine.vcpus.flatMap(({ virtual }) =>
    REGISTERS.map((name) => virtual.processor.state.get(name).toUnsigned().toString(16)),
  );
}

function drawn(setup: Setup = {}): string[] {
  const machine = machineOf(setup);
  expect(machine.run()).not.toBe(null);
  return numbersOf(machine);
}

describe('random numbers', () => {
  test('differ between draws, instructions, vCPUs, machines and seeds', () => {
    const all = [1, 2, 3, 2 ** 32 + 1].flatMap((seed) => drawn({ seed, vms: 2 }));
    expect(all).toHaveLength(4 * 2 * 3 * REGISTERS.length);
    expect(new Set(all).size).toBe(all.length);
  });

  test('are the same with the same seed, however the vCPUs are interleaved', () => {
    const [first, again, other] = [{}, {}, { lookahead: 20 }].map((setup) => drawn(setup));
    expect(again).toEqual(first);
    expect(other).toEqual(first);
  });

  test('go on from a snapshot as if it had not been taken', () => {
    const whole = machineOf();
    whole.run();
    // After the first numbers and before the last.
    const middle = Math.floor(whole.now / 2);
    const saved = machineOf();
    saved.run(middle);
    const known = numbersOf(saved);
    expect(known).not.toEqual(numbersOf(whole));
    expect(known.some((number) => number !== '0')).toBe(true);
    // A machine that has drawn its own numbers already, with the same scenario.
    const other = machineOf();
    other.run();
    other.restore(saved.snapshot());
    expect(numbersOf(other)).toEqual(known);
    other.run();
    expect(numbersOf(other)).toEqual(numbersOf(whole));
    expect(other.stateHash()).toBe(whole.stateHash());
  });

  test('that have not been drawn yet are state too: the hash tells them apart', () => {
    const [first, second] = [1, 1].map(() => machineOf());
    expect(first.stateHash()).toBe(second.stateHash());
    second.vcpus[1].virtual.processor.state.set('entropy', Long.ONE);
    const hashes = [first, second].map((machine) => machine.stateHash());
    expect(hashes[0]).not.toBe(hashes[1]);
  });
});

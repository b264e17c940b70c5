// How a processor starts. SDM 3, "IA-32 and Intel 64 Processor States Following Power-up, Reset, or
// INIT" (the table), "MP Initialization Protocol"; the Multiboot Specification, "Machine state".

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  codeSizeOf,
  enterProtectedMode,
  initState,
  modeOf,
  PROCESSOR_BYTES,
  ProcessorState,
  resetState,
  startAtSipiVector,
} from '../../src/cpu/index.ts';
import { PhysicalMemory } from '../../src/memory/index.ts';

/** A state in which nothing is 0. */
function usedState(): ProcessorState {
  const memory = new PhysicalMemory(0x10000);
  const state = new ProcessorState(memory, 0);
  state.words.fill(0x11111111, 0, PROCESSOR_BYTES / 4);
  return state;
}

const values = (state: ProcessorState, ...names: readonly string[]) =>
  names.map((name) => state.get(name).toUnsigned().toNumber());

const segment = (state: ProcessorState, name: string) =>
  values(state, `${name}Selector`, `${name}Base`, `${name}Limit`, `${name}Rights`);

function expectInitial(state: ProcessorState): void {
  expect(values(state, 'rip', 'rflags', 'rax', 'rcx', 'rbx', 'rsp', 'r15')).toEqual([
    ...[0xfff0, 2, 0, 0, 0, 0, 0],
  ]);
  expect(values(state, 'rdx', 'cr2', 'cr3', 'cr4', 'cr8', 'efer')).toEqual([
    0x306e4, 0, 0, 0, 0, 0,
  ]);
  expect(values(state, 'dr0', 'dr3', 'dr6', 'dr7')).toEqual([0, 0, 0xffff0ff0, 0x400]);
  expect(segment(state, 'cs')).toEqual([0xf000, 0xffff0000, 0xffff, 0x93]);
  for (const name of ['ss', 'ds', 'es', 'fs', 'gs']) {
    expect(segment(state, name)).toEqual([0, 0, 0xffff, 0x93]);
  }
  expect(segment(state, 'ldtr')).toEqual([0, 0, 0xffff, 0x82]);
  expect(segment(state, 'tr')).toEqual([0, 0, 0xffff, 0x8b]);
  const tables = ['gdtrBase', 'gdtrLimit', 'idtrBase', 'idtrLimit'];
  expect(values(state, ...tables)).toEqual([0, 0xffff, 0, 0xffff]);
  expect([modeOf(state), codeSizeOf(state)]).toEqual(['real', 16]);
}

test('reset', () => {
  const state = usedState();
  resetState(state, 0x306e4);
  expectInitial(state);
  expect(values(state, 'cr0', 'sysenterCs', 'star')).toEqual([0x60000010, 0, 0]);
  expect(state.get('pat').toString(16)).toBe('7040600070406');
  expect(values(state, 'activity', 'interruptibility')).toEqual([0, 0]);
});

describe('INIT', () => {
  test.each([
    [0x80000001, 0x10],
    [0xe0000011, 0x60000010],
    [0x40000010, 0x40000010],
  ])('CR0 of %i leaves CD and NW', (before, after) => {
    const state = usedState();
    state.set('cr0', Long.fromNumber(before));
    initState(state, 0x306e4, false);
    expectInitial(state);
    expect(values(state, 'cr0', 'activity')).toEqual([after, 0]);
  });

  test('most MSRs stay', () => {
    const state = usedState();
    const kept = ['star', 'lstar', 'sysenterEip', 'kernelGsBase', 'tscAux', 'pat'];
    initState(state, 0x306e4, false);
    for (const name of kept) expect(state.get(name).toString(16)).toBe('1111111111111111');
  });

  test('and a start-up IPI', () => {
    const state = usedState();
    initState(state, 0x306e4, true);
    expect(values(state, 'activity')).toEqual([3]);
    startAtSipiVector(state, 0x9a);
    expect(segment(state, 'cs')).toEqual([0x9a00, 0x9a000, 0xffff, 0x93]);
    expect(values(state, 'rip', 'activity')).toEqual([0, 0]);
  });
});

test('flat protected mode', () => {
  const state = usedState();
  resetState(state);
  enterProtectedMode(state, {
    eip: 0x100000,
    codeSelector: 8,
    dataSelector: 16,
    gdtBase: 0x5000,
    gdtLimit: 0x17,
  });
  expect([modeOf(state), codeSizeOf(state)]).toEqual(['protected', 32]);
  expect(values(state, 'rip', 'rflags', 'gdtrBase', 'gdtrLimit')).toEqual([
    ...[0x100000, 2, 0x5000, 0x17],
  ]);
  expect(values(state, 'cr0')[0] & 0x80000001).toBe(1);
  expect(segment(state, 'cs')).toEqual([8, 0, 0xffffffff, 0xc09b]);
  for (const name of ['ss', 'ds', 'es', 'fs', 'gs']) {
    expect(segment(state, name)).toEqual([16, 0, 0xffffffff, 0xc093]);
  }
});

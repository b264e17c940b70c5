// A machine in the order of a schedule: it comes to where the world came in which the schedule was
// found, stepped and run, forwards and backwards, with store buffers and without.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createSession, type Motion, type Position } from '../../src/debug/index.ts';
import { type Action, follow, ScheduleOrder, timeless, World } from '../../src/explore/index.ts';
import { Machine } from '../../src/machine/index.ts';
import { Hash } from '../../src/sim/index.ts';
import {
  counting,
  exploreProgram,
  LOST_UPDATE,
  type SmallProgram,
  smallProgram,
} from '../support/exploration.ts';

const textOf = (file: string) =>
  readFileSync(new URL(`../../guest-programs/bugs/${file}`, import.meta.url), 'utf8');

/** A known bug, for any address, with what it includes. */
const bug = (name: string) =>
  textOf(`${name}.asm`)
    .replace(/^%include "(.*)"$/gm, (_, file: string) => textOf(file))
    .replace(/^(bits|org|default).*$/gm, '');

const PROGRAMS = [
  ['a lost update', LOST_UPDATE, false],
  ['a lost update in store buffers', counting('inc dword [counter]'), true],
  ['a kick that nobody gets', bug('kick-decided-early'), false],
  ['a wake-up too many', bug('wake-without-recheck'), false],
  ['a word still in the store buffer', bug('pv-lock-wait-without-barrier'), true],
] as const;

interface Found {
  readonly program: SmallProgram;
  readonly schedule: readonly Action[];
  readonly shared: readonly number[];
}

function foundIn(text: string, storeBuffers: boolean): Found {
  const program = smallProgram(text);
  const { schedule, shared } = exploreProgram(program, { storeBuffers });
  if (schedule === null) throw new Error('nothing is found');
  return { program, schedule, shared };
}

function orderedOptions({ program, schedule, shared }: Found, storeBuffers: boolean) {
  const options = { schedule, storeBuffers, shared, end: 'found' };
  return {
    programs: [program.bytes],
    symbols: [program.symbols],
    order: (machine: Machine) => new ScheduleOrder(machine, options),
  };
}

/** What a guest can see of a state: registers and the program's memory. */
function seen(machine: Machine) {
  const [vm] = machine.vms;
  const at = vm.ramHpa + 0x100000;
  return {
    memory: new Hash().bytes(vm.memory.bytes.subarray(at, at + 0x2000)).digest(),
    registers: vm.vcpus.map((vcpu) => [
      vcpu.rip.toString(16),
      ...Array.from({ length: 16 }, (_, i) => vcpu.register(i).toString(16)),
    ]),
    phases: vm.vcpus.map(({ state }) => state.phase),
  };
}

describe.each(PROGRAMS)('%s', (_name, text, storeBuffers) => {
  const found = foundIn(text, storeBuffers);
  const options = orderedOptions(found, storeBuffers);
  const scenario = timeless(found.program.scenario);

  test('comes to where the schedule was found to lead', () => {
    const { program, schedule, shared } = found;
    const world = new World(program.scenario, options, { storeBuffers, shared });
    expect(follow(world, schedule)).toEqual(schedule);
    const machine = new Machine(scenario, options);
    const ending = machine.run();
    expect(seen(machine)).toEqual(seen(world.machine));
    const message = world.ending?.message ?? 'the schedule ends here: found';
    expect(ending?.message).toBe(message);
  });

  test('goes to places that it has come by, in any order', () => {
    const session = createSession(scenario, options);
    const places: [Position, string][] = [];
    do places.push([session.when, JSON.stringify(seen(session.machine))]);
    while (session.run({ kind: 'host' }).reason !== 'ended');
    expect(places.length).toBeGreaterThan(2);
    const end = JSON.stringify(seen(session.machine));
    for (const [position, state] of places.reverse()) {
      for (const step = session.travelTo(position); step.next().done !== true; );
      expect(JSON.stringify(seen(session.machine))).toBe(state);
    }
    expect(session.continue().reason).toBe('ended');
    expect(JSON.stringify(seen(session.machine))).toBe(end);
  });

  test.each<Motion>([
    { kind: 'host' },
    { kind: 'exit', vcpu: null },
    { kind: 'instruction', vcpu: 0 },
    { kind: 'instruction', vcpu: 1 },
  ])('goes back by %o as it came', (motion) => {
    const session = createSession(scenario, options);
    const places: [Position, string][] = [];
    while (session.run(motion).reason !== 'ended') {
      places.push([session.when, session.stateHash()]);
    }
    // Where nothing has moved since, the end is the place itself.
    if (places.at(-1)?.[0].event === session.when.event) places.pop();
    for (const [position, hash] of places.reverse()) {
      session.run(motion, 'backward');
      expect([session.when, session.stateHash()]).toEqual([position, hash]);
    }
    expect(session.run(motion, 'backward').reason).toBe('beginning');
  });

  test('goes back to a breakpoint', () => {
    const session = createSession(scenario, options);
    session.breakpoints.add({ kind: 'address', address: session.readRegister(0, 'rip') });
    session.stepInstruction(0);
    const places: [Position, string][] = [];
    while (session.continue().reason !== 'ended') {
      places.push([session.when, session.stateHash()]);
    }
    for (const [position, hash] of places.reverse()) {
      session.continue('backward');
      expect([session.when, session.stateHash()]).toEqual([position, hash]);
    }
  });

  test('stops at every instruction of a vCPU, and comes to the same end', () => {
    const whole = new Machine(scenario, options);
    whole.run();
    const session = createSession(scenario, options);
    let steps = 0;
    while (session.stepInstruction(0).reason !== 'ended') steps++;
    expect(steps).toBeGreaterThan(1);
    expect(seen(session.machine)).toEqual(seen(whole));
    expect(session.machine.stateHash()).toBe(whole.stateHash());
  });
});

test('a breakpoint stops where its instruction comes next, and changes nothing', () => {
  const found = foundIn(LOST_UPDATE, false);
  const options = orderedOptions(found, false);
  const scenario = timeless(found.program.scenario);
  const whole = new Machine(scenario, options);
  whole.run();
  const session = createSession(scenario, options);
  const address = found.program.symbols.addressOf('look');
  if (address === null) throw new Error('no such label');
  session.breakpoints.add({ kind: 'address', address });
  expect(session.continue().reason).toBe('breakpoint');
  expect(session.vcpus[session.stop.vcpu].rip.eq(address)).toBe(true);
  while (session.continue().reason === 'breakpoint');
  expect(session.machine.stateHash()).toBe(whole.stateHash());
});

test('a schedule of another program ends where it cannot be followed', () => {
  const { schedule, shared } = foundIn(LOST_UPDATE, false);
  const program = smallProgram('cli\nhlt\n');
  const options = orderedOptions({ program, schedule, shared }, false);
  const ending = new Machine(timeless(program.scenario), options).run();
  expect(ending?.message).toMatch(/^step \d+ of \d+ of the schedule cannot be taken here$/);
  const back = orderedOptions({ program, schedule: [2, 2], shared }, false);
  expect(new Machine(timeless(program.scenario), back).run()?.message).toBe(
    'step 1 of 2 of the schedule cannot be taken here',
  );
});

// Whole machines by both engines: the same trace, the same report and the same state, however the
// run is cut into slices.

import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/cpu/index.ts';
import { Gpr } from '../../src/isa/index.ts';
import {
  compileEarly,
  guestProgram,
  runToEnd,
  scenarioOf,
  tracedMachine,
  traceText,
} from '../support/guest-run.ts';

const CASES = [
  { name: 'hello.asm', vcpus: 1, pcpus: 1, lookahead: 500 },
  { name: 'five-exits.asm', vcpus: 1, pcpus: 1, lookahead: 500 },
  { name: 'page-fault.asm', vcpus: 1, pcpus: 1, lookahead: 500 },
  { name: 'triple-fault.asm', vcpus: 1, pcpus: 1, lookahead: 500 },
  { name: 'timer-deadline.asm', vcpus: 1, pcpus: 1, lookahead: 500 },
  { name: 'ipi-pingpong.asm', vcpus: 2, pcpus: 2, lookahead: 150 },
  { name: 'lock-ticket.asm', vcpus: 4, pcpus: 4, lookahead: 200 },
  { name: 'lock-ticket.asm', vcpus: 4, pcpus: 2, lookahead: 1000 },
  { name: 'lock-ticket-pv.asm', vcpus: 4, pcpus: 2, lookahead: 77 },
  { name: 'lock-tas.asm', vcpus: 3, pcpus: 2, lookahead: 10 },
];

/** @param skip what is skipped is not executed by any engine */
function outcome(
  engine: Engine,
  skip: 'on' | 'off',
  { name, vcpus, pcpus, lookahead }: (typeof CASES)[number],
) {
  const limits = { time: '2ms' };
  const scenario = { ...scenarioOf({ vcpus, pcpus, lookahead, limits }), engine, skip };
  const { machine, records } = tracedMachine(scenario, [guestProgram(name)]);
  // So little runs that it has to be compiled at once.
  const { report } = runToEnd(compileEarly(machine, 2));
  const regions = machine.vms[0].compiler?.statistics.regions ?? 0;
  return { report, trace: traceText(records, pcpus), regions };
}

describe('check', () => {
  const setup = { name: 'lock-ticket.asm', vcpus: 2, pcpus: 2, lookahead: 300 };
  const machineOf = () => {
    const limits = { time: '300us' };
    const { vcpus, pcpus, lookahead } = setup;
    const scenario = {
      ...scenarioOf({ vcpus, pcpus, lookahead, limits }),
      engine: 'check' as const,
    };
    return compileEarly(tracedMachine(scenario, [guestProgram(setup.name)]).machine, 16);
  };

  test('says nothing while both engines agree', () => {
    const machine = machineOf();
    machine.run();
    expect(machine.vms[0].compiler?.statistics.regions).toBeGreaterThan(2);
  });

  test('stops where compiled code does something else', () => {
    const machine = machineOf();
    const compiler = machine.vms[0].compiler as NonNullable<(typeof machine.vms)[0]['compiler']>;
    const compile = compiler.compile.bind(compiler);
    const [processor] = machine.vcpus.map(({ virtual }) => virtual.processor);
    compiler.compile = (...args) => {
      const region = compile(...args);
      const run: typeof region.run = (...parameters) => {
        const left = region.run?.(...parameters) ?? 0;
        processor.state.words[2 * Gpr.R15] ^= 4;
        return left;
      };
      return { ...region, run };
    };
    expect(() => machine.run()).toThrow(/compiled code from 0*1\w+ to 0*1\w+: r15 0*4, not 0+/);
  });
});

describe('both engines', () => {
  test.each(CASES)('$name with $vcpus on $pcpus, lookahead $lookahead', (setup) => {
    for (const skip of ['on', 'off'] as const) {
      const wanted = outcome('interpreter', skip, setup);
      const got = outcome('compiled', skip, setup);
      expect(got.report).toEqual(wanted.report);
      expect(got.trace).toBe(wanted.trace);
      if (setup.vcpus > 1) expect(got.regions).toBeGreaterThan(3);
    }
  });
});

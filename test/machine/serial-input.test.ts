// What comes to COM1: when it is there, that nothing is lost, who is interrupted for it, and what
// scenarios may say of it.

import { describe, expect, test } from 'vitest';
import {
  checkScenario,
  Machine,
  reportOf,
  serialInputOf,
  serialText,
} from '../../src/machine/index.ts';
import { assembleText, guestProgram, runGuest, scenarioOf } from '../support/guest-run.ts';

/** Echoes what comes, as soon as it is there, until so many bytes have come. */
const POLLED = (count: number, setUp = '') => `
bits 64
    ${setUp}
    mov ecx, ${count}
.next:
    mov dx, 0x3fd
.wait:
    pause
    in al, dx
    test al, 1
    jz .wait
    mov dx, 0x3f8
    in al, dx
    out 0xe9, al
    loop .next
    cli
    hlt
`;

const WITH_FIFO = 'mov dx, 0x3fa\nmov al, 1\nout dx, al';

const polled = (count: number, serial: string, setUp = '') =>
  runGuest(assembleText(POLLED(count, setUp)), { vm: { serial_input: serial } });

describe('a guest that polls', () => {
  test.each([
    ['without FIFO', ''],
    ['with FIFO', WITH_FIFO],
  ])('reads every byte once, in order, %s', (_what, setUp) => {
    const text = 'the other end watches the modem lines';
    // Who switches the FIFO on loses what is there.
    const serial = `20us,${Buffer.from(text).toString('hex')}`;
    const { report, ending } = polled(text.length, serial, setUp);
    expect([ending.status, report.vms[0].output]).toEqual(['halted', text]);
  });

  test('waits for what comes later', () => {
    const { report } = polled(3, '61,200us,62,1ms,63');
    expect(report.vms[0].output).toBe('abc');
    expect(report.virtualNs).toBeGreaterThan(1_200_000);
    expect(report.virtualNs).toBeLessThan(1_250_000);
  });

  test('goes the same way from a snapshot in the middle, and on both engines', () => {
    const program = assembleText(POLLED(4));
    const vm = { serial_input: '61,100us,62,300us,6364' };
    const machineOf = (engine: 'interpreter' | 'compiled') =>
      new Machine({ ...scenarioOf({ vm }), engine }, { programs: [program] });
    const outcome = (machine: Machine) => {
      const ending = machine.run();
      if (ending === null) throw new Error('the run did not end');
      return [reportOf(machine, ending).vms[0].output, machine.now, machine.stateHash()];
    };
    const whole = outcome(machineOf('interpreter'));
    expect(whole[0]).toBe('abcd');
    expect(outcome(machineOf('compiled'))).toEqual(whole);
    const machine = machineOf('interpreter');
    machine.run(machine.host.frequency.toCycles(200_000));
    const snapshot = machine.snapshot();
    expect(outcome(machine)).toEqual(whole);
    machine.restore(snapshot);
    expect(outcome(machine)).toEqual(whole);
  });
});

describe('a guest that is interrupted', () => {
  const command = (serial: string) =>
    runGuest(guestProgram('serial-command.asm'), { vm: { serial_input: serial } });

  test.each([
    ['without FIFO each byte interrupts', '564d71', 'VMq', 'halted'],
    ['also what comes while everybody sleeps', '56,1ms,4d,2ms,71', 'VMq', 'halted'],
    ['what nobody survives', '56,1ms,4d58,1ms,21', 'VMX!', 'tripleFault'],
    ['who waits for more than comes is stuck', '56,1ms,4d', 'VM', 'deadlock'],
    ['who waits for what never comes, too', '', '', 'deadlock'],
  ])('%s', (_what, serial, output, status) => {
    const { report, ending } = command(serial);
    expect([report.vms[0].output, ending.status]).toEqual([output, status]);
  });

  test('sleeps meanwhile', () => {
    const { report } = command('56,1ms,71');
    expect(report.virtualNs).toBeGreaterThan(1_000_000);
    expect(report.vcpus[0].times.blockedNs).toBeGreaterThan(900_000);
  });
});

test('who is halted for good does not wait for what comes', () => {
  const { report, ending } = runGuest(assembleText('bits 64\ncli\nhlt\n'), {
    vm: { serial_input: '1s,61' },
  });
  expect(ending.status).toBe('halted');
  expect(report.virtualNs).toBeLessThan(1_000_000);
});

describe('as text', () => {
  test.each([
    ['', '', []],
    ['564d', '564d', []],
    ['56,100us,4d', '564d', [[1, 100_000]]],
    [
      '1ms,56,1ms,500us,4d',
      '564d',
      [
        [0, 1_000_000],
        [1, 1_500_000],
      ],
    ],
  ])('%s', (text, bytes, pauses) => {
    const input = serialInputOf(text);
    if (input === null) throw new Error('not understood');
    expect(Buffer.from(input.bytes).toString('hex')).toBe(bytes);
    expect(input.pauses.map(({ at, ns }) => [at, ns])).toEqual(pauses);
    expect(serialInputOf(serialText(input))).toEqual(input);
  });

  test.each([',56', '5', '56,', '56,1', '56,0us', '1.5ms', '56 4d', 'xy'])(
    '%j is refused, and what is expected is said',
    (text) => {
      expect(serialInputOf(text)).toBeNull();
      const checked = checkScenario({ vms: [{ program: 'x.asm', serial_input: text }] });
      expect('issues' in checked && checked.issues[0].message).toBe(
        'expected hexadecimal digits, two for each byte, and pauses, such as 564d,100us,21, ' +
          `not ${JSON.stringify(text)}`,
      );
    },
  );
});

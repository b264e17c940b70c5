// sched_setaffinity on vCPU threads at times that a scenario gives.

import { expect, test } from 'vitest';
import { Machine } from '../../src/machine/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import { assembleText, checkedScenario } from '../support/guest-run.ts';

const SPIN = assembleText('bits 64\nspin: jmp spin');

function machineOf(changes: readonly object[]) {
  const scenario = checkedScenario({
    host: { pcpus: 3 },
    vms: [{ program: 'spin.asm', vcpus: 1, pin: ['0'], affinity_changes: changes }],
    limits: { time: '5ms' },
  });
  const records: TraceRecord[] = [];
  const sink = { record: (record: TraceRecord) => records.push(record) };
  return { machine: new Machine(scenario, { programs: [SPIN], sink }), records };
}

test('a vCPU leaves the guest and the pCPU at that time, and comes to the first other one', () => {
  const { machine, records } = machineOf([
    { at: '2ms', vcpu: 0, pin: '1-2' },
    { at: '4ms', vcpu: 0, pin: '2' },
    { at: '4500us', vcpu: 0, pin: '' },
  ]);
  machine.run();
  const moves = records.flatMap((record) => (record.name === 'sched_migrate_task' ? [record] : []));
  expect(moves.map(({ comm, fields }) => [comm, fields.origCpu, fields.destCpu])).toEqual([
    ['migration/0', 0, 1],
    ['migration/1', 1, 2],
  ]);
  expect(moves.map(({ timeNs }) => Math.floor(timeNs / 1e5))).toEqual([20, 40]);
  const exit = records.find(({ name, timeNs }) => name === 'kvm_exit' && timeNs >= 2e6);
  expect(exit).toMatchObject({ pcpu: 0, fields: { reason: 'EXTERNAL_INTERRUPT' } });
  machine.host.assertConserved();
});

test('runs the same from a snapshot', () => {
  const changes = [{ at: '2ms', vcpu: 0, pin: '2' }];
  const whole = machineOf(changes).machine;
  whole.run();
  const { machine } = machineOf(changes);
  const cycles = machine.host.frequency.toCycles(1e6);
  machine.run(cycles);
  const early = machine.snapshot();
  machine.run(3 * cycles);
  expect(machine.vms[0].vcpus[0].thread.state.pcpu).toBe(2);
  machine.restore(early);
  expect(machine.vms[0].vcpus[0].thread.affinity).toEqual([0]);
  machine.run();
  expect(machine.stateHash()).toBe(whole.stateHash());
});

test.each([
  [{ vcpu: 2, pin: '0' }, 'vcpu: expected 0 to 0, not 2'],
  [{ pin: '3' }, 'pin: there is no pCPU 3: host.pcpus is 3'],
  [{ pin: 'x' }, "pin: expected pCPUs such as 0-3,6, not 'x'"],
])('%j is a mistake', (change, message) => {
  expect(() => machineOf([change])).toThrow(`vms.0.affinity_changes.0.${message}`);
});

// PREEMPT_GRANT: a vCPU that says that it holds something is preempted later, once and not for
// long; and gives way as soon as it does not hold it any more. As docs/paravirtual.md has it.

import { describe, expect, test } from 'vitest';
import { type LabRun, lab } from '../../src/testing/index.ts';

const GRANT_NS = 500_000;

/** Costs of exits, switches and timers may add so much. */
const SLACK_NS = 30_000;

const HOLD = 'mov dword [record], 1';
const REGISTER = 'mov eax, 0x101\nmov ebx, record\nvmcall\nmov [result_answer], rax';

/** On one pCPU with a hog: registers a record, and computes for ever or does what `body` says. */
const program = (body: string) => `
bits 64
    ${body}
forever:
    mov rcx, -1
    loop $
    jmp forever
align 64
record: dd 0, 0
result_answer: dq 0
result_wanted: dq 0
`;

interface Setup {
  readonly body: string;
  readonly grantNs?: number;
  readonly until?: string;
  readonly host?: Readonly<Record<string, string>>;
}

function run({ body, grantNs = GRANT_NS, until = '60ms', host = {} }: Setup): LabRun {
  const scenario = { host: { scheduler: host }, vms: [{ kvm: { preempt_grant_ns: grantNs } }] };
  return lab(
    program(body),
    { pcpus: 1, hogs: 1, until, 'max-instructions': '100G' },
    { scenario },
  ).run();
}

interface Stay {
  readonly state: string;
  readonly ns: number;
}

/** How long the vCPU ran each time, and the state in which it was switched out. */
function staysOf({ trace }: LabRun): readonly Stay[] {
  const stays: Stay[] = [];
  let since = 0;
  for (const { name, timeNs, fields } of trace) {
    if (name !== 'sched_switch') continue;
    if (fields.next.comm === 'vcpu0') since = timeNs;
    if (fields.prev.comm === 'vcpu0') stays.push({ state: fields.prevState, ns: timeNs - since });
  }
  return stays;
}

const counters = ({ report }: LabRun) => report.vcpus[0].statistics;
const result = ({ report }: LabRun, name: string) =>
  BigInt.asIntN(64, BigInt(report.vms[0].results[name][0]));

describe('the hypercall', () => {
  const answer = (body: string, grantNs?: number) =>
    result(run({ body, ...(grantNs === undefined ? {} : { grantNs }) }), 'answer');

  test('does not exist unless a grant is configured', () => {
    expect(answer(REGISTER, 0)).toBe(-1000n);
  });

  test('answers how long a grant is', () => {
    expect(answer(REGISTER)).toBe(BigInt(GRANT_NS));
  });

  test('wants a record that is aligned, and in memory', () => {
    expect(answer(REGISTER.replace('ebx, record', 'ebx, record + 4'))).toBe(-22n);
    expect(answer(REGISTER.replace('ebx, record', 'ebx, 0xfee00000'))).toBe(-14n);
  });

  test('goes on where nobody wants the pCPU', () => {
    const giveWay = REGISTER.replace('ebx, record', 'ebx, 0');
    expect(answer(giveWay)).toBe(0n);
  });
});

describe('a vCPU that holds something', () => {
  const plain = staysOf(run({ body: REGISTER }));

  test.each(['voluntary', 'full'])('is preempted later by a grant: %s', (preemption) => {
    const held = run({ body: `${REGISTER}\n${HOLD}`, host: { preemption } });
    const stays = staysOf(held);
    expect(stays.length).toBeGreaterThan(2);
    // Of equal slices, the first: what was owed later depends on it.
    const longer = stays[0].ns - plain[0].ns;
    expect(Math.abs(longer - GRANT_NS)).toBeLessThan(SLACK_NS);
    expect(counters(held)).toMatchObject({
      preempt_grants: stays.length,
      preempt_grants_exceeded: stays.length,
    });
  });

  test('is not, without a record', () => {
    expect(staysOf(run({ body: HOLD }))[0]).toEqual(staysOf(run({ body: 'nop' }))[0]);
  });

  test('sees that the pCPU is wanted, and gives way when it lets go', () => {
    const polite = run({
      body: `
    ${REGISTER}
again:
    ${HOLD}
until_wanted: cmp dword [record + 4], 0
    je until_wanted
    mov ecx, 100000
    loop $
    mov dword [record], 0
    mov eax, 0x101
    xor ebx, ebx
    vmcall
    mov eax, [record + 4]
    add [result_wanted], rax
    jmp again`,
    });
    const stays = staysOf(polite);
    expect(stays.length).toBeGreaterThan(2);
    expect(stays.every(({ state }) => state === 'R')).toBe(true);
    const longer = stays[0].ns - plain[0].ns;
    expect(longer).toBeGreaterThan(20_000);
    expect(longer).toBeLessThan(GRANT_NS / 2);
    const { preempt_grants: grants, preempt_grants_exceeded: exceeded } = counters(polite);
    expect([grants, exceeded]).toEqual([stays.length, 0]);
    // The host takes its word back with the pCPU.
    expect(result(polite, 'wanted')).toBe(0n);
  });

  test('gets no more than its part by never letting go', () => {
    const cheat = run({ body: `${REGISTER}\n${HOLD}`, until: '2s' });
    const { times } = cheat.report.vcpus[0];
    expect(Math.abs((times.guestNs + times.hostNs) / 2e9 - 0.5)).toBeLessThan(0.01);
  });
});

// LOCK_WAIT, the hypercall of a vCPU that has spun long enough: what each action of the host does
// with its thread, as the trace shows it. The actions are those of docs/paravirtual.md.

import { describe, expect, test } from 'vitest';
import { type LabRun, lab } from '../../src/testing/index.ts';

const NO_SUCH_CALL = -1000;

/**
 * VCPU 0 computes until the others have been preempted, calls, and ends the run; they compute for
 * ever, or do what `others` says.
 */
const program = (call: string, others = 'mov rcx, -1\nloop $') => `
bits 64
    test edi, edi
    jnz others
    mov ecx, 40000000
    loop $
    mov ebx, the_lock
    mov rcx, -1
    xor edx, edx
    ${call}
    mov eax, 0x100
    vmcall
    mov [result_answer], rax
    mov al, 0
    out 0xf4, al
others:
    ${others}
align 16
table:
    dq 0, 0, 0, 0, 0, 0
align 8
the_lock: dq 0
result_answer: dq 0
`;

interface Setup {
  readonly action: string;
  readonly call?: string;
  readonly others?: string;
  readonly vcpus?: number;
  readonly hogs?: number;
}

/** All on one pCPU, whose scheduler takes whoever is preferred. */
function run({ action, call = '', others, vcpus = 3, hogs = 0 }: Setup): LabRun {
  const scenario = {
    host: { scheduler: { wakeup_granularity: '100ms' } },
    vms: [{ kvm: { lock_wait: action } }],
  };
  return lab(program(call, others), { vcpus, pcpus: 1, hogs, until: '500ms' }, { scenario }).run();
}

/** What happens after the call: state of the caller's thread, and who runs next. */
function afterCall({ trace }: LabRun): readonly [state: string, next: string] | null {
  const at = trace.findIndex(({ name }) => name === 'kvm_hypercall');
  const found = trace.slice(at).find(({ name }) => name === 'sched_switch');
  if (at < 0 || found === undefined) return null;
  const { prevState, next } = found.fields as unknown as {
    prevState: string;
    next: { comm: string };
  };
  return [prevState, next.comm];
}

const answer = ({ report }: LabRun) => BigInt.asIntN(64, BigInt(report.vms[0].results.answer[0]));

describe('the question what the host does', () => {
  test.each([
    ['none', NO_SUCH_CALL],
    ['go-last', 0],
    ['directed', 0],
    ['sleep-100us', 0],
    ['block+kick', 1],
    ['hint', 1],
    ['list', 1],
  ])('%s: %i', (action, expected) => {
    const asked = run({ action, call: 'xor ebx, ebx', vcpus: 1 });
    expect(answer(asked)).toBe(BigInt(expected));
    expect(asked.ending.status).toBe('exited');
  });
});

describe('a call', () => {
  test('go-last: everybody else on the pCPU runs before', () => {
    const called = run({ action: 'go-last', vcpus: 1, hogs: 3 });
    const at = called.trace.findIndex(({ name }) => name === 'kvm_hypercall');
    const switches = called.trace.slice(at).filter(({ name }) => name === 'sched_switch');
    const next = switches.map(
      ({ fields }) => (fields as unknown as { next: { comm: string } }).next.comm,
    );
    const back = next.findIndex((comm) => comm.includes('vcpu'));
    expect(new Set(next.slice(0, back)).size).toBe(3);
    expect(answer(called)).toBe(0n);
  });

  test('directed: the yield of a PAUSE-loop exit', () => {
    const called = run({ action: 'directed' });
    const { statistics } = called.report.vcpus[0];
    expect(statistics.ple_yield_successful).toBe(1);
    expect(afterCall(called)?.[0]).toBe('R');
  });

  test('sleep-100us: asleep for that long', () => {
    const [none, called] = ['none', 'sleep-100us'].map((action) => run({ action, vcpus: 1 }));
    const longer = called.report.virtualNs - none.report.virtualNs;
    expect(longer).toBeGreaterThan(100_000);
    expect(longer).toBeLessThan(110_000);
    expect(afterCall(called)?.[0]).toBe('S');
  });

  const kickFirst =
    'mov r8d, 40000000\npass: dec r8d\njnz pass\nmov eax, 5\nxor ebx, ebx\nxor ecx, ecx\nvmcall\nmov rcx, -1\nloop $';

  test('block+kick: asleep until the kick', () => {
    const called = run({
      action: 'block+kick',
      others: `mov r8d, 99000000\n${kickFirst}`,
      vcpus: 2,
    });
    expect(afterCall(called)?.[0]).toBe('S');
    expect(answer(called)).toBe(1n);
  });

  test('block+kick: a kick that came before is not lost', () => {
    const call = 'mov ecx, 80000000\nloop $\nmov rcx, -1';
    const others =
      'mov r8d, 10\npass: dec r8d\njnz pass\nmov eax, 5\nxor ebx, ebx\nxor ecx, ecx\nvmcall\ncli\nhlt';
    const called = run({ action: 'block+kick', call, others, vcpus: 2 });
    expect(called.ending.status).toBe('exited');
  });

  test.each([1, 2])('hint: vCPU %i, which waits for the pCPU, runs at once', (id) => {
    const called = run({ action: 'hint', call: `mov ecx, ${id}` });
    expect(afterCall(called)).toEqual(['R', expect.stringMatching(new RegExp(`vcpu${id}$`))]);
    expect(answer(called)).toBe(0n);
    expect(called.report.vcpus[0].statistics.directed_yield_successful).toBe(1);
  });

  test.each(['mov rcx, -1', 'mov ecx, 0', 'mov ecx, 77'])('hint: %s blocks', (call) => {
    const called = run({ action: 'hint', call });
    expect(afterCall(called)?.[0]).toBe('S');
    expect(called.ending.status).toBe('limit');
  });

  /** The table: tickets of vCPUs 0, 1 and 2 for the lock. */
  const line = (...tickets: readonly number[]) =>
    [
      ...tickets.flatMap((ticket, i) => [
        `mov qword [table + ${16 * i}], the_lock`,
        `mov qword [table + ${16 * i + 8}], ${ticket}`,
      ]),
      'mov edx, table',
    ].join('\n');

  test.each([
    ['the first in line', line(9, 5, 7), '1'],
    ['the first in line, last in the table', line(9, 7, 5), '2'],
    ['tickets wrap around', line(2, 1, 0xfffe), '2'],
    ['not who is behind the caller', line(5, 9, 4), '2'],
    ['not who waits for another lock', `${line(9, 5, 7)}\nmov qword [table + 16], 64`, '2'],
  ])('list: %s', (_, call, id) => {
    const called = run({ action: 'list', call });
    expect(afterCall(called)).toEqual(['R', expect.stringMatching(new RegExp(`vcpu${id}$`))]);
  });

  test('list: nobody before the caller waits for a pCPU, so it blocks', () => {
    expect(afterCall(run({ action: 'list', call: line(5, 6, 7) }))?.[0]).toBe('S');
  });

  test('list: without a table it blocks, and a table beyond memory is an error', () => {
    expect(afterCall(run({ action: 'list' }))?.[0]).toBe('S');
    expect(answer(run({ action: 'list', call: 'mov edx, 0x7ffffff8' }))).toBe(-14n);
  });
});

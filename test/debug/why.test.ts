// Questions about the past: why an exit happened and what it cost, what vCPUs wait for, who stored
// to a lock, where time went. Each answer is compared with what one sees by going there.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { createSession, type Session } from '../../src/debug/index.ts';
import { USE_NAMES } from '../../src/machine/index.ts';
import { assembleText, guestProgram, scenarioOf } from '../support/guest-run.ts';

const SPIN = `
    test edi, edi
    jnz waiter
    mov ecx, 20000
delay:
    dec ecx
    jnz delay
    mov byte [rel released], 1
    cli
    hlt
waiter:
    pause
    cmp byte [rel released], 0
    je waiter
    cli
    hlt
released: db 0
`;

/** The numbers in the line that begins with some words. */
function numbersIn(lines: readonly string[], begin: string): number[] {
  const line = lines.find((one) => one.startsWith(begin));
  if (line === undefined) throw new Error(`no line '${begin}' in:\n${lines.join('\n')}`);
  return [...line.matchAll(/\b\d+\b/g)].map(([digits]) => Number(digits));
}

function exitOf(session: Session, reason: string): void {
  session.breakpoints.add({ kind: 'exit', reason, temporary: true });
  expect(session.continue().reason).toBe('breakpoint');
}

describe('why', () => {
  test('a loop of PAUSEs: when it began, its gap, its window', () => {
    const programs = [assembleText(SPIN)];
    const session = createSession(scenarioOf({ vcpus: 2, pcpus: 2 }), { programs });
    session.breakpoints.add({ kind: 'exit', reason: 'PAUSE_INSTRUCTION' });
    const seen: string[] = [];
    for (const expected of [4096, 8192]) {
      expect(session.continue().reason).toBe('breakpoint');
      const why = session.why(1);
      const { clock } = session.vcpus[1].virtual.processor;
      const [end] = numbersIn(why, 'It was at');
      const [first, last] = numbersIn(why, 'The loop of PAUSEs');
      // The clock is behind the exit, which costs something.
      expect(end).toBe(clock - session.vcpus[1].vm.costs.vmx.exit);
      expect(numbersIn(why, 'PLE_Gap').slice(0, 2)).toEqual([end - last, 128]);
      expect(end - last).toBeLessThanOrEqual(128);
      expect(numbersIn(why, 'PLE_Window').slice(0, 2)).toEqual([end - first, expected]);
      expect(end - first).toBeGreaterThan(expected);
      // The PAUSE before was in the window still.
      expect(last - first).toBeLessThanOrEqual(expected);
      expect(why).toContain('It has not been handled yet.');
      seen.push(...why);
    }
    expect(seen.join('\n')).toContain('grown from ple_window 4096');
    // The first PAUSE is executed where single steps come to it.
    const [began] = numbersIn(seen, 'The loop of PAUSEs');
    session.goTo({ event: 0, time: 0, pcpu: -1 });
    const pause = session.readRegister(0, 'rip').toNumber();
    session.stepInstruction(1);
    session.stepInstruction(1);
    expect(session.readRegister(1, 'rip').toNumber()).toBeGreaterThan(pause);
    expect(session.vcpus[1].virtual.processor.clock).toBe(began);
  });

  test.each([
    {
      entry: 'VMfailValid',
      change: ['PIN_BASED_VM_EXEC_CONTROL', 0],
      name: 'IO_INSTRUCTION',
      failure:
        'vCPU 0: VM entry failed with 0x7 (VMfailValid: VM entry with invalid control field(s)); ' +
        'the check that failed: reserved bits have the values that the capability MSRs allow ' +
        '(PIN_BASED_VM_EXEC_CONTROL 0x0; SDM 3, "VM-Execution Control Fields").',
    },
    {
      entry: 'a VM exit',
      change: ['VMCS_LINK_POINTER', 5],
      name: 'INVALID_STATE',
      failure:
        'vCPU 0: VM entry failed with 0x80000021 (INVALID_STATE, qualification 4); ' +
        'the check that failed: the VMCS link pointer is all ones (shadowing is not offered) ' +
        '(VMCS_LINK_POINTER 0x5; SDM 3, "Checks on Guest Non-Register State").',
    },
  ] as const)(
    'an entry that fails, told by $entry',
    ({ change: [field, value], name, failure }) => {
      const programs = [assembleText('out 0xe9, al\ncli\nhlt')];
      const session = createSession(scenarioOf({}), { programs });
      exitOf(session, 'IO_INSTRUCTION');
      session.writeVmcsField(0, field, Long.fromInt(value));
      session.continue();
      const why = session.why(0);
      expect(why[0]).toMatch(new RegExp(`^${name}: `));
      expect(why.slice(-2)).toEqual(['The guest has not been entered again.', failure]);
      expect(why.join('\n')).not.toContain('From the guest to the guest');
    },
  );

  test('what the host did then, and what it cost, to the cycle', () => {
    const programs = [assembleText(SPIN)];
    const session = createSession(scenarioOf({ vcpus: 2, pcpus: 2 }), { programs });
    exitOf(session, 'PAUSE_INSTRUCTION');
    const [end] = numbersIn(session.why(1), 'It was at');
    session.breakpoints.add({ kind: 'entry', vcpu: 1 });
    session.continue();
    const why = session.why(1);
    expect(why.join('\n')).toContain('  kvm_ple_window_update: vcpu 1 old 4096 new 8192 (growed)');
    const [total, ...parts] = numbersIn(why, 'From the guest to the guest');
    expect(end + total).toBe(session.vcpus[1].virtual.processor.clock);
    expect(parts.reduce((sum, part) => sum + part)).toBe(total);
    // Still the same, although the next window is another one.
    expect(numbersIn(why, 'PLE_Window')[1]).toBe(4096);
  });

  test('the preemption timer: value, deadline and overshoot; the TSC deadline before', () => {
    const programs = [
      assembleText(
        `
    mov ecx, 0x1b
    rdmsr
    or eax, 1 << 10
    wrmsr
    mov ecx, 0x80f
    mov eax, 0x1ff
    xor edx, edx
    wrmsr
    mov ecx, 0x832
    mov eax, 0x40000 | 0x40
    wrmsr
    rdtsc
    add eax, 50000
    mov ecx, 0x6e0
    wrmsr
wait_here:
    nop
    jmp wait_here
`.replace('%include "lib/x2apic.inc"', ''),
      ),
    ];
    const session = createSession(scenarioOf({ vcpus: 1, pcpus: 1 }), { programs });
    session.breakpoints.add({ kind: 'msr', index: 0x6e0 });
    session.continue();
    const [deadline, tsc, ahead] = numbersIn(session.why(0), 'IA32_TSC_DEADLINE');
    expect(deadline - tsc).toBe(ahead);
    expect(ahead).toBeGreaterThan(40_000);
    expect(ahead).toBeLessThan(50_000);
    exitOf(session, 'PREEMPTION_TIMER');
    const why = session.why(0);
    const [end] = numbersIn(why, 'It was at');
    const [value, begin, period, expired, overshoot] = numbersIn(why, 'It was loaded');
    // SDM 3, "VMX-Preemption Timer": it counts when bit 5 of the TSC changes.
    expect(period).toBe(32);
    expect(expired).toBe((Math.floor(begin / 32) + value) * 32);
    expect(end - expired).toBe(overshoot);
    expect(overshoot).toBeGreaterThanOrEqual(0);
    expect(overshoot).toBeLessThan(32);
    const [wanted] = numbersIn(why, "The local APIC's timer");
    // The value is worked out before the entry, which costs something.
    expect(expired - wanted).toBeGreaterThan(-32);
    expect(expired - wanted).toBeLessThan(session.vcpus[0].vm.costs.vmx.entry + 32);
  });

  test('an interrupt of the host: which one was due', () => {
    const scenario = scenarioOf({ vcpus: 1, pcpus: 1, hogs: 1, hz: 1000 });
    const programs = [assembleText('again: nop\njmp again')];
    const session = createSession(scenario, { programs });
    exitOf(session, 'EXTERNAL_INTERRUPT');
    expect(session.why(0)).toContain('At the pCPU waited: tick.');
  });
});

test('what vCPUs wait for', () => {
  const scenario = scenarioOf({ vcpus: 3, pcpus: 1, hogs: 0 });
  const programs = [
    assembleText('test edi, edi\njz again\nhalted: sti\nhlt\nagain: nop\njmp again'),
  ];
  const session = createSession(scenario, { programs });
  session.breakpoints.add({ kind: 'time', time: 10_000 });
  session.continue();
  expect(session.waitOf(0)).toBe(null);
  expect(session.waitOf(1)).toMatch(/waits for pCPU 0 for \d+ cycles, where vcpu0 runs, and vcpu2/);
  session.breakpoints.add({ kind: 'hostEvent', event: 'sched_switch', condition: 'hits > 1' });
  const sleeper = () => session.vcpus.findIndex(({ state }) => state.phase === 'blocked');
  while (sleeper() < 0) session.stepHost();
  session.stepHost();
  expect(session.waitOf(sleeper())).toMatch(/^sleeps .* halted, until an interrupt.*not set$/);
});

test('who stored to a lock: what stops at each change show', () => {
  const scenario = scenarioOf({ vcpus: 3, pcpus: 2, hogs: 1, hz: 1000 });
  const programs = [guestProgram('lock-tas.asm', { ITERATIONS: '6' })];
  const session = createSession(scenario, { programs });
  const symbol = session.readRegister(0, 'rip').add(0x140);
  const spec = {
    ...({ kind: 'memory', space: 'linear', access: 'change' } as const),
    ...{ address: symbol, lengthBytes: 4 },
  };
  session.breakpoints.add(spec);
  const stops: string[] = [];
  while (session.continue().reason === 'breakpoint') {
    stops.push(`${session.stop.vcpu} ${session.stop.hits[0].detail}`);
  }
  expect(stops.length).toBe(2 * 3 * 6);
  const hash = session.stateHash();
  const ask = (most: number) => {
    const work = session.aside(() => session.stores(spec, most));
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
    }
  };
  const { stores, isAll } = ask(1e6);
  const changes = stores.filter((store) => store.old !== store.new);
  const hex = (value: bigint) => `0x${value.toString(16)}`;
  expect(changes.map((one) => `${one.vcpu} ${hex(one.old)} -> ${hex(one.new)}`)).toEqual(stops);
  expect(isAll).toBe(true);
  expect(ask(5)).toEqual({ stores: stores.slice(-5), isAll: false });
  expect(session.stateHash()).toBe(hash);
});

test('where time went between two places: what the threads say there, to the cycle', () => {
  const scenario = scenarioOf({ vcpus: 4, pcpus: 2, hogs: 1, hz: 1000 });
  const programs = [guestProgram('lock-ticket-pv.asm', { ITERATIONS: '10' })];
  const session = createSession(scenario, { programs });
  const times = () => session.vcpus.map(({ thread: { state } }) => ({ ...state.times }));
  for (let i = 0; i < 40; i++) session.stepHost();
  const [from, before] = [session.when, times()];
  for (let i = 0; i < 60; i++) session.stepHost();
  const [to, after] = [session.when, times()];
  const work = session.aside(() => session.delays(from, to));
  let step = work.next();
  while (step.done !== true) step = work.next();
  for (const [i, { elapsed, uses }] of step.value.vcpus.entries()) {
    expect(USE_NAMES.reduce((sum, use) => sum + uses[use], 0)).toBe(elapsed);
    expect(uses.exits + uses.polling).toBe(after[i].host - before[i].host);
    expect(uses.useful).toBe(after[i].guest - before[i].guest);
  }
  expect(step.value.vcpus.some(({ uses }) => uses.runQueue > 0)).toBe(true);
  expect(session.when).toEqual(to);
});

// Where time went: states that hold for a whole run, so that it is known beforehand what every
// cycle was spent on, and sums that are known to the cycle.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import {
  type Account,
  accountMachine,
  LOAD_ADDRESS,
  Machine,
  SymbolMap,
  USE_NAMES,
} from '../../src/machine/index.ts';
import { checkedScenario } from '../support/guest-run.ts';

/** VCPU 0 says what `first` does, all others wait for the lock; nobody does anything else. */
const locks = (first: string) => `
bits 64
    lea rcx, [lock_wait]
    lea rdx, [lock_held]
    mov qword [rcx + 8 * rdi], the_lock
    test edi, edi
    jnz forever
    ${first}
forever:
    jmp forever
align 8
the_lock:   dq 1
lock_wait:  dq 0, 0, 0, 0
lock_held:  dq 0, 0, 0, 0
`;

const HOLDS = 'mov qword [rcx], 0\nmov qword [rdx], the_lock';
const WAITS = 'nop';

function account(text: string, { pcpus = 2, vcpus = 2, hogs = 0, time = '40ms' }): Account {
  const program = assembled(text);
  const scenario = checkedScenario({
    host: { pcpus, lookahead: 5000 },
    vms: [{ program: 'text.asm', vcpus, name: 'guest' }],
    hogs: [{ count: hogs }],
    limits: { time, instructions: '100G' },
  });
  const machine = new Machine(scenario, {
    programs: [program.bytes],
    symbols: [SymbolMap.ofAssembly(program)],
  });
  return accountMachine(machine, 20_000).account;
}

function assembled(text: string) {
  const origin = Long.fromNumber(LOAD_ADDRESS);
  const result = assemble({ name: 'text.asm', text }, { readFile: () => '', origin });
  if (result.kind === 'ok') return result;
  throw new Error(JSON.stringify(result.errors));
}

/** Of the guest time of one vCPU, in percent. */
function guestShares({ threads }: Account, index: number): Record<string, number> {
  const { useful, holderRuns, holderPreempted, waiterPreempted } = threads[index].uses;
  const parts = { useful, holderRuns, holderPreempted, waiterPreempted };
  const all = Object.values(parts).reduce((sum, part) => sum + part, 0);
  return Object.fromEntries(
    Object.entries(parts).flatMap(([use, cycles]) => {
      const percent = Math.round((100 * cycles) / all);
      return percent === 0 ? [] : [[use, percent]];
    }),
  );
}

describe('guest time', () => {
  test('without a lock is of use', () => {
    const all = account('bits 64\nforever:\njmp forever\n', {});
    expect([guestShares(all, 0), guestShares(all, 1)]).toEqual([{ useful: 100 }, { useful: 100 }]);
  });

  test('behind a holder that has a pCPU', () => {
    const all = account(locks(HOLDS), {});
    expect(guestShares(all, 0)).toEqual({ useful: 100 });
    expect(guestShares(all, 1)).toEqual({ holderRuns: 100 });
  });

  test('behind a holder that has none', () => {
    const all = account(locks(HOLDS), { pcpus: 1 });
    expect(guestShares(all, 0)).toEqual({ useful: 100 });
    expect(guestShares(all, 1)).toEqual({ holderPreempted: 100 });
  });

  test('behind a waiter that has none', () => {
    const all = account(locks(WAITS), { pcpus: 1 });
    expect(guestShares(all, 1)).toEqual({ waiterPreempted: 100 });
  });
});

describe('parts', () => {
  test('add up to the cycles of the run, for every thread and pCPU', () => {
    const { threads, pcpus, elapsed } = account(locks(HOLDS), { pcpus: 2, vcpus: 3, hogs: 1 });
    for (const { uses, elapsed: own } of threads) {
      expect(USE_NAMES.reduce((sum, use) => sum + uses[use], 0)).toBe(own);
      expect(own - elapsed).toBeLessThan(20_000);
    }
    for (const { guest, host, idle } of pcpus) {
      expect(guest + host + idle - elapsed).toBeLessThan(20_000);
      expect(guest + host + idle).toBeGreaterThanOrEqual(elapsed);
    }
    const busy = threads.reduce((sum, { uses }) => sum + uses.useful + uses.exits, 0);
    const waits = threads.reduce((sum, { uses }) => sum + uses.runQueue, 0);
    // Four threads, two pCPUs that are never idle.
    expect(Math.abs(waits / (2 * elapsed) - 1)).toBeLessThan(0.01);
    expect(busy).toBeLessThan(2 * elapsed);
  });

  test('of a party are the sums of its threads', () => {
    const { threads, parties } = account(locks(HOLDS), { pcpus: 1, hogs: 2 });
    expect(parties.map(({ name }) => name)).toEqual(['guest', 'hogs']);
    const hogs = threads.filter(({ party }) => party === 'hogs');
    expect(parties[1].uses.useful).toBe(hogs[0].uses.useful + hogs[1].uses.useful);
    expect(parties[1].uses.useful).toBeGreaterThan(0);
  });

  test('a halted guest is asleep but for what it polled', () => {
    const sleeps = 'bits 64\ncli\ntest edi, edi\njnz away\nspin: jmp spin\naway: hlt\njmp away\n';
    const { threads, elapsed } = account(sleeps, {});
    const { idle, useful, runQueue } = threads[1].uses;
    expect(idle / elapsed).toBeGreaterThan(0.99);
    expect([useful < 100, runQueue]).toEqual([true, 0]);
  });
});

// Leaving out what only waits changes nothing: random locks on random hosts, with everything
// executed and with waits left out. The same trace, report (registers, counters, times, last
// instructions, hash) and state at every stop; and it goes on the same from a snapshot that was
// taken in the middle of a wait.

import { describe, expect, test } from 'vitest';
import type { Machine, Scenario } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import {
  assembleText,
  checkedScenario,
  compileEarly,
  guestProgram,
  runToEnd,
  tracedMachine,
} from '../support/guest-run.ts';

const SEEDS = Array.from({ length: 14 }, (_, i) => i + 1);

type Skip = Scenario['skip'];

interface Case {
  readonly create: (skip: Skip) => { machine: Machine; records: TraceRecord[] };
  /** Cycles at which the run is paused and looked at. */
  readonly stops: readonly number[];
}

const WORDS = 'align 64\nlock_word: dd 0\nalign 64\nnext_word: dd 0';

/** Waits of all kinds that guests know; `acquire` may change RAX to RDX. */
const LOCKS: Readonly<Record<string, string>> = {
  // Two lines are read in each look.
  twoLines: `
%macro acquire 0
    mov eax, 1
    lock xadd [next_word], eax
%%look:
    pause
    cmp dword [next_word], 0
    je %%ours
    mov ecx, [lock_word]
    cmp ecx, eax
    jne %%look
%%ours:
%endmacro
%macro release 0
    inc dword [lock_word]
%endmacro
%include "lib/counter.inc"
${WORDS}`,
  // Two PAUSEs, and work between that leaves everything as it was.
  twoPauses: `
%macro acquire 0
%%try:
    lock bts dword [lock_word], 0
    jnc %%ours
%%look:
    pause
    xor edx, 5
    test dword [lock_word], 1
    pause
    lea rbx, [rcx + 8]
    xor edx, 5
    jnz %%again
    jmp %%try
%%again:
    test dword [lock_word], 1
    jnz %%look
    jmp %%try
%%ours:
%endmacro
%macro release 0
    btr dword [lock_word], 0
%endmacro
%include "lib/counter.inc"
${WORDS}`,
  // What is read decides how long the iteration is: a store beside the word does not end the wait.
  neighbours: `
%macro acquire 0
%%try:
    xor eax, eax
    mov edx, 1
    lock cmpxchg [lock_word], edx
    je %%ours
%%look:
    pause
    mov eax, [lock_word]
    test eax, eax
    jnz %%look
    jmp %%try
%%ours:
%endmacro
%macro release 0
    inc dword [lock_word + 4]
    mov dword [lock_word], 0
%endmacro
%include "lib/counter.inc"
align 64
lock_word: dd 0, 0`,
};

const PROGRAMS = [
  'lock-tas',
  'lock-ticket',
  'lock-ticket-pv',
  'ipi-pingpong',
  ...Object.keys(LOCKS),
];

function programOf(name: string, defines: Readonly<Record<string, string>>): Uint8Array {
  const own = LOCKS[name];
  if (own === undefined) return guestProgram(`${name}.asm`, defines);
  return assembleText(`bits 64\norg 0x100000\ndefault rel\n${own}`, defines);
}

/** The same number gives the same case. */
function randomCase(seed: number): Case {
  const prng = new Prng(seed);
  const pick = <T>(list: readonly T[]) => list[prng.below(list.length)];
  const name = PROGRAMS[seed % PROGRAMS.length];
  const number = (most: number) => String(1 + prng.below(most));
  const document = {
    seed,
    engine: pick(['interpreter', 'compiled']),
    host: {
      pcpus: 1 + prng.below(5),
      lookahead: pick([1, 7, 50, 200, 500, 3000, 20_000]),
      hz: pick([100, 1000, 5000]),
      machine: pick(['e5-2660v4', 'skylake-sp']),
    },
    vms: [
      {
        program: 'test.asm',
        vcpus: name === 'ipi-pingpong' ? 2 : 1 + prng.below(5),
        memory: '2M',
        kvm: { ple_window: pick([0, 500, 4096, 20_000, 2 ** 32 - 1]), ple_gap: pick([0, 40, 128]) },
      },
    ],
    hogs: [{ count: prng.below(4) }],
    limits: { time: '3ms' },
  };
  const hold = pick(['1', '15', '300']);
  const defines = { ITERATIONS: number(12), THINK: number(200), HOLD: hold, ROUNDS: number(12) };
  const program = programOf(name, defines);
  let at = 0;
  const stops = Array.from({ length: 4 }, () => {
    at += 1 + prng.below(120_000);
    return at;
  });
  return {
    stops,
    create: (skip) => tracedMachine(checkedScenario({ ...document, skip }), [program]),
  };
}

function outcome({ create, stops }: Case, skip: Skip) {
  const { machine, records } = create(skip);
  compileEarly(machine, 16);
  const states = stops.map((stop) => {
    machine.run(stop);
    return { hash: machine.stateHash(), host: machine.host.state };
  });
  const { report } = runToEnd(machine);
  return { states, records, report };
}

describe.each(SEEDS)('case %i', (seed) => {
  const each = randomCase(seed);
  const executed = outcome(each, 'off');

  test('is the same with waits left out', () => {
    const skipped = outcome(each, 'on');
    expect(skipped.states).toEqual(executed.states);
    expect(skipped.report).toEqual(executed.report);
    expect(skipped.records).toEqual(executed.records);
  });

  test('goes on from a snapshot in the middle of waits', () => {
    const { machine } = each.create('on');
    machine.run(each.stops[2]);
    const other = each.create('off').machine;
    other.restore(machine.snapshot());
    expect(runToEnd(other).report).toEqual(executed.report);
    const fresh = each.create('on').machine;
    fresh.restore(machine.snapshot());
    expect(runToEnd(fresh).report).toEqual(executed.report);
  });
});

/** Countdowns of all forms, of lengths around those that make a difference. */
function delays(prng: Prng): string {
  const pick = <T>(list: readonly T[]) => list[prng.below(list.length)];
  const one = (i: number) => {
    const count = 1 + prng.below(2 ** (1 + prng.below(17)));
    const step = 1 + prng.below(9);
    return pick([
      `mov ecx, ${count}\n.l${i}: dec ecx\njnz .l${i}`,
      `mov rdx, ${count + 2 ** 33}\n.l${i}: sub rdx, ${step * 2 ** 20}\njnz .l${i}`,
      `mov ebx, ${count * step}\n.l${i}: nop\nsub ebx, ${step}\njnz .l${i}`,
      `mov rsi, ${count * step}\n.l${i}: sub rsi, ${step}\nnop\njnz .l${i}`,
      `mov rcx, ${count}\n.l${i}: loop .l${i}`,
      `mov rcx, ${count}\n.l${i}: a32 loop .l${i}`,
      // Never comes to 0 by itself.
      `mov edi, ${2 * count + 1}\n.l${i}: sub edi, 2\njnz .l${i}`,
      // What counts in another way, or does more, is no delay.
      `mov r8d, ${1 + (count >> 6)}\n.l${i}: inc r9\ndec r8d\njnz .l${i}`,
      `mov r8d, ${1 + (count >> 6)}\n.l${i}: dec r8d\njns .l${i}`,
    ]);
  };
  const body = Array.from({ length: 12 }, (_, i) => `${one(i)}\nlahf\nadd [sum + rdi], rax`);
  return `bits 64\ndefault rel\nstart:\nshl rdi, 3\nlea rbp, [sum]\nagain:\nxor eax, eax
${body.join('\n').replaceAll('[sum + rdi]', '[rbp]')}\njmp again\nalign 64\nsum: dq 0, 0, 0, 0`;
}

describe.each([1, 2, 3, 4, 5])('delays (%i)', (seed) => {
  const prng = new Prng(seed);
  const program = assembleText(delays(prng));
  const vcpus = 1 + prng.below(3);
  const host = { pcpus: 1 + prng.below(vcpus), lookahead: [40, 300, 2000][prng.below(3)] };

  test.each(['interpreter', 'compiled'])('are left out by the engine %s', (engine) => {
    const [executed, skipped] = (['off', 'on'] as const).map((skip) => {
      const vms = [{ program: 'test.asm', vcpus, memory: '2M' }];
      const limits = { time: `${40 + 10 * seed}us` };
      const document = { engine: skip === 'off' ? 'compiled' : engine, skip, host, vms, limits };
      const stops = [1, 2, 3].map((each) => each * (20_000 + seed * 1001));
      return outcome(
        { create: () => tracedMachine(checkedScenario(document), [program]), stops },
        skip,
      );
    });
    expect(skipped).toEqual(executed);
  });
});

test.each([
  ['of 62 bits', '0x3fedcba987654321', 7],
  ['around 2^53', '0x20000000012345', 0x7fffffff],
  ['of 54 bits, which a double has not', '0x3fffffffffffff', 3],
])('a counter %s is counted down exactly', (_, value, step) => {
  const text = `bits 64\nmov rdx, ${value}\n.count: sub rdx, ${step}\njnz .count\nhlt`;
  const program = assembleText(text);
  const [executed, skipped] = (['off', 'on'] as const).map((skip) => {
    const vms = [{ program: 'test.asm', memory: '2M' }];
    const document = { skip, vms, limits: { time: '50us' } };
    const create = () => tracedMachine(checkedScenario(document), [program]);
    return outcome({ create, stops: [20_000, 30_001, 70_007] }, skip);
  });
  expect(skipped).toEqual(executed);
});

/** The instructions that were executed one by one, to see that waits were left out at all. */
function executedInstructions(machine: Machine): number {
  let passed = 0;
  for (const { virtual } of machine.vcpus) {
    const { processor } = virtual;
    const pass = processor.passIterations.bind(processor);
    processor.passIterations = (count, cycles, instructions, rule) => {
      passed += count * instructions;
      pass(count, cycles, instructions, rule);
    };
  }
  machine.run();
  return machine.instructions - passed;
}

describe('what is left out', () => {
  const HOLD = { ITERATIONS: '4', THINK: '1', HOLD: '1000' };

  test.each(['lock-tas', 'lock-ticket', 'twoLines', 'neighbours', 'twoPauses'])(
    'the waits of %s with a long critical section',
    (name) => {
      const machineOf = (skip: Skip) =>
        tracedMachine(
          checkedScenario({
            skip,
            host: { pcpus: 4 },
            vms: [{ program: 'test.asm', vcpus: 4, memory: '2M', kvm: { ple_gap: 0 } }],
          }),
          [programOf(name, HOLD)],
        ).machine;
      const all = executedInstructions(machineOf('off'));
      const some = executedInstructions(machineOf('on'));
      // What the holders execute remains: a part of the three waiters' instructions.
      expect(some).toBeLessThan(all / 1.5);
      expect(all).toBeGreaterThan(4 * 4 * 1000);
    },
  );
});

test('PAUSE in short waits stays in compiled code', () => {
  const program = assembleText(`bits 64
    mov ebx, 20000
.again:
    mov eax, 1
    lock xadd [tail], eax
    jmp .look
.wait:
    pause
.look:
    cmp [head], eax
    jne .wait
    inc dword [head]
    dec ebx
    jnz .again
    cli
    hlt
    align 64
head: dd 0
    align 64
tail: dd 0`);
  const { machine } = tracedMachine(
    checkedScenario({
      engine: 'compiled',
      host: { pcpus: 3 },
      vms: [{ program: 'test.asm', vcpus: 3, memory: '2M' }],
    }),
    [program],
  );
  machine.run();
  let compiled = 0;
  for (const { virtual } of machine.vcpus) {
    const { compiledInstructions, skipped } = virtual.processor;
    compiled += compiledInstructions + skipped.instructions;
  }
  expect(compiled).toBeGreaterThan(0.99 * machine.instructions);
});

test('a machine that is shut down ends for vCPUs that wait in other windows too', () => {
  const text = `bits 64
    test edi, edi
    jz .first
.wait:
    pause
    jmp .wait
.first:
    mov ecx, 5000
.count:
    mfence
    dec ecx
    jnz .count
    out 0xf4, al`;
  const run = (skip: Skip) => {
    const { machine, records } = tracedMachine(
      checkedScenario({
        skip,
        host: { pcpus: 3 },
        vms: [
          { program: 'a.asm', vcpus: 3, memory: '2M' },
          { program: 'b.asm', memory: '2M' },
        ],
        limits: { time: '1ms' },
      }),
      [assembleText(text), assembleText('bits 64\nspin: pause\njmp spin')],
    );
    const { report } = runToEnd(machine);
    return { records, report };
  };
  expect(run('on')).toEqual(run('off'));
});

/** Delays that interrupts of the APIC's timer end, which is the VMX-preemption timer meanwhile. */
const TIMED_DELAYS = `bits 64
org 0x100000
default rel
%include "lib/interrupts.inc"
%include "lib/x2apic.inc"
start:
    mov rbp, rdi
    lea rsp, [rdi + 1]
    shl rsp, 12
    add rsp, 0x180000
    test edi, edi
    jnz .others
    set_gate 0x40, timer
    mov dword [ready], 1
.others:
    cmp dword [ready], 1
    jne .others
    lidt [idtr]
    enable_x2apic
    write_msr X2APIC_LVT_TIMER, 0x40 | TSC_DEADLINE_MODE
    call arm
    sti
again:
    mov ecx, 90000
.long:
    dec ecx
    jnz .long
    mov ecx, 700
    loop $
    jmp again
arm:
    rdtsc
    shl rdx, 32
    lea rax, [rax + rdx + 30011]
    mov rdx, rax
    shr rdx, 32
    mov ecx, IA32_TSC_DEADLINE
    wrmsr
    ret
timer:
    push rax
    push rcx
    push rdx
    lea rbx, [seen]
    add [rbx + rbp * 8], rcx
    call arm
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq
align 64
seen: times 4 dq 0
ready: dd 0`;

describe('delays', () => {
  const machineOf = (skip: Skip, program: string, pcpus: number) =>
    tracedMachine(
      checkedScenario({
        ...{ skip, host: { pcpus }, limits: { time: '1ms' } },
        vms: [{ program: 'test.asm', vcpus: 3, memory: '2M' }],
      }),
      [assembleText(program)],
    );

  test.each([2, 3])('end where the timer ends them, on %i pCPUs', (pcpus) => {
    const run = (skip: Skip) =>
      outcome(
        { create: () => machineOf(skip, TIMED_DELAYS, pcpus), stops: [300_000, 300_777, 1e6] },
        skip,
      );
    const executed = run('off');
    expect(executed.records.filter(({ name }) => name === 'kvm_inj_virq').length).toBeGreaterThan(
      50,
    );
    expect(run('on')).toEqual(executed);
  });

  test('of several vCPUs at the same time take no turns', () => {
    const program = 'bits 64\nagain: mov ecx, 100000\n.l: dec ecx\njnz .l\njmp again';
    const turns = (skip: Skip) => {
      const { machine } = machineOf(skip, program, 3);
      // Compiled code takes turns in relays, which are not counted one by one.
      for (const { virtual } of machine.vcpus) virtual.processor.engine = 'interpreter';
      let count = 0;
      for (const { virtual } of machine.vcpus) {
        const run = virtual.run.bind(virtual);
        virtual.run = (limit, maySkip) => {
          count++;
          return run(limit, maySkip);
        };
      }
      machine.run();
      return count;
    };
    // 2,000,000 cycles in windows of 500; with delays left out some turns for each of 30 delays.
    expect(turns('off')).toBeGreaterThan(10_000);
    expect(turns('on')).toBeLessThan(300);
  });
});

// Loops that touch nothing but registers are run ahead of their turns: see
// docs/decisions/exact-skipping.md. Random ones on several vCPUs, with stores and clock readings
// between them by which each would see that another one stood elsewhere, and code that another vCPU
// changes: the same trace, report and state at every stop as with every turn taken.

import { describe, expect, test } from 'vitest';
import { NEXT_STEP } from '../../src/host/index.ts';
import type { Machine, Scenario } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import {
  assembleText,
  checkedScenario,
  compileEarly,
  runToEnd,
  tracedMachine,
} from '../support/guest-run.ts';

type Skip = Scenario['skip'];

/** A loop of several blocks; how long a round is depends on what it computes. */
function loop(prng: Prng, i: number): string {
  const pick = <T>(list: readonly T[]) => list[prng.below(list.length)];
  const step = () =>
    pick([
      'imul rax, rbx\nadd rax, 12345',
      'xor rdx, rax\nrol rdx, 7',
      'adc rsi, rdx',
      `test al, 4\njz .s${i}\nlea rbx, [rbx + rdx + 1]\nshr rsi, 1\n.s${i}:`,
      'sub r8d, eax\nsetb bl',
      'cmp rdx, rsi\ncmovb rsi, rax\nsbb r9, r9',
    ]);
  const counted = pick(['dec ecx\njnz', 'sub ecx, 1\njnz', 'inc r10\ndec ecx\njns']);
  // One label a loop: the others would be the same.
  const steps = Array.from({ length: 1 + prng.below(4) }, step);
  const once = steps.filter((text, at) => !text.includes('.s') || steps.indexOf(text) === at);
  const rounds = 1 + prng.below(2 ** (4 + prng.below(11)));
  return `mov ecx, ${rounds}\n.l${i}:\n${once.join('\n')}\n${counted} .l${i}`;
}

/** What others see, and what shows when it was. */
function between(prng: Prng, i: number): string {
  const texts = [
    'lock xadd [shared], rax',
    'mov [rbp], rsi\nadd rdx, [shared]',
    'rdtsc\nmov [rbp + 8], eax',
    'pushfq\npop qword [rbp + 16]',
    `pause\ncmp dword [shared], 5\njb .b${i}\nsub qword [shared], 3\n.b${i}:`,
    // Code in a loop of somebody's, which is the same or another from here on.
    'mov al, [changing]\nxor al, 8\nand al, 0x0f\nor al, 1\nmov [changing], al',
  ];
  return texts[prng.below(texts.length)];
}

function program(prng: Prng): Uint8Array {
  const body = Array.from({ length: 8 }, (_, i) => `${loop(prng, i)}\n${between(prng, i)}`);
  return assembleText(`bits 64
default rel
    shl edi, 6
    lea rbp, [own + rdi]
again:
${body.join('\n')}
    mov ecx, 3000
.change:
    add r11, 1                  ; 1 to 9, or 15
changing equ $ - 1
    dec ecx
    jnz .change
    mov [rbp + 24], r11
    jmp again
    align 64
shared: dq 0
    align 64
own: times 5 * 8 dq 0`);
}

interface Counts {
  kept: number;
  dropped: number;
}

/** How often what was run ahead came to pass, and how often it was done again. */
function counted(machine: Machine): Counts {
  const counts = { kept: 0, dropped: 0 };
  for (const { virtual } of machine.vcpus) {
    const { runAhead } = virtual.processor;
    let isOpen = false;
    const { run, keep } = runAhead;
    runAhead.run = (most) => {
      if (isOpen) counts.dropped++;
      const cycles = run.call(runAhead, most);
      isOpen = cycles > 0;
      return cycles;
    };
    runAhead.keep = () => {
      counts.kept++;
      isOpen = false;
      keep.call(runAhead);
    };
  }
  return counts;
}

const SEEDS = [1, 2, 4, 6];

const total = { kept: 0, dropped: 0 };

describe.each(SEEDS)('register loops (%i)', (seed) => {
  const prng = new Prng(seed);
  const pick = <T>(list: readonly T[]) => list[prng.below(list.length)];
  const image = program(prng);
  const vcpus = 2 + prng.below(4);
  const host = {
    pcpus: 1 + prng.below(vcpus + 1),
    lookahead: pick([50, 200, 200, 1000]),
    hz: pick([100, 1000, 5000]),
  };
  const vms = [{ program: 'test.asm', vcpus, memory: '2M' }];
  const stops = Array.from({ length: 3 }, (_, i) => 200_000 * (i + 1) + prng.below(100_000));
  const create = (skip: Skip) => {
    const document = { seed, engine: 'compiled', skip, host, vms, limits: { time: '450us' } };
    const made = tracedMachine(checkedScenario(document), [image]);
    compileEarly(made.machine, 16);
    return made;
  };
  const outcome = (skip: Skip) => {
    const { machine, records } = create(skip);
    const counts = counted(machine);
    const states = stops.map((stop) => {
      machine.run(stop);
      return { hash: machine.stateHash(), host: machine.host.state };
    });
    const { report } = runToEnd(machine);
    return { counts, result: { states, report, records } };
  };
  const executed = outcome('off');

  test('end the same', () => {
    expect(executed.counts).toEqual({ kept: 0, dropped: 0 });
    const skipped = outcome('on');
    total.kept += skipped.counts.kept;
    total.dropped += skipped.counts.dropped;
    expect(skipped.result).toEqual(executed.result);
  });

  test('go on behind any pause in the turn of one pCPU', () => {
    const { machine } = create('on');
    for (let i = 0; i < 12 && machine.ending === null; i++) {
      const time = machine.now + prng.below(60_000);
      const at = { pcpu: prng.below(host.pcpus), time };
      machine.advance(time + 20_000, at);
      machine.advance(Number.POSITIVE_INFINITY, NEXT_STEP);
    }
    expect(runToEnd(machine).report).toEqual(executed.result.report);
  });

  test('go on from a snapshot that was taken ahead of a stretch', () => {
    const { machine } = create('on');
    machine.run(stops[1]);
    const other = create(seed % 2 === 0 ? 'on' : 'off').machine;
    other.restore(machine.snapshot());
    expect(runToEnd(other).report).toEqual(executed.result.report);
    expect(runToEnd(machine).report).toEqual(executed.result.report);
  });
});

test('they were run ahead, and some of them twice', () => {
  expect(total.kept).toBeGreaterThan(30);
  expect(total.dropped).toBeGreaterThan(10);
});

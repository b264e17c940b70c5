// Loops that look at memory again and again, some of which only wait: rounds that compiled code
// lets pass in closed form leave everything as rounds that are executed do. Random loops, with
// PAUSE and without, that one vCPU writes beside or makes go on.

import { describe, expect, test } from 'vitest';
import { recentInstructions } from '../../src/machine/history.ts';
import type { Scenario } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import {
  assembleText,
  checkedScenario,
  compileEarly,
  tracedMachine,
  traceText,
} from '../support/guest-run.ts';

/** What a round does beside looking: most of it is the same each time. */
const STEPS = [
  'pause',
  'pause',
  'nop',
  'mov ecx, [word_b]',
  'mov edx, [word_a]\n and edx, 6',
  'lea r10, [rcx + rdx * 2]',
  'test ecx, ecx\n setz r11b',
  'cmp r9d, [word_b]\n adc r12d, 0',
  'xor r12d, r12d\n cmp [word_b], edi\n adc r12d, 0',
  'adc r8d, 0',
  'cmc\n setc r11b',
  'inc r13d',
  'lahf',
  'mov [mine + rdi * 8], ecx',
  'inc dword [mine + rdi * 8]',
  'test byte [word_b], 4\n jnz %%out',
  'cmp r13d, 40\n ja %%out',
  'jmp %%on\n%%on:',
  'test byte [word_b], 8\n jz %%way\n lea r10, [r10 + 1]\n nop\n%%way:',
  'jmp short %%other\n%%back: nop',
];

const ENDS = [
  'cmp [word_a], eax\n jne %%again',
  'mov ecx, [word_a]\n cmp ecx, eax\n jne %%again',
  'cmp [word_a], eax\n je %%out\n jmp %%again',
  'mov r14d, [word_a]\n sub r14d, eax\n jnz %%again',
  'mov ecx, [word_a]\n cmc\n jrcxz %%again',
];

function loopOf(prng: Prng): string {
  const pick = <T>(list: readonly T[]) => list[prng.below(list.length)];
  const steps = Array.from({ length: prng.below(4) }, () => pick(STEPS));
  // Labels stand once.
  const unique = steps.filter((step, i) => !step.includes(':') || steps.indexOf(step) === i);
  const entry = prng.below(3) === 0 ? 'jmp %%middle\n' : '';
  const middle = prng.below(unique.length + 1);
  const body = [...unique.slice(0, middle), '%%middle:', ...unique.slice(middle)].join('\n ');
  const other = body.includes('%%other') ? 'jmp %%out\n%%other:\n inc r15d\n jmp %%back\n' : '';
  return `${entry}%%again:\n ${body}\n ${pick(ENDS)}\n${other}%%out:`;
}

/** vCPU 0 writes two words every now and then, the others look at them. */
function programOf(prng: Prng): string {
  const loops = Array.from({ length: 3 }, (_, i) => {
    const wanted = 'mov eax, [word_a]\n inc eax\n and eax, 3';
    return `%macro loop_${i} 0\n ${wanted}\n${loopOf(prng)}\n%endmacro`;
  });
  return `bits 64
${loops.join('\n')}
  test edi, edi
  jz writer
again:
  loop_0
  xor r13d, r13d
  loop_1
  loop_2
  xor r13d, r13d
  jmp again
writer:
  mov ecx, [rel seed]
  imul ecx, ecx, 1103515245
  add ecx, 12345
  mov [rel seed], ecx
  shr ecx, ${16 + prng.below(6)}
  inc ecx
pass:
  sub ecx, 1
  jnz pass
  mov edx, [rel seed]
  shr edx, 28
  mov [word_b], edx
  inc dword [steps]
  mov edx, [steps]
  and edx, 3
  mov [word_a], edx
  jmp writer
align 64
word_a: dd 0
word_b: dd 0
align 64
seed: dd ${prng.below(2 ** 31)}
steps: dd 0
align 64
mine: times 8 dq 0`;
}

function scenarioOf(prng: Prng, skip: 'on' | 'off'): Scenario {
  const pick = <T>(list: readonly T[]) => list[prng.below(list.length)];
  const vcpus = 2 + prng.below(3);
  const kvm = {
    ple_window: pick([500, 1500, 4096, 2 ** 32 - 1]),
    ple_gap: pick([0, 5, 128, 300]),
  };
  return checkedScenario({
    ...{ skip, engine: skip === 'on' ? 'compiled' : 'interpreter', limits: { time: '1ms' } },
    host: { pcpus: pick([2, vcpus]), lookahead: pick([200, 1000, 3000]), hz: pick([250, 5000]) },
    vms: [{ program: 'test.asm', vcpus, memory: '2M', kvm }],
  });
}

function outcome(seed: number, skip: 'on' | 'off') {
  const prng = new Prng(seed);
  const program = assembleText(programOf(prng));
  const scenario = scenarioOf(prng, skip);
  const { machine, records } = tracedMachine(scenario, [program]);
  compileEarly(machine, 16);
  let stop = 0;
  const seen = Array.from({ length: 12 }, () => {
    stop += 1 + prng.below(200_000);
    machine.run(stop);
    const recent = machine.vcpus.map(recentInstructions);
    return { stop, hash: machine.stateHash(), host: machine.host.state, recent };
  });
  const waited = machine.vcpus.map(({ virtual }) => virtual.processor.skipped.by('waits').cycles);
  return { seen, trace: traceText(records, scenario.host.pcpus), waited };
}

const SEEDS = Array.from({ length: 32 }, (_, i) => i);

describe('random loops', () => {
  test.each(SEEDS)('%i', (seed) => {
    const wanted = outcome(seed, 'off');
    const got = outcome(seed, 'on');
    expect(got.seen).toEqual(wanted.seen);
    expect(got.trace).toBe(wanted.trace);
  });

  test('wait, many of them', () => {
    const waiting = SEEDS.filter((seed) =>
      outcome(seed, 'on').waited.some((cycles) => cycles > 1e5),
    );
    expect(waiting.length).toBeGreaterThan(SEEDS.length / 3);
  });
});

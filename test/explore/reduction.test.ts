// What the search leaves out makes no difference: random small programs reach the same final
// states, the same meetings in a section and the same states without an end as if every step of
// every vCPU were a choice of its own, on sequentially consistent memory and with store buffers.

import { describe, expect, test } from 'vitest';
import {
  type SearchResult,
  search,
  stateGraph,
  violationOnTheWay,
  World,
} from '../../src/explore/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { sectionOf, smallProgram } from '../support/exploration.ts';

const VARIABLES = ['a', 'b', 'c'];
const REGISTERS = ['r8', 'r9', 'r10'];

type Part = (prng: Prng, label: string) => readonly string[];

const oneOf = <T>(prng: Prng, items: readonly T[]): T => items[prng.below(items.length)];
const place = (prng: Prng) => `[${oneOf(prng, VARIABLES)}]`;
const register = (prng: Prng) => oneOf(prng, REGISTERS);
const small = (prng: Prng) => 1 + prng.below(3);

const kickOf = (vcpu: number) => ['mov eax, 5', 'xor ebx, ebx', `mov ecx, ${vcpu}`, 'vmcall'];

/** What programs are made of; some several times, as they are to be more frequent. */
const PARTS: readonly Part[] = [
  (prng) => [`mov qword ${place(prng)}, ${small(prng)}`],
  (prng) => [`mov qword ${place(prng)}, ${small(prng)}`],
  (prng) => [`mov ${register(prng)}, ${place(prng)}`],
  (prng) => [`mov ${register(prng)}, ${place(prng)}`],
  (prng) => [`lock add qword ${place(prng)}, ${small(prng)}`],
  (prng) => [`inc qword ${place(prng)}`],
  (prng) => {
    const name = register(prng);
    return [`mov ${name}, ${small(prng)}`, `xchg ${name}, ${place(prng)}`];
  },
  () => ['mfence'],
  (prng, label) => [`cmp qword ${place(prng)}, 0`, `jne ${label}`, `inc ${register(prng)}`],
  // A lock around one access.
  (prng, label) => [
    `${label}_try:`,
    'mov eax, 1',
    'xchg [mutex], eax',
    'test eax, eax',
    `jz ${label}_got`,
    'pause',
    `jmp ${label}_try`,
    `${label}_got:`,
    `inc qword ${place(prng)}`,
    'mov dword [mutex], 0',
  ],
  // A wait that may have no end.
  (prng, label) => [`${label}_look:`, 'pause', `cmp qword ${place(prng)}, 0`, `je ${label}_look`],
  // A wait that gives up.
  (prng, label) => [
    'mov ecx, 3',
    `${label}_look:`,
    `cmp qword ${place(prng)}, 0`,
    `jne ${label}`,
    'pause',
    'dec ecx',
    `jnz ${label}_look`,
  ],
  (prng) => kickOf(prng.below(2)),
  // Asleep until there is a kick, with it on its way or not.
  (prng) => [...(prng.below(2) === 0 ? kickOf(prng.below(2)) : []), 'hlt'],
];

/** Programs of several vCPUs, each with parts of its own, around a section they should not share. */
function programOf(prng: Prng, vcpus: number): string {
  const lines: string[] = [];
  for (let vcpu = 0; vcpu < vcpus; vcpu++) lines.push(`cmp edi, ${vcpu}`, `je vcpu${vcpu}`);
  for (let vcpu = 0; vcpu < vcpus; vcpu++) {
    lines.push(`vcpu${vcpu}:`);
    const count = vcpus === 2 ? 2 + prng.below(3) : 1 + prng.below(2);
    for (let part = 0; part < count; part++) {
      const label = `over_${vcpu}_${part}`;
      lines.push(...oneOf(prng, PARTS)(prng, label), `${label}:`);
    }
    // Some go through the section, some only if they find nobody there.
    if (prng.below(2) === 0) lines.push(`cmp qword ${place(prng)}, 0`, 'jne stop');
    lines.push('call enter', 'jmp stop');
  }
  lines.push('enter:', 'nop', 'leave:', 'ret', 'stop:', 'cli', 'hlt');
  return [...lines, ...dataOf()].join('\n');
}

function dataOf(): string[] {
  return [...VARIABLES, 'mutex'].flatMap((name) => ['align 64', `${name}: dq 0`]);
}

interface Reached {
  readonly result: SearchResult;
  readonly finals: readonly number[];
  readonly meetings: readonly string[];
  readonly canFail: boolean;
}

interface Way {
  readonly storeBuffers: boolean;
  readonly reduces: boolean;
  readonly preemptions?: number;
}

function reach(text: string, vcpus: number, way: Way): Reached {
  const { scenario, bytes, symbols } = smallProgram(text, vcpus);
  const section = sectionOf({ scenario, bytes, symbols }, 'enter', 'leave');
  const { storeBuffers, reduces } = way;
  const world = new World(
    scenario,
    { programs: [bytes] },
    { storeBuffers, sections: [section], hidesNothing: !reduces },
  );
  const finals = new Set<number>();
  const meetings = new Set<string>();
  const graph = stateGraph();
  const result = search(world, {
    limits: { states: 600, preemptions: way.preemptions ?? Number.POSITIVE_INFINITY },
    reduces,
    graph,
    observer: {
      state: (here) => {
        const found = violationOnTheWay(here, { exclusive: [section], output: null });
        if (found !== null) meetings.add(found.message);
        return false;
      },
      final: (here) => {
        here.tidy();
        finals.add(here.keyOf(here.save()));
        return false;
      },
      restart: () => {
        finals.clear();
        meetings.clear();
      },
    },
  });
  return {
    result,
    finals: [...finals].sort(),
    meetings: [...meetings].sort(),
    canFail: graph.endless().size > 0,
  };
}

const essence = ({ finals, meetings, canFail }: Reached) => ({ finals, meetings, canFail });

/** Programs whose whole search would take too long are left out. */
function compare(count: number, vcpus: number, first: number) {
  let compared = 0;
  const saved = { states: 0, of: 0, meetings: 0, endless: 0 };
  for (let seed = first; compared < count; seed++) {
    const text = programOf(new Prng(seed), vcpus);
    const storeBuffers = seed % 2 === 1;
    const whole = reach(text, vcpus, { storeBuffers, reduces: false });
    if (!whole.result.isComplete) continue;
    const reduced = reach(text, vcpus, { storeBuffers, reduces: true });
    expect(essence(reduced), `seed ${seed}\n${text}`).toEqual(essence(whole));
    compared++;
    saved.states += reduced.result.statistics.states;
    saved.of += whole.result.statistics.states;
    saved.meetings += whole.meetings.length;
    if (whole.canFail) saved.endless++;
  }
  return saved;
}

/** `npm run reduction` compares more. */
const PROGRAMS = Number(process.env.VMXLAB_PROGRAMS ?? 16);

describe('random programs reach the same with and without reduction', () => {
  test('two vCPUs', () => {
    const { states, of, meetings, endless } = compare(PROGRAMS, 2, 1);
    if (PROGRAMS > 16) console.log(`${states} states instead of ${of}`);
    expect(states).toBeLessThan(of / 4);
    expect(meetings).toBeGreaterThan(0);
    expect(endless).toBeGreaterThan(0);
  });
});

// Litmus tests as real programs: each list of accesses becomes x86-64 code, every schedule of it is
// explored, and the final states are compared with the complete lists that the data gives, for
// x86-TSO and for sequentially consistent memory.

import Long from 'long';
import { assemble } from '../../src/asm/index.ts';
import { search, World } from '../../src/explore/index.ts';
import { checkScenario, LOAD_ADDRESS } from '../../src/machine/index.ts';

type Access =
  | readonly ['W', variable: string, value: number]
  | readonly ['R', variable: string, register: string]
  | readonly ['F']
  | readonly ['X', variable: string, register: string, value: number];

/** A line of the data, as its README describes it. */
export interface LitmusTest {
  readonly name: string;
  readonly threads: readonly (readonly Access[])[];
  readonly init?: Readonly<Record<string, number>>;
  readonly tso_states: readonly string[];
  readonly sc_states: readonly string[];
}

export type MemoryModel = 'tso' | 'sc';

export interface LitmusVerdict {
  /** What differs, in a sentence; null if the states are exactly those that are listed. */
  readonly difference: string | null;
  readonly states: number;
  readonly transitions: number;
}

const MOST_STATES = 2_000_000;

/** Explore a test and compare; `reduces` as {@link search} has it. */
export function runLitmus(
  test: LitmusTest,
  model: MemoryModel,
  reduces = true,
): LitmusVerdict & { readonly reached: ReadonlySet<string> } {
  const { bytes, symbols } = assembled(test);
  const vm = { program: 'litmus.bin', vcpus: test.threads.length, memory: '2M' };
  const checked = checkScenario({ vms: [vm] });
  if ('issues' in checked) throw new Error(checked.issues[0].message);
  const world = new World(
    checked.scenario,
    { programs: [bytes] },
    { storeBuffers: model === 'tso' },
  );
  const listed = model === 'tso' ? test.tso_states : test.sc_states;
  const names = listed[0].split(' ').map((item) => item.split('=')[0]);
  const reached = new Set<string>();
  const { isComplete, statistics } = search(world, {
    limits: { states: MOST_STATES, preemptions: Number.POSITIVE_INFINITY },
    reduces,
    observer: {
      final: () => {
        reached.add(names.map((name) => `${name}=${finalValue(world, symbols, name)};`).join(' '));
        return false;
      },
      restart: () => reached.clear(),
    },
  });
  const difference = isComplete ? differenceOf(reached, listed) : 'too many states';
  return { ...statistics, difference, reached };
}

function differenceOf(reached: ReadonlySet<string>, listed: readonly string[]): string | null {
  const missing = listed.filter((state) => !reached.has(state));
  const extra = [...reached].filter((state) => !listed.includes(state));
  if (missing.length + extra.length === 0) return null;
  return `missing ${JSON.stringify(missing)}, extra ${JSON.stringify(extra)}`;
}

/** `0:rax` is a register of a vCPU, anything else a variable. */
function finalValue(world: World, symbols: ReadonlyMap<string, number>, name: string): string {
  const [thread, register] = name.split(':');
  if (register !== undefined) {
    return world.vcpus[Number(thread)].virtual.processor.state.get(register).toString();
  }
  const hpa = world.vm.ramHpa + (symbols.get(labelOf(name)) as number);
  return world.vm.memory.view.getBigInt64(hpa, true).toString();
}

const labelOf = (variable: string) => `variable_${variable}`;

function assembled(test: LitmusTest): {
  readonly bytes: Uint8Array;
  readonly symbols: ReadonlyMap<string, number>;
} {
  const source = { name: `${test.name}.asm`, text: sourceOf(test) };
  const result = assemble(source, { origin: Long.fromNumber(LOAD_ADDRESS) });
  if (result.kind !== 'ok') throw new Error(`${test.name}: ${result.errors[0].message}`);
  const symbols = new Map(result.symbols.map(({ name, value }) => [name, value.toNumber()]));
  return { bytes: result.bytes, symbols };
}

/** Each vCPU goes to its own list; variables lie in lines of their own. */
export function sourceOf({ threads, init = {} }: LitmusTest): string {
  const used = threads.flat().flatMap((access) => (access[0] === 'F' ? [] : [access[1]]));
  const variables = [...new Set([...used, ...Object.keys(init)])].sort();
  return [
    'bits 64',
    ...threads.flatMap((_, i) => [`cmp edi, ${i}`, `je thread${i}`]),
    ...threads.flatMap((accesses, i) => [
      `thread${i}:`,
      ...registersOf(accesses).map((register) => `xor ${register}, ${register}`),
      ...accesses.flatMap(instructionsOf),
      'hlt',
    ]),
    ...variables.flatMap((name) => ['align 64', `${labelOf(name)}: dq ${init[name] ?? 0}`]),
    '',
  ].join('\n');
}

function registersOf(accesses: readonly Access[]): string[] {
  const named = accesses.flatMap((access) =>
    access[0] === 'R' || access[0] === 'X' ? [access[2]] : [],
  );
  return [...new Set(named)];
}

function instructionsOf(access: Access): string[] {
  switch (access[0]) {
    case 'W':
      return [`mov qword [abs ${labelOf(access[1])}], ${access[2]}`];
    case 'R':
      return [`mov ${access[2]}, [abs ${labelOf(access[1])}]`];
    case 'F':
      return ['mfence'];
    case 'X':
      return [`mov ${access[2]}, ${access[3]}`, `xchg ${access[2]}, [abs ${labelOf(access[1])}]`];
  }
}

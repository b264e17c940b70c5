// Explorations of small programs.

import Long from 'long';
import { assemble } from '../../src/asm/index.ts';
import {
  EVERY_SCHEDULE,
  type ExploreOptions,
  type ExploreReport,
  explore,
  type Section,
  World,
} from '../../src/explore/index.ts';
import { checkScenario, LOAD_ADDRESS, type Scenario, SymbolMap } from '../../src/machine/index.ts';

export interface SmallProgram {
  readonly scenario: Scenario;
  readonly bytes: Uint8Array;
  readonly symbols: SymbolMap;
}

export function smallProgram(text: string, vcpus = 2): SmallProgram {
  const source = { name: 'small.asm', text: `bits 64\ndefault rel\n${text}` };
  const result = assemble(source, { origin: Long.fromNumber(LOAD_ADDRESS) });
  if (result.kind !== 'ok') throw new Error(result.errors[0].message);
  const checked = checkScenario({ vms: [{ program: 'small.bin', vcpus, memory: '2M' }] });
  if ('issues' in checked) throw new Error(checked.issues[0].message);
  const symbols = SymbolMap.ofAssembly(result);
  return { scenario: checked.scenario, bytes: result.bytes, symbols };
}

/** The code between two labels. */
export function sectionOf({ symbols }: SmallProgram, from: string, to: string): Section {
  const [start, end] = [from, to].map((name) => symbols.addressOf(name)?.toUnsigned());
  if (start === undefined || end === undefined) throw new Error('no such label');
  return { name: `${from}..${to}`, start, end };
}

export function exploreProgram(
  { scenario, bytes, symbols }: SmallProgram,
  options: Partial<ExploreOptions> = {},
): ExploreReport {
  const machineOptions = { programs: [bytes], symbols: [symbols] };
  return explore(scenario, machineOptions, {
    ...EVERY_SCHEDULE,
    runs: 100,
    steps: 10_000,
    depth: 2,
    ...options,
  });
}

export function worldOf({ scenario, bytes }: SmallProgram, storeBuffers = false): World {
  return new World(scenario, { programs: [bytes] }, { storeBuffers });
}

/** Both increment a counter; vCPU 0 checks it, and says 1 by the exit port if it is wrong. */
export const counting = (increment: string) => `
    ${increment}
    lock inc dword [finished]
    test edi, edi
    jnz done
look:
    pause
    cmp [finished], esi
    jne look
    cmp [counter], esi
    setne al
    out 0xf4, al
done:
    cli
    hlt
align 64
counter: dd 0
align 64
finished: dd 0
`;

export const LOST_UPDATE = counting('mov eax, [counter]\ninc eax\nmov [counter], eax');

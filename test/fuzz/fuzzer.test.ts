// What the fuzzer finds, and that it is coverage that leads it there: the same fuzzer that is not
// told of it finds nothing.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  caseHash,
  caseText,
  Executor,
  type FuzzCase,
  fewest,
  minimiseCase,
  parseCase,
} from '../../src/fuzz/index.ts';
import { inputBytes, inputText } from '../../src/machine/index.ts';
import { LOST_UPDATE } from '../support/exploration.ts';
import { domainOf, fuzzProgram, smallFuzz } from '../support/fuzzing.ts';

const HIDDEN = readFileSync(
  new URL('../../guest-programs/hidden-fault.asm', import.meta.url),
  'utf8',
).replace(/^(bits|org|default).*$/gm, '');

/** Of the seed that is taken; others take up to some 15,000. */
const RUNS = 3000;
const SEED = 2;

const latin = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString('latin1');

describe('a fault behind four comparisons', () => {
  const program = smallFuzz(HIDDEN);

  test('is found, and the input is made small', () => {
    const fuzzer = fuzzProgram(program, { runs: RUNS, seed: SEED });
    expect(fuzzer.found.length).toBe(1);
    const [{ case: one, finding, outcome }] = fuzzer.found;
    expect(finding).toMatchObject({
      kind: 'tripleFault',
      signature: expect.stringMatching('start'),
    });
    expect(latin(one.input)).toMatch(/^VMX!/);
    const executor = new Executor(program.target);
    expect(executor.run(one)).toEqual({ ...outcome, tokens: expect.any(Array) });
    const holds = (smaller: FuzzCase) =>
      executor.run(smaller).finding?.signature === finding.signature;
    expect(latin(minimiseCase(one, holds, 400).input)).toBe('VMX!');
  });

  test('is not found by who ignores coverage', () => {
    const blind = fuzzProgram(program, { runs: RUNS, seed: SEED, isGuided: false });
    expect(blind.found).toEqual([]);
    const deaf = fuzzProgram(program, {
      runs: RUNS,
      seed: SEED,
      seenAs: (outcome) => ({ ...outcome, features: outcome.features.slice(0, 1), tokens: [] }),
    });
    expect(deaf.found).toEqual([]);
  });

  test('is found by the same runs with the same seed, by others with another', () => {
    const runs = 400;
    const hashes = (seed: number) =>
      fuzzProgram(program, { runs, seed }).corpus.entries.map(({ hash }) => hash);
    const [one, two, other] = [hashes(1), hashes(1), hashes(2)];
    expect(two).toEqual(one);
    expect(other).not.toEqual(one);
  });
});

test('properties about code and memory are watched in every run', () => {
  const program = smallFuzz(`
; PROPERTY: at most 1 guest_code(at=here)
; PROPERTY: never guest_write(at=told, new=7)
    mov al, [fuzz_input]
    mov [told], al
here:
    cmp byte [fuzz_input + 1], 0
    mov byte [fuzz_input + 1], 0
    jne here
    cli
    hlt
told: dd 0
fuzz_input: dw 0
`);
  const executor = new Executor(program.target);
  const run = (...input: readonly number[]) =>
    executor.run({ input: Uint8Array.from(input), parameters: {}, schedule: null }).finding;
  const signatures = [
    [0, 0],
    [7, 0],
    [0, 0],
    [0, 1],
    [0, 0],
  ].map((input) => run(...input)?.signature ?? null);
  expect(signatures).toEqual([null, 'property 3', null, 'property 2', null]);
});

test('a number that is compared as a whole is taken from the code', () => {
  const whole = smallFuzz(`
    cmp dword [fuzz_input], 'VMX!'
    jne done
    ud2
done:
    cli
    hlt
fuzz_input: dq 0
`);
  const { found } = fuzzProgram(whole, { runs: 2000 });
  expect(found[0]?.finding.kind).toBe('tripleFault');
  expect(fuzzProgram(whole, { runs: 2000, isGuided: false }).found).toEqual([]);
});

describe('what can go wrong', () => {
  const kindOf = (text: string, vcpus = 1) =>
    fuzzProgram(smallFuzz(`${text}\nfuzz_input: db 0\n`, {}, vcpus), { runs: 1 }).found[0]?.finding;

  test.each([
    ['exited', 'mov al, 3\nout 0xf4, al\n'],
    ['deadlock', 'sti\nhlt\n'],
    ['hang', 'again: pause\njmp again\n'],
    ['check', 'cli\nhlt\n; OUTPUT: done\n'],
    ['property', 'cli\nhlt\n; PROPERTY: at least 1 kvm_hypercall\n'],
    ['reset', 'mov al, 6\nmov dx, 0xcf9\nout dx, al\n'],
  ])('%s', (kind, text) => {
    expect(kindOf(text)?.kind).toBe(kind);
  });

  test('nothing, where the guest halts', () => {
    expect(kindOf('cli\nhlt\n')).toBeUndefined();
  });

  test('an ending that is expected is none, whatever its code', () => {
    expect(kindOf('mov al, 3\nout 0xf4, al\n; EXPECT: 7\n')).toBeUndefined();
  });
});

describe('values of the scenario', () => {
  test('one that makes the guest fail is found', () => {
    const program = smallFuzz('cmp esi, 7\nje bad\ncli\nhlt\nbad: ud2\n');
    const { found } = fuzzProgram(program, { runs: 200, vary: ['vms[].vcpus=1..8', 'seed'] });
    expect(found[0]?.case.parameters['vms[].vcpus']).toBe(7);
  });

  test('values stay within their range', () => {
    const { target } = smallFuzz('cli\nhlt\n');
    for (const text of ['host.pcpus=2..5', 'vms[].nice', 'vms[].kvm.ple_window', 'seed']) {
      const domain = domainOf(text, target);
      const executor = new Executor(target);
      const fuzzer = fuzzProgram({ target, roomBytes: null }, { runs: 60, vary: [text] });
      const values = fuzzer.nextBatch(200).map(({ parameters }) => parameters[domain.key]);
      if (domain.kind !== 'integer') throw new Error('a number expected');
      for (const value of values) {
        expect(value).toBeGreaterThanOrEqual(domain.least);
        expect(value).toBeLessThanOrEqual(domain.most);
        const parameters = { [domain.key]: value };
        expect(executor.scenarioOf({ input: null, parameters, schedule: null })).not.toBeNull();
      }
      expect(new Set(values).size).toBeGreaterThan(3);
    }
  });

  test.each([
    ['nix', "a scenario has no value 'nix'"],
    ['vms[].name', 'vms[].name: only numbers, choices and switches can vary, not text'],
    [
      'host.pcpus=0..4',
      "host.pcpus: expected a range within a whole number from 1 to 256, not '0..4'",
    ],
    ['host.pcpus=two', "host.pcpus: expected a whole number from 1 to 256, not 'two'"],
    ['engine=fast', "engine: expected one of interpreter, compiled, check, not 'fast'"],
  ])('%s is refused', (text, problem) => {
    expect(() => domainOf(text, smallFuzz('cli\nhlt\n').target)).toThrow(problem);
  });
});

describe('orders of steps', () => {
  test.each(['random', 'pct'] as const)('%s finds a lost update, and repeats it', (strategy) => {
    const program = smallFuzz(LOST_UPDATE, { strategy, limit: 3000 }, 2);
    const [one, two] = [1, 2].map(() => fuzzProgram(program, { runs: 200 }).found[0]);
    expect(one.finding.kind).toBe('exited');
    expect(two).toEqual(one);
    const again = new Executor(program.target).run(one.case);
    expect(again.finding).toEqual(one.finding);
    // The order itself leads there as well, whatever the seed.
    const schedule = { prefix: one.outcome.steps, seed: 99 };
    const followed = new Executor(program.target).run({ ...one.case, schedule });
    expect(followed.finding).toEqual(one.finding);
  });
});

describe('cases', () => {
  const one: FuzzCase = {
    input: Uint8Array.of(1, 0xab),
    parameters: { seed: 3, 'vms[].nice': -5 },
    schedule: { prefix: '0*3 1', seed: 7 },
  };

  test('come back from their text as they were, and are told apart by it', () => {
    expect(parseCase(caseText(one))).toEqual({ case: one });
    const reordered = { ...one, parameters: { 'vms[].nice': -5, seed: 3 } };
    expect(caseHash(reordered)).toBe(caseHash(one));
    expect(caseHash({ ...one, schedule: null })).not.toBe(caseHash(one));
  });

  test.each([
    ['{', 'is no case of vmxlab fuzz: no JSON'],
    ['{}', 'is no case of vmxlab fuzz'],
    [caseText(one).replace('"version": 1', '"version": 9'), 'version 9 is not known'],
    [caseText(one).replace('"01ab"', '"1"'), 'input: expected hexadecimal digits'],
    [caseText(one).replace('"prefix"', '"nix"'), 'schedule: expected null, or a prefix and a seed'],
  ])('%j is refused', (text, problem) => {
    expect(parseCase(text)).toEqual({ problem });
  });

  test('bytes as digits', () => {
    expect(inputBytes(inputText(Uint8Array.of(0, 255, 16)))).toEqual(Uint8Array.of(0, 255, 16));
    for (const wrong of ['0', 'xy', '0x']) expect(inputBytes(wrong)).toBeNull();
  });
});

test('few cases come by everything that all of them do', () => {
  const entry = (hash: string, length: number, features: readonly number[]) => ({
    case: { input: new Uint8Array(length), parameters: {}, schedule: null },
    ...{ hash, features, steps: '', length: 1, picks: 0 },
  });
  const entries = [
    entry('a', 9, [1, 2, 3]),
    entry('b', 2, [1]),
    entry('c', 2, [2]),
    entry('d', 3, [1, 2]),
    entry('e', 1, [4]),
  ];
  // Only a has 3, and with it comes all but 4.
  expect(fewest(entries).map(({ hash }) => hash)).toEqual(['a', 'e']);
});

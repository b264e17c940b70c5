// What the fuzzer finds, and that it is coverage that leads it there: the same fuzzer that is not
// told of it finds nothing.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { EngineDifference } from '../../src/cpu/index.ts';
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

describe('a run that is cut off', () => {
  const outcomeOf = (text: string, vcpus = 1) => {
    const program = smallFuzz(text, { limit: 20_000 }, vcpus);
    const executor = new Executor(program.target);
    return executor.run({ input: null, parameters: {}, schedule: null });
  };
  const write = (msr: number, value: number) =>
    `mov ecx, ${msr}\nmov eax, ${value}\nxor edx, edx\nwrmsr\n`;
  const FAR_DEADLINE = [
    'mov ecx, 0x1b\nrdmsr\nor eax, 0xc00\nwrmsr\n',
    write(0x80f, 0x1ff),
    write(0x832, 0x40040),
    'mov ecx, 0x6e0\nmov eax, 0\nmov edx, 1000\nwrmsr\n',
  ].join('');

  test.each([
    ['one vCPU spins', 'again: pause\njmp again\n', 1],
    [
      'it stores what is there',
      'again: mov eax, 1\nxchg [word_], eax\njmp again\nalign 64\nword_: dd 1',
      1,
    ],
    [
      'two wait for each other',
      'mov eax, edi\nxor eax, 1\nagain: pause\ncmp byte [flags + rax], 0\nje again\ncli\nhlt\n' +
        'flags: dw 0\n',
      2,
    ],
    ['one sleeps and one spins', 'test edi, edi\njz again\ncli\nhlt\nagain: jmp again\n', 2],
    [
      'it calls, and comes back',
      'again: call calls\njmp again\ncalls: push rax\npop rbx\nret\n',
      1,
    ],
  ])('hangs if it goes round in a circle: %s', (_what, text, vcpus) => {
    const { finding, isUnfinished } = outcomeOf(text, vcpus);
    expect([finding?.kind, isUnfinished]).toEqual(['hang', false]);
  });

  test.each([
    ['it counts in a register', 'again: inc rax\njmp again\n'],
    ['it counts in memory', 'again: inc dword [word_]\njmp again\nalign 64\nword_: dd 0\n'],
    ['it counts where it seems to wait', 'again: mov ecx, 9\n.in: loop .in\ninc rbx\njmp again\n'],
    ['it looks at the time', 'again: rdtsc\nxor eax, eax\nxor edx, edx\njmp again\n'],
    ['it asks a device', 'again: in al, 0x40\nmov al, 0\njmp again\n'],
    ['a timer is set', `${FAR_DEADLINE}again: pause\njmp again\n`],
  ])('else nobody knows: %s', (_what, text) => {
    const { finding, isUnfinished } = outcomeOf(text);
    expect([finding, isUnfinished]).toEqual([null, true]);
  });

  test('is no finding, and is counted', () => {
    const program = smallFuzz('again: inc rax\njmp again\n', { limit: 1000 });
    const fuzzer = fuzzProgram(program, { runs: 1 });
    expect(fuzzer.found).toEqual([]);
    expect(fuzzer.statistics).toMatchObject({ runs: 1, unfinished: 1 });
  });

  test('violates the properties that it has violated, but none by what is missing', () => {
    const spins = 'again: inc dword [word_]\njmp again\nalign 64\nword_: dd 0\n';
    const never = outcomeOf(`; PROPERTY: never guest_write(at=word_, new=3)\n${spins}`);
    expect(never.finding?.signature).toBe('property 1');
    const missing = 'every guest_write(at=word_) is followed by kvm_hypercall';
    expect(outcomeOf(`; PROPERTY: ${missing}\n${spins}`).finding).toBeNull();
  });
});

describe('both engines', () => {
  const one: FuzzCase = { input: null, parameters: {}, schedule: null };
  const { target } = smallFuzz('mov ecx, 5000\nagain: dec ecx\njnz again\nud2\n');

  test('run a case to the same end', () => {
    const scenario = { ...target.scenario, engine: 'check' as const };
    const [interpreted, both] = [target, { ...target, scenario }].map((each) =>
      new Executor(each).run(one),
    );
    expect(interpreted.finding?.kind).toBe('tripleFault');
    expect([both.finding, both.length]).toEqual([interpreted.finding, interpreted.length]);
  });

  test('that do not agree are a finding of its own, and the next run is a new one', () => {
    let isBroken = true;
    const executor = new Executor(target, (machine) => {
      if (isBroken) throw new EngineDifference('block 12: RAX differs');
      return machine.run();
    });
    const { finding } = executor.run(one);
    expect(finding).toMatchObject({ kind: 'engine', signature: 'engine block N: RAX differs' });
    isBroken = false;
    expect(executor.run(one).finding?.kind).toBe('tripleFault');
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
      const fuzzer = fuzzProgram(smallFuzz('cli\nhlt\n'), { runs: 60, vary: [text] });
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

describe('where chance orders steps', () => {
  const outcomesOf = (text: string, storeBuffers = false) => {
    const more = { strategy: 'random', limit: 3000, storeBuffers } as const;
    const executor = new Executor(smallFuzz(text, more, 2).target);
    return Array.from({ length: 30 }, (_, seed) =>
      executor.run({ input: null, parameters: {}, schedule: { prefix: '', seed } }),
    );
  };
  const signaturesOf = (text: string, storeBuffers = false) =>
    new Set(outcomesOf(text, storeBuffers).map(({ finding }) => finding?.signature ?? null));

  const TAKES = (take: string) => `
    ${take}
    jnz done
critical:
    inc dword [counter]
leave:
    mov dword [held], 0
done:
    cli
    hlt
    jmp done
held: dd 0
counter: dd 0
`;
  const TORN = TAKES('cmp dword [held], 0\njnz done\nmov dword [held], 1\ncmp eax, eax');
  const WHOLE = TAKES('mov eax, 1\nxchg [held], eax\ntest eax, eax');
  const ONE_HOLDER =
    '; PROPERTY: at most 1 between guest_code(at=critical) and guest_code(at=leave)';

  test.each([false, true])('properties are watched (store buffers: %s)', (storeBuffers) => {
    const torn = signaturesOf(`${ONE_HOLDER}\n${TORN}`, storeBuffers);
    expect(torn).toEqual(new Set([null, 'property 1']));
    expect(signaturesOf(`${ONE_HOLDER}\n${WHOLE}`, storeBuffers)).toEqual(new Set([null]));
  });

  test('also in the final state, and what EXPECT says of the ending counts', () => {
    const twice = '; PROPERTY: at least 2 guest_code(at=critical)\n';
    expect(signaturesOf(`${twice}${WHOLE}`)).toEqual(new Set([null, 'property 1']));
    expect(signaturesOf(`; EXPECT: 7\nmov al, 3\nout 0xf4, al\n`)).toEqual(new Set([null]));
    expect([...signaturesOf('; EXPECT: 6\nmov al, 3\nout 0xf4, al\n')][0]).toMatch(/^exited/);
  });

  test('a state that comes again, though everybody goes on, is a hang', () => {
    const lost = `
    test edi, edi
    jnz other
    cmp dword [kicked], 0
    jne done
    mov dword [waits], 1
again:
    pause
    cmp dword [kicked], 0
    je again
done:
    cli
    hlt
other:
    cmp dword [waits], 0
    jne done
    mov dword [kicked], 1
    jmp done
waits: dd 0
kicked: dd 0
`;
    expect(signaturesOf(lost)).toEqual(new Set([null, 'hang']));
    // The same with an other that is only slow: it ends for all.
    const slow = lost.replace(
      'jne done\n    mov dword [kicked]',
      'mov ecx, 90\n.w: loop .w\n    mov dword [kicked]',
    );
    expect(signaturesOf(slow)).toEqual(new Set([null]));
  });

  test('what only takes long is cut off', () => {
    const outcomes = outcomesOf('mov ecx, 100000\nagain: loop again\ncli\nhlt\n');
    expect(outcomes.every(({ finding, isUnfinished }) => finding === null && isUnfinished)).toBe(
      true,
    );
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

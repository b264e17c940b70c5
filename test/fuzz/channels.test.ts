// The ways by which bytes come to a program that is fuzzed: its serial port, and modules. That
// coverage leads to what no chance finds, and that what is found is made smaller and kept whole.

import { describe, expect, test } from 'vitest';
import {
  caseText,
  Executor,
  type FuzzCase,
  minimiseCase,
  parseCase,
  parseChannels,
} from '../../src/fuzz/index.ts';
import { serialInputOf, serialText } from '../../src/machine/index.ts';
import { fuzzProgram, smallFuzz } from '../support/fuzzing.ts';
import { assembleText, scenarioOf } from '../support/guest-run.ts';

/** Reads a byte into AL. */
const READ = `
read:
    mov dx, 0x3fd
.wait:
    pause
    in al, dx
    test al, 1
    jz .wait
    mov dx, 0x3f8
    in al, dx
    ret
`;

/** Each comparison is reached only by who has got the one before it right. */
const NESTED = smallFuzz(`
    call read
    cmp al, 'V'
    jne done
    call read
    cmp al, 'M'
    jne done
    call read
    cmp al, 'X'
    jne done
    call read
    cmp al, '!'
    jne done
    ud2
done:
    cli
    hlt
${READ}
`);

const SERIAL = ['vms[].serial_input=0..8'];

/** Of the seed that is taken, which comes there after 1,026; others take several thousand. */
const RUNS = 1500;
const SEED = 6;

describe('a fault behind four comparisons of what comes by the serial port', () => {
  test('is found, and made small', () => {
    const fuzzer = fuzzProgram(NESTED, { runs: RUNS, seed: SEED, vary: SERIAL });
    expect(fuzzer.found.length).toBe(1);
    const [{ case: one, finding, outcome }] = fuzzer.found;
    expect(finding.kind).toBe('tripleFault');
    const executor = new Executor(NESTED.target);
    expect(executor.run(one)).toEqual({ ...outcome, tokens: expect.any(Array) });
    const holds = (smaller: FuzzCase) => executor.run(smaller).finding?.kind === 'tripleFault';
    const pauses = [
      { at: 1, ns: 512 },
      { at: 3, ns: 2048 },
    ];
    const bytes = Uint8Array.from('VMX!??', (letter) => letter.charCodeAt(0));
    const smallest = minimiseCase({ ...one, serial: { bytes, pauses } }, holds, 400);
    expect(smallest.serial && serialText(smallest.serial)).toBe('564d5821');
  });

  test('is not found by chance alone', () => {
    const fuzzer = fuzzProgram(NESTED, { runs: RUNS, seed: SEED, vary: SERIAL, isGuided: false });
    expect(fuzzer.found).toEqual([]);
  });

  test('runs as the same input does in a scenario', () => {
    const executor = new Executor(NESTED.target);
    const serial = serialInputOf('56,20us,4d,5us,58,1ms,21');
    if (serial === null) throw new Error('not understood');
    const one: FuzzCase = { input: null, serial, parameters: {}, schedule: null };
    const fed = executor.run(one);
    const scenario = executor.scenarioOf(one);
    if (scenario === null) throw new Error('a scenario expected');
    const given = new Executor({ ...NESTED.target, scenario });
    expect(given.run({ input: null, parameters: {}, schedule: null })).toEqual(fed);
    expect(fed.finding?.kind).toBe('tripleFault');
  });
});

describe('a guest that waits for more than comes', () => {
  const outcomeOf = (text: string, strategy: 'time' | 'random') => {
    const { target } = smallFuzz(text, { strategy, limit: 3000 });
    const serial = serialInputOf('41,3us,42');
    if (serial === null) throw new Error('not understood');
    const schedule = strategy === 'time' ? null : { prefix: '', seed: 1 };
    return new Executor(target).run({ input: null, serial, parameters: {}, schedule });
  };
  const POLLS = `again: call read\njmp again\n${READ}`;

  test.each(['time', 'random'] as const)('has done nothing wrong (%s)', (strategy) => {
    const { finding, isUnfinished } = outcomeOf(POLLS, strategy);
    expect([finding, isUnfinished]).toEqual([null, false]);
  });

  test.each(['time', 'random'] as const)('also where nothing came at all (%s)', (strategy) => {
    const { target } = smallFuzz(POLLS, { strategy, limit: 3000 });
    const serial = { bytes: Uint8Array.of(), pauses: [] };
    const schedule = strategy === 'time' ? null : { prefix: '', seed: 1 };
    const one: FuzzCase = { input: null, serial, parameters: {}, schedule };
    const { finding, isUnfinished } = new Executor(target).run(one);
    expect([finding, isUnfinished]).toEqual([null, false]);
  });

  test('but what it did before counts', () => {
    const told = POLLS.replace('jmp again', 'mov [told], al\njmp again\ntold: db 0');
    const property = '; PROPERTY: never guest_write(at=told:1, new=0x42)\n';
    expect(outcomeOf(property + told, 'time').finding?.kind).toBe('property');
  });

  test('who waits for something else hangs', () => {
    expect(outcomeOf('again: pause\njmp again\n', 'time').finding?.kind).toBe('hang');
  });
});

test('whether a program reads what comes is found out', () => {
  const reads = (text: string) => new Executor(smallFuzz(text).target).readsSerial();
  expect(reads(`again: call read\njmp again\n${READ}`)).toBe(true);
  expect(reads(`mov dx, 0x3fa\nmov al, 7\nout dx, al\ncall read\ncli\nhlt\n${READ}`)).toBe(true);
  expect(reads("mov dx, 0x3f8\nmov al, 'x'\nout dx, al\ncli\nhlt\n")).toBe(false);
  expect(reads('again: jmp again\n')).toBe(false);
});

describe('modules', () => {
  /** Goes wrong if its module begins with "VM". */
  const PROGRAM = `
bits 32
org 0x100000
image:
    dd 0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
    dd image, image, image_end, image_end, start
start:
    mov esi, [ebx + 24]
    mov edx, [esi + 4]
    mov esi, [esi]
    sub edx, esi
    cmp edx, 2
    jb done
    cmp word [esi], 'VM'
    jne done
    lidt [no_table]
    ud2
done:
    cli
    hlt
no_table: dw 0, 0, 0
image_end:
`;
  const scenario = scenarioOf({ vm: { modules: ['given.bin'] } });
  const { target: small } = smallFuzz('cli\nhlt\n');
  const options = {
    programs: [assembleText(PROGRAM)],
    modules: [[Uint8Array.of(0x56, 0x30, 0x30)]],
  };
  const target = { ...small, options, scenario: { ...scenario, engine: 'interpreter' as const } };
  const program = { target, places: Executor.placesOf(target) };

  test('vary, and what is found is made small', () => {
    const { found } = fuzzProgram(program, { runs: 600, vary: ['vms[].modules=0..4'] });
    expect(found[0]?.finding.kind).toBe('tripleFault');
    const executor = new Executor(target);
    const holds = (one: FuzzCase) => executor.run(one).finding?.kind === 'tripleFault';
    const { modules } = minimiseCase(found[0].case, holds, 100);
    expect(modules?.map((bytes) => Buffer.from(bytes).toString())).toEqual(['VM']);
  });

  test('are asked for by their key', () => {
    const parsed = parseChannels('vms[].modules', program.places);
    expect(parsed).toEqual({ channels: [{ kind: 'module', index: 0, roomBytes: 256 }] });
    expect(parseChannels('vms[].modules', { ...program.places, modules: [] })).toEqual({
      problem: 'vms[].modules: the program is given none',
    });
    expect(parseChannels('vms[].serial_input=1..4', program.places)).toEqual({
      problem: "vms[].serial_input: expected a length as 0..64, not '1..4'",
    });
    expect(parseChannels('seed', program.places)).toBeNull();
  });
});

describe('cases', () => {
  const bytes = Uint8Array.of(1, 2);
  const one: FuzzCase = {
    input: null,
    serial: { bytes, pauses: [{ at: 1, ns: 512 }] },
    modules: [bytes, Uint8Array.of()],
    parameters: {},
    schedule: null,
  };

  test('come back from their text as they were', () => {
    expect(parseCase(caseText(one))).toEqual({ case: one });
    expect(caseText(one)).toContain('"serial": "01,512ns,02"');
  });

  test.each([
    ['"01,512ns,02"', '"0"', 'serial: expected hexadecimal digits and pauses'],
    ['"0102"', '"0"', 'modules: expected hexadecimal digits for each'],
  ])('%s as %s is refused', (right, wrong, problem) => {
    expect(parseCase(caseText(one).replace(right, wrong))).toEqual({ problem });
  });
});

describe('times of arrival', () => {
  test('vary, too', () => {
    const fuzzer = fuzzProgram(NESTED, { runs: 64, vary: SERIAL });
    const cases = fuzzer.nextBatch(400);
    const pauses = cases.flatMap(({ serial }) => serial?.pauses ?? []);
    expect(pauses.length).toBeGreaterThan(5);
    for (const { serial } of cases) {
      const places = serial?.pauses.map(({ at }) => at) ?? [];
      expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
      expect(serial?.bytes.length).toBeLessThanOrEqual(8);
      expect(places.every((at) => at < (serial?.bytes.length ?? 0))).toBe(true);
    }
  });

  test('are found where they matter', () => {
    // Whoever is late by more than 100 us is answered otherwise.
    const late = smallFuzz(`
    call read
    rdtsc
    mov ebx, eax
    call read
    rdtsc
    sub eax, ebx
    cmp eax, 200000
    jb done
    ud2
done:
    cli
    hlt
${READ}
`);
    const { found } = fuzzProgram(late, { runs: 2000, vary: SERIAL });
    expect(found[0]?.finding.kind).toBe('tripleFault');
    expect(found[0]?.case.serial?.pauses.length).toBeGreaterThan(0);
  });
});

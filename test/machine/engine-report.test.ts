// What `--stats engine` shows: every instruction is counted once, by the engine that completed it,
// and what is not compiled appears by name.

import { describe, expect, test } from 'vitest';
import { engineReport, engineText, Machine, watchEngine } from '../../src/machine/index.ts';
import { assembleText, checkedScenario, compileEarly } from '../support/guest-run.ts';

/** CPUID exits; the loop before it is hot. */
const PROGRAM = `bits 64
    mov ebp, 200
round:
    mov ecx, 100
inner:
    add eax, ecx
    dec ecx
    jnz inner
    xor eax, eax
    cpuid
    dec ebp
    jnz round
    cli
    hlt
`;

/** The inner loop is a delay, and is skipped but for its last ten iterations. */
const DELAYING = PROGRAM.replace('    add eax, ecx\n', '').replace('ecx, 100', 'ecx, 1000');

/** Stores over an instruction of a hot loop, over and over. */
const CHANGING = `bits 64
    mov ebp, 100
round:
    mov ecx, 100
inner:
    add eax, ecx
    dec ecx
place:
    nop
    jnz inner
    mov byte [rel place], 0x90
    dec ebp
    jnz round
    cli
    hlt
`;

/** The first vCPU delays, and the other one waits for it. */
const WAITING = `bits 64
    test edi, edi
    jz first
spin:
    pause
    cmp dword [ready], 0
    je spin
    cli
    hlt
first:
    mov ecx, 100000
hold:
    dec ecx
    jnz hold
    inc dword [ready]
    cli
    hlt
    align 64
ready: dd 0
`;

function run(
  text: string,
  engine: string,
  clock: (() => number) | null = null,
  skip: 'on' | 'off' = 'on',
) {
  const vms = [{ program: 'test.asm', vcpus: text === WAITING ? 2 : 1 }];
  const scenario = checkedScenario({ engine, skip, host: { pcpus: 3 }, vms });
  const machine = compileEarly(new Machine(scenario, { programs: [assembleText(text)] }), 16);
  watchEngine(machine, clock);
  machine.run();
  return { report: engineReport(machine), instructions: machine.instructions };
}

describe('the report on the compiled engine', () => {
  test('counts each instruction once', () => {
    const { report, instructions } = run(PROGRAM, 'compiled');
    expect(report.compiledInstructions + report.interpretedInstructions).toBe(instructions);
    expect(report.compiledInstructions).toBeGreaterThan(0.9 * instructions);
  });

  test('counts what is skipped apart', () => {
    const { report, instructions } = run(DELAYING, 'compiled');
    const { compiledInstructions, interpretedInstructions, skippedInstructions } = report;
    expect(compiledInstructions + interpretedInstructions + skippedInstructions).toBe(instructions);
    expect(skippedInstructions).toBeGreaterThan(0.9 * instructions);
    const { delays, waits } = report.skipped;
    expect(delays.instructions).toBe(skippedInstructions);
    expect(delays.cycles).toBeGreaterThan(0.9 * instructions);
    expect(waits).toEqual({ cycles: 0, instructions: 0 });
    expect(run(DELAYING, 'compiled', null, 'off').report.skipped.delays.instructions).toBe(0);
  });

  test('tells waits from delays', () => {
    const { report } = run(WAITING, 'compiled');
    expect(report.skipped.waits.instructions).toBeGreaterThan(10_000);
    expect(engineText(report).join('\n')).toMatch(/^ {2}PAUSE waits +\d{5,} +\d{5,}$/m);
  });

  test('names what is not compiled, and how often the interpreter did it', () => {
    const { report } = run(PROGRAM, 'compiled');
    const cpuid = report.declined.find(({ reason }) => reason.includes('CPUID'));
    expect((cpuid?.entries ?? 0) + (cpuid?.within ?? 0)).toBeGreaterThan(0);
    const done = report.interpreted.find(({ mnemonic }) => mnemonic === 'CPUID')?.count ?? 0;
    // The first rounds are not hot yet.
    expect(done).toBeGreaterThan(100);
    expect(done).toBeLessThanOrEqual(200);
  });

  test('adds up entries by the ways out', () => {
    const { entries, ways } = run(PROGRAM, 'compiled').report;
    expect(entries).toBeGreaterThan(0);
    expect(ways.chain + ways.budget + ways.interpreter).toBe(entries);
  });

  test('counts regions that went because their code changed', () => {
    expect(run(PROGRAM, 'compiled').report.regions.dropped).toBe(0);
    const { made, dropped } = run(CHANGING, 'compiled').report.regions;
    expect(dropped).toBeGreaterThan(0);
    expect(dropped).toBeLessThanOrEqual(made);
  });

  test('knows the time of compilation only by a clock', () => {
    let now = 0;
    const { regions } = run(PROGRAM, 'compiled', () => {
      now += 5;
      return now;
    }).report;
    expect(regions.compilationNs).toBeGreaterThanOrEqual(5 * regions.made);
    expect((regions.compilationNs ?? 0) % 5).toBe(0);
    expect(run(PROGRAM, 'compiled').report.regions.compilationNs).toBeNull();
  });

  test('has nothing to say of the interpreter alone', () => {
    const { report, instructions } = run(PROGRAM, 'interpreter');
    expect(report).toMatchObject({ compiledInstructions: 0, entries: 0, declined: [] });
    expect(report.interpretedInstructions).toBe(instructions);
    expect(engineText(report)[0]).toContain('0 instructions compiled (0.00 %)');
  });
});

// Parameters, tables of random numbers and results: by labels in NASM's and GAS's syntax and in ELF
// images, with each mistake and its message; the tables against the laws of their distributions.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { Machine, reportText, type SymbolMap } from '../../src/machine/index.ts';
import { variateTable } from '../../src/machine/variates.ts';
import { lab } from '../../src/testing/index.ts';
import { Ehdr, edited, elfImage, Phdr } from '../support/elf-image.ts';
import { assembleText, checkedScenario, runToEnd } from '../support/guest-run.ts';

const NASM = `
bits 64
    mov rax, [param_first]
    add rax, [param_second]
    lea rcx, [result_each]
    mov [rcx + 8 * rdi], rax
    add [rcx + 8 * rdi], rdi
    test edi, edi
    jnz done
    mov [result_sum], rax
    mov qword [result_all], -1
    inc qword [histogram_late + 24]
done:
    cli
    hlt
align 8
param_first:    dq 7
param_second:   dq 8
result_sum:     dq 0
result_all:     dq 0
section .bss align=8
result_each:    resq 64
histogram_late: resq 6
`;

const run = (text: string, vm: object, settings = {}, options = {}) =>
  lab(text, settings, { ...options, scenario: { vms: [vm] } }).run();

describe('parameters and results', () => {
  test('are words at labels', () => {
    const { report } = run(NASM, { parameters: { first: 2 ** 40 } }, { vcpus: 3 });
    expect(report.vms[0].results).toEqual({
      sum: [2 ** 40 + 8],
      all: ['18446744073709551615'],
      each: [2 ** 40 + 8, 2 ** 40 + 9, 2 ** 40 + 10],
    });
    expect(report.vms[0].histograms).toEqual({ late: [0, 0, 0, 1, 0, 0] });
  });

  test('are a table in the report', () => {
    const { report } = run(NASM, { parameters: { first: 92 } }, { vcpus: 2 });
    const lines = reportText(report);
    const from = lines.findIndex((line) => line.startsWith('Result'));
    expect(lines.slice(from, from + 8)).toEqual([
      'Result                Total  Each vCPU',
      'sum                     100',
      'all    18,446,744,073,709,551,615',
      'each                    201  100 101',
      '',
      'Histogram late',
      '       3              1',
      '',
    ]);
  });

  test('of more than eight vCPUs are a range, and named after their machine', () => {
    const vms = [{ vcpus: 9 }, { vcpus: 1, name: 'other' }];
    const { report } = lab('cli\nhlt', {}, {}).run();
    const more = runToEnd(
      new Machine(checkedScenario({ vms: vms.map((vm) => ({ program: 'a', ...vm })) }), {
        programs: [assembleText(NASM), assembleText(NASM)],
        symbols: [symbolsFor(NASM), symbolsFor(NASM)],
      }),
    );
    const lines = reportText(more.report);
    expect(lines).toContain('vm:each                     171  15 to 23');
    expect(lines).toContain('other:each                   15');
    expect(reportText(report).join('\n')).not.toContain('Result');
  });

  test('work in GAS syntax', () => {
    const text = `
      mov param_size(%rip), %rax
      shl %rax
      mov %rax, result_twice(%rip)
      cli
      hlt
      .data
      param_size: .quad 1
      .bss
      result_twice: .quad 0
    `;
    const { report } = run(text, { parameters: { size: 21 } }, {}, { syntax: 'gas' });
    expect(report.vms[0].results).toEqual({ twice: [42] });
  });

  test('work in ELF images, which may lie elsewhere than their addresses say', () => {
    const code = assembleText(
      'mov rax, [rel asked]\ninc rax\nmov [rel answer], rax\ncli\nhlt\nalign 8\nasked: dq 1\nanswer: dq 0',
    );
    const word = code.length - 16;
    const image = elfImage({
      code,
      codeAddress: 0x200000,
      data: Uint8Array.of(1),
      dataMemory: 8,
      symbols: [
        ['main', 0, word],
        ['param_word', word, 8],
        ['result_answer', word + 8, 8],
      ],
    });
    const scenario = checkedScenario({ vms: [{ program: 'a', parameters: { word: 41 } }] });
    const moved = edited(image, [
      [Phdr.PADDR, 8, 0x240000],
      [Ehdr.ENTRY, 8, 0x240000],
    ]);
    for (const program of [image, moved]) {
      const { report } = runToEnd(new Machine(scenario, { programs: [program] }));
      expect(report.vms[0].results).toEqual({ answer: [42] });
    }
  });

  test('are the same whatever engine runs, and part of the state', () => {
    const hashes = ['interpreter', 'compiled'].map(
      (engine) => run(NASM, { parameters: { first: 5 } }, { engine }).report.stateHash,
    );
    expect(new Set(hashes).size).toBe(1);
    expect(run(NASM, { parameters: { first: 6 } }).report.stateHash).not.toBe(hashes[0]);
  });

  test.each([
    [NASM, { frist: 1 }, "the program has no label 'param_frist'; did you mean 'first'?"],
    [NASM, { x: 1 }, "the program has no label 'param_x'; it has first, second"],
    ['hlt', { x: 1 }, "the program has no label 'param_x'; it has none"],
    ['hlt\nparam_x: dd 0', {}, "the label 'param_x' needs 8 bytes, and has 4"],
    ['variates_hold: dd 0', {}, "the label 'variates_hold' needs 16384 bytes, and has 4"],
  ])('that cannot be given are an error: %#', (text, parameters, message) => {
    expect(() => run(text, { parameters })).toThrow(`vm: ${message}`);
  });
});

function symbolsFor(text: string): SymbolMap {
  return lab(text).run().machine.symbols[0];
}

describe('variates', () => {
  const UNIT = 2 ** 16;
  const sorted = (table: Uint32Array) => [...table].sort((a, b) => a - b);
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;

  test.each(['variates_exponential', 'variates_hold'] as const)('%s: mean, law, order', (label) => {
    const table = variateTable(label, 5, 0);
    expect(table).toHaveLength(4096);
    expect(mean([...table]) / UNIT).toBeCloseTo(1, 2);
    // P(X > x) = exp(-x), or 0.9 exp(-2x) + 0.1 exp(-x/5.5).
    for (const x of [0.05, 0.2, 0.7, 1.5, 3, 6]) {
      const expected =
        label === 'variates_exponential'
          ? Math.exp(-x)
          : 0.9 * Math.exp(-2 * x) + 0.1 * Math.exp(-x / 5.5);
      const share = table.filter((value) => value > x * UNIT).length / 4096;
      expect(Math.abs(share - expected), `${x}`).toBeLessThan(0.0008);
    }
    // No order is left: neighbours are as far apart as any two.
    const values = [...table].map((value) => value / UNIT - 1);
    const products = values.map((value, i) => value * values[(i + 1) % values.length]);
    const variance = mean(values.map((value) => value * value));
    expect(Math.abs(mean(products) / variance)).toBeLessThan(0.06);
  });

  test('are the same numbers in another order for each seed, machine and table', () => {
    const first = variateTable('variates_hold', 5, 0);
    expect(variateTable('variates_hold', 5, 0)).toEqual(first);
    for (const other of [
      variateTable('variates_hold', 6, 0),
      variateTable('variates_hold', 5, 1),
      variateTable('variates_hold', 2 ** 40 + 5, 0),
    ]) {
      expect(sorted(other)).toEqual(sorted(first));
      const same = other.filter((value, i) => value === first[i]).length;
      expect(same).toBeLessThan(30);
    }
  });

  test('are where the program has labels for them', () => {
    const text =
      'cli\nhlt\nalign 4\nsection .bss align=4\nvariates_hold: resd 4096\nend_of_it: resb 1';
    const { machine } = run(text, {}, { seed: 9 });
    const at = machine.symbols[0].addressOf('variates_hold') ?? Long.ZERO;
    const { memory, ramHpa } = machine.vms[0];
    const bytes = memory.bytes.slice(ramHpa + at.toNumber(), ramHpa + at.toNumber() + 4 * 4096);
    expect(new Uint32Array(bytes.buffer)).toEqual(variateTable('variates_hold', 9, 0));
  });
});

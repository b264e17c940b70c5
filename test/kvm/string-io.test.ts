// INS and OUTS: one VM exit and one visit to user space for each element, through the emulator.
// Linux arch/x86/kvm/x86.c, kvm_fast_pio and emulator_pio_in_out. SDM 3, "Exit Qualification for
// I/O Instructions".

import { describe, expect, test } from 'vitest';
import type { KvmExit } from '../../src/kvm/index.ts';
import { Guest, KvmBench } from '../support/kvm-bench.ts';

const DATA = Guest.RESULTS;

function run(source: string, answer?: (exit: KvmExit) => void) {
  const bench = new KvmBench(`${source}\nfinish`, answer === undefined ? {} : { answer });
  bench.finish();
  return { bench, exits: bench.userExits.slice(0, -1).map(({ exit }) => exit) };
}

/** Answers inputs with 0x11223344, 0x22334455 and so on, cut to their size. */
function counting(): (exit: KvmExit) => void {
  let n = 0;
  return (exit) => {
    if (exit.reason !== 'IO' || exit.direction !== 'in') return;
    n++;
    exit.data = (0x01111111 * n + 0x10111233) % 2 ** (8 * exit.sizeBytes);
  };
}

describe('OUTS', () => {
  test.each([
    ['outsb', 1, 0x88, 1],
    ['outsw', 2, 0x7788, 2],
    ['outsd', 4, 0x55667788, 4],
    ['std\noutsb', 1, 0x88, -1],
    ['std\noutsd', 4, 0x55667788, -4],
  ])('%s sends from DS:RSI and moves it', (instruction, sizeBytes, data, step) => {
    const { bench, exits } = run(`
        mov rax, 0x1122334455667788
        mov result(1), rax
        mov rsi, ${DATA + 8}
        mov edx, 0x80
        ${instruction}
        cld
        mov result(0), rsi`);
    expect(exits).toEqual([{ reason: 'IO', direction: 'out', port: 0x80, sizeBytes, data }]);
    expect(bench.result(0)).toBe(BigInt(DATA + 8 + step));
    const value = `pio_write at 0x80 size ${sizeBytes} count 1 val 0x${data.toString(16)}`;
    expect(bench.lines('kvm_pio')[0]).toBe(`kvm_pio: ${value}`);
  });

  test('repeats in order, with an exit for each element', () => {
    const { bench, exits } = run(`
        mov rsi, text
        mov ecx, 5
        mov edx, 0xe9
        rep outsb
        mov result(0), rcx
        jmp over
      text: db 'hello'
      over:`);
    const sent = exits.map((exit) => (exit.reason === 'IO' ? exit.data : -1));
    expect(Buffer.from(sent).toString()).toBe('hello');
    expect(bench.result(0)).toBe(0n);
    expect(bench.exits()).toEqual(Array(6).fill('IO_INSTRUCTION'));
    expect(bench.counters().io_exits).toBe(6);
  });

  test('a count of 0 sends nothing', () => {
    const { exits } = run('xor ecx, ecx\nmov edx, 0xe9\nrep outsb');
    expect(exits).toEqual([]);
  });

  test('takes a segment override, and 32 bits of the address', () => {
    const { exits } = run(`
        write_msr 0xc0000100, ${DATA}
        mov byte [${DATA + 24}], 0x5a
        mov rsi, 0x1234567800000018
        mov edx, 0x80
        a32 fs outsb`);
    expect(exits).toMatchObject([{ data: 0x5a }]);
  });

  test('a page fault in the source comes instead of the output', () => {
    const { bench, exits } = run(`
        mov rsi, 0x100000000
        mov edx, 0x80
        lea rax, [rel caught]
        mov [CATCH], rax
        outsb
      caught: mov result(0), r15
        mov rax, cr2
        mov result(1), rax`);
    expect(exits).toEqual([]);
    expect(bench.results(2)).toEqual([14n, 0x100000000n]);
  });
});

describe('INS', () => {
  test.each([
    ['insb', 1, 0xffffffffffffff44n, 1],
    ['insw', 2, 0xffffffffffff2344n, 2],
    ['insd', 4, 0xffffffff11222344n, 4],
    ['std\ninsw', 2, 0xffffffffffff2344n, -2],
  ])('%s fills ES:RDI and moves it', (instruction, sizeBytes, stored, step) => {
    const { bench, exits } = run(
      `
        mov result(1), -1
        mov rdi, ${DATA + 8}
        mov edx, 0x60
        ${instruction}
        cld
        mov result(0), rdi`,
      counting(),
    );
    expect(exits).toMatchObject([{ reason: 'IO', direction: 'in', port: 0x60, sizeBytes }]);
    expect(bench.results(2)).toEqual([BigInt(DATA + 8 + step), stored]);
  });

  test('repeats in order', () => {
    const { bench } = run(
      `
        mov rdi, ${DATA + 8}
        mov ecx, 2
        mov edx, 0x60
        rep insd
        mov result(0), rcx`,
      counting(),
    );
    expect(bench.results(2)).toEqual([0n, 0x1233345511222344n]);
  });

  test('does not read the port if the destination cannot be written', () => {
    const { bench, exits } = run(
      `
        mov rdi, 0x100000000
        mov edx, 0x60
        lea rax, [rel caught]
        mov [CATCH], rax
        insb
      caught: mov result(0), r15
        mov result(1), r14`,
      counting(),
    );
    expect(exits).toEqual([]);
    expect(bench.results(2)).toEqual([14n, 2n]);
  });
});

describe('the exit', () => {
  test.each([
    ['outsb', 0x0080_0010],
    ['outsw', 0x0080_0011],
    ['outsd', 0x0080_0013],
    ['insb', 0x0080_0018],
    ['rep outsb', 0x0080_0030],
    ['rep insd', 0x0080_003b],
  ])('of %s has size, direction, string and REP in its qualification', (instruction, expected) => {
    const { bench } = run(`
        mov rsi, ${DATA}
        mov rdi, rsi
        mov ecx, 1
        mov edx, 0x80
        ${instruction}`);
    const [first] = bench.vcpu().exits.recent;
    expect(Number.parseInt(first?.qualification ?? '', 16)).toBe(expected);
  });
});

// Instructions that are emulated because they access memory that nothing backs: EPT violations and
// exits to user space, one for each access. kvm-host.md 1.8 (Linux arch/x86/kvm/emulate.c).

import Long from 'long';
import { describe, expect, test } from 'vitest';
import type { KvmExit } from '../../src/kvm/index.ts';
import { KvmBench } from '../support/kvm-bench.ts';

describe('an access to memory that nothing backs', () => {
  const DEVICE = 0x80000000;
  const ANSWER = Long.fromBits(0x55667788, 0x91223344);

  /** Run one instruction with RBX at the device; accesses, RAX and RCX. */
  function access(instruction: string) {
    const source = `
        mov ebx, ${DEVICE}
        mov rax, 0x0102030405060708
        mov ecx, 3
        lea rsi, [source]
        lea rdi, [target]
        ${instruction}
        mov result(0), rax
        mov result(1), rcx
        finish
        align 8
      source: dq 0x1122334455667788, 0x99aabbccddeeff00
      target: dq 0, 0`;
    const answer = (exit: KvmExit) => {
      if (exit.reason !== 'MMIO' || exit.isWrite) return;
      const bits = 8 * exit.lengthBytes;
      exit.data = bits === 64 ? ANSWER : ANSWER.and(Long.ONE.shl(bits).sub(1));
    };
    const bench = new KvmBench(source, { answer }).finish();
    const accesses = bench.userExits.slice(0, -1).map(({ exit }) => {
      if (exit.reason !== 'MMIO') return exit.reason;
      const { isWrite, gpa, lengthBytes, data } = exit;
      const mask = (1n << BigInt(8 * lengthBytes)) - 1n;
      const value = BigInt(data.toUnsigned().toString()) & mask;
      const offset = gpa - DEVICE;
      return `${isWrite ? 'w' : 'r'}${lengthBytes}@${offset} ${value.toString(16)}`;
    });
    return { bench, accesses };
  }

  // Accesses: kind, length, offset, data; then RAX.
  test.each<[string, string[], bigint]>([
    ['mov al, [rbx]', ['r1@0 88'], 0x0102030405060788n],
    ['mov ax, [rbx + 2]', ['r2@2 7788'], 0x0102030405067788n],
    ['mov eax, [rbx + 4]', ['r4@4 55667788'], 0x55667788n],
    ['mov rax, [rbx + 8]', ['r8@8 9122334455667788'], 0x9122334455667788n],
    ['movzx eax, byte [rbx]', ['r1@0 88'], 0x88n],
    ['movsx rax, byte [rbx]', ['r1@0 88'], 0xffffffffffffff88n],
    ['movzx eax, word [rbx]', ['r2@0 7788'], 0x7788n],
    ['movsxd rax, dword [rbx]', ['r4@0 55667788'], 0x55667788n],
    ['mov [rbx], al', ['w1@0 8'], 0x0102030405060708n],
    ['mov [rbx], ax', ['w2@0 708'], 0x0102030405060708n],
    ['mov [rbx], eax', ['w4@0 5060708'], 0x0102030405060708n],
    ['mov [rbx], rax', ['w8@0 102030405060708'], 0x0102030405060708n],
    ['mov byte [rbx], 0x7f', ['w1@0 7f'], 0x0102030405060708n],
    ['mov dword [rbx], -2', ['w4@0 fffffffe'], 0x0102030405060708n],
    ['mov qword [rbx], -2', ['w8@0 fffffffffffffffe'], 0x0102030405060708n],
    ['add rax, [rbx]', ['r8@0 9122334455667788'], 0x922436485a6c7e90n],
    ['add dword [rbx], 1', ['r4@0 55667788', 'w4@0 55667789'], 0x0102030405060708n],
    ['or byte [rbx + 7], 0x11', ['r1@7 88', 'w1@7 99'], 0x0102030405060708n],
    ['lock xadd [rbx], eax', ['r4@0 55667788', 'w4@0 5a6c7e90'], 0x55667788n],
    ['xchg [rbx], ax', ['r2@0 7788', 'w2@0 708'], 0x0102030405067788n],
    ['bts dword [rbx], 0', ['r4@0 55667788', 'w4@0 55667789'], 0x0102030405060708n],
    ['push qword [rbx]\npop rax', ['r8@0 9122334455667788'], 0x9122334455667788n],
    ['mov rdi, rbx\nmovsd', ['w4@0 55667788'], 0x0102030405060708n],
    ['mov rsi, rbx\nlodsd', ['r4@0 55667788'], 0x55667788n],
    ['mov rdi, rbx\nstosb', ['w1@0 8'], 0x0102030405060708n],
    [
      'mov rdi, rbx\nrep movsd',
      ['w4@0 55667788', 'w4@4 11223344', 'w4@8 ddeeff00'],
      0x0102030405060708n,
    ],
    ['mov rdi, rbx\nrep stosw', ['w2@0 708', 'w2@2 708', 'w2@4 708'], 0x0102030405060708n],
    ['mov rsi, rbx\nrep movsb\nmov rax, [target]', ['r1@0 88', 'r1@1 88', 'r1@2 88'], 0x888888n],
  ])('%s', (instruction, expected, rax) => {
    const { bench, accesses } = access(instruction);
    expect(accesses).toEqual(expected);
    expect(bench.result(0)).toBe(rax);
    expect(bench.result(1)).toBe(instruction.includes('rep ') ? 0n : 3n);
    expect(bench.counters().mmio_exits).toBe(expected.length);
  });

  test('sets the flags of the operation', () => {
    const { bench } = access('cmp dword [rbx], 0x55667788\nsete al\nmovzx eax, al');
    expect(bench.result(0)).toBe(1n);
  });

  test('is traced with its address, and what was read or written', () => {
    const { bench } = access('add dword [rbx], 1');
    expect(bench.lines('kvm_mmio')).toEqual([
      'kvm_mmio: mmio read len 4 gpa 0x80000000 val 0x55667788',
      'kvm_mmio: mmio write len 4 gpa 0x80000000 val 0x55667789',
    ]);
    expect(bench.exitCount('EPT_VIOLATION')).toBe(1);
  });
});

describe('a page that a device has', () => {
  const PLACE = 1 << 30;
  const VIOLATIONS = ['EPT_VIOLATION', 'EPT_VIOLATION'];
  // Linux arch/x86/kvm/vmx/vmx.c, handle_ept_misconfig: known from the first access on.
  const SOURCE = `
      mov ebx, ${PLACE}
      mov [rbx], eax
      mov [rbx + 8], eax
      mov ecx, [rbx + 4]
      mov [rbx + 0x1000], eax
      finish`;
  const exits = (mmioCaching: boolean) => {
    const bench = new KvmBench(SOURCE, { parameters: { mmioCaching } }).finish();
    return { bench, names: bench.exits().slice(0, -1) };
  };

  test('is a misconfiguration of EPT from the second access on', () => {
    const { names, bench } = exits(true);
    expect(names).toEqual(['EPT_VIOLATION', 'EPT_MISCONFIG', 'EPT_MISCONFIG', 'EPT_VIOLATION']);
    expect(bench.lines('kvm_page_fault')).toHaveLength(2);
    expect(bench.lines('kvm_exit')[1]).toContain('info1 0x0000000000000000');
    expect(bench.counters().mmio_exits).toBe(4);
  });

  test('is found out anew each time where nobody remembers, as before Linux 3.1', () => {
    expect(new Set(exits(false).names)).toEqual(new Set(['EPT_VIOLATION']));
  });

  test('is RAM as soon as a slot is put there', () => {
    const { vm } = exits(true).bench;
    vm.slots.set({ id: 3, gpa: PLACE, lengthBytes: 0x1000, hpa: vm.ramHpa, flags: 0 });
    expect(vm.ramAt(PLACE)).toBe(vm.ramHpa);
  });

  test('is not remembered without tables: then each access is a violation', () => {
    // A table for the GiB, and one for each 2 MiB; there are eight.
    const touch = (i: number) => `mov ebx, ${PLACE + i * 2 ** 21}\nmov [rbx], al\nmov [rbx], al\n`;
    const places = [0, 1, 2, 3, 4, 5, 6, 7].map(touch).join('');
    const names = new KvmBench(`${places}finish`).finish().exits().slice(0, -1);
    expect(names.filter((name) => name === 'EPT_MISCONFIG')).toHaveLength(7);
    expect(names.slice(-4)).toEqual(['EPT_VIOLATION', 'EPT_MISCONFIG', ...VIOLATIONS]);
  });
});

test('a stack in a device: the event whose frame goes there is lost, and KVM says so', () => {
  const top = 0x80002000;
  const source = `
    mov ebx, ${top - 8}
    mov rax, [rbx]
    mov esp, ebx
    ud2`;
  const bench = new KvmBench(source, { parameters: { mmioCaching: true } }).run();
  const exit = bench.userExits.at(-1)?.exit;
  if (exit?.reason !== 'INTERNAL_ERROR') throw new Error(`ended with ${bench.ending}`);
  const EPT_MISCONFIG = 49;
  expect(exit.suberror).toBe(3);
  // #UD was being delivered; the frame begins with SS, on a boundary of 16 bytes; pCPU 0.
  const data = exit.data.map((value) => value.toUnsigned().toString(16));
  expect(data).toEqual(['80000306', EPT_MISCONFIG.toString(16), '0', '80001fe8', '0']);
});

// What CPUID tells guests: the features that exist here, and KVM's leaves. SDM 2, "CPUID"; Linux
// Documentation/virt/kvm/x86/cpuid.rst.

import { describe, expect, test } from 'vitest';
import { KvmBench, type KvmBenchOptions, STORE_FOUR } from '../support/kvm-bench.ts';

const bit = (number: number) => (value: bigint) => Number((value >> BigInt(number)) & 1n);

describe('CPUID', () => {
  function cpuid(leaf: number, subleaf = 0, options: KvmBenchOptions = {}, before = ''): bigint[] {
    // The upper halves are set, and must be cleared.
    const source = `${before}
        mov rax, -1
        mov rbx, rax
        mov rcx, rax
        mov rdx, rax
        mov eax, ${leaf}
        mov ecx, ${subleaf}
        cpuid${STORE_FOUR}`;
    return new KvmBench(source, options).finish().results(4);
  }

  test('leaf 0 says GenuineIntel, and that there are leaves up to 0BH', () => {
    expect(cpuid(0)).toEqual([0xbn, 0x756e6547n, 0x6c65746en, 0x49656e69n]);
  });

  test.each([
    ['x2APIC', 2, 21, 1],
    ['POPCNT', 2, 23, 1],
    ['TSC deadline', 2, 24, 1],
    ['a hypervisor', 2, 31, 1],
    ['no VMX', 2, 5, 0],
    ['no MONITOR', 2, 3, 0],
    ['no XSAVE', 2, 26, 0],
    ['no AVX', 2, 28, 0],
    ['CMPXCHG16B', 2, 13, 1],
    ['MOVBE', 2, 22, 1],
    ['RDRAND', 2, 30, 1],
    ['TSC', 3, 4, 1],
    ['MSRs', 3, 5, 1],
    ['PAE', 3, 6, 1],
    ['an APIC', 3, 9, 1],
    ['CMPXCHG8B', 3, 8, 1],
    ['SYSENTER', 3, 11, 1],
    ['CLFLUSH', 3, 19, 1],
    ['CMOV', 3, 15, 1],
    ['PAT', 3, 16, 1],
    ['an FPU', 3, 0, 1],
    ['VME', 3, 1, 1],
    ['DE', 3, 2, 1],
    ['PSE', 3, 3, 1],
    ['PGE', 3, 13, 1],
    ['PSE-36', 3, 17, 1],
    ['PCID', 2, 17, 1],
    ['no MMX', 3, 23, 0],
    ['FXSAVE', 3, 24, 1],
    ['SSE', 3, 25, 1],
    ['SSE2', 3, 26, 1],
    ['no SSE3', 2, 0, 0],
  ])('leaf 1 offers %s', (_, register, number, value) => {
    expect(bit(number)(cpuid(1)[register] ?? 0n)).toBe(value);
  });

  test('without TSC-deadline mode leaf 1 does not offer it, and bit 18 of LVTT stays 0', () => {
    const parameters = { tscDeadline: false };
    expect(bit(24)(cpuid(1, 0, { parameters })[2] ?? 0n)).toBe(0);
    const source = `
        write_msr 0x1b, 0xfee00d00
        write_msr 0x80f, 0x1ff
        write_msr 0x832, 0x40040
        mov ecx, 0x832
        rdmsr${STORE_FOUR}`;
    expect(new KvmBench(source, { parameters }).finish().results(4)[0]).toBe(0x40n);
    expect(new KvmBench(source).finish().results(4)[0]).toBe(0x40040n);
  });

  test('leaf 1 offers no APIC while it is switched off', () => {
    const [, , , edx] = cpuid(1, 0, {}, 'write_msr 0x1b, 0xfee00100\n');
    expect(bit(9)(edx ?? 0n)).toBe(0);
  });

  test('leaf 1 has the APIC id, the number of processors and the cache line in EBX', () => {
    const onlySecond = 'cmp edi, 1\nje go\njmp $\ngo:\n';
    const [, ebx] = cpuid(1, 0, { vcpus: 3 }, onlySecond);
    expect(ebx).toBe(0x0103_0800n);
  });

  test.each([
    ['TSC_ADJUST', 1, 1, 1],
    ['FSGSBASE', 1, 0, 1],
    ['BMI1', 1, 3, 1],
    ['no AVX2', 1, 5, 0],
    ['SMEP', 1, 7, 1],
    ['BMI2', 1, 8, 1],
    ['INVPCID', 1, 10, 1],
    ['RDSEED', 1, 18, 1],
    ['ADX', 1, 19, 1],
    ['SMAP', 1, 20, 1],
    ['CLFLUSHOPT', 1, 23, 1],
    ['CLWB', 1, 24, 1],
    ['UMIP', 2, 2, 1],
    ['RDPID', 2, 22, 1],
    ['SERIALIZE', 3, 14, 1],
  ])('leaf 7 offers %s', (_, register, number, value) => {
    expect(bit(number)(cpuid(7)[register] ?? 0n)).toBe(value);
  });

  // SDM 2, "CPUID", leaf 0BH: shift to the next level, processors, level type and number.
  test.each([
    [0, [0n, 1n, 0x100n, 1n]],
    [1, [2n, 3n, 0x201n, 1n]],
    [2, [0n, 0n, 2n, 1n]],
  ])('leaf 0BH, subleaf %i, describes cores of one thread', (subleaf, expected) => {
    const onlySecond = 'cmp edi, 1\nje go\njmp $\ngo:\n';
    expect(cpuid(0xb, subleaf, { vcpus: 3 }, onlySecond)).toEqual(expected);
  });

  test('a basic leaf beyond the last gives the last one', () => {
    expect(cpuid(0xc, 1)).toEqual(cpuid(0xb, 1));
    expect(cpuid(0x3fffffff)).toEqual(cpuid(0xb));
  });

  test.each([0x40000002, 0x40000011, 0x80000009, 0xffffffff])('leaf %i is empty', (leaf) => {
    expect(cpuid(leaf)).toEqual([0n, 0n, 0n, 0n]);
  });

  test.each([
    ['long mode', 29, 1],
    ['NX', 20, 1],
    ['1 GiB pages', 26, 1],
    ['RDTSCP', 27, 1],
    ['SYSCALL', 11, 1],
  ])('leaf 80000001H offers %s', (_, number, value) => {
    expect(bit(number)(cpuid(0x80000001)[3] ?? 0n)).toBe(value);
  });

  test('leaf 80000008H has 46 and 48 address bits, 80000007H the invariant TSC', () => {
    expect(cpuid(0x80000008)[0]).toBe(0x302en);
    expect(cpuid(0x80000007)).toEqual([0n, 0n, 0n, 0x100n]);
    expect(cpuid(0x80000000)[0]).toBe(0x80000008n);
  });
});

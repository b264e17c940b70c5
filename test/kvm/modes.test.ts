// Guests that change their mode of operation under KVM: which exits they make, what the VMCS says
// then, and how exits are handled outside 64-bit mode. Linux arch/x86/kvm/x86.c, kvm_set_cr0 and
// kvm_set_cr4, and vmx/vmx.c, vmx_set_cr0 and vmx_set_efer.

import { describe, expect, test } from 'vitest';
import { Guest, KvmBench, type KvmBenchOptions } from '../support/kvm-bench.ts';
import { TO_PROTECTED, toCompatibility } from '../support/leaving-long-mode.ts';
import { assembleAt } from '../support/vmx-bench.ts';

/** Where code of 32 bits begins, and of 16 bits; both below 1 MiB. */
const CODE_32 = 0x50000;
const CODE_16 = 0x60000;
const GDT = 0x51000;

/** Null, 64-bit code, data, 32-bit code, 16-bit code at CODE_16, 16-bit data, a TSS of 16 bits. */
const DESCRIPTORS = [
  [0, 0],
  [0xffff, 0x00af9b00],
  [0xffff, 0x00cf9300],
  [0xffff, 0x00cf9b00],
  [0xffff, 0x00009b00 | (CODE_16 >> 16)],
  [0xffff, 0x00009300],
  [0x67, 0x00008107],
] as const;

const IA32E = 0x200;
const results = Guest.RESULTS;

/** The program goes on at CODE_32. */
const TO_32 = toCompatibility({
  code: CODE_32,
  gdt: GDT,
  gdtLimit: 8 * DESCRIPTORS.length - 1,
});

const FINISH = 'mov al, 0\nout 0xf4, al\nhlt\n';

/** A bench whose guest goes on at CODE_32 in compatibility mode. */
function bench(source: string, options: KvmBenchOptions = {}): KvmBench {
  const made = new KvmBench(TO_32, options);
  made.write(CODE_32, assembleAt(CODE_32, `bits 32\n${source}`).bytes);
  DESCRIPTORS.forEach(([low, high], i) => {
    made.write64(GDT + 8 * i, low, high);
  });
  return made;
}

/** Where the switch to real mode stands, from CODE_16. */
const LEAVE = 0x8000;

/** A bench whose guest goes on at CODE_16 in real mode, with DS and SS at 0. */
function realBench(source: string): KvmBench {
  const made = bench(`${TO_PROTECTED}
    mov eax, 0x28
    mov ds, eax
    mov es, eax
    mov ss, eax
    jmp 0x20:${LEAVE}`);
  const leave = `bits 16
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp ${CODE_16 >> 4}:0`;
  made.write(CODE_16 + LEAVE, assembleAt(CODE_16 + LEAVE, leave).bytes);
  const program = `bits 16
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    lidt [cs:vectors]
    ${source}
    ${FINISH}
vectors:
    dw 0x3ff
    dd 0`;
  made.write(CODE_16, assembleAt(0, program).bytes);
  return made;
}

/** A 32-bit result. */
const result32 = (made: KvmBench, n: number) => Number(made.result(n) % 2n ** 32n);

describe('from 64-bit mode', () => {
  test('into protected mode without paging: IA-32e mode ends with the write to CR0', () => {
    const made = bench(`${TO_PROTECTED}
      rdmsr
      mov [${results}], eax
      mov eax, cr0
      mov [${results + 8}], eax
      ${FINISH}`).finish();
    expect([result32(made, 0) & 0x500, result32(made, 1)]).toEqual([0, 0x10033]);
    const { vmcs } = made.vcpu().virtual;
    expect(vmcs.read('VM_ENTRY_CONTROLS').low & IA32E).toBe(0);
    // NE is always set for the processor.
    expect(vmcs.read('GUEST_CR0').toUnsigned().toNumber()).toBe(0x10033);
    expect(made.exitCount('CR_ACCESS')).toBe(1);
  });

  test('into 32-bit paging, PAE paging and back into IA-32e mode', () => {
    const made = bench(`${TO_PROTECTED}
      ; 32-bit paging: one page of 4 MiB
      mov dword [0x20000], 0x83
      mov eax, 0x20000
      mov cr3, eax
      mov eax, 0x10
      mov cr4, eax
      mov eax, cr0
      or eax, 0x80000000
      mov cr0, eax
      mov dword [${results}], 0x11
      and eax, 0x7fffffff
      mov cr0, eax
      ; PAE paging: two pages of 2 MiB
      mov dword [0x21000], 0x22001
      mov dword [0x22000], 0x83
      mov dword [0x22008], 0x200083
      mov eax, 0x21000
      mov cr3, eax
      mov eax, 0x20
      mov cr4, eax
      mov eax, cr0
      or eax, 0x80000000
      mov cr0, eax
      mov dword [${results + 8}], 0x22
      and eax, 0x7fffffff
      mov cr0, eax
      ; IA-32e mode again, with a TSS of 16 bits, which KVM makes a wide one
      mov eax, 0x30
      ltr ax
      mov ecx, 0xc0000080
      rdmsr
      or eax, 0x100
      wrmsr
      mov eax, ${Guest.PML4}
      mov cr3, eax
      mov eax, cr0
      or eax, 0x80000000
      mov cr0, eax
      rdmsr
      mov [${results + 16}], eax
      jmp 0x08:long
      bits 64
    long:
      mov rax, 0x1122334455667788
      mov [${results + 24}], rax
      ${FINISH}`).finish();
    const lma = 0x500;
    expect([result32(made, 0), result32(made, 1), result32(made, 2) & lma]).toEqual([
      0x11,
      0x22,
      lma,
    ]);
    expect(made.result(3)).toBe(0x1122334455667788n);
    const { vmcs } = made.vcpu().virtual;
    expect(vmcs.read('VM_ENTRY_CONTROLS').low & IA32E).toBe(IA32E);
    expect(vmcs.read('GUEST_PDPTR0').toNumber()).toBe(0x22001);
    expect(vmcs.read('GUEST_TR_AR_BYTES').low & 15).toBe(11);
  });
});

describe('what faults when KVM writes it', () => {
  /** CR0 or CR4 of the guest after the write; the guest has a handler for #GP that finishes. */
  function written(setup: string, register: 'cr0' | 'cr4', value: number): number | '#GP' {
    const made = bench(`${TO_PROTECTED}
      mov word [0x9800], handler - ${CODE_32}
      mov word [0x9802], 0x18
      mov dword [0x9804], 0x8e00 + (${CODE_32} & 0xffff0000)
      mov word [0x9006], 0x6f
      mov dword [0x9008], 0x9800 - 13 * 8
      lidt [0x9006]
      ${setup}
      mov eax, ${value}
      mov ${register}, eax
      mov eax, ${register}
      mov [${results}], eax
      ${FINISH}
    handler:
      mov dword [${results}], 0xbad
      ${FINISH}`).finish();
    const value32 = result32(made, 0);
    return value32 === 0xbad ? '#GP' : value32;
  }

  const PDPTES = `mov dword [0x21000], 0x22001
      mov eax, 0x21000
      mov cr3, eax
      mov eax, 0x20
      mov cr4, eax`;
  const BAD_PDPTE = 'mov dword [0x21008], 0x22003';
  const PAGED = `mov dword [0x20000], 0x83
      mov eax, 0x20000
      mov cr3, eax
      mov eax, 0x10
      mov cr4, eax
      mov eax, 0x80000033
      mov cr0, eax`;

  test.each<[string, string, 'cr0' | 'cr4', number, number | '#GP']>([
    ['PG without PE', '', 'cr0', 0x80000032, '#GP'],
    ['PG and PE', PAGED, 'cr0', 0x80000033, 0x80000033],
    ['reserved bits of a PDPTE, at PG', `${PDPTES}\n${BAD_PDPTE}`, 'cr0', 0x80000033, '#GP'],
    ['PCIDE outside IA-32e mode', '', 'cr4', 0x20020, '#GP'],
    ['reserved bits of a PDPTE, at PAE', `${PAGED}\nmov dword [0x20000], 0x87`, 'cr4', 0x30, '#GP'],
    [
      'LME without PAE',
      'mov ecx, 0xc0000080\nrdmsr\nor eax, 0x100\nwrmsr\nmov eax, 0\nmov cr4, eax',
      'cr0',
      0x80000033,
      '#GP',
    ],
  ])('%s', (_what, setup, register, value, expected) => {
    expect(written(setup, register, value)).toBe(expected);
  });
});

describe('in real mode', () => {
  test('CPUID, an MSR, a port and a hypercall', () => {
    const made = realBench(`
      mov eax, 0x80000001
      cpuid
      mov [${results}], edx
      mov ecx, 0xc0000080
      rdmsr
      mov [${results + 8}], eax
      mov eax, 1000
      vmcall
      mov [${results + 16}], eax`).finish();
    // Long mode is offered, LME is clear, and the hypercall does not exist.
    expect([(result32(made, 0) >> 29) & 1, result32(made, 1) & 0x500, result32(made, 2)]).toEqual([
      1,
      0,
      2 ** 32 - 1000,
    ]);
    expect(made.vcpu().virtual.processor.mode).toBe('real');
  });

  test('an exception that KVM intercepts and injects goes through the vector table', () => {
    const made = realBench(`
      mov word [6 * 4], handler
      mov word [6 * 4 + 2], cs
      ud2
    handler:
      mov bp, sp
      mov ax, [bp + 2]
      mov [${results}], ax`).finish();
    expect(result32(made, 0) & 0xffff).toBe(CODE_16 >> 4);
    expect(made.exitCount('EXCEPTION_NMI')).toBe(1);
  });

  test('#GP from a handler of KVM has no error code', () => {
    const made = realBench(`
      mov word [13 * 4], handler
      mov word [13 * 4 + 2], cs
      mov [${results}], sp
      mov ecx, 0x12345
      rdmsr
    handler:
      mov [${results + 8}], sp`).finish();
    // FLAGS, CS and IP.
    expect((result32(made, 0) & 0xffff) - (result32(made, 1) & 0xffff)).toBe(6);
  });

  test('INT n goes through the vector table', () => {
    const made = realBench(`
      mov word [0x40 * 4], handler
      mov word [0x40 * 4 + 2], cs
      int 0x40
    handler:
      mov word [${results}], 0x77`).finish();
    expect(result32(made, 0) & 0xffff).toBe(0x77);
  });

  test('OUTS: the exit names the linear address', () => {
    const made = realBench(`
      mov ax, 0x100
      mov ds, ax
      mov byte [4], 0x5a
      mov si, 4
      mov dx, 0x80
      outsb`).finish();
    expect(made.vcpu().virtual.processor.state.get('rsi').low & 0xffff).toBe(5);
    const exit = made.userExits[0]?.exit;
    expect(exit?.reason === 'IO' && [exit.port, exit.data]).toEqual([0x80, 0x5a]);
  });
});

describe('debug registers', () => {
  const exits = (source: string) =>
    new KvmBench(`${source}\nfinish`).finish().exitCount('DR_ACCESS');

  test('the first access exits, and the others do not until the next exit', () => {
    expect(exits('mov rax, dr0\nmov dr1, rax\nmov rax, dr6')).toBe(1);
    expect(exits('mov rax, dr0\ncpuid\nmov rax, dr1\nmov rax, dr2')).toBe(2);
  });

  test('values are kept over exits', () => {
    const made = new KvmBench(`
      mov eax, 0x1234
      mov dr2, rax
      cpuid
      mov rbx, dr2
      mov result(0), rbx
      finish`).finish();
    expect(made.result(0)).toBe(0x1234n);
  });

  test.each([
    ['DR4 with CR4.DE', 'mov rax, cr4\nor eax, 8\nmov cr4, rax\ntry mov rax, dr4', 6n],
    ['DR4 without', 'try mov rax, dr4', -1n],
    ['general detect', 'mov eax, 0x2400\nmov dr7, rax\ncpuid\ntry mov rax, dr0', 1n],
    [
      'general detect, without an exit before',
      'mov eax, 0x2400\nmov dr7, rax\ntry mov rax, dr0',
      1n,
    ],
  ])('%s', (_what, source, vector) => {
    const made = new KvmBench(`${source}\nmov result(0), r15
      mov rax, dr6\nmov result(1), rax\nmov rax, dr7\nmov result(2), rax\nfinish`).finish();
    expect(BigInt.asIntN(64, made.result(0))).toBe(vector);
    // BD; GD is clear again.
    if (vector === 1n) expect([made.result(1), made.result(2)]).toEqual([0xffff2ff0n, 0x400n]);
  });

  test('a data breakpoint of the guest comes by way of KVM, with DR6', () => {
    const made = new KvmBench(`
      mov eax, 0x9200
      mov dr1, rax
      mov eax, 0x400 + 4 + (1 << 20)
      mov dr7, rax
      try mov byte [0x9200], 1
      mov result(0), r15
      mov rax, dr6
      mov result(1), rax
      finish`).finish();
    expect(made.results(2)).toEqual([1n, 0xffff0ff2n]);
    expect(made.exitCount('EXCEPTION_NMI')).toBe(1);
  });
});

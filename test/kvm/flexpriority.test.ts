// FlexPriority, as Linux 6.1 uses it without APICv (arch/x86/kvm/vmx/vmx.c, handle_apic_access,
// handle_tpr_below_threshold, vmx_set_virtual_apic_mode; x86.c, update_cr8_intercept): what guests
// see is the same as without it, and how they leave is not.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { KvmBench, VMX_COSTS } from '../support/kvm-bench.ts';

const APIC = 0xfee00000;
const PROLOGUE = `mov rbx, ${APIC}\nmov dword [rbx + 0xf0], 0x1ff`;

function bench(source: string, flexpriority = true): KvmBench {
  return new KvmBench(source, { parameters: { flexpriority } }).finish();
}

/** Exits but the first EPT violation, which maps the page, and the end. */
function exitsOf(source: string): readonly string[] {
  const exits = bench(source).exits();
  expect(exits[0]).toBe('EPT_VIOLATION');
  return exits.slice(1, -1);
}

describe('exits', () => {
  test('the page is mapped where it is missed first, and then has exits of its own', () => {
    expect(exitsOf(`${PROLOGUE}\nfinish`)).toEqual(['APIC_ACCESS']);
    expect(bench(`${PROLOGUE}\nfinish`, false).exits().slice(0, -1)).toEqual(['EPT_VIOLATION']);
  });

  test.each<[string, string, number]>([
    // [what, instructions, exits of them]
    ['reading the task priority', 'mov eax, [rbx + 0x80]', 0],
    ['writing the task priority', 'mov dword [rbx + 0x80], 0x30', 0],
    ['reading the id', 'mov eax, [rbx + 0x20]', 1],
    ['end of interrupt', 'mov dword [rbx + 0xb0], 0', 1],
    ['CR8', 'mov eax, 3\nmov cr8, rax\nmov rcx, cr8', 0],
  ])('%s', (_what, source, count) => {
    expect(exitsOf(`${PROLOGUE}\n${source}\nfinish`)).toHaveLength(1 + count);
  });

  test('end of interrupt is not emulated, but another access is', () => {
    const made = bench(`${PROLOGUE}\nmov dword [rbx + 0xb0], 0\nfinish`);
    expect(made.counters().insn_emulation).toBe(1);
    expect(made.lines('kvm_eoi')).toEqual(['kvm_eoi: apicid 0 vector -1']);
    expect(made.lines('kvm_exit')[2]).toMatch(/reason APIC_ACCESS .*info1 0x0*10b0 /);
  });
});

describe('the guest sees the same with and without it', () => {
  const same = (source: string, count: number) => {
    const results = [true, false].map((on) => bench(source, on).results(count));
    expect(results[0]).toEqual(results[1]);
    return results[0];
  };

  test('task priority by CR8, by the page, and in the processor priority', () => {
    const source = `${PROLOGUE}
      mov eax, 5
      mov cr8, rax
      mov ecx, [rbx + 0x80]
      mov result(0), rcx
      mov ecx, [rbx + 0xa0]
      mov result(1), rcx
      mov dword [rbx + 0x80], 0x7c
      mov rcx, cr8
      mov result(2), rcx
      mov ecx, [rbx + 0xa0]
      mov result(3), rcx
      finish`;
    expect(same(source, 4)).toEqual([0x50n, 0x50n, 7n, 0x7cn]);
  });

  test('CR8 of more than 15 is #GP(0)', () => {
    const source =
      'mov eax, 16\nmov r14, -1\ntry mov cr8, rax\nmov result(0), r15\nmov result(1), r14\nfinish';
    expect(same(source, 2)).toEqual([13n, 0n]);
  });

  test('x2APIC mode: the task priority is an MSR, and the page is the APIC no more', () => {
    const source = `
      read_msr 0x1b
      or rax, 0x400
      write_msr 0x1b, rax
      write_msr 0x808, 0x60
      mov rcx, cr8
      mov result(0), rcx
      mov eax, 2
      mov cr8, rax
      read_msr 0x808
      mov result(1), rax
      finish`;
    expect(same(source, 2)).toEqual([6n, 0x20n]);
  });

  test('INIT and switching off and on forget the task priority as before', () => {
    const source = `${PROLOGUE}
      mov dword [rbx + 0x80], 0x70
      read_msr 0x1b
      mov rdi, rax
      and rax, ~0x800
      write_msr 0x1b, rax
      mov rcx, cr8
      mov result(0), rcx
      write_msr 0x1b, rdi
      mov rcx, cr8
      mov result(1), rcx
      finish`;
    same(source, 2);
  });
});

describe('an interrupt that the task priority holds back', () => {
  /** Interrupts itself with vector 0x61 at task priority `tpr`, and lowers it by `lower`. */
  const source = (lower: string) => `${PROLOGUE}
      mov eax, 7
      mov cr8, rax
      sti
      mov dword [rbx + 0x300], 0x44061    ; self, fixed
      nop
      mov result(0), r10
      ${lower}
    behind: nop
      mov result(1), r10
      finish
    on_97: mov r10, 1
      mov rax, [rsp]
      mov result(2), rax
      mov dword [rbx + 0xb0], 0
      iretq`;

  test.each([
    ['by CR8', 'mov eax, 5\nmov cr8, rax'],
    ['in the page', 'mov dword [rbx + 0x80], 0x50'],
  ])('is taken behind the instruction that lowers it, %s', (_how, lower) => {
    const made = bench(`xor r10, r10\n${source(lower)}`);
    expect(made.results(3)).toEqual([0n, 1n, BigInt(made.label('behind'))]);
    expect(made.exitCount('TPR_BELOW_THRESHOLD')).toBe(1);
    expect(made.lines('kvm_inj_virq')).toHaveLength(1);
  });

  test('not as long as it is not lowered far enough, which is no exit', () => {
    const made = bench(`xor r10, r10\n${source('mov eax, 6\nmov cr8, rax')}`);
    expect(made.results(2)).toEqual([0n, 0n]);
    expect(made.exitCount('TPR_BELOW_THRESHOLD')).toBe(0);
  });
});

test('the rate of the preemption timer is a matter of the machine', () => {
  // A processor whose timer counts once in 2^rate cycles expires on a multiple of that.
  const expiry = (preemptionTimerRate: number) => {
    const source = `${PROLOGUE}
        mov dword [rbx + 0x320], 0x40040    ; TSC-deadline mode
        read_tsc
        add rax, 3060
        mov rdx, rax
        shr rdx, 32
        mov ecx, 0x6e0
        wrmsr
        sti
        jmp $
      on_64: finish`;
    const made = new KvmBench(source, { parameters: { preemptionTimerRate } }).finish();
    const exit = made.records.find(
      ({ name, fields }) =>
        name === 'kvm_exit' && 'reason' in fields && fields.reason === 'PREEMPTION_TIMER',
    );
    return (exit?.cycles ?? 0) - VMX_COSTS.exit;
  };
  const times = [0, 5, 7].map(expiry);
  expect([times[1] % 32, times[2] % 128]).toEqual([0, 0]);
  expect(times[0] % 32).not.toBe(0);
  expect(times[1] % 128).not.toBe(0);
  // What is left and when it begins are both rounded down: it comes less than two counts early.
  expect(times[0] - times[2]).toBeGreaterThanOrEqual(0);
  expect(times[0] - times[2]).toBeLessThan(2 * 128);
});

describe('the page of an APIC that is switched off', () => {
  const source = `${PROLOGUE}
      read_msr 0x1b
      and eax, ~(1 << 11)
      mov rdx, rax
      shr rdx, 32
      wrmsr
      mov dword [rbx + 0x300], 0x1234
      mov eax, [rbx + 0x300]
      mov result(0), rax
      finish`;

  test.each([
    // [apicOffExits, exits behind the one that maps the page, user space's]
    [false, ['APIC_ACCESS', 'MSR_READ', 'MSR_WRITE'], []],
    [true, ['APIC_ACCESS', 'MSR_READ', 'MSR_WRITE', 'APIC_ACCESS', 'APIC_ACCESS'], [true, false]],
  ])('with apicOffExits %s', (apicOffExits, exits, writes) => {
    const made = new KvmBench(source, {
      parameters: { flexpriority: true, apicOffExits },
      answer: (exit) => {
        if (exit.reason === 'MMIO' && !exit.isWrite) exit.data = Long.fromInt(0x5678);
      },
    }).finish();
    const apart = (names: readonly string[]) => names.filter((name) => name !== 'EPT_VIOLATION');
    expect(apart(made.exits()).slice(0, -1)).toEqual(exits);
    const accesses = made.userExits.flatMap(({ exit }) => (exit.reason === 'MMIO' ? [exit] : []));
    expect(accesses.map(({ isWrite }) => isWrite)).toEqual(writes);
    expect(made.result(0)).toBe(apicOffExits ? 0x5678n : 0x1234n);
  });
});

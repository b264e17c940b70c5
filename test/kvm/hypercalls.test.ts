// Hypercalls and KVM's CPUID leaves: kvm-host.md 4.1 to 4.4 (Linux arch/x86/kvm/x86.c,
// kvm_emulate_hypercall and kvm_sched_yield; Documentation/virt/kvm/x86/cpuid.rst, hypercalls.rst).

import { describe, expect, test } from 'vitest';
import { schedYield } from '../../src/kvm/directed-yield.ts';
import { KvmBench, type KvmBenchOptions, Selector } from '../support/kvm-bench.ts';
import { idleVm } from '../support/kvm-vm.ts';

const KVM_ENOSYS = -1000n;
const KVM_EPERM = -1n;
const UNKNOWN_FUNCTION = BigInt.asUintN(64, KVM_ENOSYS);
const NOT_PERMITTED = BigInt.asUintN(64, KVM_EPERM);

/** RAX after a hypercall whose registers are set by `setup`. */
function callWith(setup: string, options: KvmBenchOptions = {}): KvmBench {
  return new KvmBench(
    `${setup}\ncall: vmcall\nafter: mov result(0), rax\nfinish`,
    options,
  ).finish();
}

describe('the result of number', () => {
  test.each([
    ['1, VAPIC_POLL_IRQ', 'mov eax, 1', 0n],
    ['5, KICK_CPU', 'mov eax, 5\nxor ecx, ecx', 0n],
    ['5, KICK_CPU of nobody', 'mov eax, 5\nmov ecx, 77', 0n],
    ['11, SCHED_YIELD', 'mov eax, 11\nxor ebx, ebx', 0n],
    ['11, SCHED_YIELD to nobody', 'mov eax, 11\nmov ebx, 77', 0n],
    ['0, which was never given', 'xor eax, eax', UNKNOWN_FUNCTION],
    ['2, MMU_OP, which was removed', 'mov eax, 2', UNKNOWN_FUNCTION],
    ['3, which is of another architecture', 'mov eax, 3', UNKNOWN_FUNCTION],
    ['12, MAP_GPA_RANGE, which is not forwarded', 'mov eax, 12', UNKNOWN_FUNCTION],
    ['2^32 - 1', 'mov eax, -1', UNKNOWN_FUNCTION],
    ['2^32 + 5, as all 64 bits count', 'mov rax, 0x100000005', UNKNOWN_FUNCTION],
    ['-1', 'mov rax, -1', UNKNOWN_FUNCTION],
  ])('%s', (_, setup, result) => {
    expect(callWith(setup).result(0)).toBe(result);
  });
});

describe('at CPL 3', () => {
  /** IRETQ to CPL 3 with IOPL 3, so that the program can still end itself. */
  const ENTER_USER = `
      push ${Selector.USER_DATA}
      push rsp
      push 0x3002
      push ${Selector.USER_CODE}
      push user
      iretq
    user:`;

  test.each([
    ['a known number', 'mov eax, 1'],
    ['an unknown number: privilege is checked first', 'mov eax, 99'],
    ['KICK_CPU', 'mov eax, 5\nmov ecx, 1'],
  ])('-EPERM is the result of %s', (_, setup) => {
    const bench = callWith(ENTER_USER + setup);
    expect(bench.result(0)).toBe(NOT_PERMITTED);
    expect(bench.counters().hypercalls).toBe(1);
  });

  test('KICK_CPU does nothing', () => {
    const bench = callWith(`${ENTER_USER}mov eax, 5\nxor ecx, ecx`);
    expect(bench.vcpu().state.pvUnhalted).toBe(false);
  });
});

test('only RAX changes, and the guest goes on behind the instruction', () => {
  const names = ['rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'r8', 'r9', 'r14', 'r15'];
  const load = names.map((name, i) => `mov ${name}, ${0x1111 * (i + 1)} << 32 | ${i}`);
  const store = names.map((name, i) => `mov result(${i}), ${name}`);
  const source = [...load, 'mov rax, 99', 'vmcall', ...store, 'finish'].join('\n');
  const expected = names.map((_, i) => (BigInt(0x1111 * (i + 1)) << 32n) | BigInt(i));
  expect(new KvmBench(source).finish().results(names.length)).toEqual(expected);
});

test('the exit is at the instruction, three bytes long', () => {
  const bench = callWith('mov eax, 1');
  expect(bench.label('after') - bench.label('call')).toBe(3);
  const [exit, entry] = bench.events('kvm_exit', 'kvm_entry').slice(1);
  const rip = (name: string) => ({ low: bench.label(name) });
  expect(exit?.fields).toMatchObject({ reason: 'VMCALL', rip: rip('call') });
  expect(entry?.fields).toMatchObject({ rip: rip('after') });
});

test('the tracepoint shows number and arguments, as 64-bit values', () => {
  const setup = 'mov rax, -2\nmov rbx, 1 << 63\nmov ecx, 3\nmov edx, 4\nmov esi, 5';
  expect(callWith(setup).lines('kvm_hypercall')).toEqual([
    'kvm_hypercall: nr 0xfffffffffffffffe a0 0x8000000000000000 a1 0x3 a2 0x4 a3 0x5',
  ]);
});

test('failed calls are counted like others', () => {
  const source = 'mov eax, 99\nvmcall\nmov eax, 1\nvmcall\nfinish';
  expect(new KvmBench(source).finish().counters().hypercalls).toBe(2);
});

describe('VMMCALL', () => {
  test('is replaced by VMCALL where it stands, and has its effect', () => {
    const source = `
        mov eax, 99
      call: vmmcall
        mov result(0), rax
        mov eax, [call]
        and eax, 0xffffff
        mov result(1), rax
        finish`;
    const bench = new KvmBench(source).finish();
    expect(bench.results(2)).toEqual([UNKNOWN_FUNCTION, 0xc1010fn]);
    expect(bench.exits().slice(0, 2)).toEqual(['EXCEPTION_NMI', 'VMCALL']);
    expect(bench.counters().hypercalls).toBe(1);
  });

  test('exits as VMCALL from then on: decoded instructions are dropped', () => {
    const source = `
        mov ebp, 3
      again:
        mov eax, 1
        vmmcall
        dec ebp
        jnz again
        finish`;
    const bench = new KvmBench(source).finish();
    const calls = ['VMCALL', 'VMCALL', 'VMCALL'];
    expect(bench.exits()).toEqual(['EXCEPTION_NMI', ...calls, 'IO_INSTRUCTION']);
  });

  test('is replaced across the end of a page', () => {
    const source = `
        mov eax, 99
        jmp call
        align 0x1000
        times 0xffe nop
      call: vmmcall
        mov result(0), rax
        finish`;
    const bench = new KvmBench(source).finish();
    expect(bench.label('call') % 0x1000).toBe(0xffe);
    expect(bench.result(0)).toBe(UNKNOWN_FUNCTION);
  });

  test('#UD of any other instruction reaches the guest', () => {
    const bench = new KvmBench('try ud2\nmov result(0), r15\nfinish').finish();
    expect(bench.result(0)).toBe(6n);
    expect(bench.lines('kvm_inj_exception')).toEqual(['kvm_inj_exception: #UD']);
  });
});

describe('KICK_CPU', () => {
  /** vCPU 1 halts with interrupts off; vCPU 0 kicks it after a while. */
  const KICK_SLEEPER = `
      test edi, edi
      jnz sleeper
      mov ecx, 20000
  delay:
      dec ecx
      jnz delay
      mov eax, 5
      xor ebx, ebx
      mov ecx, 1
      vmcall
  await:
      cmp result(0), 0
      je await
      finish
  sleeper:
      hlt
      mov result(0), 1
      hlt`;

  test('wakes a vCPU that halted with interrupts off', () => {
    const bench = new KvmBench(KICK_SLEEPER, { vcpus: 2 }).finish();
    expect(bench.counters(1)).toMatchObject({ halt_wakeup: 1, irq_injections: 0 });
    expect(bench.lines('kvm_apic_accept_irq')).toEqual([
      'kvm_apic_accept_irq: apicid 1 vec 0 (Res3|edge)',
    ]);
    expect(bench.vcpu(1).state.pvUnhalted).toBe(false);
  });

  test('is remembered by a vCPU that runs: its next HLT, and only that, ends at once', () => {
    const source = 'mov eax, 5\nxor ecx, ecx\nvmcall\nhlt\nmov result(0), 1\nhlt\nmov result(0), 2';
    const bench = new KvmBench(source).run();
    expect(bench.ending).toBe('stuck');
    expect(bench.result(0)).toBe(1n);
    expect(bench.exitCount('HLT')).toBe(2);
  });

  test('is remembered once, however often it comes', () => {
    const kicks = 'mov eax, 5\nxor ecx, ecx\nvmcall\n'.repeat(3);
    const bench = new KvmBench(`${kicks}hlt\nmov result(0), 1\nhlt\nmov result(0), 2`).run();
    expect([bench.ending, bench.result(0)]).toEqual(['stuck', 1n]);
  });

  test('takes the APIC id from RCX, not from RBX', () => {
    const source = KICK_SLEEPER.replace('xor ebx, ebx', 'mov ebx, 1').replace(
      'mov ecx, 1',
      'xor ecx, ecx',
    );
    const bench = new KvmBench(source, { vcpus: 2 }).run(1e6);
    expect(bench.result(0)).toBe(0n);
    expect(bench.vcpu().state.pvUnhalted).toBe(true);
  });

  test('interrupts a vCPU in the guest on another pCPU, which goes on', () => {
    const source = `
        test edi, edi
        jnz spin
        mov ecx, 20000
      delay: dec ecx
        jnz delay
        mov eax, 5
        mov ecx, 1
        vmcall
        mov ecx, 20000
      more: dec ecx
        jnz more
        finish
      spin: jmp spin`;
    const bench = new KvmBench(source, { vcpus: 2 }).finish();
    expect(bench.exits(1)).toEqual(['EXTERNAL_INTERRUPT']);
    expect(bench.vcpu(1).state.pvUnhalted).toBe(true);
  });

  // Whether it yields; then attempts are counted, of which none succeeds here.
  test.each([
    [true, 1],
    [false, 0],
  ])('with kick_yields %s counts %i attempt(s) to yield', (kickYields, attempts) => {
    const bench = new KvmBench(KICK_SLEEPER, { vcpus: 2, parameters: { kickYields } }).finish();
    const { directed_yield_attempted, directed_yield_successful } = bench.counters();
    expect([directed_yield_attempted, directed_yield_successful]).toEqual([attempts, 0]);
  });

  // The kicked vCPU, which sleeps already, is on the same pCPU: attempts and successes.
  test.each([
    [true, 1, 1],
    [false, 0, 0],
  ])('with kick_yields %s yields to the kicked vCPU', (kickYields, attempts, successes) => {
    const source = `
        test edi, edi
        jnz sleeper
        mov ecx, 2000
      settle: mfence
        dec ecx
        jnz settle
        mov eax, 5
        mov ecx, 1
        vmcall
      busy: mfence
        jmp busy
      sleeper:
        hlt
        finish`;
    const options = { vcpus: 2, pcpus: 1, pins: [0, 0], hz: 1000, cycles: { fence: 5000 } };
    const bench = new KvmBench(source, { ...options, parameters: { kickYields } }).finish();
    const { directed_yield_attempted, directed_yield_successful } = bench.counters();
    expect([directed_yield_attempted, directed_yield_successful]).toEqual([attempts, successes]);
  });
});

describe('a yield by hypercall', () => {
  /** The attempt of vCPU 0 to yield to the one with an APIC id; what it counts. */
  function attempt(apicId: number, change: { ready?: boolean; company?: boolean } = {}) {
    const { ready = true, company = true } = change;
    const { vm, vcpus, pcpu } = idleVm(3);
    let asked = 0;
    vm.host.scheduler.yieldTo = () => {
      asked++;
      return 'yielded';
    };
    Object.defineProperty(pcpu.queue, 'runningCount', { value: company ? 2 : 1 });
    for (const { state } of vcpus) state.ready = ready;
    const yields = schedYield(vcpus[0], apicId, pcpu);
    const { directed_yield_attempted, directed_yield_successful } = vcpus[0].counters;
    return [asked, yields, directed_yield_attempted, directed_yield_successful];
  }

  // What is asked of the scheduler, whether it yields, attempts and successes.
  test.each<[string, ReturnType<typeof attempt>, ReturnType<typeof attempt>]>([
    ['goes to a vCPU that is ready', attempt(1), [1, true, 1, 1]],
    [
      'does nothing if nobody else is on the pCPU',
      attempt(1, { company: false }),
      [0, false, 1, 0],
    ],
    ['does nothing if the target is not ready', attempt(1, { ready: false }), [0, false, 1, 0]],
    ['does nothing if nobody has the id', attempt(3), [0, false, 1, 0]],
    ['does nothing if it is the caller itself', attempt(0), [0, false, 1, 0]],
  ])('%s', (_, outcome, expected) => {
    expect(outcome).toEqual(expected);
  });

  test('counts no success if the scheduler refuses', () => {
    const { vm, vcpus, pcpu } = idleVm(2);
    vm.host.scheduler.yieldTo = () => 'refused';
    vcpus[1].state.ready = true;
    expect(schedYield(vcpus[0], 1, pcpu)).toBe(false);
    expect(vcpus[0].counters).toMatchObject({
      directed_yield_attempted: 1,
      directed_yield_successful: 0,
    });
  });
});

describe("KVM's CPUID", () => {
  const leaf = (number: number) => {
    const source = `
        mov eax, ${number}
        xor ecx, ecx
        cpuid
        mov result(0), rax
        mov result(1), rbx
        mov result(2), rcx
        mov result(3), rdx
        finish`;
    return new KvmBench(source).finish().results(4).map(Number);
  };

  test('leaf 40000000H says KVMKVMKVM, and how far leaves go', () => {
    const [last, ...signature] = leaf(0x40000000);
    expect(signature).toEqual([0x4b4d564b, 0x564b4d56, 0x4d]);
    expect(last).toBeGreaterThanOrEqual(0x40000001);
  });

  test('leaf 40000001H offers what Linux 6.1 does, but for asynchronous page faults', () => {
    const bits = [0, 1, 3, 5, 6, 7, 9, 11, 12, 13, 24];
    const offered = bits.reduce((mask, bit) => mask + 2 ** bit, 0);
    expect(leaf(0x40000001)).toEqual([offered, 0, 0, 0]);
  });

  test('leaf 40000010H gives TSC and APIC bus frequencies in kHz', () => {
    expect(leaf(0x40000010)).toEqual([2_000_000, 1_000_000, 0, 0]);
  });

  test('leaf 1 has the hypervisor bit', () => {
    expect(((leaf(1)[2] ?? 0) >>> 31) & 1).toBe(1);
  });
});

// Asynchronous page faults and live migration.
test.each([2, 6, 7, 8].map((n) => 0x4b564d00 + n))('MSR %i is not offered', (index) => {
  const source = `
        mov ecx, ${index}
        try rdmsr
        mov result(0), r15
        xor eax, eax
        xor edx, edx
        mov ecx, ${index}
        try wrmsr
        mov result(1), r15
        finish`;
  expect(new KvmBench(source).finish().results(2)).toEqual([13n, 13n]);
});

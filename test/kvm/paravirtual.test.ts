// KVM's paravirtual interface as guests use it: kvm-host.md 4.1 to 4.6 (Linux
// Documentation/virt/kvm/x86/msr.rst, hypercalls.rst, cpuid.rst).

import { describe, expect, test } from 'vitest';
import { DEFAULT_PARAMETERS, type PvFeatureName } from '../../src/kvm/index.ts';
import { timeScale } from '../../src/kvm/pv-clock.ts';
import { KvmBench, type KvmBenchOptions } from '../support/kvm-bench.ts';

/** Where guests keep their records: RAM that nothing else uses. */
const RECORD = 0x200000;

const ENOSYS = BigInt.asUintN(64, -1000n);
const EINVAL = BigInt.asUintN(64, -22n);
const GP = 13n;
const NONE = BigInt.asUintN(64, -1n);

const without = (...names: PvFeatureName[]) => ({
  ...DEFAULT_PARAMETERS.features,
  ...Object.fromEntries(names.map((name) => [name, false])),
});

function view(bench: KvmBench): DataView {
  const { buffer, byteOffset } = bench.vm.memory.bytes;
  return new DataView(buffer, byteOffset + bench.vm.ramHpa + RECORD);
}

describe('the scale that makes nanoseconds of cycles', () => {
  // Multiplier with its highest bit set wherever the rate is between 1 and 2 GHz.
  test.each([
    [1_000_000_000, 1, 0x80000000],
    [2_000_000_000, 0, 0x80000000],
    [3_000_000_000, -1, 0xaaaaaaaa],
    [4_000_000_000, -1, 0x80000000],
    [1_500_000_000, 0, 0xaaaaaaaa],
    [500_000_000, 2, 0x80000000],
  ])('of %i Hz', (hz, shift, multiplier) => {
    expect(timeScale(hz)).toEqual({ shift, multiplier });
  });

  test.each([100_000, 32_768_000, 999_999_999, 1_193_182_000, 2_300_001_000, 5_100_000_000])(
    'is exact to a part in 2^31 at %i Hz',
    (hz) => {
      const { shift, multiplier } = timeScale(hz);
      expect(multiplier).toBeLessThan(2 ** 32);
      const seconds = (hz * 2 ** shift * multiplier) / 2 ** 32 / 1e9;
      expect(Math.abs(seconds - 1)).toBeLessThan(2 ** -30);
    },
  );
});

describe('kvmclock', () => {
  /** The guest's time in ns, in RAX, by the record's own rules. */
  const READ_CLOCK = `
      %macro read_clock 0
      %%again:
        mov r8d, [${RECORD}]
        test r8d, 1
        jnz %%again
        read_tsc
        sub rax, [${RECORD} + 8]
        mov cl, [${RECORD} + 28]
        test cl, cl
        js %%right
        shl rax, cl
        jmp %%scale
      %%right:
        neg cl
        shr rax, cl
      %%scale:
        mov edx, [${RECORD} + 24]
        mul rdx
        shrd rax, rdx, 32
        add rax, [${RECORD} + 16]
        cmp r8d, [${RECORD}]
        jne %%again
      %endmacro`;

  const clock = (setup: string, options: KvmBenchOptions = {}) =>
    new KvmBench(`${READ_CLOCK}\n${setup}`, options);

  test.each([
    ['0x4b564d01', 1],
    ['0x12, which gives vCPUs no common base', 0],
  ])('by MSR %s', (msr, flags) => {
    const source = `write_msr ${Number.parseInt(msr, 16)}, ${RECORD} | 1
      mov ecx, 100000
      spin: loop spin
      read_clock
      mov result(0), rax
      finish`;
    const bench = clock(source).finish();
    const exit = bench.events('kvm_exit').at(-1);
    const error = Number(exit?.timeNs) - Number(bench.result(0));
    expect(error).toBeGreaterThanOrEqual(0);
    expect(error).toBeLessThan(1000);
    expect(view(bench).getUint32(0, true)).toBe(2);
    expect(view(bench).getUint8(29)).toBe(flags);
  });

  test.each([1_300_000, 2_000_001, 3_700_000])('with a TSC of %i kHz', (tscKhz) => {
    const source = `write_msr 0x4b564d01, ${RECORD} | 1
      mov ecx, 1000000
      spin: loop spin
      read_clock
      mov result(0), rax
      read_tsc
      mov result(1), rax
      finish`;
    const bench = clock(source, { parameters: { tscKhz } }).finish();
    const timeNs = Number(bench.events('kvm_exit').at(-1)?.timeNs);
    expect(timeNs - Number(bench.result(0))).toBeLessThan(1000);
    expect(Math.abs((Number(bench.result(1)) / tscKhz) * 1e6 - timeNs)).toBeLessThan(1000);
  });

  test('goes on without a step when the guest moves its TSC', () => {
    const source = `write_msr 0x4b564d01, ${RECORD} | 1
      read_clock
      mov result(0), rax
      write_msr 0x10, 1 << 40
      read_clock
      mov result(1), rax
      write_msr 0x3b, 0
      read_clock
      mov result(2), rax
      finish`;
    const bench = clock(source).finish();
    const [first, second, third] = bench.results(3).map(Number);
    expect(second - first).toBeGreaterThan(0);
    expect(third - second).toBeGreaterThan(0);
    expect(third - first).toBeLessThan(20_000);
    expect(bench.lines('kvm_write_tsc_offset')).toHaveLength(2);
    expect(view(bench).getUint32(0, true)).toBe(6);
  });

  test('an update is traced as it is written', () => {
    const bench = clock(`write_msr 0x4b564d01, ${RECORD} | 1\nfinish`).finish();
    expect(bench.lines('kvm_pvclock_update')).toEqual([
      'kvm_pvclock_update: vcpu_id 0, pvclock { version 2, tsc_timestamp 0x0, system_time 0x0, ' +
        'tsc_to_system_mul 0x80000000, tsc_shift 0, flags 0x1 }',
    ]);
  });

  test.each(['0', `${RECORD}`, '0xfffffffffffffff1', '0x3ffff1'])('%s is no record', (value) => {
    const bench = clock(`write_msr 0x4b564d01, ${value}\nread_msr 0x12\nmov result(0), rax
      finish`).finish();
    expect(bench.result(0)).toBe(BigInt(value));
    expect(bench.lines('kvm_pvclock_update')).toEqual([]);
  });

  test.each([0x11, 0x4b564d00])('the wall clock is that of the CMOS, by MSR %i', (msr) => {
    const bench = clock(`mov dword [${RECORD}], 3
      write_msr ${msr}, ${RECORD}
      finish`).finish();
    const words = [0, 4, 8].map((offset) => view(bench).getUint32(offset, true));
    expect(words).toEqual([6, Date.UTC(2000, 0, 1) / 1000, 0]);
  });

  test('CLOCK_PAIRING gives wall clock and TSC of one moment', () => {
    const source = `mov eax, 9
      mov ebx, ${RECORD}
      xor ecx, ecx
      vmcall
      mov result(0), rax
      mov eax, 9
      mov ecx, 1
      vmcall
      mov result(1), rax
      mov eax, 9
      mov ebx, 0x3fffff
      xor ecx, ecx
      vmcall
      mov result(2), rax
      finish`;
    const bench = clock(source).finish();
    const [eopnotsupp, efault] = [-95n, -14n].map((error) => BigInt.asUintN(64, error));
    expect(bench.results(3)).toEqual([0n, eopnotsupp, efault]);
    const [seconds, ns, tsc] = [0, 8, 16].map((at) => Number(view(bench).getBigInt64(at, true)));
    expect(seconds).toBe(946684800);
    // At 2 GHz.
    expect(Math.floor(tsc / 2)).toBe(ns);
  });
});

describe('steal time', () => {
  /** Each fence takes 0.1 ms, so that little has to be executed. */
  const WATCH = `
      write_msr 0x4b564d03, ${RECORD} | 1
      mov ecx, 300
    spin: mfence
      loop spin
      mov rax, [${RECORD}]
      mov result(0), rax
      finish`;
  const CONTENDED: KvmBenchOptions = { hogs: [0], hz: 250, cycles: { fence: 200_000 } };

  function contended(parameters: KvmBenchOptions['parameters'] = {}): KvmBench {
    return new KvmBench(WATCH, { ...CONTENDED, parameters }).run(4e8);
  }

  test('is the time that the thread waited for its pCPU, in ns', () => {
    const bench = contended();
    expect(bench.ending).toBe(0);
    const { waiting } = bench.vcpu().thread.state.times;
    expect(waiting).toBeGreaterThan(1e7);
    expect(Number(bench.result(0))).toBe(bench.vcpu().thread.state.runDelayNs);
    expect(Math.abs(Number(bench.result(0)) - waiting / 2)).toBeLessThan(1000);
    expect(view(bench).getUint32(8, true) % 2).toBe(0);
  });

  test('sleep is no theft', () => {
    const source = `write_msr 0x4b564d03, ${RECORD} | 1
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff
      write_msr 0x832, 0x40
      write_msr 0x83e, 0xb
      write_msr 0x838, 1000000
      sti
      hlt
      mov eax, [${RECORD}]
      mov result(0), rax
      finish
      on_64: iretq`;
    const bench = new KvmBench(source).finish();
    expect(bench.vcpu().thread.state.times.blocked).toBeGreaterThan(1e6);
    // From the wake-up to the pCPU, no more.
    expect(Number(bench.result(0))).toBeLessThan(20_000);
  });

  test.each([
    ['interrupt', 1],
    ['always', 1],
    ['never', 0],
  ] as const)('a vCPU preempted by the tick is marked: %s', (preemptedFlag, marked) => {
    const bench = new KvmBench(WATCH, { ...CONTENDED, parameters: { preemptedFlag } });
    for (let at = 1e6; at < 1e8 && !bench.vcpu().state.preempted; at += 1e5) bench.run(at);
    expect(bench.vcpu().state.preempted).toBe(true);
    expect(view(bench).getUint8(16)).toBe(marked);
    const { preemption_reported: reported, preemption_other: other } = bench.counters();
    expect([reported > 0, other]).toEqual([marked === 1, 0]);
    bench.run(4e8);
    expect(view(bench).getUint8(16)).toBe(0);
  });

  test.each([
    ['interrupt', 0],
    ['always', 1],
  ] as const)('one that yields in a handler is marked if %s: %i', (preemptedFlag, marked) => {
    const source = `
      cmp edi, 1
      je second
      write_msr 0x4b564d03, ${RECORD} | 1
      lock inc dword [${RECORD} + 0x100]
    ready: mfence
      cmp dword [${RECORD} + 0x100], 2
      jne ready
      times 20 mfence
      mov eax, 11
      mov ebx, 1
      vmcall
      finish
    second: lock inc dword [${RECORD} + 0x100]
      note: mov eax, [${RECORD} + 16]
      or [${RECORD} + 0x108], eax
      mfence
      cmp dword [${RECORD} + 0x110], 0
      je note
      hlt`;
    const options = { ...CONTENDED, hogs: [], vcpus: 2, pcpus: 1, pins: [0, 0] };
    const bench = new KvmBench(source, { ...options, parameters: { preemptedFlag } });
    let marks = 0;
    for (let at = 1e6; at < 3e8 && bench.ending === null; at += 2e5) {
      bench.run(at);
      const { preempted, phase } = bench.vcpu().state;
      if (preempted && phase === 'yielded') marks |= 1 << view(bench).getUint8(16);
    }
    expect(bench.counters().directed_yield_successful).toBe(1);
    expect(marks).toBe(1 << marked);
    expect(bench.counters().preemption_other).toBe(1 - marked);
  });

  test('reserved bits are #GP', () => {
    const source = `xor r12d, r12d
      again: mov ecx, 0x4b564d03
      mov eax, 2
      xchg ecx, r12d
      shl eax, cl
      xchg ecx, r12d
      xor edx, edx
      try wrmsr
      mov result(r12), r15
      inc r12d
      cmp r12d, 6
      jb again
      finish`;
    expect(new KvmBench(source).finish().results(6)).toEqual([GP, GP, GP, GP, GP, NONE]);
  });

  test('each load brings the record up to date, and the TLB flush with it', () => {
    const bench = contended();
    const flushes = bench.lines('kvm_pv_tlb_flush');
    expect(flushes.length).toBeGreaterThan(1);
    expect(new Set(flushes)).toEqual(new Set(['kvm_pv_tlb_flush: vcpu 0 need_flush_tlb false']));
    const enforced = contended({ enforcePvFeatures: true, features: without('pv_tlb_flush') });
    expect(enforced.lines('kvm_pv_tlb_flush')).toEqual([]);
  });
});

describe('end of interrupt without an exit', () => {
  const SETUP = `
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff
      write_msr 0x4b564d04, ${RECORD} | 1`;
  /** As Linux does it: clear the bit if it is set, else write to the APIC. */
  const END = `
      btr dword [${RECORD}], 0
      jc %%done
      xor eax, eax
      xor edx, edx
      mov ecx, 0x80b
      wrmsr
      %%done:`;

  test('spares the guest the write of EOI', () => {
    const source = `%macro end_of_interrupt 0
      ${END}
      %endmacro
      ${SETUP}
      sti
      write_msr 0x83f, 0x40
      write_msr 0x83f, 0x41
      cli
      finish
      on_64: end_of_interrupt
      iretq
      on_65: end_of_interrupt
      iretq`;
    const bench = new KvmBench(source).finish();
    expect(bench.lines('kvm_pv_eoi', 'kvm_eoi')).toEqual([
      'kvm_pv_eoi: apicid 0 vector 64',
      'kvm_pv_eoi: apicid 0 vector 65',
    ]);
    expect(bench.vcpu().lapic.state.isr).toEqual(new Array(8).fill(0));
  });

  test('is not offered while another interrupt waits', () => {
    const source = `%macro end_of_interrupt 0
      ${END}
      %endmacro
      ${SETUP}
      write_msr 0x83f, 0x40
      write_msr 0x83f, 0x50
      sti
      nop
      cli
      finish
      on_64: end_of_interrupt
      iretq
      on_80: end_of_interrupt
      iretq`;
    const bench = new KvmBench(source).finish();
    // 50H first, while 40H waits; then 40H alone.
    expect(bench.lines('kvm_pv_eoi', 'kvm_eoi')).toEqual([
      'kvm_eoi: apicid 0 vector 80',
      'kvm_pv_eoi: apicid 0 vector 64',
    ]);
  });

  test('is taken back at the next exit if the guest has not used it', () => {
    const source = `${SETUP}
      sti
      write_msr 0x83f, 0x40
      cli
      mov eax, [${RECORD}]
      mov result(1), rax
      finish
      on_64: mov eax, [${RECORD}]
      mov result(0), rax
      cpuid
      mov eax, [${RECORD}]
      mov result(2), rax
      write_msr 0x80b, 0
      iretq`;
    const bench = new KvmBench(source).finish();
    expect(bench.results(3)).toEqual([1n, 0n, 0n]);
    expect(bench.lines('kvm_pv_eoi', 'kvm_eoi')).toEqual(['kvm_eoi: apicid 0 vector 64']);
  });

  test.each([
    ['unaligned', RECORD | 2],
    ['outside RAM', 0x80000001],
  ])('a word that is %s is #GP', (_, value) => {
    const source = `mov eax, ${value}
      xor edx, edx
      mov ecx, 0x4b564d04
      try wrmsr
      mov result(0), r15
      finish`;
    expect(new KvmBench(source).finish().result(0)).toBe(GP);
  });
});

describe('POLL_CONTROL', () => {
  test.each([
    [0, NONE, 0n],
    [1, NONE, 1n],
    [2, GP, 1n],
    [1n << 32n, GP, 1n],
  ])('written with %s', (value, exception, after) => {
    const source = `mov rax, ${value}
      mov rdx, rax
      shr rdx, 32
      mov ecx, 0x4b564d05
      try wrmsr
      mov result(0), r15
      read_msr 0x4b564d05
      mov result(1), rax
      finish`;
    expect(new KvmBench(source).finish().results(2)).toEqual([exception, after]);
  });
});

describe('SEND_IPI', () => {
  const HANDLER = `
      on_64: push rax
      inc qword [${RECORD} + 8 * rdi]
      write_msr 0x80b, 0
      pop rax
      iretq`;

  function send(low: string, high: string, first: number, icr: string): KvmBench {
    const source = `
      write_msr 0x1b, 0xfee00c00 | ((1 - 1) << 8)
      write_msr 0x80f, 0x1ff
      lock inc dword [${RECORD} + 0x100]
      test edi, edi
      jz sender
      sti
      wait_here: hlt
      jmp wait_here
    sender:
      cmp dword [${RECORD} + 0x100], 3
      jne sender
      sti
      mov eax, 10
      mov rbx, ${low}
      mov rcx, ${high}
      mov edx, ${first}
      mov esi, ${icr}
      vmcall
      mov result(0), rax
      mov ecx, 100000
      spin: loop spin
      finish
      ${HANDLER}`;
    return new KvmBench(source, { vcpus: 3 }).finish();
  }

  const received = (bench: KvmBench) =>
    [0, 1, 2].map((i) => Number(view(bench).getBigUint64(8 * i, true)));

  test.each([
    ['to a low bitmap', '0b110', '0', 0, '0x40', 2n, [0, 1, 1]],
    ['to itself too', '0b111', '0', 0, '0x40', 3n, [1, 1, 1]],
    ['from a first id on', '0b11', '0', 1, '0x40', 2n, [0, 1, 1]],
    ['by the high bitmap: ids from 64 on', '0', '0b11', 0, '0x40', 0n, [0, 0, 0]],
    ['by bit 64, from id 2^32 - 62 on, which are nobody', '0', '1', -62, '0x40', 0n, [0, 0, 0]],
    ['to ids that nobody has', '0b11000', '0', 0, '0x40', 0n, [0, 0, 0]],
    ['to a logical destination', '0b110', '0', 0, '0x840', EINVAL, [0, 0, 0]],
    ['with a shorthand', '0b110', '0', 0, '0x40040', EINVAL, [0, 0, 0]],
  ] as const)('%s', (_, low, high, first, icr, result, counts) => {
    const bench = send(low, high, first, icr);
    expect(bench.result(0)).toBe(result);
    expect(received(bench)).toEqual(counts);
  });
});

describe('the two opcodes of hypercalls', () => {
  const BYTES = { vmcall: 0xc1010fn, vmmcall: 0xd9010fn };

  const source = (opcode: string) => `
      mov ebp, 2
    again:
      mov eax, 99
      try call: ${opcode}
      mov result(0), rax
      mov result(2), r15
      mov eax, [call]
      and eax, 0xffffff
      mov result(1), rax
      dec ebp
      jnz again
      finish`;

  test.each([
    ['vmcall', 'vmcall', ['VMCALL', 'VMCALL']],
    ['vmcall', 'vmmcall', ['EXCEPTION_NMI', 'VMCALL', 'VMCALL']],
    ['vmmcall', 'vmmcall', ['EXCEPTION_NMI', 'EXCEPTION_NMI']],
    ['vmmcall', 'vmcall', ['VMCALL', 'EXCEPTION_NMI', 'EXCEPTION_NMI']],
  ] as const)('where %s is a hypercall, %s becomes one', (hypercallOpcode, opcode, exits) => {
    const bench = new KvmBench(source(opcode), { parameters: { hypercallOpcode } }).finish();
    expect(bench.results(3)).toEqual([ENOSYS, BYTES[hypercallOpcode], NONE]);
    expect(bench.counters().hypercalls).toBe(2);
    expect(bench.exits()).toEqual([...exits, 'IO_INSTRUCTION']);
  });

  test.each([
    ['vmcall', 'vmmcall'],
    ['vmmcall', 'vmcall'],
  ] as const)('where %s is one and nothing is rewritten, %s is #UD', (hypercallOpcode, opcode) => {
    const parameters = { hypercallOpcode, fixHypercallOpcode: false };
    const bench = new KvmBench(source(opcode), { parameters }).finish();
    expect(bench.results(3)).toEqual([99n, BYTES[opcode], 6n]);
    expect(bench.counters().hypercalls).toBe(0);
  });
});

describe('a feature that is not offered', () => {
  const CASES: readonly [PvFeatureName, readonly number[], readonly number[]][] = [
    ['clocksource', [0x11, 0x12], []],
    ['clocksource2', [0x4b564d00, 0x4b564d01], []],
    ['steal_time', [0x4b564d03], []],
    ['pv_eoi', [0x4b564d04], []],
    ['poll_control', [0x4b564d05], []],
    ['pv_unhalt', [], [5]],
    ['pv_send_ipi', [], [10]],
    ['pv_sched_yield', [], [11]],
  ];

  function tried(
    msrs: readonly number[],
    calls: readonly number[],
    enforced: boolean,
    name: PvFeatureName,
  ) {
    const lines = [
      ...msrs.flatMap((msr, i) => [
        `mov ecx, ${msr}`,
        'try rdmsr',
        `mov result(${2 * i}), r15`,
        'xor eax, eax',
        'xor edx, edx',
        'try wrmsr',
        `mov result(${2 * i + 1}), r15`,
      ]),
      ...calls.flatMap((number) => [
        `mov eax, ${number}`,
        'mov ecx, 77',
        'xor ebx, ebx',
        'xor esi, esi',
        'vmcall',
        'mov result(0), rax',
      ]),
      'finish',
    ];
    const parameters = { features: without(name), enforcePvFeatures: enforced };
    return new KvmBench(lines.join('\n'), { parameters }).finish();
  }

  test.each(CASES)('%s works all the same unless that is enforced', (name, msrs, calls) => {
    const count = msrs.length === 0 ? calls.length : 2 * msrs.length;
    const free = tried(msrs, calls, false, name).results(count);
    expect(free).toEqual(free.map(() => (msrs.length === 0 ? 0n : NONE)));
    const enforced = tried(msrs, calls, true, name).results(count);
    expect(enforced).toEqual(enforced.map(() => (msrs.length === 0 ? ENOSYS : GP)));
  });

  test('is not in CPUID either; a hint can be', () => {
    const features = { ...without('pv_unhalt'), realtime: true };
    const source = `mov eax, 0x40000001
      cpuid
      mov result(0), rax
      mov result(1), rdx
      finish`;
    const bench = new KvmBench(source, { parameters: { features } }).finish();
    expect((bench.result(0) >> 7n) & 1n).toBe(0n);
    expect(bench.result(1)).toBe(1n);
  });
});

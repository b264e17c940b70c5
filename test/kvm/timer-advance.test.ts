// What makes the local APIC's timer come in time, and what it is measured by: coming early and
// waiting, the guest's TSC, processors that cannot be trusted. kvm-host.md 6.3 to 6.9 (Linux
// arch/x86/kvm/lapic.c, kvm_wait_lapic_expire and adjust_lapic_timer_advance; vmx/vmx.c,
// vmx_set_hv_timer and cpu_has_broken_vmx_preemption_timer).

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { DEFAULT_PARAMETERS, type KvmParameters } from '../../src/kvm/index.ts';
import { usesPreemptionTimer } from '../../src/kvm/parameters.ts';
import { scaleTimeStamp, tscMultiplier, unscaleCycles } from '../../src/vmx/index.ts';
import { KvmBench, type KvmBenchOptions } from '../support/kvm-bench.ts';
import { idleVm } from '../support/kvm-vm.ts';

const VECTOR = 64;

/** Arms a deadline 100,000 cycles of its TSC ahead; the handler says how late it comes. */
const deadlines = (wait: string, count: number, ahead = 100_000) => `
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff
      write_msr 0x832, ${(2 << 17) | VECTOR}
      sti
      xor ebx, ebx
    again:
      read_tsc
      add rax, ${ahead}
      mov r12, rax
      mov rdx, rax
      shr rdx, 32
      mov ecx, 0x6e0
      wrmsr
    wait_here: ${wait}
      cmp ebx, ${count}
      jb again
      finish
    on_${VECTOR}:
      read_tsc
      sub rax, r12
      mov [0x9100 + 8 * rbx], rax
      inc ebx
      write_msr 0x80b, 0
      iretq`;

function lateness(wait: string, count: number, options: KvmBenchOptions = {}): number[] {
  const bench = new KvmBench(deadlines(wait, count), options).finish();
  return bench.results(count).map((value) => Number(BigInt.asIntN(64, value)));
}

const BUSY = 'mov esi, ebx\nspin: cmp esi, ebx\nje spin';

describe('coming early', () => {
  test.each([
    ['asleep', 'hlt'],
    ['running', BUSY],
  ])('%s: with a fixed advance that is enough, entries wait for the deadline', (_, wait) => {
    const late = lateness(wait, 3, { parameters: { lapicTimerAdvanceNs: 5000 } });
    const [first] = late;
    // What is left: the hardware's entry, delivery of the interrupt, RDTSC.
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(400);
    expect(late).toEqual([first, first, first]);
  });

  test('without it, and with less than is needed, entries are late', () => {
    const [none, little] = [0, 500].map((lapicTimerAdvanceNs) =>
      lateness(BUSY, 1, { parameters: { lapicTimerAdvanceNs } }),
    );
    expect(none[0]).toBeGreaterThan(1000);
    expect(none[0] - little[0]).toBeGreaterThan(900);
    expect(none[0] - little[0]).toBeLessThan(1100);
  });

  test('KVM learns an eighth of the error each time', () => {
    const parameters = { lapicTimerAdvanceNs: -1, haltPollNs: 0 };
    const bench = new KvmBench(deadlines('hlt', 12), { parameters }).finish();
    const errors = bench
      .events('kvm_wait_lapic_expire')
      .map(({ fields }) => (fields as { delta: Long }).delta.toNumber());
    expect(errors).toHaveLength(12);
    // 1000 ns at first; 2 cycles to a ns.
    let advance = 1000;
    for (const [i, error] of errors.entries()) {
      if (i > 0) expect(Math.abs(error - errors[0] + 2 * (advance - 1000))).toBeLessThan(8);
      const part = Math.floor(Math.floor(Math.abs(error) / 2) / 8);
      if (Math.abs(error) >= 100) advance += error < 0 ? -part : part;
    }
    expect(bench.vcpu().timer.state.advanceNs).toBe(advance);
  });

  /** One expiry at a vCPU that never runs, `error` cycles after the deadline, at 1 GHz. */
  function learnt(error: number, advanceNs: number): number {
    const { vcpus, pcpu } = idleVm(1, { lapicTimerAdvanceNs: -1 });
    const [vcpu] = vcpus;
    vcpu.lapic.writeSpurious(0x1ff);
    vcpu.lapic.writeLvt(0x320, (2 << 17) | VECTOR);
    pcpu.idleUntil(100_000);
    Object.assign(vcpu.timer.state, { advanceNs, expiredLow: 100_000 - error });
    vcpu.lapic.acknowledge(VECTOR);
    vcpu.timer.waitForExpiry(pcpu);
    return vcpu.timer.state.advanceNs;
  }

  test.each([
    [99, 1000, 1000],
    [100, 1000, 1012],
    [-99, 1000, 1000],
    [-100, 1000, 988],
    [10_000, 1000, 2250],
    [10_001, 1000, 1000],
    [-10_000, 2000, 750],
    [-10_001, 2000, 2000],
    [8000, 4000, 5000],
    [8008, 4000, 1000],
    [-8008, 1000, 1000],
  ])('%i cycles late with %i ns: %i ns next time', (error, before, after) => {
    expect(learnt(error, before)).toBe(after);
  });

  test('it waits no longer than it was early, and only for an interrupt that goes in', () => {
    const waited = (early: number, advanceNs: number, injected = true) => {
      const { vcpus, pcpu } = idleVm(1, { lapicTimerAdvanceNs: advanceNs });
      const [vcpu] = vcpus;
      vcpu.lapic.writeSpurious(0x1ff);
      vcpu.lapic.writeLvt(0x320, (2 << 17) | VECTOR);
      pcpu.idleUntil(100_000);
      vcpu.timer.state.expiredLow = 100_000 + early;
      if (injected) vcpu.lapic.acknowledge(VECTOR);
      vcpu.timer.waitForExpiry(pcpu);
      return pcpu.now - 100_000;
    };
    expect([waited(300, 500), waited(700, 500), waited(-5, 500)]).toEqual([300, 500, 0]);
    expect(waited(300, 500, false)).toBe(0);
  });
});

describe('processors whose preemption timer is broken', () => {
  const uses = (cpuSignature: number, more: Partial<KvmParameters> = {}) =>
    usesPreemptionTimer({ ...DEFAULT_PARAMETERS, cpuSignature, ...more });

  // Errata of Nehalem, Westmere and Ivy Bridge.
  test.each([0x206e6, 0x20652, 0x20655, 0x106e5, 0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x306a8])(
    '%i',
    (signature) => {
      expect(uses(signature)).toBe(false);
      expect(uses(signature | (3 << 14) | (0xf << 28))).toBe(false);
      expect(uses(signature + 1) && uses(signature ^ 0x10000)).toBe(
        ![0x106a0, 0x106a4].includes(signature),
      );
    },
  );

  test('others have one', () => {
    expect([0x406f1, 0x306f2, 0x50654, 0x206c2, 0x306a9].map((one) => uses(one))).toEqual(
      new Array(5).fill(true),
    );
  });

  test('get a host timer, and the guest sees the processor', () => {
    const options = { parameters: { cpuSignature: 0x106a5 } };
    const source = `mov eax, 1\ncpuid\nmov result(40), rax\n${deadlines(BUSY, 1)}`;
    const bench = new KvmBench(source, options).finish();
    expect(bench.exitCount('PREEMPTION_TIMER')).toBe(0);
    expect(bench.result(40)).toBe(0x106a5n);
    expect(new KvmBench(deadlines(BUSY, 1)).finish().exitCount('PREEMPTION_TIMER')).toBe(1);
  });
});

describe('a TSC of another rate', () => {
  test.each([
    [1_000_000, 2_000_000],
    [3_000_000, 2_000_000],
    [2_600_001, 2_000_000],
    [100, 4_000_000],
  ])('%i kHz on %i kHz: the inverse of the scale', (guest, host) => {
    const multiplier = tscMultiplier(guest, host);
    for (const cycles of [0, 1, 12_345, 4e9, 2 ** 50]) {
      const scaled = scaleTimeStamp(Long.fromNumber(cycles), multiplier);
      const back = unscaleCycles(scaled, multiplier);
      // One cycle of the slower clock.
      expect(Math.abs(back - cycles)).toBeLessThanOrEqual(host / guest + cycles / 2 ** 40 + 1);
    }
  });

  test('what does not fit 64 bits is out of range', () => {
    const multiplier = tscMultiplier(1_000_000, 4_000_000);
    expect(unscaleCycles(Long.MAX_UNSIGNED_VALUE, multiplier)).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([
    ['asleep', 'hlt'],
    ['running', BUSY],
  ])('%s: deadlines are those of the guest', (_, wait) => {
    for (const tscKhz of [500_000, 2_000_000, 3_500_000]) {
      const late = lateness(wait, 2, { parameters: { tscKhz } });
      for (const cycles of late) {
        expect(cycles).toBeGreaterThanOrEqual(0);
        expect((cycles / tscKhz) * 2_000_000).toBeLessThan(8000);
      }
    }
  });

  // 2^37 cycles of the host are the limit of 32 bits of ticks of 32 cycles.
  test.each([
    [2_000_000, 2 ** 37 - 1000, 1],
    [2_000_000, 2 ** 37 + 1000, 0],
    [1_000_000, 2 ** 36 - 1000, 1],
    [1_000_000, 2 ** 36 + 1000, 0],
  ])('at %i kHz, %i cycles ahead, the preemption timer is used: %i', (tscKhz, ahead, used) => {
    const far = `mov rcx, ${ahead}\nadd rax, rcx`;
    const source = deadlines('finish', 1, 0).replace('add rax, 0', far);
    const bench = new KvmBench(source, { parameters: { tscKhz } }).finish();
    expect(bench.lines('kvm_hv_timer_state')).toEqual([
      `kvm_hv_timer_state: vcpu_id 0 hv_timer ${used}`,
    ]);
  });
});

describe('a guest that moves its TSC', () => {
  const MOVE = (msr: number, value: string) => `
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff
      write_msr 0x832, ${(2 << 17) | VECTOR}
      write_msr 0x10, 600000
      write_msr 0x6e0, 1000000
      ${value}
      mov rdx, rax
      shr rdx, 32
      mov ecx, ${msr}
      wrmsr
      sti
      spin: jmp spin
    on_${VECTOR}:
      read_tsc
      mov result(0), rax
      read_msr 0x3b
      mov result(1), rax
      finish`;

  test.each([
    ['forward, by IA32_TSC', 0x10, 'mov eax, 900000', 100_000],
    ['past the deadline', 0x10, 'mov eax, 2000000', 0],
    ['back, by IA32_TSC_ADJUST', 0x3b, 'xor eax, eax', 990_000],
  ])('%s: its deadline is where it was', (_, msr, value, hostCycles) => {
    const bench = new KvmBench(MOVE(msr, value)).finish();
    const tsc = Number(bench.result(0));
    expect(tsc).toBeGreaterThanOrEqual(1_000_000);
    const moved = bench.events('kvm_write_tsc_offset').at(-1);
    const fired = bench.events('kvm_inj_virq').at(-1);
    const cycles = (fired?.cycles ?? 0) - (moved?.cycles ?? 0);
    expect(cycles).toBeGreaterThanOrEqual(hostCycles - 10_000);
    expect(cycles).toBeLessThan(hostCycles + 10_000);
    // IA32_TSC_ADJUST says how far it was moved in all.
    const offset = bench.vcpu().virtual.vmcs.read('TSC_OFFSET').toSigned();
    expect(BigInt.asIntN(64, bench.result(1))).toBe(BigInt(offset.toString()));
    const line = bench.lines('kvm_write_tsc_offset').at(-1);
    expect(line).toMatch(new RegExp(`next=${offset.toUnsigned()}$`));
  });

  test('one-shot and periodic timers, which count in ns, do not notice', () => {
    const bench = new KvmBench(`
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff
      write_msr 0x832, ${VECTOR}
      write_msr 0x83e, 0xb
      write_msr 0x838, 500000
      write_msr 0x10, 1 << 40
      sti
      spin: jmp spin
    on_${VECTOR}: finish`).finish();
    const [armed] = bench.events('kvm_hv_timer_state');
    const fired = bench.events('kvm_inj_virq').at(-1);
    const ns = (fired?.timeNs ?? 0) - (armed?.timeNs ?? 0);
    expect(ns).toBeGreaterThanOrEqual(499_900);
    expect(ns).toBeLessThan(505_000);
  });
});

test('on another pCPU the timer is aimed anew', () => {
  const { vcpus, pcpu, vm } = idleVm(2);
  const [{ timer, lapic }] = vcpus;
  lapic.writeSpurious(0x1ff);
  lapic.writeLvt(0x320, (2 << 17) | VECTOR);
  pcpu.idleUntil(1000);
  timer.writeDeadline(Long.fromNumber(50_000), pcpu);
  const before = timer.state.hvDeadline;
  timer.state.hvDeadline = 1;
  const [, other] = vm.host.pcpus;
  other.idleUntil(1500);
  timer.migrate(other);
  expect(timer.state.hvDeadline).toBe(before);
});

// The local APIC's timer in its three modes, on the VMX-preemption timer and on a host timer.
// SDM 3, "APIC Timer"; kvm-host.md 6. A tick of the APIC bus takes 1 ns; the TSC of guest programs
// runs at 2 GHz, that of machines which never run at 1 GHz.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { readX2apic, writeApicBase, writeX2apic } from '../../src/kvm/apic-access.ts';
import { readGuestMsr, writeGuestMsr } from '../../src/kvm/msrs.ts';
import { timerDeadline } from '../../src/vmx/index.ts';
import { COSTLY } from '../support/host-world.ts';
import { KvmBench, type KvmBenchOptions, VMX_COSTS } from '../support/kvm-bench.ts';
import { type IdleVm, idleVm } from '../support/kvm-vm.ts';

const ONE_SHOT = 0;
const PERIODIC = 1 << 17;
const DEADLINE = 2 << 17;
const MASKED = 1 << 16;
const VECTOR = 64;

const Register = { LVT: 0x832, INITIAL: 0x838, CURRENT: 0x839, DIVIDE: 0x83e } as const;
const TSC_DEADLINE = 0x6e0;
/** The divide configuration for 1. */
const UNDIVIDED = 0xb;

/** A machine that never runs, with its APIC enabled and a timer mode chosen. */
class IdleTimer {
  private readonly machine: IdleVm;

  constructor(mode: number, now = 1000) {
    this.machine = idleVm(1);
    const [vcpu] = this.machine.vcpus;
    writeApicBase(vcpu, Long.fromNumber(0xfee00d00), this.machine.pcpu);
    vcpu.lapic.writeSpurious(0x1ff);
    this.write(Register.LVT, mode | VECTOR);
    this.write(Register.DIVIDE, UNDIVIDED);
    this.machine.pcpu.idleUntil(now);
  }

  get timer() {
    return this.machine.vcpus[0].timer;
  }

  get now(): number {
    return this.machine.pcpu.now;
  }

  wait(cycles: number): void {
    this.machine.pcpu.idleUntil(this.now + cycles);
  }

  write(msr: number, value: number): void {
    const { vcpus, pcpu } = this.machine;
    expect(writeX2apic(vcpus[0], msr, Long.fromNumber(value), pcpu)).toBe(true);
  }

  read(msr: number): number {
    const { vcpus, pcpu } = this.machine;
    return readX2apic(vcpus[0], msr, pcpu)?.toUnsigned().toNumber() ?? Number.NaN;
  }

  writeDeadline(value: number | Long): void {
    const { vcpus, pcpu } = this.machine;
    const wide = typeof value === 'number' ? Long.fromNumber(value) : value;
    expect(writeGuestMsr(vcpus[0], TSC_DEADLINE, wide, pcpu)).toBe(true);
  }

  readDeadline(): number {
    const { vcpus, pcpu } = this.machine;
    return readGuestMsr(vcpus[0], TSC_DEADLINE, pcpu)?.toUnsigned().toNumber() ?? Number.NaN;
  }

  sleep(): void {
    this.timer.switchToHost(this.machine.pcpu);
  }

  wake(): void {
    this.timer.switchToHardware(this.machine.pcpu);
  }

  /** The host timer's handler is called. */
  fire(): void {
    this.timer.fired(this.machine.pcpu, 'hostTimer');
  }

  /** When host timers are to fire, in cycles. */
  get hostTimers(): number[] {
    const { pendingEvents } = this.machine.vm.host;
    return pendingEvents.filter(({ kind }) => kind === 'timer').map(({ time }) => time);
  }

  /** When the preemption timer is to fire, from now. */
  get left(): number | null {
    const { hvDeadline } = this.timer.state;
    return hvDeadline === null ? null : hvDeadline - this.now;
  }
}

describe('the divide configuration', () => {
  // "Divide Configuration Register": bits 3, 1 and 0.
  test.each([
    [0b0000, 2],
    [0b0001, 4],
    [0b0010, 8],
    [0b0011, 16],
    [0b1000, 32],
    [0b1001, 64],
    [0b1010, 128],
    [0b1011, 1],
  ])('%i divides by %i', (configuration, divider) => {
    const idle = new IdleTimer(ONE_SHOT);
    idle.write(Register.DIVIDE, configuration);
    idle.write(Register.INITIAL, 1000);
    expect(idle.left).toBe(1000 * divider);
    idle.wait(401 * divider);
    expect(idle.read(Register.CURRENT)).toBe(599);
  });

  test('rescales what is left when it changes while the timer runs', () => {
    const idle = new IdleTimer(ONE_SHOT);
    idle.write(Register.DIVIDE, 0b0011);
    idle.write(Register.INITIAL, 1000);
    idle.wait(4000);
    idle.write(Register.DIVIDE, 0b0001);
    // 750 of 1000 are left, and take 4 ns each from now on, not 16.
    expect(idle.left).toBe(3000);
    expect(idle.read(Register.CURRENT)).toBe(750);
  });
});

describe('the current count', () => {
  // Mode, initial count, time that has passed; what is read.
  test.each([
    ['counts down', ONE_SHOT, 5000, 1, 4999],
    ['is 1 before the end', ONE_SHOT, 5000, 4999, 1],
    ['is 0 at the end', ONE_SHOT, 5000, 5000, 0],
    ['stays 0 then', ONE_SHOT, 5000, 7000, 0],
    ['is 0 if nothing was started', ONE_SHOT, 0, 100, 0],
    ['has 32 bits', ONE_SHOT, 0xffffffff, 5, 0xfffffffa],
    ['is 0 in deadline mode', DEADLINE, 5000, 0, 0],
  ])('%s', (_, mode, initial, passed, count) => {
    const idle = new IdleTimer(mode);
    idle.write(Register.INITIAL, initial);
    idle.wait(passed);
    expect(idle.read(Register.CURRENT)).toBe(count);
  });
});

describe('IA32_TSC_DEADLINE', () => {
  test.each([
    ['in deadline mode arms', DEADLINE, 3000, 2000, 3000],
    ['of 0 does not', DEADLINE, 0, null, 0],
    ['in one-shot mode is ignored', ONE_SHOT, 3000, null, 0],
    ['in periodic mode is ignored', PERIODIC, 3000, null, 0],
    ['in the reserved mode is ignored', 3 << 17, 3000, null, 0],
  ])('written %s', (_, mode, deadline, left, read) => {
    const idle = new IdleTimer(mode);
    idle.writeDeadline(deadline);
    expect([idle.left, idle.readDeadline()]).toEqual([left, read]);
  });

  test('of 0 disarms, another value moves', () => {
    const idle = new IdleTimer(DEADLINE);
    idle.writeDeadline(3000);
    idle.writeDeadline(9000);
    expect(idle.left).toBe(8000);
    idle.writeDeadline(0);
    expect([idle.left, idle.timer.isArmed]).toEqual([null, false]);
  });

  test.each([
    ['the present', 1000],
    ['the past', 1],
  ])('in %s has expired at once', (_, deadline) => {
    const idle = new IdleTimer(DEADLINE);
    idle.writeDeadline(deadline);
    expect([idle.left, idle.timer.hasPending]).toEqual([null, true]);
  });

  // kvm-host.md 6.4: the timer has 32 bits and counts 32 cycles each, so 2^37 cycles are too many.
  test.each([
    [2 ** 37 - 1, true],
    [2 ** 37, false],
  ])('%i cycles ahead fits the preemption timer: %s', (ahead, fits) => {
    const idle = new IdleTimer(DEADLINE);
    idle.writeDeadline(idle.now + ahead);
    expect(idle.left).toBe(fits ? ahead : null);
    expect(idle.timer.state.hostTimer > 0).toBe(!fits);
  });

  test('is an unsigned number: the highest bit means far away', () => {
    const idle = new IdleTimer(DEADLINE);
    idle.writeDeadline(Long.MIN_VALUE);
    expect(idle.timer.hasPending).toBe(false);
    expect(idle.timer.isArmed).toBe(true);
  });
});

describe('a change of mode', () => {
  test.each([
    ['one-shot to deadline', ONE_SHOT, DEADLINE, false],
    ['periodic to deadline', PERIODIC, DEADLINE, false],
    ['one-shot to periodic', ONE_SHOT, PERIODIC, true],
    ['one-shot to one-shot, masked', ONE_SHOT, ONE_SHOT | MASKED, true],
  ])('from %s', (_, from, to, goesOn) => {
    const idle = new IdleTimer(from);
    idle.write(Register.INITIAL, 300_000);
    idle.write(Register.LVT, to | VECTOR);
    expect(idle.left).toBe(goesOn ? 300_000 : null);
    expect(idle.read(Register.INITIAL)).toBe(goesOn ? 300_000 : 0);
  });

  test.each([
    ['to one-shot', ONE_SHOT, false],
    ['to periodic', PERIODIC, false],
    ['to itself, masked', DEADLINE | MASKED, true],
  ])('from deadline %s', (_, to, goesOn) => {
    const idle = new IdleTimer(DEADLINE);
    idle.writeDeadline(3000);
    idle.write(Register.LVT, to | VECTOR);
    expect(idle.left).toBe(goesOn ? 2000 : null);
    idle.write(Register.LVT, DEADLINE | VECTOR);
    expect(idle.readDeadline()).toBe(goesOn ? 3000 : 0);
  });
});

describe('the initial count', () => {
  test('of 0 stops', () => {
    const idle = new IdleTimer(ONE_SHOT);
    idle.write(Register.INITIAL, 5000);
    idle.write(Register.INITIAL, 0);
    expect([idle.left, idle.read(Register.CURRENT)]).toEqual([null, 0]);
  });

  // Linux min_timer_period_us.
  test.each([
    [PERIODIC, 1000, 200_000],
    [PERIODIC, 199_999, 200_000],
    [PERIODIC, 200_001, 200_001],
    [ONE_SHOT, 1000, 1000],
  ])('in mode %i of %i takes %i ns', (mode, initial, ns) => {
    const idle = new IdleTimer(mode);
    idle.write(Register.INITIAL, initial);
    expect(idle.left).toBe(ns);
  });
});

test('the field for the preemption timer is rounded down, and 0 if the deadline has passed', () => {
  // The worked example of kvm-host.md 6.4, at 2.3 GHz: 1 ms ahead; 9 ticks early.
  const { timer } = new IdleTimer(DEADLINE);
  const now = 4886718345;
  timer.state.hvDeadline = 4889018345;
  expect(timer.timerFieldAt(now)).toBe(71875);
  expect(timerDeadline(now, timer.timerFieldAt(now), 5)).toBe(4889018336);
  expect(timer.timerFieldAt(4889018346)).toBe(0);
  timer.state.hvDeadline = null;
  expect(timer.timerFieldAt(now)).toBe(0xffffffff);
});

const ENABLE = `
    write_msr 0x1b, 0xfee00d00
    write_msr 0x80f, 0x1ff
    write_msr 0x83e, 0xb`;

/** Set the deadline so many cycles from now; result 0 is the deadline. */
const ARM = (cycles: number) => `
    write_msr 0x832, ${DEADLINE | VECTOR}
    read_tsc
    add rax, ${cycles}
    mov result(0), rax
    mov rdx, rax
    shr rdx, 32
    mov ecx, ${TSC_DEADLINE}
    wrmsr`;

/** Handler: time and deadline register, and the end. */
const FINISH_ON_TIMER = `
  on_${VECTOR}:
    read_tsc
    mov result(1), rax
    read_msr ${TSC_DEADLINE}
    mov result(2), rax
    finish`;

function runDeadline(then: string, options: KvmBenchOptions = {}): KvmBench {
  return new KvmBench(`${ENABLE}${ARM(100_000)}\n${then}${FINISH_ON_TIMER}`, options).finish();
}

describe('a deadline', () => {
  test('ends the guest by the preemption timer, to the cycle', () => {
    const bench = runDeadline('sti\nspin: jmp spin');
    const deadline = Number(bench.result(0));
    expect(bench.exits().slice(-3)[0]).toBe('PREEMPTION_TIMER');
    const events = bench.events('kvm_entry', 'kvm_exit');
    const at = events.findIndex(
      ({ name, fields }) => name === 'kvm_exit' && fields.reason === 'PREEMPTION_TIMER',
    );
    // The value is computed before the entry, which takes time; then ticks of 32 cycles count.
    const entry = events[at - 1]?.cycles ?? 0;
    const value = Math.floor((deadline - entry) / 32);
    const expiry = (Math.floor((entry + VMX_COSTS.entry) / 32) + value) * 32;
    expect(events[at]?.cycles).toBe(expiry + VMX_COSTS.exit);
    expect(Math.abs(expiry - deadline)).toBeLessThan(32 + VMX_COSTS.entry);
    expect(bench.exitCount('EXTERNAL_INTERRUPT')).toBe(0);
  });

  test('reads 0 once it has fired', () => {
    expect(runDeadline('sti\nspin: jmp spin').result(2)).toBe(0n);
  });

  test('waits for a guest that has interrupts off, and opens a window', () => {
    const bench = runDeadline('mov ecx, 200000\nspin: dec ecx\njnz spin\nsti\nnop\nnop');
    expect(bench.exits()).toContain('PREEMPTION_TIMER');
    expect(bench.exits()).toContain('INTERRUPT_WINDOW');
    expect(bench.counters()).toMatchObject({ irq_injections: 1, irq_window_exits: 1 });
  });

  test('in the past goes into the guest at once, without an exit of its own', () => {
    const source = `${ENABLE}
        sti
        write_msr 0x832, ${DEADLINE | VECTOR}
        write_msr ${TSC_DEADLINE}, 1
        mov result(3), 1
        finish${FINISH_ON_TIMER}`;
    const bench = new KvmBench(source).finish();
    expect(bench.result(3)).toBe(0n);
    expect(bench.result(2)).toBe(0n);
    expect(bench.exitCount('PREEMPTION_TIMER')).toBe(0);
    expect(bench.lines('kvm_inj_virq')).toEqual(['kvm_inj_virq: IRQ 0x40']);
  });

  test('is a time of the guest: its TSC may be another', () => {
    const shift = 'mov ecx, 0x3b\nmov eax, 0\nmov edx, 0x100\nwrmsr\n';
    const source = `${shift}${ENABLE}${ARM(100_000)}\nsti\nspin: jmp spin${FINISH_ON_TIMER}`;
    const bench = new KvmBench(source).finish();
    const [deadline, fired] = bench.results(2).map(Number);
    expect(deadline).toBeGreaterThan(2 ** 40);
    expect((fired ?? 0) - (deadline ?? 0)).toBeGreaterThan(0);
    expect((fired ?? 0) - (deadline ?? 0)).toBeLessThan(5000);
  });

  test('of 0 keeps it from firing', () => {
    const source = `${ENABLE}${ARM(50_000)}
        write_msr ${TSC_DEADLINE}, 0
        sti
        mov ecx, 100000
      spin: dec ecx
        jnz spin
        finish${FINISH_ON_TIMER}`;
    const bench = new KvmBench(source).finish();
    expect(bench.exitCount('PREEMPTION_TIMER')).toBe(0);
    expect(bench.counters().irq_injections).toBe(0);
  });
});

describe('on HLT', () => {
  test('a host timer takes over, and wakes the vCPU when the deadline has come', () => {
    const bench = runDeadline('sti\nhlt');
    expect(bench.exitCount('PREEMPTION_TIMER')).toBe(0);
    expect(bench.exitCount('HLT')).toBe(1);
    expect(bench.lines('kvm_hv_timer_state')).toEqual([
      'kvm_hv_timer_state: vcpu_id 0 hv_timer 1',
      'kvm_hv_timer_state: vcpu_id 0 hv_timer 0',
    ]);
    const [waking] = bench.events('sched_waking');
    const { idleExit, interrupt, timerExpiry, wakeUp } = COSTLY;
    const work = idleExit + interrupt + timerExpiry + wakeUp;
    expect(waking?.cycles).toBe(Number(bench.result(0)) + work);
  });

  test('what has passed on the way to sleep keeps the vCPU awake', () => {
    const source = `${ENABLE}${ARM(2500)}\nsti\nhlt${FINISH_ON_TIMER}`;
    const bench = new KvmBench(source).finish();
    expect(bench.lines('sched_waking')).toEqual([]);
    expect(bench.counters().halt_wakeup).toBe(0);
  });

  test('the preemption timer comes back when something else wakes the vCPU earlier', () => {
    const source = `
        test edi, edi
        jnz kicker
        ${ENABLE}${ARM(400_000)}
        hlt
        sti
      spin: jmp spin
      kicker:
        mov ecx, 50000
      delay: dec ecx
        jnz delay
        mov eax, 5
        xor ecx, ecx
        vmcall
        hlt${FINISH_ON_TIMER}`;
    const bench = new KvmBench(source, { vcpus: 2 }).finish();
    expect(bench.lines('kvm_hv_timer_state').map((line) => line.slice(-1))).toEqual([
      ...['1', '0', '1', '0'],
    ]);
    expect(bench.exitCount('PREEMPTION_TIMER')).toBe(1);
    expect(bench.exitCount('HLT')).toBe(1);
    const [deadline, fired] = bench.results(2).map(Number);
    expect((fired ?? 0) - (deadline ?? 0)).toBeLessThan(5000);
  });
});

describe('without the preemption timer', () => {
  const parameters = { preemptionTimer: false };

  test('a host timer interrupts the guest, exactly at the deadline', () => {
    const bench = runDeadline('sti\nspin: jmp spin', { parameters });
    expect(bench.exitCount('PREEMPTION_TIMER')).toBe(0);
    const exit = bench.exitRecords().find(({ fields }) => fields.reason === 'EXTERNAL_INTERRUPT');
    expect(exit?.cycles).toBe(Number(bench.result(0)) + VMX_COSTS.exit);
    expect(bench.lines('kvm_hv_timer_state')).not.toContain(
      'kvm_hv_timer_state: vcpu_id 0 hv_timer 1',
    );
  });

  test('it costs the guest more than the preemption timer does', () => {
    const late = [true, false].map((preemptionTimer) => {
      const bench = runDeadline('sti\nspin: jmp spin', { parameters: { preemptionTimer } });
      return Number(bench.result(1) - bench.result(0));
    });
    expect(late[1]).toBeGreaterThan((late[0] ?? 0) + COSTLY.timerExpiry);
  });

  test('HLT changes nothing', () => {
    const bench = runDeadline('sti\nhlt', { parameters });
    expect(bench.counters().halt_wakeup).toBe(1);
  });
});

describe('one-shot', () => {
  test('fires once, after its count in ns', () => {
    const source = `${ENABLE}
        write_msr 0x832, ${ONE_SHOT | VECTOR}
        sti
        read_tsc
        mov result(0), rax
        write_msr 0x838, 100000
        mov ecx, 800000
      spin: dec ecx
        jnz spin
        finish
      on_${VECTOR}:
        inc result(2)
        push rcx
        read_tsc
        mov result(1), rax
        write_msr 0x80b, 0
        pop rcx
        iretq`;
    const bench = new KvmBench(source).finish();
    const [start, fired, count] = bench.results(3).map(Number);
    expect(count).toBe(1);
    // 100 us are 200,000 cycles.
    expect((fired ?? 0) - (start ?? 0)).toBeGreaterThan(200_000);
    expect((fired ?? 0) - (start ?? 0)).toBeLessThan(206_000);
  });
});

describe('periodic', () => {
  /** Note when interrupts come that are 250 us apart; meanwhile do something. */
  const periodic = (meanwhile: string, count = 6) => `${ENABLE}
      xor ebx, ebx
      write_msr 0x832, ${PERIODIC | VECTOR}
      write_msr 0x838, 250000
      sti
    again: ${meanwhile}
      jmp again
    on_${VECTOR}:
      read_tsc
      mov [result_table + 8 * rbx], rax
      inc ebx
      write_msr 0x80b, 0
      cmp ebx, ${count}
      je done
      iretq
    done: finish
    align 8
    result_table: times ${count} dq 0`;

  /** Cycles between the interrupts that a program noted. */
  function intervals(bench: KvmBench, count = 6): number[] {
    const { view } = bench.vm.memory;
    const table = bench.vm.ramHpa + bench.label('result_table');
    const times = Array.from({ length: count }, (_, i) =>
      Number(view.getBigUint64(table + 8 * i, true)),
    );
    return times.slice(1).map((time, i) => time - (times[i] ?? 0));
  }

  test.each<[string, string, KvmBenchOptions]>([
    ['while the guest runs', 'mfence', {}],
    ['while it sleeps', 'hlt', {}],
    ['without the preemption timer', 'mfence', { parameters: { preemptionTimer: false } }],
    ['without it, asleep', 'hlt', { parameters: { preemptionTimer: false } }],
  ])('comes again and again %s, without drifting', (_, meanwhile, options) => {
    const cycles = { fence: 100 };
    const bench = new KvmBench(periodic(meanwhile), { ...options, cycles }).finish();
    const gaps = intervals(bench);
    for (const gap of gaps) expect(Math.abs(gap - 500_000)).toBeLessThan(500);
    const sum = gaps.reduce((total, gap) => total + gap, 0);
    expect(Math.abs(sum - 5 * 500_000)).toBeLessThan(500);
  });

  test.each([true, false])(
    'goes on after its vCPU was off its pCPU for many periods, preemption timer: %s',
    (preemptionTimer) => {
      const options = {
        hogs: [0],
        hz: 1000,
        cycles: { fence: 1000 },
        parameters: { preemptionTimer },
      };
      const bench = new KvmBench(periodic('mfence', 40), options).finish();
      expect(bench.counters().irq_injections).toBe(40);
      // Periods were missed, and not made up for by more than one interrupt each time.
      const gaps = intervals(bench, 40);
      const missed = gaps.filter((gap) => gap > 1_000_000).length;
      expect(missed).toBeGreaterThan(0);
      expect(gaps.filter((gap) => gap < 250_000).length).toBeLessThanOrEqual(missed);
    },
  );
});

describe('on the way to sleep and in it', () => {
  test('a periodic timer that is due already is set for its next period', () => {
    const idle = new IdleTimer(PERIODIC);
    idle.write(Register.INITIAL, 300_000);
    idle.wait(310_000);
    idle.sleep();
    expect(idle.timer.hasPending).toBe(true);
    expect(idle.hostTimers).toEqual([1000 + 2 * 300_000]);
  });

  test('a one-shot timer that is due already is not set', () => {
    const idle = new IdleTimer(ONE_SHOT);
    idle.write(Register.INITIAL, 300_000);
    idle.wait(310_000);
    idle.sleep();
    expect([idle.timer.hasPending, idle.hostTimers]).toEqual([true, []]);
  });

  test('a periodic timer stays on the host when it fires there', () => {
    const idle = new IdleTimer(PERIODIC);
    idle.write(Register.INITIAL, 300_000);
    idle.sleep();
    expect(idle.hostTimers).toEqual([301_000]);
    idle.wait(300_000);
    idle.fire();
    expect(idle.left).toBeNull();
    expect(idle.hostTimers.at(-1)).toBe(601_000);
  });

  test('the time that is left is the same on both timers', () => {
    const idle = new IdleTimer(DEADLINE);
    idle.writeDeadline(300_000);
    idle.sleep();
    idle.wait(1234);
    expect([idle.left, idle.hostTimers]).toEqual([null, [300_000]]);
    idle.wake();
    expect([idle.left, idle.hostTimers]).toEqual([300_000 - 1000 - 1234, []]);
  });
});

describe('a masked timer', () => {
  test('runs, but its expiry is lost, also to a mask that is taken off later', () => {
    const source = `${ENABLE}${ARM(50_000)}
        write_msr 0x832, ${DEADLINE | MASKED | VECTOR}
        sti
        mov ecx, 100000
      spin: dec ecx
        jnz spin
        read_msr ${TSC_DEADLINE}
        mov result(3), rax
        write_msr 0x832, ${DEADLINE | VECTOR}
        nop
        finish${FINISH_ON_TIMER}`;
    const bench = new KvmBench(source).finish();
    expect(bench.result(1)).toBe(0n);
    expect(bench.result(3)).toBe(0n);
    expect(bench.counters().irq_injections).toBe(0);
  });

  test('wakes nobody: who sleeps for it alone sleeps for good', () => {
    const masked = `write_msr 0x832, ${DEADLINE | MASKED | VECTOR}`;
    const bench = new KvmBench(`${ENABLE}${ARM(50_000)}\n${masked}\nsti\nhlt`).run();
    expect(bench.ending).toBe('stuck');
    expect(bench.exitCount('HLT')).toBe(1);
  });
});

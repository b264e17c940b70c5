// The guest programs that exist for their exits, each count derived from the program by hand, and
// times in cycles from the cost preset e5-2660v4.

import { describe, expect, test } from 'vitest';
import { COST_PRESETS, LOAD_ADDRESS } from '../../src/machine/index.ts';
import { exitCounts, type GuestSetup, guestProgram, runGuest } from '../support/guest-run.ts';

const TWO: GuestSetup = { vcpus: 2, pcpus: 2 };
const { host, vm } = COST_PRESETS['e5-2660v4'];

describe('five-exits.asm', () => {
  // vCPU 0 writes IA32_APIC_BASE, the spurious-interrupt register, the LVT timer register,
  // IA32_TSC_DEADLINE, and EOI in the handler: 5 MSR_WRITE. The deadline comes while it runs: one
  // PREEMPTION_TIMER. 500 rounds of PAUSE, DEC and JNZ at 9 + 1 + 1 cycles are 5500: one
  // PAUSE_INSTRUCTION when the loop has lasted 4096, and none in the rest, which is shorter than
  // the window of 8192 that follows. One VMCALL, and the HLT that ends it. vCPU 1 halts twice.
  const COUNTS = [
    { MSR_WRITE: 5, PREEMPTION_TIMER: 1, PAUSE_INSTRUCTION: 1, VMCALL: 1, HLT: 1 },
    { HLT: 2 },
  ];
  const program = guestProgram('five-exits.asm');
  const { report } = runGuest(program, TWO);

  test('has exactly its five exits', () => {
    expect(report).toMatchObject({ status: 'halted', exitCode: 0 });
    expect(exitCounts(report)).toEqual({ ...COUNTS[0], HLT: 3 });
    expect(report.vcpus.map(exitCounts)).toEqual(COUNTS);
  });

  test('under the numbers of SDM 3, appendix C', () => {
    const numbers = Object.fromEntries(report.exits.map(({ name, number }) => [name, number]));
    expect(numbers).toEqual({
      HLT: 12,
      VMCALL: 18,
      MSR_WRITE: 32,
      PAUSE_INSTRUCTION: 40,
      PREEMPTION_TIMER: 52,
    });
  });

  test('counts them under the names of kvm_stat', () => {
    expect(report.vcpus[0].statistics).toMatchObject({
      exits: 9,
      halt_exits: 1,
      hypercalls: 1,
      irq_injections: 1,
      io_exits: 0,
    });
    expect(report.vcpus[1].statistics).toMatchObject({ exits: 2, halt_exits: 2, halt_wakeup: 1 });
  });

  // A tick of the host may come into the 25 us that the program takes; nothing else may differ.
  test.each([2, 3, 4, 5, 6, 7, 8, 9])('has them with seed %i too', (seed) => {
    const { EXTERNAL_INTERRUPT, ...counts } = exitCounts(
      runGuest(program, { ...TWO, seed }).report,
    );
    expect(counts).toEqual({ ...COUNTS[0], HLT: 3 });
  });

  test('without PLE and without preemption timer has three, and an interrupt of the host', () => {
    const kvm = { ple_gap: 0, preemption_timer: false };
    expect(exitCounts(runGuest(program, { ...TWO, vm: { kvm } }).report)).toEqual({
      MSR_WRITE: 5,
      VMCALL: 1,
      HLT: 3,
      EXTERNAL_INTERRUPT: 1,
    });
  });

  test('a PAUSE loop that fits into the window does not exit', () => {
    const kvm = { ple_window: 5500 };
    const counts = exitCounts(runGuest(program, { ...TWO, vm: { kvm } }).report);
    expect(counts.PAUSE_INSTRUCTION).toBeUndefined();
  });
});

describe('timer-deadline.asm', () => {
  const late = (output: string) =>
    [...output.matchAll(/: (\d+) cycles late\n/g)].map((match) => Number(match[1]));

  /** The handler saves three registers and calls, before it reads the TSC: one cycle each. */
  const UNTIL_RDTSC = 4;
  const { interrupt } = vm.instructions.classes;
  const ENTRY = vm.kvm.entryPath + vm.vmx.entry + interrupt;
  const NOT_EARLY = { vm: { kvm: { lapic_timer_advance_ns: 0 } } };

  test('asleep: wakes up an idle pCPU, the vCPU thread, and enters', () => {
    const { report } = runGuest(guestProgram('timer-deadline.asm', { TICKS: '3' }), NOT_EARLY);
    const wakeUp = host.idleExit + host.interrupt + host.timerExpiry + host.wakeUp;
    const expected = wakeUp + ENTRY + UNTIL_RDTSC;
    expect(expected).toBe(1500 + 500 + 800 + 1000 + 700 + 350 + 80 + 4);
    expect(late(report.output)).toEqual([expected, expected, expected]);
    // Each tick is a sleep; the last HLT is for good.
    expect(exitCounts(report).HLT).toBe(4);
  });

  test('running: the preemption timer is faster', () => {
    const program = guestProgram('timer-deadline.asm', { TICKS: '1', SPIN: '1' });
    const { report } = runGuest(program, NOT_EARLY);
    // The timer is loaded before the entry and counts from its end, in steps of 32 cycles: two
    // roundings down. It stops at an instruction boundary: no instruction of the loop takes more
    // than a few cycles.
    const expected = vm.vmx.entry + vm.vmx.exit + vm.kvm.fastPath + ENTRY + UNTIL_RDTSC;
    expect(expected).toBe(350 + 450 + 250 + 700 + 350 + 80 + 4);
    const [cycles] = late(report.output);
    expect(cycles).toBeGreaterThan(expected - 2 * 32);
    expect(cycles).toBeLessThanOrEqual(expected + 4);
    expect(exitCounts(report)).toMatchObject({ PREEMPTION_TIMER: 1, HLT: 1 });
  });

  test('KVM learns how early it has to be', () => {
    const program = guestProgram('timer-deadline.asm', { TICKS: '30' });
    const ticks = late(runGuest(program).report.output);
    // 1 us early at first; then an eighth less late each time, until the error is below what
    // counts: 100 cycles and the hardware's entry.
    expect(ticks[0]).toBeGreaterThan(2000);
    const last = ticks.slice(-5);
    expect(Math.min(...last)).toBeGreaterThan(0);
    expect(Math.max(...last)).toBeLessThan(100 + vm.vmx.entry + interrupt + UNTIL_RDTSC);
  });

  test('beside others that compete, reports every tick, and no tick early', () => {
    const program = guestProgram('timer-deadline.asm', { TICKS: '10' });
    const ticks = late(runGuest(program, { hogs: 2 }).report.output);
    expect(ticks).toHaveLength(10);
    expect(Math.min(...ticks)).toBeGreaterThanOrEqual(0);
  });
});

describe('ipi-pingpong.asm', () => {
  const ASLEEP = { kvm: { halt_poll_ns: 0 } };

  // Each vCPU reads IA32_APIC_BASE once and writes it and the spurious-interrupt register. For
  // each round it writes the ICR once, gets one ball, writes EOI for it and has halted before. In
  // the end both halt, after 17 characters, the digits of the mean and 8 characters.
  test.each([1, 10, 100])('%i rounds', (rounds) => {
    const { report } = runGuest(guestProgram('ipi-pingpong.asm', { ROUNDS: `${rounds}` }), TWO);
    expect(report.output).toMatch(/^mean round trip: \d+ cycles\n$/);
    expect(exitCounts(report)).toEqual({
      MSR_READ: 2,
      MSR_WRITE: 2 * 2 + 2 * rounds + 2 * rounds,
      HLT: 2 * rounds + 2,
      IO_INSTRUCTION: report.output.length,
    });
    const [first, second] = report.vcpus.map(({ statistics }) => statistics);
    // The first wait is slept through; the window that it opens is longer than a round.
    expect(first).toMatchObject({
      irq_injections: rounds,
      halt_wakeup: 1,
      halt_successful_poll: rounds - 1,
    });
    expect(second.irq_injections).toBe(rounds);
  });

  test.each([1, 10])('%i rounds without polling', (rounds) => {
    const program = guestProgram('ipi-pingpong.asm', { ROUNDS: `${rounds}` });
    const { report } = runGuest(program, { ...TWO, vm: ASLEEP });
    const [first, second] = report.vcpus.map(({ statistics }) => statistics);
    expect(first).toMatchObject({ halt_wakeup: rounds, halt_attempted_poll: 0 });
    // The first ball may come before vCPU 1, which has just seen that both are ready, sleeps.
    expect([rounds - 1, rounds]).toContain(second.halt_wakeup);
  });

  test('a round trip is two ways, and a way at least what wakes a vCPU elsewhere', () => {
    const { report } = runGuest(guestProgram('ipi-pingpong.asm'), { ...TWO, vm: ASLEEP });
    const mean = Number(/\d+/.exec(report.output)?.[0]);
    // WRMSR on the fast path, wake-up, IPI, an idle pCPU that looks, entry with injection.
    const send = vm.vmx.exit + vm.kvm.fastPath + host.wakeUp + host.ipiSend;
    const receive = host.ipiLatency + host.idleExit + host.interrupt + ENTRY_OF_A_WOKEN_VCPU;
    expect(mean).toBeGreaterThan(2 * (send + receive));
    expect(mean).toBeLessThan(4 * (send + receive));
  });

  const ENTRY_OF_A_WOKEN_VCPU = vm.kvm.entryPath + vm.vmx.entry;
});

describe('page-fault.asm', () => {
  // Its page is beyond 2 MiB, which is the RAM of tests unless they say more.
  const { report } = runGuest(guestProgram('page-fault.asm'), { vm: { memory: '4M' } });

  // Error code 0: not present, read, supervisor. SDM 3, "Page-Fault Error Code".
  test('prints the address and the error code, and goes on', () => {
    const lines = [
      'page fault at 0x200000, error code 0x0',
      'mapped again: the value is still there',
    ];
    expect(report.output).toBe(`${lines.join('\n')}\n`);
    expect(report).toMatchObject({ status: 'halted', exitCode: 0 });
    expect(report.vcpus[0].registers.cr2).toBe('200000');
  });

  test('exits for its output only: 39 and 39 characters, and the HLT', () => {
    expect(exitCounts(report)).toEqual({ IO_INSTRUCTION: 39 + 39, HLT: 1 });
  });
});

describe('triple-fault.asm', () => {
  const program = guestProgram('triple-fault.asm');
  const { ending, report } = runGuest(program);
  const [vcpu] = report.vcpus;

  test('ends the run with code 6 and names the vCPU', () => {
    expect(ending).toEqual({
      status: 'tripleFault',
      exitCode: 6,
      message: 'vCPU 0 met a triple fault',
      vcpu: { vm: 0, index: 0 },
    });
    expect(report.output).toBe('this will not end well\n');
  });

  // LEA 7 bytes, CALL 5, LIDT 7: UD2 is at 100013H. RFLAGS has RF, as for every fault, and ZF and
  // PF from TEST of the zero that ended the text, behind which RSI points: at the last 10 bytes.
  test('shows the registers at the instruction that killed it', () => {
    expect(vcpu.registers).toMatchObject({
      rip: '100013',
      rsp: '12000',
      rsi: (LOAD_ADDRESS + program.length - 10).toString(16),
      rdx: (2 ** 21).toString(16),
      rflags: '10046',
      cr0: '80010033',
      cr3: '1000',
      efer: 'd01',
    });
  });

  // KVM intercepts #UD and injects it again; what follows has no exit of its own but the last.
  test('shows the last exits', () => {
    expect(exitCounts(report)).toEqual({ IO_INSTRUCTION: 23, EXCEPTION_NMI: 1, TRIPLE_FAULT: 1 });
    // OUT with an immediate port, one byte. SDM 3, "Exit Qualification for I/O Instructions".
    const out = { name: 'IO_INSTRUCTION', rip: '10001a', qualification: 'e90040' };
    const names = vcpu.recentExits.map(({ timeNs, ...exit }) => exit);
    expect(names).toEqual([
      ...Array.from({ length: 14 }, () => out),
      { name: 'EXCEPTION_NMI', rip: '100013', qualification: '0' },
      { name: 'TRIPLE_FAULT', rip: '100013', qualification: '0' },
    ]);
    const times = vcpu.recentExits.map(({ timeNs }) => timeNs);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
  });

  test('shows the last instructions, the fatal one last', () => {
    expect(vcpu.recentInstructions).toEqual([
      '0x10001a  out 0xe9, al',
      '0x10001c  jmp 0x100015',
      '0x100015  lodsb',
      '0x100016  test al, al',
      '0x100018  je 0x10001e',
      '0x10001e  ret',
      '0x10000c  lidt [rel 0x100082]',
      '0x100013  ud2',
    ]);
  });

  test('says nothing of the last instructions of others', () => {
    const { report: two } = runGuest(program, TWO);
    expect(two.status).toBe('tripleFault');
    const shown = two.vcpus.filter(({ recentInstructions }) => recentInstructions.length > 0);
    expect(shown).toHaveLength(1);
  });
});

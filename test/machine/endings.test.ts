// Every way in which a run ends: status, exit code and message. The codes are those of
// docs/guest-programs.md and docs/decisions/even-exit-codes.md.

import { describe, expect, test } from 'vitest';
import { EXIT_CODES, Machine, Selector } from '../../src/machine/index.ts';
import { assembleText, checkedScenario, type GuestSetup, runGuest } from '../support/guest-run.ts';

const PRELUDE = `
  bits 64
  org 0x100000
  default rel
  %include "lib/interrupts.inc"
  %include "lib/x2apic.inc"
  INITIAL_COUNT equ 0x838
  MASKED equ 1 << 16
  PERIODIC equ 1 << 17
`;

const program = (text: string) => assembleText(PRELUDE + text);

function endingOf(text: string, setup: GuestSetup = {}) {
  const { status, exitCode, message } = runGuest(program(text), setup).report;
  return { status, exitCode, message };
}

const HALTED = {
  status: 'halted',
  exitCode: 0,
  message: 'every vCPU is halted with interrupts off',
};

describe('the exit port', () => {
  test.each([
    ['mov al, 0\nout 0xf4, al', 0, 1],
    ['mov al, 1\nout 0xf4, al', 1, 3],
    ['mov dx, 0xf4\nmov al, 0x10\nout dx, al', 0x10, 0x21],
    // An exit code has eight bits.
    ['mov al, 0xff\nout 0xf4, al', 255, 255],
    ['mov eax, 300\nout 0xf4, eax', 300, 601 & 0xff],
  ])('%j ends the run', (text, value, exitCode) => {
    expect(endingOf(text)).toEqual({
      status: 'exited',
      exitCode,
      message: `vCPU 0 wrote ${value} to the exit port`,
    });
  });

  test('stops the other vCPUs where they are', () => {
    const { report } = runGuest(program('test edi, edi\njz $\nmov al, 7\nout 0xf4, al'), {
      vcpus: 3,
      pcpus: 2,
    });
    expect(report).toMatchObject({ status: 'exited', exitCode: 15 });
    expect(report.virtualNs).toBeLessThan(100_000);
  });

  test('reading it does nothing', () => {
    expect(endingOf('in al, 0xf4\ncli\nhlt')).toEqual(HALTED);
  });
});

describe('halted', () => {
  test.each([1, 2, 5])('%i vCPUs with interrupts off', (vcpus) => {
    expect(endingOf('hlt', { vcpus, pcpus: 2 })).toEqual(HALTED);
  });

  test('a one-shot timer that nobody can hear ends with it', () => {
    const text = `enable_x2apic
      write_msr X2APIC_LVT_TIMER, 0x40
      write_msr INITIAL_COUNT, 1000
      hlt`;
    expect(endingOf(text)).toEqual(HALTED);
  });
});

describe('deadlock', () => {
  const OFF = 'its local APIC is not enabled';
  const UNARMED = 'no timer is armed and no other vCPU runs';
  const wait = (index: number, rip: number, why: string) =>
    `vCPU ${index} at 0x${rip.toString(16)} waits for an interrupt, but ${why}`;
  const deadlock = (...waits: string[]) => ({
    status: 'deadlock',
    exitCode: 8,
    message: `nothing can happen any more: ${waits.join('; ')}`,
  });
  /** The program's end, which is where a vCPU stands that executed the HLT there. */
  const end = (text: string) => 0x100000 + program(text).indexOf(0xf4) + 1;

  test('says who waits for what', () => {
    const one = wait(0, 0x100002, OFF);
    expect(endingOf('sti\nhlt')).toEqual(deadlock(one));
    const others = [1, 2].map((index) => wait(index, 0x100002, OFF));
    expect(endingOf('sti\nhlt', { vcpus: 3, pcpus: 2 })).toEqual(deadlock(one, ...others));
  });

  test('does not name those who wait for nothing', () => {
    const text = 'test edi, edi\njz .off\nsti\n.off:\nhlt';
    expect(endingOf(`start: ${text}`, { vcpus: 2 })).toEqual(deadlock(wait(1, 0x100006, OFF)));
  });

  test('says that the task priority holds back what is pending', () => {
    const text = `enable_x2apic
      write_msr 0x808, 0x50
      write_msr 0x83f, 0x41
      sti
      hlt`;
    const why = 'its processor priority, 0x50, holds back vector 0x41';
    expect(endingOf(text)).toEqual(deadlock(wait(0, end(text), why)));
  });

  test('shows the instruction that faulted, and none behind it that never ran', () => {
    const text = `start: lea rax, [rel invalid]
      mov [rel gates + 6 * 16], ax
      mov word [rel gates + 6 * 16 + 2], ${Selector.CODE}
      mov word [rel gates + 6 * 16 + 4], 0x8e00
      shr rax, 16
      mov [rel gates + 6 * 16 + 6], ax
      lidt [rel table]
      inc ecx
      ud2
      inc edx
      inc ebx
      invalid: sti
      hlt
      table: dw 7 * 16 - 1
      dq gates
      gates: times 7 * 16 db 0`;
    const { report } = runGuest(program(text), {});
    const shown = report.vcpus[0].recentInstructions.map((line) => line.replace(/^0x\w+ +/, ''));
    // And last what stands at RIP, which is data here.
    expect(shown.slice(-5, -1)).toEqual(['inc ecx', 'ud2', 'sti', 'hlt']);
  });

  test('comes when the last vCPU has gone to sleep, not before', () => {
    const text = `start: test edi, edi
      jz .wait
      mov ecx, 1000
      .spin: loop .spin
      cli
      hlt
      .wait: sti
      hlt`;
    const { report } = runGuest(program(text), { vcpus: 2, pcpus: 2 });
    expect(report.status).toBe('deadlock');
    expect(report.vcpus[1].instructions).toBeGreaterThanOrEqual(1000);
    expect(report.vcpus[0].recentInstructions.at(-2)).toMatch(/^0x[0-9a-f]+ {2}hlt$/);
  });

  test('with an APIC that is enabled but has nothing to deliver', () => {
    const text = 'enable_x2apic\nsti\nhlt';
    expect(endingOf(text)).toEqual(deadlock(wait(0, end(text), UNARMED)));
  });

  // A timer that fires masked leaves nothing behind that could wake anybody.
  test.each([
    ['write_msr X2APIC_LVT_TIMER, 0x40 | MASKED\nwrite_msr INITIAL_COUNT, 1000'],
    ['write_msr INITIAL_COUNT, 1000\nwrite_msr X2APIC_LVT_TIMER, 0x40 | MASKED'],
  ])('behind a masked timer: %j', (timer) => {
    const text = `enable_x2apic\n${timer}\nsti\nhlt`;
    expect(endingOf(text)).toEqual(deadlock(wait(0, end(text), UNARMED)));
  });

  test('behind a timer whose APIC was disabled by software', () => {
    const text = `enable_x2apic
      write_msr X2APIC_LVT_TIMER, 0x40
      write_msr INITIAL_COUNT, 1000
      write_msr X2APIC_SPURIOUS, 0xff
      sti
      hlt`;
    expect(endingOf(text)).toMatchObject({ status: 'deadlock', exitCode: 8 });
  });

  test('is none while a periodic timer ticks', () => {
    const text = `enable_x2apic
      write_msr X2APIC_LVT_TIMER, 0x40 | PERIODIC
      write_msr INITIAL_COUNT, 100000
      hlt`;
    expect(endingOf(text, { limits: { time: '3ms' } }).status).toBe('limit');
  });
});

describe('limits', () => {
  const SPIN = 'spin: mfence\njmp spin';
  const limit = (what: string, hint: string) => ({
    status: 'limit',
    exitCode: 4,
    message: `still running after ${what}, the limit; raise it with ${hint} in a scenario`,
  });

  test('of time', () => {
    const { ending, report } = runGuest(program(SPIN), { limits: { time: '2ms' } });
    expect(ending).toMatchObject(limit('2ms', '--until, or limits.time'));
    // 2 GHz; the last instruction may end a little later.
    expect(report.virtualCycles).toBeGreaterThanOrEqual(4_000_000);
    expect(report.virtualCycles).toBeLessThan(4_000_000 + 100);
    expect(report.vms[0]).toMatchObject({ status: 'running', exitCode: null });
  });

  test('of instructions', () => {
    const { ending, report } = runGuest(program(SPIN), { limits: { instructions: '10K' } });
    expect(ending).toMatchObject(
      limit('10000 instructions', '--max-instructions, or limits.instructions'),
    );
    expect(report.instructions).toBeGreaterThanOrEqual(10_000);
    // Looked at every 10,000 cycles, and an instruction takes one at least.
    expect(report.instructions).toBeLessThan(20_000);
  });

  test('of less time than lies between two looks at the instructions', () => {
    const { ending, report } = runGuest(program(SPIN), { limits: { time: '10us' } });
    expect(ending).toMatchObject(limit('10us', '--until, or limits.time'));
    expect(report.virtualCycles).toBeGreaterThanOrEqual(20_000);
    expect(report.virtualCycles).toBeLessThan(20_000 + 100);
  });

  // The deadline is 2^32 cycles away: two seconds.
  test('come also while everybody sleeps', () => {
    const text = `enable_x2apic
      write_msr X2APIC_LVT_TIMER, 0x40 | TSC_DEADLINE_MODE
      mov ecx, IA32_TSC_DEADLINE
      mov edx, 1
      wrmsr
      sti
      hlt`;
    const { ending, report } = runGuest(program(text), { limits: { time: '5ms' } });
    expect(ending.status).toBe('limit');
    expect(report.virtualNs).toBe(5_000_000);
  });

  test('come when nobody but hogs runs', () => {
    const text = `enable_x2apic
      write_msr X2APIC_LVT_TIMER, 0x40 | TSC_DEADLINE_MODE
      mov ecx, IA32_TSC_DEADLINE
      mov edx, 1
      wrmsr
      sti
      hlt`;
    expect(endingOf(text, { hogs: 1, limits: { time: '5ms' } }).status).toBe('limit');
  });
});

describe('what is not implemented', () => {
  // RCPPS xmm0, xmm1; VMOVAPS xmm0, xmm1.
  test.each(['0f 53 c1', 'c5 f8 28 c1'])('%s stops the run and names bytes and place', (hex) => {
    const bytes = hex.split(' ').map((byte) => `0x${byte}`);
    const { status, exitCode, message } = endingOf(`nop\ndb ${bytes.join(', ')}`);
    expect({ status, exitCode }).toEqual({ status: 'notImplemented', exitCode: 10 });
    expect(message).toMatch(/^vCPU 0: .*, at 0x100001 in 64-bit mode, bytes /);
    expect(message).toContain(`bytes ${hex}`);
  });
});

describe('several machines', () => {
  const run = (texts: readonly string[], limits?: object) => {
    const vms = texts.map((_, i) => ({ name: `vm${i}`, program: 'test.asm', memory: '2M' }));
    const scenario = checkedScenario({ host: { pcpus: 2 }, vms, limits });
    const machine = new Machine(scenario, { programs: texts.map(program) });
    return { machine, ending: machine.run() };
  };
  const exit = (value: number) => `mov al, ${value}\nout 0xf4, al`;

  test.each([
    [[exit(1), exit(2)], 5],
    [[exit(2), exit(1)], 5],
    [['hlt', exit(0)], 1],
    [['hlt', 'hlt'], 0],
    [[exit(0), 'sti\nhlt'], 8],
  ])('%j: the highest code of theirs', (texts, exitCode) => {
    const { machine, ending } = run(texts);
    expect(ending?.exitCode).toBe(exitCode);
    expect(machine.endings).not.toContain(null);
  });

  test('one that has ended does not stop the other', () => {
    const work = 'mov ecx, 20000\nspin: loop spin\nmov al, 3\nout 0xf4, al';
    const { machine, ending } = run([exit(0), work]);
    expect(ending).toMatchObject({ status: 'exited', exitCode: 7, vcpu: { vm: 1, index: 0 } });
    expect(machine.endings[0]).toMatchObject({ exitCode: 1, vcpu: { vm: 0, index: 0 } });
  });

  test('a limit ends those that still run', () => {
    const { machine, ending } = run([exit(0), 'spin: mfence\njmp spin'], { time: '1ms' });
    expect(ending).toMatchObject({ status: 'limit', exitCode: 4 });
    expect(machine.endings[0]?.status).toBe('exited');
    expect(machine.endings[1]).toBeNull();
  });
});

test("vmxlab's own codes are even, and all different", () => {
  const codes = Object.values(EXIT_CODES);
  expect(codes.filter((code) => code % 2 !== 0)).toEqual([]);
  expect(new Set(codes).size).toBe(codes.length);
});

test('a machine wants as many programs as it has virtual machines', () => {
  const scenario = checkedScenario({ vms: [{ program: 'test.asm' }] });
  expect(() => new Machine(scenario, { programs: [] })).toThrow('1 programs expected');
});

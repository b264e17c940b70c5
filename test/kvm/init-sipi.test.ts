// INIT and start-up IPIs: which processors act on them, and what they are afterwards. SDM 3,
// "Multiple-Processor (MP) Initialization", and "IA-32 and Intel 64 Processor States Following
// Power-up, Reset, or INIT"; Linux arch/x86/kvm/lapic.c, kvm_apic_accept_events.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  readApicBase,
  readX2apic,
  readXapic,
  writeApicBase,
  writeX2apic,
  writeXapic,
} from '../../src/kvm/apic-access.ts';
import { acceptApicEvents, awaitInit } from '../../src/kvm/apic-events.ts';
import type { Vcpu } from '../../src/kvm/index.ts';
import { Machine } from '../../src/machine/index.ts';
import { assembleText, runGuest, runToEnd, scenarioOf } from '../support/guest-run.ts';
import { type IdleVm, idleVm } from '../support/kvm-vm.ts';

const APIC = 0xfee00000;
const INIT = 0x4500;
const SIPI = 0x4600;
const ALL_BUT_SELF = 0xc0000;
const LEVEL = 0x8000;
const ASSERT = 0x4000;

/** Three vCPUs: the first runs, the others are as after power-up. */
function poweredUp(): IdleVm {
  const machine = idleVm(3);
  for (const vcpu of machine.vcpus.slice(1)) awaitInit(vcpu);
  return machine;
}

/** Write the interrupt command register of the first, then let everybody act. */
function send({ vcpus, pcpu }: IdleVm, command: number, to = 0): void {
  const [source] = vcpus;
  writeXapic(source, APIC + 0x310, Long.fromInt(to << 24), pcpu);
  writeXapic(source, APIC + 0x300, Long.fromInt(command), pcpu);
  for (const vcpu of vcpus) if (vcpu.hasApicEvents) acceptApicEvents(vcpu, pcpu);
}

const statesOf = ({ vcpus }: IdleVm) => vcpus.map(({ state }) => state.mpState);

const registers = ({ virtual }: Vcpu, ...names: readonly string[]) =>
  names.map((name) => virtual.processor.state.get(name).toUnsigned().toString(16));

describe('starting', () => {
  test('INIT, then the vector: real mode at the page that it names', () => {
    const machine = poweredUp();
    send(machine, INIT, 2);
    expect(statesOf(machine)).toEqual(['runnable', 'uninitialized', 'initReceived']);
    send(machine, SIPI | 0x9a, 2);
    expect(statesOf(machine)).toEqual(['runnable', 'uninitialized', 'runnable']);
    const [, , vcpu] = machine.vcpus;
    expect(registers(vcpu, 'rip', 'csSelector', 'csBase', 'csLimit')).toEqual([
      ...['0', '9a00', '9a000', 'ffff'],
    ]);
    // CPUID's signature in EDX, everything else 0; CR0 as after power-up, but for the host's view.
    expect(registers(vcpu, 'rax', 'rbx', 'rcx', 'rdx', 'rsp', 'rflags')).toEqual([
      ...['0', '0', '0', '406f1', '0', '2'],
    ]);
    expect(vcpu.virtual.vmcs.read('CR0_READ_SHADOW').toUnsigned().toString(16)).toBe('60000010');
  });

  test('of all others at once', () => {
    const machine = poweredUp();
    send(machine, ALL_BUT_SELF | INIT);
    expect(statesOf(machine)).toEqual(['runnable', 'initReceived', 'initReceived']);
    send(machine, ALL_BUT_SELF | SIPI | 8);
    expect(statesOf(machine)).toEqual(['runnable', 'runnable', 'runnable']);
  });

  test('by x2APIC', () => {
    const machine = poweredUp();
    const { pcpu, vcpus } = machine;
    expect(writeApicBase(vcpus[0], Long.fromNumber(APIC + 0xd00), pcpu)).toBe(true);
    for (const low of [INIT, SIPI | 7]) {
      expect(writeX2apic(vcpus[0], 0x830, Long.fromBits(low, 1), pcpu)).toBe(true);
      acceptApicEvents(vcpus[1], pcpu);
    }
    expect(statesOf(machine)).toEqual(['runnable', 'runnable', 'uninitialized']);
    expect(registers(vcpus[1], 'csBase')).toEqual(['7000']);
  });

  test('both in one go, and only the second start-up IPI while none was acted on', () => {
    const machine = poweredUp();
    const { pcpu, vcpus } = machine;
    for (const command of [INIT, SIPI | 1, SIPI | 2]) {
      writeXapic(vcpus[0], APIC + 0x310, Long.fromInt(1 << 24), pcpu);
      writeXapic(vcpus[0], APIC + 0x300, Long.fromInt(command), pcpu);
    }
    acceptApicEvents(vcpus[1], pcpu);
    expect(registers(vcpus[1], 'csBase')).toEqual(['2000']);
  });

  test.each([
    ['without INIT', [SIPI | 8], 'uninitialized'],
    ['taken back by another INIT', [INIT, SIPI | 8, INIT], 'initReceived'],
    ['level de-assert is no INIT', [0x8500], 'uninitialized'],
    ['level-triggered INIT is one', [INIT | LEVEL | ASSERT], 'initReceived'],
  ] as const)('%s', (_, commands, state) => {
    const machine = poweredUp();
    for (const command of commands) send(machine, command, 1);
    expect(machine.vcpus[1].state.mpState).toBe(state);
  });

  test('a processor that runs or is halted ignores a start-up IPI, and does not wake', () => {
    const machine = poweredUp();
    send(machine, INIT, 1);
    send(machine, SIPI | 8, 1);
    const [, vcpu] = machine.vcpus;
    vcpu.state.mpState = 'halted';
    vcpu.state.eventRequested = false;
    writeXapic(machine.vcpus[0], APIC + 0x300, Long.fromInt(SIPI | 9), machine.pcpu);
    expect([vcpu.hasWakeCondition, vcpu.state.eventRequested]).toEqual([false, false]);
    send(machine, SIPI | 9, 1);
    expect([vcpu.isRunnable, vcpu.state.mpState]).toEqual([false, 'halted']);
    expect(registers(vcpu, 'csBase')).toEqual(['8000']);
  });

  test('while it waits, nothing else wakes it', () => {
    const machine = poweredUp();
    send(machine, INIT, 1);
    const [, vcpu] = machine.vcpus;
    send(machine, 0x4400, 1);
    expect([vcpu.isRunnable, vcpu.state.nmiQueued]).toEqual([false, 1]);
  });
});

describe('INIT of a processor that runs', () => {
  test('stops it; a start-up IPI starts it elsewhere', () => {
    const machine = idleVm(2);
    const [, vcpu] = machine.vcpus;
    vcpu.state.nmiQueued = 1;
    vcpu.state.nmiPending = 1;
    vcpu.queueException(13, 0);
    vcpu.virtual.processor.state.set('cr3', Long.fromInt(0x5000));
    vcpu.virtual.processor.state.set('lstar', Long.fromInt(0x1234));
    send(machine, INIT, 1);
    expect(vcpu.state).toMatchObject({
      mpState: 'initReceived',
      nmiQueued: 0,
      nmiPending: 0,
      exception: null,
    });
    // SDM 3, table of states: CS base FFFF0000, RIP FFF0, CR3 0; MSRs stay.
    expect(registers(vcpu, 'csSelector', 'csBase', 'rip', 'cr3', 'efer', 'lstar')).toEqual([
      ...['f000', 'ffff0000', 'fff0', '0', '0', '1234'],
    ]);
    send(machine, SIPI | 3, 1);
    expect(registers(vcpu, 'csBase', 'rip')).toEqual(['3000', '0']);
  });

  test('the bootstrap processor goes on at the reset vector', () => {
    const machine = idleVm(1);
    send(machine, INIT, 0);
    expect(statesOf(machine)).toEqual(['runnable']);
    expect(registers(machine.vcpus[0], 'rip')).toEqual(['fff0']);
  });

  test('its local APIC is as after power-up, but for id and mode', () => {
    const machine = idleVm(2);
    const [, vcpu] = machine.vcpus;
    const { pcpu } = machine;
    writeApicBase(vcpu, Long.fromNumber(APIC + 0xc00), pcpu);
    vcpu.lapic.writeSpurious(0x1ff);
    for (const [msr, value] of [
      [0x808, 0x50],
      [0x832, 0x40],
      [0x838, 1000],
      [0x83e, 0xb],
    ]) {
      expect(writeX2apic(vcpu, msr, Long.fromInt(value), pcpu)).toBe(true);
    }
    expect(vcpu.timer.isArmed).toBe(true);
    send(machine, INIT, 1);
    const read = (msr: number) => readX2apic(vcpu, msr, pcpu)?.toNumber();
    expect([0x802, 0x808, 0x80f, 0x832, 0x838, 0x839, 0x83e].map(read)).toEqual([
      ...[1, 0, 0xff, 0x10000, 0, 0, 0],
    ]);
    expect(vcpu.timer.isArmed).toBe(false);
    expect(readApicBase(vcpu).toNumber()).toBe(APIC + 0xc00);
  });
});

describe('a local APIC that is switched off and on', () => {
  const off = Long.fromNumber(APIC + 0x100);
  const on = Long.fromNumber(APIC + 0x900);

  test('has lost its registers, but not its id', () => {
    const { vcpus, pcpu } = idleVm(1);
    const [vcpu] = vcpus;
    vcpu.lapic.writeSpurious(0x1ff);
    for (const [offset, value] of [
      [0x80, 0x50],
      [0xd0, 0x01000000],
      [0x320, 0x40],
      [0x380, 1000],
    ]) {
      writeXapic(vcpu, APIC + offset, Long.fromInt(value), pcpu);
    }
    expect(writeApicBase(vcpu, off, pcpu)).toBe(true);
    expect(vcpu.timer.isArmed).toBe(false);
    expect(writeApicBase(vcpu, on, pcpu)).toBe(true);
    const read = (offset: number) => readXapic(vcpu, APIC + offset, pcpu).toNumber();
    expect([0x20, 0x80, 0xd0, 0xe0, 0xf0, 0x320, 0x380, 0x390].map(read)).toEqual([
      ...[0, 0, 0, 0xffffffff, 0xff, 0x10000, 0, 0],
    ]);
  });

  test('is not at its address meanwhile, nor in CPUID; CR8 goes on', () => {
    const program = assembleText(`
      bits 64
      mov ecx, 0x1b
      mov eax, 0xfee00100
      xor edx, edx
      mov r8d, 5
      mov cr8, r8
      wrmsr
      mov ebx, 0xfee00030
      mov r9d, [rbx]            ; nobody answers
      mov dword [rbx + 0x50], 0x33
      mov r10, cr8
      mov r11d, 9
      mov cr8, r11
      mov r11, cr8
      mov eax, 1
      cpuid
      mov r12d, edx
      mov ecx, 0x1b
      mov eax, 0xfee00900
      xor edx, edx
      wrmsr
      mov ebx, 0xfee00030
      mov r13d, [rbx]
      mov r14d, [rbx + 0x50]
      mov eax, 1
      cpuid
      mov r15d, edx
      cli
      hlt`);
    const { registers: values } = runGuest(program).report.vcpus[0];
    expect(values).toMatchObject({ r9: 'ffffffff', r10: '5', r11: '9', r13: '50014', r14: '0' });
    const apicBit = (text: string) => (Number.parseInt(text, 16) >> 9) & 1;
    expect([apicBit(values.r12), apicBit(values.r15)]).toEqual([0, 1]);
  });
});

describe('in a machine', () => {
  const image = (body: string) =>
    assembleText(`
      bits 32
      org 0x100000
      image: dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), image, image, 0, 0, start
      start:
      ${body}
      cli
      hlt`);

  test('nobody starts the others: that is no deadlock', () => {
    const { report } = runGuest(image(''), { vcpus: 3, pcpus: 2 });
    expect(report).toMatchObject({
      status: 'halted',
      message: 'every vCPU is halted with interrupts off, or waits for INIT and a start-up IPI',
    });
    expect(report.vcpus.map(({ status }) => status)).toEqual([
      ...['halted', 'notStarted', 'notStarted'],
    ]);
    expect(report.vcpus[1].instructions).toBe(0);
  });

  test('INIT stops a processor in a loop, in the guest and out of it', () => {
    // The other one jumps to itself, is stopped, and started again at the next page.
    const program = image(`
      mov byte [0x7000], 0xfa         ; cli
      mov word [0x7001], 0xfeeb       ; jmp $
      mov byte [0x8000], 0xf4         ; hlt
      mov dword [0xfee00310], 1 << 24
      mov dword [0xfee00300], 0x4500
      mov dword [0xfee00300], 0x4607
      mov ecx, 100000
      loop $
      mov dword [0xfee00300], 0x4500
      mov ecx, 100000
      loop $
      mov dword [0xfee00300], 0x4608
      mov ecx, 100000
      loop $`);
    for (const pcpus of [1, 2]) {
      const machine = new Machine(scenarioOf({ vcpus: 2, pcpus }), { programs: [program] });
      const { report } = runToEnd(machine);
      expect(report.status).toBe('halted');
      expect(report.vcpus[1].status).toBe('halted');
      expect(machine.vcpus[1].linearRip.toNumber()).toBe(0x8001);
      if (pcpus === 2) expect(report.vcpus[1].instructions).toBeGreaterThan(50_000);
    }
  });

  test('INIT of the bootstrap processor runs into nothing, which stops the run', () => {
    const program = image('mov dword [0xfee00300], 0x44500\njmp $');
    const { report } = runGuest(program);
    expect(report.status).toBe('notImplemented');
    expect(report.message).toContain('0xfffffff0 in real mode');
  });
});

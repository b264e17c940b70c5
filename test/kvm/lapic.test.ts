// The local APIC's registers in both forms, its priorities, and what can be sent with it. SDM 3,
// "Advanced Programmable Interrupt Controller (APIC)", whose sections the tests name; kvm-host.md
// 7.3 and 7.6 for what KVM does with it.

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
import { deliver } from '../../src/kvm/apic-ipi.ts';
import type { Vcpu } from '../../src/kvm/index.ts';
import { type IdleVm, idleVm } from '../support/kvm-vm.ts';

const PAGE = 0xfee00000;
const BSP = 0x100;
const X2APIC = 0xc00;
const XAPIC = 0x800;
const SOFTWARE_ENABLED = 0x1ff;

type Mode = 'xAPIC' | 'x2APIC';

type Reserved = [name: string, msr: number, low: number, high: number];

/** Unsigned, from two halves. */
const long = (low: number, high = 0) => Long.fromBits(low | 0, high | 0);

/** A machine whose APICs are all enabled, in one mode. */
function machineIn(mode: Mode, vcpuCount = 2): IdleVm {
  const machine = idleVm(vcpuCount);
  for (const vcpu of machine.vcpus) {
    if (mode === 'x2APIC') {
      const bsp = vcpu.index === 0 ? BSP : 0;
      expect(writeApicBase(vcpu, Long.fromNumber(PAGE + X2APIC + bsp), machine.pcpu)).toBe(true);
    }
    vcpu.lapic.writeSpurious(SOFTWARE_ENABLED);
    vcpu.state.eventRequested = false;
  }
  return machine;
}

/** WRMSR: false for #GP. */
function wrmsr({ vcpus, pcpu }: IdleVm, msr: number, low: number, high = 0): boolean {
  return writeX2apic(vcpus[0], msr, long(low, high), pcpu);
}

/** RDMSR: null for #GP. */
function rdmsr({ vcpus, pcpu }: IdleVm, msr: number): number | null {
  return readX2apic(vcpus[0], msr, pcpu)?.toUnsigned().toNumber() ?? null;
}

/** A write to the page. */
function store({ vcpus, pcpu }: IdleVm, offset: number, value: number, vcpu = 0): void {
  writeXapic(vcpus[vcpu], PAGE + offset, long(value), pcpu);
}

/** A read of the page. */
function fetch({ vcpus, pcpu }: IdleVm, offset: number, vcpu = 0): number {
  return readXapic(vcpus[vcpu], PAGE + offset, pcpu)
    .toUnsigned()
    .toNumber();
}

/** Vectors in a set of eight words. */
function vectorsIn(words: readonly number[]): number[] {
  return Array.from({ length: 256 }, (_, vector) => vector).filter(
    (vector) => ((words[vector >> 5] ?? 0) >>> (vector & 31)) & 1,
  );
}

const pending = (vcpu: Vcpu) => vectorsIn(vcpu.lapic.state.irr);

describe('IA32_APIC_BASE', () => {
  test.each([
    [0, 0xfee00900],
    [1, 0xfee00800],
  ])('of vCPU %i reads %i after reset', (index, value) => {
    expect(readApicBase(idleVm(2).vcpus[index]).toNumber()).toBe(value);
  });

  // "x2APIC State Transitions", EN and EXTD: disabled 00, xAPIC 10, x2APIC 11, invalid 01.
  test.each([
    ['disabled', 'disabled', 0, 0, true],
    ['disabled', 'xAPIC', 0, XAPIC, true],
    ['disabled', 'x2APIC', 0, X2APIC, false],
    ['disabled', 'the invalid state', 0, 0x400, false],
    ['xAPIC', 'disabled', XAPIC, 0, true],
    ['xAPIC', 'xAPIC', XAPIC, XAPIC, true],
    ['xAPIC', 'x2APIC', XAPIC, X2APIC, true],
    ['xAPIC', 'the invalid state', XAPIC, 0x400, false],
    ['x2APIC', 'disabled', X2APIC, 0, true],
    ['x2APIC', 'xAPIC', X2APIC, XAPIC, false],
    ['x2APIC', 'x2APIC', X2APIC, X2APIC, true],
    ['x2APIC', 'the invalid state', X2APIC, 0x400, false],
  ])('from %s to %s', (_from, _to, from, to, isLegal) => {
    const { pcpu, vcpus } = idleVm(1);
    const [vcpu] = vcpus;
    expect(writeApicBase(vcpu, Long.fromNumber(PAGE + from), pcpu)).toBe(true);
    expect(writeApicBase(vcpu, Long.fromNumber(PAGE + to), pcpu)).toBe(isLegal);
    expect(readApicBase(vcpu).toNumber()).toBe(PAGE + (isLegal ? to : from));
  });

  test.each([
    ['bit 0', 1, 0],
    ['bit 7', 1 << 7, 0],
    ['bit 9', 1 << 9, 0],
    ['bit 46, beyond the physical addresses', 0, 1 << 14],
    ['bit 63', 0, 1 << 31],
  ])('reserved %s faults', (_, low, high) => {
    const { pcpu, vcpus } = idleVm(1);
    expect(writeApicBase(vcpus[0], long((PAGE + XAPIC) | low, high), pcpu)).toBe(false);
  });
});

describe('the registers in x2APIC mode', () => {
  // "x2APIC Register Address Space": MSR, value when just enabled.
  test.each([
    ['ID', 0x802, 0],
    ['version 14H, six LVT entries, EOI-broadcast suppression not offered', 0x803, 0x50014],
    ['TPR', 0x808, 0],
    ['PPR', 0x80a, 0],
    ['LDR', 0x80d, 1],
    ['SVR', 0x80f, SOFTWARE_ENABLED],
    ['ISR, first', 0x810, 0],
    ['ISR, last', 0x817, 0],
    ['TMR, first', 0x818, 0],
    ['TMR, last', 0x81f, 0],
    ['IRR, first', 0x820, 0],
    ['IRR, last', 0x827, 0],
    ['ESR', 0x828, 0],
    ['ICR', 0x830, 0],
    ['LVT timer, masked', 0x832, 0x10000],
    ['LVT thermal sensor, masked', 0x833, 0x10000],
    ['LVT performance monitoring, masked', 0x834, 0x10000],
    ['LVT LINT0, connected to the PIC', 0x835, 0x700],
    ['LVT LINT1, masked', 0x836, 0x10000],
    ['LVT error, masked', 0x837, 0x10000],
    ['initial count', 0x838, 0],
    ['current count', 0x839, 0],
    ['divide configuration', 0x83e, 0],
    ['nothing at 800H', 0x800, null],
    ['nothing at 801H', 0x801, null],
    ['no arbitration priority', 0x809, null],
    ['no EOI, which can only be written', 0x80b, null],
    ['no remote read', 0x80c, null],
    ['no DFR', 0x80e, null],
    ['no CMCI, being the seventh LVT entry', 0x82f, null],
    ['no second half of the ICR', 0x831, null],
    ['no SELF IPI, which can only be written', 0x83f, null],
    ['nothing at 840H', 0x840, null],
    ['nothing at 8FFH', 0x8ff, null],
  ])('%s', (_, msr, value) => {
    expect(rdmsr(machineIn('x2APIC'), msr)).toBe(value);
  });

  // What is written; what is read then, or null for #GP on the write.
  test.each([
    ['TPR', 0x808, 0x5a, 0x5a],
    ['SVR', 0x80f, 0x1ee, 0x1ee],
    ['LVT timer, in deadline mode', 0x832, 0x40040, 0x40040],
    ['LVT timer, periodic and masked', 0x832, 0x300ff, 0x300ff],
    ['LVT thermal sensor, as NMI', 0x833, 0x400, 0x400],
    ['LVT LINT0, level-triggered and active low', 0x835, 0xa030, 0xa030],
    ['LVT error', 0x837, 0xfe, 0xfe],
    ['divide configuration', 0x83e, 0xb, 0xb],
    ['ID', 0x802, 0, null],
    ['version', 0x803, 0, null],
    ['PPR', 0x80a, 0, null],
    ['LDR', 0x80d, 1, null],
    ['DFR', 0x80e, 0xffffffff, null],
    ['ISR', 0x810, 0, null],
    ['TMR', 0x81f, 0, null],
    ['IRR', 0x827, 0, null],
    ['second half of the ICR', 0x831, 0, null],
    ['current count', 0x839, 0, null],
    ['nothing at 840H', 0x840, 0, null],
  ])('%s can be written, or faults', (_, msr, value, read) => {
    const machine = machineIn('x2APIC');
    expect(wrmsr(machine, msr, value)).toBe(read !== null);
    if (read !== null) expect(rdmsr(machine, msr)).toBe(read);
  });

  // "Reserved Bit Checking".
  test.each<Reserved>([
    ['TPR, bit 32', 0x808, 0, 1],
    ['EOI, anything but 0', 0x80b, 1, 0],
    ['SVR, bit 32', 0x80f, SOFTWARE_ENABLED, 1],
    ['ESR, anything but 0', 0x828, 1, 0],
    ['LVT timer, bit 63', 0x832, 0, 1 << 31],
    ['initial count, bit 32', 0x838, 0, 1],
    ['SELF IPI, bit 8', 0x83f, 0x140, 0],
    ['SELF IPI, bit 32', 0x83f, 0x40, 1],
    ...[13, 16, 17, 20, 31].map((bit) => ['ICR', 0x830, 0x40 | (1 << bit), 1] as Reserved),
  ])('a reserved bit faults: %s', (_, msr, low, high) => {
    const machine = machineIn('x2APIC');
    expect(wrmsr(machine, msr, low, high)).toBe(false);
    expect(machine.vcpus.map(pending)).toEqual([[], []]);
  });

  test('do not exist in xAPIC mode', () => {
    const machine = machineIn('xAPIC');
    expect(rdmsr(machine, 0x802)).toBeNull();
    expect(wrmsr(machine, 0x80b, 0)).toBe(false);
  });

  test('ICR is one register of 64 bits', () => {
    const machine = machineIn('x2APIC');
    expect(wrmsr(machine, 0x830, 0x40, 1)).toBe(true);
    expect(rdmsr(machine, 0x830)).toBe(0x1_0000_0040);
  });

  // "Logical Destination Mode in x2APIC Mode": (id >> 4) << 16 | 1 << (id & 15).
  test.each([
    [0, 0x00000001],
    [5, 0x00000020],
    [15, 0x00008000],
    [16, 0x00010001],
    [17, 0x00010002],
  ])('LDR of id %i', (id, value) => {
    const { vcpus, pcpu } = machineIn('x2APIC', 18);
    expect(readX2apic(vcpus[id], 0x80d, pcpu)?.low).toBe(value);
    expect(readX2apic(vcpus[id], 0x802, pcpu)?.low).toBe(id);
  });
});

describe('the registers in xAPIC mode', () => {
  test.each([
    ['ID, in the highest byte', 0x20, 0x01000000],
    ['version', 0x30, 0x50014],
    ['TPR', 0x80, 0],
    ['LDR', 0xd0, 0],
    ['DFR, flat model', 0xe0, 0xffffffff],
    ['SVR', 0xf0, SOFTWARE_ENABLED],
    ['ICR', 0x300, 0],
    ['LVT timer, masked', 0x320, 0x10000],
    ['EOI, which can only be written', 0xb0, 0],
    ['nothing', 0x3f0, 0],
  ])('%s', (_, offset, value) => {
    expect(fetch(machineIn('xAPIC'), offset, 1)).toBe(value);
  });

  test.each([
    ['TPR', 0x80, 0x5a, 0x5a],
    ['LDR, only the highest byte', 0xd0, 0xabcdef12, 0xab000000],
    ['DFR, only the highest four bits', 0xe0, 0x0fffffff, 0x0fffffff],
    ['DFR, whose other bits are 1', 0xe0, 0, 0x0fffffff],
    ['ICR, second half', 0x310, 0x07ffffff, 0x07000000],
    ['ICR, without its delivery status', 0x300, 0x84040 | 0x1000, 0x84040],
    ['LVT timer, without reserved bits', 0x320, 0xffffffff, 0x700ff],
    ['LVT thermal sensor, without pin bits', 0x330, 0xffffffff, 0x107ff],
    ['LVT performance monitoring, without pin bits', 0x340, 0xffffffff, 0x107ff],
    ['LVT LINT0', 0x350, 0xffffffff, 0x1a7ff],
    ['LVT LINT1', 0x360, 0xffffffff, 0x1a7ff],
    ['LVT error, without delivery mode', 0x370, 0xffffffff, 0x100ff],
    ['divide configuration, bits 3, 1 and 0', 0x3e0, 0xffffffff, 0xb],
    ['SVR, vector and enable', 0xf0, 0xffffffff, 0x1ff],
    ['ID, which stays', 0x20, 0xff000000, 0],
    ['version, which stays', 0x30, 0, 0x50014],
  ])('a write to %s', (_, offset, value, read) => {
    const machine = machineIn('xAPIC');
    store(machine, offset, value);
    expect(fetch(machine, offset)).toBe(read);
  });

  test('a write beside a register does nothing', () => {
    const machine = machineIn('xAPIC');
    store(machine, 0x84, 0x50);
    expect(fetch(machine, 0x80)).toBe(0);
  });
});

describe('the priorities', () => {
  // "Task and Processor Priorities": TPR, vectors in service; PPR.
  test.each<[number, number[], number]>([
    [0x00, [], 0x00],
    [0x3f, [], 0x3f],
    [0x00, [0x45], 0x40],
    [0x30, [0x45], 0x40],
    [0x50, [0x45], 0x50],
    [0x5a, [0x45], 0x5a],
    [0x20, [0x45, 0x61], 0x60],
    [0xff, [0xfe], 0xff],
  ])('TPR %i and %j in service make PPR %i', (tpr, inService, ppr) => {
    const machine = machineIn('x2APIC');
    const [{ lapic }] = machine.vcpus;
    for (const vector of inService) lapic.acknowledge(vector);
    expect(wrmsr(machine, 0x808, tpr)).toBe(true);
    expect(rdmsr(machine, 0x80a)).toBe(ppr);
  });

  // TPR, vectors in service, vectors pending; what the processor gets, or -1.
  test.each<[number, number[], number[], number]>([
    [0x00, [], [], -1],
    [0x00, [], [0x31], 0x31],
    [0x00, [], [0x31, 0xf2, 0x80], 0xf2],
    [0x00, [], [0x0f], -1],
    [0x00, [], [0x10], 0x10],
    [0x30, [], [0x3f], -1],
    [0x3f, [], [0x40], 0x40],
    [0x00, [0x41], [0x4f], -1],
    [0x00, [0x41], [0x50], 0x50],
    [0x00, [0x41], [0x31, 0x42], -1],
    [0xf0, [], [0xff], -1],
    [0xef, [], [0xf0], 0xf0],
  ])('with TPR %i, %j in service and %j pending vector %i goes in', (tpr, isr, irr, vector) => {
    const machine = machineIn('x2APIC');
    const [{ lapic }] = machine.vcpus;
    for (const inService of isr) lapic.acknowledge(inService);
    for (const waiting of irr) lapic.accept(waiting, false);
    expect(wrmsr(machine, 0x808, tpr)).toBe(true);
    expect(lapic.deliverable).toBe(vector);
  });

  test('the end of an interrupt is that of the highest in service', () => {
    const machine = machineIn('x2APIC');
    const [{ lapic }] = machine.vcpus;
    for (const vector of [0x31, 0x62, 0x90]) lapic.acknowledge(vector);
    const left = [0, 1, 2, 3].map(() => {
      expect(wrmsr(machine, 0x80b, 0)).toBe(true);
      return vectorsIn(lapic.state.isr);
    });
    expect(left).toEqual([[0x31, 0x62], [0x31], [], []]);
  });

  test('a vector can be in service and pending at once, and is pending only once', () => {
    const machine = machineIn('x2APIC');
    const [vcpu] = machine.vcpus;
    vcpu.lapic.accept(0x40, false);
    vcpu.lapic.accept(0x40, false);
    vcpu.lapic.acknowledge(0x40);
    expect([rdmsr(machine, 0x822), rdmsr(machine, 0x812)]).toEqual([0, 1]);
    vcpu.lapic.accept(0x40, false);
    expect([rdmsr(machine, 0x822), rdmsr(machine, 0x812)]).toEqual([1, 1]);
  });

  test.each([
    ['EOI', 0x80b, 0],
    ['a write to the TPR', 0x808, 0x10],
  ])('%s makes the vCPU look for interrupts again', (_, msr, value) => {
    const machine = machineIn('x2APIC');
    wrmsr(machine, msr, value);
    expect(machine.vcpus[0].state.eventRequested).toBe(true);
  });
});

describe('software disabling', () => {
  // "Local APIC State After It Has Been Software Disabled".
  test('masks every LVT entry, which stay so when it ends', () => {
    const machine = machineIn('x2APIC');
    for (let msr = 0x832; msr <= 0x837; msr++) wrmsr(machine, msr, 0x40);
    wrmsr(machine, 0x80f, 0xff);
    const read = () => [2, 3, 4, 5, 6, 7].map((n) => rdmsr(machine, 0x830 + n));
    expect(read()).toEqual(Array(6).fill(0x10040));
    wrmsr(machine, 0x80f, SOFTWARE_ENABLED);
    expect(read()).toEqual(Array(6).fill(0x10040));
  });

  test('keeps mask bits from being cleared', () => {
    const machine = machineIn('x2APIC');
    wrmsr(machine, 0x80f, 0xff);
    for (let msr = 0x832; msr <= 0x837; msr++) {
      expect(wrmsr(machine, msr, 0x40)).toBe(true);
      expect(rdmsr(machine, msr)).toBe(0x10040);
    }
  });

  test('keeps fixed interrupts out, but not NMIs', () => {
    const machine = machineIn('x2APIC');
    const [vcpu] = machine.vcpus;
    wrmsr(machine, 0x80f, 0xff);
    wrmsr(machine, 0x83f, 0x40);
    expect(pending(vcpu)).toEqual([]);
    wrmsr(machine, 0x830, 0x400);
    expect(vcpu.state.nmiQueued).toBe(1);
  });

  test('holds what is pending and in service; the processor may still take it', () => {
    const machine = machineIn('x2APIC');
    const [{ lapic }] = machine.vcpus;
    lapic.accept(0x61, false);
    lapic.acknowledge(0x51);
    wrmsr(machine, 0x80f, 0xff);
    expect([vectorsIn(lapic.state.irr), vectorsIn(lapic.state.isr)]).toEqual([[0x61], [0x51]]);
    expect(lapic.deliverable).toBe(0x61);
  });

  test('is the state after reset', () => {
    const [{ lapic }] = idleVm(1).vcpus;
    expect(lapic.state.spurious).toBe(0xff);
    expect(lapic.isEnabled).toBe(false);
  });
});

/** Who gets what: pending vectors, or the mark of an NMI. */
function received({ vcpus }: IdleVm): (number | 'NMI' | null)[] {
  return vcpus.map((vcpu) => (vcpu.state.nmiQueued > 0 ? 'NMI' : (pending(vcpu)[0] ?? null)));
}

describe('an interrupt command in x2APIC mode', () => {
  const V = 0x40;
  const NONE = [null, null, null];
  // Low and high half of the ICR, sent by vCPU 0 of three; who receives what.
  test.each<[string, number, number, (number | 'NMI' | null)[]]>([
    ['physical, to 1', V, 1, [null, V, null]],
    ['physical, to itself', V, 0, [V, null, null]],
    ['physical, to nobody', V, 3, NONE],
    ['physical, to nobody with a low byte that exists', V, 0x101, NONE],
    ['physical, to 255, which is a plain id here', V, 0xff, NONE],
    ['physical, to all', V, 0xffffffff, [V, V, V]],
    ['asserted and level-triggered', 0xc000 | V, 1, [null, V, null]],
    ['de-asserted and level-triggered', 0x8000 | V, 1, NONE],
    ['logical, to 1 and 2', 0x800 | V, 0b110, [null, V, V]],
    ['logical, to another cluster', 0x800 | V, 0x10007, NONE],
    ['logical, to no member', 0x800 | V, 0, NONE],
    ['logical, to all', 0x800 | V, 0xffffffff, [V, V, V]],
    ['to itself by shorthand, whatever the destination', 0x40000 | V, 2, [V, null, null]],
    ['to all', 0x80000 | V, 0, [V, V, V]],
    ['to all but itself', 0xc0000 | V, 0, [null, V, V]],
    ['NMI, whatever the vector', 0x400 | V, 2, [null, null, 'NMI']],
    ['NMI to all but itself', 0xc0400, 0, [null, 'NMI', 'NMI']],
    ['lowest priority, hashed over 3: 40H mod 3 is 1', 0x900 | V, 0b111, [null, V, null]],
    ['lowest priority, hashed over 2: 41H mod 2 is 1', 0x941, 0b101, [null, null, 0x41]],
    ['lowest priority, to nobody', 0x900 | V, 0x10007, NONE],
    ['start-up, to a processor that runs', 0x600 | V, 1, NONE],
    ['ExtINT', 0x700 | V, 1, NONE],
    ['INIT level de-assert', 0x88500, 0, NONE],
  ])('%s', (_, low, high, expected) => {
    const machine = machineIn('x2APIC', 3);
    expect(wrmsr(machine, 0x830, low, high)).toBe(true);
    expect(received(machine)).toEqual(expected);
    expect(machine.vcpus.map(({ state }) => state.notImplemented)).toEqual([null, null, null]);
  });

  test('SELF IPI is a fixed, edge-triggered interrupt to itself', () => {
    const machine = machineIn('x2APIC', 3);
    expect(wrmsr(machine, 0x83f, 0xee)).toBe(true);
    expect(received(machine)).toEqual([0xee, null, null]);
    expect(rdmsr(machine, 0x81f)).toBe(0);
  });

  test('an APIC that is switched off receives nothing, not even an NMI to all', () => {
    const commands = [
      [0x40, 1],
      [0x4500, 1],
      [0x80040, 0],
      [0x400, 1],
      [0x80400, 0],
      [0xc0400, 0],
    ] as const;
    for (const [low, high] of commands) {
      const machine = machineIn('x2APIC', 2);
      expect(writeApicBase(machine.vcpus[1], Long.fromNumber(PAGE), machine.pcpu)).toBe(true);
      wrmsr(machine, 0x830, low, high);
      expect(received(machine)[1]).toBeNull();
      expect(machine.vcpus[1].hasApicEvents).toBe(false);
    }
  });

  test('one that is disabled by software takes no part in fixed interrupts', () => {
    const machine = machineIn('x2APIC', 2);
    machine.vcpus[1].lapic.writeSpurious(0xff);
    wrmsr(machine, 0x830, 0x80040);
    expect(received(machine)).toEqual([0x40, null]);
  });

  test('the trigger-mode register tells level from edge', () => {
    const machine = machineIn('x2APIC', 2);
    const accept = (levelTriggered: boolean) =>
      deliver(
        machine.vcpus[0],
        { vector: 0x40, mode: 'Fixed', levelTriggered, assert: true },
        machine.pcpu,
      );
    accept(true);
    expect(rdmsr(machine, 0x81a)).toBe(1);
    accept(false);
    expect(rdmsr(machine, 0x81a)).toBe(0);
  });
});

describe('an interrupt command in xAPIC mode', () => {
  const FLAT = 0xffffffff;
  const CLUSTER = 0x0fffffff;
  const V = 0x40;
  // DFR, LDR bytes of the three, ICR low, destination byte; who receives the vector.
  test.each<[string, number, number[], number, number, boolean[]]>([
    ['physical, to 2', FLAT, [1, 2, 4], V, 2, [false, false, true]],
    ['physical, to all', FLAT, [1, 2, 4], V, 0xff, [true, true, true]],
    ['physical, to nobody', FLAT, [1, 2, 4], V, 9, [false, false, false]],
    ['flat, to 1 and 2', FLAT, [1, 2, 4], 0x800 | V, 0b110, [false, true, true]],
    ['flat, shared bits', FLAT, [3, 2, 4], 0x800 | V, 0b010, [true, true, false]],
    ['flat, to all', FLAT, [1, 2, 4], 0x800 | V, 0xff, [true, true, true]],
    ['cluster, members 1 and 2', CLUSTER, [0x11, 0x12, 0x21], 0x800 | V, 0x13, [true, true, false]],
    ['cluster, another one', CLUSTER, [0x11, 0x12, 0x21], 0x800 | V, 0x2f, [false, false, true]],
    ['cluster, no member', CLUSTER, [0x11, 0x12, 0x21], 0x800 | V, 0x24, [false, false, false]],
    ['to itself', FLAT, [1, 2, 4], 0x40000 | V, 2, [true, false, false]],
    ['to all but itself', FLAT, [1, 2, 4], 0xc0000 | V, 0, [false, true, true]],
  ])('%s', (_, dfr, ldrs, low, destination, expected) => {
    const machine = machineIn('xAPIC', 3);
    ldrs.forEach((ldr, i) => {
      store(machine, 0xe0, dfr, i);
      store(machine, 0xd0, ldr << 24, i);
    });
    store(machine, 0x310, destination << 24);
    expect(received(machine)).toEqual([null, null, null]);
    store(machine, 0x300, low);
    expect(received(machine)).toEqual(expected.map((isHit) => (isHit ? V : null)));
  });
});

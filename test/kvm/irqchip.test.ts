// Interrupts through PIC, I/O APIC and PIT, as guests see them. 8259A, 82093AA and 8254 data
// sheets; Linux arch/x86/kvm/i8259.c, ioapic.c, i8254.c.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import type { Pcpu } from '../../src/host/index.ts';
import type { Irqchip } from '../../src/kvm/index.ts';
import { PicPair } from '../../src/kvm/pic.ts';
import { KvmBench, type KvmBenchOptions } from '../support/kvm-bench.ts';
import { idleVm } from '../support/kvm-vm.ts';

/** Both controllers initialised: vectors from 20H and 28H on, ICW4 given. */
function pics(icw4 = 1): { pic: PicPair; ended: number[] } {
  const ended: number[] = [];
  const pic = new PicPair({ acknowledged: (line) => ended.push(line), maskChanged: () => {} });
  for (const which of [0, 1] as const) {
    pic.write(which, 0, 0x11);
    pic.write(which, 1, which === 0 ? 0x20 : 0x28);
    pic.write(which, 1, which === 0 ? 4 : 2);
    pic.write(which, 1, icw4);
  }
  return { pic, ended };
}

describe('the 8259A', () => {
  const pulse = (pic: PicPair, line: number) => {
    const result = pic.setLine(line, true);
    pic.setLine(line, false);
    return result;
  };

  test('an edge is taken once, however long the line stays high', () => {
    const { pic } = pics();
    expect([pic.setLine(3, true), pic.setLine(3, true)]).toEqual([1, 1]);
    expect(pic.acknowledge()).toBe(0x23);
    pic.write(0, 0, 0x20);
    expect(pic.output).toBe(false);
  });

  test('an edge that comes while one is requested is coalesced', () => {
    const { pic } = pics();
    expect([pulse(pic, 3), pulse(pic, 3)]).toEqual([1, 0]);
  });

  test('a level asks again until it is gone', () => {
    const { pic } = pics();
    pic.writeLevels(0, 8);
    pic.setLine(3, true);
    expect(pic.acknowledge()).toBe(0x23);
    expect(pic.output).toBe(false);
    pic.write(0, 0, 0x20);
    expect(pic.output).toBe(true);
    pic.setLine(3, false);
    expect(pic.output).toBe(false);
  });

  test('lower numbers go first, and hold back higher ones until their end', () => {
    const { pic, ended } = pics();
    for (const line of [5, 1, 3]) pulse(pic, line);
    expect(pic.acknowledge()).toBe(0x21);
    expect(pic.output).toBe(false);
    pic.write(0, 0, 0x20);
    expect(pic.acknowledge()).toBe(0x23);
    pulse(pic, 0);
    expect(pic.acknowledge()).toBe(0x20);
    // Specific end of line 3, then the best one in service.
    pic.write(0, 0, 0x63);
    pic.write(0, 0, 0x20);
    expect(pic.acknowledge()).toBe(0x25);
    expect(ended).toEqual([1, 3, 0]);
  });

  test('the second controller comes through line 2', () => {
    const { pic } = pics();
    pulse(pic, 12);
    pulse(pic, 8);
    expect([pic.read(0, 0), pic.read(1, 0)]).toEqual([4, 0x11]);
    expect(pic.acknowledge()).toBe(0x28);
    pic.write(0, 0, 0xb);
    pic.write(1, 0, 0xb);
    expect([pic.read(0, 0), pic.read(1, 0)]).toEqual([4, 1]);
    pic.write(1, 0, 0x20);
    // Line 2 of the first is still in service.
    expect(pic.output).toBe(false);
    pic.write(0, 0, 0x20);
    expect(pic.acknowledge()).toBe(0x2c);
  });

  test('special fully nested mode lets the second controller interrupt itself', () => {
    for (const [icw4, nested] of [
      [0x01, false],
      [0x11, true],
    ] as const) {
      const { pic } = pics(icw4);
      pulse(pic, 12);
      expect(pic.acknowledge()).toBe(0x2c);
      pulse(pic, 8);
      expect(pic.output).toBe(nested);
    }
  });

  test('masked lines wait; special mask mode lets lower ones through', () => {
    const { pic } = pics();
    pic.write(0, 1, 0x02);
    expect(pulse(pic, 1)).toBe(-1);
    expect(pic.output).toBe(false);
    pic.write(0, 1, 0);
    expect(pic.acknowledge()).toBe(0x21);
    pulse(pic, 4);
    pic.write(0, 1, 0x02);
    expect(pic.output).toBe(false);
    pic.write(0, 0, 0x68);
    expect(pic.output).toBe(true);
    pic.write(0, 0, 0x48);
    expect(pic.output).toBe(false);
  });

  test('rotation makes the line that was served the last one', () => {
    const { pic } = pics();
    pulse(pic, 2 + 1);
    pic.acknowledge();
    pic.write(0, 0, 0xa0);
    for (const line of [3, 4, 0]) pulse(pic, line);
    expect(pic.acknowledge()).toBe(0x24);
    pic.write(0, 0, 0xa0);
    expect(pic.acknowledge()).toBe(0x20);
    // Set priority: line 6 is the last one.
    pic.write(0, 0, 0x20);
    pic.write(0, 0, 0xc6);
    pulse(pic, 7);
    expect(pic.acknowledge()).toBe(0x27);
  });

  test('automatic end leaves nothing in service, and rotates if told to', () => {
    const { pic, ended } = pics(3);
    pulse(pic, 3);
    expect(pic.acknowledge()).toBe(0x23);
    expect(ended).toEqual([3]);
    pic.write(0, 0, 0x80);
    pulse(pic, 3);
    pic.acknowledge();
    pulse(pic, 3);
    pulse(pic, 5);
    expect(pic.acknowledge()).toBe(0x25);
  });

  test('a poll acknowledges and says which line', () => {
    const { pic } = pics();
    pic.write(0, 0, 0x0c);
    expect(pic.read(0, 0)).toBe(0);
    pulse(pic, 5);
    pic.write(0, 0, 0x0c);
    expect(pic.read(0, 0)).toBe(0x85);
    expect(pic.output).toBe(false);
  });

  test('what is gone when it is acknowledged is spurious: the last line', () => {
    const { pic } = pics();
    expect(pic.acknowledge()).toBe(0x27);
    pic.writeLevels(1, 0x04);
    pic.setLine(10, true);
    pic.setLine(10, false);
    expect(pic.acknowledge()).toBe(0x2f);
  });
});

/** A guest whose PIC and I/O APIC are set up; handlers count in results 0 to 3. */
const SETUP = `
      %macro set_up_pics 2    ; masks
        mov al, 0x11
        out 0x20, al
        out 0xa0, al
        mov al, 0x20
        out 0x21, al
        mov al, 0x28
        out 0xa1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xa1, al
        mov al, 1
        out 0x21, al
        out 0xa1, al
        mov al, %1
        out 0x21, al
        mov al, %2
        out 0xa1, al
      %endmacro
      %macro redirect 3       ; pin, low, high word
        mov ebx, 0xfec00000
        mov dword [rbx], 0x11 + 2 * (%1)
        mov dword [rbx + 0x10], %3
        mov dword [rbx], 0x10 + 2 * (%1)
        mov dword [rbx + 0x10], %2
      %endmacro
      %macro start_pit 2      ; mode, count
        mov al, 0x30 | ((%1) << 1)
        out 0x43, al
        mov al, (%2) & 0xff
        out 0x40, al
        mov al, (%2) >> 8
        out 0x40, al
      %endmacro
      %macro enable_apic 0
        mov ebx, 0xfee00000
        mov dword [rbx + 0xf0], 0x1ff
      %endmacro
      %macro count 1
        push rax
        push rbx
        inc result(%1)
      %endmacro
      %macro done 0
        pop rbx
        pop rax
        iretq
      %endmacro
      %macro end_pic 0
        mov al, 0x20
        out 0x20, al
      %endmacro
      %macro end_apic 0
        mov ebx, 0xfee00000
        mov dword [rbx + 0xb0], 0
      %endmacro
      jmp main\n`;

const guest = (source: string, options: KvmBenchOptions = {}) =>
  new KvmBench(SETUP + source, options);

describe('the interval timer', () => {
  test('interrupts by the PIC, as LINT0 is connected at first', () => {
    const bench = guest(`
      on_32: count 0
        end_pic
        done
      main: set_up_pics 0xfe, 0xff
        start_pit 0, 11932
        sti
        hlt
        cli
        finish`).finish();
    expect(bench.result(0)).toBe(1n);
    expect(bench.lines('kvm_set_irq', 'kvm_pic_set_irq', 'kvm_inj_virq', 'kvm_ack_irq')).toEqual([
      'kvm_set_irq: gsi 0 level 1 source 2',
      'kvm_pic_set_irq: chip 0 pin 0 (edge)',
      'kvm_set_irq: gsi 0 level 0 source 2',
      'kvm_pic_set_irq: chip 0 pin 0 (edge)',
      'kvm_inj_virq: IRQ 0x20',
      'kvm_ack_irq: irqchip PIC master pin 0',
    ]);
    const [armed] = bench.events('kvm_pio').slice(-2);
    const [fired] = bench.events('kvm_set_irq');
    // 11932 ticks are 10 ms and 127 ns.
    expect(Number(fired?.timeNs)).toBeGreaterThan(10_000_127);
    expect(Number(fired?.timeNs)).toBeLessThan(Number(armed?.timeNs) + 10_010_000);
  });

  test.each([
    ['rate generator', 2],
    ['square wave', 3],
  ])('comes again and again as %s', (_, mode) => {
    const bench = guest(`
      on_32: count 0
        end_pic
        done
      main: set_up_pics 0xfe, 0xff
        start_pit ${mode}, 1193
        sti
      again: hlt
        cmp dword [0x9100], 5
        jb again
        cli
        finish`).finish();
    const times = bench.events('kvm_inj_virq').map(({ timeNs }) => timeNs);
    expect(times).toHaveLength(5);
    // 1193 ticks are 999.847 us each.
    for (const [i, time] of times.entries()) {
      expect(Math.abs(time - times[0] - 999_847.46 * i)).toBeLessThan(1000);
    }
  });

  test('interrupts by pin 2 of the I/O APIC', () => {
    const bench = guest(`
      on_64: count 0
        end_apic
        done
      main: set_up_pics 0xff, 0xff
        enable_apic
        redirect 2, 64, 0
        start_pit 4, 1000
        sti
        hlt
        cli
        finish`).finish();
    expect(bench.result(0)).toBe(1n);
    expect(bench.lines('kvm_ioapic_set_irq', 'kvm_apic_accept_irq', 'kvm_ack_irq')).toEqual([
      'kvm_apic_accept_irq: apicid 0 vec 64 (Fixed|edge)',
      'kvm_ioapic_set_irq: pin 2 dst 0 vec 64 (Fixed|physical|edge)',
      'kvm_ioapic_set_irq: pin 2 dst 0 vec 64 (Fixed|physical|edge)',
      'kvm_ack_irq: irqchip IOAPIC pin 2',
    ]);
  });

  test('is an NMI where LINT0 says so', () => {
    const bench = guest(`
      on_2: count 0
        done
      main: set_up_pics 0xff, 0xff
        enable_apic
        mov dword [rbx + 0x350], 0x400
        start_pit 0, 1000
        hlt
        finish`).finish();
    expect(bench.result(0)).toBe(1n);
    expect(bench.counters().nmi_injections).toBe(1);
  });

  test('ticks that come too early are made up for, one for each end', () => {
    const bench = guest(
      `
      on_32: count 0
        cmp dword [0x9100], 1
        jne .quick
        mov ecx, 4
      .wait: mfence
        loop .wait
      .quick:
        end_pic
        done
      main: set_up_pics 0xfe, 0xff
        start_pit 2, 1193
        sti
      again: hlt
        cmp dword [0x9100], 4
        jb again
        cli
        finish`,
      { cycles: { fence: 2_000_000 } },
    ).finish();
    // Four ticks pass in the first handler; the last of them comes while the others are told.
    const times = bench.events('kvm_inj_virq').map(({ timeNs }) => Math.round(timeNs / 1e5));
    expect(times[1] - times[0]).toBeGreaterThanOrEqual(40);
    expect(times[3] - times[1]).toBeLessThanOrEqual(1);
  });

  test('masked, it wakes nobody: the machine is stuck', () => {
    const source = `
      main: set_up_pics 0xff, 0xff
        start_pit 2, 1193
        sti
        hlt
        finish`;
    expect(guest(source).run(5e7).ending).toBe('stuck');
  });

  test('a count below 200 us is clamped', () => {
    const bench = guest(`
      on_32: count 0
        end_pic
        done
      main: set_up_pics 0xfe, 0xff
        start_pit 2, 12
        sti
      again: hlt
        cmp dword [0x9100], 3
        jb again
        cli
        finish`).finish();
    const times = bench.events('kvm_inj_virq').map(({ timeNs }) => timeNs);
    expect(Math.abs(times[2] - times[0] - 400_000)).toBeLessThan(1000);
  });
});

describe('the I/O APIC', () => {
  function pins(): { irqchip: Irqchip; pcpu: Pcpu; accepted: (vcpu: number) => number } {
    const { vm, vcpus, pcpu } = idleVm(3);
    if (vm.irqchip === null) throw new Error('no I/O APIC');
    for (const { lapic } of vcpus) {
      lapic.writeSpurious(0x1ff);
      lapic.state.logicalDestination = (1 << lapic.id) << 24;
    }
    return { irqchip: vm.irqchip, pcpu, accepted: (i) => vcpus[i].lapic.requestedVector };
  }

  function redirect(
    { irqchip, pcpu }: ReturnType<typeof pins>,
    pin: number,
    low: number,
    high = 0,
  ) {
    const write = (register: number, value: number) => {
      irqchip.ioapic.write(0, register, pcpu);
      irqchip.ioapic.write(0x10, value, pcpu);
    };
    write(0x11 + 2 * pin, high << 24);
    write(0x10 + 2 * pin, low);
  }

  const read = ({ irqchip, pcpu }: ReturnType<typeof pins>, register: number) => {
    irqchip.ioapic.write(0, register, pcpu);
    return irqchip.ioapic.read(0x10) >>> 0;
  };

  test('says version 11H and 24 pins, all masked', () => {
    const world = pins();
    expect(read(world, 1)).toBe(0x170011);
    for (let pin = 0; pin < 24; pin++) expect(read(world, 0x10 + 2 * pin)).toBe(0x10000);
    expect(read(world, 0x40)).toBe(0xffffffff);
    world.irqchip.ioapic.write(0, 0, world.pcpu);
    world.irqchip.ioapic.write(0x10, 0x0f000000, world.pcpu);
    expect([read(world, 0), read(world, 2)]).toEqual([0x0f000000, 0x0f000000]);
  });

  test.each([
    ['a physical destination', 0x40, 1, [-1, 0x40, -1]],
    ['everybody', 0x40, 0xff, [0x40, 0x40, 0x40]],
    ['a logical destination', 0x840, 6, [-1, 0x40, 0x40]],
    ['the lowest priority of two, by the vector', 0x941, 6, [-1, -1, 0x41]],
    ['nobody', 0x40, 9, [-1, -1, -1]],
  ])('sends to %s', (_, low, high, expected) => {
    const world = pins();
    redirect(world, 10, low, high);
    world.irqchip.setIrq(10, true, 0, world.pcpu);
    expect([0, 1, 2].map(world.accepted)).toEqual(expected);
  });

  test('an edge that comes again before the line falls is one', () => {
    const world = pins();
    const { irqchip, pcpu } = world;
    irqchip.pic.write(1, 1, 0xff);
    redirect(world, 10, 0x40);
    const results = [true, true, false, true].map((high) => irqchip.setIrq(10, high, 0, pcpu));
    expect(results).toEqual([1, 0, 1, 1]);
  });

  test('a level waits for the end of the one before, and comes again if it is still there', () => {
    const world = pins();
    const { irqchip, pcpu } = world;
    redirect(world, 10, 0x8040);
    irqchip.setIrq(10, true, 0, pcpu);
    expect(read(world, 0x10 + 20)).toBe(0xc040);
    expect(irqchip.ioapic.setPin(10, true, pcpu)).toBe(-1);
    irqchip.endOfInterrupt(0x40, true, pcpu);
    // Remote IRR again: it went out a second time.
    expect(read(world, 0x10 + 20)).toBe(0xc040);
    irqchip.setIrq(10, false, 0, pcpu);
    irqchip.endOfInterrupt(0x40, true, pcpu);
    expect(read(world, 0x10 + 20)).toBe(0x8040);
  });

  test('remote IRR is read-only, and gone with a switch to edges', () => {
    const world = pins();
    redirect(world, 10, 0xc040);
    expect(read(world, 0x10 + 20)).toBe(0x8040);
    world.irqchip.setIrq(10, true, 0, world.pcpu);
    redirect(world, 10, 0x10040);
    redirect(world, 10, 0x18040);
    expect(read(world, 0x10 + 20)).toBe(0x18040);
  });

  test('a level that came while the pin was masked goes out when it is not', () => {
    const world = pins();
    redirect(world, 10, 0x18040);
    world.irqchip.setIrq(10, true, 0, world.pcpu);
    expect(world.accepted(0)).toBe(-1);
    redirect(world, 10, 0x8040);
    expect(world.accepted(0)).toBe(0x40);
  });

  test('a line is high while any source holds it', () => {
    const world = pins();
    const { irqchip, pcpu } = world;
    redirect(world, 10, 0x8040);
    irqchip.setIrq(10, true, 0, pcpu);
    irqchip.setIrq(10, true, 2, pcpu);
    irqchip.setIrq(10, false, 0, pcpu);
    expect(irqchip.ioapic.state.irr & (1 << 10)).not.toBe(0);
    irqchip.setIrq(10, false, 2, pcpu);
    expect(irqchip.ioapic.state.irr & (1 << 10)).toBe(0);
  });

  test('is at FEC00000H, and its interrupts end at the local APIC', () => {
    const bench = guest(`
      on_80: count 0
        end_apic
        done
      main: set_up_pics 0xff, 0xff
        enable_apic
        mov ebx, 0xfec00000
        mov dword [rbx], 1
        mov eax, [rbx + 0x10]
        mov result(1), rax
        redirect 2, 0x8050, 0
        start_pit 0, 100
        sti
        hlt
        cli
        mov dword [rbx], 0x14
        mov eax, [rbx + 0x10]
        mov result(2), rax
        finish`).finish();
    expect(bench.results(3)).toEqual([1n, 0x170011n, 0x8050n]);
    expect(bench.lines('kvm_eoi', 'kvm_ack_irq')).toEqual([
      'kvm_ack_irq: irqchip IOAPIC pin 2',
      'kvm_eoi: apicid 0 vector 80',
    ]);
  });
});

test('a message is delivered as its address and data say', () => {
  const { vm, vcpus, pcpu } = idleVm(2);
  for (const { lapic } of vcpus) lapic.writeSpurious(0x1ff);
  const address = (destination: number) => Long.fromNumber(0xfee00000 + destination * 0x1000);
  expect(vm.irqchip?.signalMsi(address(1), 0x44, pcpu)).toBe(1);
  expect(vm.irqchip?.signalMsi(address(5), 0x44, pcpu)).toBe(-1);
  expect(vm.irqchip?.signalMsi(address(0), 0x400, pcpu)).toBe(1);
  expect(vcpus.map(({ lapic }) => lapic.requestedVector)).toEqual([-1, 0x44]);
  expect(vcpus[0].state.nmiQueued).toBe(1);
});

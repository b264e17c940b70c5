// Interrupts and signals of the KVM API: KVM_SET_GSI_ROUTING, KVM_IRQFD, KVM_IOEVENTFD, and user
// space that has its turn while vCPUs run. Linux Documentation/virt/kvm/api.rst and eventfd(2).

import { describe, expect, test } from 'vitest';
import {
  Eventfd,
  KVM_IOEVENTFD_FLAG,
  KVM_IRQ_ROUTING,
  KVM_IRQCHIP,
  KVM_IRQFD_FLAG,
  type KvmVm,
} from '../../src/api/index.ts';
import { CODE, codeOf, errnoOf, guest, start } from '../support/kvm-api-guest.ts';
import { firstPicSetUp } from '../support/pic.ts';

/** A handler for a vector that counts in BX and ends the interrupt. */
function install(ram: Uint8Array, vector: number): void {
  ram.set([0x00, 0x20, 0, 0], 4 * vector);
  ram.set(codeOf('inc bx\nmov al, 0x20\nout 0x20, al\niret', 16, 0x2000), 0x2000);
}

const rbx = (vcpu: ReturnType<typeof guest>['vcpu']) => vcpu.getRegs().rbx.toNumber();
const toPin = (gsi: number, irqchip: number, pin: number) => ({
  gsi,
  type: KVM_IRQ_ROUTING.IRQCHIP,
  irqchip: { irqchip, pin },
});

describe('routing', () => {
  test('at first each line leads to the pins of its number', () => {
    const { vm } = guest('hlt', { irqchip: true });
    for (const irq of [0, 2, 9, 23]) vm.irqLine({ irq, level: 1 });
    expect(vm.getIrqchip(KVM_IRQCHIP.IOAPIC).ioapic?.irr).toBe(
      (1 << 0) | (1 << 2) | (1 << 9) | (1 << 23),
    );
    // Line 2 of the PIC is where the second one is, which has line 1 high.
    expect(vm.getIrqchip(KVM_IRQCHIP.PIC_MASTER).pic?.irr).toBe(0b101);
    expect(vm.getIrqchip(KVM_IRQCHIP.PIC_SLAVE).pic?.irr).toBe(0b10);
  });

  test('a line that is led elsewhere', () => {
    const { vm, vcpu, ram } = guest(`${firstPicSetUp(0xfd)}sti\nout 1, al\nnop\nout 2, al\nhlt`, {
      irqchip: true,
    });
    install(ram, 0x21);
    vm.setGsiRouting({ entries: [toPin(100, KVM_IRQCHIP.PIC_MASTER, 1)] });
    vcpu.run();
    expect(vm.irqLine({ irq: 1, level: 1 })).toBe(-1);
    expect(vm.irqLine({ irq: 100, level: 1 })).toBe(1);
    vcpu.run();
    expect([vcpu.page.io.port, rbx(vcpu)]).toEqual([2, 1]);
  });

  test('two lines of one pin: it is high as long as one of them is', () => {
    const { vm } = guest('hlt', { irqchip: true });
    const entries = [toPin(40, KVM_IRQCHIP.IOAPIC, 7), toPin(40, KVM_IRQCHIP.PIC_MASTER, 7)];
    vm.setGsiRouting({ entries });
    vm.irqLine({ irq: 40, level: 1 });
    expect(vm.getIrqchip(KVM_IRQCHIP.IOAPIC).ioapic?.irr).toBe(1 << 7);
    expect(vm.getIrqchip(KVM_IRQCHIP.PIC_MASTER).pic?.lastIrr).toBe(1 << 7);
    vm.irqLine({ irq: 40, level: 0 });
    expect(vm.getIrqchip(KVM_IRQCHIP.IOAPIC).ioapic?.irr).toBe(0);
  });

  test('a line that is a message', () => {
    const { vm, vcpu } = guest('hlt', { irqchip: true });
    const page = vcpu.getLapic();
    new DataView(page.buffer).setUint32(0xf0, 0x1ff, true);
    vcpu.setLapic(page);
    const msi = { addressLo: 0xfee00000, data: 0x45 };
    vm.setGsiRouting({ entries: [{ gsi: 30, type: KVM_IRQ_ROUTING.MSI, msi }] });
    expect(vm.irqLine({ irq: 30, level: 0 })).toBe(-1);
    expect(vm.irqLine({ irq: 30, level: 1 })).toBe(1);
    const irr = new DataView(vcpu.getLapic().buffer).getUint32(0x220, true);
    expect(irr).toBe(1 << 5);
  });
});

/** A guest that counts interrupts of line 5 for ever, and its event. */
function counting(levels = 0): ReturnType<typeof guest> & { readonly event: Eventfd } {
  const elcr = `mov al, ${levels}\nmov dx, 0x4d0\nout dx, al\n`;
  const made = guest(`${elcr}${firstPicSetUp(0xdf)}again: sti\nhlt\njmp again`, { irqchip: true });
  install(made.ram, 0x25);
  return { ...made, event: new Eventfd() };
}

describe('an irqfd', () => {
  test('is an interrupt for each write, and one for those that come together', () => {
    const { vm, vcpu, event } = counting();
    vm.irqfd({ fd: event, gsi: 5 });
    const { kvm } = vm;
    for (const us of [10, 20, 30]) kvm.callAfter(us * 1000, () => event.write());
    kvm.callAfter(40_000, () => {
      event.write();
      event.write(7);
    });
    kvm.callAfter(50_000, () => vcpu.signal());
    expect(errnoOf(() => vcpu.run())).toBe('EINTR');
    expect(rbx(vcpu)).toBe(4);
    expect(event.isReadable).toBe(false);
    expect(kvm.nowNs).toBeGreaterThan(50_000);
    expect(kvm.nowNs).toBeLessThan(60_000);
  });

  test('has what was written before', () => {
    const { vm, event } = counting();
    event.write();
    vm.irqfd({ fd: event, gsi: 5 });
    expect(vm.getIrqchip(KVM_IRQCHIP.PIC_MASTER).pic?.irr).toBe(1 << 5);
    expect(event.isReadable).toBe(false);
  });

  test('ends, also when its event is closed', () => {
    const { vm, vcpu, event } = counting();
    const second = new Eventfd();
    vm.irqfd({ fd: event, gsi: 5 });
    vm.irqfd({ fd: second, gsi: 5 });
    vm.irqfd({ fd: event, gsi: 5, flags: KVM_IRQFD_FLAG.DEASSIGN });
    second.close();
    event.write();
    expect(errnoOf(() => second.write())).toBe('EBADF');
    expect(errnoOf(() => vcpu.run(50_000))).toBe('EDEADLK');
    expect([rbx(vcpu), event.read()]).toEqual([0, 1]);
  });

  test('that is resampled stays high until the guest has ended the interrupt', () => {
    const { vm, vcpu, event } = counting(0x20);
    const resample = new Eventfd();
    const { kvm } = vm;
    vm.irqfd({ fd: event, gsi: 5, flags: KVM_IRQFD_FLAG.RESAMPLE, resamplefd: resample });
    const ends: number[] = [];
    // The device still wants something after the first two.
    resample.onSignal(() => {
      resample.read();
      ends.push(rbx(vcpu));
      if (ends.length < 3) event.write();
    });
    kvm.callAfter(1000, () => event.write());
    kvm.callAfter(100_000, () => vcpu.signal());
    expect(errnoOf(() => vcpu.run())).toBe('EINTR');
    expect(ends).toEqual([1, 2, 3]);
    expect(vm.getIrqchip(KVM_IRQCHIP.PIC_MASTER).pic?.irr).toBe(0);
  });
});

describe('an ioeventfd', () => {
  /** Calls of a function, with what it gives. */
  function seen<T>(event: Eventfd, look: () => T): T[] {
    const values: T[] = [];
    event.onSignal(() => values.push(look()));
    return values;
  }

  const doorbell = (vm: KvmVm, fd: Eventfd) =>
    vm.ioeventfd({ fd, addr: 0x50, len: 1, flags: KVM_IOEVENTFD_FLAG.PIO });

  test('hears of a write when it happens, and sees memory as it is then', () => {
    const { vm, vcpu, ram } = guest(
      'mov byte [0x3000], 1\nout 0x50, al\nmov byte [0x3000], 2\nout 0x50, al\nhlt',
    );
    const event = new Eventfd();
    doorbell(vm, event);
    const times = seen(event, () => vm.kvm.nowNs);
    const values = seen(event, () => ram[0x3000]);
    expect(vcpu.run().exitReasonName).toBe('HLT');
    expect(values).toEqual([1, 2]);
    expect(times[1]).toBeGreaterThan(times[0] ?? 0);
    expect(event.read()).toBe(2);
  });

  test.each(['interpreter', 'compiled'] as const)(
    'may change memory, code as well: %s',
    (engine) => {
      const source = 'mov cx, 500\nagain: out 0x50, al\nmov al, 1\nadd bx, 3\nloop again\nhlt';
      const { vm, vcpu, ram } = guest(source, { engine });
      const at = ram.indexOf(0xc3, 0x1000) + 1;
      const event = new Eventfd();
      doorbell(vm, event);
      let count = 0;
      event.onSignal(() => {
        count++;
        if (count === 101) ram[at] = 5;
      });
      expect(vcpu.run().exitReasonName).toBe('HLT');
      expect(rbx(vcpu)).toBe(100 * 3 + 400 * 5);
    },
  );

  test('another vCPU that waits in a loop sees what is written', () => {
    const source =
      'cmp bl, 1\nje second\nout 0x50, al\nhlt\nsecond: pause\ncmp byte [0x3000], 9\njne second\nhlt';
    const { vm, ram } = guest(source, { pcpus: 2 });
    start(vm.createVcpu(), CODE, { rbx: 1 });
    const event = new Eventfd();
    doorbell(vm, event);
    event.onSignal(() => {
      ram[0x3000] = 9;
    });
    const ended: string[] = [];
    vm.runAll(({ vcpu }, run) => {
      ended.push(`${vcpu.index} ${run.exitReasonName}`);
      return 'stop';
    });
    expect(ended.sort()).toEqual(['0 HLT', '1 HLT']);
  });

  // Linux arch/x86/kvm/vmx/vmx.c, handle_ept_misconfig: the instruction is skipped, whatever it is.
  test('of any length is quick from the second access on, and a read is a signal, too', () => {
    const place = 'mov ax, 0x9000\nmov ds, ax\n';
    const source = `${place}mov [0], bl\nmov word [0], 5\nmov al, [0]\nout 1, al\nhlt`;
    const { vm, vcpu } = guest(source);
    const event = new Eventfd();
    vm.ioeventfd({ fd: event, addr: 0x90000, len: 0 });
    const emulated = seen(event, () => vcpu.getStats().insn_emulation);
    const run = vcpu.run();
    expect([run.exitReasonName, run.io.port]).toEqual(['IO', 1]);
    expect(emulated).toEqual([1, 1, 1]);
    expect(event.read()).toBe(3);
  });

  test('what the function throws, KVM_RUN throws, and the vCPU can be run again', () => {
    const { vm, vcpu } = guest('out 0x50, al\nout 1, al\nhlt');
    const event = new Eventfd();
    doorbell(vm, event);
    event.onSignal(() => {
      throw new RangeError('no such queue');
    });
    expect(() => vcpu.run()).toThrow('no such queue');
    if (vcpu.page.exitReasonName !== 'IO') vcpu.run();
    expect(vcpu.page.io.port).toBe(1);
    expect(vcpu.run().exitReasonName).toBe('HLT');
  });

  test('a function that is called runs no vCPU', () => {
    const { vm, vcpu } = guest('out 0x50, al\nhlt');
    const event = new Eventfd();
    doorbell(vm, event);
    const errors = seen(event, () => errnoOf(() => vcpu.run()));
    expect(vcpu.run().exitReasonName).toBe('HLT');
    expect(errors).toEqual(['EBUSY']);
  });
});

describe('what is called later', () => {
  test('is called in order of time, unless it is taken back', () => {
    const { vm, vcpu } = guest('again: jmp again', { runLimitNs: 100_000 });
    const { kvm } = vm;
    const order: string[] = [];
    kvm.callAfter(30_000, () => order.push('third'));
    kvm.callAfter(10_000, () => {
      order.push('first');
      kvm.callAfter(10_000, () => order.push('second'));
    });
    const takeBack = kvm.callAfter(20_000, () => order.push('never'));
    takeBack();
    expect(errnoOf(() => vcpu.run())).toBe('EINTR');
    expect(order).toEqual(['first', 'second', 'third']);
    expect(errnoOf(() => kvm.callAfter(-1, () => {}))).toBe('EINVAL');
  });

  test('wakes a vCPU that sleeps, and the same calls give the same times', () => {
    const times = [1, 2].map(() => {
      const { vm, vcpu, event } = counting();
      vm.irqfd({ fd: event, gsi: 5 });
      vm.kvm.callAfter(1_000_000, () => event.write());
      vm.kvm.callAfter(1_100_000, () => vcpu.signal());
      expect(errnoOf(() => vcpu.run())).toBe('EINTR');
      expect(rbx(vcpu)).toBe(1);
      return vm.kvm.nowNs;
    });
    expect(times[0]).toBe(times[1]);
    expect(times[0]).toBeGreaterThan(1_100_000);
  });
});

test('an eventfd counts as the real one', () => {
  const event = new Eventfd(2);
  event.write(3);
  expect(event.read()).toBe(5);
  expect(errnoOf(() => event.read())).toBe('EAGAIN');
  expect(errnoOf(() => event.write(-1))).toBe('EINVAL');
  event.write(Number.MAX_SAFE_INTEGER);
  expect(errnoOf(() => event.write(1))).toBe('EAGAIN');
});

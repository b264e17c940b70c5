// What a program sets for a machine as a whole, and what follows: exits that are disabled, the
// ceiling of halt polling, dirty logs that are cleared by hand, the timer's lost ticks, NMIs that
// come together. Expectations are from Linux Documentation/virt/kvm/api.rst, and arch/x86/kvm/x86.c
// and i8254.c.

import { describe, expect, test } from 'vitest';
import { openKvm } from '../../src/api/index.ts';
import { Exit } from '../../src/vmx/index.ts';
import { CODE, codeOf, errnoOf, guest, start } from '../support/kvm-api-guest.ts';
import { firstPicSetUp } from '../support/pic.ts';

const RAM_BYTES = 0x10000;

/** A machine on which capabilities are set before there is a vCPU. */
function machineWith(source: string, caps: readonly (readonly [name: string, value: number])[]) {
  const vm = openKvm().createVm(0, { memoryBytes: 2 ** 20 });
  vm.createIrqchip();
  for (const [name, value] of caps) vm.enableCap(name, [value]);
  const ram = vm.mmap(RAM_BYTES);
  ram.set(codeOf(source), CODE);
  const [guestPhysAddr, memorySize, userspaceAddr] = [0, RAM_BYTES, ram];
  vm.setUserMemoryRegion({ slot: 0, guestPhysAddr, memorySize, userspaceAddr });
  const vcpu = vm.createVcpu();
  start(vcpu, CODE);
  return { vm, vcpu, ram };
}

/** Vector 20H, the PIC's first line: counts in BX. */
function countInterrupts(ram: Uint8Array): void {
  ram.set([0x00, 0x20, 0, 0], 4 * 0x20);
  ram.set(codeOf('inc bx\nmov al, 0x20\nout 0x20, al\niret', 16, 0x2000), 0x2000);
}

const PIC = firstPicSetUp(0xfe);

describe('exits that are disabled', () => {
  const HALTS = `${PIC} sti\nhlt\nmov al, bl\nout 0x80, al\nhlt`;

  test.each([
    ['HLT', 2, 0],
    ['none', 0, 1],
  ])('%s: an interrupt ends the halt either way', (_, exits, halts) => {
    const { vm, vcpu, ram } = machineWith(HALTS, [['X86_DISABLE_EXITS', exits]]);
    countInterrupts(ram);
    vm.kvm.callAfter(50_000, () => vm.irqLine({ irq: 0, level: 1 }));
    const run = vcpu.run();
    expect([run.exitReasonName, run.io.data[0]]).toEqual(['IO', 1]);
    expect(vcpu.getStats().halt_exits).toBe(halts);
  });

  test('PAUSE loops do not exit', () => {
    const source = 'again: pause\ninc cx\njnz again\nhlt';
    const pauses = (exits: number) => {
      const { vcpu } = machineWith(source, [['X86_DISABLE_EXITS', exits]]);
      // Nothing ends the halt behind the loop.
      expect(errnoOf(() => vcpu.run(1e7))).toBe('EDEADLK');
      return vcpu.vcpu.exits.byReason[Exit.PAUSE_INSTRUCTION]?.count ?? 0;
    };
    expect(pauses(0)).toBeGreaterThan(3);
    expect(pauses(4)).toBe(0);
  });

  test('who halts without exit is not offered to be kicked out of it', () => {
    const unhalt = (exits: number) => {
      const { vm, vcpu } = machineWith('hlt', [['X86_DISABLE_EXITS', exits]]);
      vcpu.setCpuid2(vm.kvm.getSupportedCpuid());
      const leaf = vcpu.getCpuid2().find((entry) => entry.function === 0x40000001);
      return ((leaf?.eax ?? 0) >> 7) & 1;
    };
    expect([unhalt(0), unhalt(2)]).toEqual([1, 0]);
  });
});

test('the ceiling of halt polling holds for the machine', () => {
  const polled = (ceiling: number) => {
    const source = `${PIC} sti\nagain: hlt\ncmp bx, 6\njb again\nout 0x80, al`;
    const { vm, vcpu, ram } = machineWith(source, [['KVM_CAP_HALT_POLL', ceiling]]);
    countInterrupts(ram);
    for (let i = 1; i <= 6; i++) {
      vm.kvm.callAfter(i * 40_000, () => vm.irqLine({ irq: 0, level: 1 }));
      vm.kvm.callAfter(i * 40_000 + 10_000, () => vm.irqLine({ irq: 0, level: 0 }));
    }
    vcpu.run();
    return vcpu.getStats().halt_attempted_poll;
  };
  expect(polled(0)).toBe(0);
  expect(polled(200_000)).toBeGreaterThan(2);
});

describe('a dirty log that is cleared by hand', () => {
  const source = 'mov [0x3000], al\nmov [0x5000], al\nhlt\nmov [0x3800], al\nmov [0x5800], al\nhlt';
  const bits = (...pages: readonly number[]) => pages.reduce((mask, page) => mask | (1 << page), 0);

  test('stays until then, and only what is named is cleared', () => {
    const { vm, vcpu } = guest(source, { flags: 1 });
    vm.enableCap('MANUAL_DIRTY_LOG_PROTECT2', [1]);
    vcpu.run();
    expect([vm.getDirtyLog(0)[0], vm.getDirtyLog(0)[0]]).toEqual([bits(3, 5), bits(3, 5)]);
    const dirtyBitmap = Uint8Array.of(bits(3), 0, 0, 0, 0, 0, 0, 0);
    vm.clearDirtyLog({ slot: 0, firstPage: 0, numPages: 16, dirtyBitmap });
    expect(vm.getDirtyLog(0)[0]).toBe(bits(5));
    vcpu.run();
    expect(vm.getDirtyLog(0)[0]).toBe(bits(3, 5));
  });

  test('may begin with all pages', () => {
    const { vm, ram } = guest('hlt');
    vm.enableCap('MANUAL_DIRTY_LOG_PROTECT2', [3]);
    const region = { slot: 0, flags: 1, guestPhysAddr: 0, memorySize: RAM_BYTES };
    vm.setUserMemoryRegion({ ...region, userspaceAddr: ram });
    expect([...vm.getDirtyLog(0)]).toEqual([255, 255, 0, 0, 0, 0, 0, 0]);
  });
});

describe('ticks that the guest has no time for', () => {
  // A tick each millisecond, and interrupts off for ten of them, by the port's refresh bit.
  const source = `${PIC} mov al, 0x34
  out 0x43, al
  mov al, 0xa9
  out 0x40, al
  mov al, 0x04
  out 0x40, al
  out 0x80, al
  sti
  again: hlt
  jmp again`;

  const ticksIn = (pitReinject: number) => {
    const { vm, vcpu, ram } = machineWith(source, []);
    vm.createPit2();
    vm.reinjectControl({ pitReinject });
    countInterrupts(ram);
    expect(vcpu.run().io.port).toBe(0x80);
    // The vCPU is not run while ten ticks pass.
    const other = machineOf(vm);
    expect(errnoOf(() => other.run(10e6))).toBe('EINTR');
    expect(errnoOf(() => vcpu.run(0.5e6))).toBe('EINTR');
    return vcpu.getRegs().rbx.toNumber();
  };

  /** Another machine of the same host, to let time pass. */
  function machineOf({ kvm }: ReturnType<typeof machineWith>['vm']) {
    const vm = kvm.createVm(0, { memoryBytes: 2 ** 20 });
    const ram = vm.mmap(0x2000);
    ram.set(codeOf('again: jmp again'), CODE);
    vm.setUserMemoryRegion({
      ...{ slot: 0, guestPhysAddr: 0, memorySize: 0x2000, userspaceAddr: ram },
    });
    const vcpu = vm.createVcpu();
    start(vcpu, CODE);
    return vcpu;
  }

  test('are made up for, unless that is switched off', () => {
    expect(ticksIn(1)).toBe(10);
    expect(ticksIn(0)).toBe(1);
  });
});

describe('NMIs that come together', () => {
  const handler = (ram: Uint8Array, source: string) => {
    ram.set([0x00, 0x20, 0, 0], 4 * 2);
    ram.set(codeOf(source, 16, 0x2000), 0x2000);
  };

  test('are two, if none is handled', () => {
    const { vcpu, ram } = guest('nop\nhlt');
    handler(ram, 'inc bx\niret');
    for (let i = 0; i < 3; i++) vcpu.nmi();
    vcpu.run();
    expect(vcpu.getRegs().rbx.toNumber()).toBe(2);
  });

  test('are one, while one is handled', () => {
    const { vcpu, ram } = guest('nop\nhlt');
    handler(ram, 'inc bx\nout 0x80, al\niret');
    vcpu.nmi();
    expect(vcpu.run().exitReasonName).toBe('IO');
    for (let i = 0; i < 3; i++) vcpu.nmi();
    const names = [vcpu.run(), vcpu.run()].map(({ exitReasonName }) => exitReasonName);
    expect([names[1], vcpu.getRegs().rbx.toNumber()]).toEqual(['HLT', 2]);
  });
});

describe('sched_setaffinity on the thread of a vCPU', () => {
  const spinning = () => {
    const { vm, vcpu } = guest('spin: jmp spin', { pcpus: 3 });
    const ranOn = () => [errnoOf(() => vcpu.run(1e6)), vcpu.vcpu.thread.state.pcpu];
    return { kvm: vm.kvm, vcpu, ranOn };
  };

  test('holds from the next KVM_RUN on', () => {
    const { vcpu, ranOn } = spinning();
    vcpu.setAffinity([2, 7]);
    expect(ranOn()).toEqual(['EINTR', 2]);
  });

  test('takes the vCPU out of the guest, in the middle of KVM_RUN', () => {
    const { kvm, vcpu, ranOn } = spinning();
    kvm.callAfter(5e5, () => vcpu.setAffinity([1]));
    expect(ranOn()).toEqual(['EINTR', 1]);
  });

  test('is refused if none of the pCPUs exists', () => {
    expect(errnoOf(() => spinning().vcpu.setAffinity([3]))).toBe('EINVAL');
  });
});

// Counters of a vCPU (KVM_GET_STATS_FD): each counts what its name says in Linux. Expectations are
// from arch/x86/kvm/x86.c, vmx/vmx.c and mmu/mmu.c of Linux 6.1.

import { expect, test } from 'vitest';
import { Machine } from '../../src/machine/index.ts';
import { assembleText, checkedScenario } from '../support/guest-run.ts';
import { errnoOf, guest } from '../support/kvm-api-guest.ts';

/** KVM_MEM_LOG_DIRTY_PAGES. */
const LOG_DIRTY_PAGES = 1;

test('each return to user space loads the host state and registers again', () => {
  const { vcpu } = guest('out 1, al\nout 2, al\nhlt');
  for (let i = 0; i < 3; i++) vcpu.run();
  expect(vcpu.getStats()).toMatchObject({ exits: 3, host_state_reload: 3, fpu_reload: 3 });
});

test('a return before the first entry has nothing to load', () => {
  const { vcpu } = guest('hlt');
  vcpu.page.immediateExit = 1;
  expect(errnoOf(() => vcpu.run())).toBe('EINTR');
  const { host_state_reload, fpu_reload, signal_exits } = vcpu.getStats();
  expect([host_state_reload, fpu_reload, signal_exits]).toEqual([0, 1, 0]);
});

test('a device: one page fault, then misconfigurations', () => {
  const { vcpu } = guest('mov ax, 0xf000\nmov ds, ax\nmov al, [0]\nmov al, [4]\nhlt');
  for (let i = 0; i < 3; i++) vcpu.run();
  expect(vcpu.getStats()).toMatchObject({
    ...{ mmio_exits: 2, insn_emulation: 2, insn_emulation_fail: 0 },
    ...{ pf_taken: 1, pf_fixed: 0, pf_emulate: 1, pf_mmio_spte_created: 1 },
  });
});

test('first writes to pages that are logged are page faults that map them', () => {
  const write = (address: number) => `mov byte [${address}], 1\n`;
  const { vcpu } = guest(`${write(0x4000)}${write(0x4008)}${write(0x5000)}hlt`, {
    flags: LOG_DIRTY_PAGES,
  });
  vcpu.run();
  expect(vcpu.getStats()).toMatchObject({
    ...{ pf_taken: 2, pf_fixed: 2, pf_emulate: 0, pf_mmio_spte_created: 0 },
  });
});

test('signals, and windows for interrupts', () => {
  const { vm, vcpu } = guest('sti\nagain: jmp again');
  vm.kvm.callAfter(50_000, () => vcpu.signal());
  expect(errnoOf(() => vcpu.run())).toBe('EINTR');
  vcpu.page.requestInterruptWindow = 1;
  expect(vcpu.run().exitReasonName).toBe('IRQ_WINDOW_OPEN');
  expect(vcpu.getStats()).toMatchObject({ signal_exits: 1, request_irq_exits: 1, fpu_reload: 2 });
});

test('an instruction that cannot be emulated', () => {
  const { vcpu } = guest('db 0xd9, 0xe8 ; FLD1');
  expect(vcpu.run().exitReasonName).toBe('INTERNAL_ERROR');
  expect(vcpu.getStats()).toMatchObject({ insn_emulation_fail: 1, fpu_reload: 1 });
});

test('a vCPU that comes to another pCPU drops its translations', () => {
  const scenario = checkedScenario({
    host: { pcpus: 2 },
    vms: [
      {
        ...{ program: 'spin.asm', pin: ['0'] },
        affinity_changes: [{ at: '1ms', vcpu: 0, pin: '1' }],
      },
    ],
    limits: { time: '2ms' },
  });
  const machine = new Machine(scenario, { programs: [assembleText('bits 64\nspin: jmp spin')] });
  machine.run();
  const { tlb_flush, host_state_reload } = machine.vcpus[0].counters;
  expect([tlb_flush, host_state_reload]).toEqual([2, 1]);
});

// Wrong uses of the KVM API, named as in test/api/kvm-runner.c: what each comes to, the name of an
// errno or 0.

import {
  KvmError,
  type KvmSregs,
  type KvmUserspaceMemoryRegion,
  type KvmVcpu,
  type KvmVm,
  openKvm,
} from '../../src/api/index.ts';

type Use = readonly [name: string, use: () => string];

const RAM_BYTES = 2 ** 20;
const HIGH_BIT = 2 ** 40;

interface World {
  readonly vm: KvmVm;
  readonly vcpu: KvmVcpu;
  readonly ram: Uint8Array;
}

function create(withIrqchip: boolean): World {
  const vm = openKvm().createVm();
  if (withIrqchip) vm.createIrqchip();
  const ram = vm.mmap(RAM_BYTES);
  const memorySize = RAM_BYTES;
  vm.setUserMemoryRegion({ slot: 0, guestPhysAddr: 0, memorySize, userspaceAddr: ram });
  return { vm, vcpu: vm.createVcpu(), ram };
}

function result(use: () => unknown): string {
  try {
    use();
    return '0';
  } catch (thrown) {
    if (thrown instanceof KvmError) return thrown.errno;
    throw thrown;
  }
}

/** In the order of the runner, for the cases of regions follow one another. */
export function wrongUses(): readonly Use[] {
  const world = create(false);
  const chip = create(true);
  return [...regionUses(world), ...machineUses(world), ...vcpuUses(world), ...chipUses(chip)].map(
    ([name, use]) => [name, () => result(use)],
  );
}

type Attempt = readonly [name: string, use: () => unknown];

function machineUses({ vm, vcpu }: World): readonly Attempt[] {
  return [
    ['create_vm_type', () => openKvm().createVm(0xff00)],
    ['create_vcpu_again', () => vm.createVcpu(0)],
    ['create_vcpu_large_id', () => vm.createVcpu(2 ** 20)],
    ['dirty_log_not_kept', () => vm.getDirtyLog(0)],
    ['dirty_log_large_slot', () => vm.getDirtyLog(0x7fff)],
    ['dirty_log_absent_slot', () => vm.getDirtyLog(5)],
    ['irqchip_after_vcpu', () => vm.createIrqchip()],
    ['msi_without_irqchip', () => vm.signalMsi({ addressLo: 0xfee00000, data: 0x40 })],
    ['pit_without_irqchip', () => vm.createPit2()],
    ['irq_line_without_irqchip', () => vm.irqLine({ irq: 1, level: 1 })],
    ['enable_cap_unknown', () => vm.enableCap(9999)],
    ['get_lapic_without_irqchip', () => vcpu.getLapic()],
    ['set_lapic_without_irqchip', () => vcpu.setLapic(new Uint8Array(1024))],
    ['mp_state_without_irqchip', () => vcpu.setMpState(3)],
    ['mp_state_unknown', () => vcpu.setMpState(5)],
    ['interrupt_256', () => vcpu.interrupt(256)],
  ];
}

function regionUses({ vm, ram }: World): readonly Attempt[] {
  const fitting = { slot: 1, guestPhysAddr: 0x200000, memorySize: 0x1000, userspaceAddr: ram };
  const set =
    (change: Partial<KvmUserspaceMemoryRegion> = {}) =>
    () =>
      vm.setUserMemoryRegion({ ...fitting, ...change });
  return [
    ['region_unaligned_size', set({ memorySize: 0x1001 })],
    ['region_unaligned_gpa', set({ guestPhysAddr: 0x200001 })],
    ['region_unaligned_address', set({ userspaceAddr: ram.subarray(1) })],
    ['region_flags', set({ flags: 2 ** 30 })],
    ['region_large_slot', set({ slot: 0x7fff })],
    ['region_delete_absent', set({ memorySize: 0 })],
    ['region_overlap', set({ guestPhysAddr: 0x1000 })],
    ['region_wrap', set({ guestPhysAddr: 0xfffffffffffff000 })],
    ['region_fits', set()],
    ['region_resize', set({ memorySize: 0x2000 })],
    ['region_move', set({ guestPhysAddr: 0x300000 })],
    ['region_make_read_only', set({ guestPhysAddr: 0x300000, flags: 2 })],
    ['region_delete', set({ memorySize: 0 })],
  ];
}

function vcpuUses({ vcpu }: World): readonly Attempt[] {
  const sregs = (change: Partial<KvmSregs>) => () =>
    vcpu.setSregs({ ...vcpu.getSregs(), ...change });
  const debugregs = (change: object) => () =>
    vcpu.setDebugregs({ ...vcpu.getDebugregs(), ...change });
  const entry = { function: 0, index: 0, flags: 0, eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const reset = vcpu.getSregs();
  return [
    ['sregs_paging_without_protection', sregs({ cr0: 0x80000000 })],
    ['sregs_long_without_pae', sregs({ cr0: 0x80000011, efer: 0x500 })],
    ['sregs_lma_without_lme', sregs({ efer: 0x400 })],
    ['sregs_cr4_reserved', sregs({ cr4: HIGH_BIT })],
    ['sregs_cr0_high', sregs({ cr0: HIGH_BIT + 0x60000010 })],
    ['debug_inject_both', () => vcpu.setGuestDebug({ control: 0xc0000 })],
    ['debugregs_dr7_high', debugregs({ dr7: HIGH_BIT })],
    ['debugregs_flags', debugregs({ flags: 1 })],
    ['vcpu_events_flags', () => vcpu.setVcpuEvents({ ...vcpu.getVcpuEvents(), flags: 2 ** 30 })],
    ['cpuid_long', () => vcpu.setCpuid2(new Array(1000).fill(entry))],
    ['translate', () => vcpu.setSregs(reset) ?? vcpu.translate(0x1000)],
  ];
}

function chipUses({ vm, vcpu }: World): readonly Attempt[] {
  return [
    ['irqchip_again', () => vm.createIrqchip()],
    ['interrupt_with_irqchip', () => vcpu.interrupt(32)],
    ['pit', () => vm.createPit2()],
    ['pit_again', () => vm.createPit2()],
    ['irq_line_large', () => vm.irqLine({ irq: 9999, level: 1 })],
    ['mp_state_halted', () => vcpu.setMpState(3)],
  ];
}

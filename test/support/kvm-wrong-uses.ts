// Wrong uses of the KVM API, named as in test/api/kvm-runner.c: what each comes to, the name of an
// errno or 0.

import Long from 'long';
import {
  Eventfd,
  KVM_IRQ_ROUTING,
  KVM_IRQCHIP,
  type KvmClearDirtyLog,
  KvmError,
  type KvmIoeventfd,
  type KvmIrqfd,
  type KvmIrqRoutingEntry,
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
  const other = create(false);
  return [
    ...regionUses(world),
    ...machineUses(world),
    ...vcpuUses(world),
    ...chipUses(chip),
    ...ioeventfdUses(other),
    ...onceUses(other),
    ...chipStateUses(other, '_without_irqchip'),
    ...pageUses(other),
    ...routingUses(create(true)),
    ...irqfdUses(create(true)),
    ...chipStateUses(chip, ''),
    ...pitUses(other, '_without_irqchip'),
    ...pitUses(create(true), '_without_pit'),
    ...pitFlagUses(create(true)),
    ...pitUses(chip, ''),
    ...dirtyUses(create(false)),
  ].map(([name, use]) => [name, () => result(use)]);
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

/** No eventfd, as a program that is not typed may give it. */
const NO_EVENT = {} as Eventfd;

function closedEvent(): Eventfd {
  const event = new Eventfd();
  event.close();
  return event;
}

function ioeventfdUses({ vm }: World): readonly Attempt[] {
  const [event, other] = [new Eventfd(), new Eventfd()];
  const [match, pio, deassign] = [1, 2, 4];
  const set = (change: Partial<KvmIoeventfd>) => () =>
    vm.ioeventfd({ fd: event, addr: 0xd0000000, len: 4, ...change });
  const port = { addr: 0x50, flags: match + pio };
  const end = { flags: deassign };
  return [
    ['ioeventfd', set({})],
    ['ioeventfd_again', set({})],
    ['ioeventfd_other_event', set({ fd: other })],
    ['ioeventfd_other_length', set({ fd: other, len: 2 })],
    ['ioeventfd_any_length', set({ fd: other, len: 0 })],
    ['ioeventfd_match_beside_wildcard', set({ fd: other, datamatch: 1, flags: match })],
    ['ioeventfd_match', set({ ...port, datamatch: 1 })],
    ['ioeventfd_match_other', set({ ...port, datamatch: 2 })],
    ['ioeventfd_match_again', set({ ...port, datamatch: 1 })],
    ['ioeventfd_wildcard_beside_match', set({ addr: 0x50, flags: pio })],
    ['ioeventfd_match_any_length', set({ ...port, addr: 0x60, len: 0 })],
    ['ioeventfd_length_3', set({ addr: 0x60, len: 3, flags: pio })],
    ['ioeventfd_length_16', set({ addr: 0x60, len: 16, flags: pio })],
    ['ioeventfd_wrap', set({ addr: Long.MAX_UNSIGNED_VALUE })],
    ['ioeventfd_flags', set({ flags: 1 << 6 })],
    ['ioeventfd_bad_fd', set({ addr: 0x60, fd: closedEvent() })],
    ['ioeventfd_no_event', set({ addr: 0x60, fd: NO_EVENT })],
    ['ioeventfd_deassign_other_event', set({ ...end, fd: other })],
    ['ioeventfd_deassign_other_match', set({ addr: 0x50, datamatch: 3, flags: 7 })],
    ['ioeventfd_deassign_as_wildcard', set({ addr: 0x50, flags: pio + deassign })],
    ['ioeventfd_deassign', set(end)],
    ['ioeventfd_deassign_again', set(end)],
    ['ioeventfd_deassign_bad_fd', set({ ...end, fd: closedEvent() })],
    ['routing_without_irqchip', () => vm.setGsiRouting({ entries: [toPin(0, 2, 2)] })],
    ['irqfd_without_irqchip', () => vm.irqfd({ fd: new Eventfd(), gsi: 5 })],
  ];
}

function onceUses({ vm, vcpu }: World): readonly Attempt[] {
  const zone = { addr: 0xe0000000, size: 0x1000 };
  return [
    ['tss_addr', () => vm.setTssAddr(0xfffbd000)],
    ['tss_addr_high', () => vm.setTssAddr(Long.fromString('fffffffffff0', true, 16))],
    ['tss_addr_at_the_end', () => vm.setTssAddr(0xffffe000)],
    ['identity_map_addr_after_vcpu', () => vm.setIdentityMapAddr(0xfffbc000)],
    ['get_clock', () => vm.getClock()],
    ['set_clock', () => vm.setClock({ clock: 12345 })],
    ['set_clock_flags', () => vm.setClock({ clock: 12345, flags: 1 << 7 })],
    ['kvmclock_ctrl_without_clock', () => vcpu.kvmclockCtrl()],
    ['coalesced_mmio', () => vm.registerCoalescedMmio(zone)],
    ['coalesced_mmio_pio_2', () => vm.registerCoalescedMmio({ ...zone, pio: 2 })],
    ['coalesced_mmio_remove_absent', () => vm.unregisterCoalescedMmio({ ...zone, addr: 4096 })],
    ['coalesced_mmio_remove', () => vm.unregisterCoalescedMmio(zone)],
    ['coalesced_mmio_remove_pio_2', () => vm.unregisterCoalescedMmio({ ...zone, pio: 2 })],
    ['cap_flags', () => vm.enableCap('EXIT_HYPERCALL', [0], 1)],
    ['cap_halt_poll', () => vm.enableCap('HALT_POLL', [50_000])],
    ['cap_halt_poll_large', () => vm.enableCap('HALT_POLL', [HIGH_BIT])],
    ['cap_disable_exits_unknown', () => vm.enableCap('X86_DISABLE_EXITS', [1 << 10])],
    ['cap_disable_exits_after_vcpu', () => vm.enableCap('X86_DISABLE_EXITS', [2])],
    ['cap_exit_hypercall', () => vm.enableCap('EXIT_HYPERCALL', [1 << 12])],
    ['cap_exit_hypercall_unknown', () => vm.enableCap('EXIT_HYPERCALL', [1 << 5])],
  ];
}

function chipStateUses({ vm }: World, suffix: string): readonly Attempt[] {
  const zeroes = { baseAddress: 0, ioregsel: 0, id: 0, irr: 0, redirtbl: [] };
  return [
    [`get_irqchip${suffix}`, () => vm.getIrqchip(KVM_IRQCHIP.IOAPIC)],
    [`set_irqchip${suffix}`, () => vm.setIrqchip({ chipId: KVM_IRQCHIP.IOAPIC, ioapic: zeroes })],
    [`get_irqchip_unknown${suffix}`, () => vm.getIrqchip(3)],
  ];
}

/** Of the interval timer. */
function pitUses({ vm }: World, suffix: string): readonly Attempt[] {
  const counter = { count: 0, latchedCount: 0, countLatched: 0, statusLatched: 0, status: 0 };
  const rest = { readState: 0, writeState: 0, writeLatch: 0, rwMode: 0, mode: 0, bcd: 0, gate: 0 };
  const channel = { ...counter, ...rest, countLoadTime: 0 };
  return [
    [`get_pit2${suffix}`, () => vm.getPit2()],
    [`set_pit2${suffix}`, () => vm.setPit2({ channels: [channel, channel, channel] })],
    [`reinject_control${suffix}`, () => vm.reinjectControl({ pitReinject: 1 })],
  ];
}

const pitFlagUses = ({ vm }: World): readonly Attempt[] => [
  ['pit_flags', () => vm.createPit2({ flags: 2 })],
];

/** Logs that are read and cleared in two steps. */
function dirtyUses({ vm, ram }: World): readonly Attempt[] {
  const none = new Uint8Array(64);
  const clear =
    (change: Partial<KvmClearDirtyLog> = {}) =>
    () =>
      vm.clearDirtyLog({ slot: 0, firstPage: 0, numPages: 64, dirtyBitmap: none, ...change });
  const cap = (argument: number) => () =>
    vm.enableCap('KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2', [argument]);
  const logged = { flags: 1, userspaceAddr: ram };
  const memorySize = RAM_BYTES;
  const small = { guestPhysAddr: 0x200000, memorySize: 80 * 4096 };
  return [
    ['clear_dirty_log_not_kept', clear()],
    ['clear_dirty_log_large_slot', clear({ slot: 0x7fff })],
    ['clear_dirty_log_absent_slot', clear({ slot: 5 })],
    ['cap_manual_dirty_log_unknown', cap(4)],
    ['cap_manual_dirty_log_set_only', cap(2)],
    ['cap_manual_dirty_log_set', cap(3)],
    ['cap_manual_dirty_log_off', cap(0)],
    ['cap_manual_dirty_log', cap(1)],
    [
      'clear_dirty_log',
      () => {
        vm.setUserMemoryRegion({ ...logged, slot: 0, guestPhysAddr: 0, memorySize });
        vm.setUserMemoryRegion({ ...logged, slot: 1, ...small });
        clear()();
      },
    ],
    ['clear_dirty_log_unaligned_first', clear({ firstPage: 8 })],
    ['clear_dirty_log_unaligned_count', clear({ numPages: 65 })],
    ['clear_dirty_log_beyond', clear({ firstPage: 256 })],
    ['clear_dirty_log_further_beyond', clear({ firstPage: 320 })],
    ['clear_dirty_log_too_many', clear({ numPages: 320 })],
    ['clear_dirty_log_nothing', clear({ numPages: 0 })],
    ['clear_dirty_log_rest', clear({ slot: 1, firstPage: 64, numPages: 16 })],
    ['clear_dirty_log_part_of_rest', clear({ slot: 1, firstPage: 64, numPages: 8 })],
  ];
}

function pageUses({ vcpu }: World): readonly Attempt[] {
  const { page } = vcpu;
  const run = (valid: number, dirty: number, prepare: () => void) => () => {
    page.immediateExit = 1;
    prepare();
    [page.validRegs, page.dirtyRegs] = [Long.fromInt(valid), Long.fromInt(dirty)];
    try {
      vcpu.run();
    } finally {
      [page.validRegs, page.dirtyRegs] = [Long.ZERO, Long.ZERO];
    }
  };
  const paging = () => {
    page.syncRegs.sregs = { ...vcpu.getSregs(), cr0: 0x80000000 };
  };
  const events = () => {
    page.syncRegs.events = { ...vcpu.getVcpuEvents(), flags: 2 ** 30 };
  };
  return [
    ['run_valid_regs_unknown', run(8, 0, () => {})],
    ['run_dirty_regs_unknown', run(0, 8, () => {})],
    ['run_dirty_sregs_wrong', run(2, 2, paging)],
    ['run_dirty_events_wrong', run(2, 4, events)],
    ['run_immediate', run(0, 0, () => {})],
  ];
}

const toPin = (gsi: number, irqchip: number, pin: number): KvmIrqRoutingEntry => ({
  gsi,
  type: KVM_IRQ_ROUTING.IRQCHIP,
  irqchip: { irqchip, pin },
});

function routingUses({ vm }: World): readonly Attempt[] {
  const { PIC_MASTER, PIC_SLAVE, IOAPIC } = KVM_IRQCHIP;
  const set =
    (...entries: readonly KvmIrqRoutingEntry[]) =>
    () =>
      vm.setGsiRouting({ entries });
  const message = { addressLo: 0xfee00000, data: 0x40 };
  const msi = (gsi: number) => ({ gsi, type: KVM_IRQ_ROUTING.MSI, msi: message });
  const entry = toPin(0, IOAPIC, 2);
  const many = Array.from({ length: 4097 }, (_, i) => toPin(i % 24, IOAPIC, i % 24));
  return [
    ['routing', set(entry)],
    ['routing_flags', () => vm.setGsiRouting({ entries: [entry], flags: 1 })],
    ['routing_gsi_4095', set(toPin(4095, IOAPIC, 2))],
    ['routing_gsi_4096', set(toPin(4096, IOAPIC, 2))],
    ['routing_ioapic_pin_24', set(toPin(0, IOAPIC, 24))],
    ['routing_pic_pin_8', set(toPin(0, PIC_MASTER, 8))],
    ['routing_pic_slave_pin_7', set(toPin(0, PIC_SLAVE, 7))],
    ['routing_unknown_chip', set(toPin(0, 3, 0))],
    ['routing_entry_flags', set({ ...entry, flags: 1 })],
    ['routing_unknown_type', set({ ...entry, type: 99 })],
    ['routing_msi', set(msi(30))],
    ['routing_chip_twice', set(toPin(5, IOAPIC, 5), toPin(5, IOAPIC, 6))],
    ['routing_pin_and_msi', set(toPin(5, IOAPIC, 5), msi(5))],
    ['routing_large', set(...many)],
    ['routing_empty', set()],
    ['irq_line_not_routed', () => vm.irqLine({ irq: 5, level: 1 })],
  ];
}

function irqfdUses({ vm }: World): readonly Attempt[] {
  const [event, other] = [new Eventfd(), new Eventfd()];
  const [deassign, resample] = [1, 2];
  const set = (change: Partial<KvmIrqfd>) => () => vm.irqfd({ fd: event, gsi: 5, ...change });
  const wrongEnd = { flags: resample, resamplefd: closedEvent() };
  return [
    ['irqfd', set({})],
    ['irqfd_again', set({})],
    ['irqfd_other_gsi', set({ gsi: 6 })],
    ['irqfd_flags', set({ flags: 4 })],
    ['irqfd_bad_fd', set({ fd: closedEvent() })],
    ['irqfd_no_event', set({ fd: NO_EVENT })],
    ['irqfd_deassign_other_gsi', set({ gsi: 6, flags: deassign })],
    ['irqfd_deassign', set({ flags: deassign })],
    ['irqfd_deassign_again', set({ flags: deassign })],
    ['irqfd_deassign_bad_fd', set({ fd: closedEvent(), flags: deassign })],
    ['irqfd_resample_bad_fd', set(wrongEnd)],
    ['irqfd_resample', set({ flags: resample, resamplefd: other })],
    ['irqfd_large_gsi', set({ fd: other, gsi: 9999 })],
  ];
}

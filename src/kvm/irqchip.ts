// The interrupt controllers and the interval timer that KVM has in the kernel: which line leads
// where, which ports and memory they answer. KVM_CREATE_IRQCHIP and KVM_CREATE_PIT2; Linux
// arch/x86/kvm/irq_comm.c and virt/kvm/irqchip.c.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { ApicRegister, DELIVERY_MODES, IRQCHIPS } from '../trace/index.ts';
import { deliver, deliverToAll } from './apic-ipi.ts';
import { IOAPIC_BYTES, IOAPIC_GPA, IOAPIC_PINS, Ioapic, type IoapicState } from './ioapic.ts';
import { IrqchipId, type IrqRoute, IrqRouting, PC_ROUTES, PIC_LINES } from './irq-routing.ts';
import { LVT_MASKED } from './lapic.ts';
import { PicPair, type PicState } from './pic.ts';
import { newPit, type PitState, readPit, writePit } from './pit.ts';
import { PitTimer, type PitTimerState } from './pit-timer.ts';
import type { Vm } from './vm.ts';

/** Who drives a line: user space, irqfds that wait for its end, or the interval timer. */
export const IrqSource = { USER_SPACE: 0, RESAMPLER: 1, PIT: 2 } as const;

/** Plain data. */
export interface IrqchipState {
  pic: PicState;
  ioapic: IoapicState;
  pit: PitState;
  pitTimer: PitTimerState;
  /** For each pin, of the PICs and of the I/O APIC, a bit for each source that holds it high. */
  readonly picLines: number[];
  readonly ioapicLines: number[];
  /** What KVM_SET_GSI_ROUTING has set, or null as it was wired at first. */
  routes: readonly IrqRoute[] | null;
}

const TIMER_GSI = 0;
const PIC_PINS = 8;

/** Told of the ends of interrupts by the lines that they came from (kvm_irq_ack_notifier). */
export type AckListener = (gsi: number, pcpu: Pcpu) => void;

/** Ports, with what a guest finds there, for the documents. */
export const IRQCHIP_PORTS = [
  { first: 0x20, last: 0x21, device: 'pic', summary: 'interrupt controller, 8259A' },
  {
    first: 0x40,
    last: 0x43,
    device: 'pit',
    summary: 'interval timer, 8254, in virtual time; its first counter is interrupt line 0',
  },
  {
    first: 0x61,
    last: 0x61,
    device: 'speaker',
    summary: 'gate and output of timer channel 2 (bits 0 and 5), refresh (bit 4)',
  },
  { first: 0xa0, last: 0xa1, device: 'pic', summary: 'the second interrupt controller' },
  {
    first: 0x4d0,
    last: 0x4d1,
    device: 'levels',
    summary: 'edge/level control of the interrupt controllers',
  },
] as const;

type PortDevice = (typeof IRQCHIP_PORTS)[number]['device'];

const DEVICE_BY_PORT: ReadonlyMap<number, PortDevice> = new Map(
  IRQCHIP_PORTS.flatMap(({ first, last, device }) =>
    Array.from({ length: last - first + 1 }, (_, i) => [first + i, device]),
  ),
);

/** Name of the host timer's handler. */
function pitHandler(vm: Vm): string {
  return `kvm-pit-${vm.id}`;
}

export class Irqchip {
  readonly pic: PicPair;
  readonly ioapic: Ioapic;
  private pit = newPit();
  private readonly pitTimer: PitTimer;
  private picLines: number[] = new Array(PIC_LINES).fill(0);
  private ioapicLines: number[] = new Array(IOAPIC_PINS).fill(0);
  private routes: readonly IrqRoute[] | null = null;
  private readonly wiring: readonly IrqRoute[];
  private routing: IrqRouting;
  /** Who waits for the end of a line's interrupts. */
  private readonly ackListeners = new Set<{ readonly gsi: number; readonly heard: AckListener }>();
  private readonly vm: Vm;
  /** KVM_CREATE_PIT2; without it the timer's ports are user space's. */
  hasPit = true;
  /** KVM_PIT_SPEAKER_DUMMY: port 61H is the kernel's. */
  hasSpeaker = true;
  /** Where the code runs that led to what is happening. */
  private pcpu: Pcpu;

  /** @param wiring where lines lead as long as nobody says otherwise */
  constructor(vm: Vm, wiring: readonly IrqRoute[] = PC_ROUTES) {
    this.vm = vm;
    this.wiring = wiring;
    this.routing = new IrqRouting(wiring);
    [this.pcpu] = vm.host.pcpus;
    const ioapicGsi = (pin: number) => this.routing.gsiOf(IrqchipId.IOAPIC, pin);
    this.pic = new PicPair({
      acknowledged: (line) => this.acknowledged(picOf(line), line % PIC_PINS),
      maskChanged: (line, masked) => this.maskChanged(this.picGsi(line), masked),
    });
    this.ioapic = new Ioapic(vm, {
      acknowledged: (pin) => this.acknowledged(IrqchipId.IOAPIC, pin),
      maskChanged: (pin, masked) => this.maskChanged(ioapicGsi(pin), masked),
      wantsEnd: (pin) => ioapicGsi(pin) === TIMER_GSI || this.isAwaited(ioapicGsi(pin)),
    });
    const leastPeriodNs = 1000 * vm.parameters.minTimerPeriodUs;
    const tick = (pcpu: Pcpu) => this.pulse(pcpu);
    this.pitTimer = new PitTimer(vm.host.timers, pitHandler(vm), tick, leastPeriodNs);
    vm.host.timers.register(pitHandler(vm), (pcpu) => {
      this.pitTimer.expired(this.pit.counters[0], pcpu);
    });
  }

  get state(): IrqchipState {
    return {
      pic: this.pic.state,
      ioapic: this.ioapic.state,
      pit: this.pit,
      pitTimer: this.pitTimer.state,
      picLines: this.picLines,
      ioapicLines: this.ioapicLines,
      routes: this.routes,
    };
  }

  set state(saved: IrqchipState) {
    this.pic.state = saved.pic;
    this.ioapic.state = saved.ioapic;
    this.pit = saved.pit;
    this.pitTimer.state = saved.pitTimer;
    this.picLines = saved.picLines;
    this.ioapicLines = saved.ioapicLines;
    if (saved.routes !== this.routes) this.setRoutes(saved.routes);
  }

  /** KVM_REINJECT_CONTROL. */
  setPitReinjection(reinjects: boolean): void {
    this.pitTimer.setReinjection(reinjects);
  }

  /** The interval timer's counters have been replaced: begin with their counts. */
  restartPit(pcpu: Pcpu): void {
    this.pitTimer.restart(this.pit.counters[0], pcpu);
  }

  /** KVM_SET_GSI_ROUTING, of a table without mistakes; null for how it was wired at first. */
  setRoutes(routes: readonly IrqRoute[] | null): void {
    this.routes = routes;
    this.routing = new IrqRouting(routes ?? this.wiring);
  }

  /** Have somebody hear of the ends of a line's interrupts, until the returned function is called. */
  onAck(gsi: number, heard: AckListener): () => void {
    const listener = { gsi, heard };
    this.ackListeners.add(listener);
    return () => {
      this.ackListeners.delete(listener);
    };
  }

  private isAwaited(gsi: number): boolean {
    return [...this.ackListeners].some((listener) => listener.gsi === gsi);
  }

  private picGsi(line: number): number {
    return this.routing.gsiOf(picOf(line), line % PIC_PINS);
  }

  /** True if the interval timer will raise an interrupt that somebody gets. */
  get timerWillInterrupt(): boolean {
    if (!this.pitTimer.isArmed) return false;
    const [master] = this.pic.state;
    const byPic = (master.mask & 1) === 0 && this.vm.vcpus.some((vcpu) => vcpu.acceptsPic);
    const byIoapic = this.routing
      .of(TIMER_GSI)
      .some(
        (route) =>
          route.kind === 'pin' &&
          route.chip === IrqchipId.IOAPIC &&
          !this.ioapic.isMasked(route.pin),
      );
    return byPic || byIoapic || this.watchdogs.length > 0;
  }

  /** vCPUs to which the timer's line is an NMI, by LINT0. */
  private get watchdogs() {
    return this.vm.vcpus.filter(({ lapic }) => {
      const entry = lapic.lvt(ApicRegister.LVT0);
      return (entry & LVT_MASKED) === 0 && DELIVERY_MODES[(entry >> 8) & 7] === 'NMI';
    });
  }

  /** The interval timer's output rises and falls again. */
  private pulse(pcpu: Pcpu): void {
    this.setIrq(TIMER_GSI, true, IrqSource.PIT, pcpu);
    this.setIrq(TIMER_GSI, false, IrqSource.PIT, pcpu);
    for (const target of this.watchdogs) {
      deliver(target, { vector: 0, mode: 'NMI', levelTriggered: false, assert: true }, pcpu);
    }
  }

  /**
   * KVM_IRQ_LINE: a source lets go of a line, or raises it. How many interrupts went out, 0 if
   * they were on their way already, -1 if nobody listens (kvm_set_irq).
   */
  setIrq(gsi: number, high: boolean, source: number, pcpu: Pcpu): number {
    if (pcpu.traced) pcpu.trace('kvm_set_irq', { gsi, level: high ? 1 : 0, source });
    this.pcpu = pcpu;
    let heard = -1;
    for (const route of this.routing.of(gsi)) {
      const result = this.setRoute(route, high, source, pcpu);
      if (result >= 0) heard = Math.max(heard, 0) + result;
    }
    return heard;
  }

  private setRoute(route: IrqRoute, high: boolean, source: number, pcpu: Pcpu): number {
    if (route.kind === 'message') {
      // Only the edge that rises is a message.
      const { addressLow, addressHigh, data } = route;
      return high ? this.signalMsi(Long.fromBits(addressLow, addressHigh), data, pcpu) : -1;
    }
    const { chip, pin } = route;
    if (chip === IrqchipId.IOAPIC) {
      return this.ioapic.setPin(pin, hold(this.ioapicLines, pin, high, source), pcpu);
    }
    const line = chip * PIC_PINS + pin;
    return this.setPicLine(line, hold(this.picLines, line, high, source), pcpu);
  }

  private setPicLine(line: number, high: boolean, pcpu: Pcpu): number {
    const result = this.pic.setLine(line, high);
    if (pcpu.traced) {
      const { levels, mask } = this.pic.state[line >> 3];
      const coalesced = result === 0;
      pcpu.trace('kvm_pic_set_irq', { chip: line >> 3, pin: line & 7, levels, mask, coalesced });
    }
    this.announcePic(pcpu);
    return result;
  }

  /** The PIC asks for an interrupt: the vCPU that listens must look (pic_unlock). */
  private announcePic(pcpu: Pcpu): void {
    if (!this.pic.output) return;
    const target = this.vm.vcpus.find((vcpu) => vcpu.acceptsPic);
    if (target === undefined) return;
    target.requestEvent();
    target.kick(pcpu);
  }

  /** KVM_SIGNAL_MSI: an interrupt as a write to memory. How many local APICs take it, or -1. */
  signalMsi(address: Long, data: number, pcpu: Pcpu): number {
    const destination = (address.low >>> 12) & 0xff;
    const message = {
      vector: data & 0xff,
      mode: DELIVERY_MODES[(data >> 8) & 7],
      logical: (address.low & 4) !== 0,
      levelTriggered: (data & 0x8000) !== 0,
      assert: true,
      destination,
    };
    if (pcpu.traced) {
      const { vector, mode, logical, levelTriggered: level } = message;
      const hinted = (address.low & 8) !== 0;
      pcpu.trace('kvm_msi_set_irq', { destination, vector, mode, logical, level, hinted });
    }
    return deliverToAll(this.vm, message, pcpu);
  }

  /** The processor takes the PIC's interrupt: its vector. */
  acknowledgePic(pcpu: Pcpu): number {
    this.pcpu = pcpu;
    return this.pic.acknowledge();
  }

  /** A local APIC has ended an interrupt. */
  endOfInterrupt(vector: number, level: boolean, pcpu: Pcpu): void {
    if (!this.ioapic.handlesVector(vector)) return;
    this.pcpu = pcpu;
    this.ioapic.end(vector, level, pcpu);
  }

  private acknowledged(chip: number, pin: number): void {
    const { pcpu } = this;
    if (pcpu.traced) pcpu.trace('kvm_ack_irq', { irqchip: IRQCHIPS[chip], pin });
    const gsi = this.routing.gsiOf(chip, pin);
    if (gsi === TIMER_GSI) this.pitTimer.ended(pcpu);
    for (const listener of this.ackListeners) if (listener.gsi === gsi) listener.heard(gsi, pcpu);
  }

  private maskChanged(gsi: number, masked: boolean): void {
    if (gsi === TIMER_GSI && !masked) this.pitTimer.forgetPending();
  }

  /** True for ports that are answered here. */
  ownsPort(port: number): boolean {
    const device = DEVICE_BY_PORT.get(port);
    if (device === 'speaker') return this.hasPit && this.hasSpeaker;
    return device !== undefined && (device !== 'pit' || this.hasPit);
  }

  /** An access of several bytes goes to consecutive ports, low byte first. */
  readPort(port: number, sizeBytes: number, pcpu: Pcpu): number {
    let value = 0;
    for (let i = 0; i < sizeBytes; i++) value += (this.readByte(port + i, pcpu) ?? 0xff) * 256 ** i;
    return value;
  }

  writePort(port: number, sizeBytes: number, value: number, pcpu: Pcpu): void {
    for (let i = 0; i < sizeBytes; i++) this.writeByte(port + i, (value >>> (8 * i)) & 0xff, pcpu);
  }

  private readByte(port: number, pcpu: Pcpu): number | null {
    this.pcpu = pcpu;
    const second = isSecond(port);
    switch (DEVICE_BY_PORT.get(port)) {
      case 'pic': {
        const value = this.pic.read(second, port & 1);
        this.announcePic(pcpu);
        return value;
      }
      case 'levels':
        return this.pic.readLevels(port === 0x4d0 ? 0 : 1);
      case 'pit':
      case 'speaker':
        return readPit(this.pit, port - 0x40, pcpu.nowNs);
      case undefined:
        return null;
    }
  }

  private writeByte(port: number, value: number, pcpu: Pcpu): void {
    this.pcpu = pcpu;
    switch (DEVICE_BY_PORT.get(port)) {
      case 'pic':
        this.pic.write(isSecond(port), port & 1, value);
        this.announcePic(pcpu);
        return;
      case 'levels':
        this.pic.writeLevels(port === 0x4d0 ? 0 : 1, value);
        return;
      case 'pit':
      case 'speaker':
        if (writePit(this.pit, port - 0x40, value, pcpu.nowNs) === 0) {
          this.pitTimer.restart(this.pit.counters[0], pcpu);
        }
        return;
      case undefined:
        return;
    }
  }

  /** True for guest-physical addresses of the I/O APIC. */
  ownsMemory(gpa: number): boolean {
    return gpa >= IOAPIC_GPA && gpa < IOAPIC_GPA + IOAPIC_BYTES;
  }

  readMemory(gpa: number, pcpu: Pcpu): Long {
    this.pcpu = pcpu;
    const offset = gpa - IOAPIC_GPA;
    return Long.fromInt(this.ioapic.read(offset), true).shru(8 * (offset & 15));
  }

  writeMemory(gpa: number, value: Long, pcpu: Pcpu): void {
    this.pcpu = pcpu;
    this.ioapic.write(gpa - IOAPIC_GPA, value.low, pcpu);
  }
}

/** The controller of a line of the PICs. */
function picOf(line: number): number {
  return line < PIC_PINS ? IrqchipId.PIC_MASTER : IrqchipId.PIC_SLAVE;
}

/** A source lets go of a pin, or raises it: whether it is high (__kvm_irq_line_state). */
function hold(lines: number[], pin: number, high: boolean, source: number): boolean {
  const bit = 1 << source;
  lines[pin] = (lines[pin] & ~bit) | (high ? bit : 0);
  return lines[pin] !== 0;
}

function isSecond(port: number): 0 | 1 {
  return port >= 0xa0 ? 1 : 0;
}

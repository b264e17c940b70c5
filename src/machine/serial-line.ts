// The line at COM1 of one virtual machine: what is sent to it arrives when its time has come, and
// the interrupt line follows what the port says.

import type { Pcpu } from '../host/index.ts';
import { IrqSource, type Vm } from '../kvm/index.ts';
import { COM1_LINE, type Devices } from './devices/devices.ts';
import { burstsOf, type SerialInput } from './serial-input.ts';

export class SerialLine {
  private readonly vm: Vm;
  private readonly devices: Devices;
  private readonly handler: string;

  constructor(vm: Vm, devices: Devices) {
    this.vm = vm;
    this.devices = devices;
    this.handler = `serial ${vm.id}`;
    vm.host.timers.register(this.handler, (pcpu) => this.arrived(pcpu));
  }

  /** Before the machine starts: what will be sent to it. */
  connect(input: SerialInput): void {
    this.devices.com1Expects(burstsOf(input));
    const [pcpu] = this.vm.host.pcpus;
    if (this.devices.nextSerialNs === 0) this.devices.sendSerial();
    this.devices.receiveSerial();
    this.arm(pcpu);
  }

  private arm(pcpu: Pcpu): void {
    const timeNs = this.devices.nextSerialNs;
    if (timeNs === null) return;
    const { timers, frequency } = this.vm.host;
    timers.arm(this.handler, frequency.firstCycleAt(timeNs), pcpu);
  }

  /** The host is interrupted for what has come. */
  private arrived(pcpu: Pcpu): void {
    const { vm, devices } = this;
    const before = devices.serialInterrupts;
    devices.sendSerial();
    devices.receiveSerial();
    this.update(before, pcpu);
    this.arm(pcpu);
    // If nobody was interrupted, nobody falls asleep any more who would find out.
    const [vcpu] = vm.vcpus;
    const isAsleep = vm.vcpus.every((one) => one.isBlocked || one.state.phase === 'ended');
    if (isAsleep && vm.isStuck(vcpu)) vm.userSpace.allBlocked(vm);
  }

  /**
   * The guest has accessed a port.
   * @param before what the interrupt line was
   */
  accessed(before: boolean, pcpu: Pcpu): void {
    const now = this.devices.serialInterrupts;
    this.update(before, pcpu);
    if (!this.devices.receiveSerial()) return;
    // The line falls where the last byte was read, before the next one comes.
    this.update(now, pcpu);
  }

  private update(before: boolean, pcpu: Pcpu): void {
    const high = this.devices.serialInterrupts;
    if (high === before) return;
    this.vm.irqchip?.setIrq(COM1_LINE, high, IrqSource.USER_SPACE, pcpu);
  }
}

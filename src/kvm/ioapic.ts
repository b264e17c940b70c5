// The I/O APIC, 82093AA with 24 pins, at FEC00000H. After its data sheet; Linux
// arch/x86/kvm/ioapic.c.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { DELIVERY_MODES } from '../trace/index.ts';
import { deliverToAll, type InterruptMessage } from './apic-ipi.ts';
import type { Vm } from './vm.ts';

export const IOAPIC_GPA = 0xfec00000;
export const IOAPIC_BYTES = 0x100;
export const IOAPIC_PINS = 24;

/** An entry of the redirection table, in two words. */
export interface RedirectionEntry {
  low: number;
  high: number;
}

/** Plain data. */
export interface IoapicState {
  id: number;
  /** IOREGSEL: the register that IOWIN shows. */
  selected: number;
  /** Pins that are high, or whose edge has not been taken yet. */
  irr: number;
  readonly redirections: RedirectionEntry[];
}

const Offset = { SELECT: 0x00, WINDOW: 0x10 } as const;
const Register = { ID: 0, VERSION: 1, ARBITRATION: 2, REDIRECTIONS: 0x10 } as const;

/** Version 11H; the number of the last pin. */
const VERSION_VALUE = 0x11 | ((IOAPIC_PINS - 1) << 16);

/** Bits of an entry's low word; the high word has the destination in bits 31:24. */
const Entry = {
  LOGICAL: 1 << 11,
  STATUS: 1 << 12,
  REMOTE_IRR: 1 << 14,
  LEVEL: 1 << 15,
  MASKED: 1 << 16,
} as const;
/** What a guest cannot write; it keeps what it writes to reserved bits. */
const READ_ONLY = Entry.STATUS | Entry.REMOTE_IRR;

/** Who wants to know what happens to a pin. */
export interface IoapicOwner {
  acknowledged(pin: number, pcpu: Pcpu): void;
  maskChanged(pin: number, masked: boolean): void;
  /** True if somebody has to hear of the end of a pin's interrupts although they are edges. */
  wantsEnd(pin: number): boolean;
}

export class Ioapic {
  state: IoapicState = {
    id: 0,
    selected: 0,
    irr: 0,
    redirections: Array.from({ length: IOAPIC_PINS }, () => ({ low: Entry.MASKED, high: 0 })),
  };
  private readonly vm: Vm;
  private readonly owner: IoapicOwner;

  constructor(vm: Vm, owner: IoapicOwner) {
    this.vm = vm;
    this.owner = owner;
  }

  isMasked(pin: number): boolean {
    return (this.state.redirections[pin].low & Entry.MASKED) !== 0;
  }

  /**
   * A pin goes high or low. 1 if an interrupt goes out or the pin goes low, 0 if it was high
   * already, -1 if it is masked or must wait for the end of the one before (ioapic_set_irq).
   */
  setPin(pin: number, high: boolean, pcpu: Pcpu): number {
    const result = this.pinChanges(pin, high, pcpu);
    if (pcpu.traced) {
      const { low, high: upper } = this.state.redirections[pin];
      const entry = Long.fromBits(low, upper);
      pcpu.trace('kvm_ioapic_set_irq', { ...entryFields(entry), pin, coalesced: result === 0 });
    }
    return result;
  }

  private pinChanges(pin: number, high: boolean, pcpu: Pcpu): number {
    const { state } = this;
    const bit = 1 << pin;
    if (!high) {
      state.irr &= ~bit;
      return 1;
    }
    const wasHigh = (state.irr & bit) !== 0;
    state.irr |= bit;
    const isLevel = (state.redirections[pin].low & Entry.LEVEL) !== 0;
    return wasHigh && !isLevel ? 0 : this.service(pin, pcpu);
  }

  /** Send the interrupt of a pin. */
  private service(pin: number, pcpu: Pcpu): number {
    const entry = this.state.redirections[pin];
    const isLevel = (entry.low & Entry.LEVEL) !== 0;
    const waits = isLevel && (entry.low & Entry.REMOTE_IRR) !== 0;
    if ((entry.low & Entry.MASKED) !== 0 || waits) return -1;
    const count = deliverToAll(this.vm, messageOf(entry), pcpu);
    if (count > 0 && isLevel) entry.low |= Entry.REMOTE_IRR;
    return count;
  }

  /** True if the end of interrupts with a vector has to come here (ioapic_handled_vectors). */
  handlesVector(vector: number): boolean {
    return this.state.redirections.some(
      ({ low }, pin) =>
        (low & 0xff) === vector && ((low & Entry.LEVEL) !== 0 || this.owner.wantsEnd(pin)),
    );
  }

  /** A local APIC broadcasts the end of an interrupt (kvm_ioapic_update_eoi). */
  end(vector: number, level: boolean, pcpu: Pcpu): void {
    for (const [pin, entry] of this.state.redirections.entries()) {
      if ((entry.low & 0xff) !== vector) continue;
      this.owner.acknowledged(pin, pcpu);
      if (!level || (entry.low & Entry.LEVEL) === 0) continue;
      entry.low &= ~Entry.REMOTE_IRR;
      if ((this.state.irr & (1 << pin)) !== 0) this.service(pin, pcpu);
    }
  }

  /** A read of its page, from an offset on. */
  read(offset: number): number {
    const { state } = this;
    const at = offset & ~15;
    if (at === Offset.SELECT) return state.selected;
    return at === Offset.WINDOW ? this.readRegister(state.selected) : 0;
  }

  private readRegister(register: number): number {
    switch (register) {
      case Register.ID:
      case Register.ARBITRATION:
        return this.state.id << 24;
      case Register.VERSION:
        return VERSION_VALUE;
      default: {
        const entry = this.state.redirections[(register - Register.REDIRECTIONS) >> 1];
        if (entry === undefined) return -1;
        return (register & 1) === 0 ? entry.low : entry.high;
      }
    }
  }

  write(offset: number, value: number, pcpu: Pcpu): void {
    const { state } = this;
    const at = offset & ~15;
    if (at === Offset.SELECT) state.selected = value & 0xff;
    else if (at === Offset.WINDOW) this.writeRegister(state.selected, value, pcpu);
  }

  private writeRegister(register: number, value: number, pcpu: Pcpu): void {
    if (register === Register.ID) this.state.id = (value >>> 24) & 0xf;
    const pin = (register - Register.REDIRECTIONS) >> 1;
    const entry = this.state.redirections[pin];
    if (entry === undefined) return;
    const wasMasked = this.isMasked(pin);
    if ((register & 1) !== 0) entry.high = value | 0;
    else entry.low = (value & ~READ_ONLY) | (entry.low & READ_ONLY);
    // Guests rely on it that switching to edges and back forgets an interrupt that never ended.
    const isLevel = (entry.low & Entry.LEVEL) !== 0;
    if (!isLevel) entry.low &= ~Entry.REMOTE_IRR;
    if (this.isMasked(pin) !== wasMasked) this.owner.maskChanged(pin, !wasMasked);
    if (isLevel && (this.state.irr & (1 << pin)) !== 0) this.service(pin, pcpu);
  }
}

function messageOf({ low, high }: RedirectionEntry): InterruptMessage {
  return {
    vector: low & 0xff,
    mode: DELIVERY_MODES[(low >> 8) & 7],
    logical: (low & Entry.LOGICAL) !== 0,
    levelTriggered: (low & Entry.LEVEL) !== 0,
    assert: true,
    destination: high >>> 24,
  };
}

/** What tracepoints show of an entry. */
function entryFields(entry: Long) {
  return {
    vector: entry.low & 0xff,
    mode: DELIVERY_MODES[(entry.low >> 8) & 7],
    logical: (entry.low & Entry.LOGICAL) !== 0,
    level: (entry.low & Entry.LEVEL) !== 0,
    masked: (entry.low & Entry.MASKED) !== 0,
    destination: entry.high >>> 24,
  };
}

// The local APIC of one vCPU, emulated: registers, priorities, acceptance and end of interrupts.
// SDM 3, "Advanced Programmable Interrupt Controller (APIC)"; Linux arch/x86/kvm/lapic.c.
// Sending interrupts is in apic-ipi.ts, the timer in lapic-timer.ts, access by MSR and MMIO in
// apic-access.ts.

import type { PhysicalMemory } from '../memory/index.ts';
import { ApicRegister } from '../trace/index.ts';

/** Bits of IA32_APIC_BASE. */
export const ApicBase = { BSP: 1 << 8, X2APIC: 1 << 10, ENABLE: 1 << 11 } as const;

export const APIC_DEFAULT_GPA = 0xfee00000;

/** Version 14H with six LVT entries, as KVM reports it. */
export const APIC_VERSION = 0x50014;

const SPIV_ENABLE = 1 << 8;
export const LVT_MASKED = 1 << 16;
export const LVT_TSC_DEADLINE = 1 << 18;
const DELIVERY_MODE = 0x700;
const EXTERNAL = 0x700;

/** Plain data, saved and hashed with its vCPU. Vector sets are eight words of 32 bits. */
export interface LapicState {
  /** IA32_APIC_BASE; the address part is fixed. */
  base: number;
  readonly irr: number[];
  readonly isr: number[];
  readonly tmr: number[];
  /** The highest vector in service if it is known without looking (highest_isr_cache), or -1. */
  knownInService: number;
  taskPriority: number;
  spurious: number;
  errorStatus: number;
  logicalDestination: number;
  destinationFormat: number;
  icrLow: number;
  icrHigh: number;
  /** LVT entries by register offset. */
  readonly lvt: Record<number, number>;
  initialCount: number;
  divideConfiguration: number;
}

const LVT_OFFSETS = [
  ApicRegister.LVTT,
  ApicRegister.LVTTHMR,
  ApicRegister.LVTPC,
  ApicRegister.LVT0,
  ApicRegister.LVT1,
  ApicRegister.LVTERR,
];

/** Vector and mask; in most entries the delivery mode, for the pins polarity and trigger mode. */
const LVT_BITS: Readonly<Record<number, number>> = {
  [ApicRegister.LVTT]: 0x000700ff,
  [ApicRegister.LVTTHMR]: 0x000107ff,
  [ApicRegister.LVTPC]: 0x000107ff,
  [ApicRegister.LVT0]: 0x0001a7ff,
  [ApicRegister.LVT1]: 0x0001a7ff,
  [ApicRegister.LVTERR]: 0x000100ff,
};

/** Registers after power-up. SDM 3, "Local APIC State After Power-Up or Reset". */
function initialState(base: number): LapicState {
  const lvt = Object.fromEntries(LVT_OFFSETS.map((offset) => [offset, LVT_MASKED]));
  // Firmware would connect the first processor to the PIC (KVM_X86_QUIRK_LINT0_REENABLED).
  if ((base & ApicBase.BSP) !== 0) lvt[ApicRegister.LVT0] = EXTERNAL;
  return {
    base,
    irr: new Array(8).fill(0),
    isr: new Array(8).fill(0),
    tmr: new Array(8).fill(0),
    knownInService: -1,
    taskPriority: 0,
    spurious: 0xff,
    errorStatus: 0,
    logicalDestination: 0,
    destinationFormat: 0xffffffff | 0,
    icrLow: 0,
    icrHigh: 0,
    lvt,
    initialCount: 0,
    divideConfiguration: 0,
  };
}

export interface VirtualApicPage {
  readonly memory: PhysicalMemory;
  readonly hpa: number;
}

const VTPR = ApicRegister.TASKPRI;

export class Lapic {
  /** Physical id; also the x2APIC id. */
  readonly id: number;
  state: LapicState;
  /** The virtual-APIC page, if the processor has the task priority there. */
  page: VirtualApicPage | null = null;

  constructor(id: number) {
    this.id = id;
    this.state = initialState(ApicBase.ENABLE | (id === 0 ? ApicBase.BSP : 0));
  }

  /**
   * What INIT does, and being switched off and on again: every register but the id and
   * IA32_APIC_BASE is as after power-up. SDM 3, "Local APIC State After It Has Been Reset by INIT".
   */
  reset(): void {
    this.state = initialState(this.state.base);
    this.taskPriority = 0;
  }

  get isX2apic(): boolean {
    return (this.state.base & ApicBase.X2APIC) !== 0;
  }

  /** True unless the APIC is switched off in IA32_APIC_BASE. */
  get isPresent(): boolean {
    return (this.state.base & ApicBase.ENABLE) !== 0;
  }

  /** True if it is present and enabled by software, in the spurious-interrupt vector register. */
  get isEnabled(): boolean {
    return this.isPresent && (this.state.spurious & SPIV_ENABLE) !== 0;
  }

  /** LINT0 is connected to the PIC, and not masked. */
  get acceptsExternal(): boolean {
    return (this.lvt(ApicRegister.LVT0) & (LVT_MASKED | DELIVERY_MODE)) === EXTERNAL;
  }

  /** An LVT entry by register offset. */
  lvt(offset: number): number {
    return this.state.lvt[offset] ?? LVT_MASKED;
  }

  /** Write an LVT entry; it stays masked while the APIC is disabled by software. */
  writeLvt(offset: number, value: number): void {
    const mask = this.isEnabled ? 0 : LVT_MASKED;
    this.state.lvt[offset] = (value & (LVT_BITS[offset] ?? 0)) | mask;
  }

  /** Software disabling masks every LVT entry. */
  writeSpurious(value: number): void {
    this.state.spurious = value & 0x1ff;
    if (this.isEnabled) return;
    for (const offset of LVT_OFFSETS) this.state.lvt[offset] = this.lvt(offset) | LVT_MASKED;
  }

  /** TPR; where there is a virtual-APIC page it is there, for the guest to change without exits. */
  get taskPriority(): number {
    const { page } = this;
    return page === null ? this.state.taskPriority : page.memory.bytes[page.hpa + VTPR];
  }

  set taskPriority(value: number) {
    const { page } = this;
    if (page === null) this.state.taskPriority = value;
    else page.memory.write(page.hpa + VTPR, Uint8Array.of(value, 0, 0, 0));
  }

  /** An interrupt arrives; false if the APIC does not take it. */
  accept(vector: number, levelTriggered: boolean): boolean {
    if (!this.isEnabled) return false;
    setBit(this.state.tmr, vector, levelTriggered);
    setBit(this.state.irr, vector, true);
    return true;
  }

  /** Processor priority. SDM 3, "Task and Processor Priorities". */
  get processorPriority(): number {
    const inService = Math.max(highest(this.state.isr), 0);
    const { taskPriority } = this;
    return (taskPriority & 0xf0) >= (inService & 0xf0) ? taskPriority : inService & 0xf0;
  }

  /** The highest pending vector, or -1, even if the processor priority holds it back. */
  get requestedVector(): number {
    return highest(this.state.irr);
  }

  /**
   * The highest pending vector whose class exceeds the processor priority, or -1. Disabling by
   * software does not take back what is pending.
   */
  get deliverable(): number {
    const vector = this.requestedVector;
    if (vector < 0 || !this.isPresent) return -1;
    return (vector & 0xf0) > (this.processorPriority & 0xf0) ? vector : -1;
  }

  /** The processor takes a vector: from pending to in service. */
  acknowledge(vector: number): void {
    setBit(this.state.irr, vector, false);
    setBit(this.state.isr, vector, true);
    this.state.knownInService = vector;
  }

  isInService(vector: number): boolean {
    return ((this.state.isr[vector >> 5] >> (vector & 31)) & 1) === 1;
  }

  /** True if a vector came level-triggered. */
  isLevel(vector: number): boolean {
    return ((this.state.tmr[vector >> 5] >> (vector & 31)) & 1) === 1;
  }

  /** End of interrupt: the vector that was in service, or -1. */
  endOfInterrupt(): number {
    const vector = highest(this.state.isr);
    this.state.knownInService = -1;
    if (vector >= 0) setBit(this.state.isr, vector, false);
    return vector;
  }

  /** The logical destination register; in x2APIC mode it follows from the id. */
  get logicalId(): number {
    if (!this.isX2apic) return this.state.logicalDestination;
    return ((this.id >>> 4) << 16) | (1 << (this.id & 15));
  }
}

/** The highest vector in a set, or -1. */
function highest(words: readonly number[]): number {
  for (let word = 7; word >= 0; word--) {
    const bits = words[word];
    if (bits !== 0) return 32 * word + 31 - Math.clz32(bits);
  }
  return -1;
}

function setBit(words: number[], vector: number, value: boolean): void {
  const word = vector >> 5;
  const bit = 1 << (vector & 31);
  const old = words[word];
  words[word] = value ? old | bit : old & ~bit;
}

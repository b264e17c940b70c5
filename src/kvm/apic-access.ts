// How a guest reaches its local APIC: MSRs 800H to 8FFH in x2APIC mode, the page at FEE00000H in
// xAPIC mode, and IA32_APIC_BASE, which switches between them.
// SDM 3, "Extended XAPIC (x2APIC)"; Linux arch/x86/kvm/lapic.c.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { ApicRegister } from '../trace/index.ts';
import { interruptCommand, sendIpi } from './apic-ipi.ts';
import { followApicMode } from './flexpriority.ts';
import { APIC_DEFAULT_GPA, APIC_VERSION, ApicBase, LVT_TSC_DEADLINE } from './lapic.ts';
import type { Vcpu } from './vcpu.ts';

const X2APIC_MSR = 0x800;

/** Registers that x2APIC mode does not have. */
const XAPIC_ONLY: readonly number[] = [ApicRegister.DFR, ApicRegister.ICR2];

const READ_ONLY: readonly number[] = [
  ApicRegister.ID,
  ApicRegister.LVR,
  ApicRegister.PROCPRI,
  ApicRegister.TMCCT,
];

const WRITE_ONLY: readonly number[] = [ApicRegister.EOI, ApicRegister.SELF_IPI];

/** Reserved bits of the x2APIC interrupt command register. */
const ICR_RESERVED = 0xfff32000 | 0;

/** The value of an APIC register, or null if it cannot be read. */
export function readLapicRegister(vcpu: Vcpu, offset: number, pcpu: Pcpu): number | null {
  const { lapic, timer } = vcpu;
  const { state } = lapic;
  const bank = vectorBank(vcpu, offset);
  if (bank !== null) return bank;
  switch (offset) {
    case ApicRegister.ID:
      return lapic.isX2apic ? lapic.id : lapic.id << 24;
    case ApicRegister.LVR:
      return APIC_VERSION;
    case ApicRegister.TASKPRI:
      return lapic.taskPriority;
    case ApicRegister.PROCPRI:
      return lapic.processorPriority;
    case ApicRegister.LDR:
      return lapic.logicalId;
    case ApicRegister.DFR:
      return state.destinationFormat;
    case ApicRegister.SPIV:
      return state.spurious;
    case ApicRegister.ESR:
      return state.errorStatus;
    case ApicRegister.ICR:
      return state.icrLow;
    case ApicRegister.ICR2:
      return state.icrHigh;
    case ApicRegister.TMICT:
      return state.initialCount;
    case ApicRegister.TMCCT:
      return timer.currentCount(pcpu);
    case ApicRegister.TDCR:
      return state.divideConfiguration;
    default:
      return state.lvt[offset] ?? null;
  }
}

/** ISR, TMR and IRR take eight registers each. */
function vectorBank(vcpu: Vcpu, offset: number): number | null {
  const { isr, tmr, irr } = vcpu.lapic.state;
  for (const [first, words] of [
    [ApicRegister.ISR, isr],
    [ApicRegister.TMR, tmr],
    [ApicRegister.IRR, irr],
  ] as const) {
    if (offset >= first && offset < first + 0x80) return words[(offset - first) >> 4] ?? null;
  }
  return null;
}

/** The guest is done with the interrupt in service: its vector, or -1 (apic_set_eoi). */
export function endInterrupt(vcpu: Vcpu, pcpu: Pcpu): number {
  const { lapic, vm } = vcpu;
  const vector = lapic.endOfInterrupt();
  if (vector >= 0) vm.irqchip?.endOfInterrupt(vector, lapic.isLevel(vector), pcpu);
  vcpu.requestEvent();
  return vector;
}

/** Write an APIC register; false if there is none that can be written. */
export function writeLapicRegister(vcpu: Vcpu, offset: number, value: number, pcpu: Pcpu): boolean {
  const { lapic, timer } = vcpu;
  const { state } = lapic;
  switch (offset) {
    case ApicRegister.TASKPRI:
      lapic.taskPriority = value & 0xff;
      vcpu.requestEvent();
      return true;
    case ApicRegister.EOI: {
      const vector = endInterrupt(vcpu, pcpu);
      if (pcpu.traced) pcpu.trace('kvm_eoi', { apicId: lapic.id, vector });
      return true;
    }
    case ApicRegister.LDR:
      state.logicalDestination = value & (0xff000000 | 0);
      return true;
    case ApicRegister.DFR:
      state.destinationFormat = value | 0x0fffffff;
      return true;
    case ApicRegister.SPIV:
      lapic.writeSpurious(value);
      return true;
    case ApicRegister.ESR:
      state.errorStatus = 0;
      return true;
    case ApicRegister.ICR:
      // The delivery-status bit reads as idle at once.
      state.icrLow = value & ~(1 << 12);
      sendIpi(vcpu, interruptCommand(state.icrLow, state.icrHigh, lapic.isX2apic), pcpu);
      return true;
    case ApicRegister.ICR2:
      state.icrHigh = value & (0xff000000 | 0);
      return true;
    case ApicRegister.LVTT: {
      const old = lapic.lvt(offset);
      const { tscDeadline } = vcpu.vm.parameters;
      lapic.writeLvt(offset, tscDeadline ? value : value & ~LVT_TSC_DEADLINE);
      timer.lvtWritten(old, pcpu);
      return true;
    }
    case ApicRegister.TMICT:
      timer.writeInitialCount(value, pcpu);
      return true;
    case ApicRegister.TDCR:
      timer.writeDivideConfiguration(value, pcpu);
      return true;
    default:
      if (state.lvt[offset] === undefined) return false;
      lapic.writeLvt(offset, value);
      // The PIC may be connected now.
      if (offset === ApicRegister.LVT0) vcpu.requestEvent();
      return true;
  }
}

const REGISTER_NAMES = new Map(
  Object.entries(ApicRegister).map(([name, offset]) => [offset as number, name]),
);

function trace(pcpu: Pcpu, write: boolean, offset: number, value: Long): void {
  if (!pcpu.traced) return;
  const register = REGISTER_NAMES.get(offset) ?? `0x${offset.toString(16)}`;
  pcpu.trace('kvm_apic', { write, register, value });
}

/** RDMSR of an x2APIC register; null for #GP. */
export function readX2apic(vcpu: Vcpu, msr: number, pcpu: Pcpu): Long | null {
  const offset = (msr - X2APIC_MSR) << 4;
  if (!vcpu.lapic.isX2apic || XAPIC_ONLY.includes(offset) || WRITE_ONLY.includes(offset)) {
    return null;
  }
  const low = readLapicRegister(vcpu, offset, pcpu);
  if (low === null) return null;
  const high = offset === ApicRegister.ICR ? vcpu.lapic.state.icrHigh : 0;
  const value = Long.fromBits(low, high);
  trace(pcpu, false, offset, value);
  return value;
}

/** WRMSR of an x2APIC register; false for #GP. */
export function writeX2apic(vcpu: Vcpu, msr: number, value: Long, pcpu: Pcpu): boolean {
  const offset = (msr - X2APIC_MSR) << 4;
  const { lapic } = vcpu;
  if (!lapic.isX2apic || XAPIC_ONLY.includes(offset) || READ_ONLY.includes(offset)) return false;
  if (offset === ApicRegister.LDR) return false;
  if (offset === ApicRegister.ICR) {
    if ((value.low & ICR_RESERVED) !== 0) return false;
    lapic.state.icrHigh = value.high;
  } else if (value.high !== 0) return false;
  trace(pcpu, true, offset, value);
  if (offset === ApicRegister.SELF_IPI) {
    if ((value.low & ~0xff) !== 0) return false;
    sendIpi(vcpu, interruptCommand(value.low | SELF_SHORTHAND, 0, true), pcpu);
    return true;
  }
  if ((offset === ApicRegister.EOI || offset === ApicRegister.ESR) && value.low !== 0) return false;
  return writeLapicRegister(vcpu, offset, value.low, pcpu);
}

const SELF_SHORTHAND = (1 << 18) | (1 << 14);

/** True if a guest-physical address lies in the vCPU's xAPIC page. */
export function isApicPage(vcpu: Vcpu, gpa: number): boolean {
  const { lapic, vm } = vcpu;
  if (!vm.hasIrqchip) return false;
  return lapic.isPresent && !lapic.isX2apic && gpa - (gpa % 4096) === APIC_DEFAULT_GPA;
}

/** A read of the xAPIC page; registers are 32 bits wide at multiples of 16. */
export function readXapic(vcpu: Vcpu, gpa: number, pcpu: Pcpu): Long {
  const offset = gpa & 0xff0;
  const value = Long.fromInt(readLapicRegister(vcpu, offset, pcpu) ?? 0, true);
  trace(pcpu, false, offset, value);
  return value.shru(8 * (gpa & 15));
}

/** A write to the xAPIC page; what is not an aligned 32-bit register is ignored. */
export function writeXapic(vcpu: Vcpu, gpa: number, value: Long, pcpu: Pcpu): void {
  const offset = gpa & 0xfff;
  if ((offset & 15) !== 0 || READ_ONLY.includes(offset)) return;
  trace(pcpu, true, offset, value);
  writeLapicRegister(vcpu, offset, value.low, pcpu);
}

/** IA32_APIC_BASE as the guest reads it. */
export function readApicBase(vcpu: Vcpu): Long {
  return Long.fromNumber(APIC_DEFAULT_GPA).or(vcpu.lapic.state.base);
}

const BASE_FLAGS = ApicBase.BSP | ApicBase.X2APIC | ApicBase.ENABLE;

/**
 * Write IA32_APIC_BASE; false for #GP: reserved bits, a move of the page (not offered), and the
 * transitions that SDM 3, "x2APIC State Transitions", forbids. What is allowed by way of the
 * disabled state loses every register.
 */
export function writeApicBase(vcpu: Vcpu, value: Long, pcpu: Pcpu): boolean {
  const { lapic } = vcpu;
  const flags = value.low & BASE_FLAGS;
  if (!value.and(Long.fromInt(~BASE_FLAGS)).eq(APIC_DEFAULT_GPA)) return false;
  const enable = (flags & ApicBase.ENABLE) !== 0;
  const x2apic = (flags & ApicBase.X2APIC) !== 0;
  if (x2apic && !enable) return false;
  if (lapic.isX2apic && enable && !x2apic) return false;
  if (!lapic.isPresent && x2apic) return false;
  if (enable !== lapic.isPresent) {
    // Nothing but the id survives; until it is on again, CR8 is all that is left of it.
    const { taskPriority } = lapic;
    vcpu.timer.reset(pcpu);
    lapic.reset();
    if (!enable) lapic.taskPriority = taskPriority;
    vcpu.requestEvent();
  }
  lapic.state.base = flags;
  followApicMode(vcpu);
  return true;
}

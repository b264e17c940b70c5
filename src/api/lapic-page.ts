// KVM_GET_LAPIC and KVM_SET_LAPIC: the registers of a local APIC as its 1 KiB page holds them, each
// 32 bits at a multiple of 16. Linux arch/x86/kvm/lapic.c, kvm_apic_get_state, kvm_apic_set_state.

import type { Pcpu } from '../host/index.ts';
import { readLapicRegister, type Vcpu, writeLapicRegister } from '../kvm/index.ts';
import { ApicRegister } from '../trace/index.ts';

const PAGE_BYTES = 1024;
const STRIDE = 16;
const VECTOR_WORDS = 8;

export function lapicPage(vcpu: Vcpu, pcpu: Pcpu): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES);
  const view = new DataView(page.buffer);
  for (let offset = 0; offset < PAGE_BYTES; offset += STRIDE) {
    view.setInt32(offset, readLapicRegister(vcpu, offset, pcpu) ?? 0, true);
  }
  return page;
}

/** Registers that are written as the guest would, in an order that makes them count. */
const WRITTEN = [
  ApicRegister.SPIV,
  ApicRegister.TASKPRI,
  ApicRegister.LDR,
  ApicRegister.DFR,
  ApicRegister.LVTT,
  ApicRegister.LVTTHMR,
  ApicRegister.LVTPC,
  ApicRegister.LVT0,
  ApicRegister.LVT1,
  ApicRegister.LVTERR,
  ApicRegister.TDCR,
  ApicRegister.TMICT,
];

export function restoreLapic(vcpu: Vcpu, registers: Uint8Array, pcpu: Pcpu): void {
  const view = new DataView(registers.buffer, registers.byteOffset, registers.length);
  const { state } = vcpu.lapic;
  for (const offset of WRITTEN) writeLapicRegister(vcpu, offset, view.getInt32(offset, true), pcpu);
  for (const [first, words] of [
    [ApicRegister.ISR, state.isr],
    [ApicRegister.TMR, state.tmr],
    [ApicRegister.IRR, state.irr],
  ] as const) {
    for (let i = 0; i < VECTOR_WORDS; i++) words[i] = view.getInt32(first + STRIDE * i, true);
  }
  state.icrLow = view.getInt32(ApicRegister.ICR, true);
  state.icrHigh = view.getInt32(ApicRegister.ICR2, true);
  vcpu.requestEvent();
}

// INIT and start-up IPIs, which a local APIC holds until its vCPU is at a place where it can be
// stopped and set to another state. Linux arch/x86/kvm/lapic.c, kvm_apic_accept_events, and x86.c,
// kvm_vcpu_reset; SDM 3, "Multiple-Processor (MP) Initialization".

import { initState, resetState, startAtSipiVector, Word } from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import { Stale } from '../vmx/index.ts';
import { guestControl } from './control-registers.ts';
import type { Vcpu } from './vcpu.ts';

const FEATURE_LEAF = 1;

/** What EDX holds after reset and INIT: the processor's signature. */
function signatureOf(vcpu: Vcpu): number {
  const [signature] = vcpu.vm.cpuid.query(vcpu, FEATURE_LEAF, 0).result;
  return signature;
}

/** An application processor as it is after power-up: nothing but INIT can make it do anything. */
export function awaitInit(vcpu: Vcpu): void {
  resetState(vcpu.virtual.processor.state, signatureOf(vcpu));
  vcpu.adoptControlRegisters();
  vcpu.state.mpState = 'uninitialized';
}

/** An INIT arrives; it takes back a start-up IPI that has not been acted on. */
export function receiveInit({ state }: Vcpu): void {
  state.initPending = true;
  state.sipiVector = null;
}

/**
 * A start-up IPI arrives; false if it is ignored, as it is by every processor that does not wait
 * for one. Deviation: KVM also wakes a halted vCPU by it.
 */
export function receiveSipi({ state }: Vcpu, vector: number): boolean {
  if (state.mpState !== 'initReceived' && !state.initPending) return false;
  state.sipiVector = vector;
  return true;
}

/** At the top of the run loop: act on what the local APIC holds. */
export function acceptApicEvents(vcpu: Vcpu, pcpu: Pcpu): void {
  const { state } = vcpu;
  if (state.initPending) {
    state.initPending = false;
    pcpu.spend(vcpu.vm.costs.kvm.handler);
    initialize(vcpu, pcpu);
  }
  if (state.sipiVector === null) return;
  const vector = state.sipiVector;
  state.sipiVector = null;
  if (state.mpState !== 'initReceived') return;
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  startAtSipiVector(vcpu.virtual.processor.state, vector);
  vcpu.virtual.vmcs.makeStale(Stale.GUEST);
  state.mpState = 'runnable';
}

/** The bootstrap processor runs on, from the reset vector; the others wait. */
function initialize(vcpu: Vcpu, pcpu: Pcpu): void {
  const { state, virtual, lapic, timer } = vcpu;
  // INIT leaves CR0.CD and CR0.NW as the guest has set them.
  const { state: processorState } = virtual.processor;
  processorState.words[Word.CR0] = guestControl(vcpu, 0).low;
  initState(processorState, signatureOf(vcpu), false);
  vcpu.adoptControlRegisters();
  virtual.vmcs.makeStale(Stale.GUEST);
  timer.reset(pcpu);
  lapic.reset();
  state.pvUnhalted = false;
  state.nmiQueued = 0;
  state.nmiPending = 0;
  state.exception = null;
  state.reinject = null;
  state.mpState = vcpu.index === 0 ? 'runnable' : 'initReceived';
  vcpu.requestEvent();
}

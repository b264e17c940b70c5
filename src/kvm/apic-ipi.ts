// Sending interrupts between local APICs. SDM 3, "Issuing Interprocessor Interrupts"; Linux
// arch/x86/kvm/lapic.c, kvm_apic_send_ipi and kvm_irq_delivery_to_apic.

import type { Pcpu } from '../host/index.ts';
import { DELIVERY_MODES, SHORTHANDS } from '../trace/index.ts';
import { receiveInit, receiveSipi } from './apic-events.ts';
import type { SentInterrupt } from './disturbance.ts';
import type { Lapic } from './lapic.ts';
import type { Vcpu } from './vcpu.ts';
import type { Vm } from './vm.ts';

export type DeliveryMode = (typeof DELIVERY_MODES)[number];

/** An interrupt on its way to local APICs. */
export interface InterruptMessage {
  readonly vector: number;
  readonly mode: DeliveryMode;
  readonly logical: boolean;
  readonly assert: boolean;
  readonly levelTriggered: boolean;
  readonly destination: number;
}

/** An interrupt command, taken apart. */
export interface InterruptCommand extends InterruptMessage {
  readonly shorthand: (typeof SHORTHANDS)[number];
}

/** @param x2apic the destination is the whole high word, not its top byte */
export function interruptCommand(low: number, high: number, x2apic: boolean): InterruptCommand {
  return {
    vector: low & 0xff,
    mode: DELIVERY_MODES[(low >> 8) & 7],
    logical: (low & (1 << 11)) !== 0,
    assert: (low & (1 << 14)) !== 0,
    levelTriggered: (low & (1 << 15)) !== 0,
    shorthand: SHORTHANDS[(low >> 18) & 3],
    destination: x2apic ? high >>> 0 : high >>> 24,
  };
}

/** Send an interrupt command from a vCPU that runs on `pcpu`. */
export function sendIpi(source: Vcpu, command: InterruptCommand, pcpu: Pcpu): void {
  if (pcpu.traced) {
    pcpu.trace('kvm_apic_ipi', {
      destination: command.destination,
      vector: command.vector,
      mode: command.mode,
      logical: command.logical,
      level: command.assert,
      trigger: command.levelTriggered,
      shorthand: command.shorthand,
    });
  }
  const { vcpus } = source.vm;
  deliverToEach(
    vcpus.filter((target) => isTarget(source, target, command)),
    command,
    pcpu,
    send,
  );
}

/** As {@link deliver}, for what a vCPU sends: a fault may hold it back. */
export function send(target: Vcpu, event: SentInterrupt, pcpu: Pcpu): boolean {
  const { disturbance } = target.vm;
  if (disturbance?.takesInterrupt(target, event, pcpu) === true) return true;
  return deliver(target, event, pcpu);
}

/**
 * Send an interrupt from an I/O APIC, or as a message: how many local APICs take it, or -1 if it
 * is for none (kvm_irq_delivery_to_apic).
 */
export function deliverToAll(vm: Vm, message: InterruptMessage, pcpu: Pcpu): number {
  const targets = vm.vcpus.filter(
    ({ lapic }) => lapic.isPresent && isDestination(lapic, message, 0xff),
  );
  return deliverToEach(targets, message, pcpu);
}

function deliverToEach(
  targets: readonly Vcpu[],
  message: InterruptMessage,
  pcpu: Pcpu,
  way: typeof deliver = deliver,
): number {
  const chosen = message.mode === 'LowPrio' ? lowestPriority(targets, message.vector) : targets;
  if (chosen.length === 0) return -1;
  return chosen.reduce((count, target) => count + (way(target, message, pcpu) ? 1 : 0), 0);
}

/** With vector hashing the (vector modulo n)-th candidate takes a lowest-priority interrupt. */
function lowestPriority(targets: readonly Vcpu[], vector: number): readonly Vcpu[] {
  const target = targets[vector % targets.length];
  return target === undefined ? [] : [target];
}

function isTarget(source: Vcpu, target: Vcpu, command: InterruptCommand): boolean {
  if (!target.lapic.isPresent) return false;
  switch (command.shorthand) {
    case 'self':
      return target === source;
    case 'all':
      return true;
    case 'all-but-self':
      return target !== source;
    case 'dst':
      return isDestination(target.lapic, command, source.lapic.isX2apic ? 0xffffffff : 0xff);
  }
}

/** @param everybody the destination that means all */
function isDestination(target: Lapic, message: InterruptMessage, everybody: number): boolean {
  const { destination, logical } = message;
  if (destination === everybody) return true;
  return logical ? matchesLogical(target, destination) : destination === target.id;
}

/** SDM 3, "Logical Destination Mode". */
function matchesLogical(target: Lapic, destination: number): boolean {
  const own = target.logicalId;
  if (target.isX2apic) {
    return own >>> 16 === destination >>> 16 && (own & destination & 0xffff) !== 0;
  }
  const ownByte = own >>> 24;
  const isFlat = target.state.destinationFormat >>> 28 === 0xf;
  if (isFlat) return (ownByte & destination) !== 0;
  return ownByte >>> 4 === destination >>> 4 && (ownByte & destination & 0xf) !== 0;
}

/**
 * An interrupt reaches a local APIC; false if it is not taken. Linux arch/x86/kvm/lapic.c,
 * __apic_accept_irq.
 */
export function deliver(target: Vcpu, event: SentInterrupt, pcpu: Pcpu): boolean {
  const { vector, mode, levelTriggered } = event;
  if (pcpu.traced) {
    pcpu.trace('kvm_apic_accept_irq', {
      apicId: target.lapic.id,
      vector,
      mode,
      level: levelTriggered,
    });
  }
  switch (mode) {
    case 'Fixed':
    case 'LowPrio':
      if (levelTriggered && !event.assert) return false;
      if (!target.lapic.accept(vector, levelTriggered)) return false;
      break;
    // Remote read is how KVM kicks a halted vCPU.
    case 'Res3':
      target.state.pvUnhalted = true;
      break;
    case 'NMI':
      target.state.nmiQueued++;
      break;
    case 'INIT':
      // INIT level de-assert only sets arbitration ids, which these processors do not have.
      if (levelTriggered && !event.assert) return false;
      receiveInit(target);
      break;
    case 'SIPI':
      if (!receiveSipi(target, vector)) return false;
      break;
    case 'SMI':
      target.state.notImplemented = 'system-management mode';
      break;
    case 'ExtINT':
      return false;
  }
  target.requestEvent();
  target.kick(pcpu);
  return true;
}

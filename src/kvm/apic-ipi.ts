// Sending interrupts between local APICs. SDM 3, "Issuing Interprocessor Interrupts"; Linux
// arch/x86/kvm/lapic.c, kvm_apic_send_ipi and kvm_irq_delivery_to_apic.

import type { Pcpu } from '../host/index.ts';
import { DELIVERY_MODES, SHORTHANDS } from '../trace/index.ts';
import { receiveInit, receiveSipi } from './apic-events.ts';
import type { Lapic } from './lapic.ts';
import type { Vcpu } from './vcpu.ts';

export type DeliveryMode = (typeof DELIVERY_MODES)[number];

/** An interrupt command, taken apart. */
export interface InterruptCommand {
  readonly vector: number;
  readonly mode: DeliveryMode;
  readonly logical: boolean;
  readonly assert: boolean;
  readonly levelTriggered: boolean;
  readonly shorthand: (typeof SHORTHANDS)[number];
  readonly destination: number;
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
  const targets = vcpus.filter((target) => isTarget(source, target, command));
  const chosen = command.mode === 'LowPrio' ? lowestPriority(targets, command.vector) : targets;
  for (const target of chosen) deliver(target, command, pcpu);
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
      return matches(source.lapic, target.lapic, command);
  }
}

function matches(source: Lapic, target: Lapic, command: InterruptCommand): boolean {
  const { destination } = command;
  if (destination === (source.isX2apic ? 0xffffffff : 0xff)) return true;
  return command.logical ? matchesLogical(target, destination) : destination === target.id;
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
export function deliver(
  target: Vcpu,
  event: Pick<InterruptCommand, 'vector' | 'mode' | 'levelTriggered' | 'assert'>,
  pcpu: Pcpu,
): boolean {
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
      target.state.nmiPending = true;
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

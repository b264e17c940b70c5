// The two opcodes of hypercalls: one is executed, the other is rewritten where it stands, for the
// guest to execute it again. Linux arch/x86/kvm/x86.c, emulator_fix_hypercall.

import Long from 'long';
import { Vector } from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import type { HandlerResult } from './exits/handler.ts';
import { readGuestBytes, writeGuestBytes } from './guest-memory.ts';
import { finishHypercall, forwardedHypercall } from './hypercall-exit.ts';
import { hypercall } from './hypercalls.ts';
import type { PvParameters } from './pv-features.ts';
import type { Vcpu } from './vcpu.ts';

type Opcode = PvParameters['hypercallOpcode'];

const BYTES: Readonly<Record<Opcode, Uint8Array>> = {
  vmcall: Uint8Array.of(0x0f, 0x01, 0xc1),
  vmmcall: Uint8Array.of(0x0f, 0x01, 0xd9),
};

/** True if the instruction at RIP is that opcode. */
export function isHypercallAt(vcpu: Vcpu, opcode: Opcode): boolean {
  const expected = BYTES[opcode];
  const bytes = readGuestBytes(vcpu, vcpu.linearRip, expected.length);
  return bytes !== null && expected.every((byte, i) => byte === bytes[i]);
}

/** The opcode that is a hypercall here. */
export function nativeHypercall(vcpu: Vcpu, pcpu: Pcpu): HandlerResult {
  pcpu.spend(vcpu.vm.costs.kvm.hypercall);
  const forwarded = forwardedHypercall(vcpu);
  if (forwarded instanceof Long) {
    finishHypercall(vcpu, forwarded);
    return 'resume';
  }
  if (forwarded !== null) return forwarded;
  const then = hypercall(vcpu, pcpu);
  // #UD reports no length; both opcodes have the same.
  vcpu.skipInstruction(BYTES.vmcall.length);
  return then;
}

/** The opcode of the other vendor: rewritten, or #UD. */
export function foreignHypercall(vcpu: Vcpu): HandlerResult {
  const { fixHypercallOpcode, hypercallOpcode } = vcpu.vm.parameters;
  const isRewritten =
    fixHypercallOpcode && writeGuestBytes(vcpu, vcpu.linearRip, BYTES[hypercallOpcode]);
  if (!isRewritten) vcpu.queueException(Vector.UD);
  return 'resume';
}

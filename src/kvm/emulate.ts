// Executing one instruction in software, for accesses to device memory and for INS and OUTS: the
// processor does it, with an owner that lets devices through. A read that user space must answer
// stops the instruction; it is executed again, from the start, when the answer is there. Of a
// repeated instruction, one iteration.

import type Long from 'long';
import { Rflags, Word } from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import type { PendingAccess } from './emulation-surroundings.ts';
import { emulationFailure } from './internal-error.ts';
import type { KvmExit } from './kvm-exit.ts';
import { isRepeatedString } from './string-instruction.ts';
import type { Vcpu } from './vcpu.ts';

/** Emulate the instruction at RIP; what user space has to do about it, or null if it is done. */
export function emulateInstruction(vcpu: Vcpu, pcpu: Pcpu): KvmExit | null {
  count(vcpu);
  return attempt(vcpu, pcpu);
}

/** An instruction counts once, however often it is tried with answers of user space. */
function count({ counters, state }: Vcpu): void {
  if (state.answers.length === 0) counters.insn_emulation++;
}

function attempt(vcpu: Vcpu, pcpu: Pcpu): KvmExit | null {
  const { processor } = vcpu.virtual;
  pcpu.spend(vcpu.vm.costs.kvm.emulate);
  const surroundings = vcpu.emulation;
  surroundings.begin(vcpu.state.answers);
  const rip = vcpu.rip;
  const { words } = processor.state;
  const resume = words[Word.RFLAGS] & Rflags.RF;
  const staysThere = vcpu.user !== null && isRepeatedString(vcpu);
  const stop = processor.stepIn(surroundings, surroundings);
  const [access, ...further] = surroundings.pending;
  if (access !== undefined) {
    vcpu.furtherExits.push(...further);
    // Nothing has happened yet where an input is waited for; an EPT violation has set RF itself.
    if (isOutput(access) && staysThere) stayAt(vcpu, rip);
    else if (access.reason === 'IO') words[Word.RFLAGS] |= resume;
    return toUserSpace(vcpu, access);
  }
  vcpu.state.answers.length = 0;
  if (stop === null) {
    vcpu.finishStep();
    return null;
  }
  const what = stop.kind === 'notImplemented' ? stop.what : stop.kind;
  const message = `emulating an access to a device: ${what}, ${vcpu.place}`;
  return emulationFailure(vcpu, message);
}

/** The same, for as many iterations as user space has given input for. */
export function emulateRepeatedly(vcpu: Vcpu, pcpu: Pcpu): KvmExit | null {
  const { user } = vcpu;
  const rip = vcpu.rip;
  count(vcpu);
  for (let iteration = 0; ; iteration++) {
    const exit = attempt(vcpu, pcpu);
    if (user === null) return exit;
    const isInTheMiddle = vcpu.rip.eq(rip) && (exit === null || iteration > 0);
    if (isInTheMiddle) stayAt(vcpu, rip);
    else user.readAhead.length = 0;
    if (exit !== null || user.readAhead.length === 0) return exit;
  }
}

/** The iteration is done; whether there is another is found out when the guest runs again. */
function stayAt(vcpu: Vcpu, rip: Long): void {
  const { state } = vcpu.virtual.processor;
  state.set64(Word.RIP, rip);
  state.words[Word.RFLAGS] |= Rflags.RF;
}

function isOutput(access: PendingAccess): boolean {
  return access.reason === 'IO' ? access.direction === 'out' : access.isWrite;
}

function toUserSpace(vcpu: Vcpu, access: PendingAccess): KvmExit {
  // A write has completed the instruction; a read has to be executed again.
  const isWrite = isOutput(access);
  vcpu.state.completion = isWrite ? 'none' : 'emulate';
  if (isWrite) vcpu.state.answers.length = 0;
  if (access.reason === 'IO') vcpu.counters.io_exits++;
  else vcpu.counters.mmio_exits++;
  return access;
}

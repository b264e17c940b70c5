// What KVM and the host leave behind that makes no difference to anything that can happen next, and
// would only tell states apart: it is taken away as soon as it is there.

import Long from 'long';
import type { Vcpu } from '../kvm/index.ts';
import type { Machine } from '../machine/index.ts';
import { FIELDS, fieldIndex, Primary } from '../vmx/index.ts';

/** Phases of a vCPU without a VM exit that somebody has still to look at. */
const HANDLED: readonly Vcpu['state']['phase'][] = ['loop', 'guest', 'blocked'];

const EXIT_INFORMATION = FIELDS.filter(({ type }) => type === 'exitInformation').map(
  ({ name, width }) => ({ index: fieldIndex(name), isWide: width === 64 }),
);

const PRIMARY = fieldIndex('CPU_BASED_VM_EXEC_CONTROL');
const WINDOWS = Primary.INTR_WINDOW_EXITING | Primary.NMI_WINDOW_EXITING;

/** KVM has worked on a vCPU: take away what makes no difference, in KVM, host and memory. */
export function removeTraces(machine: Machine, vcpu: Vcpu): void {
  foldStealVersion(vcpu);
  // At an entry that injects an event, the next exit is known already.
  if (vcpu.virtual.state.injectionStop !== null) return;
  forgetExit(vcpu);
  if (hasNothingToSee(vcpu)) forgetKicks(machine, vcpu);
}

/** The next VM exit says anew what it is for. */
function forgetExit({ state, virtual: { vmcs } }: Vcpu): void {
  if (!HANDLED.includes(state.phase)) return;
  for (const { index, isWide } of EXIT_INFORMATION) {
    if (isWide) vmcs.setHalves(index, 0, 0);
    else vmcs.set32(index, 0);
  }
}

/** Nothing would go into the guest, or be done for it, if its vCPU came by the run loop now. */
function hasNothingToSee(vcpu: Vcpu): boolean {
  const { state, lapic, timer, user, vm, virtual } = vcpu;
  if (user !== null || vm.disturbance !== null || state.completion !== 'none') return false;
  if (vcpu.hasApicEvents || state.nmiPending) return false;
  if (state.exception !== null || state.reinject !== null || state.pv.eoiOffered) return false;
  if (timer.hasPending || vcpu.hasInterrupt || lapic.requestedVector >= 0) return false;
  if (lapic.state.knownInService >= 0) return false;
  return (virtual.vmcs.get32(PRIMARY) & WINDOWS) === 0;
}

/**
 * An inter-processor interrupt only has its pCPU look around. Where there is nothing to be seen, an
 * arrival is a VM exit and an entry, behind which everything is as before; so it might as well not
 * arrive. Whoever gives the vCPU something to see sends one of its own. An idle pCPU needs one to
 * begin with a thread that was woken.
 */
function forgetKicks({ host }: Machine, { state, index }: Vcpu): void {
  if (state.phase === 'guest' || state.phase === 'loop') state.eventRequested = false;
  const pcpu = host.pcpus[index];
  if (!pcpu.isIdle) {
    if (pcpu.needResched) return;
    pcpu.state.pending = pcpu.state.pending.filter(({ kind }) => kind !== 'ipi');
  }
  const kicks = host.pendingEvents.filter(({ target, kind }) => target === index && kind === 'ipi');
  for (const { sequence } of pcpu.needResched ? kicks.slice(1) : kicks) {
    host.cancelInterrupt(sequence);
  }
}

/** Offset of `version` in `struct kvm_steal_time`, and of what is before it. */
const STEAL_VERSION = 8;

/**
 * Time stands still, so an update of the steal-time record changes nothing in it but its version:
 * whoever reads it would begin again, and find the same.
 */
function foldStealVersion({ state: { pv }, vm }: Vcpu): void {
  const { low, high } = pv.stealTime;
  if ((low & STEAL_ENABLED) === 0) return;
  const gpa = Long.fromBits(low & ~STEAL_ENABLED, high, true);
  const record = vm.guestRam(gpa, STEAL_VERSION + 4);
  if (record === null || record.getUint32(STEAL_VERSION, true) <= FIRST_VERSION) return;
  record.setUint32(STEAL_VERSION, FIRST_VERSION, true);
}

/** Bit 0 of the MSR. */
const STEAL_ENABLED = 1;

/** What the first update of a record makes of its version. */
const FIRST_VERSION = 2;

// What a program that drives a vCPU by KVM_RUN has asked of it: to return soon, to say when an
// interrupt can be injected, to be debugged. A machine whose user space lives in the same loop has
// none of this. Linux arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl_run,
// kvm_arch_vcpu_ioctl_set_guest_debug and dm_request_for_irq_injection.

import Long from 'long';
import { Blocking, Rflags, Vector, Word, wordOf } from '../cpu/index.ts';
import type { KvmExit } from './kvm-exit.ts';
import type { Vcpu } from './vcpu.ts';

/** KVM_GUESTDBG_*. */
export const GuestDebug = {
  ENABLE: 1 << 0,
  SINGLESTEP: 1 << 1,
  USE_SW_BP: 1 << 16,
  USE_HW_BP: 1 << 17,
  INJECT_DB: 1 << 18,
  INJECT_BP: 1 << 19,
} as const;

/** DR0 to DR3, and DR7. */
export interface BreakpointRegisters {
  readonly addresses: readonly [Long, Long, Long, Long];
  readonly dr7: Long;
}

export interface UserControl {
  /** KVM_RUN has been called, and has not begun. */
  runRequested: boolean;
  /** KVM_RUN is to return before the guest is entered: by `immediate_exit`, or by a signal. */
  leave: 'none' | 'immediate' | 'signal';
  /** KVM_RUN was called before the vCPU had received an INIT. */
  awaitsInit: boolean;
  /** `request_interrupt_window`. */
  windowRequested: boolean;
  /** Bits of {@link GuestDebug}. */
  debugControl: number;
  /** The guest's own breakpoints while the debugger's are in the registers, or null. */
  guestBreakpoints: BreakpointRegisters | null;
  /** A single step is over; KVM_RUN is to return. */
  stepped: boolean;
  /** What user space has given for elements of a string input beyond the first. */
  readonly readAhead: number[];
}

export function newUserControl(): UserControl {
  return {
    runRequested: false,
    leave: 'none',
    awaitsInit: false,
    windowRequested: false,
    debugControl: 0,
    guestBreakpoints: null,
    stepped: false,
    readAhead: [],
  };
}

const DR6_ACTIVE_LOW = 0xffff0ff0;
const DR6_BS = 1 << 14;
const SHADOWS = Blocking.STI | Blocking.MOV_SS;
const ADDRESS_WORDS = [wordOf('dr0'), wordOf('dr1'), wordOf('dr2'), wordOf('dr3')] as const;

/** A debugger wants each instruction. */
export function isSingleStepping({ user }: Vcpu): boolean {
  return user !== null && (user.debugControl & GuestDebug.SINGLESTEP) !== 0;
}

/** A debugger has breakpoints in the debug registers, or steps: debug exceptions are its own. */
export function ownsDebugExceptions({ user }: Vcpu): boolean {
  const mask = GuestDebug.SINGLESTEP | GuestDebug.USE_HW_BP;
  return user !== null && (user.debugControl & mask) !== 0;
}

/** KVM_EXIT_DEBUG for conditions in DR6's layout, at the instruction where the guest is. */
export function debugExit(vcpu: Vcpu, exception: number, conditions: number): KvmExit {
  return {
    reason: 'DEBUG',
    exception,
    pc: vcpu.linearRip,
    dr6: Long.fromNumber((DR6_ACTIVE_LOW | conditions) >>> 0),
    dr7: vcpu.virtual.processor.state.get64(Word.DR7),
  };
}

/** What user space has asked for, before the guest is entered; null to enter. */
export function requestedExit(vcpu: Vcpu): KvmExit | null {
  const { user, vm } = vcpu;
  if (user === null) return null;
  if (user.stepped) {
    user.stepped = false;
    return debugExit(vcpu, Vector.DB, DR6_BS);
  }
  if (user.leave !== 'none') return { reason: 'INTR', cause: user.leave };
  if (user.awaitsInit && vcpu.state.mpState !== 'uninitialized') {
    user.awaitsInit = false;
    return { reason: 'INTR', cause: 'initialized' };
  }
  if (user.windowRequested && !vm.hasIrqchip && isReadyForInterrupt(vcpu)) {
    return { reason: 'IRQ_WINDOW_OPEN' };
  }
  if (isSingleStepping(vcpu)) prepareStep(vcpu);
  return null;
}

/** The debugger's trap flag, without the shadow that would have to come with a pending trap. */
function prepareStep(vcpu: Vcpu): void {
  const { words } = vcpu.virtual.processor.state;
  words[Word.RFLAGS] |= Rflags.TF;
  words[Word.INTERRUPTIBILITY] &= ~SHADOWS;
}

/** `ready_for_interrupt_injection`: KVM_INTERRUPT would be taken at the next entry. */
export function isReadyForInterrupt(vcpu: Vcpu): boolean {
  const { state, vm } = vcpu;
  if (vm.hasIrqchip) return true;
  return vcpu.interruptAllowed && state.reinject === null && state.exception === null;
}

/** The guest's own breakpoints, which a debugger may have put aside. */
export function guestBreakpoints(vcpu: Vcpu): BreakpointRegisters {
  if (vcpu.user !== null && vcpu.user.guestBreakpoints !== null) return vcpu.user.guestBreakpoints;
  return readBreakpoints(vcpu);
}

function readBreakpoints({ virtual }: Vcpu): BreakpointRegisters {
  const { state } = virtual.processor;
  const [a, b, c, d] = ADDRESS_WORDS.map((word) => state.get64(word));
  return { addresses: [a, b, c, d], dr7: state.get64(Word.DR7) };
}

function writeBreakpoints({ virtual }: Vcpu, { addresses, dr7 }: BreakpointRegisters): void {
  const { processor } = virtual;
  ADDRESS_WORDS.forEach((word, i) => {
    processor.state.set64(word, addresses[i]);
  });
  processor.state.set64(Word.DR7, dr7);
  processor.updateBreakpoints();
}

/** Change the guest's own breakpoints, wherever they are kept. */
export function setGuestBreakpoints(vcpu: Vcpu, registers: BreakpointRegisters): void {
  if (vcpu.user === null || vcpu.user.guestBreakpoints === null) writeBreakpoints(vcpu, registers);
  else vcpu.user.guestBreakpoints = registers;
}

/** Put a debugger's breakpoints into the registers, or with null the guest's own back. */
export function lendBreakpoints(vcpu: Vcpu, registers: BreakpointRegisters | null): void {
  const { user } = vcpu;
  if (user === null) return;
  const own = guestBreakpoints(vcpu);
  user.guestBreakpoints = registers === null ? null : own;
  writeBreakpoints(vcpu, registers ?? own);
}

// The rest of a vCPU's state by the API's structures: floating point, local APIC, pending events,
// debug registers, multiprocessing state. Linux arch/x86/kvm/x86.c,
// kvm_vcpu_ioctl_x86_set_vcpu_events, kvm_vcpu_ioctl_x86_set_debugregs and
// kvm_arch_vcpu_ioctl_set_mpstate; lapic.c, kvm_apic_set_state.

import Long from 'long';
import { Blocking, EventTypes, Vector, Word } from '../cpu/index.ts';
import { guestBreakpoints, setGuestBreakpoints, takeQueuedNmis, type Vcpu } from '../kvm/index.ts';
import { Stale } from '../vmx/index.ts';
import { require } from './errors.ts';
import { KVM_MP_STATE, type KvmDebugregs, type KvmFpu, type KvmVcpuEvents } from './structures.ts';

const FPR_BYTES = 16;
const XMM_COUNT = 16;
const MXCSR_MASK = 0xffff;

function bytesOf(low: Long, high: Long): Uint8Array {
  return Uint8Array.from([...low.toBytesLE(), ...high.toBytesLE()]);
}

function halvesOf(bytes: Uint8Array): readonly [low: Long, high: Long] {
  const padded = [...bytes, ...new Array(FPR_BYTES).fill(0)].slice(0, FPR_BYTES);
  return [Long.fromBytesLE(padded.slice(0, 8)), Long.fromBytesLE(padded.slice(8))];
}

/** Registers of the FPU are given from the top of its stack, as FXSAVE stores them. */
export function readFpu(vcpu: Vcpu): KvmFpu {
  const { state } = vcpu.virtual.processor;
  const top = (state.get('fsw').low >> 11) & 7;
  const stack = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => (top + i) & 7);
  return {
    fpr: stack.map((n) =>
      bytesOf(state.get(`fpr${n}Significand`), state.get(`fpr${n}Exponent`).and(0xffff)),
    ),
    fcw: state.get('fcw').low,
    fsw: state.get('fsw').low,
    ftwx: state.get('ftw').low & 0xff,
    lastOpcode: state.get('fop').low,
    lastIp: state.get('fip').toUnsigned(),
    lastDp: state.get('fdp').toUnsigned(),
    xmm: Array.from({ length: XMM_COUNT }, (_, n) =>
      bytesOf(state.get(`xmm${n}Low`), state.get(`xmm${n}High`)),
    ),
    mxcsr: state.get('mxcsr').low,
  };
}

export function writeFpu(vcpu: Vcpu, fpu: KvmFpu): void {
  const { state } = vcpu.virtual.processor;
  const top = (fpu.fsw >> 11) & 7;
  fpu.fpr.forEach((bytes, i) => {
    const n = (top + i) & 7;
    const [significand, exponent] = halvesOf(bytes);
    state.set(`fpr${n}Significand`, significand);
    state.set(`fpr${n}Exponent`, exponent.and(0xffff));
  });
  fpu.xmm.forEach((bytes, n) => {
    const [low, high] = halvesOf(bytes);
    state.set(`xmm${n}Low`, low);
    state.set(`xmm${n}High`, high);
  });
  const words = { fcw: fpu.fcw, fsw: fpu.fsw, ftw: fpu.ftwx & 0xff, fop: fpu.lastOpcode };
  for (const [name, value] of Object.entries(words)) state.set(name, Long.fromInt(value));
  state.set('fip', fpu.lastIp);
  state.set('fdp', fpu.lastDp);
  state.set('mxcsr', Long.fromInt(fpu.mxcsr & MXCSR_MASK));
}

const SHADOW_MOV_SS = 1;
const SHADOW_STI = 2;
const Valid = { NMI_PENDING: 1, SIPI_VECTOR: 2, SHADOW: 4, SMM: 8 } as const;
const VALID_FLAGS = Object.values(Valid).reduce((mask, bit) => mask | bit, 0);
const HAS_ERROR_CODE = 1 << 11;
const EXCEPTION_COUNT = 32;

export function readEvents(vcpu: Vcpu): KvmVcpuEvents {
  takeQueuedNmis(vcpu);
  const { state, virtual } = vcpu;
  const { words } = virtual.processor.state;
  const blocking = words[Word.INTERRUPTIBILITY];
  const type = state.reinject === null ? -1 : (state.reinject.information >> 8) & 7;
  const isException =
    type === EventTypes.HARDWARE_EXCEPTION || type > EventTypes.SOFTWARE_INTERRUPT;
  const isSoft = type === EventTypes.SOFTWARE_INTERRUPT;
  const isInterrupt = type === EventTypes.EXTERNAL_INTERRUPT || isSoft;
  const exception = isException ? state.reinject : state.exception;
  const information = exception?.information ?? 0;
  return {
    exception: {
      injected: isException ? 1 : 0,
      pending: !isException && exception !== null ? 1 : 0,
      nr: information & 0xff,
      hasErrorCode: (information & HAS_ERROR_CODE) === 0 ? 0 : 1,
      errorCode: exception?.errorCode ?? 0,
    },
    interrupt: {
      injected: isInterrupt ? 1 : 0,
      nr: isInterrupt ? (state.reinject?.information ?? 0) & 0xff : 0,
      soft: isSoft ? 1 : 0,
      shadow:
        ((blocking & Blocking.MOV_SS) === 0 ? 0 : SHADOW_MOV_SS) |
        ((blocking & Blocking.STI) === 0 ? 0 : SHADOW_STI),
    },
    nmi: {
      injected: type === EventTypes.NMI ? 1 : 0,
      pending: state.nmiPending > 0 ? 1 : 0,
      masked: (blocking & Blocking.NMI) === 0 ? 0 : 1,
    },
    sipiVector: 0,
    flags: Valid.NMI_PENDING | Valid.SHADOW,
  };
}

export function writeEvents(vcpu: Vcpu, events: KvmVcpuEvents): void {
  const call = 'KVM_SET_VCPU_EVENTS';
  const { exception, interrupt, nmi, flags } = events;
  const check = (holds: boolean, detail: string) => require(holds, call, 'EINVAL', detail);
  check((flags & ~VALID_FLAGS) === 0, 'flags that are not known');
  const isNmi = exception.nr === Vector.NMI;
  const hasException = exception.injected !== 0 || exception.pending !== 0;
  check(!hasException || (exception.nr < EXCEPTION_COUNT && !isNmi), 'not an exception vector');
  check((flags & Valid.SMM) === 0, 'there is no system-management mode');
  const { state, virtual } = vcpu;
  const { words } = virtual.processor.state;
  const event = (vector: number, type: number, errorCode: number | null) => ({
    information: vector | (type << 8) | (errorCode === null ? 0 : HAS_ERROR_CODE),
    errorCode: errorCode ?? 0,
    instructionLengthBytes: 0,
  });
  const errorCode = exception.hasErrorCode === 0 ? null : exception.errorCode;
  const own = event(exception.nr, EventTypes.HARDWARE_EXCEPTION, errorCode);
  state.exception = exception.injected === 0 && exception.pending !== 0 ? own : null;
  state.reinject = null;
  if (exception.injected !== 0) state.reinject = own;
  else if (interrupt.injected !== 0) {
    const isSoft = interrupt.soft !== 0;
    const type = isSoft ? EventTypes.SOFTWARE_INTERRUPT : EventTypes.EXTERNAL_INTERRUPT;
    state.reinject = event(interrupt.nr & 0xff, type, null);
  } else if (nmi.injected !== 0) state.reinject = event(Vector.NMI, EventTypes.NMI, null);
  let blocking = words[Word.INTERRUPTIBILITY] & ~Blocking.NMI;
  if (nmi.masked !== 0) blocking |= Blocking.NMI;
  if ((flags & Valid.SHADOW) !== 0) {
    blocking &= ~(Blocking.MOV_SS | Blocking.STI);
    if ((interrupt.shadow & SHADOW_MOV_SS) !== 0) blocking |= Blocking.MOV_SS;
    else if ((interrupt.shadow & SHADOW_STI) !== 0) blocking |= Blocking.STI;
  }
  words[Word.INTERRUPTIBILITY] = blocking;
  if ((flags & Valid.NMI_PENDING) !== 0) state.nmiPending = nmi.pending & 0xff;
  if ((flags & Valid.SIPI_VECTOR) !== 0 && vcpu.vm.hasIrqchip) {
    state.sipiVector = events.sipiVector;
  }
  vcpu.requestEvent();
}

export function readDebugregs(vcpu: Vcpu): KvmDebugregs<Long> {
  const { addresses, dr7 } = guestBreakpoints(vcpu);
  const [a, b, c, d] = addresses.map((value) => value.toUnsigned());
  const dr6 = vcpu.virtual.processor.state.get64(Word.DR6).toUnsigned();
  return { db: [a, b, c, d], dr6, dr7: dr7.toUnsigned(), flags: 0 };
}

export function writeDebugregs(vcpu: Vcpu, given: KvmDebugregs): void {
  const call = 'KVM_SET_DEBUGREGS';
  const [a, b, c, d] = given.db.map((value) => Long.fromValue(value));
  const dr6 = Long.fromValue(given.dr6);
  const dr7 = Long.fromValue(given.dr7);
  require(given.flags === 0, call, 'EINVAL', 'flags that are not known');
  require(dr6.high === 0 && dr7.high === 0, call, 'EINVAL', 'DR6 and DR7 have 32 bits');
  vcpu.virtual.processor.state.set64(Word.DR6, Long.fromBits(dr6.low | DR6_FIXED, 0));
  const fixed = Long.fromBits((dr7.low & ~DR7_CLEAR) | DR7_FIXED, 0);
  setGuestBreakpoints(vcpu, { addresses: [a, b, c, d], dr7: fixed });
  vcpu.virtual.vmcs.makeStale(Stale.GUEST);
}

const DR6_FIXED = 0xffff0ff0 | 0;
const DR7_FIXED = 0x400;
const DR7_CLEAR = 0xd000;

const MP_STATES = {
  runnable: KVM_MP_STATE.RUNNABLE,
  uninitialized: KVM_MP_STATE.UNINITIALIZED,
  initReceived: KVM_MP_STATE.INIT_RECEIVED,
  halted: KVM_MP_STATE.HALTED,
} as const;

export function readMpState({ state }: Vcpu): number {
  if (state.mpState === 'halted' && state.pvUnhalted) return KVM_MP_STATE.RUNNABLE;
  return MP_STATES[state.mpState];
}

export function writeMpState(vcpu: Vcpu, mpState: number): void {
  const call = 'KVM_SET_MP_STATE';
  const isRunnable = mpState === KVM_MP_STATE.RUNNABLE;
  require(isRunnable || vcpu.vm.hasIrqchip, call, 'EINVAL', 'without irqchip only RUNNABLE');
  const { state } = vcpu;
  if (mpState === KVM_MP_STATE.SIPI_RECEIVED) {
    state.mpState = 'initReceived';
    state.sipiVector ??= 0;
  } else {
    const names = Object.entries(MP_STATES) as [keyof typeof MP_STATES, number][];
    const found = names.find(([, number]) => number === mpState);
    require(found !== undefined, call, 'EINVAL', `${mpState} is no state of an x86 vCPU`);
    state.mpState = found[0];
  }
  vcpu.requestEvent();
}

// KVM_GET_PIT2 and KVM_SET_PIT2: the interval timer as struct kvm_pit_state2 has it. Linux
// arch/x86/kvm/x86.c, kvm_vm_ioctl_get_pit2 and kvm_vm_ioctl_set_pit2; i8254.c.

import Long from 'long';
import { type Irqchip, PIT_UNSET_MODE, type PitCounterState } from '../kvm/index.ts';
import { require } from './errors.ts';
import type { KvmPitChannelState, KvmPitState2 } from './structures.ts';

const CHANNELS = 3;
/** What a counter counts that nothing was written to, or 0. */
const WHOLE = 0x10000;
const ACCESS_BOTH = 3;
/** `readState` and `writeState` when the high byte comes next. */
const HIGH_BYTE_NEXT = 4;
/** `countLatched` when the low byte of a latched count has been read. */
const LATCHED_HIGH = 2;

/** Flag of KVM_CREATE_PIT2: port 61H is the kernel's. */
export const KVM_PIT_SPEAKER_DUMMY = 1;

/** KVM_PIT_FLAGS_*. */
export const KVM_PIT_FLAG = { HPET_LEGACY: 1 << 0, SPEAKER_DATA_ON: 1 << 1 } as const;

export function readPitState(irqchip: Irqchip): KvmPitState2<Long> {
  const { counters, speaker } = irqchip.state.pit;
  return {
    channels: counters.map(channelOf),
    flags: (speaker & SPEAKER_DATA) === 0 ? 0 : KVM_PIT_FLAG.SPEAKER_DATA_ON,
  };
}

/** Bit 1 of port 61H. */
const SPEAKER_DATA = 2;

/** Every counter begins anew with its count. */
export function writePitState(irqchip: Irqchip, state: KvmPitState2, nowNs: number): void {
  const call = 'KVM_SET_PIT2';
  const { channels, flags = 0 } = state;
  require(channels.length ===
    CHANNELS, call, 'EFAULT', 'the states of three channels are expected');
  const isHpet = (flags & KVM_PIT_FLAG.HPET_LEGACY) !== 0;
  require(!isHpet, call, 'EINVAL', 'there is no HPET that could take the timer’s place');
  const { pit } = irqchip.state;
  for (const [i, channel] of channels.entries()) {
    Object.assign(pit.counters[i], counterOf(channel, nowNs));
  }
  const data = (flags & KVM_PIT_FLAG.SPEAKER_DATA_ON) === 0 ? 0 : SPEAKER_DATA;
  pit.speaker = (pit.speaker & ~SPEAKER_DATA) | data;
}

function channelOf(counter: PitCounterState): KvmPitChannelState<Long> {
  const { mode, access, reload, readsHigh, pendingLow, latchedCount, latchedStatus } = counter;
  const isBoth = access === ACCESS_BOTH;
  const isLatched = latchedCount >= 0;
  // A counter that nothing was written to has no access mode yet.
  const rwMode = mode === PIT_UNSET_MODE ? 0 : access;
  const latched = isBoth && readsHigh ? LATCHED_HIGH : access;
  return {
    count: reload === 0 ? WHOLE : reload,
    latchedCount: isLatched ? latchedCount : 0,
    countLatched: isLatched ? latched : 0,
    statusLatched: latchedStatus >= 0 ? 1 : 0,
    status: latchedStatus >= 0 ? latchedStatus : 0,
    readState: isBoth && readsHigh && !isLatched ? HIGH_BYTE_NEXT : rwMode,
    writeState: isBoth && pendingLow >= 0 ? HIGH_BYTE_NEXT : rwMode,
    writeLatch: pendingLow >= 0 ? pendingLow : 0,
    rwMode,
    mode,
    bcd: counter.bcd ? 1 : 0,
    gate: counter.gate ? 1 : 0,
    countLoadTime: Long.fromNumber(Math.floor((counter.sinceNs ?? 0) - counter.countedNs)),
  };
}

function counterOf(channel: KvmPitChannelState, nowNs: number): PitCounterState {
  const { count, rwMode, mode, countLatched } = channel;
  const access = rwMode === 0 ? ACCESS_BOTH : rwMode & ACCESS_BOTH;
  const isBoth = access === ACCESS_BOTH;
  const gate = channel.gate !== 0;
  const isHighNext = countLatched !== 0 ? countLatched === LATCHED_HIGH : channel.readState === 4;
  return {
    mode,
    access,
    gate,
    bcd: channel.bcd !== 0,
    // Nothing counts that has no mode.
    reload: mode > 5 ? 0 : (count & 0xffff) === 0 ? WHOLE : count & 0xffff,
    countedNs: 0,
    sinceNs: gate ? nowNs : null,
    pendingLow: isBoth && channel.writeState === HIGH_BYTE_NEXT ? channel.writeLatch : -1,
    readsHigh: isBoth && isHighNext,
    latchedCount: countLatched === 0 ? -1 : channel.latchedCount,
    latchedStatus: channel.statusLatched === 0 ? -1 : channel.status,
  };
}

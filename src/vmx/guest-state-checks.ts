// Checks on guest RIP, RFLAGS and non-register state. SDM 3, "Checks on the Guest-State Area". They
// are made at every entry: hosts write these fields all the time, and guests change them.

import Long from 'long';
import {
  Activity,
  Blocking,
  Cr0,
  EventTypes,
  PendingDebug,
  Rflags,
  Rights,
  Vector,
} from '../cpu/index.ts';
import {
  activity,
  check,
  csRights,
  type EntryCheck,
  eventType,
  eventVector,
  guestCr0,
  implies,
  interruptibility,
  isLongModeGuest,
  isValid,
  isVirtual8086Guest,
  pin,
  rflags,
  ssRights,
  wide,
} from './check.ts';
import { Pin } from './controls.ts';
import { OTHER_EVENT } from './exit-information.ts';
import { VIRTUAL_8086_CHECKS } from './guest-segment-checks.ts';

const RIP_SECTION = 'Checks on Guest RIP, RFLAGS, and SSP';
const STATE_SECTION = 'Checks on Guest Non-Register State';

const RFLAGS_RESERVED = ~0x003f7fd7;

/** B0 to B3, enabled breakpoint, BS; neither bus locks nor RTM are offered. */
const PENDING_DEBUG_DEFINED =
  PendingDebug.BREAKPOINTS | PendingDebug.ENABLED_BREAKPOINT | PendingDebug.BS;

const rip = wide('GUEST_RIP');
const wideRflags = wide('GUEST_RFLAGS');
const pendingDebug = wide('GUEST_PENDING_DBG_EXCEPTIONS');

const BOTH_SHADOWS = Blocking.STI | Blocking.MOV_SS;

export const EVERY_ENTRY_CHECKS: readonly EntryCheck[] = [
  check(
    'guest',
    RIP_SECTION,
    'RIP[63:48] are equal (bit 47 may differ), and RIP[63:32] is 0 outside 64-bit mode',
    ['GUEST_RIP', 'GUEST_CS_AR_BYTES', 'VM_ENTRY_CONTROLS'],
    (v) => {
      const { high } = rip(v);
      if (!isLongModeGuest(v) || (csRights(v) & Rights.L) === 0) return high === 0;
      return high >> 16 === 0 || high >> 16 === -1;
    },
  ),
  check(
    'guest',
    RIP_SECTION,
    'reserved bits of RFLAGS are 0 and bit 1 is 1',
    ['GUEST_RFLAGS'],
    (v) => {
      const { low, high } = wideRflags(v);
      return high === 0 && (low & RFLAGS_RESERVED) === 0 && (low & Rflags.FIXED) !== 0;
    },
  ),
  check(
    'guest',
    RIP_SECTION,
    'RFLAGS.VM is 0 in IA-32e mode and in real mode',
    ['GUEST_RFLAGS', 'VM_ENTRY_CONTROLS', 'GUEST_CR0'],
    (v) => implies(isVirtual8086Guest(v), !isLongModeGuest(v) && (guestCr0(v) & Cr0.PE) !== 0),
  ),
  ...VIRTUAL_8086_CHECKS,
  check(
    'guest',
    RIP_SECTION,
    'RFLAGS.IF is 1 when an external interrupt is injected',
    ['GUEST_RFLAGS', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) =>
      implies(
        isValid(v) && eventType(v) === EventTypes.EXTERNAL_INTERRUPT,
        (rflags(v) & Rflags.IF) !== 0,
      ),
  ),
  check(
    'guest',
    STATE_SECTION,
    'the activity state is one of 0 to 3, and HLT only with CPL 0',
    ['GUEST_ACTIVITY_STATE', 'GUEST_SS_AR_BYTES'],
    (v) =>
      activity(v) >>> 0 <= Activity.WAIT_FOR_SIPI &&
      (activity(v) !== Activity.HLT || ((ssRights(v) >> Rights.DPL_SHIFT) & 3) === 0),
  ),
  check(
    'guest',
    STATE_SECTION,
    'no blocking by STI or MOV SS outside the active state',
    ['GUEST_ACTIVITY_STATE', 'GUEST_INTERRUPTIBILITY_INFO'],
    (v) => implies(activity(v) !== Activity.ACTIVE, (interruptibility(v) & BOTH_SHADOWS) === 0),
  ),
  check(
    'guest',
    STATE_SECTION,
    'into HLT only external interrupts, NMIs, #DB, #MC and a pending MTF VM exit are injected',
    ['GUEST_ACTIVITY_STATE', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) => {
      const type = eventType(v);
      const isException = type === EventTypes.HARDWARE_EXCEPTION;
      const allowed =
        type === EventTypes.EXTERNAL_INTERRUPT ||
        type === EventTypes.NMI ||
        (type === OTHER_EVENT && eventVector(v) === 0) ||
        (isException && (eventVector(v) === Vector.DB || eventVector(v) === Vector.MC));
      return implies(isValid(v) && activity(v) === Activity.HLT, allowed);
    },
  ),
  check(
    'guest',
    STATE_SECTION,
    'into shutdown only NMIs and #MC are injected, and nothing into the wait for a start-up IPI',
    ['GUEST_ACTIVITY_STATE', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) => {
      if (!isValid(v)) return true;
      const type = eventType(v);
      const isMachineCheck = type === EventTypes.HARDWARE_EXCEPTION && eventVector(v) === Vector.MC;
      const entersShutdown = type === EventTypes.NMI || isMachineCheck;
      return (
        activity(v) !== Activity.WAIT_FOR_SIPI &&
        implies(activity(v) === Activity.SHUTDOWN, entersShutdown)
      );
    },
  ),
  check(
    'guest',
    STATE_SECTION,
    'interruptibility has no reserved bit, and blocking by STI excludes that by MOV SS',
    ['GUEST_INTERRUPTIBILITY_INFO'],
    (v) =>
      (interruptibility(v) & ~(BOTH_SHADOWS | Blocking.NMI)) === 0 &&
      (interruptibility(v) & BOTH_SHADOWS) !== BOTH_SHADOWS,
  ),
  check(
    'guest',
    STATE_SECTION,
    'blocking by STI needs RFLAGS.IF',
    ['GUEST_INTERRUPTIBILITY_INFO', 'GUEST_RFLAGS'],
    (v) => implies((interruptibility(v) & Blocking.STI) !== 0, (rflags(v) & Rflags.IF) !== 0),
  ),
  check(
    'guest',
    STATE_SECTION,
    'no blocking by STI or MOV SS when an external interrupt is injected',
    ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) =>
      implies(
        isValid(v) && eventType(v) === EventTypes.EXTERNAL_INTERRUPT,
        (interruptibility(v) & BOTH_SHADOWS) === 0,
      ),
  ),
  check(
    'guest',
    STATE_SECTION,
    'no blocking by MOV SS, nor by virtual NMI, when an NMI is injected',
    ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD', 'PIN_BASED_VM_EXEC_CONTROL'],
    (v) => {
      if (!isValid(v) || eventType(v) !== EventTypes.NMI) return true;
      const virtual = (pin(v) & Pin.VIRTUAL_NMIS) !== 0 ? Blocking.NMI : 0;
      return (interruptibility(v) & (Blocking.MOV_SS | virtual)) === 0;
    },
  ),
  check(
    'guest',
    STATE_SECTION,
    'reserved bits of the pending debug exceptions are 0',
    ['GUEST_PENDING_DBG_EXCEPTIONS'],
    (v) => {
      const { low, high } = pendingDebug(v);
      return high === 0 && (low & ~PENDING_DEBUG_DEFINED) === 0;
    },
  ),
  check(
    'guest',
    STATE_SECTION,
    'under blocking by STI or MOV SS and in HLT, a single step is pending (BS) exactly with TF',
    [
      'GUEST_PENDING_DBG_EXCEPTIONS',
      'GUEST_INTERRUPTIBILITY_INFO',
      'GUEST_ACTIVITY_STATE',
      'GUEST_RFLAGS',
    ],
    (v) => {
      const isHeld = (interruptibility(v) & BOTH_SHADOWS) !== 0 || activity(v) === Activity.HLT;
      const isPending = (pendingDebug(v).low & PendingDebug.BS) !== 0;
      return implies(isHeld, isPending === ((rflags(v) & Rflags.TF) !== 0));
    },
  ),
];

export const LINK_POINTER_CHECK = check(
  'guest',
  STATE_SECTION,
  'the VMCS link pointer is all ones (shadowing is not offered)',
  ['VMCS_LINK_POINTER'],
  (v) => v.read('VMCS_LINK_POINTER').eq(Long.NEG_ONE),
  4,
);

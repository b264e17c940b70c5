// Checks on the guest-state area. SDM 3, "Checks on the Guest-State Area".

import Long from 'long';
import {
  Activity,
  Blocking,
  CR4_ALLOWED,
  Cr0,
  Cr4,
  Efer,
  EventTypes,
  isCanonical,
  isPatValid,
  PHYSICAL_ADDRESS_BITS,
  Rflags,
  Rights,
} from '../cpu/index.ts';
import {
  activity,
  check,
  csRights,
  type EntryCheck,
  entryControls,
  eventType,
  eventVector,
  implies,
  interruptibility,
  isValid,
  pin,
  rflags,
  ssRights,
  wide,
} from './check.ts';
import { EntryControl, Pin } from './controls.ts';
import { CR0_FIXED_1, CR4_FIXED_1 } from './fixed-bits.ts';

const GUEST_CONTROL_SECTION = 'Checks on Guest Control Registers, Debug Registers, and MSRs';
const GUEST_SEGMENT_SECTION = 'Checks on Guest Segment Registers';
const GUEST_NONREGISTER_SECTION = 'Checks on Guest Non-Register State';
const GUEST_RIP_SECTION = 'Checks on Guest RIP, RFLAGS, and SSP';

const guestCr0 = wide('GUEST_CR0');
const guestCr4 = wide('GUEST_CR4');
const guestEfer = wide('GUEST_IA32_EFER');

export const GUEST_CONTROL_CHECKS: readonly EntryCheck[] = [
  check(
    'guest',
    GUEST_CONTROL_SECTION,
    'CR0 has the fixed bits',
    ['GUEST_CR0'],
    (v) => (guestCr0(v).low & CR0_FIXED_1) === CR0_FIXED_1 && guestCr0(v).high === 0,
  ),
  check('guest', GUEST_CONTROL_SECTION, 'CR4 has the fixed bits', ['GUEST_CR4'], (v) => {
    const cr4 = guestCr4(v);
    return (
      (cr4.low & CR4_FIXED_1) === CR4_FIXED_1 && (cr4.low & ~CR4_ALLOWED) === 0 && cr4.high === 0
    );
  }),
  check(
    'guest',
    GUEST_CONTROL_SECTION,
    'an IA-32e mode guest has CR0.PG and CR4.PAE set',
    ['VM_ENTRY_CONTROLS', 'GUEST_CR0', 'GUEST_CR4'],
    (v) =>
      implies(
        (entryControls(v) & EntryControl.IA32E_MODE) !== 0,
        (guestCr0(v).low & Cr0.PG) !== 0 && (guestCr4(v).low & Cr4.PAE) !== 0,
      ),
  ),
  check(
    'guest',
    GUEST_CONTROL_SECTION,
    'CR3 is within the physical-address width',
    ['GUEST_CR3'],
    (v) => v.read('GUEST_CR3').shru(PHYSICAL_ADDRESS_BITS).isZero(),
  ),
  check(
    'guest',
    GUEST_CONTROL_SECTION,
    'with "load debug controls", DR7[63:32] is 0',
    ['GUEST_DR7'],
    (v) =>
      implies(
        (entryControls(v) & EntryControl.LOAD_DEBUG_CONTROLS) !== 0,
        v.read('GUEST_DR7').high === 0,
      ),
  ),
  ...(['GUEST_SYSENTER_ESP', 'GUEST_SYSENTER_EIP'] as const).map((name) =>
    check('guest', GUEST_CONTROL_SECTION, 'the address is canonical', [name], (v) =>
      isCanonical(v.read(name).high),
    ),
  ),
  check(
    'guest',
    GUEST_CONTROL_SECTION,
    'with "load IA32_PAT", memory types are valid',
    ['GUEST_IA32_PAT'],
    (v) =>
      implies(
        (entryControls(v) & EntryControl.LOAD_IA32_PAT) !== 0,
        isPatValid(v.read('GUEST_IA32_PAT')),
      ),
  ),
  check(
    'guest',
    GUEST_CONTROL_SECTION,
    'with "load IA32_EFER", LMA equals "IA-32e mode guest" and LME',
    ['GUEST_IA32_EFER', 'VM_ENTRY_CONTROLS'],
    (v) => {
      if ((entryControls(v) & EntryControl.LOAD_IA32_EFER) === 0) return true;
      const { low, high } = guestEfer(v);
      const long = (entryControls(v) & EntryControl.IA32E_MODE) !== 0;
      const known = Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE;
      const consistent = ((low & Efer.LMA) !== 0) === long && ((low & Efer.LME) !== 0) === long;
      return high === 0 && (low & ~known) === 0 && consistent;
    },
  ),
];

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const;

const isUsable = (rights: number) => (rights & Rights.UNUSABLE) === 0;

export const GUEST_SEGMENT_CHECKS: readonly EntryCheck[] = [
  check(
    'guest',
    GUEST_SEGMENT_SECTION,
    'TR is usable, a busy TSS, and present',
    ['GUEST_TR_AR_BYTES'],
    (v) => {
      const rights = v.read('GUEST_TR_AR_BYTES').low;
      return isUsable(rights) && (rights & 0x9f) === 0x8b;
    },
  ),
  check(
    'guest',
    GUEST_SEGMENT_SECTION,
    'CS is present code',
    ['GUEST_CS_AR_BYTES'],
    (v) => [9, 11, 13, 15].includes(csRights(v) & 15) && (csRights(v) & 0x90) === 0x90,
  ),
  check(
    'guest',
    GUEST_SEGMENT_SECTION,
    'CS does not have both L and D',
    ['GUEST_CS_AR_BYTES'],
    (v) => implies((csRights(v) & Rights.L) !== 0, (csRights(v) & Rights.DB) === 0),
  ),
  check(
    'guest',
    GUEST_SEGMENT_SECTION,
    'the DPL of CS equals that of SS, or is lower if CS is conforming',
    ['GUEST_CS_AR_BYTES', 'GUEST_SS_AR_BYTES'],
    (v) => {
      const cs = (csRights(v) >> Rights.DPL_SHIFT) & 3;
      const ss = (ssRights(v) >> Rights.DPL_SHIFT) & 3;
      return (csRights(v) & 15) >= 13 ? cs <= ss : cs === ss;
    },
  ),
  check(
    'guest',
    GUEST_SEGMENT_SECTION,
    'SS is writable data if usable',
    ['GUEST_SS_AR_BYTES'],
    (v) => implies(isUsable(ssRights(v)), [3, 7].includes(ssRights(v) & 15)),
  ),
  check(
    'guest',
    GUEST_SEGMENT_SECTION,
    'the RPLs of SS and CS are equal, and that of SS is its DPL',
    ['GUEST_SS_SELECTOR', 'GUEST_CS_SELECTOR', 'GUEST_SS_AR_BYTES'],
    (v) => {
      const ss = v.read('GUEST_SS_SELECTOR').low & 3;
      const dpl = (ssRights(v) >> Rights.DPL_SHIFT) & 3;
      return ss === (v.read('GUEST_CS_SELECTOR').low & 3) && ss === dpl;
    },
  ),
  ...(['ES', 'DS', 'FS', 'GS'] as const).map((segment) => {
    const name = `GUEST_${segment}_AR_BYTES` as const;
    return check(
      'guest',
      GUEST_SEGMENT_SECTION,
      'accessed, readable and present if usable',
      [name],
      (v) => {
        const rights = v.read(name).low;
        const readable = implies((rights & 8) !== 0, (rights & 2) !== 0);
        return implies(isUsable(rights), (rights & 0x91) === 0x91 && readable);
      },
    );
  }),
  ...(['FS', 'GS', 'TR'] as const).map((segment) => {
    const name = `GUEST_${segment}_BASE` as const;
    return check('guest', GUEST_SEGMENT_SECTION, 'the base is canonical', [name], (v) =>
      isCanonical(v.read(name).high),
    );
  }),
  ...SEGMENTS.map((segment) => {
    const name = `GUEST_${segment}_AR_BYTES` as const;
    const limitName = `GUEST_${segment}_LIMIT` as const;
    return check(
      'guest',
      GUEST_SEGMENT_SECTION,
      'reserved access-right bits are 0 and granularity fits the limit, if usable',
      [name, limitName],
      (v) => {
        const rights = v.read(name).low;
        const limit = v.read(limitName).low;
        const granular = (rights & Rights.G) !== 0;
        const fits =
          implies((limit & 0xfff) !== 0xfff, !granular) && implies(limit >>> 20 !== 0, granular);
        return implies(isUsable(rights), (rights & 0xfffe0f00) === 0 && fits);
      },
    );
  }),
  ...(['GDTR', 'IDTR'] as const).map((table) => {
    const base = `GUEST_${table}_BASE` as const;
    const limit = `GUEST_${table}_LIMIT` as const;
    return check(
      'guest',
      'Checks on Guest Descriptor-Table Registers',
      'the base is canonical and the limit has 16 bits',
      [base, limit],
      (v) => isCanonical(v.read(base).high) && v.read(limit).low >>> 16 === 0,
    );
  }),
];

const RFLAGS_RESERVED = ~0x003f7fd7;

const BOTH_SHADOWS = Blocking.STI | Blocking.MOV_SS;

/** Checked at every entry: hosts write these fields all the time. */
export const EVERY_ENTRY_CHECKS: readonly EntryCheck[] = [
  check(
    'guest',
    GUEST_RIP_SECTION,
    'RIP[63:47] is a sign extension, and RIP[63:32] is 0 outside 64-bit mode',
    ['GUEST_RIP', 'GUEST_CS_AR_BYTES'],
    (v) => {
      const { high } = v.read('GUEST_RIP');
      return (csRights(v) & Rights.L) !== 0 ? isCanonical(high) : high === 0;
    },
  ),
  check(
    'guest',
    GUEST_RIP_SECTION,
    'reserved bits of RFLAGS are 0 and bit 1 is 1',
    ['GUEST_RFLAGS'],
    (v) => (rflags(v) & RFLAGS_RESERVED) === 0 && (rflags(v) & Rflags.FIXED) !== 0,
  ),
  check(
    'guest',
    GUEST_RIP_SECTION,
    'RFLAGS.VM is 0 in IA-32e mode',
    ['GUEST_RFLAGS'],
    (v) => (rflags(v) & Rflags.VM) === 0,
  ),
  check(
    'guest',
    GUEST_RIP_SECTION,
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
    GUEST_NONREGISTER_SECTION,
    'the activity state is active or HLT, and HLT only with CPL 0',
    ['GUEST_ACTIVITY_STATE', 'GUEST_SS_AR_BYTES'],
    (v) =>
      activity(v) === Activity.ACTIVE ||
      (activity(v) === Activity.HLT && ((ssRights(v) >> Rights.DPL_SHIFT) & 3) === 0),
  ),
  check(
    'guest',
    GUEST_NONREGISTER_SECTION,
    'no blocking by STI or MOV SS outside the active state',
    ['GUEST_ACTIVITY_STATE', 'GUEST_INTERRUPTIBILITY_INFO'],
    (v) => implies(activity(v) !== Activity.ACTIVE, (interruptibility(v) & BOTH_SHADOWS) === 0),
  ),
  check(
    'guest',
    GUEST_NONREGISTER_SECTION,
    'into HLT only external interrupts, NMIs, #DB and #MC are injected',
    ['GUEST_ACTIVITY_STATE', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) => {
      const type = eventType(v);
      const isException = type === EventTypes.HARDWARE_EXCEPTION;
      const allowed =
        type === EventTypes.EXTERNAL_INTERRUPT ||
        type === EventTypes.NMI ||
        (isException && (eventVector(v) === 1 || eventVector(v) === 18));
      return implies(isValid(v) && activity(v) === Activity.HLT, allowed);
    },
  ),
  check(
    'guest',
    GUEST_NONREGISTER_SECTION,
    'interruptibility has no reserved bit, and blocking by STI excludes that by MOV SS',
    ['GUEST_INTERRUPTIBILITY_INFO'],
    (v) =>
      (interruptibility(v) & ~(BOTH_SHADOWS | Blocking.NMI)) === 0 &&
      (interruptibility(v) & BOTH_SHADOWS) !== BOTH_SHADOWS,
  ),
  check(
    'guest',
    GUEST_NONREGISTER_SECTION,
    'blocking by STI needs RFLAGS.IF',
    ['GUEST_INTERRUPTIBILITY_INFO', 'GUEST_RFLAGS'],
    (v) => implies((interruptibility(v) & Blocking.STI) !== 0, (rflags(v) & Rflags.IF) !== 0),
  ),
  check(
    'guest',
    GUEST_NONREGISTER_SECTION,
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
    GUEST_NONREGISTER_SECTION,
    'no blocking by MOV SS, nor by virtual NMI, when an NMI is injected',
    ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) => {
      if (!isValid(v) || eventType(v) !== EventTypes.NMI) return true;
      const virtual = (pin(v) & Pin.VIRTUAL_NMIS) !== 0 ? Blocking.NMI : 0;
      return (interruptibility(v) & (Blocking.MOV_SS | virtual)) === 0;
    },
  ),
];

export const LINK_POINTER_CHECK = check(
  'guest',
  GUEST_NONREGISTER_SECTION,
  'the VMCS link pointer is all ones (shadowing is not offered)',
  ['VMCS_LINK_POINTER'],
  (v) => v.read('VMCS_LINK_POINTER').eq(Long.NEG_ONE),
  4,
);

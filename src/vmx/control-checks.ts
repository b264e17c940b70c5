// Checks on the control fields and on event injection. Controls that are not offered need no line:
// a reserved bit fails first. SDM 3, "Checks on VMX Controls and Host-State Area".

import Long from 'long';
import { Cr0, EventTypes, hasErrorCode, PHYSICAL_ADDRESS_BITS } from '../cpu/index.ts';
import {
  check,
  type EntryCheck,
  eventType,
  eventVector,
  exitControls,
  guestCr0,
  implies,
  injection,
  injectionError,
  injectionLength,
  isPageAligned,
  isUnrestricted,
  isValid,
  pin,
  primary,
  secondary,
  word,
} from './check.ts';
import { CONTROL_WORDS, ExitControl, Pin, Primary, SECONDARY, Secondary } from './controls.ts';
import { OTHER_EVENT } from './exit-information.ts';
import { VIRTUAL_APIC_CHECKS } from './virtual-apic-checks.ts';

const CONTROLS_SECTION = 'VM-Execution Control Fields';
const INJECTION_SECTION = 'VM-Entry Control Fields';

export const CONTROL_CHECKS: readonly EntryCheck[] = [
  ...CONTROL_WORDS.map((control) => {
    const value = word(control.field);
    const isSecondary = control === SECONDARY;
    return check(
      'controls',
      CONTROLS_SECTION,
      'reserved bits have the values that the capability MSRs allow',
      [control.field],
      (vmcs) => {
        if (isSecondary && (primary(vmcs) & Primary.ACTIVATE_SECONDARY_CONTROLS) === 0) return true;
        const bits = value(vmcs);
        return (bits & control.mustBe1) === control.mustBe1 && (bits & ~control.allowed1) === 0;
      },
    );
  }),
  check(
    'controls',
    CONTROLS_SECTION,
    'the CR3-target count is at most 4',
    ['CR3_TARGET_COUNT'],
    (v) => v.read('CR3_TARGET_COUNT').lte(4),
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    'with "use I/O bitmaps", both addresses are page-aligned and within the physical-address width',
    ['CPU_BASED_VM_EXEC_CONTROL', 'IO_BITMAP_A', 'IO_BITMAP_B'],
    (v) =>
      implies(
        (primary(v) & Primary.USE_IO_BITMAPS) !== 0,
        isPageAligned(v.read('IO_BITMAP_A')) && isPageAligned(v.read('IO_BITMAP_B')),
      ),
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    'with "use MSR bitmaps", the address is page-aligned and within the physical-address width',
    ['CPU_BASED_VM_EXEC_CONTROL', 'MSR_BITMAP'],
    (v) =>
      implies((primary(v) & Primary.USE_MSR_BITMAPS) !== 0, isPageAligned(v.read('MSR_BITMAP'))),
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    '"virtual NMIs" needs "NMI exiting"',
    ['PIN_BASED_VM_EXEC_CONTROL'],
    (v) => implies((pin(v) & Pin.VIRTUAL_NMIS) !== 0, (pin(v) & Pin.NMI_EXITING) !== 0),
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    '"NMI-window exiting" needs "virtual NMIs"',
    ['CPU_BASED_VM_EXEC_CONTROL', 'PIN_BASED_VM_EXEC_CONTROL'],
    (v) =>
      implies((primary(v) & Primary.NMI_WINDOW_EXITING) !== 0, (pin(v) & Pin.VIRTUAL_NMIS) !== 0),
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    'with "enable VPID", the VPID is not 0',
    ['SECONDARY_VM_EXEC_CONTROL', 'VIRTUAL_PROCESSOR_ID'],
    (v) =>
      implies(
        (secondary(v) & Secondary.ENABLE_VPID) !== 0,
        !v.read('VIRTUAL_PROCESSOR_ID').isZero(),
      ),
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    'with "enable EPT", the EPT pointer has memory type 0 or 6, 4 levels, and no reserved bit',
    ['SECONDARY_VM_EXEC_CONTROL', 'EPT_POINTER'],
    (v) => {
      if ((secondary(v) & Secondary.ENABLE_EPT) === 0) return true;
      const pointer = v.read('EPT_POINTER');
      const type = pointer.low & 7;
      const reserved = (pointer.low & 0xfc0) !== 0;
      const inRange = pointer.shru(PHYSICAL_ADDRESS_BITS).isZero();
      return (type === 0 || type === 6) && ((pointer.low >> 3) & 7) === 3 && !reserved && inRange;
    },
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    '"unrestricted guest" needs "enable EPT"',
    ['SECONDARY_VM_EXEC_CONTROL'],
    (v) => implies(isUnrestricted(v), (secondary(v) & Secondary.ENABLE_EPT) !== 0),
  ),
  check(
    'controls',
    CONTROLS_SECTION,
    'with "use TSC scaling", the multiplier is not 0',
    ['SECONDARY_VM_EXEC_CONTROL', 'TSC_MULTIPLIER'],
    (v) =>
      implies((secondary(v) & Secondary.TSC_SCALING) !== 0, !v.read('TSC_MULTIPLIER').isZero()),
  ),
  check(
    'controls',
    'VM-Exit Control Fields',
    '"save VMX-preemption timer value" needs "activate VMX-preemption timer"',
    ['VM_EXIT_CONTROLS', 'PIN_BASED_VM_EXEC_CONTROL'],
    (v) =>
      implies(
        (exitControls(v) & ExitControl.SAVE_VMX_PREEMPTION_TIMER) !== 0,
        (pin(v) & Pin.VMX_PREEMPTION_TIMER) !== 0,
      ),
  ),
  ...(['VM_EXIT_MSR_STORE', 'VM_EXIT_MSR_LOAD', 'VM_ENTRY_MSR_LOAD'] as const).map((name) =>
    check(
      'controls',
      name === 'VM_ENTRY_MSR_LOAD' ? INJECTION_SECTION : 'VM-Exit Control Fields',
      'an MSR list that is not empty has 16-byte alignment, and ends within the physical-address width',
      [`${name}_COUNT`, `${name}_ADDR`],
      (v) => {
        const count = v.read(`${name}_COUNT`).low >>> 0;
        const address = v.read(`${name}_ADDR`);
        if (count === 0) return true;
        const last = address.add(Long.fromNumber(16 * count - 1));
        return (address.low & 15) === 0 && last.shru(PHYSICAL_ADDRESS_BITS).isZero();
      },
    ),
  ),
  ...VIRTUAL_APIC_CHECKS,
];

const INJECTION_FIELDS = ['VM_ENTRY_INTR_INFO_FIELD'] as const;

export const INJECTION_CHECKS: readonly EntryCheck[] = [
  check(
    'injection',
    INJECTION_SECTION,
    'the interruption type is not reserved',
    INJECTION_FIELDS,
    (v) => implies(isValid(v), eventType(v) !== 1),
  ),
  check(
    'injection',
    INJECTION_SECTION,
    'an "other event" is a pending MTF VM exit: vector 0',
    INJECTION_FIELDS,
    (v) => implies(isValid(v) && eventType(v) === OTHER_EVENT, eventVector(v) === 0),
  ),
  check(
    'injection',
    INJECTION_SECTION,
    'an NMI has vector 2, a hardware exception a vector of at most 31',
    INJECTION_FIELDS,
    (v) =>
      implies(isValid(v) && eventType(v) === EventTypes.NMI, eventVector(v) === 2) &&
      implies(isValid(v) && eventType(v) === EventTypes.HARDWARE_EXCEPTION, eventVector(v) <= 31),
  ),
  check(
    'injection',
    INJECTION_SECTION,
    'an error code is delivered exactly with exceptions that have one, and not in real mode',
    [...INJECTION_FIELDS, 'GUEST_CR0'],
    (v) => {
      if (!isValid(v)) return true;
      const delivers = (injection(v) & (1 << 11)) !== 0;
      const isException = eventType(v) === EventTypes.HARDWARE_EXCEPTION;
      const isReal = isUnrestricted(v) && (guestCr0(v) & Cr0.PE) === 0;
      return delivers === (isException && hasErrorCode(eventVector(v)) && !isReal);
    },
  ),
  check('injection', INJECTION_SECTION, 'bits 30:12 are 0', INJECTION_FIELDS, (v) =>
    implies(isValid(v), (injection(v) & 0x7ffff000) === 0),
  ),
  check(
    'injection',
    INJECTION_SECTION,
    'the error code has 16 bits',
    ['VM_ENTRY_EXCEPTION_ERROR_CODE', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) => implies(isValid(v) && (injection(v) & (1 << 11)) !== 0, injectionError(v) >>> 16 === 0),
  ),
  check(
    'injection',
    INJECTION_SECTION,
    'the instruction length of a software event is 1 to 15',
    ['VM_ENTRY_INSTRUCTION_LEN', 'VM_ENTRY_INTR_INFO_FIELD'],
    (v) => {
      const length = injectionLength(v) >>> 0;
      const isSoftware = eventType(v) >= 4 && eventType(v) !== OTHER_EVENT;
      return implies(isValid(v) && isSoftware, length >= 1 && length <= 15);
    },
  ),
];

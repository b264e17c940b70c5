// The VMX capability MSRs, derived from what is offered. SDM 3, "VMX Capability Reporting
// Facility".

import Long from 'long';
import { CR4_ALLOWED } from '../cpu/index.ts';
import {
  type ControlWord,
  ENTRY_CONTROLS,
  EXIT_CONTROLS,
  PIN_BASED,
  PRIMARY,
  SECONDARY,
} from './controls.ts';
import { FIELDS } from './fields.ts';
import { CR0_FIXED_1, CR4_FIXED_1 } from './fixed-bits.ts';
import { STANDARD_TIMER_RATE_SHIFT } from './preemption-timer.ts';
import { VMCS_BYTES, VMCS_REVISION } from './vmcs.ts';

const WRITE_BACK = 6;

/** Low half: bits that must be 1; high half: bits that may be 1. */
function allowed(mustBe1: number, word: ControlWord): Long {
  return Long.fromBits(mustBe1, word.allowed1);
}

/**
 * Region size, memory type, instruction information of INS and OUTS, and TRUE MSRs, in the high
 * half of IA32_VMX_BASIC.
 */
const BASIC_HIGH = VMCS_BYTES | (WRITE_BACK << (50 - 32)) | (1 << (54 - 32)) | (1 << (55 - 32));

/** Stores of LMA; HLT, shutdown and wait-for-SIPI activity states; four CR3 targets. */
const MISC = (1 << 5) | (7 << 6) | (4 << 16);

/**
 * Four levels, uncacheable and write-back, 2 MiB and 1 GiB pages, INVEPT (single, all), INVVPID
 * (all types).
 */
const EPT_VPID = Long.fromBits(
  [6, 8, 14, 16, 17, 20, 25, 26].reduce((mask, bit) => mask | (1 << bit), 0),
  1 | (15 << 8),
);

const HIGHEST_INDEX = Math.max(...FIELDS.map(({ encoding }) => encoding & 0x3fe));

/** Values of the MSRs 480H to 490H, of a processor whose preemption timer has a rate. */
export function vmxCapabilityMsrs(
  timerRateShift = STANDARD_TIMER_RATE_SHIFT,
): ReadonlyMap<number, Long> {
  return new Map([...FIXED, [MISC_MSR, Long.fromBits(MISC | timerRateShift, 0)]]);
}

const MISC_MSR = 0x485;

const FIXED: ReadonlyMap<number, Long> = new Map([
  [0x480, Long.fromBits(VMCS_REVISION, BASIC_HIGH)],
  [0x481, allowed(PIN_BASED.default1, PIN_BASED)],
  [0x482, allowed(PRIMARY.default1, PRIMARY)],
  [0x483, allowed(EXIT_CONTROLS.default1, EXIT_CONTROLS)],
  [0x484, allowed(ENTRY_CONTROLS.default1, ENTRY_CONTROLS)],
  [MISC_MSR, Long.ZERO],
  [0x486, Long.fromInt(CR0_FIXED_1, true)],
  [0x487, Long.fromBits(-1, 0)],
  [0x488, Long.fromInt(CR4_FIXED_1)],
  [0x489, Long.fromInt(CR4_ALLOWED)],
  [0x48a, Long.fromInt(HIGHEST_INDEX)],
  [0x48b, allowed(0, SECONDARY)],
  [0x48c, EPT_VPID],
  [0x48d, allowed(PIN_BASED.mustBe1, PIN_BASED)],
  [0x48e, allowed(PRIMARY.mustBe1, PRIMARY)],
  [0x48f, allowed(EXIT_CONTROLS.mustBe1, EXIT_CONTROLS)],
  [0x490, allowed(ENTRY_CONTROLS.mustBe1, ENTRY_CONTROLS)],
]);

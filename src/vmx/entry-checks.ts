// All checks that VM entry makes, by the group of fields that they read.

import type { EntryCheck } from './check.ts';
import { CONTROL_CHECKS, INJECTION_CHECKS } from './control-checks.ts';
import type { CheckGroup } from './fields.ts';
import { GUEST_REGISTER_CHECKS } from './guest-register-checks.ts';
import { GUEST_SEGMENT_CHECKS } from './guest-segment-checks.ts';
import { LINK_POINTER_CHECK } from './guest-state-checks.ts';
import { HOST_CHECKS } from './host-checks.ts';
import type { Vmcs } from './vmcs.ts';

export const ENTRY_CHECKS: Readonly<Record<Exclude<CheckGroup, 'none'>, readonly EntryCheck[]>> = {
  controls: CONTROL_CHECKS,
  injection: INJECTION_CHECKS,
  host: HOST_CHECKS,
  guest: [...GUEST_REGISTER_CHECKS, ...GUEST_SEGMENT_CHECKS, LINK_POINTER_CHECK],
};

/** The first check that fails, or null. */
export function failingCheck(checks: readonly EntryCheck[], vmcs: Vmcs): EntryCheck | null {
  return checks.find((candidate) => !candidate.holds(vmcs)) ?? null;
}

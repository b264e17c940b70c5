// KVM_ENABLE_CAP of a virtual machine: what can be switched on or set by a capability's number.
// Linux virt/kvm/kvm_main.c, kvm_vm_ioctl_enable_cap_generic, and arch/x86/kvm/x86.c,
// kvm_vm_ioctl_enable_cap.

import Long from 'long';
import {
  DISABLE_EXITS,
  type DisabledExit,
  FORWARDABLE_HYPERCALLS,
  MsrExitReason,
  type Vm,
} from '../kvm/index.ts';
import { type CapabilityName, extensionValue, KVM_CAP } from './capabilities.ts';
import { require } from './errors.ts';
import type { U64 } from './structures.ts';

/** KVM_DIRTY_LOG_*, of MANUAL_DIRTY_LOG_PROTECT2. */
export const KVM_DIRTY_LOG = { MANUAL_PROTECT_ENABLE: 1 << 0, INITIALLY_SET: 1 << 1 } as const;

/** KVM_MSR_EXIT_REASON_*. */
export const KVM_MSR_EXIT_REASON = MsrExitReason;

/** KVM_X86_DISABLE_EXITS_*: two of them are accepted without effect, as guests have neither. */
export const KVM_X86_DISABLE_EXITS = { MWAIT: 1 << 0, ...DISABLE_EXITS, CSTATE: 1 << 3 } as const;

const ALL_EXITS = Object.values(KVM_X86_DISABLE_EXITS).reduce((mask, bit) => mask | bit, 0);

/** What capabilities are enabled on. */
export interface CapOwner {
  readonly vm: Vm;
  /** Bits of {@link KVM_DIRTY_LOG}. */
  dirtyLogMode: number;
}

const CALL = 'KVM_ENABLE_CAP';

const check: (holds: boolean, detail: string) => asserts holds = (holds, detail) =>
  require(holds, CALL, 'EINVAL', detail);

type Enable = (owner: CapOwner, argument: Long) => void;

const ENABLE: Partial<Readonly<Record<CapabilityName, Enable>>> = {
  EXIT_HYPERCALL: ({ vm }, argument) => {
    const can = extensionValue('EXIT_HYPERCALL').toString(16);
    const isKnown = argument.high === 0 && (argument.low & ~FORWARDABLE_HYPERCALLS) === 0;
    check(isKnown, `only hypercalls of the bits 0x${can} can exit`);
    vm.forwardedHypercalls = argument.low;
  },
  HALT_POLL: ({ vm }, argument) => {
    check(argument.high === 0, 'the ceiling is a number of ns that fits 32 bits');
    vm.parameters = { ...vm.parameters, haltPollNs: argument.low >>> 0 };
  },
  X86_DISABLE_EXITS: ({ vm }, argument) => {
    const isKnown = argument.high === 0 && (argument.low & ~ALL_EXITS) === 0;
    check(isKnown, `only the exits of the bits 0x${ALL_EXITS.toString(16)} can be disabled`);
    check(vm.vcpus.length === 0, 'there are vCPUs already');
    const names = Object.keys(DISABLE_EXITS) as DisabledExit[];
    const disabledExits = names.filter((name) => (argument.low & DISABLE_EXITS[name]) !== 0);
    vm.parameters = { ...vm.parameters, disabledExits };
  },
  X86_USER_SPACE_MSR: ({ vm }, argument) => {
    const all = Object.values(KVM_MSR_EXIT_REASON).reduce((mask, bit) => mask | bit, 0);
    const isKnown = argument.high === 0 && (argument.low & ~all) === 0;
    check(isKnown, `only accesses of the bits 0x${all.toString(16)} can exit`);
    vm.msrExitReasons = argument.low;
  },
  MANUAL_DIRTY_LOG_PROTECT2: (owner, argument) => {
    const { MANUAL_PROTECT_ENABLE, INITIALLY_SET } = KVM_DIRTY_LOG;
    // The second says how the first does it.
    const isOn = (argument.low & MANUAL_PROTECT_ENABLE) !== 0;
    const known = isOn ? MANUAL_PROTECT_ENABLE | INITIALLY_SET : 0;
    const isKnown = argument.high === 0 && (argument.low & ~known) === 0;
    check(isKnown, `0x${argument.toString(16)} is no way to protect pages`);
    owner.dirtyLogMode = argument.low;
  },
};

/** A capability by number or name, and its first argument. */
export function enableCapability(
  owner: CapOwner,
  capability: number | string,
  argument: U64,
  flags: number,
): void {
  const given = `${capability}`.replace(/^KVM_CAP_/, '');
  const names = Object.keys(ENABLE) as CapabilityName[];
  const name = names.find((each) => each === given || KVM_CAP[each] === capability);
  const enable = name === undefined ? undefined : ENABLE[name];
  check(enable !== undefined, `capability ${capability} cannot be enabled`);
  check(flags === 0, `flags ${flags} are not known`);
  enable(owner, Long.fromValue(argument).toUnsigned());
}

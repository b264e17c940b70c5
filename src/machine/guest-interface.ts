// What a scenario says of the interface between KVM and its guests: paravirtual features, clocks
// and timers. Keys of `vms[].kvm`, made from the tables of the room that implements them.

import {
  DEFAULT_PARAMETERS,
  DISABLE_EXITS,
  type DisabledExit,
  HYPERCALL_OPCODES,
  type KvmParameters,
  LOCK_WAIT_ACTIONS,
  PV_FEATURE_LIST,
  type PvFeatureName,
} from '../kvm/index.ts';
import { EXTRA_EXITS } from '../vmx/index.ts';
import {
  boolean,
  choice,
  type Fields,
  type Infer,
  integer,
  list,
  object,
  type Scalar,
} from './schema.ts';

const FEATURES = object(
  'Paravirtual features that CPUID offers',
  Object.fromEntries(
    PV_FEATURE_LIST.map(([name, { summary, byDefault }]) => [
      name,
      boolean({ summary, fallback: byDefault }),
    ]),
  ) as { readonly [Name in PvFeatureName]: Scalar<boolean> },
);

/** Cycles per ms that a TSC can have. */
const MAX_TSC_KHZ = 100_000_000;

/**
 * @param tscDeadline whether guests have TSC-deadline mode unless the scenario says otherwise
 * @param timerRate the same for IA32_VMX_MISC[4:0]
 */
export const guestInterfaceKeys = (tscDeadline: boolean, timerRate: number) => ({
  features: FEATURES,
  enforce_pv_features: boolean({
    summary: 'MSRs and hypercalls of features that are not offered do not work either',
    fallback: DEFAULT_PARAMETERS.enforcePvFeatures,
  }),
  hypercall: choice(HYPERCALL_OPCODES, {
    summary: "opcode of hypercalls, as on Intel's or AMD's processors",
    fallback: DEFAULT_PARAMETERS.hypercallOpcode,
  }),
  fix_hypercall: boolean({
    summary: 'the other opcode is rewritten in memory; else it is undefined',
    fallback: DEFAULT_PARAMETERS.fixHypercallOpcode,
  }),
  lock_wait: choice(LOCK_WAIT_ACTIONS, {
    summary: 'what the hypercall LOCK_WAIT of spinning vCPUs does; none: there is no such call',
    fallback: DEFAULT_PARAMETERS.lockWait,
  }),
  preempt_grant_ns: integer(0, 1_000_000_000, {
    summary:
      'so long, in ns, preemption waits for a vCPU that holds a lock, by the hypercall ' +
      'PREEMPT_GRANT; 0: there is no such call',
    fallback: DEFAULT_PARAMETERS.preemptGrantNs,
  }),
  tsc_khz: integer(0, MAX_TSC_KHZ, {
    summary: "rate of the guest's TSC in kHz, by TSC scaling; 0 for the host's",
    fallback: DEFAULT_PARAMETERS.tscKhz,
  }),
  cpu_signature: integer(0, 0x0fffffff, {
    summary:
      "family, model and stepping of the host's processor (EAX of CPUID leaf 1); 0: the machine's",
    fallback: 0,
  }),
  tsc_deadline: boolean({
    summary: "CPUID offers TSC-deadline mode of the local APIC's timer",
    fallback: tscDeadline,
  }),
  preemption_timer_rate: integer(0, 31, {
    summary: 'IA32_VMX_MISC[4:0]: the preemption timer counts when this bit of the TSC changes',
    fallback: timerRate,
  }),
  extra_exits: list(
    choice(EXTRA_EXITS, {
      summary: 'VMX control that makes more exits happen than KVM asks for',
      flag: 'extra-exit',
    }),
    0,
    EXTRA_EXITS.length,
    'VMX controls that make more exits happen',
  ),
  disable_exits: list(
    choice(Object.keys(DISABLE_EXITS) as DisabledExit[], {
      summary: 'exit that does not happen (KVM_CAP_X86_DISABLE_EXITS)',
      flag: 'disable-exit',
    }),
    0,
    Object.keys(DISABLE_EXITS).length,
    'exits that do not happen: the guest has its pCPUs for itself',
  ),
});

type Keys = Fields<ReturnType<typeof guestInterfaceKeys>>;

/** The same as KVM's parameters, on a machine whose processor has a signature. */
export function guestInterfaceOf(kvm: Infer<Keys>, signature: number) {
  return {
    features: kvm.features,
    enforcePvFeatures: kvm.enforce_pv_features,
    hypercallOpcode: kvm.hypercall,
    fixHypercallOpcode: kvm.fix_hypercall,
    lockWait: kvm.lock_wait,
    preemptGrantNs: kvm.preempt_grant_ns,
    tscKhz: kvm.tsc_khz,
    cpuSignature: kvm.cpu_signature === 0 ? signature : kvm.cpu_signature,
    tscDeadline: kvm.tsc_deadline,
    extraExits: kvm.extra_exits,
    disabledExits: kvm.disable_exits,
    preemptionTimerRate: kvm.preemption_timer_rate,
  } satisfies Partial<KvmParameters>;
}

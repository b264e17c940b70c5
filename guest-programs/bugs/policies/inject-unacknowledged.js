// An exit handler with a bug: the interrupt that a WRMSR has requested goes into the next entry, but
// is not acknowledged, so that it stays in the local APIC's IRR.
export default function injectUnacknowledged(vcpu, pcpu, standard) {
  const result = standard(vcpu, pcpu);
  const { lapic, state } = vcpu;
  const vector = lapic.deliverable;
  if (vector < 0 || !vcpu.interruptAllowed || state.reinject !== null) return result;
  state.reinject = { information: vector, errorCode: 0, instructionLengthBytes: 0 };
  vcpu.requestEvent();
  return result;
}

// An exit handler: the interrupt that a WRMSR has requested goes into the next entry, and from the
// local APIC's IRR to its ISR.
export default function injectAcknowledged(vcpu, pcpu, standard) {
  const result = standard(vcpu, pcpu);
  const { lapic, state } = vcpu;
  const vector = lapic.deliverable;
  if (vector < 0 || !vcpu.interruptAllowed || state.reinject !== null) return result;
  lapic.acknowledge(vector);
  state.reinject = { information: vector, errorCode: 0, instructionLengthBytes: 0 };
  vcpu.requestEvent();
  return result;
}

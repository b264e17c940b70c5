// An exit handler with a bug: the guest can take interrupts again, and the window is closed, but KVM is
// not asked to look for them before the next entry (KVM_REQ_EVENT).
export default function windowClosed(vcpu, pcpu, standard) {
  const result = standard(vcpu, pcpu);
  vcpu.state.eventRequested = false;
  return result;
}

// An exit handler: the guest can take interrupts again, the window is closed, and KVM is asked to look
// for them before the next entry.
export default function windowUsed(vcpu, pcpu, standard) {
  const result = standard(vcpu, pcpu);
  vcpu.requestEvent();
  return result;
}

// An exit handler: the preemption timer counts in guests only, so a host timer counts on for a HLT.
export default function timerSwitched(vcpu, pcpu, standard) {
  vcpu.timer.switchToHost(pcpu);
  return standard(vcpu, pcpu);
}

// An exit handler with a bug: the preemption timer counts in guests only, so it is put off for a HLT;
// that a host timer has to count on instead is forgotten.
export default function timerForgotten(vcpu, pcpu, standard) {
  vcpu.timer.state.hvDeadline = null;
  return standard(vcpu, pcpu);
}

// Whom a spinner yields to: of those that wait for a pCPU, the one that has waited longest.
export default function yieldCandidate(_spinner, waiting) {
  const since = (vcpu) => vcpu.thread.state.sinceCycles;
  return waiting.reduce((oldest, vcpu) => {
    return oldest === null || since(vcpu) < since(oldest) ? vcpu : oldest;
  }, null);
}

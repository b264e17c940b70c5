// Whom a spinner yields to: the first that waits and does not spin itself; else nobody.
export default function yieldToBusy(_spinner, waiting) {
  return waiting.find((vcpu) => !vcpu.state.inSpinLoop) ?? null;
}

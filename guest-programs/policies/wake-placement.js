// Where a woken thread runs: where it ran before, whatever happens there now.
export default function wakePlacement(thread, pcpus) {
  return pcpus[thread.state.pcpu];
}

// A halt-poll window: a little longer than the last halt was, up to the ceiling; else none.
export default function haltPoll({ haltNs }, parameters) {
  const wanted = Math.ceil(haltNs * 1.2);
  return wanted <= parameters.haltPollNs ? wanted : 0;
}

// Whom a spinner yields to, with a bug: the first that waits, be it that it spins itself.
export default function yieldToFirst(_spinner, waiting) {
  return waiting[0] ?? null;
}

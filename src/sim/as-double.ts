// Numbers that V8 takes for doubles from the start.

const scratch = new Float64Array(1);

/**
 * The same number. A field that begins as a small integer is kept as one, and when the first one
 * past 2^31 is written to it, all that was compiled for the objects of its class is thrown away:
 * a second of virtual time into a run, and once for each such field. Fields that hold cycles,
 * nanoseconds or counts of instructions begin as what is read from an array of doubles instead.
 */
export function asDouble(value: number): number {
  scratch[0] = value;
  return scratch[0];
}

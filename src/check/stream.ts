// What a run can be checked by: texts of lines, each with the time at which it came to be.

/** The streams, by what directives about them begin with. */
export const STREAMS = {
  exits: { name: 'exits', prefix: 'CHECK', summary: 'every VM exit, as a line of the trace' },
  trace: { name: 'trace', prefix: 'TRACE', summary: 'every tracepoint, as a line of the trace' },
  output: { name: 'output', prefix: 'OUTPUT', summary: 'what was written to the debug console' },
  serial: { name: 'serial', prefix: 'SERIAL', summary: 'what was sent by COM1' },
  state: { name: 'state', prefix: 'STATE', summary: 'how the run ended, counters and registers' },
} as const;

export type StreamName = keyof typeof STREAMS;

export interface Stream {
  readonly name: StreamName;
  readonly lines: readonly string[];
  /** Virtual ns at which each line came to be; the end of the run where there is none. */
  readonly timesNs: readonly number[];
}

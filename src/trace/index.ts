// trace: tracepoints under the kernel's own names, and the files in which other tools expect them.
// Knows what an event says, not who emits it, and nothing of files but their bytes.
//
//   import { textLine } from 'vmxlab/trace';
//   const fields = { apicId: 0, vector: 32 };
//   const where = { timeNs: 1500, pcpu: 0, comm: 'vcpu0', pid: 1000 };
//   const line = textLine({ ...where, name: 'kvm_eoi', fields });
//   line.trim().slice(-27); // 'kvm_eoi: apicid 0 vector 32'

export { type ByteSource, DAT_MAGIC, openDat, type ReadTrace } from './dat-reader.ts';
export { DatWriter } from './dat-writer.ts';
export type { ThreadFields } from './groups.ts';
export {
  EventCounts,
  KvmStat,
  meanErrorPercent,
  STAT_EVENTS,
  type StatEvent,
  type StatRow,
} from './kvm-stat.ts';
export { PerfettoWriter } from './perfetto.ts';
export { counterTable, type StatTableOptions, statTable } from './stat-table.ts';
export { ApicRegister, DELIVERY_MODES, IRQCHIPS, KVM_EXIT_REASONS, SHORTHANDS } from './symbols.ts';
export { lineOf, reportHeader, reportLine, TextWriter, textHeader, textLine } from './text.ts';
export { openText } from './text-reader.ts';
export { TimeOrder } from './time-order.ts';
export { TraceError } from './trace-error.ts';
export { NEWEST_FORMAT, TRACE_FORMATS, TraceFormat } from './trace-format.ts';
export {
  type FieldsOf,
  isTracepoint,
  printPayload,
  TRACEPOINTS,
  type TracepointName,
  type TraceRecord,
  type TraceSink,
  tracepointOf,
} from './tracepoints.ts';

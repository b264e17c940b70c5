// trace: tracepoints under the kernel's own names, and their text. Knows only what an event says.
//
//   textLine({ timeNs: 1500, pcpu: 0, comm: 'vcpu0', pid: 101, name: 'kvm_eoi',
//     fields: { apicId: 0, vector: 32 } });

export { textHeader, textLine } from './text.ts';
export {
  type FieldsOf,
  printPayload,
  type ThreadFields,
  TRACEPOINTS,
  type TracepointName,
  type TraceRecord,
  type TraceSink,
} from './tracepoints.ts';

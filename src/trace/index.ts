// trace: tracepoints under the kernel's own names, and their text. Knows only what an event says.
//
//   import { textLine } from 'vmxlab/trace';
//   const fields = { apicId: 0, vector: 32 };
//   const where = { timeNs: 1500, pcpu: 0, comm: 'vcpu0', pid: 1000 };
//   const line = textLine({ ...where, name: 'kvm_eoi', fields });
//   line.trim().slice(-27); // 'kvm_eoi: apicid 0 vector 32'

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

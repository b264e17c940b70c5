// debug: a session with a machine, forwards and backwards. Does no I/O; terminals and protocols are
// its clients.
//
//   import { createSession } from 'vmxlab/debug';
//   import { checkScenario } from 'vmxlab/machine';
//   const { scenario } = checkScenario({ vms: [{ program: 'count.bin' }] });
//   const program = Uint8Array.of(0x31, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xfa, 0xf4);
//   const session = createSession(scenario, { programs: [program] }); // xor, inc, inc, cli, hlt
//   for (let i = 0; i < 3; i++) session.stepInstruction(0);
//   session.readRegister(0, 'rax').toNumber(); // 2
//   session.stepInstruction(0, 'backward');
//   session.readRegister(0, 'rax').toNumber(); // 1
//   session.stepExit(null).records.at(-1)?.name; // 'kvm_exit'

export { type Breakpoint, type BreakpointSpec, Breakpoints, type Hit } from './breakpoints.ts';
export type { ReadSource } from './commands/command.ts';
export { commandTable } from './commands/table.ts';
export { type Condition, parseCondition, type Values } from './condition.ts';
export { DapAdapter, type DapLauncher } from './dap/adapter.ts';
export { type LaunchArguments, launchArguments } from './dap/launch-arguments.ts';
export { SessionDapTarget, type SourcePlaces } from './dap/session-target.ts';
export { BadRequest, type DapTarget } from './dap/target.ts';
export { DebugError } from './debug-error.ts';
export { encodePacket, PACKET_BYTES } from './gdb/packets.ts';
export { REGISTERS as GDB_REGISTERS, type RegisterValues } from './gdb/registers.ts';
export { SessionGdbTarget } from './gdb/session-target.ts';
export { GdbStub } from './gdb/stub.ts';
export { symbolFileOf } from './gdb/symbol-file.ts';
export type { GdbStop, GdbTarget, GdbThread, ResumeRequest } from './gdb/target.ts';
export { type Branch, DEFAULT_HISTORY, type HistorySettings } from './history.ts';
export type { Bookmark, Direction, Motion, StopReason, StopReport } from './motion.ts';
export { symbolAddress } from './places.ts';
export type { Position } from './position.ts';
export {
  compareRun,
  type Divergence,
  type RecordedRun,
  recordRun,
  type Sample,
} from './recorded-run.ts';
export { TraceComparison, type TraceDifference, TraceMarker } from './recorded-trace.ts';
export {
  decodeRecording,
  encodeRecording,
  isRecording,
  type Packing,
  RECORDING_MAGIC_BYTES,
  type RecordedSource,
  type Recording,
  symbolDocument,
  symbolsOfDocument,
} from './recording.ts';
export {
  REGISTER_NAMES,
  type RegisterName,
  type RegisterValue,
  registerNamed,
} from './registers.ts';
export { isPrintable, type Key } from './screen/editor.ts';
export { keyTable } from './screen/keys.ts';
export { type Frame, frameOf, type Size } from './screen/layout.ts';
export { ENTER, LEAVE, paint } from './screen/paint.ts';
export { Screen } from './screen/screen.ts';
export { textOf } from './screen/styled.ts';
export {
  type AddressSpace,
  createSession,
  Session,
} from './session.ts';
export { MOST_LINES } from './terminal/line-history.ts';
export { type Answer, Prompt } from './terminal/prompt.ts';

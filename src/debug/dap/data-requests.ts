// Requests that look at the machine while it stands still, or change it: threads, stacks,
// variables, memory, instructions, expressions.

import type { DebugProtocol } from '@vscode/debugprotocol';
import type Long from 'long';
import { EXIT_REASONS } from '../../vmx/index.ts';
import { type DisassembledLine, disassemble, disassembleBefore } from '../disassembly.ts';
import type { AdapterState, Handler } from './adapter.ts';
import {
  type Arguments,
  addressOf,
  countOf,
  flagOr,
  formatAddress,
  integerOf,
  integerOr,
  textOf,
  textOr,
} from './arguments.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { loadedSources, placeOf, sourceText } from './sources.ts';
import { BadRequest, type DapTarget, type DapThread } from './target.ts';
import { threadOf } from './threads.ts';
import { SCOPES, setVariableIn, variablesOf } from './variables.ts';

/** Frames of a thread have numbers from here on; references to variables likewise. */
const FRAMES_PER_THREAD = 1000;
const SCOPES_PER_THREAD = 16;

const threads: Handler = ({ target }) => ({
  threads: target.threads.map(({ id, name }) => ({ id, name })),
});

const stackTrace: Handler = ({ target }, args) => {
  const thread = threadOf(target, integerOf(args, 'threadId'));
  const frames = target.frames(thread);
  const first = integerOr(args, 'startFrame', 0);
  const count = integerOr(args, 'levels', 0) || frames.length;
  const shown = frames.slice(first, first + count);
  return {
    stackFrames: shown.map((address, i) => frameBody(target, thread, address, first + i)),
    totalFrames: frames.length,
  };
};

function frameBody(
  target: DapTarget,
  thread: DapThread,
  address: Long,
  index: number,
): DebugProtocol.StackFrame {
  // A frame that calls stands behind the CALL, perhaps on the next line.
  const at = index === 0 ? address : address.sub(1);
  const place = placeOf(target, thread, at);
  const name = thread.symbols.nameOf(at)?.symbol.split('+')[0];
  return {
    id: (thread.id - 1) * FRAMES_PER_THREAD + index + 1,
    name: name ?? formatAddress(address),
    line: place?.line ?? 0,
    column: place === null ? 0 : 1,
    instructionPointerReference: formatAddress(address),
    ...(place === null ? {} : { source: place.source }),
  };
}

/** The thread that a frame belongs to; the one that stopped, if the request names none. */
function threadOfFrame({ target, stop }: AdapterState, args: Arguments): DapThread {
  const id = integerOr(args, 'frameId', 0);
  if (id <= 0) return stop?.thread ?? target.threads[0];
  return threadOf(target, Math.floor((id - 1) / FRAMES_PER_THREAD) + 1);
}

const scopes: Handler = (state, args) => {
  const thread = threadOfFrame(state, args);
  return {
    scopes: SCOPES.map(({ name, isCheap }, i) => ({
      name,
      variablesReference: (thread.id - 1) * SCOPES_PER_THREAD + i + 1,
      expensive: !isCheap,
      ...(i === 0 ? { presentationHint: 'registers' } : {}),
    })),
  };
};

function scopeOf(target: DapTarget, args: Arguments) {
  const reference = integerOf(args, 'variablesReference') - 1;
  const thread = target.threads[Math.floor(reference / SCOPES_PER_THREAD)];
  const scope = SCOPES[reference % SCOPES_PER_THREAD];
  if (thread !== undefined && scope !== undefined) return { thread, scope };
  throw new BadRequest(`no variables have the reference ${reference + 1}`);
}

const variables: Handler = ({ target }, args) => {
  const { thread, scope } = scopeOf(target, args);
  const all = variablesOf(target, thread, scope);
  const first = integerOr(args, 'start', 0);
  const count = integerOr(args, 'count', 0) || all.length;
  return { variables: all.slice(first, first + count) };
};

const setVariable: Handler = ({ target }, args) => {
  const { thread, scope } = scopeOf(target, args);
  const value = target.evaluate(textOf(args, 'value'), thread);
  return setVariableIn(target, thread, scope, textOf(args, 'name'), value);
};

/** Bytes in one response at most. */
const MAX_READ_BYTES = 2 ** 20;

const readMemory: Handler = (state, args) => {
  const address = addressOf(args, 'memoryReference').add(integerOr(args, 'offset', 0));
  const count = Math.min(countOf(args, 'count'), MAX_READ_BYTES);
  const thread = threadOfFrame(state, {});
  const bytes = count === 0 ? new Uint8Array() : state.target.readMemory(thread, address, count);
  return {
    address: formatAddress(address),
    unreadableBytes: count - bytes.length,
    ...(bytes.length === 0 ? {} : { data: toBase64(bytes) }),
  };
};

const writeMemory: Handler = (state, args) => {
  const address = addressOf(args, 'memoryReference').add(integerOr(args, 'offset', 0));
  const bytes = fromBase64(textOf(args, 'data'));
  if (bytes === null) throw new BadRequest("'data': expected base64");
  const thread = threadOfFrame(state, {});
  const isWritten = state.target.writeMemory(thread, address, bytes);
  if (isWritten) return { bytesWritten: bytes.length };
  if (!flagOr(args, 'allowPartial', false)) {
    throw new BadRequest(`memory at ${formatAddress(address)} is not mapped`);
  }
  const mapped = state.target.readMemory(thread, address, bytes.length).length;
  if (mapped > 0) state.target.writeMemory(thread, address, bytes.subarray(0, mapped));
  return { bytesWritten: mapped };
};

const MAX_LINES = 10_000;

const disassembleRequest: Handler = (state, args) => {
  const { target } = state;
  const thread = threadOfFrame(state, {});
  const start = addressOf(args, 'memoryReference').add(integerOr(args, 'offset', 0));
  const count = Math.min(countOf(args, 'instructionCount'), MAX_LINES);
  const skipped = integerOr(args, 'instructionOffset', 0);
  if (Math.abs(skipped) > MAX_LINES) {
    throw new BadRequest(`'instructionOffset': at most ${MAX_LINES} either way`);
  }
  const codeSize = target.codeSize(thread);
  const read = (address: Long, lengthBytes: number) =>
    target.readMemory(thread, address, lengthBytes);
  const named = (address: Long) => thread.symbols.startOf(address);
  const before = skipped < 0 ? disassembleBefore(start, -skipped, codeSize, read, named) : [];
  const afterCount = Math.max(count + skipped, 0);
  const after = disassemble(start, afterCount, codeSize, read);
  const lines = [...before, ...after].slice(Math.max(skipped, 0)).slice(0, count);
  return { instructions: lines.map((line) => instructionBody(target, thread, line)) };
};

function instructionBody(
  target: DapTarget,
  thread: DapThread,
  { address, bytes, text, instruction }: DisassembledLine,
): DebugProtocol.DisassembledInstruction {
  const symbol = thread.symbols.labelAt(address);
  const place = placeOf(target, thread, address);
  return {
    address: formatAddress(address),
    instructionBytes: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' '),
    instruction: text,
    ...(symbol === null ? {} : { symbol }),
    ...(place === null ? {} : { location: place.source, line: place.line }),
    ...(instruction === null ? { presentationHint: 'invalid' as const } : {}),
  };
}

const evaluate: Handler = (state, args) => {
  const { target } = state;
  const expression = textOf(args, 'expression').trim();
  const thread = threadOfFrame(state, args);
  if (textOr(args, 'context', '') === 'repl') {
    const said = target.command(expression, thread);
    if (said !== null) return { result: said.trimEnd(), variablesReference: 0 };
  }
  const value = target.evaluate(expression, thread);
  return {
    result: valueText(value, thread),
    memoryReference: formatAddress(value),
    variablesReference: 0,
  };
};

/** A number in both notations, or with the symbol that it is the address of. */
function valueText(value: Long, { symbols }: DapThread): string {
  const symbol = symbols.symbolAt(value);
  const address = formatAddress(value);
  return symbol === null ? `${address} (${value.toSigned()})` : `${address} <${symbol}>`;
}

/** Clients show id, description and stack trace; of the rest they may make what they like. */
const exceptionInfo: Handler = ({ target, stop }): DebugProtocol.ExceptionInfoResponse['body'] => {
  if (stop?.reason.kind !== 'exit') throw new BadRequest('it did not stop at a VM exit');
  const { reason } = stop.reason;
  const meaning = EXIT_REASONS.find(({ name }) => name === reason)?.meaning ?? '';
  const calls = target.frames(stop.thread).map((address, i) => {
    const { name, source, line } = frameBody(target, stop.thread, address, i);
    return `at ${name}${source?.path === undefined ? '' : ` (${source.path}:${line})`}`;
  });
  return {
    exceptionId: reason,
    description: target.why(stop.thread),
    breakMode: 'always',
    details: {
      message: meaning,
      typeName: 'VM exit',
      fullTypeName: `EXIT_REASON_${reason}`,
      evaluateName: 'VM_EXIT_REASON',
      stackTrace: calls.join('\n'),
    },
  };
};

/** As a variable in a watch is changed. */
const setExpression: Handler = (state, args) => {
  const { target } = state;
  const expression = textOf(args, 'expression').trim();
  const thread = threadOfFrame(state, args);
  target.assign(expression, textOf(args, 'value'), thread);
  return { value: valueText(target.evaluate(expression, thread), thread) };
};

const completions: Handler = (state, args) => {
  const text = textOf(args, 'text');
  const column = integerOf(args, 'column') - 1;
  const typed = text.slice(0, Math.max(column, 0));
  const [candidates, replaced] = state.target.complete(typed, threadOfFrame(state, args));
  const start = typed.length - replaced.length + 1;
  const targets = candidates.slice(0, MAX_COMPLETIONS).map((label) => {
    return { label, start, length: replaced.length };
  });
  return { targets };
};

const MAX_COMPLETIONS = 500;

export const DATA_HANDLERS = {
  threads,
  stackTrace,
  scopes,
  variables,
  setVariable,
  readMemory,
  writeMemory,
  disassemble: disassembleRequest,
  evaluate,
  setExpression,
  completions,
  exceptionInfo,
  source: ({ target }: AdapterState, args: Arguments) => sourceText(target, args),
  loadedSources: ({ target }: AdapterState) => loadedSources(target),
};

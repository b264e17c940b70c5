// The debug adapter in one process, against what may come: frames cut anywhere, requests with
// arguments of all kinds. It answers every request once, and never throws.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { expect, test } from 'vitest';
import { createSession, DapAdapter, SessionDapTarget } from '../../src/debug/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { FrameReader, frameOf, isEvent } from '../support/dap-client.ts';
import { assembleText, scenarioOf } from '../support/guest-run.ts';

const PROGRAM = assembleText(`
again:
  inc qword [rel count]
  cpuid
  jmp again
count: dq 0`);

function newAdapter() {
  const session = createSession(scenarioOf({ vcpus: 2, pcpus: 1 }), { programs: [PROGRAM] });
  const target = new SessionDapTarget(session, String);
  return new DapAdapter({ launch: () => target, attach: () => null });
}

/** Let it go on until it stops; a pause ends what goes on too long. */
function settle(adapter: DapAdapter): void {
  for (let turns = 0; adapter.isRunning; turns++) {
    if (turns === 2) adapter.receive(frameOf({ seq: 1, type: 'request', command: 'pause' }));
    adapter.advance();
  }
}

function messagesOf(adapter: DapAdapter, frames: FrameReader): DebugProtocol.ProtocolMessage[] {
  return adapter.takeOutput().flatMap((bytes) => frames.take(bytes));
}

const COMMANDS = [
  ...['initialize', 'threads', 'stackTrace', 'scopes', 'variables', 'setVariable', 'evaluate'],
  ...['readMemory', 'writeMemory', 'disassemble', 'exceptionInfo', 'goto', 'gotoTargets', 'pause'],
  ...['setBreakpoints', 'setFunctionBreakpoints', 'setInstructionBreakpoints', 'nonsense'],
  ...['setDataBreakpoints', 'dataBreakpointInfo', 'setExceptionBreakpoints', 'stepOut', 'next'],
  ...['stepIn', 'stepBack', 'continue', 'reverseContinue', 'breakpointLocations', 'launch'],
];

const NAMES = [
  ...['threadId', 'frameId', 'variablesReference', 'name', 'value', 'expression', 'count', 'data'],
  ...[
    'memoryReference',
    'offset',
    'instructionCount',
    'instructionOffset',
    'breakpoints',
    'source',
  ],
  ...['filters', 'filterOptions', 'targetId', 'line', 'context', 'granularity', 'start', 'levels'],
];

function anything(prng: Prng, depth = 0): unknown {
  const values: readonly (() => unknown)[] = [
    () => prng.below(12),
    () => -prng.below(5),
    () => 0.5,
    () => ['1', '0x100000', 'rax', 'repl', '', 'AQID', 'rip + 1', '0x100000,8,1'][prng.below(8)],
    () =>
      ['CPUID', 'again', '/x.asm', 'instruction', 'u64[rip]', '\u{1f41e}', 'exits'][prng.below(7)],
    () => null,
    () => prng.below(2) === 0,
    () => 2 ** 53,
    () => Array.from({ length: prng.below(3) }, () => anything(prng, depth + 1)),
    () => someOf(prng, depth + 1),
  ];
  return values[prng.below(depth > 2 ? 8 : values.length)]();
}

function someOf(prng: Prng, depth = 0): object {
  const fields = ['instructionReference', 'dataId', 'filterId', 'condition', 'logMessage', 'path'];
  const names = [...NAMES, ...fields, 'hitCondition', 'accessType', 'threadId', 'threadId'];
  return Object.fromEntries(
    Array.from({ length: prng.below(6) }, () => [
      names[prng.below(names.length)],
      anything(prng, depth),
    ]),
  );
}

test('3000 requests have an answer each', () => {
  const prng = new Prng(3);
  const adapter = newAdapter();
  const frames = new FrameReader();
  adapter.receive(frameOf({ seq: 1, type: 'request', command: 'launch', arguments: {} }));
  messagesOf(adapter, frames);
  for (let seq = 2; seq < 3000; seq++) {
    const command = COMMANDS[prng.below(COMMANDS.length)];
    const given = prng.below(30) === 0 ? anything(prng) : someOf(prng);
    const request = { seq, type: 'request', command, arguments: given };
    adapter.receive(frameOf(request));
    settle(adapter);
    const answers = messagesOf(adapter, frames).filter(
      (message) => !isEvent(message) && (message as DebugProtocol.Response).request_seq === seq,
    );
    expect(answers, JSON.stringify(request)).toHaveLength(1);
  }
}, 120_000);

test('frames may be cut anywhere, and noise is told', () => {
  const prng = new Prng(5);
  const adapter = newAdapter();
  const frames = new FrameReader();
  const whole = Buffer.concat(
    Array.from({ length: 300 }, (_, i) =>
      frameOf({ seq: i + 1, type: 'request', command: 'threads', arguments: { text: '\u00e9' } }),
    ),
  );
  for (let at = 0; at < whole.length; ) {
    const length = 1 + prng.below(200);
    adapter.receive(whole.subarray(at, at + length));
    at += length;
  }
  expect(messagesOf(adapter, frames)).toHaveLength(300);
  for (let i = 0; i < 2000; i++) {
    adapter.receive(Uint8Array.from({ length: prng.below(60) }, () => prng.below(256)));
  }
  // Whatever that was, it ends with an empty line.
  adapter.receive(Buffer.from('\r\n\r\n'));
  messagesOf(adapter, frames);
  adapter.receive(frameOf({ seq: 1, type: 'request', command: 'initialize' }));
  expect(messagesOf(adapter, frames)).toMatchObject([{ command: 'initialize', success: true }]);
});

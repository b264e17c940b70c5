// `vmxlab dap` under VS Code's own client for tests of debug adapters: a whole session as its
// authors write them, with the convenience functions that wait for events and compare places.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DebugClient } from '@vscode/debugadapter-testsupport';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildCommand, MAIN } from '../support/command-line.ts';
import { DapProcess } from '../support/dap-client.ts';

const ROOT = join(fileURLToPath(import.meta.url), '../../..');
const COUNTER = join(ROOT, 'guest-programs/lib/counter.inc');
const LAUNCH = {
  program: 'guest-programs/lock-ticket.asm',
  settings: { vcpus: 4, pcpus: 2 },
  defines: { ITERATIONS: '100' },
};

let server: DapProcess;
let client: DebugClient;

beforeAll(() => buildCommand());

// It starts an adapter without arguments, so it connects to a port instead.
beforeEach(async () => {
  server = new DapProcess(ROOT, MAIN, ['dap', '--port', '0']);
  const port = await new Promise<number>((resolve) => {
    server.onText((text) => {
      const found = /listens on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      if (found !== undefined) resolve(Number(found));
    });
  });
  client = new DebugClient('node', '', 'vmxlab');
  await client.start(port);
});

afterEach(async () => {
  await client.stop();
  server.kill();
  await server.ended;
});

/** Ask for something after which the machine runs, and wait for its stop. */
async function stopAfter(
  request: () => Promise<DebugProtocol.Response>,
): Promise<DebugProtocol.StoppedEvent['body']> {
  const [event] = await Promise.all([client.waitForEvent('stopped'), request()]);
  return (event as DebugProtocol.StoppedEvent).body;
}

async function placeOf(threadId: number): Promise<string | undefined> {
  const { body } = await client.stackTraceRequest({ threadId });
  return body.stackFrames[0].instructionPointerReference;
}

test('stops, steps, goes back, disassembles and reads memory', async () => {
  await Promise.all([
    client.configurationSequence(),
    client.launch(LAUNCH),
    client.assertStoppedLocation('entry', { path: COUNTER, line: 28 }),
  ]);
  const source = { path: COUNTER };
  const set = await client.setBreakpointsRequest({ source, breakpoints: [{ line: 39 }] });
  expect(set.body.breakpoints).toMatchObject([{ verified: true, line: 39 }]);
  const [hit] = await Promise.all([
    client.waitForEvent('stopped') as Promise<DebugProtocol.StoppedEvent>,
    client.assertStoppedLocation('breakpoint', { path: COUNTER, line: 39 }),
    client.continueRequest({ threadId: 1 }),
  ]);
  const threadId = hit.body.threadId as number;

  const at = (await placeOf(threadId)) as string;
  const granularity = 'instruction';
  expect(await stopAfter(() => client.nextRequest({ threadId, granularity }))).toMatchObject({
    reason: 'step',
    threadId,
  });
  expect(await placeOf(threadId)).not.toBe(at);
  await stopAfter(() => client.stepBackRequest({ threadId, granularity }));
  expect(await placeOf(threadId)).toBe(at);

  const code = await client.disassembleRequest({ memoryReference: at, instructionCount: 2 });
  expect(code.body?.instructions[0]).toMatchObject({ address: at, line: 39 });
  expect(code.body?.instructions[0].instruction).toMatch(/^inc dword \[/);

  await client.setBreakpointsRequest({ source, breakpoints: [] });
  const filterOptions = [{ filterId: 'HLT', condition: 'vcpu == 2' }];
  await client.setExceptionBreakpointsRequest({ filters: [], filterOptions });
  const exit = await stopAfter(() => client.continueRequest({ threadId }));
  expect(exit).toMatchObject({ reason: 'exception', text: 'HLT', threadId: 3 });
  const info = await client.exceptionInfoRequest({ threadId: 3 });
  expect(info.body).toMatchObject({ exceptionId: 'HLT', breakMode: 'always' });

  const counter = await client.evaluateRequest({ expression: 'counter', context: 'watch' });
  const memory = await client.customRequest('readMemory', {
    memoryReference: counter.body.memoryReference,
    count: 8,
  });
  const counted = Buffer.from(memory.body.data, 'base64').readBigUInt64LE();
  // Whoever halts has counted, and waits for the others.
  expect(counted).toBeGreaterThanOrEqual(100n);
  expect(counted).toBeLessThanOrEqual(400n);

  await client.setExceptionBreakpointsRequest({ filters: [] });
  const back = await stopAfter(() => client.reverseContinueRequest({ threadId: 3 }));
  expect(back.reason).toBe('entry');
  expect(await placeOf(1)).toBe('0x100000');
  await Promise.all([
    client.assertOutput('stdout', '400\n'),
    client.continueRequest({ threadId: 1 }),
  ]);
});

test('hits a breakpoint that is set while it starts', async () => {
  await client.hitBreakpoint(
    { ...LAUNCH, stopOnEntry: false },
    { path: COUNTER, line: 40 },
    { path: COUNTER, line: 40 },
  );
});

// Random packets against a session: thousands here, a million by `npm run fuzz-gdb`. Nothing ends
// the session, and what is read is the guest's RAM and nothing beside it.

import { expect, test } from 'vitest';
import { createSession, GdbStub, SessionGdbTarget } from '../../src/debug/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { answersIn, ask, packetOf, rawOutput } from '../support/gdb-client.ts';
import { assembleText, scenarioOf } from '../support/guest-run.ts';

const PACKETS = Number(process.env.VMXLAB_PACKETS ?? 4000);

const RAM_BYTES = 2 ** 22;

/** A guest that counts, exits and halts, on two vCPUs. */
const PROGRAM = assembleText(`
again:
  lock inc qword [rel count]
  cpuid
  pause
  jmp again
count: dq 0`);

const SETUP = { vcpus: 2, pcpus: 1, vm: { memory: '4M' } };

function newTarget() {
  const session = createSession(scenarioOf(SETUP), { programs: [PROGRAM] });
  return { session, target: new SessionGdbTarget(session, [PROGRAM], String) };
}

const NAMES = [
  ...['m', 'm', 'm', 'M', 'X', 'p', 'P', 'g', 'G', 'Z0,', 'Z1,', 'Z2,', 'Z3,', 'Z4,', 'z0,'],
  ...['vCont;s:p1.', 'vCont;c', 's', 'bs', 'bc', 'Hgp1.', 'Hc', 'T', '?', 'qRcmd,', 'qXfer:', 'D'],
  ...[
    'qSupported:',
    'vFile:open:',
    'vFile:pread:',
    'qThreadExtraInfo,',
    'QStartNoAckMode',
    'vCont;r',
  ],
];

const EDGES = [0, 0xfff, RAM_BYTES, 0xfee00000, 0x7fffffffffff, 0x1000, 0x100000, 0x100010];

function address(prng: Prng): string {
  const near = EDGES[prng.below(EDGES.length)] + prng.below(16) - 8;
  if (prng.below(8) === 0) return `ffff${prng.next().toString(16)}`;
  return Math.max(near, 0).toString(16);
}

function packet(prng: Prng): string {
  let text = NAMES[prng.below(NAMES.length)];
  for (let parts = prng.below(4); parts >= 0; parts--) {
    const kind = prng.below(5);
    if (kind < 2) text += address(prng);
    else if (kind === 2) text += ',:;=.-'[prng.below(6)];
    else if (kind === 3) text += prng.below(64).toString(16);
    else text += String.fromCharCode(prng.below(256)).replace(/[#$}]/, 'x');
  }
  return text;
}

test(`${PACKETS} packets`, () => {
  const prng = new Prng(Number(process.env.VMXLAB_SEED ?? 7));
  let { session, target } = newTarget();
  let stub = new GdbStub(target);
  for (let i = 0; i < PACKETS; i++) {
    const text = packet(prng);
    const whole = Buffer.from(packetOf(text));
    if (prng.below(20) === 0) whole[prng.below(whole.length)] = prng.below(256);
    stub.receive(whole);
    for (let turns = 0; stub.isRunning; turns++) {
      if (turns > 2) stub.receive(Uint8Array.of(3));
      stub.advance();
    }
    const answers = answersIn(rawOutput(stub));
    const [, start, length] = /^m([\da-f]+),([\da-f]+)$/.exec(text) ?? [];
    const [answer] = answers;
    if (start !== undefined && length !== undefined && /^([\da-f]{2})+$/.test(answer ?? '')) {
      // The guest maps its RAM one to one, and nothing else is memory.
      const from = Number.parseInt(start, 16);
      const bytes = (answer as string).length / 2;
      expect(from + bytes, text).toBeLessThanOrEqual(RAM_BYTES);
      const [vm] = session.machine.vms;
      const ram = vm.memory.bytes.subarray(vm.ramHpa + from, vm.ramHpa + from + bytes);
      expect(answer, text).toBe(Buffer.from(ram).toString('hex'));
    }
    if (stub.ending !== null || session.machine.ending !== null || i % 500 === 499) {
      stub.disconnect();
      expect(session.breakpoints.list()).toEqual([]);
      if (session.machine.ending !== null || i % 500 === 499) ({ session, target } = newTarget());
      stub = new GdbStub(target);
    }
  }
  stub.disconnect();
  expect(ask(new GdbStub(target), 'qC')).toEqual(['QCp1.1']);
}, 3_600_000);

// Perfetto's traces, read by protoc with the field numbers that Perfetto publishes: tracks,
// nesting, arrows, and that nothing is lost.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PerfettoWriter, TimeOrder, type TraceRecord } from '../../src/trace/index.ts';
import { ProtobufWriter } from '../../src/trace/protobuf.ts';
import { guestProgram, runToEnd, scenarioOf, tracedMachine } from '../support/guest-run.ts';
import { missing } from '../support/outside-tools.ts';

// protos/perfetto/trace: trace.proto, trace_packet.proto, track_event/track_descriptor.proto,
// track_event/track_event.proto, track_event/debug_annotation.proto; the fields that matter here.
const SCHEMA = `
syntax = "proto2";
message Annotation { optional string string_value = 6; optional string name = 10; }
message Event {
  enum Type { NONE = 0; TYPE_SLICE_BEGIN = 1; TYPE_SLICE_END = 2; TYPE_INSTANT = 3; }
  optional Type type = 9;
  optional uint64 track_uuid = 11;
  optional string name = 23;
  repeated Annotation debug_annotations = 4;
  repeated fixed64 flow_ids = 47;
  repeated fixed64 terminating_flow_ids = 48;
}
message Descriptor {
  optional uint64 uuid = 1;
  optional string name = 2;
  optional uint64 parent_uuid = 5;
}
message Packet {
  optional uint64 timestamp = 8;
  optional uint32 trusted_packet_sequence_id = 10;
  optional Event track_event = 11;
  optional uint32 sequence_flags = 13;
  optional Descriptor track_descriptor = 60;
}
message Trace { repeated Packet packet = 1; }
`;

const noProtoc = missing('protoc');
if (noProtoc !== null) console.log(`Perfetto's traces are not read: ${noProtoc}`);

const folder = mkdtempSync(join(tmpdir(), 'vmxlab-perfetto-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Fields by name; each may be there several times. */
type Decoded = Map<string, (string | Decoded)[]>;

/** What protoc prints of a message. */
function parseTextFormat(lines: readonly string[]): Decoded {
  const root: Decoded = new Map();
  const stack = [root];
  for (const line of lines) {
    const [, opened] = /^ *(\w+) \{$/.exec(line) ?? [];
    const [, name, value] = /^ *(\w+): (.*)$/.exec(line) ?? [];
    const top = stack.at(-1) as Decoded;
    if (opened !== undefined) {
      const inner: Decoded = new Map();
      top.set(opened, [...(top.get(opened) ?? []), inner]);
      stack.push(inner);
    } else if (name !== undefined) {
      top.set(name, [...(top.get(name) ?? []), value.replace(/^"(.*)"$/, '$1')]);
    } else if (/^ *\}$/.test(line)) stack.pop();
    else throw new Error(`protoc printed ${line}`);
  }
  return root;
}

function decode(bytes: Uint8Array): Decoded[] {
  writeFileSync(join(folder, 'trace.proto'), SCHEMA);
  const options = ['--decode=Trace', `--proto_path=${folder}`, 'trace.proto'];
  const text = execFileSync('protoc', options, {
    input: bytes,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const packets: Decoded[] = [];
  // One packet at a time, or appending to one list takes long.
  let lines: string[] = [];
  for (const line of text.trimEnd().split('\n')) {
    lines.push(line);
    if (line !== '}') continue;
    packets.push(parseTextFormat(lines).get('packet')?.[0] as Decoded);
    lines = [];
  }
  return packets;
}

function written(records: readonly TraceRecord[], pcpuCount: number): Buffer {
  const packets: Uint8Array[] = [];
  const writer = new PerfettoWriter(pcpuCount, (packet) => packets.push(packet));
  const order = new TimeOrder(writer);
  for (const record of records) order.record(record);
  order.flush();
  writer.close();
  return Buffer.concat(packets);
}

interface Event {
  readonly timeNs: number;
  readonly type: string;
  readonly track: string;
  readonly name: string;
  readonly starts: readonly string[];
  readonly ends: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
}

type Tracks = Map<string, { name: string; parent: string }>;

/** What a file holds; every packet of it has to be of the one sequence. */
function eventsIn(bytes: Uint8Array): { events: Event[]; tracks: Tracks } {
  const tracks: Tracks = new Map();
  const events: Event[] = [];
  const packets = decode(bytes);
  expect(packets[0].get('sequence_flags')).toEqual(['1']);
  const text = (from: Decoded, name: string) => String(from.get(name)?.[0] ?? '');
  for (const packet of packets) {
    expect(packet.get('trusted_packet_sequence_id')).toEqual(['1']);
    const [descriptor] = (packet.get('track_descriptor') ?? []) as Decoded[];
    if (descriptor !== undefined) {
      const parent = text(descriptor, 'parent_uuid');
      tracks.set(text(descriptor, 'uuid'), { name: text(descriptor, 'name'), parent });
    }
    const [event] = (packet.get('track_event') ?? []) as Decoded[];
    if (event === undefined) continue;
    const annotations = (event.get('debug_annotations') ?? []) as Decoded[];
    events.push({
      timeNs: Number(text(packet, 'timestamp')),
      type: text(event, 'type'),
      track: text(event, 'track_uuid'),
      name: text(event, 'name'),
      starts: (event.get('flow_ids') ?? []).map(String),
      ends: (event.get('terminating_flow_ids') ?? []).map(String),
      annotations: Object.fromEntries(
        annotations.map((one) => [text(one, 'name'), text(one, 'string_value')]),
      ),
    });
  }
  return { events, tracks };
}

describe.skipIf(noProtoc !== null)('a run', () => {
  const scenario = scenarioOf({ vcpus: 4, pcpus: 2, hogs: 2 });
  const program = guestProgram('lock-ticket-pv.asm');
  const { machine, records } = tracedMachine(scenario, [program]);
  runToEnd(machine);
  const tracks: Tracks = new Map();
  const events: Event[] = [];

  beforeAll(() => {
    const read = eventsIn(written(records, 2));
    events.push(...read.events);
    for (const [uuid, track] of read.tracks) tracks.set(uuid, track);
  });

  test('has a track for each pCPU and each thread, in two groups', () => {
    const named = [...tracks.values()].map(({ name, parent }) => {
      const group = tracks.get(parent)?.name;
      return group === undefined ? name : `${group}/${name}`;
    });
    const vcpus = Array.from({ length: 4 }, (_, i) => `Threads/vcpu${i} ${1000 + i}`);
    expect(named.sort()).toEqual(
      [
        'pCPUs',
        'pCPUs/pCPU 0',
        'pCPUs/pCPU 1',
        'Threads',
        'Threads/hog0 1004',
        'Threads/hog1 1005',
        ...vcpus,
      ].sort(),
    );
  });

  test('slices nest, and end', () => {
    const open = new Map<string, number>();
    for (const { type, track, name, annotations } of events) {
      expect(tracks.has(track)).toBe(true);
      const depth = open.get(track) ?? 0;
      const isOutermost = name === 'guest' || 'intrInfo' in annotations;
      if (type === 'TYPE_SLICE_BEGIN' && isOutermost) expect(depth).toBe(0);
      if (type === 'TYPE_SLICE_BEGIN') open.set(track, depth + 1);
      if (type === 'TYPE_SLICE_END') open.set(track, depth - 1);
      expect(open.get(track) ?? 0).toBeGreaterThanOrEqual(0);
      expect(open.get(track) ?? 0).toBeLessThanOrEqual(2);
    }
    expect([...open.values()].every((depth) => depth === 0)).toBe(true);
  });

  test('every event is there, exits as slices with their properties', () => {
    const count = (name: string) => records.filter((record) => record.name === name).length;
    const slices = events.filter(({ type }) => type === 'TYPE_SLICE_BEGIN');
    const exits = slices.filter(({ annotations }) => 'intrInfo' in annotations);
    expect(exits).toHaveLength(count('kvm_exit'));
    expect(exits.every(({ name, annotations }) => name === annotations.reason)).toBe(true);
    expect(slices.filter(({ name }) => name === 'guest')).toHaveLength(count('kvm_entry'));
    for (const name of new Set(records.map((record) => record.name))) {
      if (['kvm_exit', 'kvm_entry', 'sched_switch'].includes(name)) continue;
      const shown = events.filter((event) => event.name === name && event.type === 'TYPE_INSTANT');
      expect(shown, name).toHaveLength(count(name));
    }
  });

  test('what a hypercall does is nested in its exit', () => {
    const open = new Map<string, string[]>();
    let hypercalls = 0;
    for (const { type, track, name } of events) {
      const names = open.get(track) ?? [];
      open.set(track, names);
      if (type === 'TYPE_SLICE_BEGIN') names.push(name);
      if (type === 'TYPE_SLICE_END') names.pop();
      if (name !== 'kvm_hypercall') continue;
      hypercalls++;
      expect(names).toEqual(['VMCALL']);
    }
    expect(hypercalls).toBeGreaterThan(0);
    expect(hypercalls).toBe(records.filter(({ name }) => name === 'kvm_hypercall').length);
  });

  test('an arrow leads from each wake-up to where the thread goes on, never back in time', () => {
    const starts = new Map<string, Event>();
    let arrows = 0;
    for (const event of events) {
      for (const flow of event.starts) {
        expect(event.name).toBe('sched_waking');
        starts.set(flow, event);
      }
      for (const flow of event.ends) {
        const start = starts.get(flow) as Event;
        expect(tracks.get(event.track)?.name).toBe(
          `${start.annotations.comm} ${start.annotations.pid}`,
        );
        expect(event.timeNs).toBeGreaterThanOrEqual(start.timeNs);
        expect(event.name).toMatch(/^(on pCPU \d|woken)$/);
        arrows++;
      }
    }
    expect(arrows).toBeGreaterThan(0);
    expect(arrows).toBe(records.filter(({ name }) => name === 'sched_waking').length);
  });
});

// The woken thread's pCPU may lag behind the waker's by a lookahead.
test.skipIf(noProtoc !== null)('an arrow to who went on before it was woken ends at a mark', () => {
  const waker = { comm: 'vcpu0', pid: 1000, prio: 120 };
  const sleeper = { comm: 'vcpu1', pid: 1001, prio: 120 };
  const idle = { comm: 'swapper/1', pid: 0, prio: 120 };
  const on1 = (timeNs: number, prev: typeof idle, next: typeof idle) => {
    const fields = { prev, prevState: 'S', next };
    return {
      timeNs,
      pcpu: 1,
      comm: prev.comm,
      pid: prev.pid,
      name: 'sched_switch',
      fields,
    } as const;
  };
  const wakes = (timeNs: number) => {
    const fields = { ...sleeper, targetCpu: 1 };
    const { comm, pid } = waker;
    return { timeNs, pcpu: 0, comm, pid, name: 'sched_waking', fields } as const;
  };
  const { events, tracks } = eventsIn(
    written(
      [
        on1(100, sleeper, idle),
        on1(200, idle, sleeper),
        wakes(250),
        on1(300, sleeper, idle),
        wakes(400),
        on1(500, idle, sleeper),
      ],
      2,
    ),
  );
  const arrows = events.filter(({ ends }) => ends.length > 0);
  expect(arrows.map(({ timeNs, name, ends }) => [timeNs, name, ends])).toEqual([
    [250, 'woken', ['1']],
    [500, 'on pCPU 1', ['2']],
  ]);
  expect(arrows.map(({ track }) => tracks.get(track)?.name)).toEqual(['vcpu1 1001', 'vcpu1 1001']);
});

// protobuf.dev, "Encoding": 150 as field 1, "testing" as field 2, a message with 150 as field 3.
describe('the wire format', () => {
  const hex = (write: (out: ProtobufWriter) => void) => {
    const out = new ProtobufWriter();
    write(out);
    return Buffer.from(out.take()).toString('hex');
  };

  test.each<[string, (out: ProtobufWriter) => void, string]>([
    ['a number', (out) => out.uint(1, 150), '089601'],
    ['a text', (out) => out.text(2, 'testing'), '120774657374696e67'],
    ['another text', (out) => out.text(2, 'aé'), '120361c3a9'],
    ['a message', (out) => out.message(3, () => out.uint(1, 150)), '1a03089601'],
    ['a field above 15', (out) => out.uint(60, 1), 'e00301'],
    ['a large number', (out) => out.uint(1, 2 ** 40), '08808080808020'],
    ['64 bits', (out) => out.fixed64(1, 2 ** 33 + 1), '090100000002000000'],
  ])('%s', (_what, write, expected) => {
    expect(hex(write)).toBe(expected);
  });

  test.each([0, 127, 128, 16383, 16384, 100_000])('a text of %i letters', (length) => {
    const bytes = Buffer.from(
      hex((out) => out.text(1, 'x'.repeat(length))),
      'hex',
    );
    let at = 1;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      size += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    expect(size).toBe(length);
    expect(bytes.subarray(at).toString()).toBe('x'.repeat(length));
  });
});

// Where the host's time goes while a guest runs, by V8's own profiler: it looks at the stack many
// times a second, and where a function is defined says what it is for.

import { type Profiler, Session } from 'node:inspector';

/** What the emulator does with its time. */
export const HOST_CATEGORIES = [
  'compiled',
  'interpreted',
  'compilation',
  'exits',
  'host',
  'garbage collection',
  'other',
] as const;

export type HostCategory = (typeof HOST_CATEGORIES)[number];

export interface HostSample {
  readonly category: HostCategory;
  /** Function and file. */
  readonly name: string;
  readonly ns: number;
}

const INTERVAL_US = 250;

/** Do something, and say what took the time. */
export function profileHost(work: () => void): HostSample[] {
  const session = new Session();
  session.connect();
  try {
    session.post('Profiler.enable');
    session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    session.post('Profiler.start');
    work();
    let profile: Profiler.Profile | null = null;
    session.post('Profiler.stop', (_error, result) => {
      profile = result.profile;
    });
    return profile === null ? [] : samplesOf(profile);
  } finally {
    session.disconnect();
  }
}

type Node = Profiler.ProfileNode;

function samplesOf({ nodes, samples, timeDeltas }: Profiler.Profile): HostSample[] {
  const parents = new Map<number, Node>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const named = new Map(nodes.map((node) => [node.id, describe(node, parents)]));
  return (samples ?? []).flatMap((id, i) => {
    const what = named.get(id);
    const ns = Math.max(0, timeDeltas?.[i] ?? 0) * 1000;
    return what === undefined || what === null || ns === 0 ? [] : [{ ...what, ns }];
  });
}

/** Null for idleness. What V8 itself does for a function is the function's. */
function describe(node: Node, parents: ReadonlyMap<number, Node>) {
  const { functionName } = node.callFrame;
  if (functionName === '(idle)') return null;
  if (functionName === '(garbage collector)') {
    return { category: 'garbage collection' as const, name: functionName };
  }
  for (let at: Node | undefined = node; at !== undefined; at = parents.get(at.id)) {
    const { url } = at.callFrame;
    if (url.startsWith('wasm://')) return { category: 'compiled' as const, name: 'regions' };
    const [, room, file] = ROOM.exec(url) ?? [];
    if (room === undefined || file === undefined) continue;
    const name = `${functionName || 'anonymous'} (${room}/${file})`;
    return { category: categoryOf(room, file), name };
  }
  return { category: 'other' as const, name: functionName };
}

/** The last folders of a file of ours. */
const ROOM = /\/(sim|memory|isa|asm|trace|cpu|vmx|host|kvm|machine|cli)\/([\w/-]+)\.[jt]s$/;

function categoryOf(room: string, file: string): HostCategory {
  if (room === 'cpu' && file.startsWith('compiled/')) {
    return file === 'compiled/engine' ? 'compiled' : 'compilation';
  }
  if (room === 'cpu' || room === 'isa' || room === 'memory') return 'interpreted';
  if (room === 'vmx' || room === 'kvm') return 'exits';
  return room === 'cli' || room === 'asm' ? 'other' : 'host';
}

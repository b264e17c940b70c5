// `vmxlab dap`: the debug adapter, on standard input and output or on a port.

import { Duplex } from 'node:stream';
import {
  BadRequest,
  createSession,
  DapAdapter,
  type DapLauncher,
  type DapTarget,
  type LaunchArguments,
  launchArguments,
  SessionDapTarget,
} from '../debug/index.ts';
import { Failure } from './failure.ts';
import { type InputOptions, loadInput } from './program.ts';
import { type ListenOptions, listen, placeOf, serveClient } from './protocol-server.ts';
import { sourcePlaces } from './sources.ts';

export interface DapOptions extends InputOptions {
  /** What `attach` finds, or null. */
  readonly file: string | null;
  /** Where to listen; null for standard input and output. */
  readonly listen: ListenOptions | null;
}

/** Serve, and return the exit code. */
export async function dapCommand(options: DapOptions): Promise<number> {
  const waiting = options.file === null ? null : targetOf(options.file, options);
  const launcher: DapLauncher = {
    launch: (given) => launch(launchArguments(given), options),
    attach: () => waiting,
  };
  if (options.listen !== null) return serveOnPort(launcher, options.listen);
  const adapter = new DapAdapter(launcher);
  const stream = Duplex.from({ readable: process.stdin, writable: process.stdout });
  await serveClient(adapter, stream, () => adapter.isOver);
  process.stdin.destroy();
  return 0;
}

/** One client after the other, until Ctrl-C. */
async function serveOnPort(launcher: DapLauncher, options: ListenOptions): Promise<number> {
  const server = await listen(options, (socket) => {
    const adapter = new DapAdapter(launcher);
    serveClient(adapter, socket, () => adapter.isOver).catch((thrown) => {
      server.emit('error', thrown);
    });
  });
  process.stdout.write(`vmxlab: the debug adapter listens on ${placeOf(server)}\n`);
  await new Promise((_, reject) => {
    server.on('error', reject);
  });
  return 0;
}

function launch({ program, settings, defines }: LaunchArguments, options: DapOptions): DapTarget {
  const flags = [...options.flags, ...settings];
  try {
    return targetOf(program, { ...options, flags, defines: { ...options.defines, ...defines } });
  } catch (thrown) {
    if (thrown instanceof Failure) throw new BadRequest(thrown.lines.join('\n'));
    throw thrown;
  }
}

function targetOf(file: string, options: DapOptions): DapTarget {
  const { scenario, places, sources, warnings, ...parts } = loadInput(file, options);
  const where = sourcePlaces(places, sources);
  return new SessionDapTarget(createSession(scenario, parts), where, warnings);
}

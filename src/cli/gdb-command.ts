// `vmxlab gdb`: a server for gdb. The machine stands still until gdb lets it go on; what gdb set is
// taken back when it leaves, and the machine waits where it is for the next one.

import { createSession, GdbStub, SessionGdbTarget } from '../debug/index.ts';
import { setRunUnderWay } from './crash.ts';
import { GuestOutput } from './guest-output.ts';
import { type InputOptions, loadInput } from './program.ts';
import { type ListenOptions, listen, placeOf, serveClient } from './protocol-server.ts';

export interface GdbOptions extends InputOptions {
  readonly file: string;
  readonly listen: ListenOptions;
}

/** Serve until gdb kills the machine; the exit code. */
export async function gdbCommand(options: GdbOptions): Promise<number> {
  const input = loadInput(options.file, options);
  for (const warning of input.warnings) process.stderr.write(`${warning}\n`);
  setRunUnderWay(input);
  const { scenario, programs, places } = input;
  const session = createSession(scenario, input);
  const target = new SessionGdbTarget(session, programs, (name) => places.get(name) ?? name);
  const output = new GuestOutput(session.machine);
  let isServing = false;
  await new Promise<void>((resolve, reject) => {
    const server = listen(options.listen, (socket) => {
      // The machine is one, and so is who debugs it.
      if (isServing) {
        socket.destroy();
        return;
      }
      isServing = true;
      const stub = new GdbStub(target);
      const engine = {
        get isRunning() {
          return stub.isRunning;
        },
        receive: (bytes: Uint8Array) => stub.receive(bytes),
        advance: () => {
          stub.advance();
          output.pass(false);
        },
        takeOutput: () => stub.takeOutput(),
        disconnect: () => stub.disconnect(),
      };
      serveClient(engine, socket, () => stub.ending !== null)
        .then(() => {
          isServing = false;
          if (stub.ending === 'killed') server.then((one) => one.close(() => resolve()));
        })
        .catch(reject);
    });
    server.then((one) => {
      const place = placeOf(one);
      process.stdout.write(`vmxlab: waiting for gdb; in gdb: target remote ${place}\n`);
    }, reject);
  });
  setRunUnderWay(null);
  return 0;
}

// Carries bytes between a stream and a protocol engine, which itself knows no streams, and lets the
// engine go on while its machine runs.

import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { Failure } from './failure.ts';

/** What speaks a protocol: bytes in, bytes out. */
export interface ProtocolEngine {
  readonly isRunning: boolean;
  receive(bytes: Uint8Array): void;
  /** Let the machine go on for a while. */
  advance(): void;
  takeOutput(): Uint8Array[];
  /** The other side is gone. */
  disconnect(): void;
}

/**
 * Serve one client until it leaves, or until `isOver` says so. Rejects with what the engine throws.
 */
export function serveClient(
  engine: ProtocolEngine,
  stream: Duplex,
  isOver: () => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isPumping = false;
    const flush = () => {
      for (const bytes of engine.takeOutput()) stream.write(bytes);
      if (isOver()) stream.end();
    };
    const attempt = (work: () => void) => {
      try {
        work();
        flush();
      } catch (thrown) {
        reject(thrown);
        stream.destroy();
      }
    };
    const pump = async () => {
      if (isPumping) return;
      isPumping = true;
      while (engine.isRunning && !stream.destroyed) {
        attempt(() => engine.advance());
        await setImmediate();
      }
      isPumping = false;
    };
    stream.on('data', (bytes: Buffer) => {
      attempt(() => engine.receive(bytes));
      void pump();
    });
    // A client that vanishes is no error of ours; `close` follows.
    stream.on('error', () => undefined);
    stream.on('close', () => {
      attempt(() => engine.disconnect());
      resolve();
    });
  });
}

export interface ListenOptions {
  readonly port: number;
  /** Address of an interface; only this machine reaches the loopback one. */
  readonly address: string;
}

export const LOOPBACK = '127.0.0.1';

/** Listen, and hand over each client. Throws {@link Failure} if that cannot be. */
export function listen(
  { port, address }: ListenOptions,
  onClient: (socket: Socket) => void,
): Promise<Server> {
  const server = createServer({ noDelay: true }, onClient);
  return new Promise((resolve, reject) => {
    server.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      const reason = REASONS[code ?? ''] ?? message;
      reject(new Failure(`cannot listen on ${address}:${port}: ${reason}`));
    });
    server.listen(port, address, () => resolve(server));
  });
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'somebody else does already; --port takes another',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'permission denied',
  ENOTFOUND: 'no such address',
};

/** Where a server listens, as it is typed: address and port. */
export function placeOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') return String(address);
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `${host}:${address.port}`;
}

// The other end of gdb's remote protocol, for tests: sends packets, and cuts what comes back into
// answers. Written after gdb's manual, "Overview"; shares nothing with the stub.

import type { GdbStub } from '../../src/debug/index.ts';

export function packetOf(text: string): Uint8Array {
  const sum = [...text].reduce((total, character) => total + character.charCodeAt(0), 0);
  return Buffer.from(`$${text}#${(sum & 0xff).toString(16).padStart(2, '0')}`, 'latin1');
}

/** What the stub has sent, as it is on the wire. */
export function rawOutput(stub: GdbStub): string {
  return Buffer.concat(stub.takeOutput()).toString('latin1');
}

/** Send a packet and give the texts of the answers; the target goes on until it stops. */
export function ask(stub: GdbStub, text: string): string[] {
  stub.receive(packetOf(text));
  while (stub.isRunning) stub.advance();
  return answersIn(rawOutput(stub));
}

/** The texts of packets, acknowledgments aside; throws if a checksum is wrong. */
export function answersIn(raw: string): string[] {
  return [...raw.matchAll(/\$([^#]*)#([\da-f]{2})/g)].map(([, text = '', checksum]) => {
    const sum = [...text].reduce((total, character) => total + character.charCodeAt(0), 0);
    if ((sum & 0xff) !== Number.parseInt(checksum as string, 16)) throw new Error(`bad: ${text}`);
    return text.replace(/\}(.)/gs, (_, next: string) =>
      String.fromCharCode(next.charCodeAt(0) ^ 0x20),
    );
  });
}

// Files that gdb fetches from the target: the programs that it debugs, with their symbols, and
// nothing else; no file of the host is ever opened. gdb's manual, "Host I/O Packets".

import { decodeUtf8 } from '../../sim/index.ts';
import { bytesOfHex, countOfHex, textOfBytes } from './hex.ts';
import { PACKET_BYTES } from './packets.ts';
import type { GdbTarget } from './target.ts';

/** Numbers of gdb's File-I/O protocol. */
const ENOENT = 2;
const EBADF = 9;
const EACCES = 13;
const EINVAL = 22;

const O_ACCMODE = 3;

const MAX_READ_BYTES = PACKET_BYTES / 2 - 16;

/** Of struct stat in that protocol: mode, and where the size is; all is big-endian. */
const STAT_BYTES = 64;
const STAT_MODE_AT = 8;
const STAT_SIZE_AT = 28;
const READABLE_FILE = 0o100444;

export class TransferredFiles {
  private readonly target: GdbTarget;
  private readonly open = new Map<number, Uint8Array>();
  private nextNumber = 3;

  constructor(target: GdbTarget) {
    this.target = target;
  }

  /** The answer to `vFile:` and what follows. */
  handle(text: string): string {
    const colon = text.indexOf(':');
    const words = text.slice(colon + 1).split(',');
    switch (text.slice(0, Math.max(colon, 0))) {
      case 'setfs':
        return result(0);
      case 'open':
        return this.openFile(words);
      case 'close':
        return this.open.delete(countOfHex(words[0]) ?? -1) ? result(0) : failure(EBADF);
      case 'pread':
        return this.read(words);
      case 'fstat':
        return this.stat(words);
      case 'pwrite':
      case 'unlink':
        return failure(EACCES);
      case 'readlink':
        return failure(EINVAL);
      default:
        return '';
    }
  }

  private openFile([name = '', flags = '']: readonly string[]): string {
    const bytes = bytesOfHex(name);
    const how = countOfHex(flags);
    if (bytes === null || how === null) return failure(EINVAL);
    if ((how & O_ACCMODE) !== 0) return failure(EACCES);
    const path = decodeUtf8(bytes);
    const processes = new Set(this.target.threads.map(({ process }) => process));
    for (const process of processes) {
      const file = this.target.symbolFile(process);
      if (file?.path !== path) continue;
      const number = this.nextNumber++;
      this.open.set(number, file.bytes);
      return result(number);
    }
    return failure(ENOENT);
  }

  private read([number = '', count = '', from = '']: readonly string[]): string {
    const file = this.open.get(countOfHex(number) ?? -1);
    const lengthBytes = countOfHex(count);
    const offset = countOfHex(from);
    if (file === undefined) return failure(EBADF);
    if (lengthBytes === null || offset === null) return failure(EINVAL);
    const part = file.subarray(offset, offset + Math.min(lengthBytes, MAX_READ_BYTES));
    return `${result(part.length)};${textOfBytes(part)}`;
  }

  private stat([number = '']: readonly string[]): string {
    const file = this.open.get(countOfHex(number) ?? -1);
    if (file === undefined) return failure(EBADF);
    const view = new DataView(new ArrayBuffer(STAT_BYTES));
    view.setUint32(STAT_MODE_AT, READABLE_FILE);
    view.setUint32(STAT_SIZE_AT + 4, file.length);
    return `${result(STAT_BYTES)};${textOfBytes(new Uint8Array(view.buffer))}`;
  }
}

function result(value: number): string {
  return `F${value.toString(16)}`;
}

function failure(error: number): string {
  return `F-1,${error.toString(16)}`;
}

// Recordings as files: read, written and packed.

import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import {
  decodeRecording,
  encodeRecording,
  isRecording,
  type Packing,
  RECORDING_MAGIC_BYTES,
  type Recording,
} from '../debug/index.ts';
import { Failure } from './failure.ts';
import { firstBytes, readBytes, writeOutput } from './files.ts';

/** More is not unpacked: a small file can become a very large one. */
const MOST_UNPACKED_BYTES = 2 ** 28;

/** Traces repeat themselves from afar: a window of 4 MiB, and the level at which that is found. */
const PACKED = {
  params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 22 },
};

const PACKING: Packing = {
  pack: (bytes) => brotliCompressSync(bytes, PACKED),
  unpack: (bytes) => {
    try {
      return brotliDecompressSync(bytes, { maxOutputLength: MOST_UNPACKED_BYTES });
    } catch {
      return null;
    }
  },
};

/** True if the file is there and begins as recordings do. */
export function isRecordingFile(path: string): boolean {
  return isRecording(firstBytes(path, RECORDING_MAGIC_BYTES));
}

/** Throws {@link Failure} if the file is no recording, or a damaged one. */
export function readRecording(path: string): Recording {
  const decoded = decodeRecording(readBytes(path), PACKING);
  if ('recording' in decoded) return decoded.recording;
  throw new Failure(`${path}: ${decoded.problem}`);
}

/** Write a recording; returns the size of the file in bytes. */
export function writeRecording(path: string, recording: Recording): number {
  const bytes = encodeRecording(recording, PACKING);
  writeOutput(path, bytes);
  return bytes.length;
}

// Recordings as files: read, written and packed.

import { deflateSync, inflateSync } from 'node:zlib';
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

const PACKING: Packing = {
  pack: (bytes) => deflateSync(bytes),
  unpack: (bytes) => {
    try {
      return inflateSync(bytes, { maxOutputLength: MOST_UNPACKED_BYTES });
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

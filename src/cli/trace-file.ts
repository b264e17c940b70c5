// Traces as files, written as the run goes on and with little memory: ftrace's text, trace.dat,
// Perfetto.

import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import {
  DatWriter,
  PerfettoWriter,
  TextWriter,
  TimeOrder,
  type TraceFormat,
  type TraceRecord,
  type TraceSink,
  textHeader,
} from '../trace/index.ts';
import { Failure } from './failure.ts';
import { asWriteFailure } from './files.ts';

export const FILE_FORMATS = ['text', 'dat', 'perfetto'] as const;

export type FileFormat = (typeof FILE_FORMATS)[number];

const EXTENSIONS: Readonly<Record<string, FileFormat>> = {
  '.dat': 'dat',
  '.perfetto': 'perfetto',
  '.perfetto-trace': 'perfetto',
  '.pftrace': 'perfetto',
};

/** What is asked for, or else what the name of the file says. Throws {@link Failure}. */
export function traceFormat(given: string | undefined, flag: string, path: string): FileFormat {
  if (given === undefined) return EXTENSIONS[extname(path).toLowerCase()] ?? 'text';
  const format = FILE_FORMATS.find((name) => name === given);
  if (format !== undefined) return format;
  throw new Failure(`--${flag}: expected ${FILE_FORMATS.join(', ')}, not '${given}'`);
}

/** A trace that is being written. */
export interface TraceFile extends TraceSink {
  /** Write what is left. */
  close(): void;
}

/** @param kernel whose tracepoints it has, as they were then */
export function createTraceFile(
  path: string,
  format: FileFormat,
  pcpuCount: number,
  kernel: TraceFormat,
): TraceFile {
  switch (format) {
    case 'text':
      return ordered(new TextFile(path, pcpuCount, kernel), pcpuCount);
    case 'dat':
      return new DatFile(path, pcpuCount, kernel);
    case 'perfetto':
      return ordered(new PerfettoFile(path, pcpuCount, kernel), pcpuCount);
  }
}

/** The same with events in order of time; a single pCPU has them in order. */
function ordered(file: TraceFile, pcpuCount: number): TraceFile {
  if (pcpuCount === 1) return file;
  const order = new TimeOrder(file);
  return {
    record: (record) => order.record(record),
    close: () => {
      order.flush();
      file.close();
    },
  };
}

/** A file that is written in large pieces. */
class OutputFile {
  private readonly path: string;
  private readonly file: number;
  private readonly waiting = Buffer.alloc(BYTES_PER_WRITE);
  private waitingLength = 0;

  constructor(path: string) {
    this.path = path;
    this.file = this.attempt(() => openSync(path, 'w+'));
  }

  get isOrdinary(): boolean {
    return fstatSync(this.file).isFile();
  }

  write(data: Uint8Array): void {
    this.makeRoom(data.length);
    if (data.length > BYTES_PER_WRITE) this.writeAll(data);
    else this.waiting.set(data, this.waitingLength);
    this.waitingLength += data.length > BYTES_PER_WRITE ? 0 : data.length;
  }

  /** Over what is there already. */
  overwrite(text: string, position: number): void {
    this.flush();
    this.attempt(() => writeSync(this.file, text, position));
  }

  read(position: number, into: Uint8Array): void {
    this.flush();
    this.attempt(() => readSync(this.file, into, 0, into.length, position));
  }

  close(): void {
    this.flush();
    closeSync(this.file);
  }

  private makeRoom(lengthBytes: number): void {
    if (this.waitingLength + lengthBytes > BYTES_PER_WRITE) this.flush();
  }

  private flush(): void {
    this.writeAll(this.waiting.subarray(0, this.waitingLength));
    this.waitingLength = 0;
  }

  private writeAll(bytes: Uint8Array): void {
    this.attempt(() => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.file, bytes, at);
    });
  }

  /** Full disks and wrong paths are no errors of ours. */
  private attempt<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      throw asWriteFailure(thrown, this.path);
    }
  }
}

const BYTES_PER_WRITE = 2 ** 18;

class TextFile implements TraceFile {
  private readonly output: OutputFile;
  private readonly pcpuCount: number;
  private readonly headerLength: number;
  private readonly kernel: TraceFormat;
  private readonly writer: TextWriter;

  constructor(path: string, pcpuCount: number, kernel: TraceFormat) {
    this.output = new OutputFile(path);
    this.pcpuCount = pcpuCount;
    this.kernel = kernel;
    this.writer = new TextWriter((bytes) => this.output.write(bytes), kernel);
    const header = textHeader(0, pcpuCount, kernel);
    this.headerLength = header.length;
    this.output.write(Buffer.from(header));
  }

  record(record: TraceRecord): void {
    this.writer.record(record);
  }

  /** Write the rest, and the counts into the header, unless this is a pipe. */
  close(): void {
    this.writer.flush();
    const header = textHeader(this.writer.entries, this.pcpuCount, this.kernel);
    const canReplace = this.output.isOrdinary && header.length === this.headerLength;
    if (canReplace) this.output.overwrite(header, 0);
    this.output.close();
  }
}

class PerfettoFile implements TraceFile {
  private readonly output: OutputFile;
  private readonly writer: PerfettoWriter;

  constructor(path: string, pcpuCount: number, kernel: TraceFormat) {
    this.output = new OutputFile(path);
    this.writer = new PerfettoWriter(pcpuCount, (packet) => this.output.write(packet), kernel);
  }

  record(record: TraceRecord): void {
    this.writer.record(record);
  }

  close(): void {
    this.writer.close();
    this.output.close();
  }
}

/**
 * trace.dat has the pages of each pCPU together, so they wait in a file beside it until their
 * number is known.
 */
class DatFile implements TraceFile {
  private readonly output: OutputFile;
  private readonly pages: OutputFile;
  private readonly pagesPath: string;
  /** What to remove in the end. */
  private readonly temporary: string;
  private readonly writer: DatWriter;
  /** The pCPU of each page. */
  private readonly pcpus: number[] = [];
  private pageBytes = 0;

  constructor(path: string, pcpuCount: number, kernel: TraceFormat) {
    this.output = new OutputFile(path);
    const folder = this.output.isOrdinary ? null : mkdtempSync(join(tmpdir(), 'vmxlab-trace-'));
    this.pagesPath = folder === null ? `${path}.pages` : join(folder, 'pages');
    this.temporary = folder ?? this.pagesPath;
    const exists = statSync(this.pagesPath, { throwIfNoEntry: false }) !== undefined;
    if (exists) throw new Failure(`cannot write ${path}: ${this.pagesPath} is in the way`);
    this.pages = new OutputFile(this.pagesPath);
    const emit = (pcpu: number, page: Uint8Array) => {
      this.pcpus.push(pcpu);
      this.pageBytes = page.length;
      this.pages.write(page);
    };
    this.writer = new DatWriter(pcpuCount, emit, kernel);
  }

  record(record: TraceRecord): void {
    this.writer.record(record);
  }

  close(): void {
    try {
      this.writer.flush();
      this.output.write(this.writer.head());
      const most = this.pcpus.reduce((highest, pcpu) => Math.max(highest, pcpu), 0);
      for (let wanted = 0; wanted <= most; wanted++) this.copyPages(wanted);
      this.pages.close();
      this.output.close();
    } finally {
      rmSync(this.temporary, { recursive: true, force: true });
    }
  }

  private copyPages(wanted: number): void {
    for (const [i, pcpu] of this.pcpus.entries()) {
      if (pcpu !== wanted) continue;
      const page = new Uint8Array(this.pageBytes);
      this.pages.read(i * this.pageBytes, page);
      this.output.write(page);
    }
  }
}

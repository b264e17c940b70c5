// The decoder against the processor. Bytes are placed at the end of an executable page that nothing
// follows: a processor that wants more of them faults in fetching, so whether an instruction has
// length L shows in two executions, with L bytes and with one less. What the decoder calls
// undefined must raise #UD. Its answer 'unimplemented' is no answer, and is counted.

import Long from 'long';
import {
  type CodeSize,
  type Decoded,
  decode,
  format,
  Gpr,
  type Row,
  Segment,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { randomEncoding } from '../support/row-encodings.ts';
import { Interpreter, trapName } from './interpreter.ts';
import {
  type Case,
  CODE,
  codeSizeOf,
  DATA,
  ESP_UPPER_HALF,
  Mode,
  modeFor,
  type Oracle,
  type Outcome,
  PAGE,
} from './protocol.ts';
import { basesOf, codeOffset } from './segments.ts';
import { decodableRows, isForbidden, modeOf, whyLeftOut } from './selection.ts';
import { INTO_DATA, randomData } from './states.ts';

const MAX_BYTES = 15;
const BATCH_INPUTS = 2048;
const SHOWN = 50;
const UNDEFINED_OPCODE = 6;
const GENERAL_PROTECTION = 13;
const PAGE_FAULT = 14;
const FETCH = 1 << 4;
const PREFIXES = [
  ...[0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65],
  ...[0x40, 0x41, 0x44, 0x48, 0x49, 0x4c, 0x4f],
];

export interface FuzzReport {
  readonly inputs: number;
  readonly executions: number;
  /** Inputs by what the decoder made of them. */
  readonly kinds: ReadonlyMap<string, number>;
  /** Opcodes that the table does not have, with how often they came up. */
  readonly unimplemented: ReadonlyMap<string, number>;
  /** Inputs whose row this machine cannot execute. */
  readonly leftOut: number;
  readonly mismatches: number;
  readonly messages: readonly string[];
}

/** An execution and what should come of it. */
interface Question {
  readonly bytes: Uint8Array;
  readonly decoded: Decoded;
  readonly one: Case;
  readonly expected: 'complete' | 'fetchFault' | 'undefined' | 'protection';
}

export class Fuzz {
  private readonly oracle: Oracle;
  private readonly features: ReadonlySet<string>;
  private readonly codeSize: CodeSize;
  private readonly rows: readonly Row[];
  private readonly interpreter = new Interpreter();
  private readonly kinds = new Map<string, number>();
  private readonly unimplemented = new Map<string, number>();
  private readonly messages: string[] = [];
  private readonly data: Uint8Array;
  private inputs = 0;
  private executions = 0;
  private leftOut = 0;
  private mismatches = 0;

  constructor(oracle: Oracle, features: ReadonlySet<string>, codeSize: CodeSize) {
    this.oracle = oracle;
    this.codeSize = codeSize;
    this.rows = decodableRows(codeSize);
    this.features = features;
    this.data = randomData(new Prng(1));
    this.interpreter.setData(this.data);
  }

  async run(inputs: number, seed: number): Promise<void> {
    const prng = new Prng(seed);
    let previous: { questions: Question[]; outcomes: Promise<Outcome[]> } | null = null;
    for (let done = 0; done < inputs; done += BATCH_INPUTS) {
      const count = Math.min(BATCH_INPUTS, inputs - done);
      const questions = Array.from({ length: count }, () =>
        this.ask(this.randomBytes(prng), prng),
      ).flat();
      const cases = questions.map(({ one }) => one);
      const next = { questions, outcomes: this.oracle.run({ data: this.data, cases }) };
      if (previous !== null) this.judgeAll(previous.questions, await previous.outcomes);
      previous = next;
    }
    if (previous !== null) this.judgeAll(previous.questions, await previous.outcomes);
    this.inputs += inputs;
  }

  /** Everything so far. */
  get report(): FuzzReport {
    const { inputs, kinds, unimplemented, executions, leftOut, mismatches, messages } = this;
    return { inputs, kinds, unimplemented, executions, leftOut, mismatches, messages };
  }

  /** What to find out about some bytes. Nothing where an execution could do harm. */
  private ask(bytes: Uint8Array, prng: Prng): Question[] {
    const decoded = decode(bytes, 0, bytes.length, this.codeSize);
    count(this.kinds, decoded.kind);
    const question = (length: number, expected: Question['expected'], mode: number) => {
      const one = caseOf(bytes.slice(0, length), mode | modeFor(this.codeSize));
      return { bytes, decoded, one, expected };
    };
    switch (decoded.kind) {
      case 'unimplemented':
        count(this.unimplemented, opcodeOf(bytes, this.codeSize));
        return [];
      case 'truncated':
        return [question(bytes.length, 'fetchFault', Mode.SINGLE_STEP)];
      case 'tooLong':
        return [question(bytes.length, 'protection', Mode.SINGLE_STEP)];
      case 'undefined':
        return isDangerous(bytes) ? [] : [question(bytes.length, 'undefined', Mode.SINGLE_STEP)];
      case 'instruction': {
        const { row, lengthBytes } = decoded.instruction;
        if (!this.mayExecute(row, bytes.subarray(0, lengthBytes))) return [];
        const mode = modeOf(row, this.codeSize) & Mode.SINGLE_STEP;
        const whole = question(lengthBytes, 'complete', mode);
        if (lengthBytes === 1) return [whole];
        // Mostly one byte less, which is the sharpest question; sometimes any number less.
        const less = prng.below(4) === 0 ? 1 + prng.below(lengthBytes - 1) : lengthBytes - 1;
        if (decode(bytes, 0, less, this.codeSize).kind !== 'truncated') {
          this.tell(bytes, decoded, `not truncated with ${less} bytes`);
        }
        return [whole, question(less, 'fetchFault', Mode.SINGLE_STEP)];
      }
    }
  }

  private mayExecute(row: Row, code: Uint8Array): boolean {
    if (whyLeftOut(row, this.features) === null && !isForbidden(row, code)) return true;
    this.leftOut++;
    return false;
  }

  /** Random, mostly prefixes, or what is nearly an instruction of the table. */
  private randomBytes(prng: Prng): Uint8Array {
    const bytes = Uint8Array.from({ length: MAX_BYTES }, () => prng.below(256));
    const kind = prng.below(10);
    if (kind < 3) return bytes;
    const prefixes: number[] = [];
    while (prng.below(3) !== 0) prefixes.push(PREFIXES[prng.below(PREFIXES.length)]);
    if (prng.below(200) === 0) {
      for (let n = prng.below(16); n > 0; n--) prefixes.push(PREFIXES[prng.below(11)]);
    }
    if (kind < 5) bytes.set(prefixes.slice(0, MAX_BYTES));
    else {
      const row = this.rows[prng.below(this.rows.length)];
      const code = [
        ...prefixes,
        ...randomEncoding(row, prng, INTO_DATA[this.codeSize], this.codeSize),
      ];
      bytes.set(code.slice(0, MAX_BYTES));
      if (kind === 9) bytes[prng.below(Math.min(code.length, MAX_BYTES))] = prng.below(256);
    }
    return bytes;
  }

  private judgeAll(questions: readonly Question[], outcomes: readonly Outcome[]): void {
    questions.forEach((question, i) => {
      this.executions++;
      const seen = outcomes[i];
      if (this.isRight(question, seen)) return;
      const { bytes, decoded, one, expected } = question;
      const raised = `${trapName(seen.trap)}(${seen.errorCode.toString(16)})`;
      const how = `${raised} at ${seen.rip - startOf(one)}`;
      this.tell(bytes, decoded, `${one.code.length} bytes should give ${expected}, gave ${how}`);
    });
  }

  private isRight({ one, expected }: Question, seen: Outcome): boolean {
    const { trap } = seen;
    const isAtStart = seen.rip === startOf(one);
    const fetches = trap === PAGE_FAULT && (seen.errorCode & FETCH) !== 0;
    switch (expected) {
      case 'fetchFault':
        return fetches && isAtStart && seen.cr2 === BigInt(CODE + PAGE);
      case 'undefined':
        if (trap === GENERAL_PROTECTION) return mayBeTooLong(one.code, this.codeSize);
        return trap === UNDEFINED_OPCODE && isAtStart;
      case 'protection':
        return trap === GENERAL_PROTECTION && isAtStart;
      case 'complete':
        // Instructions may raise #UD for other reasons than that they are undefined.
        if (trap === UNDEFINED_OPCODE) return this.raisesUndefined(one);
        return !(fetches && isAtStart);
    }
  }

  private raisesUndefined(one: Case): boolean {
    const { trap } = this.interpreter.run(one);
    this.interpreter.restoreData(this.data);
    return trap === UNDEFINED_OPCODE;
  }

  private tell(bytes: Uint8Array, decoded: Decoded, what: string): void {
    this.mismatches++;
    if (this.messages.length >= SHOWN) return;
    const here =
      decoded.kind === 'instruction' ? format(decoded.instruction, Long.ZERO) : decoded.kind;
    this.messages.push(`${Buffer.from(bytes).toString('hex')}, here ${here}: ${what}`);
  }
}

function startOf({ code, mode }: Case): bigint {
  return BigInt(codeOffset(codeSizeOf(mode)) + PAGE - code.length);
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Every register points into the data, but the counter of loops and strings. */
function caseOf(code: Uint8Array, mode: number): Case {
  const registers = new Int32Array(32);
  const codeSize = codeSizeOf(mode);
  const [base] = basesOf(codeSize, 0, 0);
  for (let number = 0; number < 16; number++) {
    registers[2 * number] = number === 1 ? 3 : DATA + 0x600 + 64 * number - base;
  }
  if (codeSize === 16) registers[2 * Gpr.RSP] |= ESP_UPPER_HALF;
  const [fsBase, gsBase] = basesOf(codeSize, 0, 0).slice(Segment.FS);
  const shared = { rflags: 2, fsBase, gsBase, pokes: [], vectors: null };
  return { code, mode: mode | Mode.AT_PAGE_END, registers, ...shared };
}

/** Pairs of bytes that would call the kernel of this machine, or whoever virtualizes it. */
const CALLS = ['0f05', '0f34', 'cd80', '0f01'];

/** For bytes that should be undefined: whether executing them would do harm if they are not. */
function isDangerous(bytes: Uint8Array): boolean {
  const digits = Buffer.from(bytes).toString('hex');
  return CALLS.some((call) => digits.includes(call));
}

/**
 * The processor counts bytes before it looks at what they are, so an undefined instruction of more
 * than 15 bytes raises #GP; the decoder says #UD as soon as it knows. Without prefixes nothing is
 * longer than 11 bytes.
 */
function mayBeTooLong(bytes: Uint8Array, codeSize: CodeSize): boolean {
  return bytes.findIndex((byte) => !isPrefix(byte, codeSize)) + 11 > MAX_BYTES;
}

/** Map and opcode, with the mandatory prefix, of bytes that the table does not have. */
function opcodeOf(bytes: Uint8Array, codeSize: CodeSize): string {
  const hex = (byte: number) => byte.toString(16).padStart(2, '0');
  let at = 0;
  let prefix = '';
  while (at < bytes.length && isPrefix(bytes[at], codeSize)) {
    if ([0x66, 0xf2, 0xf3].includes(bytes[at])) prefix = `${hex(bytes[at])} `;
    at++;
  }
  const [first, second, third] = bytes.subarray(at);
  if (first === 0x62) return 'evex';
  if (first === 0xc5) return `vex 1 ${hex(third)}`;
  if (first === 0xc4) return `vex ${second & 31} ${hex(bytes[at + 3] ?? 0)}`;
  if (first !== 0x0f) return `${prefix}${hex(first)}`;
  const isLong = second === 0x38 || second === 0x3a;
  return `${prefix}0f ${hex(second)}${isLong ? ` ${hex(third)}` : ''}`;
}

function isPrefix(byte: number, codeSize: CodeSize): boolean {
  if ((byte & 0xf0) === 0x40) return codeSize === 64;
  return PREFIXES.includes(byte);
}

// What the parser makes of a line, and what layout and listing add to it.

import type Long from 'long';
import type { CodeSize, MemoryWidth, RegisterName, Width } from '../isa/index.ts';
import type { Expression } from './expression.ts';
import type { ListedLine } from './listing.ts';
import type { Section } from './sections.ts';
import type { Place } from './source.ts';
import type { AssemblerSymbol } from './symbols.ts';

/** Prefixes as written; the widths are 0 and the segment -1 where nothing was said. */
export interface Prefixes {
  readonly lock: boolean;
  readonly repeat: 'none' | 'rep' | 'repne';
  readonly segment: number;
  readonly operandWidth: Width | 0;
  readonly addressWidth: Width | 0;
  readonly extra?: readonly number[];
  readonly suffix?: Width;
  readonly order?: 'gnu';
}

export interface RegisterOperandText {
  readonly kind: 'register';
  readonly register: RegisterName;
}

export interface NumberOperandText {
  readonly kind: 'number';
  readonly value: Expression;
  readonly width: Width | 0;
  readonly strict: boolean;
  /** Not known where it is written, so that it takes the widest field whatever it turns out to be. */
  readonly wide?: boolean;
  readonly distance: 'short' | 'near' | null;
}

/** Base and index as the text names them, where it does not leave that to the assembler. */
export interface MemoryRegisters {
  readonly base: RegisterName | null;
  readonly index: RegisterName | null;
  readonly scale: 1 | 2 | 4 | 8;
}

export interface MemoryOperandText {
  readonly kind: 'memory';
  /** Only the displacement if `registers` are given. */
  readonly address: Expression;
  readonly width: MemoryWidth | 0;
  readonly far: boolean;
  readonly segment: number;
  /** A size keyword inside the brackets, or 0. */
  readonly displacementWidth: Width | 0;
  /** `rel`, `abs`, or by the `default` directive in force. */
  readonly addressing: 'rel' | 'abs' | 'default rel' | 'default abs';
  readonly registers?: MemoryRegisters;
  readonly place: Place;
}

/** `selector:offset` */
export interface PointerOperandText {
  readonly kind: 'pointer';
  readonly selector: Expression;
  readonly offset: Expression;
  /** A size keyword before either, or 0. */
  readonly width: Width | 0;
}

export type OperandText =
  | RegisterOperandText
  | NumberOperandText
  | MemoryOperandText
  | PointerOperandText;

/** One item of DB and kin. */
export type DataItem =
  | { readonly kind: 'string'; readonly bytes: Uint8Array }
  | { readonly kind: 'expression'; readonly value: Expression }
  | { readonly kind: 'uninitialized' };

/** Which forms of a branch to a place the instruction table has. */
export interface BranchForms {
  readonly short: boolean;
  readonly near: boolean;
  /** Jcc, before whose sized target `near` has to stand. */
  readonly conditional: boolean;
}

export interface InstructionBody {
  readonly kind: 'instruction';
  /** In upper case. */
  readonly mnemonic: string;
  /** What code it is part of. */
  readonly codeSize: CodeSize;
  readonly prefixes: Prefixes;
  readonly operands: readonly OperandText[];
  /** The first operand is a place to go to, in which forms; null for all but branches. */
  readonly branch: BranchForms | null;
  /** Its bytes depend neither on where it stands nor on symbols. */
  readonly fixed: boolean;
}

export interface DataBody {
  readonly kind: 'data';
  readonly itemBytes: number;
  readonly items: readonly DataItem[];
}

export interface ReserveBody {
  readonly kind: 'reserve';
  readonly itemBytes: number;
  readonly count: Expression;
}

/** The filler is repeated up to a multiple of `boundary`, unless that takes more than `most`. */
export interface AlignBody {
  readonly kind: 'align';
  readonly boundary: number;
  readonly filler: Body;
  readonly most?: number;
}

export type Body =
  | InstructionBody
  | DataBody
  | ReserveBody
  /** INCBIN. */
  | { readonly kind: 'binary'; readonly bytes: Uint8Array }
  | AlignBody
  /** A byte of instructions that do nothing: as many as there are, they become few and long. */
  | { readonly kind: 'nops'; readonly codeSize: CodeSize }
  | { readonly kind: 'equ'; readonly symbol: AssemblerSymbol; readonly value: Expression };

/** A piece of a statement's bytes that depends on where a section stands, for the listing. */
export interface AddressField {
  /** Offset into one repetition of the statement. */
  readonly at: number;
  readonly lengthBytes: number;
  readonly relative: boolean;
  /** What NASM lists: the value relative to the section. */
  readonly shown: Long;
}

export interface Statement {
  readonly label: AssemblerSymbol | null;
  readonly body: Body | null;
  readonly times: Expression | null;
  readonly section: Section;
  /** Where the instruction or directive stands; for a lone label, the label. */
  readonly place: Place;
  readonly listed: ListedLine;
  /** Offset into the section, by the last pass. */
  offset: number;
  /** Bytes with all repetitions, by the last pass. */
  lengthBytes: number;
  repetitions: number;
  /** Encoding of a fixed instruction, or the bytes of a statement that no pass changes. */
  bytes: Uint8Array | null;
  fields: readonly AddressField[];
  /** Bytes of the forms of a branch; null until they are asked for. */
  branchLengths: BranchLengths | null;
}

/** Bytes of a branch in its two forms, 0 for one that it does not have. */
export interface BranchLengths {
  readonly short: number;
  readonly near: number;
}

const NO_FIELDS: readonly AddressField[] = [];

/** A statement that no pass has seen yet; its line will list it. */
export function createStatement(
  given: Pick<Statement, 'label' | 'body' | 'times' | 'section' | 'place' | 'listed'>,
): Statement {
  // One by one: that is several times as fast as spreading, and sources can have many lines.
  const { label, body, times, section, place, listed } = given;
  const statement: Statement = {
    label,
    body,
    times,
    section,
    place,
    listed,
    offset: 0,
    lengthBytes: 0,
    repetitions: 1,
    bytes: null,
    fields: NO_FIELDS,
    branchLengths: null,
  };
  listed.statements.push(statement);
  return statement;
}

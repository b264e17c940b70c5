// Writes WebAssembly in its binary format: the body of a function, and the few sections around
// one function. WebAssembly Core Specification, "Binary Format".

import { ByteWriter } from './byte-writer.ts';
import { instructionBytes } from './simd.ts';

/** Instructions, by the names of the text format. */
export const Op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  i64Load: 0x29,
  f64Load: 0x2b,
  i32Load8U: 0x2d,
  i64Load8U: 0x31,
  i64Load16U: 0x33,
  i64Load32U: 0x35,
  i32Store: 0x36,
  i64Store: 0x37,
  f64Store: 0x39,
  i64Store8: 0x3c,
  i64Store16: 0x3d,
  i64Store32: 0x3e,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GtS: 0x55,
  i64GtU: 0x56,
  i64LeS: 0x57,
  i64LeU: 0x58,
  i64GeS: 0x59,
  i64GeU: 0x5a,
  f32Eq: 0x5b,
  f32Ne: 0x5c,
  f32Lt: 0x5d,
  f32Gt: 0x5e,
  f64Eq: 0x61,
  f64Ne: 0x62,
  f64Lt: 0x63,
  f64Gt: 0x64,
  i32Popcnt: 0x69,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivU: 0x6e,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i64Clz: 0x79,
  i64Ctz: 0x7a,
  i64Popcnt: 0x7b,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivS: 0x7f,
  i64DivU: 0x80,
  i64RemS: 0x81,
  i64RemU: 0x82,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrS: 0x87,
  i64ShrU: 0x88,
  f32Abs: 0x8b,
  f32Nearest: 0x90,
  f32Sqrt: 0x91,
  f32Add: 0x92,
  f32Sub: 0x93,
  f32Mul: 0x94,
  f32Div: 0x95,
  f64Abs: 0x99,
  f64Nearest: 0x9e,
  f64Sqrt: 0x9f,
  f64Add: 0xa0,
  f64Sub: 0xa1,
  f64Mul: 0xa2,
  f64Div: 0xa3,
  f64Min: 0xa4,
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  i64TruncF64S: 0xb0,
  f32ConvertI64S: 0xb4,
  f32DemoteF64: 0xb6,
  f64ConvertI32S: 0xb7,
  f64ConvertI64S: 0xb9,
  f64PromoteF32: 0xbb,
  i32ReinterpretF32: 0xbc,
  i64ReinterpretF64: 0xbd,
  f32ReinterpretI32: 0xbe,
  f64ReinterpretI64: 0xbf,
  i32Extend8S: 0xc0,
  i32Extend16S: 0xc1,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
} as const;

/** Types of values. */
export const Type = { I32: 0x7f, I64: 0x7e, F32: 0x7d, F64: 0x7c, V128: 0x7b } as const;

export type ValueType = (typeof Type)[keyof typeof Type];

const VOID = 0x40;
const FUNCREF = 0x70;
const BULK_PREFIX = 0xfc;

/** A function body; the depth of blocks is counted, so that labels can be named by it. */
export class FunctionBody {
  /** Blocks that are open. */
  depth = 0;
  private readonly code = new ByteWriter(1024);
  private readonly locals: ValueType[] = [];
  private readonly scratches: number[] = [];
  private readonly parameterCount: number;

  constructor(parameterCount: number) {
    this.parameterCount = parameterCount;
  }

  /** A new local, 0 at first. */
  local(type: ValueType): number {
    this.locals.push(type);
    return this.parameterCount + this.locals.length - 1;
  }

  /** One of a few locals for values that do not outlive an effect. */
  scratch(type: ValueType, number: number): number {
    const key = 2 * number + (type === Type.I64 ? 1 : 0);
    this.scratches[key] ??= this.local(type);
    return this.scratches[key];
  }

  /** One of {@link Op} or {@link Simd}. */
  op(number: number): void {
    if (number < 256) this.code.byte(number);
    else for (const byte of instructionBytes(number)) this.code.byte(byte);
  }

  get(local: number): void {
    this.code.byte(Op.localGet);
    this.code.unsigned(local);
  }

  set(local: number): void {
    this.code.byte(Op.localSet);
    this.code.unsigned(local);
  }

  tee(local: number): void {
    this.code.byte(Op.localTee);
    this.code.unsigned(local);
  }

  i32(value: number): void {
    this.code.byte(Op.i32Const);
    this.code.signed(value | 0);
  }

  i64(value: bigint): void {
    this.code.byte(Op.i64Const);
    const signed = BigInt.asIntN(64, value);
    if (signed === BigInt.asIntN(32, signed)) this.code.signed(Number(signed));
    else this.code.long(signed);
  }

  /** A load or store at the address on the stack plus `offset`. */
  memory(op: number, offset: number): void {
    this.code.byte(op);
    this.code.byte(0);
    this.code.unsigned(offset);
  }

  /** `memory.copy`: (to, from, bytes). */
  copy(): void {
    this.code.append([BULK_PREFIX, 10, 0, 0]);
  }

  /** `memory.fill`: (to, value, bytes). */
  fill(): void {
    this.code.append([BULK_PREFIX, 11, 0]);
  }

  call(index: number): void {
    this.code.byte(Op.call);
    this.code.unsigned(index);
  }

  /** Call what the table has at an index, which is on the stack behind the arguments. */
  callIndirect(typeIndex: number): void {
    this.code.byte(Op.callIndirect);
    this.code.unsigned(typeIndex);
    this.code.byte(0);
  }

  /** Open a `block`, `loop` or `if`; its label is the depth returned. */
  open(op: number): number {
    this.code.byte(op);
    this.code.byte(VOID);
    return ++this.depth;
  }

  /** Open an `if` that leaves a value. */
  openWith(type: ValueType): void {
    this.code.byte(Op.if);
    this.code.byte(type);
    this.depth++;
  }

  close(): void {
    this.code.byte(Op.end);
    this.depth--;
  }

  /** Branch to an open block, by `br` or `br_if`. */
  branch(label: number, op: number = Op.br): void {
    this.code.byte(op);
    this.code.unsigned(this.depth - label);
  }

  /** Append the locals and the code, with the size of both in front. */
  writeTo(bytes: ByteWriter): void {
    const locals = new ByteWriter(2 * this.locals.length + 5);
    locals.unsigned(this.locals.length);
    for (const type of this.locals) {
      locals.byte(1);
      locals.byte(type);
    }
    bytes.unsigned(locals.length + this.code.length + 1);
    bytes.append(locals.bytes);
    bytes.append(this.code.bytes);
    bytes.byte(Op.end);
  }

  /** Bytes of code so far. */
  get size(): number {
    return this.code.length;
  }
}

/** A function of an import or of the module itself: so many parameters of one type each. */
export interface Signature {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface ModuleParts {
  /** Imported from module `e` by name; they have the first function indexes. */
  readonly imports: readonly { readonly name: string; readonly signature: Signature }[];
  readonly signature: Signature;
  readonly body: FunctionBody;
  /** What functions of the imported table `e.t` are like, type 0, if there is one. */
  readonly tableOf?: Signature;
  /** Pages of 64 KiB that the imported memory `e.m` has at least. */
  readonly memoryPages: number;
}

/** A module with one function, exported as `f`, over an imported memory. */
export function moduleBytes(parts: ModuleParts): Uint8Array {
  const { imports, signature, body, tableOf, memoryPages } = parts;
  const module = new ByteWriter(body.size + 512);
  module.append([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const tables = tableOf === undefined ? [] : [tableOf];
  const signatures = [...tables, ...imports.map((item) => item.signature), signature];
  addSection(module, 1, signatures.length, (types) => {
    for (const item of signatures) types.append(signatureBytes(item));
  });
  addSection(module, 2, imports.length + tables.length + 1, (imported) => {
    imported.append([...name('e'), ...name('m'), 2, 0]);
    imported.unsigned(memoryPages);
    for (const _ of tables) imported.append([...name('e'), ...name('t'), 1, FUNCREF, 0, 0]);
    imports.forEach((item, i) => {
      imported.append([...name('e'), ...name(item.name), 0, tables.length + i]);
    });
  });
  addSection(module, 3, 1, (functions) => functions.byte(signatures.length - 1));
  addSection(module, 7, 1, (exported) => exported.append([...name('f'), 0, imports.length]));
  addSection(module, 10, 1, (code) => body.writeTo(code));
  return module.bytes;
}

/** The function of a module. @param imports the memory `m`, the table `t`, functions by name */
export function functionOf(bytes: Uint8Array, imports: Readonly<Record<string, unknown>>): unknown {
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { e: imports }).exports.f;
}

function signatureBytes({ parameters, results }: Signature): number[] {
  return [0x60, parameters.length, ...parameters, results.length, ...results];
}

/** A section with so many items. */
function addSection(
  module: ByteWriter,
  id: number,
  items: number,
  write: (section: ByteWriter) => void,
): void {
  const section = new ByteWriter(256);
  section.unsigned(items);
  write(section);
  module.byte(id);
  module.unsigned(section.length);
  module.append(section.bytes);
}

function name(text: string): number[] {
  return [text.length, ...Array.from(text, (letter) => letter.charCodeAt(0))];
}

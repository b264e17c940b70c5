// Writes a WebAssembly module of one function by hand: bytes of instructions, locals as they are
// asked for, and the few sections around them. And the few types of the WebAssembly API in use,
// which TypeScript declares for browsers only.

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

interface WasmApi {
  readonly Memory: new (limits: { readonly initial: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WasmApi };

const WASM_PAGE_BYTES = 65_536;

export function newWasmMemory(sizeBytes: number): WasmMemory {
  return new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / WASM_PAGE_BYTES) });
}

/** Instructions of WebAssembly, by the names of its text format. */
export const Op = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  i32Load: 0x28,
  i64Load: 0x29,
  i64Load8U: 0x31,
  i64Load16U: 0x33,
  i64Load32U: 0x35,
  i32Store: 0x36,
  i64Store: 0x37,
  i64Store8: 0x3c,
  i64Store16: 0x3d,
  i64Store32: 0x3e,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtU: 0x54,
  i64GtU: 0x56,
  i64GeU: 0x5a,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
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
  i32WrapI64: 0xa7,
  i64ExtendI32U: 0xad,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
} as const;

export const Type = { I32: 0x7f, I64: 0x7e } as const;

const VOID = 0x40;

/** The body of the function; block depth is counted, so that labels can be named by it. */
export class FunctionBody {
  /** Blocks that are open. */
  depth = 0;
  private readonly code: number[] = [];
  private readonly locals: number[] = [];

  local(type: number): number {
    this.locals.push(type);
    return this.locals.length - 1;
  }

  op(...bytes: readonly number[]): void {
    this.code.push(...bytes);
  }

  get(local: number): void {
    this.code.push(Op.localGet, ...unsignedLeb(local));
  }

  set(local: number): void {
    this.code.push(Op.localSet, ...unsignedLeb(local));
  }

  i32(value: number): void {
    this.code.push(Op.i32Const, ...signedLeb(BigInt(value)));
  }

  i64(value: bigint): void {
    this.code.push(Op.i64Const, ...signedLeb(BigInt.asIntN(64, value)));
  }

  /** A load or store at the address on the stack plus `offset`. */
  memory(op: number, offset: number): void {
    this.code.push(op, 0, ...unsignedLeb(offset));
  }

  /** Open a `block`, `loop` or `if`; its label is the depth returned. */
  open(op: number): number {
    this.code.push(op, VOID);
    return ++this.depth;
  }

  close(): void {
    this.code.push(Op.end);
    this.depth--;
  }

  /** Branch to an open block. */
  branch(label: number): void {
    this.code.push(Op.br, ...unsignedLeb(this.depth - label));
  }

  bytes(): number[] {
    const locals = this.locals.flatMap((type) => [1, type]);
    return [...unsignedLeb(this.locals.length), ...locals, ...this.code, Op.end];
  }
}

/** Compile a function of no arguments that returns an i64, over an imported memory. */
export function instantiate(body: FunctionBody, memory: WasmMemory): () => bigint {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes(body)), {
    e: { m: memory },
  });
  return instance.exports.f as () => bigint;
}

function moduleBytes(body: FunctionBody): Uint8Array {
  const code = body.bytes();
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    // One type: () -> i64.
    ...section(1, [1, 0x60, 0, 1, Type.I64]),
    // Import e.m, a memory of at least one page.
    ...section(2, [1, ...name('e'), ...name('m'), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name('f'), 0, 0]),
    ...section(10, [1, ...unsignedLeb(code.length), ...code]),
  ]);
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsignedLeb(content.length), ...content];
}

function name(text: string): number[] {
  return [text.length, ...[...text].map((letter) => letter.charCodeAt(0))];
}

function unsignedLeb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
}

function signedLeb(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest < -64n || rest > 63n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...bytes, Number(rest & 127n)];
}

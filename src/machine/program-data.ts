// What a scenario and a program say to each other, by labels of the program: parameters and tables
// of random numbers that are there when it starts, results that are read when it has ended.

import Long from 'long';
import type { Vm } from '../kvm/index.ts';
import { nearest } from '../sim/index.ts';
import { elfOf } from './loader.ts';
import { SymbolMap } from './symbol-map.ts';
import { VARIATE_COUNT, VARIATES, type VariateLabel, variateTable } from './variates.ts';

/** What labels of this kind begin with; the rest is the name that scenarios and reports use. */
const PARAMETER = 'param_';
const RESULT = 'result_';
const HISTOGRAM = 'histogram_';

const WORD_BYTES = 8;
const VARIATE_BYTES = 4;

const VARIATE_LABELS = Object.keys(VARIATES) as VariateLabel[];

/** A number; in decimal digits above 2^53, where numbers have gaps. */
export type ResultValue = number | string;

/** Values by name. */
export type ResultValues = Readonly<Record<string, readonly ResultValue[]>>;

/** What is wrong with one parameter, or with the program's own labels (`name` null). */
export interface ProgramDataIssue {
  readonly name: string | null;
  readonly message: string;
}

/** A label that stands for memory of the guest. */
interface DataLabel {
  /** Without what such labels begin with. */
  readonly name: string;
  readonly gpa: number;
  /** Up to the next label, or the end of the section. */
  readonly lengthBytes: number;
}

/** The names of a program: an ELF image brings its own. */
export function programSymbols(program: Uint8Array, given: SymbolMap | null): SymbolMap {
  const image = elfOf(program);
  return image?.kind === 'image' ? SymbolMap.ofElf(image) : (given ?? SymbolMap.EMPTY);
}

/** The labels of a program through which it is told things, and tells them. */
export class ProgramData {
  private readonly symbols: SymbolMap;
  private readonly gpaOf: (address: Long) => number | null;
  private readonly ramBytes: number;

  /** @param ramBytes what lies beyond is no memory */
  constructor(program: Uint8Array, symbols: SymbolMap, ramBytes: number) {
    this.symbols = symbols;
    this.ramBytes = ramBytes;
    const image = elfOf(program);
    const segments = image?.kind === 'image' ? image.segments : [];
    this.gpaOf = (address) => {
      const home = segments.find(({ virtual, memoryBytes }) =>
        address.sub(virtual).toUnsigned().lt(memoryBytes),
      );
      const gpa = home === undefined ? address : address.sub(home.virtual).add(home.physical);
      return gpa.toUnsigned().lt(ramBytes) ? gpa.toNumber() : null;
    };
  }

  /** Why a program cannot be given these parameters, or has labels that cannot be meant. */
  issues(parameters: Readonly<Record<string, number>>): readonly ProgramDataIssue[] {
    const known = this.labels(PARAMETER);
    const names = known.map(({ name }) => name);
    const unknown = Object.keys(parameters).filter((name) => !names.includes(name));
    return [
      ...unknown.map((name) => {
        const list = names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`;
        const near = nearest(name, names);
        const hint = near === null ? list : `did you mean '${near}'?`;
        return { name, message: `the program has no label '${PARAMETER}${name}'; ${hint}` };
      }),
      ...known.flatMap(({ name, lengthBytes }) => tooShort(PARAMETER + name, lengthBytes, 1)),
      ...this.variates().flatMap(({ label, lengthBytes }) =>
        tooShort(label, lengthBytes, VARIATE_COUNT, VARIATE_BYTES),
      ),
    ];
  }

  /** Write parameters and tables into a machine's memory, before it starts. */
  fill(vm: Vm, parameters: Readonly<Record<string, number>>, seed: number): void {
    for (const { name, gpa } of this.labels(PARAMETER)) {
      if (!Object.hasOwn(parameters, name)) continue;
      const bytes = Long.fromNumber(parameters[name], true).toBytesLE();
      vm.memory.write(vm.ramHpa + gpa, Uint8Array.from(bytes));
    }
    for (const { label, gpa } of this.variates()) {
      const bytes = new DataView(new ArrayBuffer(VARIATE_COUNT * VARIATE_BYTES));
      variateTable(label, seed, vm.id).forEach((value, i) => {
        bytes.setUint32(VARIATE_BYTES * i, value, true);
      });
      vm.memory.write(vm.ramHpa + gpa, new Uint8Array(bytes.buffer));
    }
  }

  /** One word, or one for each vCPU if there is room for more than one. */
  results(vm: Vm): ResultValues {
    return this.values(vm, RESULT, vm.vcpus.length);
  }

  /** As many words as there are. */
  histograms(vm: Vm): ResultValues {
    return this.values(vm, HISTOGRAM, Number.POSITIVE_INFINITY);
  }

  /**
   * Guest-physical address of a table with a word for each vCPU; null if the program has no such
   * label, or no room behind it.
   */
  tableOf(label: string, vcpuCount: number): number | null {
    const found = this.labels(label).find(({ name }) => name === '');
    if (found === undefined || found.lengthBytes < WORD_BYTES * vcpuCount) return null;
    return found.gpa;
  }

  private values(vm: Vm, prefix: string, most: number): ResultValues {
    return Object.fromEntries(
      this.labels(prefix).map(({ name, gpa, lengthBytes }) => {
        const count = Math.min(Math.floor(lengthBytes / WORD_BYTES), most);
        const words = Array.from({ length: count }, (_, i) => wordAt(vm, gpa + WORD_BYTES * i));
        return [name, words];
      }),
    );
  }

  /** The memory that a label stands for; null if there is no such label, or no memory there. */
  placeOf(label: string): { readonly gpa: number; readonly lengthBytes: number } | null {
    return this.labels(label).find(({ name }) => name === '') ?? null;
  }

  private variates(): readonly (DataLabel & { readonly label: VariateLabel })[] {
    return VARIATE_LABELS.flatMap((label) =>
      this.labels(label).flatMap((one) => (one.name === '' ? [{ ...one, label }] : [])),
    );
  }

  /** In order of address. */
  private labels(prefix: string): readonly DataLabel[] {
    return this.symbols.names.flatMap(({ name, start, end }): DataLabel[] => {
      const gpa = name.startsWith(prefix) ? this.gpaOf(start) : null;
      if (gpa === null) return [];
      const toEnd = end.gt(start) ? end.sub(start).toNumber() : Number.POSITIVE_INFINITY;
      const toNext = this.symbols.bytesToNext(start);
      const lengthBytes = Math.min(toNext, toEnd, this.ramBytes - gpa);
      return [{ name: name.slice(prefix.length), gpa, lengthBytes }];
    });
  }
}

function tooShort(
  label: string,
  lengthBytes: number,
  count: number,
  itemBytes = WORD_BYTES,
): readonly ProgramDataIssue[] {
  const needed = count * itemBytes;
  if (lengthBytes >= needed) return [];
  const message = `the label '${label}' needs ${needed} bytes, and has ${lengthBytes}`;
  return [{ name: null, message }];
}

/** A word of a guest's memory. */
export function wordAt(vm: Vm, gpa: number): ResultValue {
  const { bytes } = vm.memory;
  const at = vm.ramHpa + gpa;
  const word = Long.fromBytesLE([...bytes.subarray(at, at + WORD_BYTES)], true);
  return word.lte(Number.MAX_SAFE_INTEGER) ? word.toNumber() : word.toString();
}

// Runs one random program by both engines, in slices of random length with interrupts between them,
// and compares everything at every stop.

import {
  compilableMemory,
  DEVICE,
  type DeliveredEvent,
  EventTypes,
  type InstructionCosts,
  type ProcessorStop,
  STATE_BYTES,
  type Virtualization,
} from '../../src/cpu/index.ts';
import { COST_CLASSES } from '../../src/isa/index.ts';
import { PAGE_SIZE } from '../../src/memory/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { BARE_MACHINE_BYTES, BareMachine } from '../support/bare-machine.ts';
import { At, handler } from '../support/vmx-bench.ts';
import {
  CODE_PAGES,
  DESCRIPTORS,
  Place,
  type RandomProgram,
  randomProgram,
} from './random-program.ts';

/** Different for each class, so that a block that is charged wrongly shows. */
const COSTS: InstructionCosts = {
  classes: Object.fromEntries(
    COST_CLASSES.map((name, i) => [name, 1 + ((i * 3) % 7)]),
  ) as InstructionCosts['classes'],
  memory: 2,
  locked: 5,
};

const GDT_LIMIT = 0x7f;
const SLICES = 24;
const MOST_SLICE_CYCLES = 700;

const INTERRUPT: DeliveredEvent = {
  vector: 0x40,
  type: EventTypes.EXTERNAL_INTERRUPT,
  errorCode: null,
  instructionLengthBytes: 0,
};

export interface Comparison {
  /** What differs first, or null. */
  readonly difference: string | null;
  readonly instructions: number;
  /** Of these, done by compiled code. */
  readonly compiled: number;
  /** Of these, delays that passed at once there. */
  readonly skipped: number;
  readonly regions: number;
}

/** Machines are used again and again; storage is what costs. */
const storage = compilableMemory(BARE_MACHINE_BYTES, 1);

function load(machine: BareMachine, program: RandomProgram): void {
  const { recovery, table, code, data, mxcsr } = program;
  const { memory } = machine.machine;
  for (const [selector, low, high] of DESCRIPTORS) {
    machine.write64(At.GDT + (selector & ~7), low, high);
  }
  machine.set('gdtrLimit', GDT_LIMIT);
  for (let vector = 0; vector < 256; vector++) {
    const at = handler(vector);
    const distance = Place.RECOVERY - (at + 5);
    memory.write(machine.hpa(at), Uint8Array.of(0xe9, distance, distance >> 8, distance >> 16, 0));
  }
  memory.write(machine.hpa(Place.RECOVERY), recovery);
  memory.write(machine.hpa(Place.TABLE), table);
  memory.write(machine.hpa(Place.CODE), code);
  for (let page = 0; page < CODE_PAGES; page++) {
    const entry = machine.hpa(Place.CODE + page * 4096) | 7;
    memory.write64(machine.entryHpa(Place.ALIAS + page * 4096, 1), entry, 0);
  }
  const tableHpa = machine.entryHpa(0, 1);
  memory.write64(machine.entryHpa(Place.PAGE_TABLE, 1), tableHpa | 7, 0);
  memory.write(machine.hpa(Place.DATA), data);
  machine.set('mxcsr', mxcsr);
  machine.set('rip', Place.RECOVERY);
  machine.machine.processor.stateChanged();
}

/**
 * Random page tables do not lead to the page with the processor's state: what lies behind that,
 * such as its log, differs by engine.
 */
function hideState({ processor }: BareMachine['machine']): void {
  const own = processor.virtualization;
  const hiding: Virtualization = {
    ...own,
    translate: (gpa, ...how) => (gpa < PAGE_SIZE ? DEVICE : own.translate(gpa, ...how)),
  };
  processor.virtualization = hiding;
  processor.mmu.virtualization = hiding;
}

export function compareEngines(seed: number): Comparison {
  const prng = new Prng(seed);
  const program = randomProgram(prng, seed % 2 === 0);
  new Uint8Array(storage.buffer).fill(0);
  const wanted = new BareMachine(0, { costs: COSTS });
  const got = new BareMachine(0, { costs: COSTS, storage });
  const { compiler } = got.machine;
  if (compiler !== undefined) {
    compiler.leavesDelays = seed % 4 === 0;
    // Compiling is what takes time; most programs do without much of it.
    compiler.threshold = 2 + prng.below(8);
    compiler.mostDoublings = 1 + prng.below(5);
    if (prng.below(4) === 0) compiler.mostBytes = 4000 * prng.below(20);
  }
  for (const each of [wanted, got]) {
    load(each, program);
    hideState(each.machine);
  }
  let difference: string | null = null;
  for (let slice = 0; slice < SLICES && difference === null; slice++) {
    const { processor } = wanted.machine;
    const limit = processor.clock + 1 + prng.below(1 + prng.below(MOST_SLICE_CYCLES));
    const stops = [wanted, got].map(({ machine }) => machine.processor.run(limit));
    const found = compare(wanted, got, stops as [ProcessorStop, ProcessorStop]);
    if (found !== null) difference = `seed ${seed}, slice ${slice}: ${found}`;
    if (stops[0].kind !== 'limit') break;
    if (prng.below(4) === 0 && processor.state.words[0] !== 1) {
      for (const { machine } of [wanted, got]) machine.processor.inject(INTERRUPT);
    }
  }
  if (difference === null && !isSameMemory(wanted, got)) difference = `seed ${seed}: memory`;
  const { processor } = got.machine;
  return {
    difference,
    instructions: processor.instructions,
    compiled: processor.compiledInstructions + processor.skipped.instructions,
    skipped: processor.skipped.instructions,
    regions: compiler?.statistics.regions ?? 0,
  };
}

function compare(
  wanted: BareMachine,
  got: BareMachine,
  [wantedStop, gotStop]: readonly [ProcessorStop, ProcessorStop],
): string | null {
  const [a, b] = [wanted.machine.processor, got.machine.processor];
  if (JSON.stringify(wantedStop) !== JSON.stringify(gotStop)) {
    return `${JSON.stringify(gotStop)}, not ${JSON.stringify(wantedStop)}`;
  }
  if (a.clock !== b.clock) return `clock ${b.clock}, not ${a.clock}`;
  // Which turn an instruction belongs to is told by where it began.
  if (wantedStop.kind === 'limit' && a.begun !== b.begun) return `${b.begun}, not ${a.begun} begun`;
  if (a.instructions !== b.instructions) return `${b.instructions}, not ${a.instructions} done`;
  for (let word = 0; word < STATE_BYTES / 4; word++) {
    const [x, y] = [a.state.words[word], b.state.words[word]];
    if (x !== y) return `word ${word} of the state ${y.toString(16)}, not ${x.toString(16)}`;
  }
  return null;
}

/** All of it but scratch room behind the processor's state, in the first page. */
function isSameMemory(wanted: BareMachine, got: BareMachine): boolean {
  const [a, b] = [wanted.machine.memory.bytes, got.machine.memory.bytes];
  return Buffer.compare(a.subarray(4096), b.subarray(4096)) === 0;
}

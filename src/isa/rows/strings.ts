// SDM 2: MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS and their repetition. A meaning does one iteration
// and says `again` if more follow, so that interrupts can come between iterations.

import { type Domain, Flag, type Meaning } from '../domain.ts';
import { instruction } from '../notation.ts';
import { Gpr, Segment, type Width } from '../registers.ts';
import { hex } from './forms.ts';

/** One iteration of a string instruction. */
type Iteration = <V, B>(d: Domain<V, B>, width: Width) => void;

/** One iteration of CMPS or SCAS, with the two elements that it compares. */
type Comparison = <V, B>(d: Domain<V, B>, width: Width) => readonly [x: V, y: V];

/** Wrap an iteration with the count in rCX. */
function repeated(iteration: Iteration, fixedWidth?: Width): Meaning {
  return (d) => {
    const width = fixedWidth ?? d.instruction.width;
    if (d.instruction.repeat === 'none') {
      iteration(d, width);
      return;
    }
    whileCounting(d, (more) => {
      iteration(d, width);
      d.when(more(), () => d.again());
    });
  };
}

/**
 * Wrap a comparison with the count in rCX and the end condition on equality. Flags are those of the
 * last iteration; until then they stay, so that a fault finds them as they were.
 */
function compared(comparison: Comparison, fixedWidth?: Width): Meaning {
  return (d) => {
    const width = fixedWidth ?? d.instruction.width;
    const { repeat } = d.instruction;
    if (repeat === 'none') {
      const [x, y] = comparison(d, width);
      d.flagsOfSub(width, x, y, d.sub(width, x, y));
      return;
    }
    whileCounting(d, (more) => {
      const [x, y] = comparison(d, width);
      const isSame = d.equal(x, y);
      const goesOn = d.both(more(), repeat === 'rep' ? isSame : d.negate(isSame));
      d.when(
        goesOn,
        () => d.again(),
        () => d.flagsOfSub(width, x, y, d.sub(width, x, y)),
      );
    });
  };
}

/** Unless rCX is 0: `work`, which counts it down, and learns whether more is to come. */
function whileCounting<V, B>(d: Domain<V, B>, work: (more: () => B) => void): void {
  const w = d.instruction.addressWidth;
  const count = d.register(w, Gpr.RCX);
  d.when(d.negate(d.isZero(count)), () =>
    work(() => {
      const rest = d.sub(w, count, d.constant(w, 1));
      d.setRegister(w, Gpr.RCX, rest);
      return d.negate(d.isZero(rest));
    }),
  );
}

/** Move rSI or rDI to the next element in the direction of DF. */
function advance<V, B>(d: Domain<V, B>, number: number, width: Width): void {
  const w = d.instruction.addressWidth;
  const bytes = width / 8;
  const step = d.select(d.flag(Flag.DF), d.constant(w, -bytes), d.constant(w, bytes));
  d.setRegister(w, number, d.add(w, d.register(w, number), step));
}

/** The element at the source: DS:rSI, or another segment by override. */
function source<V, B>(d: Domain<V, B>, width: Width): V {
  const override = d.instruction.segmentOverride;
  const offset = d.register(d.instruction.addressWidth, Gpr.RSI);
  return d.load(width, override < 0 ? Segment.DS : override, offset);
}

/** The address of the destination, always in ES. */
function destination<V, B>(d: Domain<V, B>): V {
  return d.register(d.instruction.addressWidth, Gpr.RDI);
}

const movs: Iteration = (d, width) => {
  d.store(width, Segment.ES, destination(d), source(d, width));
  advance(d, Gpr.RSI, width);
  advance(d, Gpr.RDI, width);
};

const stos: Iteration = (d, width) => {
  d.store(width, Segment.ES, destination(d), d.register(width, Gpr.RAX));
  advance(d, Gpr.RDI, width);
};

const lods: Iteration = (d, width) => {
  d.setRegister(width, Gpr.RAX, source(d, width));
  advance(d, Gpr.RSI, width);
};

const scas: Comparison = (d, width) => {
  const x = d.register(width, Gpr.RAX);
  const y = d.load(width, Segment.ES, destination(d));
  advance(d, Gpr.RDI, width);
  return [x, y];
};

/** If both operands fault, Intel's processors report the destination. */
const cmps: Comparison = (d, width) => {
  const y = d.load(width, Segment.ES, destination(d));
  const x = source(d, width);
  advance(d, Gpr.RSI, width);
  advance(d, Gpr.RDI, width);
  return [x, y];
};

/** The destination must be writable before the port is read. */
const ins: Iteration = (d, width) => {
  const to = destination(d);
  d.loadForWrite(width, Segment.ES, to);
  d.store(width, Segment.ES, to, d.call('in', d.register(16, Gpr.RDX)));
  advance(d, Gpr.RDI, width);
};

const outs: Iteration = (d, width) => {
  d.call('out', d.register(16, Gpr.RDX), source(d, width));
  advance(d, Gpr.RSI, width);
};

const PORT_ACCESS = {
  cost: 'io',
  privilege: 'io',
  intercept: 'IO',
  repeat: 'plain',
} as const;

function portRows(stem: string, summary: string, opcode: number, iteration: Iteration) {
  const attributes = PORT_ACCESS;
  const wide = hex(opcode + 1);
  return [
    ...instruction(`${stem}B`, summary, attributes, repeated(iteration, 8), [['', hex(opcode)]]),
    ...instruction(`${stem}W`, summary, attributes, repeated(iteration), [['', `o16 ${wide}`]]),
    ...instruction(`${stem}D`, summary, attributes, repeated(iteration, 32), [['', `o32 ${wide}`]]),
  ];
}

/** An operand size of 64 bits is one of 32. */
function portLeftovers(stem: string, summary: string, opcode: number, iteration: Iteration) {
  const double = repeated(iteration, 32);
  return instruction(`${stem}D`, summary, PORT_ACCESS, double, [['', `o64 ${hex(opcode)}`]]);
}

/** The byte form has the lower, even opcode, and no operand that would carry its width. */
function rows(
  stem: string,
  summary: string,
  opcode: number,
  repeat: 'plain' | 'compare',
  meaningOf: (fixedWidth?: Width) => Meaning,
) {
  const attributes = { cost: 'string', repeat } as const;
  const wide = hex(opcode + 1);
  return [
    ...instruction(`${stem}B`, summary, attributes, meaningOf(8), [['', hex(opcode)]]),
    ...(['W', 'D', 'Q'] as const).flatMap((suffix, i) =>
      instruction(`${stem}${suffix}`, summary, attributes, meaningOf(), [
        ['', `o${16 << i} ${wide}`],
      ]),
    ),
  ];
}

const plain = (iteration: Iteration) => (width?: Width) => repeated(iteration, width);
const compare = (comparison: Comparison) => (width?: Width) => compared(comparison, width);

export const stringLeftovers = [
  ...portLeftovers('INS', 'Input from port to string', 0x6d, ins),
  ...portLeftovers('OUTS', 'Output string to port', 0x6f, outs),
];

export const strings = [
  ...rows('MOVS', 'Move string', 0xa4, 'plain', plain(movs)),
  ...rows('CMPS', 'Compare strings', 0xa6, 'compare', compare(cmps)),
  ...rows('STOS', 'Store string', 0xaa, 'plain', plain(stos)),
  ...rows('LODS', 'Load string', 0xac, 'plain', plain(lods)),
  ...rows('SCAS', 'Scan string', 0xae, 'compare', compare(scas)),
  ...portRows('INS', 'Input from port to string', 0x6c, ins),
  ...portRows('OUTS', 'Output string to port', 0x6e, outs),
];

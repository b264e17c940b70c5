// SDM 2: MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS and their repetition. A meaning does one iteration
// and says `again` if more follow, so that interrupts can come between iterations.

import { type Domain, Flag, type Meaning } from '../domain.ts';
import { instruction } from '../notation.ts';
import { Gpr, Segment, type Width } from '../registers.ts';
import { hex } from './forms.ts';

/** One iteration of a string instruction. */
type Iteration = <V, B>(d: Domain<V, B>, width: Width) => void;

/** Wrap an iteration with the count in rCX and, for `compare`, the end condition on ZF. */
function repeated(iteration: Iteration, compare: boolean): Meaning {
  return (d) => {
    const repeat = d.instruction.repeat;
    if (repeat === 'none') {
      iteration(d, d.instruction.width);
      return;
    }
    const w = d.instruction.addressWidth;
    const count = d.register(w, Gpr.RCX);
    d.when(d.negate(d.isZero(count)), () => {
      iteration(d, d.instruction.width);
      const rest = d.sub(w, count, d.constant(w, 1));
      d.setRegister(w, Gpr.RCX, rest);
      const more = d.negate(d.isZero(rest));
      const zf = d.flag(Flag.ZF);
      const matching = repeat === 'rep' ? zf : d.negate(zf);
      d.when(compare ? d.both(more, matching) : more, () => d.again());
    });
  };
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

const scas: Iteration = (d, width) => {
  const x = d.register(width, Gpr.RAX);
  const y = d.load(width, Segment.ES, destination(d));
  advance(d, Gpr.RDI, width);
  d.flagsOfSub(width, x, y, d.sub(width, x, y));
};

/** If both operands fault, Intel's processors report the destination. */
const cmps: Iteration = (d, width) => {
  const y = d.load(width, Segment.ES, destination(d));
  const x = source(d, width);
  advance(d, Gpr.RSI, width);
  advance(d, Gpr.RDI, width);
  d.flagsOfSub(width, x, y, d.sub(width, x, y));
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
  const double = repeated((d) => iteration(d, 32), false);
  return [
    ...instruction(`${stem}B`, summary, attributes, repeatedBytes(iteration, false), [
      ['', hex(opcode)],
    ]),
    ...instruction(`${stem}W`, summary, attributes, repeated(iteration, false), [
      ['', `o16 ${wide}`],
    ]),
    ...instruction(`${stem}D`, summary, attributes, double, [['', `o32 ${wide}`]]),
  ];
}

/** An operand size of 64 bits is one of 32. */
function portLeftovers(stem: string, summary: string, opcode: number, iteration: Iteration) {
  const double = repeated((d) => iteration(d, 32), false);
  return instruction(`${stem}D`, summary, PORT_ACCESS, double, [['', `o64 ${hex(opcode)}`]]);
}

/** The byte form has the lower, even opcode. */
function rows(stem: string, summary: string, opcode: number, iteration: Iteration) {
  const compare = iteration === scas || iteration === cmps;
  const attributes = { cost: 'string', repeat: compare ? 'compare' : 'plain' } as const;
  const wide = (opcode + 1).toString(16).toUpperCase();
  return [
    ...instruction(`${stem}B`, summary, attributes, repeatedBytes(iteration, compare), [
      ['', opcode.toString(16).toUpperCase()],
    ]),
    ...(['W', 'D', 'Q'] as const).flatMap((suffix, i) =>
      instruction(`${stem}${suffix}`, summary, attributes, repeated(iteration, compare), [
        ['', `o${16 << i} ${wide}`],
      ]),
    ),
  ];
}

/** The byte forms have no operand that would carry their width. */
function repeatedBytes(iteration: Iteration, compare: boolean): Meaning {
  return repeated((d) => iteration(d, 8), compare);
}

export const stringLeftovers = [
  ...portLeftovers('INS', 'Input from port to string', 0x6d, ins),
  ...portLeftovers('OUTS', 'Output string to port', 0x6f, outs),
];

export const strings = [
  ...rows('MOVS', 'Move string', 0xa4, movs),
  ...rows('CMPS', 'Compare strings', 0xa6, cmps),
  ...rows('STOS', 'Store string', 0xaa, stos),
  ...rows('LODS', 'Load string', 0xac, lods),
  ...rows('SCAS', 'Scan string', 0xae, scas),
  ...portRows('INS', 'Input from port to string', 0x6c, ins),
  ...portRows('OUTS', 'Output string to port', 0x6e, outs),
];

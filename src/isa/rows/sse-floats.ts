// SDM 2: arithmetic, comparison and conversion of single and double precision, and MXCSR. What is
// signalled is settled, and may fault, before anything is written.

import { type Domain, Flag, type Meaning } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import type { Form } from '../notation.ts';
import type { CostClass, Row } from '../row.ts';
import { type FloatFunction, type Precision, Relation } from '../vector-functions.ts';
import {
  immediateByte,
  readLanes,
  readLow,
  sse,
  words,
  writeLanes,
  writeLow,
  xmmNumber,
} from './wide-operands.ts';

/** What a lane becomes; `y` is the source. */
type Combine = <V, B>(d: Domain<V, B>, x: V, y: V) => V;

/** The four kinds of operand that a floating-point instruction comes in. */
interface Shape {
  readonly suffix: 'PS' | 'PD' | 'SS' | 'SD';
  readonly prefix: string;
  readonly precision: Precision;
  readonly width: 32 | 64;
  readonly operands: string;
  readonly isPacked: boolean;
}

const SHAPES: readonly Shape[] = [
  shape('PS', 'NP', 'Single', true),
  shape('PD', '66', 'Double', true),
  shape('SS', 'F3', 'Single', false),
  shape('SD', 'F2', 'Double', false),
];

function shape(
  suffix: Shape['suffix'],
  prefix: string,
  precision: Precision,
  isPacked: boolean,
): Shape {
  const width = precision === 'Single' ? 32 : 64;
  const operands = `xmm1, xmm2/m${isPacked ? 128 : width}`;
  return { suffix, prefix, precision, width, operands, isPacked };
}

function inLanes({ width, isPacked }: Shape, combine: Combine): Meaning {
  return (d, dst, src) => {
    if (!isPacked) {
      const y = readLow(d, width, src);
      const result = combine(d, readLow(d, width, dst), y);
      d.settleFloats();
      writeLow(d, width, dst, result);
      return;
    }
    const y = readLanes(d, width, src);
    const x = readLanes(d, width, dst);
    const results = x.map((lane, i) => combine(d, lane, y[i]));
    d.settleFloats();
    writeLanes(d, width, dst, results);
  };
}

type Operation = 'add' | 'subtract' | 'multiply' | 'divide' | 'minimum' | 'maximum';

function arithmetic(
  stem: string,
  summary: string,
  opcode: string,
  operation: Operation,
  cost: CostClass = 'simple',
): Row[] {
  return SHAPES.flatMap((each) => {
    const combine: Combine = (d, x, y) => d.float(`${operation}${each.precision}`, x, y);
    const form: Form = [each.operands, `${each.prefix} 0F ${opcode} /r`];
    return sse(`${stem}${each.suffix}`, summary, inLanes(each, combine), [form], { cost });
  });
}

const squareRoots = SHAPES.flatMap((each) => {
  const combine: Combine = (d, _, y) => d.float(`squareRoot${each.precision}`, y, y);
  const form: Form = [each.operands, `${each.prefix} 0F 51 /r`];
  const meaning = inLanes(each, combine);
  return sse(`SQRT${each.suffix}`, 'Square root', meaning, [form], { cost: 'divide' });
});

const { LESS, EQUAL, UNORDERED, GREATER } = Relation;

/** What CMP asks by the low bits of its number: relations, and whether quiet NaNs are invalid. */
const PREDICATES = [
  { name: 'EQ', holds: EQUAL, isQuiet: true },
  { name: 'LT', holds: LESS, isQuiet: false },
  { name: 'LE', holds: LESS | EQUAL, isQuiet: false },
  { name: 'UNORD', holds: UNORDERED, isQuiet: true },
  { name: 'NEQ', holds: LESS | GREATER | UNORDERED, isQuiet: true },
  { name: 'NLT', holds: EQUAL | GREATER | UNORDERED, isQuiet: false },
  { name: 'NLE', holds: GREATER | UNORDERED, isQuiet: false },
  { name: 'ORD', holds: LESS | EQUAL | GREATER, isQuiet: true },
] as const;

function compareLanes(each: Shape, number: number): Meaning {
  const { precision, width } = each;
  const { holds, isQuiet } = PREDICATES[number & 7];
  const name: FloatFunction = `${isQuiet ? 'compareQuietly' : 'compare'}${precision}`;
  return inLanes(each, (d, x, y) => {
    const wanted = d.and(d.float(name, x, y), d.constant(8, holds));
    const isWanted = d.negate(d.isZero(wanted));
    return d.select(isWanted, d.constant(width, -1), d.constant(width, 0));
  });
}

const comparisons = SHAPES.flatMap((each) => {
  const meanings = PREDICATES.map((_, number) => compareLanes(each, number));
  const opcode = `${each.prefix} 0F C2 /r`;
  const name = `CMP${each.suffix}`;
  const byNumber = sse(
    name,
    'Compare, giving masks',
    (d, dst, src, predicate) => meanings[immediateByte(predicate) & 7](d, dst, src, predicate),
    [[`${each.operands}, uimm8`, `${opcode} ib`]],
  );
  const byName = PREDICATES.flatMap((predicate, number) =>
    sse(`CMP${predicate.name}${each.suffix}`, 'Compare, giving masks', meanings[number], [
      [each.operands, `${opcode} 0${number}`, { encodeOnly: true }],
    ]),
  );
  return [...byNumber, ...byName];
});

/** COMISS and kin: what the scalars are to each other, in ZF, PF and CF. */
function compareFlags(name: FloatFunction, width: 32 | 64): Meaning {
  return (d, first, second) => {
    const y = readLow(d, width, second);
    const relation = d.float(name, readLow(d, width, first), y);
    d.settleFloats();
    const is = (relations: number) => d.negate(d.isZero(d.and(relation, d.constant(8, relations))));
    const never = d.isZero(d.constant(8, 1));
    d.setFlag(Flag.ZF, is(EQUAL | UNORDERED));
    d.setFlag(Flag.PF, is(UNORDERED));
    d.setFlag(Flag.CF, is(LESS | UNORDERED));
    for (const flag of [Flag.OF, Flag.SF, Flag.AF]) d.setFlag(flag, never);
  };
}

function convert<V, B>(d: Domain<V, B>, name: FloatFunction, values: readonly V[]): V[] {
  const results = values.map((value) => d.float(name, value, value));
  if (name !== 'int32ToDouble') d.settleFloats();
  return results;
}

/** One number of a source, of an XMM register to its lowest lane. */
function convertScalar(name: FloatFunction, from: 32 | 64, to: 32 | 64): Meaning {
  return (d, dst, src) => {
    const [result] = convert(d, name, [readLow(d, from, src)]);
    writeLow(d, to, dst, result);
  };
}

/** Lanes of equal width. */
function convertLanes(name: FloatFunction): Meaning {
  return (d, dst, src) => writeLanes(d, 32, dst, convert(d, name, readLanes(d, 32, src)));
}

/** Two lanes of the low half, to lanes twice as wide. */
function widenLanes(name: FloatFunction): Meaning {
  return (d, dst, src) => writeLanes(d, 64, dst, convert(d, name, lowWords(d, src)));
}

function lowWords<V, B>(d: Domain<V, B>, operand: Operand): V[] {
  if (operand.kind === 'memory') return words(d, d.read(operand));
  const number = xmmNumber(operand);
  return [d.xmm(32, number, 0), d.xmm(32, number, 1)];
}

/** Two lanes, to half as wide ones in the low half; the high half becomes 0. */
function narrowLanes(name: FloatFunction): Meaning {
  return (d, dst, src) => {
    const results = convert(d, name, readLanes(d, 64, src));
    const zero = d.constant(32, 0);
    writeLanes(d, 32, dst, [...results, zero, zero]);
  };
}

/** From and to general registers, which REX.W makes 64 bits wide. */
function convertIntegers(suffix: 'SS' | 'SD'): Row[] {
  const isSingle = suffix === 'SS';
  const [prefix, width, source] = isSingle ? ['F3', 32, 'single'] : ['F2', 64, 'double'];
  const precision: Precision = isSingle ? 'Single' : 'Double';
  const float = width as 32 | 64;
  const from = source as 'single' | 'double';
  const operand = `xmm2/m${width}`;
  return ([32, 64] as const).flatMap((integer) => {
    const size = integer === 64 ? 'o64 ' : '';
    return [
      ...sse(
        `CVTSI2${suffix}`,
        'Convert an integer',
        convertScalar(`int${integer}To${precision}`, integer, float),
        [[`xmm1, r/m${integer}`, `${size}${prefix} 0F 2A /r`]],
      ),
      ...sse(
        `CVTT${suffix}2SI`,
        'Convert to an integer, truncating',
        convertScalar(`truncate${precision}ToInt${integer}`, float, integer),
        [[`r${integer}, ${operand}`, `${size}${prefix} 0F 2C /r`]],
      ),
      ...sse(
        `CVT${suffix}2SI`,
        'Convert to an integer',
        convertScalar(`${from}ToInt${integer}`, float, integer),
        [[`r${integer}, ${operand}`, `${size}${prefix} 0F 2D /r`]],
      ),
    ];
  });
}

const TO_INTEGERS = 'Convert to packed integers';

export const sseFloats = [
  ...arithmetic('ADD', 'Add floating-point numbers', '58', 'add'),
  ...arithmetic('SUB', 'Subtract floating-point numbers', '5C', 'subtract'),
  ...arithmetic('MUL', 'Multiply floating-point numbers', '59', 'multiply', 'multiply'),
  ...arithmetic('DIV', 'Divide floating-point numbers', '5E', 'divide', 'divide'),
  ...arithmetic('MIN', 'Lesser of floating-point numbers', '5D', 'minimum'),
  ...arithmetic('MAX', 'Greater of floating-point numbers', '5F', 'maximum'),
  ...squareRoots,
  ...comparisons,
  ...(['Single', 'Double'] as const).flatMap((precision) => {
    const [suffix, prefix, width] = precision === 'Single' ? ['SS', 'NP', 32] : ['SD', '66', 64];
    const operands = `xmm1, xmm2/m${width}`;
    const lane = width as 32 | 64;
    return [
      ...sse(
        `UCOMI${suffix}`,
        'Compare and set flags, quietly',
        compareFlags(`compareQuietly${precision}`, lane),
        [[operands, `${prefix} 0F 2E /r`]],
      ),
      ...sse(`COMI${suffix}`, 'Compare and set flags', compareFlags(`compare${precision}`, lane), [
        [operands, `${prefix} 0F 2F /r`],
      ]),
    ];
  }),
  ...convertIntegers('SS'),
  ...convertIntegers('SD'),
  ...sse('CVTSS2SD', 'Convert single to double', convertScalar('singleToDouble', 32, 64), [
    ['xmm1, xmm2/m32', 'F3 0F 5A /r'],
  ]),
  ...sse('CVTSD2SS', 'Convert double to single', convertScalar('doubleToSingle', 64, 32), [
    ['xmm1, xmm2/m64', 'F2 0F 5A /r'],
  ]),
  ...sse('CVTPS2PD', 'Convert packed single to double', widenLanes('singleToDouble'), [
    ['xmm1, xmm2/m64', 'NP 0F 5A /r'],
  ]),
  ...sse('CVTPD2PS', 'Convert packed double to single', narrowLanes('doubleToSingle'), [
    ['xmm1, xmm2/m128', '66 0F 5A /r'],
  ]),
  ...sse('CVTDQ2PS', 'Convert packed integers to single', convertLanes('int32ToSingle'), [
    ['xmm1, xmm2/m128', 'NP 0F 5B /r'],
  ]),
  ...sse('CVTPS2DQ', TO_INTEGERS, convertLanes('singleToInt32'), [
    ['xmm1, xmm2/m128', '66 0F 5B /r'],
  ]),
  ...sse('CVTTPS2DQ', TO_INTEGERS, convertLanes('truncateSingleToInt32'), [
    ['xmm1, xmm2/m128', 'F3 0F 5B /r'],
  ]),
  ...sse('CVTDQ2PD', 'Convert packed integers to double', widenLanes('int32ToDouble'), [
    ['xmm1, xmm2/m64', 'F3 0F E6 /r'],
  ]),
  ...sse('CVTPD2DQ', TO_INTEGERS, narrowLanes('doubleToInt32'), [
    ['xmm1, xmm2/m128', 'F2 0F E6 /r'],
  ]),
  ...sse('CVTTPD2DQ', TO_INTEGERS, narrowLanes('truncateDoubleToInt32'), [
    ['xmm1, xmm2/m128', '66 0F E6 /r'],
  ]),
  ...sse('LDMXCSR', 'Load MXCSR', (d, src) => d.call('loadMxcsr', d.read(src)), [
    ['m32', 'NP 0F AE /2'],
  ]),
  ...sse('STMXCSR', 'Store MXCSR', (d, dst) => d.write(dst, d.call('readMxcsr')), [
    ['m32', 'NP 0F AE /3'],
  ]),
];

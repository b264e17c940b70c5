// The arithmetic of SSE that meanings ask for by name; every engine calls, or emits code for, the
// same functions. SDM 2, by instruction.

/**
 * Of two 32-bit words to one, done with both halves of a value: packed bytes, halves and words. The
 * number is the width of the lanes. Shifts take their count from the second word, whole.
 */
export type LaneFunction =
  | 'add8'
  | 'add16'
  | 'add32'
  | 'addSigned8' // with saturation, as all that say Signed or Unsigned of sums and differences
  | 'addSigned16'
  | 'addUnsigned8'
  | 'addUnsigned16'
  | 'average8'
  | 'average16'
  | 'equal8' // all ones or all zeros
  | 'equal16'
  | 'equal32'
  | 'greater8' // signed
  | 'greater16'
  | 'greater32'
  | 'interleaveHigh8' // of the upper two bytes of both
  | 'interleaveHigh16'
  | 'interleaveLow8'
  | 'interleaveLow16'
  | 'maximumSigned16'
  | 'maximumUnsigned8'
  | 'minimumSigned16'
  | 'minimumUnsigned8'
  | 'multiplyAdd16' // the sum of the two products
  | 'multiplyHigh16'
  | 'multiplyHighUnsigned16'
  | 'multiplyLow16'
  | 'packSigned16' // a signed word of each
  | 'packSigned8' // two signed halves of each
  | 'packUnsigned8'
  | 'shiftLeft16'
  | 'shiftLeft32'
  | 'shiftRight16'
  | 'shiftRight32'
  | 'shiftRightSigned16'
  | 'shiftRightSigned32'
  | 'signs8' // of the first word, as four bits
  | 'subtract16'
  | 'subtract32'
  | 'subtract8'
  | 'subtractSigned16'
  | 'subtractSigned8'
  | 'subtractUnsigned16'
  | 'subtractUnsigned8'
  | 'sumOfDifferences8';

/** Single: 32 bits; double: 64 bits. */
export type Precision = 'Single' | 'Double';

/**
 * Of one or two numbers to one, by the rounding mode and the other controls in MXCSR. Comparisons
 * give a {@link Relation}; quiet ones take a quiet NaN for a valid operand.
 */
export type FloatFunction =
  | `${'add' | 'subtract' | 'multiply' | 'divide'}${Precision}`
  | `${'minimum' | 'maximum' | 'compare' | 'compareQuietly' | 'squareRoot'}${Precision}`
  | 'singleToDouble'
  | 'doubleToSingle'
  | `int${32 | 64}To${Precision}`
  | `${'double' | 'single'}ToInt${32 | 64}`
  | `truncate${Precision}ToInt${32 | 64}`;

/** How a number stands to another; bits, so that sets of them can be tested. */
export const Relation = { LESS: 1, EQUAL: 2, UNORDERED: 4, GREATER: 8 } as const;

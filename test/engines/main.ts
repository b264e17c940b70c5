// `npm run engines`: random programs by both engines in lockstep, for as long as it takes. Prints
// what differs, and how much of the work compiled code did.

import { parseArgs } from 'node:util';
import { compareEngines } from './lockstep.ts';

const USAGE = `npm run engines -- [--programs N] [--seed N]
  --programs  random programs (default 100000)
  --seed      of the first of them (default 1)`;

const SHOWN = 20;

function main(): void {
  const text = { type: 'string' } as const;
  const options = { programs: text, seed: text };
  const { values, positionals, tokens } = parseArgs({ options, strict: false, tokens: true });
  const unknown = tokens.find((token) => token.kind === 'option' && !(token.name in options));
  const programs = Number(values.programs ?? '100000');
  const first = Number(values.seed ?? '1');
  const wrong =
    unknown?.kind === 'option'
      ? `unknown flag '${unknown.rawName}'`
      : positionals.length > 0
        ? `unexpected argument '${positionals[0]}'`
        : !Number.isInteger(programs) || !Number.isInteger(first)
          ? '--programs and --seed: expected whole numbers'
          : null;
  if (wrong !== null) {
    console.error(`${wrong}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const sums = { instructions: 0, compiled: 0, regions: 0 };
  let different = 0;
  for (let seed = first; seed < first + programs; seed++) {
    const { difference, instructions, compiled, regions } = compareEngines(seed);
    sums.instructions += instructions;
    sums.compiled += compiled;
    sums.regions += regions;
    if (difference !== null && different++ < SHOWN) console.log(difference);
  }
  const share = ((100 * sums.compiled) / sums.instructions).toFixed(1);
  console.log(`${programs} programs, ${sums.instructions} instructions, ${share} % compiled in`);
  console.log(`${sums.regions} regions; ${different} programs differ`);
  if (different > 0) process.exitCode = 1;
}

main();

// `npm run soak`: test/machine/soak.test.ts in full length.

import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const USAGE = `npm run soak -- [--rounds N]
  --rounds  of each vCPU (default 6000: more than ten virtual seconds)`;

/** Bad input, as of every command here. */
const EXIT_BAD_INPUT = 2;

/** Throws RangeError and TypeError, with what was expected. */
function roundsFrom(args) {
  const options = { rounds: { type: 'string', default: '6000' } };
  const { rounds } = parseArgs({ args, options, strict: true }).values;
  if (!/^[1-9]\d{0,6}$/.test(rounds)) {
    throw new RangeError(`--rounds expects a whole number from 1 on, not '${rounds}'`);
  }
  return rounds;
}

function main() {
  let rounds;
  try {
    rounds = roundsFrom(process.argv.slice(2));
  } catch (thrown) {
    process.stderr.write(`soak: ${thrown.message}\n${USAGE}\n`);
    return EXIT_BAD_INPUT;
  }
  const env = { ...process.env, SOAK_ROUNDS: rounds };
  const args = ['run', 'test/machine/soak.test.ts', '--testTimeout=36000000'];
  const { status } = spawnSync('vitest', args, { env, stdio: 'inherit' });
  return status ?? 1;
}

process.exitCode = main();

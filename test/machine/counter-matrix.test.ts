// The promise that all else serves: vCPUs that increment one counter under a lock end with exactly
// N times the iterations, whatever the number of vCPUs and pCPUs, the lookahead, the seed, and who
// competes for the host. A covering selection by default; VMXLAB_FULL_MATRIX=1 runs everything.

import { describe, expect, test } from 'vitest';
import { assembleText, type GuestSetup, guestProgram, runGuest } from '../support/guest-run.ts';

const PROGRAMS = ['lock-tas.asm', 'lock-ticket.asm', 'lock-ticket-pv.asm'] as const;
const VCPUS = Array.from({ length: 16 }, (_, i) => i + 1);
const PCPUS = Array.from({ length: 8 }, (_, i) => i + 1);
const LOOKAHEADS = [1, 130, 500, 20_000];
const HOGS = [0, 1, 3];
const SEEDS = [1, 2, 12_345];
const ITERATIONS = 4;

interface Cell extends GuestSetup {
  readonly program: (typeof PROGRAMS)[number];
  readonly vcpus: number;
}

/**
 * Every program with every number of vCPUs, and all numbers of pCPUs. On few pCPUs waiters spin for
 * whole time slices, which is slow with a small lookahead: those cells have a large one.
 */
function selection(): Cell[] {
  return VCPUS.flatMap((vcpus) =>
    PROGRAMS.map((program, p) => {
      const pcpus = PCPUS[(5 * vcpus + 3 * p) % PCPUS.length];
      const lookaheads = pcpus < 4 ? LOOKAHEADS.slice(2) : LOOKAHEADS;
      return {
        program,
        vcpus,
        pcpus,
        lookahead: lookaheads[(vcpus + (vcpus >> 2) + 2 * p) % lookaheads.length],
        hogs: HOGS[(vcpus + p + (vcpus >> 3)) % HOGS.length],
        seed: SEEDS[(vcpus + (vcpus >> 2)) % SEEDS.length],
      };
    }),
  );
}

function everything(): Cell[] {
  return PROGRAMS.flatMap((program) =>
    VCPUS.flatMap((vcpus) =>
      PCPUS.flatMap((pcpus) =>
        LOOKAHEADS.flatMap((lookahead) =>
          HOGS.flatMap((hogs) =>
            SEEDS.map((seed) => ({ program, vcpus, pcpus, lookahead, hogs, seed })),
          ),
        ),
      ),
    ),
  );
}

const CELLS = process.env.VMXLAB_FULL_MATRIX === '1' ? everything() : selection();

/** A fast tick: what vCPUs do with their time slices is not what these tests are about. */
const HZ = 5000;

test.each(CELLS)(
  '$program: $vcpus vCPUs on $pcpus pCPUs, $hogs hogs, lookahead $lookahead, seed $seed',
  (cell) => {
    const program = guestProgram(cell.program, { ITERATIONS: String(ITERATIONS) });
    const { report } = runGuest(program, { ...cell, hz: HZ });
    expect(report).toMatchObject({
      status: 'halted',
      exitCode: 0,
      output: `${cell.vcpus * ITERATIONS}\n`,
    });
  },
);

/** A lock program whose lock is these two macros. */
const withLock = (acquire: string, release: string) => `
  bits 64
  org 0x100000
  default rel
  %macro acquire 0
  ${acquire}
  %endmacro
  %macro release 0
  ${release}
  %endmacro
  %include "lib/counter.inc"
  lock_byte: db 0`;

const TEST_THEN_SET = `
  %%look:
    pause
    cmp byte [lock_byte], 0
    jne %%look
    pass_time 10
    mov byte [lock_byte], 1`;

describe('a lock that is none loses counts', () => {
  test.each([
    ['nothing at all', '', '', 2, 2],
    ['nothing at all', '', '', 16, 8],
    ['test, then set', TEST_THEN_SET, 'mov byte [lock_byte], 0', 16, 8],
    ['test, then set', TEST_THEN_SET, 'mov byte [lock_byte], 0', 4, 4],
  ])('%s', (_what, acquire, release, vcpus, pcpus) => {
    const iterations = 50;
    const program = assembleText(withLock(acquire, release), { ITERATIONS: String(iterations) });
    const { report } = runGuest(program, { vcpus, pcpus });
    expect(report.status).toBe('halted');
    const counted = Number(report.output);
    expect(counted).toBeGreaterThanOrEqual(iterations);
    expect(counted).toBeLessThan(vcpus * iterations);
  });

  test('but a single vCPU needs no lock', () => {
    const program = assembleText(withLock('', ''), { ITERATIONS: '50' });
    expect(runGuest(program).report.output).toBe('50\n');
  });
});

test('the selection meets every value, and every lookahead with and without hogs', () => {
  const cells = selection();
  const seen = (key: (cell: Cell) => unknown) => new Set(cells.map(key)).size;
  expect(cells).toHaveLength(PROGRAMS.length * VCPUS.length);
  expect(seen(({ program, vcpus }) => `${program} ${vcpus}`)).toBe(cells.length);
  expect(seen(({ pcpus }) => pcpus)).toBe(PCPUS.length);
  expect(seen(({ lookahead, hogs }) => `${lookahead} ${hogs}`)).toBe(12);
  expect(seen(({ seed }) => seed)).toBe(SEEDS.length);
});

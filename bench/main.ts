// `npm run bench`: guest instructions a second, of both engines and of QEMU's emulator (TCG), same
// programs in the same run, alternating. Prints medians, their spread and the ratio as a Markdown
// table. Instructions are those that the interpreter counts in a round; start-up, ours and QEMU's,
// is measured with a single round and taken off. Names on the command line select workloads.
// Without qemu-system-x86_64 only our own figures appear. Then the time that starting the command
// takes.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble, formatDiagnostic } from '../src/asm/index.ts';
import type { Engine } from '../src/cpu/index.ts';
import { checkScenario, Machine, type Scenario } from '../src/machine/index.ts';
import { printStartUp } from './start-up.ts';

interface Workload {
  readonly name: string;
  /** Rounds of about half a second: interpreted, compiled, and QEMU's. */
  readonly rounds: Readonly<Record<'interpreter' | 'compiled' | 'qemu', number>>;
}

const WORKLOADS: readonly Workload[] = [
  { name: 'alu', rounds: { interpreter: 700_000, compiled: 150_000_000, qemu: 200_000_000 } },
  { name: 'memory', rounds: { interpreter: 1_500_000, compiled: 150_000_000, qemu: 200_000_000 } },
  { name: 'fib', rounds: { interpreter: 40, compiled: 4000, qemu: 3000 } },
  { name: 'crc', rounds: { interpreter: 300, compiled: 25_000, qemu: 25_000 } },
  { name: 'sieve', rounds: { interpreter: 20, compiled: 2000, qemu: 2500 } },
  { name: 'sort', rounds: { interpreter: 80, compiled: 6000, qemu: 8000 } },
  { name: 'matmul', rounds: { interpreter: 5, compiled: 500, qemu: 800 } },
  { name: 'rep', rounds: { interpreter: 500, compiled: 25_000, qemu: 30_000 } },
  { name: 'exits', rounds: { interpreter: 100_000, compiled: 100_000, qemu: 10_000_000 } },
];

const RUNS = 5;
const PROGRAMS = join(import.meta.dirname, '../../bench/programs');

function program(name: string, rounds: number, multiboot: boolean): Uint8Array {
  const readInclude = (path: string) => readFileSync(join(PROGRAMS, path), 'utf8');
  const assembled = assemble(
    { name: `${name}.asm`, text: readInclude(`${name}.asm`) },
    {
      readFile: readInclude,
      defines: { ROUNDS: String(rounds), ...(multiboot ? { MULTIBOOT: '' } : {}) },
    },
  );
  if (assembled.kind === 'ok') return assembled.bytes;
  throw new Error(assembled.errors.map(formatDiagnostic).join('\n'));
}

function scenario(engine: Engine): Scenario {
  const limits = { time: '3600s', instructions: Number.MAX_SAFE_INTEGER };
  const checked = checkScenario({ engine, vms: [{ program: 'bench' }], limits });
  if ('scenario' in checked) return checked.scenario;
  throw new Error(checked.issues[0]?.message);
}

interface Run {
  readonly instructions: number;
  readonly seconds: number;
}

function runOurs(name: string, rounds: number, engine: Engine): Run {
  const machine = new Machine(scenario(engine), { programs: [program(name, rounds, false)] });
  const start = process.cpuUsage();
  const ending = machine.run();
  const { user, system } = process.cpuUsage(start);
  if (ending?.status !== 'exited') throw new Error(`${name} ended with ${ending?.status}`);
  return { instructions: machine.instructions, seconds: (user + system) / 1e6 };
}

/** Guest instructions a second; what compiling takes is part of it. */
function measureOurs({ name, rounds }: Workload, engine: 'interpreter' | 'compiled'): number {
  const once = runOurs(name, 1, engine);
  const all = runOurs(name, rounds[engine], engine);
  return (all.instructions - once.instructions) / (all.seconds - once.seconds);
}

/** As the interpreter counts them. */
function instructionsPerRound(name: string): number {
  const [one, two] = [1, 2].map((rounds) => runOurs(name, rounds, 'interpreter').instructions);
  return two - one;
}

function runQemu(folder: string, name: string, rounds: number): number {
  const image = join(folder, 'image');
  writeFileSync(image, program(name, rounds, true));
  const start = process.hrtime.bigint();
  const devices = ['-display', 'none', '-no-reboot', '-device', 'isa-debug-exit,iobase=0xf4'];
  const { status } = spawnSync('qemu-system-x86_64', [
    '-accel',
    'tcg',
    '-kernel',
    image,
    ...devices,
  ]);
  if (status === null || status % 2 === 0) throw new Error(`QEMU ended with ${status}`);
  return Number(process.hrtime.bigint() - start) / 1e9;
}

function measureQemu(folder: string, { name, rounds }: Workload, perRound: number): number {
  const startUp = runQemu(folder, name, 1);
  const seconds = runQemu(folder, name, rounds.qemu) - startUp;
  return (rounds.qemu * perRound) / seconds;
}

interface Figures {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

function figures(values: readonly number[]): Figures {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: sorted[sorted.length >> 1] ?? Number.NaN,
    least: sorted[0] ?? Number.NaN,
    most: sorted[sorted.length - 1] ?? Number.NaN,
  };
}

function print({ median, least, most }: Figures): string {
  const millions = (value: number) => (value / 1e6).toFixed(1);
  return `${millions(median)} (${millions(least)} to ${millions(most)})`;
}

function main(): void {
  const hasQemu = spawnSync('qemu-system-x86_64', ['--version']).status === 0;
  if (!hasQemu) console.error('qemu-system-x86_64 is not installed: no figures to compare with');
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-bench-'));
  console.log(`Million guest instructions a second; ${cpus()[0]?.model ?? 'unknown processor'},`);
  console.log(`Node ${process.version}; medians of ${RUNS} runs, least to most.\n`);
  console.log('| workload | interpreter | compiled | QEMU TCG | compiled to QEMU |');
  console.log('| --- | --- | --- | --- | --- |');
  const wanted = process.argv.slice(2);
  for (const workload of WORKLOADS) {
    if (wanted.length > 0 && !wanted.includes(workload.name)) continue;
    const perRound = instructionsPerRound(workload.name);
    const values: [number[], number[], number[]] = [[], [], []];
    for (let run = 0; run < RUNS; run++) {
      values[0].push(measureOurs(workload, 'interpreter'));
      values[1].push(measureOurs(workload, 'compiled'));
      if (hasQemu) values[2].push(measureQemu(folder, workload, perRound));
    }
    const [interpreted, compiled, qemu] = values.map(figures);
    const ratio = hasQemu ? (compiled.median / qemu.median).toFixed(2) : '-';
    const cells = [interpreted, compiled].map(print);
    const row = [workload.name, ...cells, hasQemu ? print(qemu) : '-', ratio];
    console.log(`| ${row.join(' | ')} |`);
  }
  rmSync(folder, { recursive: true });
  if (wanted.length === 0) printStartUp();
}

main();

// `npm run bench`: guest instructions a second, ours and QEMU's emulator (TCG), same programs in
// the same run, alternating. Prints medians, their spread and the ratio, as a Markdown table.
// Instruction counts are known from the programs; QEMU's start-up is measured with an empty loop
// and taken off. Without qemu-system-x86_64 only our own figures appear. Then the time that
// starting the command takes.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble, formatDiagnostic } from '../src/asm/index.ts';
import { checkScenario, Machine, type Scenario } from '../src/machine/index.ts';
import { printStartUp } from './start-up.ts';

interface Workload {
  readonly name: string;
  readonly instructionsPerRound: number;
  /** Rounds for about a second, ours and QEMU's. */
  readonly rounds: number;
  readonly qemuRounds: number;
}

const WORKLOADS: readonly Workload[] = [
  { name: 'alu', instructionsPerRound: 12, rounds: 1_500_000, qemuRounds: 100_000_000 },
  { name: 'memory', instructionsPerRound: 7, rounds: 3_000_000, qemuRounds: 100_000_000 },
  { name: 'exits', instructionsPerRound: 4, rounds: 300_000, qemuRounds: 20_000_000 },
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

function scenario(): Scenario {
  const limits = { time: '3600s', instructions: Number.MAX_SAFE_INTEGER };
  const checked = checkScenario({ vms: [{ program: 'bench' }], limits });
  if ('scenario' in checked) return checked.scenario;
  throw new Error(checked.issues[0]?.message);
}

/** Guest instructions a second. */
function measureOurs({ name, rounds, instructionsPerRound }: Workload): number {
  const machine = new Machine(scenario(), { programs: [program(name, rounds, false)] });
  const start = process.cpuUsage();
  const ending = machine.run();
  const { user, system } = process.cpuUsage(start);
  if (ending?.status !== 'exited') throw new Error(`${name} ended with ${ending?.status}`);
  return (rounds * instructionsPerRound) / ((user + system) / 1e6);
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

function measureQemu(folder: string, { name, qemuRounds, instructionsPerRound }: Workload): number {
  const startUp = runQemu(folder, name, 1);
  const seconds = runQemu(folder, name, qemuRounds) - startUp;
  return (qemuRounds * instructionsPerRound) / seconds;
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
  console.log('| workload | vmxlab interpreter | QEMU TCG | ratio |');
  console.log('| --- | --- | --- | --- |');
  for (const workload of WORKLOADS) {
    measureOurs({ ...workload, rounds: workload.rounds / 10 });
    const ours: number[] = [];
    const qemu: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      ours.push(measureOurs(workload));
      if (hasQemu) qemu.push(measureQemu(folder, workload));
    }
    const a = figures(ours);
    const b = figures(qemu);
    const right = hasQemu ? `${print(b)} | ${(a.median / b.median).toFixed(4)}` : '- | -';
    console.log(`| ${workload.name} | ${print(a)} | ${right} |`);
  }
  rmSync(folder, { recursive: true });
  printStartUp();
}

main();

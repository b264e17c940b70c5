// A Slurm cluster of one node, on this machine and for one test: authentication, controller and
// node daemon, all with their files in one folder.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { missing } from './outside-tools.ts';

/** Why there can be no cluster here, or null. Throws on a CI machine. */
export function missingSlurm(): string | null {
  const tool = missing('sbatch') ?? missing('munged');
  if (tool !== null) return tool;
  return process.getuid?.() === 0 ? null : 'Slurm is started by root';
}

export interface Cluster {
  /** What Slurm's commands need to find it. */
  readonly env: Readonly<Record<string, string>>;
  /** Wait until no job is left. */
  readonly idle: () => Promise<void>;
  /** Resolved when nobody writes to the folder any more. */
  readonly stop: () => Promise<void>;
}

const LONGEST_MS = 80_000;

/** Start a cluster whose files are in a folder. */
export async function startSlurm(folder: string): Promise<Cluster> {
  const path = (name: string) => join(folder, name);
  // Its daemons look at who may write there.
  chmodSync(folder, 0o755);
  for (const name of ['state', 'spool']) mkdirSync(path(name));
  writeFileSync(path('munge.key'), randomBytes(128), { mode: 0o600 });
  const port = 20_000 + (process.pid % 10_000) * 2;
  writeFileSync(path('slurm.conf'), configuration(folder, port));
  const env = { SLURM_CONF: path('slurm.conf') };
  const daemons: ChildProcess[] = [];
  const start = (program: string, words: readonly string[]) => {
    const daemon = spawn(program, words, { env: { ...process.env, ...env }, stdio: 'ignore' });
    // One that is not there is noticed by waiting in vain.
    daemon.on('error', () => {});
    daemons.push(daemon);
  };
  const stop = async () => {
    await Promise.all(daemons.map(ended));
  };
  start('munged', [
    ...['--foreground', '--force', `--socket=${path('munge.sock')}`],
    ...[`--key-file=${path('munge.key')}`, `--pid-file=${path('munged.pid')}`],
    ...[`--log-file=${path('munged.log')}`, `--seed-file=${path('munged.seed')}`],
  ]);
  start('slurmctld', ['-D', '-f', env.SLURM_CONF]);
  start('slurmd', ['-D', '-f', env.SLURM_CONF]);
  const ask = (program: string, words: readonly string[]) => {
    try {
      return execFileSync(program, words, { env: { ...process.env, ...env }, stdio: 'pipe' });
    } catch {
      return null;
    }
  };
  const until = async (what: string, isSo: () => boolean) => {
    const before = Date.now();
    while (!isSo()) {
      if (Date.now() - before > LONGEST_MS) throw new Error(`Slurm: ${what} takes too long`);
      await sleep(500);
    }
  };
  try {
    await until('the start', () => String(ask('sinfo', ['-h', '-o', '%t'])).trim() === 'idle');
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const isIdle = () => ask('squeue', ['-h'])?.length === 0;
  return { env, stop, idle: () => until('a job', isIdle) };
}

/** Daemons that take long to say goodbye are not waited for. */
const PATIENCE_MS = 3000;

function ended(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return Promise.resolve();
  const timer = setTimeout(() => daemon.kill('SIGKILL'), PATIENCE_MS);
  return new Promise((resolve) => {
    daemon.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    daemon.kill('SIGTERM');
  });
}

function configuration(folder: string, port: number): string {
  const host = hostname();
  return [
    'ClusterName=lab',
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmctldPort=${port}`,
    `SlurmdPort=${port + 1}`,
    'SlurmUser=root',
    'AuthType=auth/munge',
    `AuthInfo=socket=${join(folder, 'munge.sock')}`,
    `StateSaveLocation=${join(folder, 'state')}`,
    `SlurmdSpoolDir=${join(folder, 'spool')}`,
    `SlurmctldPidFile=${join(folder, 'slurmctld.pid')}`,
    `SlurmdPidFile=${join(folder, 'slurmd.pid')}`,
    `SlurmctldLogFile=${join(folder, 'slurmctld.log')}`,
    `SlurmdLogFile=${join(folder, 'slurmd.log')}`,
    // Without control groups, which a container may not have.
    'ProctrackType=proctrack/pgid',
    'TaskPlugin=task/none',
    'MpiDefault=none',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_CPU',
    'ReturnToService=2',
    `NodeName=${host} NodeAddr=127.0.0.1 CPUs=2`,
    'PartitionName=lab Nodes=ALL Default=YES MaxTime=INFINITE State=UP',
    '',
  ].join('\n');
}

// Another version of the project, built in a working tree of its own for as long as it is needed.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './images.ts';
import { UsageError } from './options.ts';

/** Throws {@link UsageError} if there is no such version, or it cannot be built. */
export function withRevision(revision: string, work: (root: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-revision-'));
  const root = join(folder, 'tree');
  try {
    execute(ROOT, 'git', ['worktree', 'add', '--quiet', '--detach', root, revision]);
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    console.error(`building ${revision}`);
    execute(root, 'npm', ['run', 'build', '--silent']);
    work(root);
  } finally {
    spawnSync('git', ['worktree', 'remove', '--force', root], { cwd: ROOT });
    rmSync(folder, { recursive: true, force: true });
  }
}

function execute(folder: string, program: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' });
  if (status === 0) return;
  throw new UsageError(`${program} ${args.join(' ')}: ${stderr}${stdout}`.trim());
}

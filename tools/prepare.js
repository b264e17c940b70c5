// `prepare`, which npm runs behind an installation, and npx before it first starts the command of
// a folder: build, unless what was built is newer than all that it is made of. npx shows nothing
// of it, so that without this check somebody's first command would seem to hang.

import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What a build is made of; folders with all that is in them, and themselves: files may be gone. */
const SOURCES = ['src', 'tools', 'tsconfig.json', 'tsconfig.build.json', 'rolldown.config.js'];
const PACKAGE = ['package.json', 'package-lock.json'];

/** Written first and last. */
const BUILT = ['dist/cli/launch.js', 'dist/cli/vmxlab.cjs'];

/** In ms; of what does not exist, nothing. */
function timesOf(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  const inside = stat.isDirectory() ? readdirSync(path, { recursive: true }) : [];
  return [stat.mtimeMs, ...inside.map((name) => statSync(join(path, name)).mtimeMs)];
}

function isStale() {
  const built = BUILT.flatMap(timesOf);
  const newest = Math.max(...[...SOURCES, ...PACKAGE].flatMap(timesOf));
  return built.length < BUILT.length || newest >= Math.min(...built);
}

if (isStale()) {
  process.stderr.write('vmxlab: building the command, which takes some seconds\n');
  const { status } = spawnSync('npm', ['run', 'build'], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
}

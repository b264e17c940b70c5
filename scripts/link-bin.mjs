// Puts this package's own command into node_modules/.bin, so that `npx vmxlab` works in a checkout.
// npm does that for the commands of dependencies only.

import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist', 'cli', 'main.js');
const folder = join(root, 'node_modules', '.bin');
const link = join(folder, 'vmxlab');

mkdirSync(folder, { recursive: true });
chmodSync(main, 0o755);
rmSync(link, { force: true });
if (process.platform === 'win32') {
  writeFileSync(`${link}.cmd`, `@node "%~dp0\\..\\..\\dist\\cli\\main.js" %*\r\n`);
} else {
  symlinkSync(join('..', '..', 'dist', 'cli', 'main.js'), link);
}

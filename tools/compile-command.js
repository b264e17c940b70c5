// Part of the build: run the packed command line once on a guest that becomes hot, so that the
// compiler is used as well, and keep what V8 compiled for that beside it.

import { rmSync, writeFileSync } from 'node:fs';
import { bundledCommand, CODE } from '../dist/cli/bundle.js';

// V8 knows a script by its length alone: code of the build before may be taken for this one's.
rmSync(CODE, { force: true });
const command = bundledCommand();
process.argv.splice(2, 0, 'run', '-q', 'guest-programs/lock-ticket-pv.asm', '--engine', 'compiled');
process.stdout.write = () => true;
process.on('exit', () => writeFileSync(CODE, command.script.createCachedData()));
command.start();

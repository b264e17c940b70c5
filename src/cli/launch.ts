#!/usr/bin/env node
// Starts the command line: from one file and V8's compiled code for it, if the build left them, for
// loading and compiling some hundred modules takes longer than running a small guest.

import { bundledCommand } from './bundle.ts';

// A profile tells what functions are for by the files that they are in.
const command = process.argv[2] === 'profile' ? null : bundledCommand();
if (command === null) await import('./main.ts');
else command.start();

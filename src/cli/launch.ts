#!/usr/bin/env node
// Starts the command line: from one file and V8's compiled code for it, if the build left them, for
// loading and compiling some hundred modules takes longer than running a small guest.

import { bundledCommand } from './bundle.ts';

const command = bundledCommand();
if (command === null) await import('./main.ts');
else command.start();

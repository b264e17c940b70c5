// The command line as the build packs it (rolldown.config.js): one script, and beside it what V8
// made of it, which saves compiling. V8 looks itself whether it can use that: if another version
// made it, it compiles.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';

const SCRIPT = new URL('vmxlab.cjs', import.meta.url);
/** V8's code cache. */
export const CODE = new URL('vmxlab.code', import.meta.url);

export interface BundledCommand {
  readonly script: Script;
  readonly start: () => void;
}

/** The packed command, or null if the build left none. */
export function bundledCommand(): BundledCommand | null {
  const source = readIfThere(SCRIPT);
  if (source === null) return null;
  const cachedData = readIfThere(CODE);
  const script = new Script(`((require, IMPORT_META) => {${source}\n})`, {
    filename: SCRIPT.pathname,
    ...(cachedData === null ? {} : { cachedData }),
  });
  const start = () => script.runInThisContext()(createRequire(SCRIPT), { url: SCRIPT.href });
  return { script, start };
}

function readIfThere(file: URL): Buffer | null {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}

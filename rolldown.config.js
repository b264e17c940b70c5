// The command line as one script, for src/cli/bundle.ts. What programs import (dist/index.js and
// the rooms) stays as the compiler wrote it.

/** What measures the columns of help texts for yargs. */
const STRING_WIDTH = 'string-width';

/**
 * All our help is ASCII. The package knows every script, and takes a fifth of the start-up to get
 * ready for them.
 */
const asciiWidth = {
  name: 'ascii-width',
  resolveId: (name) => (name === STRING_WIDTH ? name : null),
  load: (name) => (name === STRING_WIDTH ? 'export default (text) => text.length;' : null),
};

export default {
  input: 'src/cli/main.ts',
  platform: 'node',
  // Finds its own worker by where it lies.
  external: ['piscina'],
  plugins: [asciiWidth],
  transform: { define: { 'import.meta': 'IMPORT_META' } },
  output: { file: 'dist/cli/vmxlab.cjs', format: 'cjs', minify: true },
};

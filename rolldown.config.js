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

/** Modules of Node's that a run does without: loading them takes some milliseconds. */
const SELDOM = [
  ...['child_process', 'crypto', 'inspector', 'net', 'os', 'readline', 'stream'],
  ...['timers/promises', 'worker_threads', 'zlib'],
];

/** Loads those when they are used first. */
const seldomModules = {
  name: 'seldom-modules',
  renderChunk(code) {
    const missing = SELDOM.filter((name) => !code.includes(requirement(name)));
    if (missing.length > 0) throw new Error(`not required at the top: ${missing.join(', ')}`);
    return SELDOM.reduce(withLazy, code);
  },
};

const requirement = (name) => `let ${variableOf(name)} = require("node:${name}");`;

const variableOf = (name) => `node_${name.replaceAll('/', '_')}`;

function withLazy(code, name) {
  const variable = variableOf(name);
  const uses = new RegExp(`(?<![\\w$.])${variable}\\.`, 'g');
  const lazily = `let ${variable};
const lazy_${variable} = () => (${variable} ??= require("node:${name}"));`;
  return code.replaceAll(uses, `lazy_${variable}().`).replace(requirement(name), lazily);
}

export default {
  input: 'src/cli/main.ts',
  platform: 'node',
  // Finds its own worker by where it lies.
  external: ['piscina'],
  plugins: [asciiWidth, seldomModules],
  transform: {
    define: { 'import.meta': 'IMPORT_META' },
    assumptions: { setPublicClassFields: true },
    typescript: { removeClassFieldsWithoutInitializer: true },
  },
  output: { file: 'dist/cli/vmxlab.cjs', format: 'cjs', minify: true },
};

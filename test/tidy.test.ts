// The house rules that a program can check: which room may import which, what the core must not
// know, how long files and functions may be, and that nothing lies around unused.
// docs/architecture.md says why. An exemption is a line in one of the tables here, with its reason.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, extname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '..'));

/** What each room may import; `asm` beside `cpu`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  sim: [],
  memory: ['sim'],
  isa: ['sim'],
  asm: ['sim', 'isa'],
  cpu: ['sim', 'memory', 'isa'],
  vmx: ['sim', 'memory', 'isa', 'cpu'],
  trace: ['sim', 'cpu', 'vmx'],
  host: ['sim', 'trace'],
  kvm: ['sim', 'memory', 'isa', 'cpu', 'vmx', 'host', 'trace'],
  machine: ['sim', 'memory', 'isa', 'asm', 'cpu', 'vmx', 'host', 'kvm', 'trace'],
  api: ['memory', 'cpu', 'vmx', 'host', 'kvm', 'trace', 'machine'],
  check: ['sim', 'trace', 'machine'],
  testing: ['sim', 'asm', 'vmx', 'trace', 'machine', 'check'],
  debug: ['sim', 'memory', 'isa', 'cpu', 'vmx', 'host', 'kvm', 'trace', 'machine'],
  explore: ['sim', 'memory', 'isa', 'cpu', 'vmx', 'kvm', 'host', 'machine'],
  fuzz: ['sim', 'memory', 'isa', 'cpu', 'kvm', 'machine', 'trace', 'check', 'explore'],
  experiment: ['sim', 'machine'],
  cli: [
    ...['sim', 'memory', 'isa', 'asm', 'cpu', 'vmx', 'host', 'kvm', 'trace', 'machine'],
    ...['check', 'debug', 'explore', 'fuzz', 'experiment'],
  ],
};

/** Packages that a room may import beside `long`, which is the project's 64-bit integer. */
const MAY_USE_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  machine: ['yaml'],
  testing: ['vitest'],
  // Types only.
  debug: ['@vscode/debugprotocol'],
  cli: ['piscina', 'yargs', 'yargs/helpers'],
};

/** Only the command line may know Node. */
const KNOWS_NODE = ['cli'];

/** Globals that would make a run depend on more than its scenario, or tie it to one platform. */
const FORBIDDEN_GLOBALS = new Set([
  ...['Date', 'performance', 'Intl', 'Promise', 'setTimeout', 'setInterval', 'setImmediate'],
  ...['queueMicrotask', 'process', 'console', 'fetch', 'Buffer', 'document', 'window', 'navigator'],
  ...['globalThis', 'TextDecoder', 'TextEncoder', 'structuredClone', 'crypto', 'require'],
]);

/** Functions whose results the language leaves to the engine, and chance. */
const FORBIDDEN_MATH = new Set([
  ...['random', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan', 'atan2', 'sinh', 'cosh', 'tanh'],
  ...['exp', 'expm1', 'log', 'log1p', 'log10', 'pow', 'cbrt', 'hypot'],
]);

const FORBIDDEN_METHODS = /^(toLocale\w*|localeCompare)$/;

const MAX_FILE_LINES = 600;
const MAX_FUNCTION_LINES = 70;
const MAX_COLUMNS = 100;

/** Files that may be longer: pure tables. */
const LONG_FILES: readonly string[] = [];

/** Functions that may be longer, with the reason. */
const LONG_FUNCTIONS: Readonly<Record<string, string>> = {};

const VAGUE_NAMES = /^(utils?|common|helpers?|misc)\b/;

/** Every file below a folder, without those that git ignores. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    if (['node_modules', 'dist', 'build', '.git'].includes(name)) return [];
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

interface Source {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

const SOURCES: readonly Source[] = ['src', 'test', 'bench']
  .filter((folder) => existsSync(join(ROOT, folder)))
  .flatMap((folder) => filesBelow(join(ROOT, folder)))
  .filter((path) => extname(path) === '.ts')
  .map((path) => {
    const text = readFileSync(path, 'utf8');
    return {
      path: relative(ROOT, path).replaceAll('\\', '/'),
      text,
      tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true),
    };
  });

const CORE = SOURCES.filter(({ path }) => path.startsWith('src/') && !isCli(path));

function isCli(path: string): boolean {
  return KNOWS_NODE.includes(roomOf(path));
}

/** `cpu` for src/cpu/mmu.ts; empty for src/index.ts. */
function roomOf(path: string): string {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? '';
}

/** Module names that a file imports or exports from. */
function importsOf({ tree }: Source): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    const isImport = ts.isImportDeclaration(node) || ts.isExportDeclaration(node);
    if (isImport && node.moduleSpecifier !== undefined) {
      names.push((node.moduleSpecifier as ts.StringLiteral).text);
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      if (argument !== undefined && ts.isStringLiteral(argument)) names.push(argument.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return names;
}

/** The file that a relative import means, relative to the root. */
function resolve(from: string, name: string): string {
  return normalize(join(dirname(from), name)).replaceAll('\\', '/');
}

describe('layers', () => {
  test('every room is in the table', () => {
    const rooms = readdirSync(join(ROOT, 'src')).filter((name) => !name.endsWith('.ts'));
    expect(rooms.sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });

  test('a room imports only rooms below it, through their index', () => {
    const wrong: string[] = [];
    for (const source of SOURCES.filter(({ path }) => roomOf(path) !== '')) {
      const room = roomOf(source.path);
      for (const name of importsOf(source).filter((imported) => imported.startsWith('.'))) {
        const target = resolve(source.path, name);
        const other = roomOf(target);
        if (other === room) continue;
        const isAllowed = MAY_IMPORT[room]?.includes(other) && target === `src/${other}/index.ts`;
        if (!isAllowed) wrong.push(`${source.path} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('packages and Node modules are imported only where they belong', () => {
    const wrong: string[] = [];
    for (const source of SOURCES.filter(({ path }) => path.startsWith('src/'))) {
      const room = roomOf(source.path);
      const packages = ['long', ...(MAY_USE_PACKAGES[room] ?? [])];
      for (const name of importsOf(source).filter((imported) => !imported.startsWith('.'))) {
        const isAllowed = name.startsWith('node:') ? isCli(source.path) : packages.includes(name);
        if (!isAllowed) wrong.push(`${source.path} imports ${name}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

test('the core knows no clock, no chance, no platform', () => {
  const wrong = CORE.flatMap((source) => {
    const declared = declaredNames(source.tree);
    return [...forbiddenNames(source.tree, declared)].map(({ line, name }) => {
      return `${source.path}:${line}: ${name}`;
    });
  });
  expect(wrong).toEqual([]);
});

/** Everything that a file declares or imports, in whatever scope. */
function declaredNames(tree: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    const hasName = 'name' in node && node.name !== undefined;
    const name = hasName ? (node.name as ts.Node) : undefined;
    const declares =
      ts.isVariableDeclaration(node) ||
      ts.isParameter(node) ||
      ts.isBindingElement(node) ||
      ts.isFunctionDeclaration(node) ||
      ts.isImportSpecifier(node);
    if (declares && name !== undefined && ts.isIdentifier(name)) names.add(name.text);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return names;
}

interface Use {
  readonly line: number;
  readonly name: string;
}

function* forbiddenNames(tree: ts.SourceFile, declared: ReadonlySet<string>): Iterable<Use> {
  const waiting: ts.Node[] = [tree];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const name = forbiddenName(node, declared);
    if (name !== null) {
      yield { line: tree.getLineAndCharacterOfPosition(node.getStart()).line + 1, name };
    }
    waiting.push(...node.getChildren(tree));
  }
}

function forbiddenName(node: ts.Node, declared: ReadonlySet<string>): string | null {
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return 'async';
  if (!ts.isIdentifier(node)) return null;
  const { parent, text } = node;
  const isMember = ts.isPropertyAccessExpression(parent) && parent.name === node;
  if (isMember) {
    const ofMath = parent.expression.getText() === 'Math' && FORBIDDEN_MATH.has(text);
    return ofMath || FORBIDDEN_METHODS.test(text) ? text : null;
  }
  const isKey =
    (ts.isPropertyAssignment(parent) ||
      ts.isPropertySignature(parent) ||
      ts.isPropertyDeclaration(parent) ||
      ts.isMethodDeclaration(parent) ||
      ts.isGetAccessor(parent)) &&
    parent.name === node;
  return !isKey && FORBIDDEN_GLOBALS.has(text) && !declared.has(text) ? text : null;
}

test('Math.log2 is only taken of powers of two, where every engine is exact', () => {
  const users = CORE.filter(({ text }) => text.includes('Math.log2')).map(({ path }) => path);
  expect(users.sort()).toEqual([
    'src/host/tunables.ts',
    'src/isa/encoding.ts',
    'src/isa/rows/logic.ts',
    'src/kvm/cpuid.ts',
  ]);
});

describe('sizes', () => {
  test(`no file has more than ${MAX_FILE_LINES} lines`, () => {
    const long = SOURCES.filter(({ path }) => !LONG_FILES.includes(path))
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_FILE_LINES);
    expect(long).toEqual([]);
  });

  test(`no function has more than ${MAX_FUNCTION_LINES} lines`, () => {
    const long: string[] = [];
    for (const { path, tree } of SOURCES.filter((source) => source.path.startsWith('src/'))) {
      const visit = (node: ts.Node): void => {
        if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
          const first = tree.getLineAndCharacterOfPosition(node.getStart()).line;
          const last = tree.getLineAndCharacterOfPosition(node.getEnd()).line;
          const name = `${path}:${first + 1}`;
          const lines = last - first + 1;
          if (lines > MAX_FUNCTION_LINES && LONG_FUNCTIONS[path] === undefined) {
            long.push(`${name}: ${lines} lines`);
          }
        }
        ts.forEachChild(node, visit);
      };
      visit(tree);
    }
    expect(long).toEqual([]);
  });

  test(`no line has more than ${MAX_COLUMNS} columns`, () => {
    const long = SOURCES.flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, i) => {
        // A string or a link that cannot be broken may stick out.
        const isUnbreakable = /^\s*[:?+]?\s*('[^']*'|"[^"]*"|`[^`]*`|\/.+\/\w*)[,;]?$/.test(line);
        return line.length > MAX_COLUMNS && !isUnbreakable ? [`${path}:${i + 1}`] : [];
      }),
    );
    expect(long).toEqual([]);
  });
});

describe('order', () => {
  test('every source file is reachable, and every support file of the tests', () => {
    const roots = SOURCES.filter(
      ({ path }) =>
        path === 'src/index.ts' ||
        path === 'src/cli/launch.ts' ||
        path === 'src/cli/main.ts' ||
        path === 'src/testing/index.ts' ||
        path.endsWith('.test.ts') ||
        /^bench\/[^/]+\.ts$/.test(path) ||
        path === 'test/catalogue/main.ts' ||
        path === 'test/engines/main.ts' ||
        path === 'test/litmus/main.ts' ||
        path === 'test/locks/main.ts' ||
        path === 'test/silicon/main.ts' ||
        path === 'test/walks/main.ts' ||
        path.endsWith('.d.ts'),
    ).map(({ path }) => path);
    const isProduct = (path: string) => path.startsWith('src/');
    const fromProduct = reachable(roots.filter(isProduct));
    const fromAll = reachable(roots);
    const unused = SOURCES.map(({ path }) => path).filter((path) =>
      isProduct(path) ? !fromProduct.has(path) : !fromAll.has(path),
    );
    expect(unused).toEqual([]);
  });

  test('files are named after an idea', () => {
    const vague = SOURCES.filter(({ path }) => VAGUE_NAMES.test(path.split('/').pop() as string));
    expect(vague.map(({ path }) => path)).toEqual([]);
  });

  test('files open with what they are', () => {
    const silent = SOURCES.filter(({ text }) => !/^(#!.*\n)?\/\/ \S/.test(text));
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  test('no file speaks of the machine it was written on', () => {
    const places = ['src', 'test', 'bench', 'examples', 'docs', 'guest-programs', '.ci']
      .filter((folder) => existsSync(join(ROOT, folder)))
      .flatMap((folder) => filesBelow(join(ROOT, folder)))
      .filter((path) => /\.(ts|mjs|md|asm|inc|json|yaml|txt)$|run$/.test(path));
    const pattern = new RegExp(['/work/', '/root/', '/home/[a-z]', 'registry\\.'].join('|'));
    const wrong = places.filter((path) => pattern.test(readFileSync(path, 'utf8')));
    expect(wrong.map((path) => relative(ROOT, path))).toEqual(['test/tidy.test.ts']);
  });
});

/** Files that can be reached by imports. */
function reachable(roots: readonly string[]): Set<string> {
  const byPath = new Map(SOURCES.map((source) => [source.path, source]));
  const found = new Set<string>();
  const waiting = [...roots];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = byPath.get(path);
    if (source === undefined || found.has(path)) continue;
    found.add(path);
    for (const name of importsOf(source).filter((imported) => imported.startsWith('.'))) {
      waiting.push(resolve(path, name));
    }
  }
  return found;
}

// Commands of gdb's that are none here, with what does the same, or why nothing does.

const LEFT = "'quit' leaves, 'run' and 'starti' begin anew";
const LOADED = 'the program was told to vmxlab when it started';
const OUTSIDE = 'commands are about the machine only';
const SCRIPTS = "scripts are files for 'vmxlab debug --command FILE', and 'commands'";
const TYPES = 'values are unsigned 64-bit numbers, and u8[...] to u64[...] is memory';
const VIEW = "in the full-screen view Tab, = and Ctrl-L do that; '?' lists its keys";

const INSTEAD: Readonly<Record<string, string>> = {
  attach: LOADED,
  file: LOADED,
  'symbol-file': LOADED,
  'add-symbol-file': LOADED,
  'exec-file': LOADED,
  load: LOADED,
  target: LOADED,
  detach: LEFT,
  kill: LEFT,
  k: LEFT,
  stop: LEFT,
  cd: OUTSIDE,
  pwd: OUTSIDE,
  shell: OUTSIDE,
  make: OUTSIDE,
  pipe: OUTSIDE,
  dump: OUTSIDE,
  restore: OUTSIDE,
  alias: SCRIPTS,
  define: SCRIPTS,
  document: SCRIPTS,
  macro: SCRIPTS,
  py: SCRIPTS,
  python: SCRIPTS,
  save: SCRIPTS,
  source: SCRIPTS,
  whatis: TYPES,
  ptype: TYPES,
  focus: VIEW,
  fs: VIEW,
  refresh: VIEW,
  winheight: VIEW,
  catch: "'break exit REASON' stops at VM exits, 'break TRACEPOINT' at what the host does",
  directory: 'sources are looked for where vmxlab was started; recordings have theirs',
  search: "'list' shows the source, 'info symbols TEXT' finds names",
  'forward-search': "'list' shows the source, 'info symbols TEXT' finds names",
  handle: 'guests have no signals',
  signal: 'guests have no signals',
  maintenance: "'info snapshots' and 'when' are what there is",
  maint: "'info snapshots' and 'when' are what there is",
  monitor: "say it without 'monitor'",
  record: "all is kept anyhow: 'reverse-continue', 'rsi' and 'goto EVENT' go back",
  return: "'finish' runs to the return, 'jump PLACE' and 'set $rip = ...' go elsewhere",
  skip: "'next' and 'finish' pass over calls",
};

const PLAIN = 'programs have no types: registers, symbols and memory is what there is';
const MACHINE = "the machine is one: 'info threads' lists its vCPUs, 'info sched' its pCPUs";

/** The same of what gdb has behind `info`. */
const INSTEAD_OF_TOPICS: Readonly<Record<string, string>> = {
  args: PLAIN,
  locals: PLAIN,
  scope: PLAIN,
  types: PLAIN,
  files: "'info sources' and 'info symbols' list what the program came with",
  inferiors: MACHINE,
  proc: MACHINE,
  os: MACHINE,
  program: "'when' says where the machine is, 'info waits' what it waits for",
  record: "'when' and 'info snapshots' say what is known of the past",
  sharedlibrary: "'info sources' and 'info symbols' list what the program came with",
  signals: 'guests have no signals',
  stack: "'backtrace' shows it",
};

export function insteadOfTopic(name: string): string | null {
  return Object.hasOwn(INSTEAD_OF_TOPICS, name) ? INSTEAD_OF_TOPICS[name] : null;
}

/** What to say or do instead of a command of gdb's; null for other words. */
export function instead(name: string): string | null {
  return Object.hasOwn(INSTEAD, name) ? INSTEAD[name] : null;
}

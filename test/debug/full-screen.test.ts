// The full-screen view on a real terminal. What tmux shows is compared with what the same keys make
// of the view without one: so it holds for what is drawn in pieces, too.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { Prng } from '../../src/sim/index.ts';
import { buildCommand, MAIN } from '../support/command-line.ts';
import { ScreenUnderTest } from '../support/debug-screen.ts';
import { HAS_TMUX, Tmux } from '../support/tmux.ts';

const ROOT = join(fileURLToPath(import.meta.url), '../../..');
const PROGRAM = 'guest-programs/five-exits.asm';
const DEBUG = `${process.execPath} ${MAIN} debug`;

/** How the terminal was before. */
const BEFORE = join(tmpdir(), `vmxlab-stty-${process.pid}`);

beforeAll(buildCommand, 120_000);

/** Do something with a terminal, which is gone then. */
function onTerminal(work: (terminal: Tmux) => void, environment: readonly string[] = []): void {
  const terminal = new Tmux(ROOT, 80, 24, environment);
  try {
    work(terminal);
  } finally {
    terminal.end();
  }
}

/** A program that never ends, and how to debug it. */
function endless(): string {
  const path = join(tmpdir(), `vmxlab-endless-${process.pid}.asm`);
  writeFileSync(path, 'bits 64\nspin: inc rax\njmp spin\n');
  return `${DEBUG} ${path}`;
}

function kill(terminal: Tmux, signal: 'SIGTERM' | 'SIGHUP'): void {
  const { child } = terminal;
  if (child === null) throw new Error('nothing runs');
  process.kill(child, signal);
}

describe.runIf(HAS_TMUX)('on a terminal', () => {
  test('keys step forwards and backwards, and every size is filled', () => {
    const twin = new ScreenUnderTest(PROGRAM);
    onTerminal((terminal) => {
      terminal.type(`${DEBUG} ${PROGRAM}`);
      terminal.waitFor(twin.text(80, 24));
      for (const key of ['>', '>', '.', '.', '.', ',', '<', ']', 'Right', 'Left', 'Tab', 'Tab']) {
        twin.press(key);
        terminal.press(key);
      }
      terminal.waitFor(twin.text(80, 24));
      terminal.resize(120, 40);
      terminal.waitFor(twin.text(120, 40));
      twin.press('<', '=').type('break *0x100087');
      terminal.press('<', '=');
      terminal.type('break *0x100087');
      terminal.resize(40, 10);
      terminal.waitFor(twin.text(40, 10));
      terminal.resize(80, 24);
      twin.press('=', '?');
      terminal.press('=', '?');
      terminal.waitFor(twin.text(80, 24));
      expect(terminal.isAlternate).toBe(true);
    });
  });

  test.each([
    ['quit', (terminal) => terminal.type('quit'), 0],
    ['Ctrl-D', (terminal) => terminal.press('C-d'), 0],
    ['SIGTERM', (terminal) => kill(terminal, 'SIGTERM'), 143],
    ['SIGHUP', (terminal) => kill(terminal, 'SIGHUP'), 129],
  ] satisfies [string, (terminal: Tmux) => void, number][])(
    '%s gives the terminal back',
    (_name, leave, status) => {
      onTerminal((terminal) => {
        terminal.type(`stty -a > ${BEFORE}; ${DEBUG} ${PROGRAM}; echo left with $?`);
        terminal.waitFor(/\? keys$/m);
        terminal.press('>');
        terminal.waitFor(/^=> +0\.\d+ vcpu0 MSR_WRITE/m);
        leave(terminal);
        const screen = terminal.waitFor(/^left with \d+$/m);
        expect(screen).toContain(`left with ${status}`);
        expect(screen).not.toContain('pCPU');
        expect(terminal.isAlternate).toBe(false);
        terminal.type(`stty -a | cmp - ${BEFORE} && echo the same`);
        terminal.waitFor(/^the same$/m);
      });
    },
  );

  test('an internal error gives it back too, and says what happened', () => {
    const broken = join(tmpdir(), `vmxlab-broken-${process.pid}.mjs`);
    writeFileSync(
      broken,
      "process.stdout.once('resize', () => setImmediate(() => { throw new Error('broken'); }));\n",
    );
    onTerminal((terminal) => {
      terminal.type(`${process.execPath} --import ${broken} ${MAIN} debug ${PROGRAM}`);
      terminal.waitFor(/\? keys$/m);
      terminal.resize(100, 30);
      terminal.waitFor(/Error: broken/);
      expect(terminal.isAlternate).toBe(false);
      terminal.type('echo typed');
      terminal.waitFor(/^typed$/m);
    });
  });

  test('Ctrl-C stops what runs, and gives up a line', () => {
    onTerminal((terminal) => {
      terminal.type(endless());
      terminal.waitFor(/\? keys$/m);
      terminal.press('}');
      terminal.waitFor(/^ running/);
      terminal.press('C-c');
      terminal.waitFor(/^Interrupted\.$/m);
      terminal.press('x', 'y', 'C-c');
      terminal.waitFor(/^\(vmxlab\)$/m);
      terminal.press('C-z');
      terminal.waitFor(/Stopped/);
      expect(terminal.isAlternate).toBe(false);
      terminal.type('fg');
      terminal.waitFor(/\? keys$/m);
      expect(terminal.isAlternate).toBe(true);
    });
  });

  test('tui disable and tui enable change over', () => {
    onTerminal((terminal) => {
      terminal.type(`${DEBUG} ${PROGRAM}`);
      terminal.waitFor(/\? keys$/m);
      terminal.press('>', 'C-x', 'a');
      terminal.waitFor(/^\$ .*\n(.*\n)*\(vmxlab\)$/m);
      terminal.type('si');
      terminal.waitFor(/^\(vmxlab\) si\n(.*\n)*\(vmxlab\)$/m);
      terminal.type('tui enable');
      terminal.waitFor(/\? keys$/m);
      terminal.type('quit');
      terminal.waitFor(/^\$$/m);
    });
  });

  test('history is shared, kept for the next session, and searched', () => {
    const state = join(tmpdir(), `vmxlab-state-${process.pid}`);
    const environment = [`XDG_STATE_HOME=${state}`];
    onTerminal((terminal) => {
      terminal.type(`${DEBUG} --no-tui ${PROGRAM}`);
      terminal.waitFor(/^\(vmxlab\)$/m);
      terminal.type('print 6 * 7');
      terminal.waitFor(/^\$\d+ = 0x2a$/m);
      // From the prompt to the screen, where earlier lines are found.
      terminal.press('C-x', 'a');
      terminal.waitFor(/\? keys$/m);
      terminal.press('C-r', '6', 'Space', '*');
      terminal.waitFor(/^\(vmxlab\) \(search '6 \*'\) print 6 \* 7$/m);
      terminal.press('Enter');
      terminal.waitFor(/^\$\d+ = 0x2a\n(.*\n)*\(vmxlab\)$/m);
      terminal.type('print 3 * 5');
      terminal.waitFor(/^\$\d+ = 0xf$/m);
      terminal.press('C-x', 'a');
      terminal.waitFor(/^\$ .*\n(.*\n)*\(vmxlab\)$/m);
      terminal.press('Up', 'Enter');
      terminal.waitFor(/^\(vmxlab\) print 3 \* 5\n\$\d+ = 0xf$/m);
      terminal.type('quit');
      terminal.waitFor(/^\$$/m);
    }, environment);
    const file = join(state, 'vmxlab/debug-history');
    const kept = ['print 6 * 7', 'print 3 * 5', 'quit', ''].join('\n');
    expect(readFileSync(file, 'utf8')).toBe(kept);
    onTerminal((terminal) => {
      terminal.type(`${DEBUG} ${PROGRAM}`);
      terminal.waitFor(/\? keys$/m);
      terminal.press('Up', 'Up');
      terminal.waitFor(/^\(vmxlab\) print 3 \* 5$/m);
      terminal.press('C-u');
      terminal.type('quit');
      terminal.waitFor(/^\$$/m);
      terminal.type(`${DEBUG} --no-history --no-tui ${PROGRAM}`);
      terminal.waitFor(/^\(vmxlab\)$/m);
      terminal.type('print 1 + 1');
      terminal.waitFor(/^\$\d+ = 0x2$/m);
      terminal.type('quit');
      terminal.waitFor(/^\$$/m);
    }, environment);
    expect(readFileSync(file, 'utf8')).toBe(kept);
    rmSync(state, { recursive: true });
  });

  test.each([
    ['SIGTERM', '--no-tui', 143],
    ['SIGHUP', '', 129],
  ] as const)('history is kept where %s ends a session %s', (signal, face, status) => {
    const state = join(tmpdir(), `vmxlab-state-${process.pid}-${signal}`);
    onTerminal(
      (terminal) => {
        terminal.type(`${DEBUG} ${face} ${PROGRAM}; echo left with $?`);
        terminal.waitFor(face === '' ? /\? keys$/m : /^\(vmxlab\)$/m);
        terminal.type('print 1 + 2');
        terminal.waitFor(/^\$1 = 0x3$/m);
        kill(terminal, signal);
        // Behind the prompt, if there is one.
        expect(terminal.waitFor(/left with \d+$/m)).toContain(`left with ${status}`);
      },
      [`XDG_STATE_HOME=${state}`],
    );
    expect(readFileSync(join(state, 'vmxlab/debug-history'), 'utf8')).toBe('print 1 + 2\n');
    rmSync(state, { recursive: true });
  });

  test('what is typed ahead of a change of faces is not lost', () => {
    onTerminal((terminal) => {
      terminal.type(`${DEBUG} --no-tui ${PROGRAM}`);
      terminal.waitFor(/^\(vmxlab\)$/m);
      terminal.send(Buffer.from('tui enable\rprint 6 * 7\rprint 3 * 5'));
      terminal.waitFor(/^\$\d+ = 0x2a\n+\(vmxlab\) print 3 \* 5$/m);
      expect(terminal.isAlternate).toBe(true);
      terminal.send(Buffer.from('\rtui disable\rprint 2 + 2\r'));
      terminal.waitFor(/^\(vmxlab\) print 2 \+ 2\n\$\d+ = 0x4$/m);
      expect(terminal.isAlternate).toBe(false);
    });
  });

  test('garbage does no harm', () => {
    const prng = new Prng(11);
    onTerminal((terminal) => {
      terminal.type(`${DEBUG} ${PROGRAM}`);
      terminal.waitFor(/\? keys$/m);
      for (let i = 0; i < 20; i++) {
        const bytes = Array.from({ length: 100 }, () => prng.below(256));
        // Ctrl-D and Ctrl-Z would leave.
        const harmless = bytes.filter((byte) => byte !== 4 && byte !== 26);
        terminal.send(Uint8Array.from([0x1b, 0x5b, ...harmless, 0x1b]));
      }
      terminal.press('C-c');
      terminal.press('C-c');
      terminal.press('C-u');
      terminal.type('tui disable');
      terminal.waitFor(/^\$ .*\n(.*\n)*\(vmxlab\)$/m);
      terminal.type('print 6 * 7');
      terminal.waitFor(/^\$\d+ = 0x2a$/m);
    });
  });

  test('NO_COLOR has no colours, and a dumb terminal gets the prompt', () => {
    // Control sequences that choose a colour; 39 and 49 give it back.
    const colour = new RegExp(`${String.fromCharCode(27)}\\[([0-9]+;)*[39][0-8]m`);
    onTerminal((terminal) => {
      terminal.type(`${DEBUG} ${PROGRAM}`);
      terminal.waitFor(/\? keys$/m);
      expect(terminal.styled).toMatch(colour);
    });
    onTerminal(
      (terminal) => {
        terminal.type(`${DEBUG} ${PROGRAM}`);
        terminal.waitFor(/\? keys$/m);
        expect(terminal.styled).not.toMatch(colour);
        terminal.type('quit');
        terminal.waitFor(/^\$$/m);
        terminal.type(`TERM=dumb ${DEBUG} ${PROGRAM}`);
        terminal.waitFor(/^\(vmxlab\)$/m);
        expect(terminal.isAlternate).toBe(false);
        terminal.type('quit');
        terminal.waitFor(/^\$$/m);
        terminal.type(`${DEBUG} ${PROGRAM} < /dev/null; echo left with $?`);
        terminal.waitFor(/^left with 0$/m);
      },
      ['NO_COLOR=1'],
    );
  });
});

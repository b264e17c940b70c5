// The real gdb against `vmxlab gdb`: what it prints in a session over a lock program on four vCPUs,
// as golden text; that it can go, come back and kill; that breakpoints, watchpoints and going back
// agree with each other.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCommand, MAIN } from '../support/command-line.ts';
import { missing } from '../support/outside-tools.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const PAGE = join(ROOT, 'docs/gdb.md');
const START = '<!-- transcript: from gdb -->';
const END = '<!-- end of transcript -->';

const why = missing('gdb');
if (why !== null) console.log(`gdb is not asked: ${why}`);

/** A server on a port of its own. */
class Served {
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;
  private text = '';

  private constructor(words: readonly string[]) {
    this.child = spawn(process.execPath, [MAIN, 'gdb', ...words, '--port', '0'], { cwd: ROOT });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
    });
    this.ended = new Promise((resolve) => {
      this.child.on('close', resolve);
    });
  }

  static async start(words: readonly string[]): Promise<Served> {
    const served = new Served(words);
    while (served.port === 0) {
      if (served.child.exitCode !== null) throw new Error('the server has ended');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return served;
  }

  get port(): number {
    return Number(/target remote 127\.0\.0\.1:(\d+)/.exec(this.text)?.[1] ?? 0);
  }

  get printed(): string {
    return this.text.split('\n').slice(1).join('\n');
  }

  stop(): void {
    this.child.kill();
  }
}

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = mkdtempSync(join(tmpdir(), 'vmxlab-gdb-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** What gdb prints for the commands of a script. */
function gdb(port: number, script: string): string {
  const file = join(folder, 'script.gdb');
  const setup = ['set pagination off', 'set confirm off', 'set width 0', 'set style enabled off'];
  writeFileSync(file, [...setup, `target remote 127.0.0.1:${port}`, script].join('\n'));
  // What the target says goes to standard error.
  const text = execFileSync('bash', ['-c', 'exec gdb -nx -batch -x "$0" 2>&1', file], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return text.replace(/^(Reading .* from remote target\.\.\.|warning: File transfers.*)\n/gm, '');
}

describe.skipIf(why !== null)('gdb', () => {
  test('debugs a lock on four vCPUs, as its transcript says', async () => {
    const served = await Served.start(['guest-programs/lock-ticket.asm', '-D', 'ITERATIONS=1000']);
    try {
      const page = readFileSync(PAGE, 'utf8');
      const from = page.indexOf(START) + START.length;
      const to = page.indexOf(END);
      expect([from > START.length, to > from]).toEqual([true, true]);
      const commands = [...page.slice(from, to).matchAll(/^\(gdb\) (.*)$/gm)].map(
        ([, line]) => line,
      );
      const echoed = commands.flatMap((line) => [`echo (gdb) ${line}\\n`, line]);
      const text = gdb(served.port, echoed.join('\n'));
      const block = ['', '', '```text', text.trim(), '```', '', ''].join('\n');
      const wanted = `${page.slice(0, from)}${block}${page.slice(to)}`;
      if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(PAGE, wanted);
      else expect(page).toBe(wanted);
    } finally {
      served.stop();
    }
  });

  test('goes and comes back, and finds the machine where it was', async () => {
    const served = await Served.start(['guest-programs/lock-ticket.asm', '-D', 'ITERATIONS=100']);
    try {
      gdb(served.port, 'break print_decimal\ncontinue\ndetach');
      const text = gdb(served.port, 'print $rax\nstepi\ninfo breakpoints\nmonitor threads\ndetach');
      expect(text).toContain('$1 = 400');
      expect(text).toContain('No breakpoints or watchpoints.');
      expect(text).toMatch(/0 {2}vcpu0 {2}rip 0x[\da-f]+ {2}in the guest/);
    } finally {
      served.stop();
    }
  });

  test('is told when the run ends, can go back from there, and kill', async () => {
    const served = await Served.start(['guest-programs/hello.asm']);
    const text = gdb(
      served.port,
      ['continue', 'reverse-stepi', 'x/i $pc', 'reverse-continue', 'print/x $pc', 'kill'].join(
        '\n',
      ),
    );
    expect(text).toContain('every vCPU is halted with interrupts off');
    expect(text).toContain('No more reverse-execution history');
    expect(text).toMatch(/=> 0x[\da-f]+ <.*>:\thlt/);
    expect(text).toContain('$1 = 0x100000');
    expect(await served.ended).toBe(0);
    expect(served.printed).toBe('Hello from VMX non-root operation!\n');
  });

  test('sees what a 32-bit guest sees', async () => {
    const source = 'bits 32\nstart: mov eax, -1\nmov edx, 0x12345678\npush eax\ninc ecx\nhlt\n';
    writeFileSync(join(folder, 'small.asm'), source);
    const served = await Served.start([join(folder, 'small.asm')]);
    try {
      const text = gdb(
        served.port,
        'stepi\nstepi\nstepi\nprint/x $rax\nprint/x $rdx\nx/wx $rsp\nmonitor code',
      );
      expect(text).toContain('$1 = 0xffffffff');
      expect(text).toContain('$2 = 0x12345678');
      expect(text).toMatch(/0xffffffff$/m);
      // In 64-bit code the byte would be a prefix.
      expect(text).toMatch(/0x10000b <.*>: {2}inc ecx/);
    } finally {
      served.stop();
    }
  });

  test('interrupts a guest that never ends', async () => {
    writeFileSync(join(folder, 'loop.asm'), 'bits 64\nspin: inc rax\njmp spin\n');
    const served = await Served.start([join(folder, 'loop.asm')]);
    try {
      // What gdb sends at Ctrl-C, in the midst of a run.
      const socket = connect(served.port, '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1').on('data', (part: string) => {
        text += part;
      });
      socket.write('$c#63');
      while (text === '') await new Promise((resolve) => setTimeout(resolve, 10));
      socket.write(Uint8Array.of(3));
      while (!text.includes('#')) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(text).toMatch(/^\+\$T02thread:p1\.1;core:0;#/);
      socket.destroy();
    } finally {
      served.stop();
    }
  });
});

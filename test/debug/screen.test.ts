// The full-screen view without a terminal: what panes show, what keys do, and that every frame fits
// whatever the size. The screens of screens.txt were looked at; VMXLAB_UPDATE_GOLDEN=1 renews them.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { paint, textOf } from '../../src/debug/index.ts';
import { KEYS } from '../../src/debug/screen/keys.ts';
import { type Lane, laneLine, laneOf, scaleOf } from '../../src/debug/screen/lanes.ts';
import { SeenExits } from '../../src/debug/screen/seen-exits.ts';
import { visible } from '../../src/debug/screen/styled.ts';
import { Prng } from '../../src/sim/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import { ScreenUnderTest } from '../support/debug-screen.ts';

const GOLDEN = join(import.meta.dirname, 'screens.txt');
const PROGRAM = 'guest-programs/five-exits.asm';

/** The screens that are kept, by what leads there. */
function screens(): string {
  const program = new ScreenUnderTest(PROGRAM);
  const parts: string[] = [];
  const show = (how: string, columns: number, rows: number) =>
    parts.push(`### ${how}, ${columns}x${rows}\n${program.text(columns, rows)}\n`);
  show('at the beginning', 80, 24);
  program.type('break timer').press('>', '>', '>', '>', '.', '}');
  show('behind three VM exits, at a breakpoint', 80, 24);
  program.press('<', '<');
  show('two exits back', 120, 40);
  program.press('Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'PageUp');
  show('what was said, alone', 40, 10);
  program.press('=', '?');
  show('the keys', 80, 24);
  program.press('x', '=', 'BTab', '+', '+').type('foo');
  show('after a mistake, with finer lanes', 100, 30);
  return parts.join('\n');
}

test('screens are as they were', () => {
  const wanted = screens();
  if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(GOLDEN, wanted);
  else expect(wanted).toBe(readFileSync(GOLDEN, 'utf8'));
});

test('no key that acts on an empty line begins a command', () => {
  for (const { keys, isAlways } of KEYS) {
    if (!isAlways) for (const key of keys) expect(key).not.toMatch(/^[a-zA-Z]$/);
  }
});

test('keys step as the commands do that they stand for', () => {
  const byKey = new ScreenUnderTest(PROGRAM).press('>', '.', '.', ',', ']', '[', '1', '<');
  const byLine = new ScreenUnderTest(PROGRAM);
  for (const line of ['exit', 'si', 'si', 'rsi', 'host', 'rhost', 'thread 1', 'rexit']) {
    byLine.type(line);
  }
  const { session, vcpu } = byKey.prompt.context;
  expect(session.when).toEqual(byLine.prompt.context.session.when);
  expect(session.stateHash()).toBe(byLine.prompt.context.session.stateHash());
  expect(vcpu).toBe(byLine.prompt.context.vcpu);
});

describe('a frame', () => {
  test('has as many lines as the terminal, none too long, whatever the size and the keys', () => {
    const screen = new ScreenUnderTest(PROGRAM).press('>', '>', '<');
    const prng = new Prng(7);
    const keys = ['Tab', 'BTab', '=', '?', 'PageUp', 'PageDown', '+', '-', 'a', 'BSpace', '>', '<'];
    for (let i = 0; i < 400; i++) {
      screen.press(keys[prng.below(keys.length)]);
      const [columns, rows] = [1 + prng.below(160), 1 + prng.below(60)];
      const { lines, cursor } = screen.frame({ columns, rows });
      expect(lines).toHaveLength(rows);
      expect(Math.max(...lines.map((one) => textOf(one).length))).toBeLessThanOrEqual(columns);
      expect(cursor.row).toBeLessThan(rows);
      expect(cursor.column).toBeLessThan(columns);
    }
  });

  test('contains nothing but what takes one column, whatever is printed', () => {
    const screen = new ScreenUnderTest(PROGRAM);
    screen.screen.print('\x1b[2J\x9b1m\u0000\u202e\u4e16\ud83d\ude00\tx\u0301\r\nb\u00e9\n');
    for (const line of screen.text(80, 24).split('\n')) expect(line).toMatch(/^[ -~\u00e9]*$/);
    expect(visible('a\tb\x1b')).toBe('a       b?');
  });

  test('draws what has changed and no more', () => {
    const screen = new ScreenUnderTest(PROGRAM);
    const size = { columns: 80, rows: 24 };
    const first = screen.frame(size);
    const second = screen.press('x').frame(size);
    expect(paint(first, first, true)).toBe('\x1b[23;10H\x1b[?25h');
    expect(paint(first, second, true)).toBe(
      '\x1b[?25l\x1b[23;10H\x1b[0mx\x1b[0m\x1b[23;11H\x1b[?25h',
    );
    for (const colour of [';3', ';9']) expect(paint(null, second, false)).not.toContain(colour);
    expect(paint(null, second, true)).toContain('\x1b[0;36m');
  });
});

describe('the command line', () => {
  const line = (screen: ScreenUnderTest) => screen.text(80, 24).split('\n')[22];

  test('is edited with the keys of readline', () => {
    const screen = new ScreenUnderTest(PROGRAM);
    screen.press(...'print rax', 'C-a', 'M-f', ...'/d', 'C-e', 'BSpace', 'x');
    expect(line(screen)).toBe('(vmxlab) print/d rax');
    screen.press('C-w', 'C-w', 'C-y', 'C-b', 'C-k');
    expect(line(screen)).toBe('(vmxlab) print/d');
    screen.press('C-u', 'C-y', 'Left', 'Left', 'C-d');
    expect(line(screen)).toBe('(vmxlab) printd');
    expect(line(screen.press('Escape'))).toBe('(vmxlab)');
  });

  test('remembers what was said', () => {
    const screen = new ScreenUnderTest(PROGRAM).type('when').type('info exits').press('x');
    expect(line(screen.press('Up', 'Up'))).toBe('(vmxlab) when');
    expect(line(screen.press('Down'))).toBe('(vmxlab) info exits');
    expect(line(screen.press('Down'))).toBe('(vmxlab) x');
  });

  test('completes commands, topics, symbols and reasons', () => {
    const completed = (typed: string) =>
      line(new ScreenUnderTest(PROGRAM).press(...typed, 'Tab')).slice('(vmxlab) '.length);
    expect(completed('cont')).toBe('continue');
    expect(completed('info br')).toBe('info br');
    expect(completed('info bre')).toBe('info breakpoints');
    expect(completed('break wait_for')).toBe('break wait_for_timer');
    expect(completed('break exit PREEMPT')).toBe('break exit PREEMPTION_TIMER');
    expect(completed('reverse-c')).toBe('reverse-continue');
    expect(completed('xyzzy')).toBe('xyzzy');
  });

  test('takes signs once something is typed, and pasted text as it is', () => {
    expect(line(new ScreenUnderTest(PROGRAM).press('p', ' ', '1', '+', '2', '=', '.'))).toBe(
      '(vmxlab) p 1+2=.',
    );
    const screen = new ScreenUnderTest(PROGRAM);
    const key = { text: '', isCtrl: false, isMeta: false, isShift: false };
    screen.screen.key({ ...key, name: 'paste-start' });
    screen.press('.', '>', '?');
    screen.screen.key({ ...key, name: 'paste-end' });
    expect(line(screen)).toBe('(vmxlab) .>?');
  });
});

describe('lanes', () => {
  const record = (timeNs: number, pcpu: number, pid: number, name: string, fields: object) =>
    ({ timeNs, pcpu, pid, comm: '', name, fields }) as unknown as TraceRecord;
  const vcpus = new Map([
    [10, '0'],
    [11, '1'],
  ]);
  /** vCPU 0 runs, exits at 40 and is back at 60; at 80 a hog takes over; at 120 nobody runs. */
  const records = [
    record(20, 0, 10, 'kvm_entry', {}),
    record(30, 1, 11, 'kvm_entry', {}),
    record(40, 0, 10, 'kvm_exit', { reason: 'HLT' }),
    record(60, 0, 10, 'kvm_entry', {}),
    record(70, 0, 10, 'kvm_exit', { reason: 'EXTERNAL_INTERRUPT' }),
    record(80, 0, 10, 'sched_switch', { prev: { pid: 10 }, next: { pid: 12 } }),
    record(120, 0, 12, 'sched_switch', { prev: { pid: 12 }, next: { pid: 0 } }),
  ];
  const text = (lane: Lane, perColumn: number, columns: number) =>
    textOf(laneLine(lane, 20, perColumn, columns));

  test('tell who ran where, in the guest or in the host, and when it exited', () => {
    const lane = laneOf(0, records, { pid: 0, isInGuest: false }, vcpus, 140);
    expect(lane.stretches).toEqual([
      { from: 20, to: 40, who: '0', doing: 'guest' },
      { from: 40, to: 60, who: '0', doing: 'host' },
      { from: 60, to: 70, who: '0', doing: 'guest' },
      { from: 70, to: 80, who: '0', doing: 'host' },
      { from: 80, to: 120, who: '~', doing: 'other' },
      { from: 120, to: 140, who: '.', doing: 'idle' },
    ]);
    expect(text(lane, 10, 13)).toBe('0=H-=I~~~~.. ');
    expect(text(lane, 5, 25)).toBe('0===H---==I-~~~~~~~~.... ');
  });

  test('show the first exit of a column, behind the name of who begins to run there', () => {
    const lane = laneOf(0, records, { pid: 0, isInGuest: false }, vcpus, 140);
    // The exit at 40 moves one column on, as the name takes its own; the one at 70 does not, as the
    // vCPU has gone by then.
    expect(text(lane, 25, 5)).toBe('0HI~.');
  });

  test('go on to the end as it is there', () => {
    const lane = laneOf(1, records, { pid: 11, isInGuest: true }, vcpus, 140);
    expect(text(lane, 10, 12)).toBe('1===========');
  });

  test('have round scales', () => {
    expect([1, 2, 3, 6, 11, 49, 51].map((ns) => scaleOf(ns, 0))).toEqual([
      1, 2, 5, 10, 20, 50, 100,
    ]);
    expect([3, 2, 1, 0, -1, -2].map((finer) => scaleOf(10, finer))).toEqual([1, 2, 5, 10, 20, 50]);
    expect(scaleOf(10, 99)).toBe(1);
  });
});

describe('the list of exits', () => {
  const exit = (timeNs: number) => {
    const zero = { toUnsigned: () => ({ toString: () => '0' }) };
    const fields = { reason: 'HLT', rip: zero, info1: zero };
    return { timeNs, pid: 1, comm: 'v', name: 'kvm_exit', fields } as unknown as TraceRecord;
  };
  const [one, two, three] = [exit(1), exit(2), exit(3)];
  const times = ({ exits }: ReturnType<SeenExits['around']>) => exits.map(({ timeNs }) => timeNs);

  test('keeps those ahead when the machine goes back, and forgets them on another branch', () => {
    const seen = new SeenExits();
    seen.around(0, [one, two, three]);
    const back = seen.around(0, [one]);
    expect([times(back), back.pastCount]).toEqual([[1, 2, 3], 1]);
    expect(times(seen.around(0, []))).toEqual([1, 2, 3]);
    const elsewhere = seen.around(1, [one]);
    expect([times(elsewhere), elsewhere.pastCount]).toEqual([[1], 1]);
  });
});

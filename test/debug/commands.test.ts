// What people who know gdb type: steps by lines and over calls, finish, until, display, ignore,
// condition, commands, backtrace, x/s, info line. Where they lead is read off the program.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { loadInput } from '../../src/cli/program.ts';
import { createSession, Prompt } from '../../src/debug/index.ts';
import { monitorCommand } from '../../src/debug/monitor.ts';

/** Lines are counted from 1: that of `start` is 2. */
const PROGRAM = `bits 64
start:
    mov rbp, 0
    mov eax, 1
    call outer
    mov ecx, 3
again:
    call leaf
    dec ecx
    jnz again
    cpuid
    cli
    hlt
outer:
    push rbp
    mov rbp, rsp
    call leaf
    inc eax
    pop rbp
    ret
leaf:
    add eax, 5
    inc dword [rel count]
    ret
count: dd 0
text: db "two", 10, "lines", 0, "more", 0
`;

const folder = mkdtempSync(join(tmpdir(), 'vmxlab-commands-'));
const file = join(folder, 'calls.asm');
writeFileSync(file, PROGRAM);
afterAll(() => rmSync(folder, { recursive: true }));

let prompt: Prompt;

beforeEach(() => {
  const options = { defines: {}, flags: [], includes: [], syntax: undefined, linked: [] };
  const { scenario, ...input } = loadInput(file, options);
  const source = () => readFileSync(file, 'utf8').split('\n');
  prompt = new Prompt(createSession(scenario, input), source);
});

function answer(line: string) {
  for (const work = prompt.execute(line); ; ) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

function say(line: string): string {
  const { lines, isError } = answer(line);
  expect(isError, lines.join('\n')).toBe(false);
  return lines.join('\n');
}

/** The same as lines. */
function said(line: string): readonly string[] {
  return say(line)
    .split('\n')
    .filter((text) => text !== '');
}

function problem(line: string): string {
  const { lines, isError } = answer(line);
  expect(isError, line).toBe(true);
  return lines.join('\n');
}

/** Say it, and tell the line of the source where that leads. */
function lineAfter(line: string): number {
  return Number(/calls\.asm:(\d+)$/m.exec(say(line))?.[1]);
}

const eax = () => Number(say('output $eax'));

describe('steps', () => {
  test('step goes into calls, next over them, and both back again', () => {
    expect(['s', 's', 's', 's'].map(lineAfter)).toEqual([4, 5, 15, 16]);
    expect(['next', 'next', 'n'].map(lineAfter)).toEqual([17, 18, 19]);
    expect(eax()).toBe(7);
    expect(['rs', 'rs', 'rs'].map(lineAfter)).toEqual([18, 24, 23]);
    expect(['rn', 'rn', 'rn'].map(lineAfter)).toEqual([22, 17, 16]);
    expect(eax()).toBe(1);
    say('tbreak 10');
    expect(lineAfter('c')).toBe(10);
    // Over the call, which has been made.
    expect(['reverse-next', 'reverse-next'].map(lineAfter)).toEqual([9, 8]);
    expect(say('x/wd count')).toMatch(/: {2}1$/);
  });

  test('nexti and its way back', () => {
    say('tbreak again');
    say('c');
    expect(lineAfter('nexti')).toBe(9);
    expect(lineAfter('ni')).toBe(10);
    expect(lineAfter('rni 2')).toBe(8);
    expect(lineAfter('stepi')).toBe(22);
  });

  test('a breakpoint in a call that is stepped over stops the step', () => {
    say('s 2');
    say('break leaf');
    expect(say('next')).toContain('Breakpoint 1');
    expect(lineAfter('frame')).toBe(22);
  });

  test('finish, with and without a frame pointer, and back to the call', () => {
    say('tbreak calls.asm:23');
    say('c');
    // It has pushed nothing, so that its return address is on top.
    expect(
      say('bt')
        .split('\n')
        .map((line) => /^#\d.*<([^+>]*).*:(\d+)$/.exec(line)?.slice(1)),
    ).toEqual([
      ['leaf', '23'],
      ['outer', '17'],
      ['start', '5'],
    ]);
    expect(lineAfter('finish')).toBe(18);
    expect(lineAfter('fin')).toBe(6);
    expect(eax()).toBe(7);
    say('tbreak calls.asm:23');
    say('c');
    expect(lineAfter('reverse-finish')).toBe(8);
    say('goto 0');
    expect(problem('finish')).toContain('no caller is known');
  });

  test('until leaves a loop, or goes to a place or out', () => {
    say('tbreak calls.asm:10');
    say('c');
    expect(lineAfter('until')).toBe(11);
    expect(say('output/d $ecx')).toBe('0');
    say('goto 0');
    expect(lineAfter('until leaf')).toBe(22);
    expect(lineAfter('advance calls.asm:24')).toBe(24);
    // That is never reached from here before the function returns.
    expect(lineAfter('until calls.asm:22')).toBe(18);
    expect(problem('until exit')).toBe("a place in the code expected, not 'exit'");
  });

  test('run begins again', () => {
    say('break outer');
    say('c');
    say('c');
    expect(lineAfter('run')).toBe(15);
  });
});

describe('breakpoints', () => {
  test('ignore, condition and hit counts', () => {
    say('break leaf');
    expect(say('ignore 1 2')).toBe('Breakpoint 1 ignores the next 2 hits.');
    say('c');
    expect(say('output/d $ecx')).toBe('2');
    expect(say('info breakpoints')).toMatch(/^1 {2}at leaf \(hit 3 times\)$/);
    say('condition 1 ecx == 2');
    expect(say('info breakpoints')).toContain('if ecx == 2');
    say('run');
    expect(say('output/d $ecx')).toBe('2');
    say('condition 1');
    expect(say('info breakpoints')).not.toContain('if');
    expect(problem('condition 1 ecx ==')).toContain('column');
    expect(problem('condition 7 ecx')).toBe('no breakpoint 7');
    expect(problem('ignore 1')).toContain("'ignore 1 10'");
    expect(problem('ignore 7 1')).toBe('no breakpoint 7');
  });

  test('commands are said where a breakpoint stops, and go on if they say so', () => {
    say('break leaf');
    for (const line of ['commands', 'silent', 'output/d $ecx', 'continue', 'end']) say(line);
    const lines = say('continue').split('\n');
    expect(lines.slice(0, 4).map(Number)).toEqual([expect.any(Number), 3, 2, 1]);
    expect(lines.at(-1)).toMatch(/^The machine has ended/);
    expect(problem('commands 4')).toBe('no breakpoint 4');
  });
});

describe('looking', () => {
  test('display shows at each stop', () => {
    expect(say('display/d $eax')).toMatch(/^1: \$eax = \d+$/);
    expect(say('display/2i $pc').split('\n')).toHaveLength(3);
    const lines = say('next 2').split('\n');
    expect(lines).toContain('1: $eax = 1');
    expect(lines).toContain('2: x/2i $pc');
    say('undisplay 2');
    expect(say('next')).not.toContain('2: x/2i');
    expect(problem('undisplay 9')).toBe('no display 9');
    expect(problem('display nonsense')).toContain("no value named 'nonsense'");
  });

  test('x shows texts, and goes on where it was', () => {
    expect(
      say('x/2s text')
        .split('\n')
        .map((line) => line.replace(/^\S+: {2}/, '')),
    ).toEqual(['"two\\nlines"', '"more"']);
    const first = say('x/i $pc');
    expect(first).toContain('mov ebp, 0');
    expect(say('')).toContain('mov eax, 1');
  });

  test('print has the formats of gdb, and fields of the VMCS', () => {
    expect(say('output/t 10')).toBe('1010');
    expect(say('output/o 8')).toBe('010');
    expect(say('output/c 65')).toBe("'A'");
    expect(say('output/a leaf+3')).toMatch(/^0x[\da-f]+ <leaf\+0x3>$/);
    say('exit');
    expect(say('output $VM_EXIT_REASON')).toBe('0xa');
    expect(say('explain')).toContain('VM_EXIT_REASON = 0xa');
  });

  test('info line, info symbol and info sources', () => {
    expect(say('info line 23')).toMatch(
      /^\S*calls\.asm:23 begins at 0x[\da-f]+ <leaf\+0x3> .* before 0x/,
    );
    expect(say('info symbol leaf+3')).toMatch(/<leaf\+0x3> at \S*calls\.asm:23$/);
    expect(say('info sources')).toMatch(/calls\.asm$/);
    expect(problem('info line nowhere')).toBe("no symbol named 'nowhere'");
  });

  test('something is said of every vCPU', () => {
    expect(say('thread apply all print 6 * 7')).toBe('vcpu0:\n$1 = 0x2a');
    expect(problem('thread apply all stepi')).toBe("'stepi' is not for several vCPUs at once");
    expect(say('apropos hypercall')).toContain('break');
  });
});

describe('values that are kept', () => {
  // As real gdb numbers them: "Value History" in its manual.
  test('by number, the last, and those before it', () => {
    expect(['p 1', 'p/d 20', 'p 0x300', 'p $', 'p $$', 'p $$3', 'p $2 + $1', 'p'].map(say)).toEqual(
      [
        ...['$1 = 0x1', '$2 = 20', '$3 = 0x300', '$4 = 0x300', '$5 = 0x300', '$6 = 0x14'],
        ...['$7 = 0x15', '$8 = 0x15'],
      ],
    );
    expect(say('show values').split('\n')).toHaveLength(8);
    expect(problem('p $9')).toBe("column 1: no value named '$9'");
    expect(problem('p $1x')).toContain('column 1');
    expect(problem('set $1 = 2')).toBe("'$1' cannot be changed");
  });

  test('under names, in conditions too, and no branch of history begins', () => {
    expect(say('set $wanted = 2')).toBe('');
    say('break leaf if $ecx == $wanted');
    say('c');
    expect(say('output/d $ecx')).toBe('2');
    expect(say('show convenience')).toBe('$wanted = 0x2');
    expect(say('branch').split('\n')).toHaveLength(1);
    expect(problem('set $leaf = 2')).toContain('is a symbol');
    expect(problem('p $nobody')).toContain("no value named 'nobody'");
  });

  test('printf formats as C does', () => {
    const format = '%d|%ld|%#x|%-4u|%04X|%5o|%c|%p|%s|%%\\n';
    const values = '0xffffffff, -1, 255, 7, 0xab, 8, 65, 4096, text';
    expect(say(`printf "${format}", ${values}`)).toBe(
      ['-1|-1|0xff|7   |00AB|   10|A|0x1000|two', 'lines|%'].join('\n'),
    );
    expect(say('printf "a\\tb\\n\\n"')).toBe('a\tb\n');
    expect(say('echo one\\ntwo\\n')).toBe('one\ntwo');
    expect(problem('printf "%d"')).toBe("no value for '%d'");
    expect(problem('printf "%d", 1, 2')).toBe('1 values expected, not 2');
    expect(problem('printf "%y", 1')).toBe("'%y' is no conversion");
    expect(problem('printf %d')).toContain('"FORMAT" expected');
    expect(problem('printf "%999d", 1')).toContain('at most 200');
  });
});

describe('frames', () => {
  test('up and down choose whom list and disassemble are about', () => {
    say('break leaf if $ecx == 0');
    say('break calls.asm:19');
    say('tbreak leaf');
    say('c');
    expect(say('up')).toMatch(
      /#1 {2}0x[\da-f]+ <outer\+0x9> at \S*calls\.asm:17\n17\t +call leaf$/,
    );
    expect(say('list')).toMatch(/^=> 17 /m);
    expect(say('disassemble/1')).toContain('inc eax');
    expect(say('info frame')).toMatch(/^frame 1 at .*\ncalled by frame 2 at .*calls\.asm:5$/m);
    expect(say('up 7')).toContain('#2');
    expect(problem('up')).toBe('no outer frame is known');
    expect(say('frame 0')).toMatch(/<leaf> .*\n22\t +add eax, 5$/);
    expect(problem('down')).toBe('this is the innermost frame');
    expect(problem('frame 9')).toBe('there is no frame 9');
    say('up');
    say('si');
    expect(say('frame')).toContain('<leaf+0x3>');
  });
});

describe('fewer breakpoints, and more', () => {
  test('clear removes those of a place, however it was told', () => {
    for (const place of ['leaf', 'calls.asm:22', '*leaf', 'outer']) say(`break ${place}`);
    expect(say('clear leaf')).toBe('Removed breakpoints 1, 2, 3.');
    expect(problem('clear leaf')).toBe('no breakpoint is there');
    say('c');
    expect(say('clear')).toBe('Removed breakpoint 4.');
    expect(problem('clear exit')).toContain('a place in the code expected');
  });

  test('rbreak, enable once and enable delete', () => {
    expect(say('rbreak ^(leaf|outer)$').split('\n')).toHaveLength(2);
    expect(problem('rbreak ^nobody$')).toContain('no symbol matches');
    expect(problem('rbreak (')).toContain('no regular expression');
    say('enable once 1');
    say('enable delete 2');
    say('c');
    say('c');
    expect(say('info breakpoints')).toMatch(/^1 .*\(disabled, hit once\)$/);
    expect(problem('enable once 7')).toBe('no breakpoint 7');
    expect(say('c')).toContain('The machine has ended');
  });
});

describe('what gdb has under these names', () => {
  test('memory by C types, symbols by &', () => {
    said('break leaf');
    said('continue');
    said('set var *(int *)&count = 0x11223344');
    expect(said('p *(int*)&count')).toEqual(['$1 = 0x11223344']);
    expect(said('p *(unsigned char *) &count + 1')).toEqual(['$2 = 0x45']);
    expect(said('output {short}count')).toEqual(['0x3344']);
    expect(said('output *count == u64[count]')).toEqual(['0x1']);
    expect(said('output 3 * (count - &count) + 2*2')).toEqual(['0x4']);
    expect(said('set {char}&count = 1')[0]).toMatch(/^branch/);
    expect(said('call u32[count]')).toEqual(['$3 = 0x11223301']);
    expect(problem('call leaf()')).toMatch(/functions of the guest cannot be called/);
    expect(problem('p *(int*')).toMatch(/'\)' expected/);
    expect(problem('p {float}count')).toMatch(/a type such as int expected/);
    expect(problem('p &5')).toMatch(/the name of a symbol expected/);
  });

  test('watch -l and typed places, info watchpoints and info display', () => {
    expect(said('info watchpoints')).toEqual(['No memory is watched.']);
    said('break leaf');
    expect(said('watch -l count')[0]).toMatch(/^Breakpoint 2 +change of 8 bytes at 0x/);
    expect(said('watch *(int*)&count')[0]).toMatch(/change of 4 bytes/);
    expect(said('info watchpoints')).toHaveLength(2);
    expect(said('info display')).toEqual(['Nothing is shown at stops.']);
    said('display/x $rax');
    expect(said('info display')).toEqual(['1: /x $rax']);
    said('delete display 1');
    expect(said('info display')).toEqual(['Nothing is shown at stops.']);
  });

  test('jump goes on from elsewhere, starti to the beginning', () => {
    said('break leaf');
    said('tbreak 19');
    expect(said('jump 18').join()).toContain(':19');
    expect(said('info branches')).toHaveLength(2);
    expect(said('j again').join()).toContain('<leaf>');
    said('branch 0');
    expect(said('starti').join()).toContain('<start>');
    expect(problem('jump')).toMatch(/a place in the code expected/);
    expect(problem('jump exit')).toMatch(/a place in the code expected/);
  });

  test('disassemble takes a range, and shows bytes', () => {
    const [first, last] = said('disassemble leaf,+4');
    expect(first).toMatch(/<leaf>: {2}add eax, 5$/);
    expect(last).toMatch(/inc dword/);
    expect(said('disassemble leaf,leaf+1')).toHaveLength(1);
    expect(said('disassemble /r leaf,+1')[0]).toMatch(/: {2}83 c0 05 {2}add eax, 5$/);
    expect(said('disassemble /3 leaf')).toHaveLength(3);
  });

  test('settings that are so anyhow, shorter names, and what is not there', () => {
    for (const line of ['set pagination off', 'set confirm off', 'set height 0']) {
      expect(said(line)).toEqual([]);
    }
    expect(problem('set logging on')).toMatch(/^there is no setting 'logging': 'set \$NAME = /);
    expect(problem('set rax 1')).toMatch(/^'set \$NAME = VALUE'/);
    expect(problem('set count = 1')).toMatch(/^'count' is an address: 'set u64\[count\] = /);
    said('break leaf');
    said('dis 1');
    expect(said('info b')[0]).toMatch(/disabled/);
    expect(said('adv leaf').join()).toContain('<leaf>');
    expect(said('bt full')).toEqual(said('bt'));
    expect(said('info functions leaf')[0]).toMatch(/ leaf$/);
    expect(said('info source')[0]).toMatch(/calls\.asm:22$/);
    expect(said('info all-registers').length).toBeGreaterThan(said('info registers').length);
    expect(problem('info nonsense')).toMatch(/^nothing is known of 'nonsense'; 'info' and/);
    expect(problem('info locals')).toMatch(/^there is no 'info locals': programs have no types/);
    const remote = (text: string) => monitorCommand(prompt.context.session, 0, text);
    expect(remote('si')).toMatch(/^'si' is not taken here: gdb or the editor has steps/);
    expect(remote('find text, +8, "two"')).toMatch(/<text>\n1 pattern found\.\n$/);
    expect(remote('holders count,4')).toMatch(/^Nobody has stored there up to here/);
    expect(remote('delays 0 100')).toMatch(/^From event 0 to \d+, /);
    expect(problem('!ls')).toBe("there is no '!ls': commands are about the machine only");
    expect(problem('$rax')).toBe("unknown command '$rax'; 'print $rax' shows a value");
    expect(problem('si/3')).toBe("'stepi' takes nothing behind a slash");
    expect(problem('watch -l')).toBe('an address expected');
    expect(problem('python print(1)')).toMatch(/^there is no 'python': scripts are/);
    expect(problem('catch syscall')).toMatch(/break exit/);
    expect(problem('layout src')).toMatch(/^the full-screen view needs a terminal; 'list', /);
    expect(problem('layout foo')).toMatch(/^'layout' and one of: src/);
  });

  test('find looks for numbers and texts', () => {
    const [place, count] = said('find text, +16, "lines"');
    expect(place).toMatch(/<text\+0x4>$/);
    expect(count).toBe('1 pattern found.');
    expect(say('p $_ == text + 4 && $numfound == 1')).toMatch(/= 0x1$/);
    expect(said('find /b leaf, +8, 0x83, 0xc0, 5')[0]).toMatch(/<leaf>$/);
    expect(said('find /w text, text + 15, 0x6e696c0a')[0]).toMatch(/<text\+0x3>$/);
    expect(said('find /1b start, text, 0xc3')).toHaveLength(2);
    expect(said('find /b /2 start, text, 0xc3')).toHaveLength(3);
    // The end is looked at too, and nothing behind it.
    expect(said('find /b text, text, 0x74')).toHaveLength(2);
    expect(said('find text, +7, "lines"')).toEqual(['Pattern not found.']);
    expect(said('find text, +16, 0x1')).toEqual(['Pattern not found.']);
    expect(problem('find text')).toMatch(/^START, \+LENGTH or END/);
    expect(problem('find /q text, +1, 1')).toMatch(/a size \(b h w g\) and a count expected/);
    expect(problem('find text, text-1, 1')).toMatch(/is before the start/);
    expect(problem('find text, +0, 1')).toMatch(/the length is 0/);
    expect(problem('find text, +8, ""')).toBe('an empty text is everywhere');
    expect(problem('find 0x7fffffff0000, +8, 1')).toMatch(
      /^no memory at 0x7fffffff0000; not found/,
    );
    expect(problem('find 0, -1, 1')).toMatch(/^at most 0x100000000 bytes/);
  });

  test('what x has shown last is $_ and $__', () => {
    said('x/3xb leaf');
    expect(say('output $_ - leaf')).toBe('0x2');
    expect(say('output $__')).toBe('0x5');
    const lines = said('x/2i leaf');
    expect(lines[1]).toContain(say('output $_'));
    expect(problem('p $__')).toMatch(/no value named '__'/);
  });

  test('disassemble /s shows the lines of the source before their code', () => {
    const lines = said('disassemble /rs leaf,+9');
    expect(lines.slice(0, 3).map((line) => line.replace(/^.*calls/, 'calls'))).toEqual([
      'calls.asm:',
      '22\t    add eax, 5',
      expect.stringMatching(/83 c0 05 {2}add eax, 5$/),
    ]);
    expect(lines[3]).toBe('23\t    inc dword [rel count]');
    expect(problem('disassemble /q')).toMatch(/r for the bytes, s for the source expected/);
  });

  test('$sp is RSP, and breakpoints are for a thread', () => {
    expect(say('output $sp == $rsp && sp == (rsp & 0xffff) && $sp != sp')).toBe('0x1');
    said('set $sp = $sp - 8');
    expect(said('info registers $sp')).toEqual([`rsp      ${say('output $rsp')}`]);
    expect(said('break leaf thread 0 if "a" != \'b\'').join()).toMatch(/\(vCPU 0, if "a"/);
    expect(problem('break leaf if')).toBe("an expression expected behind 'if'");
    expect(problem('break leaf if nobody == 1')).toBe("no value named 'nobody'");
    expect(problem('condition 1 nobody')).toBe("no value named 'nobody'");
    expect(said('break exit if reason == "CPUID" && $mine != 1')).toHaveLength(1);
  });

  test.each([
    ['break exit if qualificatio == 1', "no value named 'qualificatio'"],
    ['break sched_switch if reason == 1', "no value named 'reason'"],
    ['break entry if vcpu == 0 && nobody', "no value named 'nobody'"],
    ['break hypercall if nr == 5 && a4 == 1', "no value named 'a4'"],
    ['watch count if olld == 1', "no value named 'olld'"],
    ['awatch count if old == 1', "no value named 'old'"],
    ['break exit HLT now', "'vcpu N', 'if EXPR' or nothing expected, not 'now'"],
    ['break entry 3', "'vcpu N', 'if EXPR' or nothing expected, not '3'"],
    ['break time 1us 2us', "'vcpu N', 'if EXPR' or nothing expected, not '2us'"],
    ['break port 0xe9 write 4', "'vcpu N', 'if EXPR' or nothing expected, not '4'"],
    ['break port 0x10000', "a number up to 0xffff expected, not '0x10000'"],
    ['break msr 0x100000000', "a number up to 0xffffffff expected, not '0x100000000'"],
    ['info exits HLT', "'exits' takes no argument"],
    ['x/0gx count', "a number from 1 expected, not '0'"],
    ['checkpoint 5', "a name expected, not '5': goto takes that for a place or a time"],
    ['checkpoint 1.5us', "a name expected, not '1.5us': goto takes that for a place or a time"],
    ['thread apply all', "'all' or numbers of vCPUs, and a command: 'thread apply all info exits'"],
  ])('%s is refused, not set', (line, expected) => {
    expect(problem(line)).toBe(expected);
    expect(said('info breakpoints')).toEqual([]);
  });

  test.each([
    'break exit if reason == "HLT" && qualification == 0 && info1 == 0',
    'break kvm_exit if qualification == 0',
    'break sched_switch if prev.comm == "vcpu0"',
    'break msr 0x6e0 write if value == 0 && index && write',
    'break port 0xe9 if size == 1 && port && write && value',
    'break hypercall if nr == 5 && a0 && a1 && a2 && a3',
    'watch count if new == old + 1 && hits && time && vcpu',
  ])('%s has names that it is told', (line) => {
    expect(said(line)).toHaveLength(1);
  });

  test('going to a time or to the last store uses up no number', () => {
    expect(said('goto 1us')[0]).toBe('time reached');
    said('starti');
    said('advance leaf');
    said('ni 3');
    expect(said('last-write count,4')[0]).toBe('0x0 -> 0x1');
    expect(said('last-write count,4')).toEqual([
      'Nobody has written there before; this is the beginning.',
    ]);
    expect(said('break leaf')[0]).toMatch(/^Breakpoint 1 /);
  });
});

// The stub of gdb's remote protocol against a target that is no machine: packets as gdb's manual
// has them, what is malformed, and whatever else may come. Real gdb is in gdb.test.ts.

import Long from 'long';
import { beforeEach, describe, expect, test } from 'vitest';
import { GdbStub, PACKET_BYTES, GDB_REGISTERS as REGISTERS } from '../../src/debug/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { FAKE_START, FakeGdbTarget } from '../support/fake-gdb-target.ts';
import { answersIn, ask, packetOf, rawOutput } from '../support/gdb-client.ts';

let target = new FakeGdbTarget();
let stub = new GdbStub(target);

beforeEach(() => {
  target = new FakeGdbTarget();
  stub = new GdbStub(target);
});

const bytes = (text: string) => Buffer.from(text, 'latin1');

const hexText = (text: string) => Buffer.from(text).toString('hex');

describe('packets', () => {
  test('are acknowledged, and answered with a checksum', () => {
    stub.receive(bytes('$qC#b4'));
    expect(rawOutput(stub)).toBe('+$QCp1.1#94');
  });

  test('may come byte by byte, with noise between them', () => {
    for (const byte of bytes('noise$qC#b4')) stub.receive(Uint8Array.of(byte));
    expect(rawOutput(stub)).toBe('+$QCp1.1#94');
  });

  test('with a wrong checksum are asked for again', () => {
    stub.receive(bytes('$qC#b5'));
    expect(rawOutput(stub)).toBe('-');
    stub.receive(bytes('$qC#zz$qC#b4'));
    expect(rawOutput(stub)).toBe('-+$QCp1.1#94');
  });

  test('are sent again if gdb did not get them', () => {
    stub.receive(bytes('$qC#b4-'));
    expect(rawOutput(stub)).toBe('+$QCp1.1#94$QCp1.1#94');
  });

  test('are not acknowledged any more once both agree', () => {
    expect(ask(stub, 'QStartNoAckMode')).toEqual(['OK']);
    stub.receive(bytes('$qC#b4'));
    expect(rawOutput(stub)).toBe('$QCp1.1#94');
  });

  test('begin anew where one breaks off', () => {
    stub.receive(bytes('$m1000,$qC#b4'));
    expect(rawOutput(stub)).toBe('+$QCp1.1#94');
  });

  test('that are too long are refused, and the next is understood', () => {
    stub.receive(packetOf(`X1000,10:${'x'.repeat(PACKET_BYTES)}`));
    expect(rawOutput(stub)).toBe('-');
    expect(ask(stub, 'qC')).toEqual(['QCp1.1']);
  });

  test('that nobody knows have an empty answer', () => {
    for (const text of ['', 'vMustReplyEmpty', 'jc', 'Qfoo:1', 'qBar', 'F', 'b', 'vCont']) {
      expect(ask(stub, text), text).toEqual(['']);
    }
  });
});

describe('registers', () => {
  test('have the numbers that gdb knows for x86-64', () => {
    // gdb/features/i386: 64bit-core.xml, 64bit-sse.xml, 64bit-segments.xml.
    const numbers = ['rax', 'rbp', 'rip', 'eflags', 'cs', 'st0', 'fctrl', 'fop', 'xmm0', 'mxcsr'];
    const found = numbers.map((name) => REGISTERS.findIndex((one) => one.name === name));
    expect(found).toEqual([0, 6, 16, 17, 18, 24, 32, 39, 40, 56]);
  });

  test('are read and written, one or all', () => {
    expect(ask(stub, 'P10=8877665544332211')).toEqual(['OK']);
    expect(target.registers(target.threads[0]).get('rip').toString(16)).toBe('1122334455667788');
    expect(ask(stub, 'p10')).toEqual(['8877665544332211']);
    const [all = ''] = ask(stub, 'g');
    // 17 of 64 bits, 7 of 32, 8 of 80, 8 of 32, 16 of 128, 1 of 32, 2 of 64.
    expect(all.length / 2).toBe(17 * 8 + 7 * 4 + 8 * 10 + 8 * 4 + 16 * 16 + 4 + 2 * 8);
    expect(all.slice(16 * 16, 17 * 16)).toBe('8877665544332211');
    expect(ask(stub, `G0100000000000000${all.slice(16)}`)).toEqual(['OK']);
    expect(target.registers(target.threads[0]).get('rax').toNumber()).toBe(1);
  });

  test('of the FPU stack follow its top, and the tag word is that of FSAVE', () => {
    const values = target.registers(target.threads[0]);
    values.set('fsw', Long.fromNumber(6 << 11));
    // Physical register 6 holds 1.0, 7 holds zero, the others nothing.
    values.set('ftw', Long.fromNumber(0b1100_0000));
    values.set('fpr6Significand', Long.fromString('8000000000000000', true, 16));
    values.set('fpr6Exponent', Long.fromNumber(0x3fff));
    expect(ask(stub, 'p18')).toEqual(['0000000000000080ff3f']);
    const tag = REGISTERS.findIndex(({ name }) => name === 'ftag');
    expect(ask(stub, `p${tag.toString(16)}`)).toEqual(['ff4f0000']);
    expect(ask(stub, `P${tag.toString(16)}=ff0f0000`)).toEqual(['OK']);
    expect(values.get('ftw').toNumber()).toBe(0b1100_0000);
  });

  test('that do not exist, or that are too short, are errors', () => {
    for (const text of ['pffff', 'p', 'p-1', 'P10=88', 'P10', 'P10=88=77', 'G00', 'gg']) {
      expect(ask(stub, text), text).toEqual(['E01']);
    }
  });

  test('of the VMCS have their names; exit information cannot be written', () => {
    const number = (name: string) => REGISTERS.findIndex((one) => one.name === name).toString(16);
    expect(ask(stub, `P${number('PLE_WINDOW')}=00100000`)).toEqual(['OK']);
    expect(target.registers(target.threads[0]).field('PLE_WINDOW').toNumber()).toBe(4096);
    expect(ask(stub, `P${number('VM_EXIT_REASON')}=0c000000`)).toEqual(['E0e']);
  });
});

describe('memory', () => {
  test('is read and written, in hexadecimal and binary', () => {
    expect(ask(stub, 'M1000,3:0a0b0c')).toEqual(['OK']);
    expect(ask(stub, 'X1003,4:\x00}\x03}\x0a}]')).toEqual(['OK']);
    expect(ask(stub, 'm1000,8')).toEqual(['0a0b0c00232a7d00']);
  });

  test('that is not there is an error, or cut short', () => {
    expect(ask(stub, 'm0,4')).toEqual(['E0e']);
    expect(ask(stub, 'm1ffe,10')).toEqual(['0000']);
    expect(ask(stub, 'M1fff,2:0102')).toEqual(['E0e']);
    expect(target.memory.at(-1)).toBe(0);
    expect(ask(stub, 'mffffffffffffffff,ffff')).toEqual(['E0e']);
  });

  test('is never more than a packet holds', () => {
    const [answer = ''] = ask(stub, 'm1000,ffffffff');
    expect(answer.length).toBeLessThan(PACKET_BYTES);
  });

  test.each(['m', 'm1000', 'm1000,', 'mx,1', 'm1,2,3', 'M1000,2:00', 'M1000,1', 'X1000,5:ab'])(
    '%s is an error',
    (text) => expect(ask(stub, text)).toEqual(['E01']),
  );
});

describe('breakpoints', () => {
  test('of all five types', () => {
    for (const type of [0, 1, 2, 3, 4]) expect(ask(stub, `Z${type},1000,1`)).toEqual(['OK']);
    expect(ask(stub, 'z0,1000,1')).toEqual(['OK']);
    expect(target.said.slice(0, 3)).toEqual([
      'insert {"kind":"breakpoint","isHardware":false,"address":"1000"}',
      'insert {"kind":"breakpoint","isHardware":true,"address":"1000"}',
      'insert {"kind":"watchpoint","access":"write","address":"1000","lengthBytes":1}',
    ]);
    expect(target.said).toHaveLength(6);
  });

  test('of other types are not known, and impossible ones are refused', () => {
    expect(ask(stub, 'Z5,1000,1')).toEqual(['']);
    expect(ask(stub, 'Z0,9000,1')).toEqual(['E0e']);
    expect(ask(stub, 'Z2,1000,0')).toEqual(['E0e']);
    expect(ask(stub, 'Z2,1000,100000')).toEqual(['E0e']);
    expect(ask(stub, 'Z0')).toEqual(['E01']);
    expect(ask(stub, 'Z0,1000')).toEqual(['E01']);
  });
});

describe('going on', () => {
  test.each([
    ['c', 'continue forward 1.1'],
    ['s', 'step forward 1.1'],
    ['C05', 'continue forward 1.1'],
    ['S05', 'step forward 1.1'],
    ['bc', 'continue backward 1.1'],
    ['bs', 'step backward 1.1'],
    ['vCont;c', 'continue forward 1.1'],
    ['vCont;s:p1.2;c:p1.-1', 'step forward 1.2'],
    ['vCont;r1000,1004:p2.1', 'step forward 2.1 1000-1004'],
    ['vCont;C05:p1.-1', 'continue forward 1.1'],
  ])('%s', (text, done) => {
    const [answer = ''] = ask(stub, text);
    expect(target.said).toEqual([done]);
    expect(answer).toMatch(/^T05thread:p/);
  });

  test.each(['vCont;', 'vCont;x', 'vCont;s:p9.1', 'vCont;r1000:p1.1', 'vCont;c:', 'c1000', 's9'])(
    '%s is an error',
    (text) => {
      expect(ask(stub, text)).toEqual(['E01']);
      expect(target.said).toEqual([]);
    },
  );

  test('in steps of a thread chosen before', () => {
    expect(ask(stub, 'Hcp1.2')).toEqual(['OK']);
    ask(stub, 's');
    expect(ask(stub, 'Hcp1.-1')).toEqual(['OK']);
    ask(stub, 'Hgp2.1');
    ask(stub, 's');
    expect(target.said).toEqual(['step forward 1.2', 'step forward 2.1']);
  });

  test('says why it stopped, to who understands it', () => {
    const [thread] = target.threads;
    const stops = () => [
      { reason: { kind: 'breakpoint' as const, isHardware: false }, thread, message: null },
      { reason: { kind: 'historyStart' as const }, thread, message: null },
      {
        reason: { kind: 'watchpoint' as const, access: 'read' as const, address: Long.fromInt(16) },
        thread: target.threads[2],
        message: 'who?',
      },
    ];
    target.stops = stops();
    expect(ask(stub, 'c')).toEqual(['T05thread:p1.1;core:0;']);
    ask(stub, 'qSupported:swbreak+;xmlRegisters=i386');
    target.stops = stops();
    expect(ask(stub, 'c')).toEqual(['T05thread:p1.1;core:0;swbreak:;']);
    expect(ask(stub, '?')).toEqual(['T05thread:p1.1;core:0;swbreak:;']);
    expect(ask(stub, 'bc')).toEqual(['T05thread:p1.1;core:0;replaylog:begin;']);
    const answers = ask(stub, 'c');
    expect(answers).toEqual([`O${hexText('who?\n')}`, 'T05thread:p2.1;core:b;rwatch:10;']);
    // Who stopped is who gdb asks about next.
    expect(ask(stub, 'qC')).toEqual(['QCp2.1']);
  });

  test('stops at Ctrl-C, and packets wait until then', () => {
    target.stops = [null, null, null];
    stub.receive(packetOf('c'));
    stub.receive(packetOf('qC'));
    stub.advance();
    expect(answersIn(rawOutput(stub))).toEqual([]);
    stub.receive(Uint8Array.of(3));
    stub.advance();
    expect(answersIn(rawOutput(stub))).toEqual(['T02thread:p1.1;core:0;', 'QCp1.1']);
    // While it stands still, Ctrl-C has nothing to stop.
    stub.receive(Uint8Array.of(3));
    target.stops = [];
    expect(ask(stub, 's')).toEqual(['T05thread:p1.1;core:0;']);
  });

  test('ends with detaching, or being killed', () => {
    expect(ask(stub, 'D;1')).toEqual(['OK']);
    expect(stub.ending).toBeNull();
    for (const text of ['D;', 'D;9', 'D1', 'D;x']) expect(ask(stub, text), text).toEqual(['E01']);
    expect(ask(stub, 'D;2')).toEqual(['OK']);
    expect(stub.ending).toBe('detached');
    stub.disconnect();
    expect(target.said).toEqual(['remove all']);
    const other = new GdbStub(target);
    expect(ask(other, 'vKill;1')).toEqual(['OK']);
    expect(other.ending).toBe('killed');
    const third = new GdbStub(target);
    expect(ask(third, 'k')).toEqual([]);
    expect(third.ending).toBe('killed');
  });

  test('stops when the connection is gone', () => {
    target.stops = [null, null];
    stub.receive(packetOf('c'));
    stub.disconnect();
    expect(stub.isRunning).toBe(false);
  });
});

describe('queries', () => {
  test('name the threads', () => {
    expect(ask(stub, 'qfThreadInfo')).toEqual(['mp1.1,p1.2,p2.1']);
    expect(ask(stub, 'qsThreadInfo')).toEqual(['l']);
    expect(ask(stub, 'qThreadExtraInfo,p1.2')).toEqual([hexText('vcpu1, halted')]);
    expect(ask(stub, 'qThreadExtraInfo,p1.9')).toEqual(['E01']);
    expect(ask(stub, 'Tp1.2')).toEqual(['OK']);
    expect(ask(stub, 'Tp3.1')).toEqual(['E01']);
  });

  test('give documents piece by piece', () => {
    let text = '';
    for (let more = true; more; ) {
      const [part = ''] = ask(stub, `qXfer:threads:read::${text.length.toString(16)},20`);
      text += part.slice(1);
      more = part[0] === 'm';
    }
    expect(text.split('\n')).toContain(
      '<thread id="p2.1" core="11" name="b &amp; &quot;c&quot;">a &lt; b</thread>',
    );
    expect(ask(stub, 'qXfer:threads:read::ffff,20')).toEqual(['l']);
    expect(ask(stub, 'qXfer:features:read:other.xml:0,20')).toEqual(['E00']);
    expect(ask(stub, 'qXfer:auxv:read::0,20')).toEqual(['']);
    for (const tail of ['', 'threads:read::0', 'threads:write::0,1', 'threads:read::x,1']) {
      expect(ask(stub, `qXfer:${tail}`), tail).toEqual(['E01']);
    }
  });

  test('hand out the symbol file, and no other', () => {
    expect(ask(stub, 'qXfer:exec-file:read:1:0,100')).toEqual(['l/vm0.elf']);
    expect(ask(stub, 'qXfer:exec-file:read:2:0,100')).toEqual(['E00']);
    expect(ask(stub, `vFile:open:${hexText('/vm0.elf')},0,0`)).toEqual(['F3']);
    expect(ask(stub, 'vFile:pread:3,100,1')).toEqual(['F3;#}\x04']);
    const [stat = ''] = ask(stub, 'vFile:fstat:3');
    expect(Buffer.from(stat.slice(4), 'latin1').readBigUInt64BE(28)).toBe(4n);
    expect(ask(stub, 'vFile:close:3')).toEqual(['F0']);
    expect(ask(stub, 'vFile:pread:3,100,1')).toEqual(['F-1,9']);
    expect(ask(stub, `vFile:open:${hexText('/etc/passwd')},0,0`)).toEqual(['F-1,2']);
    expect(ask(stub, `vFile:open:${hexText('/vm0.elf')},2,0`)).toEqual(['F-1,d']);
    expect(ask(stub, `vFile:unlink:${hexText('/vm0.elf')}`)).toEqual(['F-1,d']);
    expect(ask(stub, 'vFile:what:')).toEqual(['']);
  });

  test('pass on commands', () => {
    const said = [`O${hexText('you said exits\n')}`, 'OK'];
    expect(ask(stub, `qRcmd,${hexText('exits')}`)).toEqual(said);
    expect(ask(stub, 'qRcmd,abc')).toEqual(['E01']);
  });
});

describe('whatever comes', () => {
  const KNOWN = ['qSupported:', 'm', 'M', 'X', 'p', 'P', 'g', 'G', 'Z', 'z', 'vCont;', 'vFile:'];
  const MORE = [
    'Hg',
    'Hc',
    'qXfer:',
    'qRcmd,',
    's',
    'c',
    'bs',
    'bc',
    'T',
    '?',
    'qThreadExtraInfo,',
  ];
  const CHARACTERS = 'abcdef0123456789,;:-=pr.$#}*+\x03\x00\xff';

  test('never ends the session', () => {
    const prng = new Prng(11);
    for (let i = 0; i < 5000; i++) {
      const known = [...KNOWN, ...MORE];
      let text = prng.below(4) === 0 ? '' : known[prng.below(known.length)];
      const length = prng.below(24);
      for (let j = 0; j < length; j++) text += CHARACTERS[prng.below(CHARACTERS.length)];
      const whole = Buffer.from(packetOf(text));
      // Some are damaged on their way.
      if (prng.below(8) === 0) whole[prng.below(whole.length)] = prng.below(256);
      stub.receive(whole);
      for (let turns = 0; stub.isRunning && turns < 10; turns++) stub.advance();
      expect(stub.isRunning, text).toBe(false);
      stub.takeOutput();
      if (stub.ending !== null) stub = new GdbStub(target);
    }
    // What broke off is over, at the latest, with the beginning of the next.
    expect(ask(stub, 'qC').at(-1)).toMatch(/^QCp\d\.\d$/);
    expect(target.readMemory(target.threads[0], Long.fromNumber(FAKE_START), 1)).toHaveLength(1);
  });
});

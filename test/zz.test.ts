import { readFileSync } from 'node:fs';
import Long from 'long';
import { test } from 'vitest';
import { TestMachine, fromHex } from '/work/main/test/support/test-processor.ts';
import { Word, VECTOR_NAMES } from '/work/main/src/cpu/index.ts';

test('silicon', () => {
  const m = new TestMachine(256);
  const code = m.map(0x10000000, 1);
  const data = m.map(0x20000000, 16);
  const faults: any[] = [];
  const v = { ...m.processor.virtualization, exception: (e: any, lin: Long) => { faults.push([e, lin]); throw new Stop(); } };
  class Stop {}
  m.processor.virtualization = v; 
  const stats: Record<string, [number, number, number]> = {};
  const shown: Record<string, number> = {};
  for (const line of readFileSync('/work/shared/conformance/silicon-x86-64/cases.jsonl', 'utf8').split('\n')) {
    if (!line) continue;
    const c = JSON.parse(line);
    m.start(0x10000000, 0, 3); m.processor.state.set('trLimit', Long.fromInt(0x67));
    const st = m.processor.state;
    const bytes = Buffer.from(c.b, 'hex');
    m.memory.write(code, new Uint8Array(128).fill(0xcc));
    m.memory.write(code, bytes);
    m.memory.write(data, new Uint8Array(0x10000));
    if (c.w) m.memory.write(data + 0x40, Buffer.from(c.w, 'hex'));
    if (c.s) m.memory.write(data + 0x1040, Buffer.from(c.s, 'hex'));
    c.r.forEach((h: string, i: number) => st.set64(2 * i, fromHex(h)));
    st.words[Word.RFLAGS] = c.f[0] | 0x202;
    faults.length = 0;
    let stop: any = null; let thrown: any = null;
    for (let n = 0; n < 100000; n++) {
      try { stop = m.processor.step(); } catch (e) { if (!(e instanceof Stop)) throw e; thrown = e; break; }
      if (stop) break;
      if (!m.processor.evaluator.unfinished) break;
    }
    const key = c.c;
    stats[key] ??= [0, 0, 0];
    if (stop?.kind === 'notImplemented') { stats[key]![2]++; continue; }
    const errs: string[] = [];
    const expect: string[] = [...c.r];
    for (const [i, h] of Object.entries(c.o ?? {})) expect[Number(i)] = h as string;
    expect.forEach((h, i) => { const g = st.get64(2 * i).toUnsigned().toString(16); if (g !== h) errs.push(`r${i}=${g} want ${h}`); });
    const mask = 0xcd5 & ~(c.u ?? 0);
    const fl = st.words[Word.RFLAGS]! & mask;
    if (!c.x && fl !== (c.f[1] & mask)) errs.push(`flags ${fl.toString(16)} want ${(c.f[1] & mask).toString(16)} raw`);
    const ip = st.get64(Word.RIP).sub(0x10000000).toNumber();
    if (c.x) {
      const [sig, trap, err, cr2] = c.x;
      if (!faults.length) errs.push(`expected trap ${trap} err ${err} cr2 ${cr2}`);
      else {
        const [e, lin] = faults[0];
        let vec = e.vector;
        if (vec !== trap) errs.push(`trap ${vec} want ${trap}`);
        else if ((e.errorCode ?? 0) !== err) errs.push(`err ${e.errorCode} want ${err}`);
        else if (vec === 14 && lin.toUnsigned().toString(16) !== cr2) errs.push(`cr2 ${lin.toString(16)} want ${cr2}`);
      }
    } else {
      if (thrown) errs.push(`unexpected trap ${faults[0][0].vector}/${faults[0][0].errorCode}`);
      if (ip !== c.ip) errs.push(`ip ${ip} want ${c.ip}`);
    }
    const w = Buffer.from(m.memory.bytes.subarray(data + 0x40, data + 0x80)).toString('hex');
    const s = Buffer.from(m.memory.bytes.subarray(data + 0x1040, data + 0x1080)).toString('hex');
    if (c.w && w !== (c.wo ?? c.w)) errs.push(`w ${w} want ${c.wo ?? c.w}`);
    if (c.s && s !== (c.so ?? c.s)) errs.push(`s ${s} want ${c.so ?? c.s}`);
    if (errs.length) { stats[key]![1]++; const k2 = (c.d ?? '?').split(' ')[0]; shown[k2] ??= 0; if (shown[k2]!++ < 3) console.log(c.d, c.b, errs.slice(0, 4).join('; ').slice(0, 300), 'x', JSON.stringify(c.x)); }
    else stats[key]![0]++;
  }
  console.log(stats);
});

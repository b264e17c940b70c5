// Scripts of KVM API calls, one a line, executed by our API and printed as test/api/kvm-runner.c
// prints what the real one does. Numbers are hexadecimal.
//
//   new, new_irqchip    a machine with 1 MiB of RAM and a vCPU
//   put GPA BYTES       into RAM
//   mode real|prot|long CR3
//   reg NAME VALUE
//   run, go COUNT       once, or until something final; inputs get 5a, 5b and so on
//   sync BITS, dirty BITS, poke OFFSET VALUE, page    registers and events in the page
//   chip ID             registers of an interrupt controller
//   ioevent FLAGS ADDRESS LENGTH MATCH, event    writes that are signals, and how many came
//   line GSI LEVEL
//   pit FLAGS, pitstate, setpit COUNT    the interval timer: made, shown, the second count set
//   coalesce PIO ADDRESS SIZE, ring    writes that wait, and which do
//   debug CONTROL DR0 DR7, interrupt IRQ, nmi, window FLAG, immediate FLAG, sregs, debugregs

import Long from 'long';
import {
  type CoalescedRing,
  Eventfd,
  KVM_EXIT,
  KVM_EXIT_IO_OUT,
  KvmError,
  type KvmIrqchip,
  type KvmPitState2,
  type KvmSegment,
  type KvmVcpu,
  type KvmVm,
  openKvm,
} from '../../src/api/index.ts';

const RAM_BYTES = 2 ** 20;
/** Where registers and events are in the page. */
const SYNC_REGS = 304;
const FIRST_ANSWER = 0x5a;

const hex = (value: Long | number) =>
  (typeof value === 'number' ? value : value.toUnsigned()).toString(16);
const parse = (text = '0') => Number.parseInt(text, 16);
const hexBytes = (bytes: Uint8Array) =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

const FINAL: readonly number[] = [
  KVM_EXIT.HLT,
  KVM_EXIT.SHUTDOWN,
  KVM_EXIT.INTERNAL_ERROR,
  KVM_EXIT.FAIL_ENTRY,
];

class Script {
  readonly output: string[] = [];
  private ownVm: KvmVm | null = null;
  private vcpu: KvmVcpu | null = null;
  private event: Eventfd | null = null;
  private ram: Uint8Array = new Uint8Array();
  private answer = FIRST_ANSWER;

  private get vm(): KvmVm {
    if (this.ownVm === null) throw new Error('no machine');
    return this.ownVm;
  }

  private get own(): KvmVcpu {
    if (this.vcpu === null) throw new Error('no machine');
    return this.vcpu;
  }

  execute(line: string): void {
    if (line.startsWith('#')) {
      this.output.push(line);
      return;
    }
    const [word, ...words] = line.split(' ');
    switch (word) {
      case 'new':
      case 'new_irqchip':
        this.create(word === 'new_irqchip');
        break;
      case 'put':
        this.ram.set(Uint8Array.from(words[1]?.match(/../g) ?? [], parse), parse(words[0]));
        break;
      case 'mode':
        this.setMode(words[0] ?? '', parse(words[1]));
        break;
      case 'reg':
        this.own.setRegs({ ...this.own.getRegs(), [words[0] ?? '']: parse(words[1]) });
        break;
      case 'run':
        this.run();
        break;
      case 'go':
        for (let left = Number(words[0]); left > 0; left--) {
          this.run();
          if (FINAL.includes(this.own.page.exitReason)) break;
        }
        break;
      default:
        this.request(word ?? '', words.map(parse));
    }
  }

  private request(word: string, [a = 0, b = 0, c = 0, d = 0]: readonly number[]): void {
    const { own } = this;
    switch (word) {
      case 'debug':
        own.setGuestDebug({ control: a, arch: { debugreg: [b, 0, 0, 0, 0, 0, 0, c] } });
        break;
      case 'interrupt':
        own.interrupt(a);
        break;
      case 'nmi':
        own.nmi();
        break;
      case 'window':
        own.page.requestInterruptWindow = a;
        break;
      case 'immediate':
        own.page.immediateExit = a;
        break;
      case 'sregs':
        this.showSregs();
        break;
      case 'sync':
        own.page.validRegs = Long.fromInt(a);
        break;
      case 'dirty':
        own.page.dirtyRegs = Long.fromInt(a);
        break;
      case 'poke':
        own.page.bytes.set(Long.fromNumber(b).toBytesLE(), SYNC_REGS + a);
        break;
      case 'page': {
        const part = (first: number, length: number) =>
          hexBytes(own.page.bytes.subarray(SYNC_REGS + first, SYNC_REGS + first + length));
        const events = part(456, 20);
        this.output.push(`page regs=${part(0, 144)} sregs=${part(144, 312)} events=${events}`);
        break;
      }
      case 'debugregs': {
        const { dr6, dr7 } = own.getDebugregs();
        this.output.push(`debugregs dr6=${hex(dr6)} dr7=${hex(dr7)}`);
        break;
      }
      default:
        this.requestOfChips(word, [a, b, c, d]);
    }
  }

  private requestOfChips(word: string, [a, b, c, d]: readonly [number, number, number, number]) {
    const { vm } = this;
    switch (word) {
      case 'chip':
        this.output.push(chipText(vm.getIrqchip(a)));
        break;
      case 'ioevent':
        this.event ??= new Eventfd();
        vm.ioeventfd({ fd: this.event, addr: b, len: c, flags: a, datamatch: d });
        break;
      case 'pit':
        vm.createPit2({ flags: a });
        break;
      case 'pitstate':
        this.output.push(pitText(vm.getPit2()));
        break;
      case 'setpit': {
        const { channels, flags = 0 } = vm.getPit2();
        const [first, second, third] = channels;
        if (first === undefined || second === undefined || third === undefined) throw new Error();
        const states = { rwMode: 3, readState: 3, writeState: 3, mode: 3 };
        vm.setPit2({ channels: [first, { ...second, ...states, count: a }, third], flags });
        break;
      }
      case 'coalesce':
        vm.registerCoalescedMmio({ pio: a, addr: b, size: c });
        break;
      case 'ring':
        this.output.push(ringText(vm.coalesced));
        break;
      case 'line':
        vm.irqLine({ irq: a, level: b });
        break;
      case 'event': {
        const isThere = this.event?.isReadable === true;
        this.output.push(`event ${isThere ? this.event?.read() : 'EAGAIN'}`);
        break;
      }
      default:
        if (word !== '') throw new Error(`unknown call ${word}`);
    }
  }

  private create(withIrqchip: boolean): void {
    // The kernel that was recorded does not know pages of devices before it has looked.
    const vm = openKvm({ mmioCaching: false }).createVm(0, { memoryBytes: RAM_BYTES });
    if (withIrqchip) vm.createIrqchip();
    this.ram = vm.mmap(RAM_BYTES);
    const memorySize = RAM_BYTES;
    vm.setUserMemoryRegion({ slot: 0, guestPhysAddr: 0, memorySize, userspaceAddr: this.ram });
    this.ownVm = vm;
    this.event = null;
    this.vcpu = vm.createVcpu();
    this.answer = FIRST_ANSWER;
  }

  private setMode(mode: string, cr3: number): void {
    const { own } = this;
    const sregs = own.getSregs();
    if (mode === 'real') {
      own.setSregs({ ...sregs, cs: { ...sregs.cs, base: 0, selector: 0 } });
      return;
    }
    const isLong = mode === 'long';
    const cs = flat(8, 11, isLong);
    const data = { ...flat(16, 3, false), db: 1 };
    const segments = { cs, ds: data, es: data, fs: data, gs: data, ss: data };
    const control = isLong ? { cr0: 0x80050033, cr3, cr4: 0x20, efer: 0x500 } : { cr0: 0x11 };
    own.setSregs({ ...sregs, ...segments, ...control });
  }

  private run(): void {
    const { own } = this;
    let failure = '';
    try {
      own.run();
    } catch (thrown) {
      if (!(thrown instanceof KvmError)) throw thrown;
      failure = `${thrown.errno} `;
    }
    const { page } = own;
    const regs = own.getRegs();
    const names = ['rip', 'rax', 'rcx', 'rdx', 'rsi', 'rdi', 'rflags'] as const;
    const values = names.map((name) => `${name}=${hex(regs[name])}`).join(' ');
    const flags = `if=${page.ifFlag} ready=${page.readyForInterruptInjection}`;
    this.output.push(
      `${failure}${this.exitText()} ${values} ${flags} cr8=${hex(page.cr8)} apic=${hex(page.apicBase)}`,
    );
  }

  private exitText(): string {
    const { page } = this.own;
    switch (page.exitReason) {
      case KVM_EXIT.IO: {
        const { direction, size, port, count, dataOffset, data } = page.io;
        const isOut = direction === KVM_EXIT_IO_OUT;
        if (!isOut) this.giveAnswer(data);
        const shown = isOut ? ` data=${hexBytes(data)}` : '';
        const where = `port=${hex(port)} count=${count} offset=${dataOffset}`;
        return `IO direction=${direction} size=${size} ${where}${shown}`;
      }
      case KVM_EXIT.MMIO: {
        const { physAddr, len, isWrite, data } = page.mmio;
        const used = data.subarray(0, len);
        if (isWrite === 0) this.giveAnswer(used);
        const shown = isWrite === 0 ? '' : ` data=${hexBytes(used)}`;
        return `MMIO addr=${hex(physAddr)} len=${len} write=${isWrite}${shown}`;
      }
      case KVM_EXIT.DEBUG: {
        const { exception, pc, dr6 } = page.debug.arch;
        return `DEBUG exception=${exception} pc=${hex(pc)} dr6=${hex(dr6)}`;
      }
      case KVM_EXIT.INTERNAL_ERROR:
        return `INTERNAL_ERROR suberror=${page.internal.suberror} ${page.internal.message}`;
      case KVM_EXIT.FAIL_ENTRY:
        return `FAIL_ENTRY reason=${hex(page.failEntry.hardwareEntryFailureReason)}`;
      default:
        return page.exitReasonName;
    }
  }

  private giveAnswer(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.answer++;
  }

  private showSregs(): void {
    const s = this.own.getSregs();
    const segments = (['cs', 'ss', 'ds', 'tr', 'ldt'] as const)
      .map((name) => `${name}=${segmentText(s[name])}`)
      .join(' ');
    const table = ({ base, limit }: { base: Long; limit: number }) => `${hex(base)}/${hex(limit)}`;
    const control = (['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer'] as const)
      .map((name) => `${name}=${hex(s[name])}`)
      .join(' ');
    this.output.push(
      `sregs ${segments} gdt=${table(s.gdt)} idt=${table(s.idt)} ${control} apic=${hex(s.apicBase)}`,
    );
  }
}

function flat(selector: number, type: number, isLong: boolean): KvmSegment {
  const rest = { base: 0, limit: 0xffffffff, present: 1, dpl: 0, s: 1, g: 1, avl: 0, unusable: 0 };
  return { ...rest, selector, type, l: isLong ? 1 : 0, db: isLong ? 0 : 1 };
}

function segmentText(s: KvmSegment<Long>): string {
  const bits = [s.type, s.s, s.dpl, s.present, s.avl, s.l, s.db, s.g, s.unusable];
  return `${hex(s.selector)}/${hex(s.base)}/${hex(s.limit)}/${bits.map(hex).join('')}`;
}

/** Execute a script; the lines that it prints. */
export function runKvmScript(text: string): string[] {
  const script = new Script();
  for (const line of text.split('\n')) script.execute(line);
  return script.output;
}

function pitText({ channels, flags = 0 }: KvmPitState2): string {
  const texts = channels.map(({ countLoadTime: _, ...rest }) =>
    Object.values(rest).map(hex).join('/'),
  );
  return `pit flags=${hex(flags)} ${texts.join(' ')}`;
}

/** What waits, of which six are shown. */
function ringText(ring: CoalescedRing): string {
  const head = `ring first=${hex(ring.first)} last=${hex(ring.last)}`;
  const shown: string[] = [];
  let count = 0;
  for (let entry = ring.take(); entry !== null; entry = ring.take()) {
    const { physAddr, len, pio, data } = entry;
    const place = `${hex(physAddr)}/${hex(len)}/${pio}`;
    if (count++ < 6) shown.push(`${place} =${hexBytes(data.subarray(0, len))}`);
  }
  return [head, ...shown, `count=${count}`].join(' ');
}

function chipText({ pic, ioapic }: KvmIrqchip): string {
  if (pic !== undefined) return ` pic=${hexBytes(Uint8Array.from(Object.values(pic)))}`;
  if (ioapic === undefined) throw new Error('no chip');
  const { baseAddress, ioregsel, id, irr, redirtbl } = ioapic;
  const registers = `select=${hex(ioregsel)} id=${hex(id)} irr=${hex(irr)}`;
  const entries = redirtbl.map((entry) => hex(Long.fromValue(entry))).join(' ');
  return `ioapic base=${hex(Long.fromValue(baseAddress))} ${registers} ${entries}`;
}

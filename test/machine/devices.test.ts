// The devices around a guest, a register at a time. Scripts of accesses give what data sheets say,
// and the same under QEMU, where the device is the same; what differs there has a test of its own.
//
// A script is words: i3fd=60 reads port 3FDH and expects 60H, o3fc=0b writes a byte, w510=0005
// writes two.

import { describe, expect, test } from 'vitest';
import { IRQCHIP_PORTS } from '../../src/kvm/index.ts';
import { Devices } from '../../src/machine/devices/devices.ts';
import { PORT_RANGES } from '../../src/machine/devices/ports.ts';
import { idleVm } from '../support/kvm-vm.ts';
import { multibootImage, runUnderQemu } from '../support/multiboot-image.ts';
import { missing } from '../support/outside-tools.ts';

const AROUND = { nowNs: 0, vcpuCount: 2, ramBytes: 2 ** 24 };

interface Access {
  readonly kind: 'in' | 'out' | 'outWord';
  readonly port: number;
  readonly value: number;
}

function accessesOf(script: string): Access[] {
  return [...script.matchAll(/([iow])([0-9a-f]+)=([0-9a-f]+)/g)].map(([, kind, port, value]) => ({
    kind: kind === 'i' ? 'in' : kind === 'o' ? 'out' : 'outWord',
    port: Number.parseInt(port, 16),
    value: Number.parseInt(value, 16),
  }));
}

/** All that answers ports: user space's devices, and those that are in the kernel. */
class Machinery {
  readonly devices = new Devices();
  private readonly vm = idleVm(1);

  private get irqchip() {
    if (this.vm.vm.irqchip === null) throw new Error('no interrupt controllers');
    return this.vm.vm.irqchip;
  }

  /** The pCPU of that time; 1 GHz, so that cycles are ns. */
  private pcpuAt(nowNs: number) {
    const { pcpu } = this.vm;
    pcpu.idleUntil(Math.ceil(nowNs));
    return pcpu;
  }

  read(port: number, sizeBytes: number, around: typeof AROUND): number {
    const pcpu = this.pcpuAt(around.nowNs);
    if (this.irqchip.ownsPort(port)) return this.irqchip.readPort(port, sizeBytes, pcpu);
    return this.devices.read(port, sizeBytes, around);
  }

  write(port: number, sizeBytes: number, value: number, around: typeof AROUND) {
    const pcpu = this.pcpuAt(around.nowNs);
    if (!this.irqchip.ownsPort(port)) return this.devices.write(port, sizeBytes, value, around);
    this.irqchip.writePort(port, sizeBytes, value, pcpu);
    return null;
  }

  get state(): string {
    return JSON.stringify([this.devices.state, this.irqchip.state]);
  }

  set state(text: string) {
    [this.devices.state, this.irqchip.state] = JSON.parse(text);
  }
}

/** Values that the reads of a script give, and requests that its writes make. */
function played(script: string, around = AROUND, devices = new Machinery()) {
  const requests: string[] = [];
  const values: string[] = [];
  for (const { kind, port, value } of accessesOf(script)) {
    if (kind === 'in') values.push(devices.read(port, 1, around).toString(16));
    else {
      const request = devices.write(port, kind === 'out' ? 1 : 2, value, around);
      if (request !== null) requests.push(request.kind);
    }
  }
  return { values, requests, devices };
}

const expectedOf = (script: string) =>
  accessesOf(script).flatMap(({ kind, value }) => (kind === 'in' ? [value.toString(16)] : []));

/** What is the same in QEMU after its firmware has run. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'UART: registers after reset': 'i3f9=0 i3fa=1 i3fb=0 i3fc=8 i3fd=60 i3fe=b0 i3ff=0',
  'UART: scratch register': 'o3ff=5a i3ff=5a o3ff=a5 i3ff=a5 o3ff=0',
  'UART: divisor latch': `o3fb=83 i3fb=83 i3f8=c i3f9=0 o3f8=1 o3f9=2 i3f8=1 i3f9=2
    o3fb=03 i3fb=3 i3f9=0`,
  'UART: FIFO bits': 'o3fa=07 i3fa=c1 i3fa=c1 o3fa=c1 i3fa=c1 o3fa=0 i3fa=1',
  'UART: interrupt enable has four bits': 'o3f9=0d i3f9=d o3f9=f0 i3f9=0',
  'UART: the empty transmitter, told once': `o3f9=2 i3fa=2 i3fa=1 o3f9=0 o3f9=2 i3fa=2 i3fa=1
    o3f9=0`,
  'UART: modem control has five bits': 'o3fc=b i3fc=b i3fe=b0 o3fc=e8 i3fc=8 i3fe=b0',
  'UART: a byte in loopback': `o3fc=18 i3fd=60 o3f8=42 i3fd=61 i3f8=42 i3fd=60 i3f8=42`,
  'UART: overrun in loopback': `o3fc=18 o3f8=43 o3f8=44 i3fd=63 i3fd=61 i3f8=44 i3fd=60`,
  'UART: FIFO in loopback': `o3fc=18 o3fa=1 o3f8=51 o3f8=52 i3fd=61 i3f8=51 i3fd=61 i3f8=52 i3fd=60
    o3f8=53 o3fa=3 i3fd=60 o3f8=54 o3fa=0 i3fd=60`,
  'UART: received data comes before the transmitter': `o3fc=18 o3f9=3 o3f8=61 i3fa=4 i3f8=61 i3fa=2
    i3fa=1 o3f9=0 o3fc=8`,
  'PIC: masks': 'o21=ff oa1=ff i21=ff ia1=ff o21=fb i21=fb o21=ff',
  'PIC: initialisation clears the mask': `o20=11 i21=0 o21=20 o21=4 o21=1 i21=0 o21=ff i21=ff
    oa0=11 oa1=28 oa1=2 oa1=1 ia1=0 oa1=ff ia1=ff`,
  'PIC: a single one has no ICW3': 'o20=13 o21=40 o21=1 o21=aa i21=aa',
  'PIC: nothing is requested or in service': `o20=11 o21=20 o21=4 o21=1 o21=ff
    o20=a i20=0 o20=b i20=0 oa0=a ia0=0 oa0=b ia0=0 o20=20 oa0=20 i21=ff`,
  'PIC: edge and level': 'o4d0=ff o4d1=ff i4d0=f8 i4d1=de o4d0=0 o4d1=0 i4d0=0 i4d1=0',
  'timer: status says mode and access': 'o61=0 o43=90 o42=99 o43=e8 i42=10',
  'clock: registers and memory': `o70=a i71=26 o70=b i71=2 o70=d i71=80 o70=15 i71=80
    o70=16 i71=2 o70=40 o71=5a i71=5a o70=5f i71=1`,
  'keyboard controller': `i64=1c o64=aa i64=1d i60=55 i64=1c o64=ab i60=0 o64=d0 i60=cf
    o64=60 o60=47 o64=20 i60=47 o64=a7 o64=20 i60=67 o64=ad o64=20 i60=77 o64=a8 o64=ae
    o64=20 i60=47 o64=ff i64=1c`,
  'system control port A': 'i92=2 o92=2 i92=2',
  'fw_cfg: signature': 'w510=0 i511=51 i511=45 i511=4d i511=55 i511=0',
  'fw_cfg: processors': 'w510=5 i511=2 i511=0 i511=0 w510=f i511=2 i511=0',
  'fw_cfg: RAM': 'w510=3 i511=0 i511=0 i511=0 i511=1 i511=0 i511=0 i511=0 i511=0',
  'fw_cfg: what does not exist': 'w510=1234 i511=0 i511=0',
  'reset control': 'icf9=0',
  'nobody is there': 'o80=12 i80=ff ied=ff',
};

test.each(Object.entries(SCRIPTS))('%s', (_, script) => {
  expect(played(script).values).toEqual(expectedOf(script));
});

const absent = missing('nasm') ?? missing('qemu-system-x86_64');
if (absent !== null) console.warn(`skipped: devices as QEMU has them: ${absent}`);

test.skipIf(absent !== null)('QEMU gives the same', () => {
  const code = Object.values(SCRIPTS)
    .flatMap(accessesOf)
    .map(({ kind, port, value }) => {
      if (kind === 'in') return `mov dx, ${port}\nin al, dx\nstosb`;
      const [register, instruction] = kind === 'out' ? ['al', 'out dx, al'] : ['ax', 'out dx, ax'];
      return `mov dx, ${port}\nmov ${register}, ${value}\n${instruction}`;
    });
  const image = multibootImage(`
    start:
        mov edi, image_end
        mov ebx, edi
        ${code.join('\n')}
    .next:
        mov al, [ebx]
        out 0xe9, al
        inc ebx
        cmp ebx, edi
        jb .next
        xor eax, eax
        out 0xf4, eax`);
  const run = runUnderQemu('image', { image }, 'console', ['-smp', '2', '-m', '16']);
  const values = [...run.output].map((c) => c.charCodeAt(0).toString(16));
  const expected = Object.entries(SCRIPTS).flatMap(([name, script]) =>
    expectedOf(script).map((value, i) => ({ name, i, value })),
  );
  expect(expected.map((one, i) => ({ ...one, value: values[i] }))).toEqual(expected);
});

describe('what QEMU does otherwise', () => {
  // PC16550D data sheet, "Modem Status Register": changes count in loopback as well.
  test('changes of modem lines in loopback', () => {
    const script = 'o3fc=18 i3fe=8b i3fe=80 o3fc=14 i3fe=48 o3fc=10 i3fe=4 i3fe=0';
    // Out of reset: DCD, DSR and CTS were there, and only OUT2 stays.
    expect(played(script.replace('8b', '83')).values).toEqual(['83', '80', '48', '4', '0']);
  });

  // 8254 data sheet, "Counter status": the null count bit, and OUT high in modes other than 0.
  test('status of a counter without a count, and of modes 2 and 4', () => {
    expect(played('o43=b8 o43=e8 i42=f8').values).toEqual(['f8']);
    expect(played('o61=1 o43=b8 o42=1 o42=2 o43=e8 i42=b8').values).toEqual(['b8']);
    expect(played('o61=1 o43=b4 o42=1 o42=2 o43=e8 i42=b4').values).toEqual(['b4']);
  });
});

describe('the interval timer in virtual time', () => {
  const at = (nowNs: number) => ({ ...AROUND, nowNs });
  /** One period of 1193182 Hz, in ns, and a little more. */
  const TICK = 838.1;

  test('mode 0 ends when the count is over, and not before', () => {
    // 11932 ticks are 10 ms and 127 ns.
    const { devices } = played('o61=1 o43=b0 o42=9c o42=2e');
    expect(played('i61=0', at(10_000_100), devices).values[0]).toMatch(/^1?1$/);
    expect(played('i61=0', at(10_000_200), devices).values[0]).toMatch(/^[23]1$/);
  });

  test.each([
    ['mode 2 begins anew', 'o43=34 o40=e8 o40=3', 1000 * TICK + 10 * TICK, ['de', '3']],
    ['mode 3 counts by two', 'o43=36 o40=e8 o40=3', 10 * TICK, ['d4', '3']],
    ['mode 0 goes on below zero', 'o43=30 o40=2 o40=0', 5 * TICK, ['fd', 'ff']],
    ['low byte only', 'o43=10 o40=64', 4 * TICK, ['60', '60']],
    ['high byte only', 'o43=20 o40=4', 4 * TICK, ['3', '3']],
    ['a count of 0 is 65536', 'o43=34 o40=0 o40=0', TICK, ['ff', 'ff']],
    ['four decimal digits', 'o43=35 o40=0 o40=10', 5 * TICK, ['95', '9']],
    ['a decimal count of 0 is 10000', 'o43=31 o40=0 o40=0', TICK, ['99', '99']],
  ])('%s', (_, script, nowNs, expected) => {
    const { devices } = played(script);
    expect(played('i40=0 i40=0', at(nowNs), devices).values).toEqual(expected);
  });

  test('a latched count stays until it has been read', () => {
    const { devices } = played('o43=34 o40=0 o40=10');
    played('o43=0', at(100 * TICK), devices);
    played('o43=0', at(150 * TICK), devices);
    expect(played('i40=0 i40=0 i40=0', at(200 * TICK), devices).values).toEqual(['9c', 'f', '38']);
  });

  test('a closed gate stops the third counter', () => {
    const { devices } = played('o61=1 o43=b0 o42=0 o42=10');
    played('o61=0', at(100 * TICK), devices);
    expect(played('i42=0 i42=0', at(500 * TICK), devices).values).toEqual(['9c', 'f']);
    played('o61=1', at(500 * TICK), devices);
    expect(played('i42=0 i42=0', at(600 * TICK), devices).values).toEqual(['38', 'f']);
  });
});

describe('requests', () => {
  test.each([
    ['the exit port', 'of4=7', 'exit'],
    ['the pulse command of the keyboard controller', 'o64=fe', 'reset'],
    ['its output port', 'o64=d1 o60=fe', 'reset'],
    ['system control port A', 'o92=3', 'reset'],
    ['reset control', 'ocf9=2 ocf9=6', 'reset'],
    ['address line 20 closed', 'o92=0', 'notImplemented'],
    ['address line 20 closed by the controller', 'o64=d1 o60=dd', 'notImplemented'],
    ['setting the clock', 'o70=4 o71=12', 'notImplemented'],
  ])('%s', (_, script, kind) => {
    expect(played(script).requests).toEqual([kind]);
  });

  test('the exit port takes every width', () => {
    for (const [sizeBytes, value] of [
      [1, 0x12],
      [2, 0x1234],
      [4, 0x12345678],
    ] as const) {
      const devices = new Devices();
      expect(devices.write(0xf4, sizeBytes, value, AROUND)).toEqual({ kind: 'exit' });
      expect(devices.state.exitPort.value).toBe(value);
    }
  });
});

describe('dispatch', () => {
  test('no port has two devices', () => {
    const ports = [...PORT_RANGES, ...IRQCHIP_PORTS].flatMap(({ first, last }) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i),
    );
    expect(new Set(ports).size).toBe(ports.length);
  });

  test('wide accesses reach bytes of consecutive ports, low byte first', () => {
    const devices = new Devices();
    devices.write(0x3f8, 2, 0x0341, AROUND);
    expect(devices.state.com1).toMatchObject({ sent: [0x41], interruptEnable: 3 });
    expect(devices.read(0x3fe, 4, AROUND)).toBe(0xffff00b0);
    expect(devices.read(0xcf8, 4, AROUND)).toBe(0xffff00ff);
  });

  test('the state is plain data', () => {
    const { devices } = played('o3f8=41 o43=30 o70=40 o71=1 w510=5');
    const copy = new Machinery();
    copy.state = devices.state;
    const script = 'i40=0 i71=0 i511=0';
    expect(played(script, AROUND, copy).values).toEqual(played(script, AROUND, devices).values);
  });
});

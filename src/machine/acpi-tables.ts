// ACPI tables for multiboot programs: where the PM timer is, which processors and I/O APIC there
// are, and that the interval timer is at pin 2 of it. ACPI specification 1.0, "ACPI Software
// Programming Model", and 2.0 for the MADT's entries. They lie where PCs have their firmware, and
// say nothing of what does not exist here: no events, no sleep states, no devices in the namespace.

import { encodeUtf8 } from '../sim/index.ts';
import { PM_TIMER_PORT } from './devices/pm-timer.ts';

/** Bytes to be written to guest-physical memory. */
interface Table {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Where tables begin, with the pointer that programs look for; at a multiple of 16. */
export const ACPI_TABLES = 0xf0000;
/** Room for as many processors as there can be. */
export const ACPI_BYTES = 0x1000;

const LOCAL_APIC = 0xfee00000;
const IO_APIC = 0xfec00000;
const SCI_LINE = 9;

const HEADER_BYTES = 36;
const OEM = 'VMXLAB';
const OEM_TABLE = 'VMXLAB  ';

const Place = { RSDT: 0x40, FACS: 0x80, DSDT: 0xc0, FADT: 0x100, MADT: 0x200 } as const;

/** Offsets in the FADT of ACPI 1.0. */
const Fadt = {
  FIRMWARE_CTRL: 36,
  DSDT: 40,
  INT_MODEL: 44,
  SCI_INT: 46,
  PM_TMR_BLK: 76,
  PM_TMR_LEN: 91,
  P_LVL2_LAT: 96,
  P_LVL3_LAT: 98,
  CENTURY: 108,
  FLAGS: 112,
  BYTES: 116,
} as const;

/** WBINVD works; all processors have C1; there are neither power nor sleep buttons. */
const FADT_FLAGS = (1 << 0) | (1 << 2) | (1 << 4) | (1 << 5);
const CENTURY_REGISTER = 0x32;
/** Longer than that, C2 and C3 do not exist. */
const NO_C2 = 101;
const NO_C3 = 1001;

function put(bytes: Uint8Array, at: number, text: string): void {
  bytes.set(encodeUtf8(text), at);
}

function fixChecksum(bytes: Uint8Array, at: number): void {
  bytes[at] = 0;
  bytes[at] = -bytes.reduce((sum, byte) => sum + byte, 0);
}

/** A table with its header; `fill` writes the rest. */
function table(
  signature: string,
  lengthBytes: number,
  revision: number,
  fill: (view: DataView) => void,
): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  const view = new DataView(bytes.buffer);
  put(bytes, 0, signature);
  view.setUint32(4, lengthBytes, true);
  view.setUint8(8, revision);
  put(bytes, 10, OEM);
  put(bytes, 16, OEM_TABLE);
  view.setUint32(24, 1, true);
  put(bytes, 28, 'VMXL');
  view.setUint32(32, 1, true);
  fill(view);
  fixChecksum(bytes, 9);
  return bytes;
}

function rootPointer(): Uint8Array {
  const bytes = new Uint8Array(20);
  put(bytes, 0, 'RSD PTR ');
  put(bytes, 9, OEM);
  new DataView(bytes.buffer).setUint32(16, ACPI_TABLES + Place.RSDT, true);
  fixChecksum(bytes, 8);
  return bytes;
}

function fixedTable(): Uint8Array {
  return table('FACP', Fadt.BYTES, 1, (view) => {
    view.setUint32(Fadt.FIRMWARE_CTRL, ACPI_TABLES + Place.FACS, true);
    view.setUint32(Fadt.DSDT, ACPI_TABLES + Place.DSDT, true);
    view.setUint8(Fadt.INT_MODEL, 1);
    view.setUint16(Fadt.SCI_INT, SCI_LINE, true);
    view.setUint32(Fadt.PM_TMR_BLK, PM_TIMER_PORT, true);
    view.setUint8(Fadt.PM_TMR_LEN, 4);
    view.setUint16(Fadt.P_LVL2_LAT, NO_C2, true);
    view.setUint16(Fadt.P_LVL3_LAT, NO_C3, true);
    view.setUint8(Fadt.CENTURY, CENTURY_REGISTER);
    view.setUint32(Fadt.FLAGS, FADT_FLAGS, true);
  });
}

function processorTable(processorCount: number): Uint8Array {
  const entries: readonly (readonly number[])[] = [
    // Local APICs, enabled: ACPI id, APIC id, flags.
    ...Array.from({ length: processorCount }, (_, id) => [0, 8, id, id, 1, 0, 0, 0]),
    // The I/O APIC: id, address, first line.
    [1, 12, 0, 0, ...littleEndian(IO_APIC), ...littleEndian(0)],
    // ISA line 0 is at 2, with the polarity and trigger mode of its bus.
    [2, 10, 0, 0, ...littleEndian(2), 0, 0],
  ];
  const rest = Uint8Array.from(entries.flat());
  return table('APIC', HEADER_BYTES + 8 + rest.length, 1, (view) => {
    view.setUint32(HEADER_BYTES, LOCAL_APIC, true);
    // There are 8259s as well.
    view.setUint32(HEADER_BYTES + 4, 1, true);
    new Uint8Array(view.buffer).set(rest, HEADER_BYTES + 8);
  });
}

function littleEndian(value: number): readonly number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
}

function controlStructure(): Uint8Array {
  const bytes = new Uint8Array(64);
  put(bytes, 0, 'FACS');
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  return bytes;
}

/** All tables, for a machine with so many processors. */
export function acpiTables(processorCount: number): readonly Table[] {
  const places: readonly number[] = [Place.FADT, Place.MADT];
  const root = table('RSDT', HEADER_BYTES + 4 * places.length, 1, (view) => {
    for (const [i, place] of places.entries()) {
      view.setUint32(HEADER_BYTES + 4 * i, ACPI_TABLES + place, true);
    }
  });
  const tables: readonly (readonly [number, Uint8Array])[] = [
    [0, rootPointer()],
    [Place.RSDT, root],
    [Place.FACS, controlStructure()],
    [Place.DSDT, table('DSDT', HEADER_BYTES, 1, () => {})],
    [Place.FADT, fixedTable()],
    [Place.MADT, processorTable(processorCount)],
  ];
  return tables.map(([place, bytes]) => ({ address: ACPI_TABLES + place, bytes }));
}

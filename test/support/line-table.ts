// A line table of DWARF debug information made by hand.

import { little } from './elf-image.ts';

export interface LineTableOptions {
  /** The 64-bit format of DWARF, which says nothing of the program. */
  readonly is64?: boolean;
  /** Address of the first row. */
  readonly start?: number;
  /** Width of an address of the program. */
  readonly addressBytes?: 4 | 8;
}

/**
 * A line table by hand after DWARF 5, "Line Number Information": lib.c in folder src, rows at
 * offsets 0 (line 10), 8 (line 12) and 16 (line 9), end at 288.
 */
export function lineTable(
  version: 2 | 4 | 5,
  { is64 = false, start = 0x200000, addressBytes = 8 }: LineTableOptions = {},
): Uint8Array {
  const offset = (value: number) => little(value, is64 ? 8 : 4);
  const string = (value: string) => [...Buffer.from(value), 0];
  // DW_LNCT_path as DW_FORM_string, DW_LNCT_directory_index as DW_FORM_udata.
  const lists =
    version === 5
      ? [
          ...[1, 1, 0x08, 2, ...string('/where'), ...string('src')],
          ...[2, 1, 0x08, 2, 0x0b, 2, ...string('main.c'), 0, ...string('lib.c'), 1],
        ]
      : [...string('src'), 0, ...string('lib.c'), 1, 0, 0, 0];
  const tables = [
    // Minimum instruction length, operations (from 4 on), is_stmt, line base -3, range 12, base 10.
    ...[1, ...(version >= 4 ? [1] : []), 1, 0xfd, 12, 10],
    ...[0, 1, 1, 1, 1, 0, 0, 0, 1, ...lists],
  ];
  const program = [
    ...[0, 1 + addressBytes, 2, ...little(start, addressBytes)],
    // advance_line 9, copy: line 10.
    ...[3, 9, 1],
    // Special: address +8, line +2; 10 + 8 * 12 + (2 + 3).
    10 + 8 * 12 + 5,
    // set_column 5, advance_pc 8, advance_line -3, copy.
    ...[5, 5, 2, 8, 3, 0x7d, 1],
    // fixed_advance_pc 272, end_sequence.
    ...[9, 0x10, 0x01, 0, 1, 1],
  ];
  const header = [
    ...little(version, 2),
    ...(version === 5 ? [addressBytes, 0] : []),
    ...offset(tables.length),
  ];
  const body = [...header, ...tables, ...program];
  return Uint8Array.from([...(is64 ? little(0xffffffff, 4) : []), ...offset(body.length), ...body]);
}

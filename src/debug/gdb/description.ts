// What gdb reads about the target as XML: its registers, where memory is, and which threads there
// are. gdb's manual, "Target Description Format", "Memory Map Format" and "Thread List Format".

import { FEATURES, type RegisterFeature, type RegisterType } from './registers.ts';
import type { GdbThread } from './target.ts';

/** The target description: 64-bit, whatever mode the guest is in. */
export function targetDescription(): string {
  return [
    '<?xml version="1.0"?>',
    '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
    '<target version="1.0">',
    '<architecture>i386:x86-64</architecture>',
    ...FEATURES.flatMap(featureLines),
    '</target>',
    '',
  ].join('\n');
}

function featureLines({ name, types, registers }: RegisterFeature): string[] {
  return [
    `<feature name="${name}">`,
    ...types.map(typeLine),
    ...registers.map(({ name: register, bits, type, group }) => {
      const width = `bitsize="${bits}" type="${type}" group="${group}"`;
      return `<reg name="${register}" ${width} save-restore="no"/>`;
    }),
    '</feature>',
  ];
}

function typeLine(type: RegisterType): string {
  switch (type.kind) {
    case 'flags': {
      const fields = type.bits.map(
        ([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`,
      );
      return `<flags id="${type.name}" size="${type.bytes}">${fields.join('')}</flags>`;
    }
    case 'vector':
      return `<vector id="${type.name}" type="${type.of}" count="${type.count}"/>`;
    case 'union': {
      const fields = type.fields.map(([name, of]) => `<field name="${name}" type="${of}"/>`);
      return `<union id="${type.name}">${fields.join('')}</union>`;
    }
  }
}

/**
 * gdb's addresses are linear, and a guest may map its memory anywhere: everything canonical may be
 * memory, and what is not mapped answers with an error.
 */
export const MEMORY_MAP = [
  '<?xml version="1.0"?>',
  '<memory-map>',
  '<memory type="ram" start="0x0" length="0x800000000000"/>',
  '<memory type="ram" start="0xffff800000000000" length="0x800000000000"/>',
  '</memory-map>',
  '',
].join('\n');

/** The threads, with names, what they are doing, and the pCPU of those that have one. */
export function threadList(threads: readonly GdbThread[]): string {
  const lines = threads.map(({ process, thread, name, core, activity }) => {
    const where = core === null ? '' : ` core="${core}"`;
    const id = `p${process.toString(16)}.${thread.toString(16)}`;
    return `<thread id="${id}"${where} name="${escapeXml(name)}">${escapeXml(activity)}</thread>`;
  });
  return ['<?xml version="1.0"?>', '<threads>', ...lines, '</threads>', ''].join('\n');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]);
}

// memory: the bytes of one virtual machine. Knows nothing of guest addresses.
//
//   import { PAGE_SIZE, PhysicalMemory } from 'vmxlab/memory';
//   const memory = new PhysicalMemory(64 * PAGE_SIZE);
//   memory.write(0x1000, Uint8Array.of(0x90, 0xf4));
//   memory.touchedPages(); // [1]

export {
  LINE_SIZE,
  type LineChanging,
  type LineWritten,
  PAGE_SHIFT,
  PAGE_SIZE,
  PhysicalMemory,
  type SavedPages,
  Watch,
  type WatchKind,
} from './physical-memory.ts';

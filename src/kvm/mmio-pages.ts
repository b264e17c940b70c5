// Pages that no memory slot backs, once a guest has touched them: their EPT entry is one that no
// processor accepts, so that the next access exits as a misconfiguration, and KVM knows at once
// that a device is meant. Linux arch/x86/kvm/mmu/spte.c, make_mmio_spte (module parameter
// mmio_caching); mmu.c, handle_mmio_page_fault.

import { PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';
import type { EptBuilder } from '../vmx/index.ts';

export class MmioPages {
  /** Pages of host memory for the EPT tables on the way to the entries. */
  static readonly PAGES = 8;

  private readonly ept: EptBuilder;
  private readonly firstTable: number;
  /** How many tables are used; part of a snapshot. */
  tablesUsed = 0;

  constructor(memory: PhysicalMemory, ept: EptBuilder) {
    this.ept = ept;
    this.firstTable = memory.allocatePages(MmioPages.PAGES);
  }

  /**
   * A guest has touched a page without slot. Where there is no table left, it stays as it is, and
   * false comes back.
   */
  mark(gpa: number): boolean {
    return this.ept.misconfigure(gpa, () => {
      if (this.tablesUsed === MmioPages.PAGES) return null;
      return this.firstTable + PAGE_SIZE * this.tablesUsed++;
    });
  }
}

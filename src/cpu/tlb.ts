// Cached translations, by privilege and by CR3: so that a guest that switches between a few address
// spaces finds those of each again. They are never older than the entries that they come from, so
// nothing has to be invalidated when CR3 is loaded; see docs/decisions/coherent-tlb.md.

const ENTRY_COUNT = 1024;

/** Words of an entry: tags for read, write and execute, linear high half, hpa of the page. */
export const STRIDE = 8;
export const INDEX_MASK = ENTRY_COUNT - 1;
export const LINEAR_HIGH = 3;
export const PAGE_HPA = 4;
/** No page address is odd. */
export const NO_TAG = 1;

/** What a view says of who accesses. */
export interface Accessor {
  readonly isUser: boolean;
  /** Data in user pages are out of reach: SMAP. */
  readonly isGuarded: boolean;
}

/** Translations at one privilege. */
export class View {
  readonly entries = new Int32Array(ENTRY_COUNT * STRIDE).fill(NO_TAG);
  readonly isUser: boolean;
  readonly isGuarded: boolean;
  /** Has to be set by whoever enters a translation. */
  isUsed = false;

  constructor({ isUser, isGuarded }: Accessor) {
    this.isUser = isUser;
    this.isGuarded = isGuarded;
  }

  flush(): void {
    if (!this.isUsed) return;
    this.entries.fill(NO_TAG);
    this.isUsed = false;
  }
}

/** Translations under one value of CR3. */
export class AddressSpace {
  cr3Low = 0;
  cr3High = 0;
  readonly user = new View({ isUser: true, isGuarded: false });
  readonly supervisor = new View({ isUser: false, isGuarded: false });
  readonly guarded = new View({ isUser: false, isGuarded: true });

  flush(): void {
    this.user.flush();
    this.supervisor.flush();
    this.guarded.flush();
  }
}

/** Address spaces that are kept. */
const SPACE_COUNT = 4;

export class Tlb {
  /** The least recently selected first. */
  private readonly spaces: AddressSpace[] = [new AddressSpace()];

  get current(): AddressSpace {
    return this.spaces[this.spaces.length - 1];
  }

  flush(): void {
    for (const space of this.spaces) space.flush();
  }

  /** Translate under a CR3 from here on. */
  select(cr3Low: number, cr3High: number): void {
    const { spaces } = this;
    const isWanted = (space: AddressSpace) => space.cr3Low === cr3Low && space.cr3High === cr3High;
    if (isWanted(this.current)) return;
    const at = spaces.findIndex(isWanted);
    let space: AddressSpace;
    if (at >= 0) [space] = spaces.splice(at, 1);
    else {
      space = spaces.length < SPACE_COUNT ? new AddressSpace() : (spaces.shift() as AddressSpace);
      space.flush();
      space.cr3Low = cr3Low;
      space.cr3High = cr3High;
    }
    spaces.push(space);
  }
}

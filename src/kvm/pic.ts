// The two 8259A interrupt controllers, the second at line 2 of the first. After the 8259A data
// sheet; edge/level control as in the PIIX4; Linux arch/x86/kvm/i8259.c.

/** One of the two; plain data. Sets of lines are bits of a byte. */
export interface PicChipState {
  /** Requested, in service, masked. */
  irr: number;
  isr: number;
  mask: number;
  /** Lines that are high. */
  lines: number;
  /** Lines that are level-triggered. */
  levels: number;
  /** Vector of the first line, ICW2. */
  base: number;
  /** The line of highest priority. */
  first: number;
  /** Reads of the even port show the lines in service, not those requested. */
  readsInService: boolean;
  /** The next read is a poll. */
  polls: boolean;
  specialMask: boolean;
  specialFullyNested: boolean;
  automaticEnd: boolean;
  rotatesOnAutomaticEnd: boolean;
  /** The initialisation word that the next write to the odd port is, or 0 for the mask. */
  expects: 0 | 2 | 3 | 4;
  /** ICW1 announced an ICW4. */
  hasIcw4: boolean;
  /** ICW1 said that there is no other controller, so no ICW3 follows. */
  isSingle: boolean;
}

export type PicState = readonly [master: PicChipState, slave: PicChipState];

/** Who wants to know what happens to a line, 0 to 15. */
export interface PicOwner {
  /** Its interrupt has ended. */
  acknowledged(line: number): void;
  /** It has been masked, or unmasked. */
  maskChanged(line: number, masked: boolean): void;
}

const Icw1 = { IC4: 0x01, SINGLE: 0x02, INITIALISE: 0x10 } as const;
const Icw4 = { AUTOMATIC_END: 0x02, SPECIAL_FULLY_NESTED: 0x10 } as const;
const Ocw3 = { SELECT: 0x08, POLL: 0x04, READ: 0x02, READ_ISR: 0x01 } as const;
const SpecialMask = { CHANGE: 0x40, SET: 0x20 } as const;
/** What OCW2 asks for, bits 7:5. */
const Ocw2 = {
  ROTATE_OFF: 0,
  END: 1,
  END_OF_LINE: 3,
  ROTATE_ON: 4,
  ROTATE_AND_END: 5,
  SET_PRIORITY: 6,
  ROTATE_AND_END_OF_LINE: 7,
} as const;

/** Lines that are always edge-triggered: timer, keyboard, cascade; clock and coprocessor. */
const FIXED_EDGE = [0x07, 0x21] as const;

const CASCADE = 2;
const SPURIOUS = 7;

const newChip = (): PicChipState => ({
  irr: 0,
  isr: 0,
  mask: 0,
  lines: 0,
  levels: 0,
  base: 0,
  first: 0,
  readsInService: false,
  polls: false,
  specialMask: false,
  specialFullyNested: false,
  automaticEnd: false,
  rotatesOnAutomaticEnd: false,
  expects: 0,
  hasIcw4: false,
  isSingle: false,
});

export class PicPair {
  state: PicState = [newChip(), newChip()];
  private readonly owner: PicOwner;

  constructor(owner: PicOwner) {
    this.owner = owner;
  }

  /** True if the first controller asks the processor for an interrupt. */
  get output(): boolean {
    return this.requested(0) >= 0;
  }

  /**
   * A line goes high or low. 0 if it asks for an interrupt that was requested already, -1 if it is
   * masked, else 1 (pic_set_irq1).
   */
  setLine(line: number, high: boolean): -1 | 0 | 1 {
    const chip = this.state[line >> 3];
    const bit = 1 << (line & 7);
    const wasRequested = (chip.irr & bit) !== 0;
    const rises = high && (chip.lines & bit) === 0;
    chip.lines = high ? chip.lines | bit : chip.lines & ~bit;
    const isLevel = (chip.levels & bit) !== 0;
    if (isLevel) chip.irr = high ? chip.irr | bit : chip.irr & ~bit;
    else if (rises) chip.irr |= bit;
    this.cascade();
    if ((chip.mask & bit) !== 0) return -1;
    return wasRequested && (isLevel ? high : rises) ? 0 : 1;
  }

  /** The second controller's request is a line of the first. */
  private cascade(): void {
    if (this.requested(1) >= 0) this.state[0].irr |= 1 << CASCADE;
  }

  /** The line of highest priority that asks for an interrupt, or -1. */
  private requested(which: 0 | 1): number {
    const chip = this.state[which];
    const wanted = rank(chip, chip.irr & ~chip.mask);
    let inService = chip.isr;
    if (chip.specialMask) inService &= ~chip.mask;
    // In special fully nested mode the second controller may interrupt its own handler.
    if (chip.specialFullyNested && which === 0) inService &= ~(1 << CASCADE);
    return wanted < rank(chip, inService) ? (wanted + chip.first) & 7 : -1;
  }

  /** The processor acknowledges an interrupt: its vector. */
  acknowledge(): number {
    const [master, slave] = this.state;
    const line = this.requested(0);
    if (line < 0) return master.base + SPURIOUS;
    this.accept(0, line);
    if (line !== CASCADE) return master.base + line;
    const slaveLine = this.requested(1);
    if (slaveLine >= 0) this.accept(1, slaveLine);
    this.cascade();
    return slave.base + (slaveLine >= 0 ? slaveLine : SPURIOUS);
  }

  private accept(which: 0 | 1, line: number): void {
    const chip = this.state[which];
    const bit = 1 << line;
    chip.isr |= bit;
    if ((chip.levels & bit) === 0) chip.irr &= ~bit;
    if (!chip.automaticEnd) return;
    if (chip.rotatesOnAutomaticEnd) chip.first = (line + 1) & 7;
    this.end(which, line);
  }

  private end(which: 0 | 1, line: number): void {
    this.state[which].isr &= ~(1 << line);
    this.cascade();
    this.owner.acknowledged(8 * which + line);
  }

  read(which: 0 | 1, port: number): number {
    const chip = this.state[which];
    if (chip.polls) return this.poll(which);
    if (port === 1) return chip.mask;
    return chip.readsInService ? chip.isr : chip.irr;
  }

  /** A poll acknowledges what is requested, and says which line it is. */
  private poll(which: 0 | 1): number {
    this.state[which].polls = false;
    const line = this.requested(which);
    if (line < 0) return 0;
    this.accept(which, line);
    return 0x80 | line;
  }

  write(which: 0 | 1, port: number, value: number): void {
    const chip = this.state[which];
    if (port === 1) this.writeOdd(which, value);
    else if ((value & Icw1.INITIALISE) !== 0) initialise(chip, value);
    else if ((value & Ocw3.SELECT) !== 0) writeOcw3(chip, value);
    else this.writeOcw2(which, value);
    this.cascade();
  }

  private writeOdd(which: 0 | 1, value: number): void {
    const chip = this.state[which];
    const afterThird = chip.hasIcw4 ? 4 : 0;
    switch (chip.expects) {
      case 0:
        this.writeMask(which, value);
        return;
      case 2:
        chip.base = value & 0xf8;
        chip.expects = chip.isSingle ? afterThird : 3;
        return;
      case 3:
        chip.expects = afterThird;
        return;
      case 4:
        chip.automaticEnd = (value & Icw4.AUTOMATIC_END) !== 0;
        chip.specialFullyNested = (value & Icw4.SPECIAL_FULLY_NESTED) !== 0;
        chip.expects = 0;
    }
  }

  private writeMask(which: 0 | 1, value: number): void {
    const chip = this.state[which];
    const changed = chip.mask ^ value;
    chip.mask = value;
    for (let line = 0; line < 8; line++) {
      const bit = 1 << line;
      if ((changed & bit) !== 0) this.owner.maskChanged(8 * which + line, (value & bit) !== 0);
    }
  }

  private writeOcw2(which: 0 | 1, value: number): void {
    const chip = this.state[which];
    const line = value & 7;
    const best = rank(chip, chip.isr);
    const inService = best < 8 ? (best + chip.first) & 7 : -1;
    switch (value >> 5) {
      case Ocw2.ROTATE_OFF:
      case Ocw2.ROTATE_ON:
        chip.rotatesOnAutomaticEnd = value >> 5 === Ocw2.ROTATE_ON;
        return;
      case Ocw2.END:
      case Ocw2.ROTATE_AND_END:
        if (inService < 0) return;
        if (value >> 5 === Ocw2.ROTATE_AND_END) chip.first = (inService + 1) & 7;
        this.end(which, inService);
        return;
      case Ocw2.SET_PRIORITY:
        chip.first = (line + 1) & 7;
        return;
      case Ocw2.END_OF_LINE:
        this.end(which, line);
        return;
      case Ocw2.ROTATE_AND_END_OF_LINE:
        chip.first = (line + 1) & 7;
        this.end(which, line);
    }
  }

  readLevels(which: 0 | 1): number {
    return this.state[which].levels;
  }

  writeLevels(which: 0 | 1, value: number): void {
    this.state[which].levels = value & ~FIXED_EDGE[which];
  }
}

/** How far the best of some lines is behind the one of highest priority; 8 if there is none. */
function rank({ first }: PicChipState, lines: number): number {
  if (lines === 0) return 8;
  let behind = 0;
  while ((lines & (1 << ((behind + first) & 7))) === 0) behind++;
  return behind;
}

/** Edges are forgotten; a level that is still there requests again. */
function initialise(chip: PicChipState, value: number): void {
  chip.mask = 0;
  chip.isr = 0;
  chip.irr &= chip.levels;
  chip.lines &= chip.levels;
  chip.first = 0;
  chip.specialMask = false;
  chip.readsInService = false;
  chip.automaticEnd = false;
  chip.specialFullyNested = false;
  chip.hasIcw4 = (value & Icw1.IC4) !== 0;
  chip.isSingle = (value & Icw1.SINGLE) !== 0;
  chip.expects = 2;
}

function writeOcw3(chip: PicChipState, value: number): void {
  if ((value & Ocw3.POLL) !== 0) chip.polls = true;
  if ((value & Ocw3.READ) !== 0) chip.readsInService = (value & Ocw3.READ_ISR) !== 0;
  if ((value & SpecialMask.CHANGE) !== 0) chip.specialMask = (value & SpecialMask.SET) !== 0;
}

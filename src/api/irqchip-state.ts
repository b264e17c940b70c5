// KVM_GET_IRQCHIP and KVM_SET_IRQCHIP: the registers of the PICs and of the I/O APIC, as struct
// kvm_pic_state and kvm_ioapic_state name them. Linux arch/x86/kvm/irq.c, kvm_vm_ioctl_get_irqchip.

import Long from 'long';
import type { Irqchip, IrqchipState } from '../kvm/index.ts';
import { require } from './errors.ts';
import {
  KVM_IRQCHIP,
  type KvmIoapicState,
  type KvmIrqchip,
  type KvmPicState,
} from './structures.ts';

const IOAPIC_GPA = 0xfec00000;
/** Lines whose trigger mode can be changed, in ELCR. */
const ELCR_MASKS = [0xf8, 0xde] as const;

type Chip = IrqchipState['pic'][number];

export function readIrqchip(irqchip: Irqchip, chipId: number): KvmIrqchip {
  const { pic, ioapic } = irqchip.state;
  switch (chipId) {
    case KVM_IRQCHIP.PIC_MASTER:
    case KVM_IRQCHIP.PIC_SLAVE:
      return { chipId, pic: readPic(pic[chipId], ELCR_MASKS[chipId]) };
    default:
      require(chipId === KVM_IRQCHIP.IOAPIC, 'KVM_GET_IRQCHIP', 'EINVAL', unknown(chipId));
      return {
        chipId,
        ioapic: {
          baseAddress: Long.fromNumber(IOAPIC_GPA, true),
          ioregsel: ioapic.selected,
          id: ioapic.id,
          irr: ioapic.irr,
          redirtbl: ioapic.redirections.map(({ low, high }) => Long.fromBits(low, high, true)),
        },
      };
  }
}

export function writeIrqchip(irqchip: Irqchip, { chipId, pic, ioapic }: KvmIrqchip): void {
  const call = 'KVM_SET_IRQCHIP';
  switch (chipId) {
    case KVM_IRQCHIP.PIC_MASTER:
    case KVM_IRQCHIP.PIC_SLAVE:
      require(pic !== undefined, call, 'EFAULT', 'the state of a PIC is expected');
      writePic(irqchip.state.pic[chipId], pic, ELCR_MASKS[chipId]);
      return;
    default:
      require(chipId === KVM_IRQCHIP.IOAPIC, call, 'EINVAL', unknown(chipId));
      require(ioapic !== undefined, call, 'EFAULT', 'the state of an I/O APIC is expected');
      writeIoapic(irqchip.state.ioapic, ioapic);
  }
}

const unknown = (chipId: number) => `there is no controller ${chipId}`;
const bit = (value: boolean) => (value ? 1 : 0);

function readPic(chip: Chip, elcrMask: number): KvmPicState {
  return {
    lastIrr: chip.lines,
    irr: chip.irr,
    imr: chip.mask,
    isr: chip.isr,
    priorityAdd: chip.first,
    irqBase: chip.base,
    readRegSelect: bit(chip.readsInService),
    poll: bit(chip.polls),
    specialMask: bit(chip.specialMask),
    // The state counts what is still to come from 1.
    initState: chip.expects === 0 ? 0 : chip.expects - 1,
    autoEoi: bit(chip.automaticEnd),
    rotateOnAutoEoi: bit(chip.rotatesOnAutomaticEnd),
    specialFullyNestedMode: bit(chip.specialFullyNested),
    init4: bit(chip.hasIcw4),
    elcr: chip.levels,
    elcrMask,
  };
}

function writePic(chip: Chip, pic: KvmPicState, elcrMask: number): void {
  chip.lines = pic.lastIrr & 0xff;
  chip.irr = pic.irr & 0xff;
  chip.mask = pic.imr & 0xff;
  chip.isr = pic.isr & 0xff;
  chip.first = pic.priorityAdd & 7;
  chip.base = pic.irqBase & 0xf8;
  chip.readsInService = pic.readRegSelect !== 0;
  chip.polls = pic.poll !== 0;
  chip.specialMask = pic.specialMask !== 0;
  chip.expects = EXPECTED[pic.initState & 3];
  chip.automaticEnd = pic.autoEoi !== 0;
  chip.rotatesOnAutomaticEnd = pic.rotateOnAutoEoi !== 0;
  chip.specialFullyNested = pic.specialFullyNestedMode !== 0;
  chip.hasIcw4 = pic.init4 !== 0;
  chip.levels = pic.elcr & elcrMask;
}

/** By `init_state`, the initialisation word that comes next. */
const EXPECTED = [0, 2, 3, 4] as const;

function writeIoapic(state: IrqchipState['ioapic'], given: KvmIoapicState): void {
  state.selected = given.ioregsel & 0xff;
  state.id = given.id & 0xf;
  state.irr = given.irr;
  for (const [pin, entry] of state.redirections.entries()) {
    const { low, high } = Long.fromValue(given.redirtbl[pin] ?? 0);
    entry.low = low;
    entry.high = high;
  }
}

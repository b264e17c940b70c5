// PAUSE in the compiling domain: as long as the watch allows, it only moves the watch on; the first
// that does not is the interpreter's, who asks the owner. SDM 3, "PAUSE-Loop Exiting".

import { BlockVectors } from './block-vectors.ts';
import { CompiledOffset } from './left-behind.ts';
import { Op, Type } from './module.ts';
import { long, type Node, narrow, not, or32, plain, result } from './nodes.ts';

const NOTHING = plain(Op.f64ReinterpretI64, Type.F64, long(0n));

const is = (op: number, x: Node, y: Node) => narrow(1, op, Type.I32, x, y);
const minus = (x: Node, y: Node) => plain(Op.f64Sub, Type.F64, x, y);

export class BlockPauses extends BlockVectors {
  /** @param cycles that the block has taken before */
  protected watchPause(cycles: number): void {
    this.giveUpIf(not(this.stateWord(CompiledOffset.PAUSES / 4)));
    const now = result(Type.F64, 64);
    this.effects.push({ kind: 'clock', cycles, result: now });
    const last = this.stateDouble(CompiledOffset.LAST);
    const gap = this.stateDouble(CompiledOffset.GAP);
    const begins = or32(is(Op.f64Lt, last, NOTHING), is(Op.f64Gt, minus(now, last), gap));
    const whenTrue = this.apart(() => this.note(CompiledOffset.FIRST, now));
    const whenFalse = this.apart(() => {
      const lasting = minus(now, this.stateDouble(CompiledOffset.FIRST));
      this.giveUpIf(is(Op.f64Gt, lasting, this.stateDouble(CompiledOffset.WINDOW)));
    });
    this.effects.push({ kind: 'if', condition: begins, whenTrue, whenFalse });
    this.note(CompiledOffset.LAST, now);
  }

  private note(offset: number, value: Node): void {
    this.effects.push({ kind: 'storeState', offset, value });
  }
}

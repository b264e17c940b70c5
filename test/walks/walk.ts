// A random walk of a debugger through a run, forwards and backwards by any mix of motions. Whoever
// comes to an event number must find the state that everybody finds there: also who went there
// without a pause, which a difference is held against.

import type Long from 'long';
import {
  createSession,
  type Direction,
  type Motion,
  type Position,
  type Session,
} from '../../src/debug/index.ts';
import { eventOf } from '../../src/debug/position.ts';
import type { Scenario } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { guestProgram, scenarioOf } from '../support/guest-run.ts';

export interface Scene {
  readonly name: string;
  readonly scenario: Scenario;
  readonly program: Uint8Array;
}

export const LOCK: Scene = {
  name: 'a lock on too few pCPUs',
  scenario: scenarioOf({ vcpus: 4, pcpus: 2, hogs: 1, hz: 1000 }),
  program: guestProgram('lock-ticket-pv.asm', { ITERATIONS: '20' }),
};

export const SCENES: readonly Scene[] = [
  LOCK,
  {
    name: 'five kinds of exits',
    scenario: scenarioOf({ vcpus: 2, pcpus: 2 }),
    program: guestProgram('five-exits.asm', { ROUNDS: '5' }),
  },
  {
    name: 'inter-processor interrupts',
    scenario: scenarioOf({ vcpus: 2, pcpus: 2 }),
    program: guestProgram('ipi-pingpong.asm', { ROUNDS: '5' }),
  },
];

/** One thing that the walker did, and where it came by that. */
export type Move =
  | { readonly kind: 'goto'; readonly to: Position }
  /** To a code breakpoint, which is there for this move only. */
  | { readonly kind: 'stop'; readonly address: Long; readonly direction: Direction }
  | { readonly kind: 'run'; readonly motion: Motion; readonly direction: Direction };

/** A place at which the state was another one than before. */
export interface Difference {
  readonly place: Position;
  /** Every move up to there. */
  readonly moves: readonly Move[];
  /** Items of the state there, and of the state to which one gets without a pause. */
  readonly items: readonly string[];
}

export interface Walk {
  readonly session: Session;
  /** How many steps led forwards and backwards. */
  readonly forward: number;
  readonly backward: number;
  readonly difference: Difference | null;
}

/** One in so many moves is one to a breakpoint: those may be long ones. */
const STOPS = 32;

/** Guest instructions between two snapshots: few, so that a walk comes from many of them. */
const SNAPSHOT_INTERVAL = 20_000;

export function sessionOf({ scenario, program }: Scene): Session {
  return createSession(scenario, { programs: [program] }, { snapshotInterval: SNAPSHOT_INTERVAL });
}

/**
 * Walk for some moves, each of one to four equal steps; or up to a difference.
 * @param isHeld each place, when it is new, is held against a run that goes straight there
 */
export function walk(scene: Scene, moveCount: number, seed: number, isHeld = false): Walk {
  return new Walker(scene, seed, isHeld).walk(moveCount);
}

class Walker {
  private readonly scene: Scene;
  private readonly isHeld: boolean;
  private readonly session: Session;
  private readonly prng: Prng;
  private readonly moves: Move[] = [];
  private readonly seen: Position[] = [];
  private readonly hashes = new Map<number, string>();
  private readonly steps = { forward: 0, backward: 0 };

  constructor(scene: Scene, seed: number, isHeld: boolean) {
    this.scene = scene;
    this.isHeld = isHeld;
    this.session = sessionOf(scene);
    this.prng = new Prng(seed);
    this.isAsBefore();
  }

  walk(moveCount: number): Walk {
    let isSame = true;
    for (let i = 0; i < moveCount && isSame; i++) isSame = this.move();
    const difference = isSame ? null : this.difference();
    return { session: this.session, ...this.steps, difference };
  }

  /** False if it comes to another state than before. */
  private move(): boolean {
    const { prng, seen, session } = this;
    // Some walks begin far away: the end draws, as more steps lead forward.
    if (prng.below(4) === 0) {
      const to = seen[prng.below(seen.length)];
      this.moves.push({ kind: 'goto', to });
      session.goTo(to);
      if (!this.isAsBefore()) return false;
    }
    const direction = prng.below(5) < 2 ? 'backward' : 'forward';
    const vcpu = prng.below(session.vcpus.length);
    if (prng.below(STOPS) === 0)
      return this.continueTo(session.readRegister(vcpu, 'rip'), direction);
    const motions: Motion[] = [
      { kind: 'instruction', vcpu },
      { kind: 'exit', vcpu: prng.below(2) === 0 ? vcpu : null },
      { kind: 'host' },
    ];
    const motion = motions[prng.below(motions.length)];
    for (let n = 1 + prng.below(4); n > 0; n--) {
      this.moves.push({ kind: 'run', motion, direction });
      session.run(motion, direction);
      this.steps[direction]++;
      if (!this.isAsBefore()) return false;
    }
    return true;
  }

  /** Go on to where the code at an address is executed next, or was last; false as {@link move}. */
  private continueTo(address: Long, direction: Direction): boolean {
    const { session } = this;
    this.moves.push({ kind: 'stop', address, direction });
    const { id } = session.breakpoints.add({ kind: 'address', address });
    session.continue(direction);
    session.breakpoints.remove(id);
    // Where the run ends, no boundary need be.
    return session.when.isEnd === true || this.isAsBefore();
  }

  /** Whether the state here is the one that was found here first, if this is not the first time. */
  private isAsBefore(): boolean {
    const { when, machine } = this.session;
    if (when.isEnd !== true && eventOf(machine) !== when.event) return false;
    const hash = this.session.stateHash();
    const known = this.hashes.get(when.event);
    if (known === undefined && this.isHeld && !this.isAsStraight(hash)) return false;
    if (known === undefined) {
      this.hashes.set(when.event, hash);
      this.seen.push(when);
    }
    return known === undefined || known === hash;
  }

  private isAsStraight(hash: string): boolean {
    const { when } = this.session;
    const straight = sessionOf(this.scene);
    if (when.isEnd !== true) straight.goTo(when);
    return when.isEnd === true || straight.stateHash() === hash;
  }

  private difference(): Difference {
    const place = this.session.when;
    const straight = sessionOf(this.scene);
    straight.goTo(place);
    const items = differences(stateOf(this.session), stateOf(straight));
    const none = 'none: it is the earlier state that differs from the one without a pause';
    return { place, moves: this.moves, items: items.length === 0 ? [none] : items };
  }
}

/** What of a session's state is plain data. */
function stateOf({ machine }: Session): unknown {
  const { memory, reached: _, ...state } = machine.snapshot();
  const pages = memory.map((saved) => [...saved].map(([number, bytes]) => [number, [...bytes]]));
  return JSON.parse(JSON.stringify({ ...state, pages }));
}

/** Where two plain values differ, as paths with both values. */
export function differences(one: unknown, other: unknown, path = ''): readonly string[] {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) {
    return one === other ? [] : [`${path}: ${JSON.stringify(one)}, not ${JSON.stringify(other)}`];
  }
  const [left, right] = [one, other] as Readonly<Record<string, unknown>>[];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap((key) =>
    differences(left[key], right[key], path === '' ? key : `${path}.${key}`),
  );
}

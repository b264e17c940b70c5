// The locks of guest-programs/locks, and what tests give them.

/**
 * What a lock wants of the host: nothing, kicks for who halts, the hypercall LOCK_WAIT, or that
 * its holders are not preempted for a while (PREEMPT_GRANT).
 */
export type LockNeeds = 'nothing' | 'kicks' | 'lock-wait' | 'grants';

export interface LockEntry {
  /** For `-D LOCK=NAME`. */
  readonly name: string;
  readonly needs: LockNeeds;
  /**
   * What bounds its loops, as macros of 1: looks before it sleeps, or before a waiter gets in
   * line. A loop that counts has a state for each count.
   */
  readonly bounds: readonly ('LOCK_SPINS' | 'PENDING_LOOKS')[];
}

export const LOCKS: readonly LockEntry[] = [
  { name: 'tas', needs: 'nothing', bounds: [] },
  { name: 'ttas', needs: 'nothing', bounds: [] },
  { name: 'virt-spin', needs: 'nothing', bounds: [] },
  { name: 'ticket', needs: 'nothing', bounds: [] },
  { name: 'mcs', needs: 'nothing', bounds: [] },
  { name: 'qspinlock', needs: 'nothing', bounds: ['PENDING_LOOKS'] },
  { name: 'pv-ticket', needs: 'kicks', bounds: ['LOCK_SPINS'] },
  { name: 'pv-qspinlock', needs: 'kicks', bounds: ['LOCK_SPINS'] },
  { name: 'byte-yield', needs: 'lock-wait', bounds: ['LOCK_SPINS'] },
  { name: 'ticket-yield', needs: 'lock-wait', bounds: ['LOCK_SPINS'] },
  { name: 'mcs-yield', needs: 'lock-wait', bounds: ['LOCK_SPINS'] },
  { name: 'mcs-predecessor', needs: 'lock-wait', bounds: ['LOCK_SPINS'] },
  { name: 'qspinlock-holder', needs: 'lock-wait', bounds: ['LOCK_SPINS'] },
  { name: 'owner-preempted', needs: 'lock-wait', bounds: [] },
  { name: 'defer', needs: 'grants', bounds: [] },
];

/** Names of the locks that want this. */
export function locksThatNeed(needs: LockNeeds): readonly string[] {
  return LOCKS.filter((lock) => lock.needs === needs).map(({ name }) => name);
}

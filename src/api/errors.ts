// What a call of the KVM API fails with: the errno that the kernel's ioctl returns.

/** Error numbers by name, as on Linux. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ENOTTY: 25,
  EDEADLK: 35,
} as const;

export type ErrnoName = keyof typeof Errno;

/** A call failed; {@link errno} is the name of the number that the ioctl would have returned. */
export class KvmError extends Error {
  override readonly name = 'KvmError';
  readonly errno: ErrnoName;
  /** Name of the ioctl. */
  readonly call: string;

  /** @param detail what was wrong, for people */
  constructor(call: string, errno: ErrnoName, detail: string) {
    super(`${call}: ${errno}: ${detail}`);
    this.errno = errno;
    this.call = call;
  }
}

/** Throw a {@link KvmError} unless a condition holds. */
export function require(
  condition: boolean,
  call: string,
  errno: ErrnoName,
  detail: string,
): asserts condition {
  if (!condition) throw new KvmError(call, errno, detail);
}

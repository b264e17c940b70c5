// Scheduling domains: among which pCPUs threads are balanced, from near to far. Linux
// kernel/sched/topology.c; here pCPUs that share a last-level cache, and all of them.

/** One domain as one pCPU sees it. */
export interface Domain {
  /** Indexes of pCPUs by group; load moves from group to group. */
  readonly groups: readonly (readonly number[])[];
  /** The group of the pCPU itself. */
  readonly local: number;
  /** All of them share a cache. */
  readonly sharesCache: boolean;
  /** Number of pCPUs. */
  readonly size: number;
  /** Failures to balance after which threads with warm caches are moved too. */
  readonly cacheNiceTries: number;
}

/** pCPUs by package, as evenly as they go. */
export function packagesOf(pcpuCount: number, packages: number): readonly number[][] {
  const size = Math.ceil(pcpuCount / packages);
  return Array.from({ length: Math.ceil(pcpuCount / size) }, (_, i) =>
    Array.from({ length: Math.min(size, pcpuCount - i * size) }, (_, k) => i * size + k),
  );
}

/** The domains of a pCPU, from near to far; none if it is alone. */
export function domainsOf(index: number, packages: readonly (readonly number[])[]): Domain[] {
  const home = packages.findIndex((one) => one.includes(index));
  const domains: Domain[] = [];
  const near = packages[home];
  if (near.length > 1) {
    domains.push({
      groups: near.map((pcpu) => [pcpu]),
      local: near.indexOf(index),
      sharesCache: true,
      size: near.length,
      cacheNiceTries: 1,
    });
  }
  if (packages.length > 1) {
    const size = packages.reduce((sum, one) => sum + one.length, 0);
    domains.push({ groups: packages, local: home, sharesCache: false, size, cacheNiceTries: 2 });
  }
  return domains;
}

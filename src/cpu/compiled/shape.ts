// The control flow of a region as WebAssembly wants it: a tree of dominators, which branches go
// back to a loop around them, and where ways meet. Norman Ramsey, "Beyond Relooper: Recursive
// Translation of Unstructured Control Flow to Structured Control Flow" (2022). An edge that enters
// a loop in its middle is cut: it leaves the region.

/** Nodes are numbered from the entry, 0. */
export interface Shape {
  /** Position in reverse postorder; nodes that cannot be reached have none, -1. */
  readonly order: readonly number[];
  /** Nodes that each node dominates immediately, in that order. */
  readonly children: readonly (readonly number[])[];
  readonly isLoopHeader: readonly boolean[];
  /** More than one edge leads to it from before. */
  readonly isMerge: readonly boolean[];
  /** What an edge is. */
  edge(from: number, to: number): 'forward' | 'back' | 'cut';
}

export function shapeOf(successors: readonly (readonly number[])[]): Shape {
  const postorder = postorderOf(successors);
  const order = successors.map(() => -1);
  postorder.forEach((node, i) => {
    order[node] = postorder.length - 1 - i;
  });
  const sequence = [...postorder].reverse();
  const parents = dominators(successors, sequence, order);
  const dominates = (a: number, b: number): boolean => {
    let node = b;
    while (order[node] > order[a]) node = parents[node];
    return node === a;
  };
  const edge = (from: number, to: number) => {
    if (order[to] > order[from]) return 'forward';
    return dominates(to, from) ? 'back' : 'cut';
  };
  const children: number[][] = successors.map(() => []);
  const isLoopHeader = successors.map(() => false);
  const forward = successors.map(() => 0);
  for (const node of sequence) {
    if (node !== 0) children[parents[node]].push(node);
    for (const to of successors[node]) {
      if (edge(node, to) === 'forward') forward[to]++;
      else if (edge(node, to) === 'back') isLoopHeader[to] = true;
    }
  }
  return { order, children, isLoopHeader, isMerge: forward.map((count) => count > 1), edge };
}

function postorderOf(successors: readonly (readonly number[])[]): number[] {
  const seen = successors.map(() => false);
  const postorder: number[] = [];
  const path: { node: number; next: number }[] = [{ node: 0, next: 0 }];
  seen[0] = true;
  while (path.length > 0) {
    const top = path[path.length - 1];
    const to = successors[top.node][top.next++];
    if (to === undefined) {
      postorder.push(top.node);
      path.pop();
    } else if (!seen[to]) {
      seen[to] = true;
      path.push({ node: to, next: 0 });
    }
  }
  return postorder;
}

/**
 * Immediate dominators. Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
 */
function dominators(
  successors: readonly (readonly number[])[],
  sequence: readonly number[],
  order: readonly number[],
): number[] {
  const predecessors: number[][] = successors.map(() => []);
  for (const node of sequence) for (const to of successors[node]) predecessors[to].push(node);
  const parents = successors.map(() => -1);
  parents[0] = 0;
  const meet = (a: number, b: number): number => {
    let [x, y] = [a, b];
    while (x !== y) {
      while (order[x] > order[y]) x = parents[x];
      while (order[y] > order[x]) y = parents[y];
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of sequence) {
      if (node === 0) continue;
      const known = predecessors[node].filter((from) => parents[from] >= 0);
      const parent = known.reduce(meet);
      if (parents[node] !== parent) {
        parents[node] = parent;
        changed = true;
      }
    }
  }
  return parents;
}

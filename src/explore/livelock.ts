// Which states a search has seen follow which; and those from which none leads to an end.

export interface StateGraph {
  /** One state follows another, by their keys; -1 for the start. */
  edge(from: number, to: number): void;
  /** Nothing follows a state. */
  final(key: number): void;
  /** The search begins again. */
  clear(): void;
  /** Keys of the states from which no way that was seen leads to a final one. */
  endless(): ReadonlySet<number>;
}

export function stateGraph(): StateGraph {
  const before = new Map<number, number[]>();
  const finals: number[] = [];
  return {
    edge: (from, to) => {
      const list = before.get(to);
      if (list === undefined) before.set(to, [from]);
      else list.push(from);
    },
    final: (key) => {
      finals.push(key);
    },
    clear: () => {
      before.clear();
      finals.length = 0;
    },
    endless: () => {
      const ending = new Set(finals);
      const todo = [...finals];
      for (let key = todo.pop(); key !== undefined; key = todo.pop()) {
        for (const from of before.get(key) ?? []) {
          if (ending.has(from)) continue;
          ending.add(from);
          todo.push(from);
        }
      }
      return new Set([...before.keys()].filter((key) => !ending.has(key)));
    },
  };
}

// `vmxlab experiment --explain`: where the time went in chosen cells, on the first of their seeds,
// and with two cells what differs. These runs are made anew: the store keeps what came of runs, not
// how they went.

import {
  type Cell,
  experimentText,
  labelOf,
  type Report,
  type Study,
} from '../experiment/index.ts';
import {
  type Account,
  accountMachine,
  Machine,
  printPath,
  USE_NAMES,
  USES,
  type Use,
} from '../machine/index.ts';
import type { LoadedStudy, PlannedRun } from './experiment-study.ts';
import { Failure } from './failure.ts';
import { loadDocument, NO_INPUT_OPTIONS } from './program.ts';
import { paintFor } from './terminal.ts';

/** More do not fit into a table. */
const MOST_CELLS = 6;

/** Virtual time between two looks at who waits for a lock, in ns. */
const STEP_NS = 100_000;

interface Explained {
  readonly cell: Cell;
  readonly seed: number;
  readonly account: Account;
}

/** What a flag says of cells: `FACTOR=LEVEL`, several separated by commas. */
export function levelsOf(flag: string, words: string): (readonly [string, string])[] {
  return words.split(',').map((word) => {
    const [, factor, level] = /^([^=]+)=(.*)$/.exec(word) ?? [];
    if (factor !== undefined && level !== undefined) return [factor, level] as const;
    throw new Failure(`${flag}: expected FACTOR=LEVEL, not '${word}'`);
  });
}

/** The two cells that `--compare` names. */
export function comparedCells({ study }: LoadedStudy, names: readonly [string, string]): Cell[] {
  return names.map((name) => {
    const levels = levelsOf('--compare', name);
    const found = study.cells.filter((cell) =>
      levels.every(([factor, level]) => String(cell.levels[factor]) === level),
    );
    if (found.length === 1) return found[0];
    const labels = (found.length === 0 ? study.cells : found).map((cell) => labelOf(cell.levels));
    const some = labels.slice(0, MOST_CELLS).join('; ');
    const more = labels.length > MOST_CELLS ? '; and more' : '';
    const text = found.length === 0 ? `is no cell; there are ${some}` : `is each of ${some}`;
    throw new Failure(`--compare: '${name}' ${text}${more}`);
  });
}

/** Run the cells, print where their time went, and return the exit code. */
export function explainCells(loaded: LoadedStudy, cells: readonly Cell[], json: boolean): number {
  if (cells.length > MOST_CELLS) {
    const text = `${cells.length} cells; choose at most ${MOST_CELLS} with --cell`;
    throw new Failure(`--explain: there are ${text}`);
  }
  const explained = cells.map((cell): Explained => {
    const run = loaded.runs.find((one) => one.cell === cell) as PlannedRun;
    return { cell, seed: run.seed, account: accountOf(run, loaded.folder) };
  });
  const text = json
    ? `${JSON.stringify(documentOf(explained), null, 2)}\n`
    : `${experimentText(reportOf(loaded.study, explained), paintFor(process.stdout)).join('\n')}\n`;
  process.stdout.write(text);
  return 0;
}

function accountOf({ document, seed }: PlannedRun, folder: string): Account {
  const describe = ({
    path,
    message,
  }: {
    path: Parameters<typeof printPath>[0];
    message: string;
  }) => `${printPath(path)}: ${message}`;
  const input = loadDocument(document, folder, NO_INPUT_OPTIONS, describe);
  const { programs, modules, symbols, policies } = input;
  const scenario = { ...input.scenario, seed };
  const machine = new Machine(scenario, { programs, modules, symbols, policies });
  return accountMachine(machine, machine.host.frequency.toCycles(STEP_NS)).account;
}

function documentOf(explained: readonly Explained[]) {
  return {
    schemaVersion: 1,
    cells: explained.map(({ cell, seed, account }) => ({
      cell: labelOf(cell.levels),
      seed,
      ...account,
    })),
  };
}

/** Part of a party's time that went into a use; 0 if the cell has no such party. */
function partOf({ account }: Explained, party: string, use: Use): number {
  const uses = account.parties.find(({ name }) => name === party)?.uses;
  if (uses === undefined) return 0;
  return uses[use] / USE_NAMES.reduce((sum, name) => sum + uses[name], 0);
}

function reportOf(study: Study, explained: readonly Explained[]): Report {
  const parties = explained.flatMap(({ account }) => account.parties.map(({ name }) => name));
  const [first, second] = explained;
  const percent = (part: number) => `${(100 * part).toFixed(2)} %`;
  const tables = [...new Set(parties)].map((party) => {
    const rows = USE_NAMES.map((use) => {
      const parts = explained.map((one) => partOf(one, party, use));
      const difference = 100 * (parts[1] - parts[0]);
      const differs = `${difference < 0 ? '' : '+'}${difference.toFixed(2)} pp`;
      return [USES[use], ...parts.map(percent), ...(explained.length === 2 ? [differs] : [])];
    });
    const labels = explained.map(({ cell }) => labelOf(cell.levels));
    const columns = ['use', ...labels, ...(second === undefined ? [] : ['difference'])];
    return {
      title: `Time of ${party}`,
      columns: explained.length === 2 ? columns : ['use', ...labels],
      rows,
      notes: [],
    };
  });
  const note =
    `Of the time of all threads, seed ${first.seed}. Waits for locks are told apart every ` +
    `${STEP_NS / 1000} us; all parts add up to the time that has passed, to the cycle.`;
  const title = `${study.title}: where the time went`;
  return { name: study.name, title, note, tables, figures: [], verdicts: [], problems: [] };
}

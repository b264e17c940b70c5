// The figures that a definition asks for, out of the results: bars of every output if it asks for
// none.

import type { Figure, Mark, TornadoRow } from './figure.ts';
import type { Results } from './results.ts';
import { type Cell, type Factor, type Levels, labelOf, type Output, type Study } from './study.ts';

type FigureRequest = Study['figures'][number];

export function figuresOf(results: Results): Figure[] {
  const { figures, outputs } = results.study;
  const requests = figures.length > 0 ? figures : outputs.map(usual);
  return requests.flatMap((request) => {
    const output = outputs.find(({ name }) => name === request.output);
    return output === undefined ? [] : figureOf(results, request, output);
  });
}

function usual({ name, kind }: Output): FigureRequest {
  const rest = { x: '', y: '', base: {}, title: '' };
  return { kind: kind === 'histogram' ? 'histogram' : 'bars', output: name, ...rest };
}

function figureOf(results: Results, request: FigureRequest, output: Output): Figure[] {
  switch (request.kind) {
    case 'bars':
    case 'lines':
      return [seriesFigure(results, request, output)];
    case 'heat':
      return heatFigures(results, request, output);
    case 'tornado':
      return tornadoFigure(results, request, output);
    case 'histogram':
      return [histogramFigure(results, request, output)];
  }
}

function titleOf(request: FigureRequest, output: Output): string {
  return request.title === '' ? output.title : request.title;
}

function axisOf({ title, unit }: Output): string {
  return unit === '' ? title : `${title}, ${unit}`;
}

/** A factor by name; else the last but so many. */
function axisFactor({ factors }: Study, name: string, fromEnd: number): Factor | undefined {
  return name === '' ? factors.at(-1 - fromEnd) : factors.find((factor) => factor.name === name);
}

/** Levels of all factors but some, each combination once, in the order of the cells. */
function otherLevels({ cells }: Study, without: readonly string[]): Levels[] {
  const all = cells.map(({ levels }) => {
    return Object.fromEntries(Object.entries(levels).filter(([name]) => !without.includes(name)));
  });
  return [...new Map(all.map((levels) => [labelOf(levels), levels])).values()];
}

function markOf(results: Results, cell: Cell | undefined, output: string, label: string): Mark {
  if (cell === undefined) {
    return { label, value: null, halfWidth: null, measured: null, measuredSd: null };
  }
  const { mean, halfWidth } = results.summary(cell, output);
  const measured = results.measured(cell, output);
  const measuredSd = measured === null || measured.sd === 0 ? null : measured.sd;
  return { label, value: mean, halfWidth, measured: measured?.value ?? null, measuredSd };
}

function seriesFigure(results: Results, request: FigureRequest, output: Output): Figure {
  const { study } = results;
  const along = axisFactor(study, request.x, 0);
  const names = along === undefined ? [] : [along.name];
  const series = otherLevels(study, names).map((levels) => ({
    name: along !== undefined && study.factors.length === 1 ? output.title : labelOf(levels),
    marks: (along?.levels ?? ['']).map((level) => {
      const on = along === undefined ? levels : { ...levels, [along.name]: level };
      return markOf(results, results.cellsOn(on)[0], output.name, level);
    }),
  }));
  return {
    kind: request.kind === 'lines' ? 'lines' : 'bars',
    title: titleOf(request, output),
    xTitle: along?.name ?? '',
    yTitle: axisOf(output),
    series,
  };
}

/** One for each combination of the factors that are on no axis. */
function heatFigures(results: Results, request: FigureRequest, output: Output): Figure[] {
  const { study } = results;
  const x = axisFactor(study, request.x, 0);
  const y = axisFactor(study, request.y, 1);
  if (x === undefined || y === undefined || x === y) return [];
  return otherLevels(study, [x.name, y.name]).map((levels) => {
    const where = Object.keys(levels).length === 0 ? '' : `: ${labelOf(levels)}`;
    const rows = [...y.levels].reverse();
    return {
      kind: 'heat',
      title: `${titleOf(request, output)}${where}`,
      xTitle: x.name,
      yTitle: y.name,
      valueTitle: axisOf(output),
      x: x.levels,
      y: rows,
      values: rows.map((row) =>
        x.levels.map((column) => {
          const on = { ...levels, [y.name]: row, [x.name]: column };
          const cell = results.cellsOn(on)[0];
          return cell === undefined ? null : results.summary(cell, output.name).mean;
        }),
      ),
    };
  });
}

/** Every cell that differs from the base in one factor. */
function tornadoFigure(results: Results, request: FigureRequest, output: Output): Figure[] {
  const { study } = results;
  const first = Object.fromEntries(study.factors.map(({ name, levels }) => [name, levels[0]]));
  const base = results.cellsOn({ ...first, ...request.base })[0];
  const baseValue = base === undefined ? null : results.summary(base, output.name).mean;
  if (base === undefined || baseValue === null) return [];
  const endsAt = (factor: string, level: string, label: string): TornadoRow['ends'] => {
    const cell = results.sibling(base, { [factor]: level });
    const value = cell === null ? null : results.summary(cell, output.name).mean;
    return value === null ? [] : [{ label, value }];
  };
  const rows = study.factors
    .filter(({ name }) => request.x === '' || name === request.x)
    .flatMap(({ name, levels }): TornadoRow[] => {
      const others = levels.filter((level) => level !== base.levels[name]);
      if (request.x === '') {
        return [{ name, ends: others.flatMap((level) => endsAt(name, level, level)) }];
      }
      const things = [...new Set(others.map((level) => thingOf(level).thing))];
      return things.map((thing) => ({
        name: thing,
        ends: others
          .filter((level) => thingOf(level).thing === thing)
          .flatMap((level) => endsAt(name, level, thingOf(level).how)),
      }));
    });
  const reach = ({ ends }: TornadoRow) =>
    Math.max(0, ...ends.map(({ value }) => Math.abs(value - baseValue)));
  rows.sort((a, b) => reach(b) - reach(a));
  const title = `${titleOf(request, output)}, one thing different from ${labelOf(base.levels)}`;
  return [{ kind: 'tornado', title, xTitle: axisOf(output), base: baseValue, rows }];
}

/** Of a level such as `context switch x2`, what differs, and how. */
function thingOf(level: string): { readonly thing: string; readonly how: string } {
  const at = level.lastIndexOf(' ');
  return at < 0
    ? { thing: level, how: '' }
    : { thing: level.slice(0, at), how: level.slice(at + 1) };
}

function histogramFigure(results: Results, request: FigureRequest, output: Output): Figure {
  const series = results.study.cells.map((cell) => ({
    name: labelOf(cell.levels),
    histogram: results.histogram(cell, output.name),
  }));
  return { kind: 'histogram', title: titleOf(request, output), xTitle: axisOf(output), series };
}

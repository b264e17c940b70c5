// %macro: definitions, the choice of one by the number of its parameters, and the replacement of
// parameters in the lines of its body. NASM manual, "Multi-Line Macros".

import type { Reporter } from './diagnostics.ts';
import type { SourceLine, Token } from './lexer.ts';
import { pushPasted } from './single-line-macros.ts';
import type { Origin } from './source.ts';

export interface MultiLineMacro {
  readonly name: string;
  readonly ignoreCase: boolean;
  readonly minimum: number;
  readonly maximum: number;
  /** The last parameter takes the rest of the line. */
  readonly greedy: boolean;
  /** Its lines are left out of the listing. */
  readonly unlisted: boolean;
  /** Values of the parameters after the first `minimum`. */
  readonly defaults: readonly (readonly Token[])[];
  readonly lines: readonly SourceLine[];
  readonly origin: Origin;
}

/** A macro at work, with its parameters. */
export interface MacroCall {
  readonly macro: MultiLineMacro;
  readonly parameters: readonly (readonly Token[])[];
  /** How far %rotate has turned them. */
  rotation: number;
  /** Tells the `%%` labels of this call from those of others. */
  readonly unique: number;
}

export class MultiLineMacros {
  private readonly macros = new Map<string, MultiLineMacro[]>();
  private calls = 0;

  define(macro: MultiLineMacro): void {
    const key = macro.name.toLowerCase();
    const others = (this.macros.get(key) ?? []).filter(
      ({ name, minimum, maximum }) =>
        name !== macro.name || minimum !== macro.minimum || maximum !== macro.maximum,
    );
    // Where several take the same number of parameters, the last one defined is called.
    this.macros.set(key, [macro, ...others]);
  }

  /** The macros that go by a name. */
  find(name: string): readonly MultiLineMacro[] {
    const named = this.macros.get(name.toLowerCase());
    if (named === undefined) return [];
    return named.filter((macro) => macro.ignoreCase || macro.name === name);
  }

  /** Bind the tokens after a macro's name to the macro that takes so many; null if none does. */
  call(candidates: readonly MultiLineMacro[], given: readonly Token[]): MacroCall | null {
    const split = splitParameters(given);
    const isTaker = (count: number) => (macro: MultiLineMacro) =>
      count >= macro.minimum && (count <= macro.maximum || macro.greedy);
    const macro = candidates.find(isTaker(split.length));
    if (macro === undefined) return null;
    return { macro, parameters: bind(macro, split, given), rotation: 0, unique: ++this.calls };
  }
}

interface Parameter {
  readonly tokens: readonly Token[];
  /** Index of its first token in the line, for a greedy parameter. */
  readonly from: number;
}

/** What is wrong with the parameters of a call or their defaults, or null. */
export function parameterProblem(tokens: readonly Token[]): string | null {
  // NASM drops an empty last parameter, and only sometimes.
  if (isComma(tokens.at(-1))) return "the last parameter is empty; if it shall be, write '{}'";
  return braceProblem(tokens);
}

/** Braces enclose whole parameters. */
function braceProblem(tokens: readonly Token[]): string | null {
  let open = 0;
  for (const [i, { kind, text }] of tokens.entries()) {
    if (kind !== 'operator') continue;
    if (text === '{' && open++ === 0 && i > 0 && !isComma(tokens[i - 1])) {
      return 'a brace opens in the middle of a parameter';
    }
    if (text !== '}') continue;
    if (--open < 0) return 'there is no brace that this one closes';
    const next = tokens[i + 1];
    if (open === 0 && next !== undefined && !isComma(next))
      return 'a parameter goes on behind its brace';
  }
  return open > 0 ? 'a brace is not closed' : null;
}

function isComma(token: Token | undefined): boolean {
  return token?.kind === 'operator' && token.text === ',';
}

/** Split at commas; braces keep commas together and are dropped. */
export function splitParameters(tokens: readonly Token[]): Parameter[] {
  if (tokens.length === 0) return [];
  const parameters: Parameter[] = [];
  let current: Token[] = [];
  let from = 0;
  let braces = 0;
  tokens.forEach((token, i) => {
    const mark = token.kind === 'operator' ? token.text : '';
    if (mark === '{' && braces++ === 0) return;
    if (mark === '}' && braces > 0 && --braces === 0) return;
    if (mark === ',' && braces === 0) {
      parameters.push({ tokens: current, from });
      current = [];
      from = i + 1;
    } else current.push(token);
  });
  return [...parameters, { tokens: current, from }];
}

/** The parameters' tokens; from the last of `count` on, what follows belongs to it. */
export function joinRest(
  split: readonly Parameter[],
  tokens: readonly Token[],
  count: number,
): (readonly Token[])[] {
  const joined = split.map((parameter) => parameter.tokens);
  const last = split[count - 1];
  if (last === undefined || split.length === count) return joined;
  return [...joined.slice(0, count - 1), tokens.slice(last.from)];
}

function bind(
  macro: MultiLineMacro,
  split: readonly Parameter[],
  given: readonly Token[],
): (readonly Token[])[] {
  const parameters = joinRest(split, given, macro.greedy ? macro.maximum : split.length);
  const whole = Math.min(macro.minimum + macro.defaults.length, macro.maximum);
  while (parameters.length < whole) {
    parameters.push(macro.defaults[parameters.length - macro.minimum] ?? []);
  }
  return parameters;
}

/** A line of a macro's body with the parameters put in; null after reporting an error. */
export function substitute(
  tokens: readonly Token[],
  call: MacroCall,
  origin: Origin,
  reporter: Reporter,
): readonly Token[] | null {
  if (!tokens.some((token) => token.kind === 'parameter' && token.text !== '%+')) return tokens;
  const result: Token[] = [];
  /** The token before was put in, or is put in now: what touches it becomes one with it. */
  let touching = false;
  for (const token of tokens) {
    const isParameter = token.kind === 'parameter' && token.text !== '%+';
    const replacement = isParameter ? replace(token, call) : [token];
    if (typeof replacement === 'string') {
      reporter.error({ origin, at: token.at }, replacement);
      return null;
    }
    const [first, ...rest] = replacement;
    const left = result.at(-1);
    const joins = (touching || isParameter) && !token.spaced && isWord(left) && isWord(first);
    if (joins) pushPasted(result, result.pop() as Token, (first as Token).text);
    else if (first !== undefined) {
      result.push(isParameter ? { ...first, at: token.at, spaced: token.spaced } : first);
    }
    for (const more of rest) result.push({ ...more, at: token.at });
    touching = isParameter;
  }
  return result;
}

function isWord(token: Token | undefined): boolean {
  return token?.kind === 'name' || token?.kind === 'number';
}

/** What a parameter stands for, or a message. */
function replace(token: Token, call: MacroCall): readonly Token[] | string {
  const { text } = token;
  const { parameters } = call;
  if (text.startsWith('%%')) {
    return [{ ...token, kind: 'name', text: `..@${call.unique}.${text.slice(2)}` }];
  }
  const match = /^%\{?([+-]?)(\d+)\}?$/.exec(text);
  if (match === null) return `'${text}' is not a parameter that is supported`;
  const [, sign, digits] = match;
  const number = Number(digits);
  if (sign === '' && number === 0) {
    return [{ ...token, kind: 'number', text: String(parameters.length) }];
  }
  if (number === 0) return `'${text}' is not a parameter`;
  const at = number > parameters.length ? -1 : (number - 1 + call.rotation) % parameters.length;
  const parameter = parameters[at] ?? [];
  if (sign === '') return parameter;
  return conditionCode(sign as '+' | '-', parameter);
}

const CONDITIONS: ReadonlySet<string> = new Set(
  'a ae b be c e g ge l le na nae nb nbe nc ne ng nge nl nle no np ns nz o p pe po s z'.split(' '),
);

/** `%+1`: the parameter, which is a condition code; `%-1`: the opposite one. */
function conditionCode(sign: '+' | '-', parameter: readonly Token[]): Token[] | string {
  const [token] = parameter;
  const code = token?.text.toLowerCase() ?? '';
  if (token === undefined || parameter.length !== 1 || !CONDITIONS.has(code)) {
    return 'the parameter is not a condition code';
  }
  if (sign === '+') return [token];
  if (code === 'pe' || code === 'po') return [{ ...token, text: code === 'pe' ? 'po' : 'pe' }];
  return [{ ...token, text: code.startsWith('n') ? code.slice(1) : `n${code}` }];
}

// Cases for directives: what is expected, a text, and whether it holds. LLVM's FileCheck gives the
// same verdicts (filecheck.test.ts asks it where it is installed). For each directive there are
// cases that must fail.

export interface Case {
  readonly name: string;
  readonly directives: readonly string[];
  readonly text: readonly string[];
  /** `malformed`: the directives themselves are refused. */
  readonly verdict: 'holds' | 'fails' | 'malformed';
}

const ONE_TO_FIVE = ['one', 'two', 'three', 'four', 'five'];

function one(
  verdict: Case['verdict'],
  name: string,
  directives: readonly string[],
  text: readonly string[] = ONE_TO_FIVE,
): Case {
  return { verdict, name, directives, text };
}

const holds = one.bind(null, 'holds');
const fails = one.bind(null, 'fails');
const malformed = one.bind(null, 'malformed');

const PLAIN = [
  holds('in order', ['CHECK: one', 'CHECK: three']),
  fails('out of order', ['CHECK: three', 'CHECK: one']),
  fails('the same text twice', ['CHECK: one', 'CHECK: one']),
  fails('absent', ['CHECK: six']),
  holds('twice on one line', ['CHECK: n', 'CHECK: e'], ['one']),
  fails('case counts', ['CHECK: One']),
  holds('horizontal space is one space', ['CHECK: a   b'], ['a \t b']),
  fails('but not none', ['CHECK: a b'], ['ab']),
  holds('part of a word', ['CHECK: hre']),
  malformed('no pattern', ['CHECK:']),
  malformed('only space', ['CHECK:   ']),
];

const NEXT = [
  holds('the next line', ['CHECK: one', 'CHECK-NEXT: two', 'CHECK-NEXT: three']),
  fails('the line after next', ['CHECK: one', 'CHECK-NEXT: three']),
  fails('the same line', ['CHECK: o', 'CHECK-NEXT: ne'], ['one', 'two']),
  fails('found first on the same line', ['CHECK: a', 'CHECK-NEXT: b'], ['a b', 'b']),
  fails('not at all', ['CHECK: one', 'CHECK-NEXT: six']),
  malformed('first of all', ['CHECK-NEXT: one']),
  malformed('after a NOT alone', ['CHECK-NOT: six', 'CHECK-NEXT: one']),
  holds('after a DAG, behind a plain one', ['CHECK: one', 'CHECK-DAG: two', 'CHECK-NEXT: three']),
];

const SAME = [
  holds('the same line', ['CHECK: vcpu 1', 'CHECK-SAME: HLT'], ['vcpu 1 reason HLT']),
  fails('another line', ['CHECK: one', 'CHECK-SAME: two']),
  fails('nowhere', ['CHECK: one', 'CHECK-SAME: six']),
  malformed('first of all', ['CHECK-SAME: one']),
  fails('a NOT between', ['CHECK: a', 'CHECK-NOT: b', 'CHECK-SAME: c'], ['a b c']),
];

const EMPTY = [
  holds('an empty line', ['CHECK: a', 'CHECK-EMPTY:', 'CHECK-NEXT: b'], ['a', '', 'b']),
  fails('no empty line', ['CHECK: a', 'CHECK-EMPTY:'], ['a', 'b', 'c']),
  fails('one line too late', ['CHECK: a', 'CHECK-EMPTY:'], ['a', 'b', '', 'c']),
  fails('a line of space', ['CHECK: a', 'CHECK-EMPTY:', 'CHECK-NEXT: b'], ['a', ' ', 'b']),
  holds('two of them', ['CHECK: a', 'CHECK-EMPTY:', 'CHECK-EMPTY:'], ['a', '', '', 'b']),
  malformed('with a pattern', ['CHECK: a', 'CHECK-EMPTY: b'], ['a', '', 'b']),
  malformed('first of all', ['CHECK-EMPTY:'], ['', 'a']),
];

const NOT = [
  holds('absent between', ['CHECK: one', 'CHECK-NOT: four', 'CHECK: three']),
  fails('present between', ['CHECK: one', 'CHECK-NOT: two', 'CHECK: three']),
  fails('before the first', ['CHECK-NOT: one', 'CHECK: two']),
  holds('only before', ['CHECK: two', 'CHECK-NOT: one']),
  fails('after the last', ['CHECK: two', 'CHECK-NOT: five']),
  fails('alone', ['CHECK-NOT: five']),
  holds('alone and absent', ['CHECK-NOT: six']),
  fails('several, of which one', [
    'CHECK: one',
    'CHECK-NOT: six',
    'CHECK-NOT: two',
    'CHECK: three',
  ]),
  holds('the next match itself is not between', ['CHECK: one', 'CHECK-NOT: two', 'CHECK: two']),
  malformed('with another suffix', ['CHECK-NOT-NEXT: one']),
];

const DAG = [
  holds('any order', ['CHECK-DAG: three', 'CHECK-DAG: one']),
  fails('one is absent', ['CHECK-DAG: three', 'CHECK-DAG: six']),
  fails('no overlap', ['CHECK-DAG: one', 'CHECK-DAG: one']),
  holds('the same twice', ['CHECK-DAG: a', 'CHECK-DAG: a'], ['a', 'b', 'a']),
  fails('before the group', ['CHECK: two', 'CHECK-DAG: one', 'CHECK-DAG: three']),
  fails('behind the group', ['CHECK-DAG: five', 'CHECK-DAG: one', 'CHECK: three']),
  holds('groups on both sides of a NOT', [
    'CHECK-DAG: two',
    'CHECK-DAG: one',
    'CHECK-NOT: six',
    'CHECK-DAG: five',
    'CHECK-DAG: four',
  ]),
  fails('groups do not mix', [
    'CHECK-DAG: one',
    'CHECK-DAG: three',
    'CHECK-NOT: six',
    'CHECK-DAG: two',
  ]),
  fails('the NOT between groups', ['CHECK-DAG: two', 'CHECK-NOT: three', 'CHECK-DAG: four']),
  fails('a NOT before the group', ['CHECK-NOT: one', 'CHECK-DAG: two', 'CHECK-DAG: four']),
  fails('a NOT behind the group', ['CHECK-DAG: two', 'CHECK-NOT: four']),
  holds(
    'variables tie them',
    ['CHECK-DAG: [[T:t[0-9]+]] begin', 'CHECK-DAG: [[T]] end'],
    ['t2 begin', 't1 begin', 't2 end'],
  ),
  fails(
    'the wrong variable',
    ['CHECK-DAG: [[T:t[0-9]+]] begin', 'CHECK-DAG: [[T]] end'],
    ['t2 begin', 't1 begin', 't1 end'],
  ),
];

const COUNT = [
  holds('just as many', ['CHECK-COUNT-3: tick', 'CHECK-NOT: tick'], ['tick', 'tick', 'tick']),
  fails('too few', ['CHECK-COUNT-4: tick'], ['tick', 'tick', 'tick']),
  fails('too many', ['CHECK-COUNT-2: tick', 'CHECK-NOT: tick'], ['tick', 'tick', 'tick']),
  holds('others between', ['CHECK-COUNT-2: tick', 'CHECK: end'], ['tick', 'tock', 'tick', 'end']),
  fails('NOT before the first', ['CHECK-NOT: a', 'CHECK-COUNT-2: b'], ['a', 'b', 'b']),
  holds('NOT not between them', ['CHECK-NOT: a', 'CHECK-COUNT-2: b'], ['b', 'a', 'b']),
  malformed('none', ['CHECK-COUNT-0: tick']),
  malformed('no number', ['CHECK-COUNT: tick']),
  malformed('no number either', ['CHECK-COUNT-x: tick']),
];

const BLOCKS = ['begin a', 'x', 'end', 'begin b', 'y', 'end'];

const LABEL = [
  holds('blocks', ['CHECK-LABEL: begin a', 'CHECK: x', 'CHECK-LABEL: begin b', 'CHECK: y'], BLOCKS),
  fails(
    'not from the next block',
    ['CHECK-LABEL: begin a', 'CHECK: y', 'CHECK-LABEL: begin b'],
    BLOCKS,
  ),
  fails('label absent', ['CHECK-LABEL: begin a', 'CHECK-LABEL: begin c'], BLOCKS),
  fails('labels out of order', ['CHECK-LABEL: begin b', 'CHECK-LABEL: begin a'], BLOCKS),
  fails(
    'NOT up to the label',
    ['CHECK-LABEL: begin a', 'CHECK-NOT: end', 'CHECK-LABEL: begin b'],
    BLOCKS,
  ),
  holds(
    'NOT not beyond it',
    ['CHECK-LABEL: begin a', 'CHECK-NOT: y', 'CHECK-LABEL: begin b'],
    BLOCKS,
  ),
  holds(
    'DAG within a block',
    ['CHECK-LABEL: begin a', 'CHECK-DAG: end', 'CHECK-DAG: x', 'CHECK-LABEL: begin b'],
    BLOCKS,
  ),
  fails('before the label', ['CHECK: y', 'CHECK-LABEL: begin b'], BLOCKS),
  malformed('with a variable', ['CHECK-LABEL: begin [[X:.]]'], BLOCKS),
];

const REGEX = [
  holds('a regex', ['CHECK: t{{[hw]+}}o{{$}}']),
  fails('a regex that fails', ['CHECK: t{{[xyz]}}o']),
  holds('text around is literal', ['CHECK: a.b{{.}}c'], ['a.bxc']),
  fails('a dot of text is a dot', ['CHECK: a.b{{.}}c'], ['axbxc']),
  holds('anchors are of lines', ['CHECK: {{^}}two{{$}}']),
  fails('the start of a line', ['CHECK: {{^}}wo']),
  fails('a dot is not a newline', ['CHECK: one{{.}}two']),
  fails('nor is a negated bracket', ['CHECK: one{{[^x]}}two']),
  holds('classes', ['CHECK: 0x{{[[:xdigit:]]+}} {{[[:upper:]]+}}{{$}}'], ['0x1fF ABC']),
  fails('another class', ['CHECK: {{^[[:digit:]]+$}}'], ['0x1fF']),
  holds('a bracket that begins with ]', ['CHECK: a{{[]x]}}b'], ['a]b']),
  holds('alternatives', ['CHECK: {{(one|two)}}', 'CHECK: {{three|six}}']),
  holds('repetition in parentheses', ['CHECK: {{([a-z]{3})}}e']),
  malformed('not closed', ['CHECK: {{abc']),
  malformed('a parenthesis too few', ['CHECK: {{(abc}}']),
  malformed('a bracket not closed', ['CHECK: {{[abc}}']),
  holds('literal', ['CHECK{LITERAL}: {{a}} [[b]]'], ['{{a}} [[b]]']),
  fails('literal means it', ['CHECK{LITERAL}: {{.*}}'], ['anything']),
  malformed('another modifier', ['CHECK{LITTERAL}: a'], ['a']),
];

const MOVES = ['mov r5, 10', 'mov r6, 11', 'mov r5, 0x1a', 'add r5, r6'];

const VARIABLES = [
  holds('defined and used', ['CHECK: mov [[R:r[0-9]]], 10', 'CHECK: add [[R]],'], MOVES),
  fails('another value', ['CHECK: mov [[R:r[0-9]]], 11', 'CHECK: add [[R]],'], MOVES),
  holds('on the same line', ['CHECK: [[R:r[0-9]]] [[R]]'], ['r1 r2', 'r3 r3']),
  fails('on the same line, not', ['CHECK: [[R:r[0-9]]] [[R]]'], ['r1 r2', 'r3 r4']),
  fails('never defined', ['CHECK: [[R]]'], MOVES),
  holds(
    'its value is text',
    ['CHECK: [[V:.*]] end', 'CHECK: [[V]]{{$}}'],
    ['a.b end', 'axb', 'a.b'],
  ),
  holds(
    'defined anew',
    ['CHECK: [[V:a.]]', 'CHECK: [[V:b.]]', 'CHECK: [[V]]'],
    ['a1', 'b2', 'a1', 'b2'],
  ),
  fails(
    'the old value',
    ['CHECK: [[V:a.]]', 'CHECK: [[V:b.]]', 'CHECK: [[V]]'],
    ['a1', 'b2', 'a1'],
  ),
  malformed('no name', ['CHECK: [[1a:.*]]'], MOVES),
  malformed('not closed', ['CHECK: [[R'], MOVES),
  malformed('a regex that is none', ['CHECK: [[R:(]]'], MOVES),
  holds('brackets inside', ['CHECK: [[R:[a-z][[:digit:]]]],'], MOVES),
];

const NUMBERS = [
  holds('one more', ['CHECK: mov r5, [[#N:]]', 'CHECK-NEXT: mov r6, [[#N+1]]'], MOVES),
  fails('two more', ['CHECK: mov r5, [[#N:]]', 'CHECK-NEXT: mov r6, [[#N+2]]'], MOVES),
  holds('any number', ['CHECK: r5, [[#]]{{$}}'], MOVES),
  fails('no number', ['CHECK: add [[#]]'], MOVES),
  holds('hexadecimal', ['CHECK: 0x[[#%x,N:]]', 'CHECK: is [[#N+1]]'], ['0x1a', 'is 1b']),
  fails('as it was written', ['CHECK: 0x[[#%x,N:]]', 'CHECK: is [[#N]]'], ['0x1a', 'is 26']),
  holds('in another format', ['CHECK: 0x[[#%x,N:]]', 'CHECK: is [[#%u,N]]'], ['0x1a', 'is 26']),
  holds('with its prefix', ['CHECK: [[#%#x,N:]]', 'CHECK: [[#N]]{{$}}'], ['0x1a', '0x1a']),
  holds('capitals', ['CHECK: [[#%X,N:]] [[#%x,M:]]'], ['AB ab']),
  fails('no capitals', ['CHECK: is [[#%x,N:]]{{$}}'], ['is AB']),
  holds('leading zeros', ['CHECK: [[#%.4u,N:]]', 'CHECK: [[#%.6u,N+1]]'], ['0012', '000013']),
  fails('too few zeros', ['CHECK: {{^}}[[#%.4u,N:]]{{$}}'], ['012']),
  holds('signed', ['CHECK: at [[#%d,N:]]', 'CHECK: at [[#N+3]]'], ['at -2', 'at 1']),
  fails('below nothing', ['CHECK: [[#N:]]', 'CHECK: [[#N-3]]'], ['2', '-1']),
  holds(
    'functions',
    ['CHECK: [[#N:]]', 'CHECK: [[#mul(N,2)]] [[#max(N,4)]] [[#div(N,2)]]'],
    ['3', '6 4 1'],
  ),
  fails('functions, otherwise', ['CHECK: [[#N:]]', 'CHECK: [[#min(N,2)]]{{$}}'], ['3', '3']),
  holds('parentheses', ['CHECK: [[#N:]]', 'CHECK: [[#10-(N+2)]]'], ['3', '5']),
  holds(
    'equal to',
    ['CHECK: [[#N:]]', 'CHECK: [[#M: == N + 1]]', 'CHECK: [[#M]]'],
    ['3', '4', '4'],
  ),
  fails('not defined', ['CHECK: [[#N+1]]'], ['3']),
  malformed('on the same line', ['CHECK: [[#N:]] [[#N+1]]'], ['3 4']),
  malformed('an unknown format', ['CHECK: [[#%q,N:]]'], ['3']),
  malformed('an unknown function', ['CHECK: [[#N:]]', 'CHECK: [[#avg(N,1)]]'], ['3', '4']),
  malformed('an operator too many', ['CHECK: [[#N:]]', 'CHECK: [[#N+]]'], ['3', '4']),
  malformed('not closed', ['CHECK: [[#N:'], ['3']),
];

export const CASES: Readonly<Record<string, readonly Case[]>> = {
  CHECK: PLAIN,
  'CHECK-NEXT': NEXT,
  'CHECK-SAME': SAME,
  'CHECK-EMPTY': EMPTY,
  'CHECK-NOT': NOT,
  'CHECK-DAG': DAG,
  'CHECK-COUNT': COUNT,
  'CHECK-LABEL': LABEL,
  regex: REGEX,
  'string variables': VARIABLES,
  'numeric variables': NUMBERS,
};

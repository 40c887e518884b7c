/** Small changes to source text, each of which a good test suite notices. */

/** One change: `from` at character `at` of the file becomes `to`. */
export interface Mutation {
  readonly at: number;
  readonly from: string;
  readonly to: string;
}

/** Operators as `deno fmt` sets them, between spaces, and what each becomes. */
const OPERATORS: Readonly<Record<string, string>> = {
  "===": "!==",
  "!==": "===",
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "&&": "||",
  "||": "&&",
  "+": "-",
  "-": "+",
  "*": "+",
  "%": "*",
  "&": "|",
  "|": "&",
  "^": "|",
  "<<": ">>>",
  ">>": "<<",
  ">>>": "<<",
  "+=": "-=",
  "-=": "+=",
  "&=": "|=",
  "|=": "&=",
};

const OPERATOR = /(?<= )(?:===|!==|[<>]=?|>>>?|<<|&&|\|\||[-+*%&|^]|[-+&|]=)(?= |$)/gm;
const COUNT = /\+\+|--/g;
const NEGATION = /(?<=[\s(])!(?=[\w#(])/g;
const CONDITION = /(?<=\b(?:if|while) \()/g;
const TRUTH = /\b(?:true|false)\b/g;
const NUMBER = /(?<![\w.$])(?:0x[\da-f_]+|0b[01_]+|\d[\d_]*)n?(?![\w.:])/gi;

/** Comments, strings and templates, in which nothing is changed. */
const INERT =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g;
/** Declarations that are gone when the code runs. */
const TYPES =
  /^(?:import|export) (?:type )?(?:\{[^}]*\}|\*[^;]*) ?(?:from)?[^;]*;|^(?:export )?interface [\s\S]*?^\}|^(?:export )?(?:declare )?type [\s\S]*?;$/gm;
/** A union or intersection of types beside the operator, which looks like one of bits. */
const UNION = /^(?:undefined|null|number|string|bigint|boolean|[A-Z]\w*(?![\w.(]))/;

/** Every mutation of `source`, in the order of the text. */
export function mutationsOf(source: string): Mutation[] {
  const blank = (text: string) => text.replace(/[^\n]/g, "\u00a4");
  const code = source.replace(INERT, blank).replace(TYPES, blank);
  const found: Mutation[] = [];
  const add = (pattern: RegExp, change: (text: string, at: number) => string | undefined) => {
    for (const match of code.matchAll(pattern)) {
      const to = change(match[0], match.index);
      if (to !== undefined) found.push({ at: match.index, from: match[0], to });
    }
  };
  add(OPERATOR, (text, at) => {
    if ((text === "|" || text === "&") && isUnion(code, at)) return undefined;
    return OPERATORS[text];
  });
  add(COUNT, (text) => text === "++" ? "--" : "++");
  add(NEGATION, () => "");
  for (const { index: at } of code.matchAll(CONDITION)) {
    const from = source.slice(at, closingBracket(code, at));
    found.push({ at, from, to: `!(${from})` });
  }
  add(TRUTH, (text) => text === "true" ? "false" : "true");
  add(NUMBER, (text) => text.endsWith("n") ? `(${text} + 1n)` : `(${text} + 1)`);
  return found.sort((a, b) => a.at - b.at);
}

export function applyMutation(source: string, { at, from, to }: Mutation): string {
  return source.slice(0, at) + to + source.slice(at + from.length);
}

/** The line, from 1, of character `at`. */
export function lineOf(source: string, at: number): number {
  return source.slice(0, at).split("\n").length;
}

function isUnion(code: string, at: number): boolean {
  const before = code.slice(0, at).trimEnd().match(/[\w.]+$/)?.[0] ?? "";
  return UNION.test(code.slice(at + 2)) || /^(?:undefined|null|number|[A-Z][a-z]\w*)$/.test(before);
}

/** Where the bracket closes that stands before `at`. */
function closingBracket(code: string, at: number): number {
  let depth = 1;
  let end = at;
  for (; end < code.length; end++) {
    if (code[end] === "(") depth++;
    if (code[end] === ")" && --depth === 0) break;
  }
  return end;
}

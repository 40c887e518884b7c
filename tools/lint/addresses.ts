/// <reference lib="deno.unstable" />
/**
 * Lint rule `denovisor/no-bitwise-address`: bitwise operators cut their operands to 32 bits, so they
 * may not meet a guest physical address or a frame number outside src/base/.
 *
 * The linter knows no types. What counts as an address: a name that ends in gpa, gfn or pfn (in any
 * spelling of the word boundary), a name that the file annotates as Gpa, Gfn or Pfn, and a call of a
 * function that returns one.
 */

const BITWISE = new Set(["&", "|", "^", "<<", ">>", ">>>"]);
const BITWISE_ASSIGNMENT = new Set(["&=", "|=", "^=", "<<=", ">>=", ">>>="]);
const ADDRESS_NAME = /(?:^|_)(?:gpa|gfn|pfn)$|(?:Gpa|Gfn|Pfn)$|(?:^|_)(?:GPA|GFN|PFN)$/;
const ADDRESS_TYPES = new Set(["Gpa", "Gfn", "Pfn"]);
const ADDRESS_FUNCTIONS = new Set(["gpa", "gpaOf", "gfnOf"]);
const OWNER = /(?:^|\/)src\/base\/[^/]+$/;
const MESSAGE = "A bitwise operator cuts this address to 32 bits";
const HINT = "Use the functions of src/base/u64.ts";

// The nodes of the linter's tree are read by duck typing: their types are many and only a few matter here.
interface Node {
  readonly type: string;
  readonly name?: string;
  readonly expression?: Node;
  readonly argument?: Node;
  readonly callee?: Node;
  readonly property?: Node;
  readonly typeAnnotation?: Node;
  readonly typeName?: Node;
  readonly operator?: string;
  readonly left?: Node;
  readonly right?: Node;
}

const plugin: Deno.lint.Plugin = {
  name: "denovisor",
  rules: {
    "no-bitwise-address": {
      create(context) {
        if (OWNER.test(context.filename)) return {};
        const annotated = annotatedNames(context.sourceCode.text);
        const check = (node: Deno.lint.Node, ...operands: readonly unknown[]) => {
          if (operands.some((operand) => isAddress(operand as Node, annotated))) {
            context.report({ node, message: MESSAGE, hint: HINT });
          }
        };
        return {
          BinaryExpression(node) {
            if (BITWISE.has(node.operator)) check(node, node.left, node.right);
          },
          AssignmentExpression(node) {
            if (BITWISE_ASSIGNMENT.has(node.operator)) check(node, node.left, node.right);
          },
          UnaryExpression(node) {
            if (node.operator === "~") check(node, node.argument);
          },
        };
      },
    },
  },
};

export default plugin;

/** Names that the source annotates as addresses: variables, parameters and fields. */
function annotatedNames(source: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [, name] of source.matchAll(/([A-Za-z_$][\w$]*)\??\s*:\s*(?:Gpa|Gfn|Pfn)\b/g)) {
    names.add(name);
  }
  return names;
}

function isAddress(node: Node | undefined, annotated: ReadonlySet<string>): boolean {
  switch (node?.type) {
    case "Identifier":
    case "PrivateIdentifier":
      return ADDRESS_NAME.test(node.name!) || annotated.has(node.name!);
    case "MemberExpression":
      return isAddress(node.property, annotated);
    case "CallExpression":
      return ADDRESS_FUNCTIONS.has(node.callee?.name ?? "");
    case "TSAsExpression":
      return ADDRESS_TYPES.has(node.typeAnnotation?.typeName?.name ?? "") ||
        isAddress(node.expression, annotated);
    case "TSNonNullExpression":
    case "ChainExpression":
      return isAddress(node.expression, annotated);
    case "UnaryExpression":
      return isAddress(node.argument, annotated);
    case "BinaryExpression": // sums and differences stay wide; a quotient or remainder may be narrow
      return (node.operator === "+" || node.operator === "-") &&
        (isAddress(node.left, annotated) || isAddress(node.right, annotated));
    default:
      return false;
  }
}

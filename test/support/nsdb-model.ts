/** The naive model of the store that random tests compare with: copies everything, for every transaction. */
import * as fc from "fast-check";
import type { NsdbOp, NsdbTxFailure } from "#core/nsdb";

interface ModelNode {
  readonly data: string;
  readonly version: number;
  readonly owner: string | null;
}

export type ModelOutcome = "done" | `${NsdbTxFailure} ${number}`;

export class NsdbModel {
  nodes = new Map<string, ModelNode>([["/", { data: "", version: 0, owner: null }]]);

  commit(ops: readonly NsdbOp[], owner: string): ModelOutcome {
    const next = new Map(this.nodes);
    for (const [index, op] of ops.entries()) {
      const failure = step(next, op, owner);
      if (failure !== null) return `${failure} ${index}`;
    }
    this.nodes = next;
    return "done";
  }

  /** Without an owner: every session is gone. */
  endSession(owner?: string): void {
    for (const [path, node] of this.nodes) {
      if (node.owner !== null && (owner === undefined || node.owner === owner)) this.nodes.delete(path);
    }
  }

  /** As dump() of nsdb-contract-kit shows it. */
  dump(): Record<string, string> {
    return Object.fromEntries(
      [...this.nodes].map(([path, n]) => [path, `${n.version} ${n.owner === null ? "" : "ephemeral "}${n.data}`]),
    );
  }
}

function step(nodes: Map<string, ModelNode>, op: NsdbOp, owner: string): NsdbTxFailure | null {
  const node = nodes.get(op.path);
  if (op.op === "create") {
    const parent = nodes.get(op.path.replace(/\/[^/]*$/, "") || "/");
    if (parent === undefined) return "NO_PARENT";
    if (node !== undefined) return "NODE_EXISTS";
    if (parent.owner !== null) return "EPHEMERAL_PARENT";
    nodes.set(op.path, { data: op.data, version: 0, owner: op.ephemeral ? owner : null });
    return null;
  }
  if (node === undefined) return "NO_NODE";
  if (op.version !== undefined && op.version !== node.version) return "BAD_VERSION";
  if (op.op === "set") nodes.set(op.path, { ...node, data: op.data, version: node.version + 1 });
  if (op.op === "delete") {
    if ([...nodes.keys()].some((path) => path.startsWith(`${op.path}/`))) return "NOT_EMPTY";
    nodes.delete(op.path);
  }
  return null;
}

/** Few paths and versions, so that what is done meets what was done. */
const path = fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 3 }).map((names) => `/${names.join("/")}`);
const data = fc.string({ unit: "binary", maxLength: 4 });
const version = fc.option(fc.nat({ max: 2 }), { nil: undefined, freq: 2 });

const op: fc.Arbitrary<NsdbOp> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant("create" as const), path, data, ephemeral: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.tuple(path, data, version).map(([path, data, v]) => versioned({ op: "set", path, data }, v)),
  },
  { weight: 3, arbitrary: fc.tuple(path, version).map(([path, v]) => versioned({ op: "delete", path }, v)) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("check" as const), path, version: fc.nat({ max: 2 }) }) },
);

function versioned(op: Extract<NsdbOp, { op: "set" | "delete" }>, version: number | undefined): NsdbOp {
  return version === undefined ? op : { ...op, version };
}

/** Mostly short ones, as a long random transaction is refused nearly always. */
export const transaction = fc.array(op, { minLength: 1, maxLength: 3 });

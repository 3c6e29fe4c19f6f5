import type { RowId, WireValue } from "./columns.ts";
import { describeError } from "./json-rpc.ts";
import { field, isObject, Malformed, preview } from "./malformed.ts";

export type WireRow = Readonly<Record<string, WireValue>>;
export type WireCondition = readonly [column: string, test: "==" | "!=" | "includes" | "excludes", value: WireValue];
export type WireMutation = readonly [column: string, mutator: "+=" | "-=" | "insert" | "delete", value: WireValue];

/** The operations of a transaction (RFC 7047 §5.2) that are used here, as they are sent. */
export type Operation =
  | { readonly op: "insert"; readonly table: string; readonly row: WireRow; readonly "uuid-name"?: string }
  | { readonly op: "update"; readonly table: string; readonly where: readonly WireCondition[]; readonly row: WireRow }
  | {
      readonly op: "mutate";
      readonly table: string;
      readonly where: readonly WireCondition[];
      readonly mutations: readonly WireMutation[];
    }
  | { readonly op: "delete"; readonly table: string; readonly where: readonly WireCondition[] }
  /** The transaction fails unless the rows are (`==`) as told, at once with `timeout` 0. */
  | {
      readonly op: "wait";
      readonly table: string;
      readonly where: readonly WireCondition[];
      readonly columns: readonly string[];
      readonly until: "==" | "!=";
      readonly rows: readonly WireRow[];
      readonly timeout: number;
    }
  | { readonly op: "comment"; readonly comment: string };

/** Exactly this row. */
export const byId = (id: RowId): readonly WireCondition[] => [["_uuid", "==", ["uuid", id]]];

export interface TransactionError {
  /** Which operation failed; null: the transaction as a whole, when it was to be committed. */
  readonly operation: number | null;
  /** The server's words. */
  readonly reason: string;
}

export type TransactionResult =
  /** How many rows each operation touched: 1 for an insert, null where it does not say. */
  | { readonly ok: true; readonly counts: readonly (number | null)[] }
  | { readonly ok: false; readonly errors: readonly TransactionError[] };

/**
 * The result of a `transact` (RFC 7047 §4.1.3): one element per operation, null from the one after a failed one on, and
 * one more where the commit failed.
 */
export function decodeTransaction(result: unknown, operations: readonly Operation[]): TransactionResult | Malformed {
  if (!Array.isArray(result)) return new Malformed(`a transaction's result is ${preview(result)}`);
  if (result.length < operations.length || result.length > operations.length + 1)
    return new Malformed(`${result.length} results for ${operations.length} operations`);
  const errors: TransactionError[] = [];
  const counts: (number | null)[] = [];
  for (const [i, element] of result.entries()) {
    const operation = i < operations.length ? i : null;
    if (element === null) {
      if (errors.length === 0) return new Malformed(`operation ${i} was not done, and none before it failed`);
      continue;
    }
    if (!isObject(element)) return new Malformed(`result ${i} is ${preview(element)}`);
    if (field(element, "error") !== undefined) errors.push({ operation, reason: describeError(element) });
    else if (operation === null) return new Malformed("one result too many, and it is no error");
    else counts.push(countOf(element, operations[i]));
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, counts };
}

function countOf(element: Readonly<Record<string, unknown>>, operation: Operation | undefined): number | null {
  if (operation?.op === "insert") return 1;
  const count = field(element, "count");
  return typeof count === "number" ? count : null;
}

/** One line for a log. */
export function describeErrors(errors: readonly TransactionError[], operations: readonly Operation[]): string {
  return errors
    .map(({ operation, reason }) => {
      const o = operation === null ? undefined : operations[operation];
      if (o === undefined) return `commit: ${reason}`;
      return `${o.op}${o.op === "comment" ? "" : ` ${o.table}`}: ${reason}`;
    })
    .join("; ");
}

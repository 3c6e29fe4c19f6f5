import {
  type CompletenessState,
  type FlowPath,
  type FlowTrace,
  pathOf,
  redactFlowTrace,
  type Viewer,
} from "#core/tracing";
import type { Counters } from "./counters.ts";
import { shapeHash } from "./shape.ts";
import type { Sql, SqlValue } from "./sql.ts";

/** What a viewer sees of a shape. */
export interface SeenPath extends FlowPath {
  readonly completeness: CompletenessState;
}

/** Whoever sees everything. */
export const EVERYTHING: Viewer = { admin: true, tenantId: "" };
/** No tenant's id. */
const STRANGER: Viewer = { admin: false, tenantId: "" };

/** The name of a view in `shape_view`. */
export const viewName = (viewer: Viewer): string => (viewer.admin ? "a" : `t${viewer.tenantId}`);
export const STRANGERS_VIEW = viewName(STRANGER);

export interface ShapeRow {
  readonly no: number;
  /** Views in which the packet's key is shown. */
  readonly keySeen: ReadonlySet<string>;
}

/** The shape of each flow, and the rows of those that are new: one for what each owner of a device on the way sees. */
export async function shapesOf(sql: Sql, counters: Counters, traces: readonly FlowTrace[]): Promise<ShapeRow[]> {
  const hashes = traces.map(shapeHash);
  const samples = new Map(hashes.map((hash, i) => [hash, traces[i] as FlowTrace]));
  const known = new Map<string, { readonly no: number; readonly keySeen: Set<string> }>();
  const rows = await sql.all(
    "SELECT s.hash, s.no, v.viewer, v.key_seen FROM shape s JOIN shape_view v ON v.shape = s.no WHERE s.hash IN (??)",
    [...samples.keys()],
  );
  for (const r of rows) {
    const hash = String(r["hash"]);
    const shape = known.get(hash) ?? { no: Number(r["no"]), keySeen: new Set<string>() };
    if (Number(r["key_seen"]) === 1) shape.keySeen.add(String(r["viewer"]));
    known.set(hash, shape);
  }
  const fresh = [...samples].filter(([hash]) => !known.has(hash));
  if (fresh.length > 0) for (const [hash, shape] of await store(sql, counters, fresh)) known.set(hash, shape);
  return hashes.map((hash) => known.get(hash) as ShapeRow);
}

async function store(
  sql: Sql,
  counters: Counters,
  fresh: readonly (readonly [hash: string, sample: FlowTrace])[],
): Promise<Map<string, { readonly no: number; readonly keySeen: Set<string> }>> {
  const made = new Map<string, { readonly no: number; readonly keySeen: Set<string> }>();
  const shapes: SqlValue[][] = [];
  const views: { shape: number; viewer: string; path: SeenPath; keySeen: boolean }[] = [];
  for (const [hash, sample] of fresh) {
    const no = counters.next("shape");
    shapes.push([no, hash]);
    const keySeen = new Set<string>();
    for (const viewer of viewersOf(sample)) {
      const shown = redactFlowTrace(sample, viewer);
      const name = viewName(viewer);
      if (shown.key !== null) keySeen.add(name);
      views.push({
        shape: no,
        viewer: name,
        path: { ...pathOf(shown), completeness: shown.completeness.state },
        keySeen: shown.key !== null,
      });
    }
    made.set(hash, { no, keySeen });
  }
  // Each viewer's paths are apart: two may decide alike and still not show the same.
  const paths = new Map(views.map((v) => [keyOf(v), v.path]));
  const known = await sql.all("SELECT hash, no FROM path WHERE hash IN (??)", [...paths.keys()]);
  const numbers = new Map(known.map((r) => [String(r["hash"]), Number(r["no"])]));
  const added = [...paths].filter(([hash]) => !numbers.has(hash));
  for (const [hash] of added) numbers.set(hash, counters.next("path"));
  await sql.insert(
    "path",
    added.map(([hash, path]) => [numbers.get(hash) as number, hash, JSON.stringify(path)]),
  );
  await sql.insert("shape", shapes);
  await sql.insert(
    "shape_view",
    views.map((v) => [v.shape, v.viewer, numbers.get(keyOf(v)) as number, v.keySeen ? 1 : 0]),
  );
  return made;
}

const keyOf = (v: { readonly viewer: string; readonly path: SeenPath }): string =>
  `${v.viewer} ${v.path.completeness} ${v.path.pathId}`;

/** Everybody who may see something else than the others: the administrator, each owner, and any other tenant. */
function viewersOf(trace: FlowTrace): Viewer[] {
  const owners = new Set(trace.segments.flatMap((s) => s.steps.map((x) => x.owner)));
  owners.delete("");
  return [EVERYTHING, STRANGER, ...[...owners].map((tenantId): Viewer => ({ admin: false, tenantId }))];
}

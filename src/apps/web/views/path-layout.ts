import { graphlib, layout } from "@dagrejs/dagre";
import type { FlowPath, Hop, HopGroup } from "#apps/web/model";

export const HOP_WIDTH = 220;
const LINE = 17;
const HOST_HEAD = 34;
const HOST_PAD = 14;
const GAP = { hops: 26, branches: 18, hosts: 72 };

export interface Placed {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PathLayout {
  readonly hosts: readonly (Placed & { readonly group: HopGroup })[];
  readonly hops: ReadonlyMap<string, Placed & { readonly hop: Hop }>;
  readonly width: number;
  readonly height: number;
}

/** What the switch does afterwards is no place on the way. */
export const isDrawn = (hop: Hop): boolean => hop.kind !== "outcome";

/** Most of the summary that a node shows; the table has the rest. */
export const MAX_SUMMARY = 2;

export function hopHeight(hop: Hop): number {
  const ports = hop.inPort !== null || hop.outPorts.length > 0 ? LINE : 0;
  return 34 + ports + Math.min(hop.summary.length, MAX_SUMMARY) * LINE + (hop.changes.length > 0 ? LINE : 0);
}

/**
 * Places hops below each other within their host (branches of a flood beside each other), and the hosts that the packet was
 * sent to beside or, on a narrow page, below the one where it entered.
 */
export function layOut(path: FlowPath, narrow: boolean): PathLayout {
  const inner = path.groups.map(placeHops);
  const hosts: (Placed & { group: HopGroup })[] = [];
  const hops = new Map<string, Placed & { hop: Hop }>();
  let right = 0;
  let column = { x: 0, y: 0 };
  for (const [i, group] of path.groups.entries()) {
    const box = inner[i] as Inner;
    const previous = path.groups[i - 1];
    // The hosts that the packet came to stand in a column of their own.
    if (!narrow && previous?.segment.role === "ingress" && group.segment.role === "egress") {
      column = { x: right + GAP.hosts, y: 0 };
    }
    // Where the tunnel is a straight line, if there is room.
    const tunnel = narrow ? undefined : path.tunnels.find((t) => t.toSegment === group.index);
    const from = tunnel?.from == null ? undefined : hops.get(tunnel.from);
    const first = [...box.hops.values()][0];
    if (from !== undefined && first !== undefined) {
      const level = from.y + (from.height - first.height) / 2 - HOST_HEAD - first.y;
      column = { x: column.x, y: Math.max(column.y, level) };
    }
    hosts.push({ group, x: column.x, y: column.y, width: box.width, height: box.height });
    for (const [id, at] of box.hops) {
      hops.set(id, { ...at, x: at.x + column.x + HOST_PAD, y: at.y + column.y + HOST_HEAD });
    }
    right = Math.max(right, column.x + box.width);
    column = { x: column.x, y: column.y + box.height + (narrow ? GAP.hosts * 0.7 : GAP.hops) };
  }
  return { hosts, hops, width: right, height: Math.max(0, ...hosts.map((h) => h.y + h.height)) };
}

interface Inner {
  readonly hops: ReadonlyMap<string, Placed & { readonly hop: Hop }>;
  readonly width: number;
  readonly height: number;
}

function placeHops(group: HopGroup): Inner {
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: "TB", ranksep: GAP.hops, nodesep: GAP.branches });
  graph.setDefaultEdgeLabel(() => ({}));
  const drawn = group.hops.filter(isDrawn);
  for (const hop of drawn) graph.setNode(hop.id, { width: HOP_WIDTH, height: hopHeight(hop) });
  for (const hop of drawn) if (hop.parent !== null && graph.hasNode(hop.parent)) graph.setEdge(hop.parent, hop.id);
  if (drawn.length > 0) layout(graph);
  const hops = new Map<string, Placed & { hop: Hop }>();
  let width = HOP_WIDTH;
  let height = 0;
  for (const hop of drawn) {
    const at = graph.node(hop.id) as { x: number; y: number; width: number; height: number };
    const placed = { hop, x: at.x - at.width / 2, y: at.y - at.height / 2, width: at.width, height: at.height };
    hops.set(hop.id, placed);
    width = Math.max(width, placed.x + placed.width);
    height = Math.max(height, placed.y + placed.height);
  }
  return { hops, width: width + 2 * HOST_PAD, height: height + HOST_HEAD + HOST_PAD };
}

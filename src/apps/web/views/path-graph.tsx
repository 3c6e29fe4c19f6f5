import { changesInShort, type FlowPath, hasFailed, type Hop, type HopGroup } from "#apps/web/model";
import {
  type Edge,
  Handle,
  MarkerType,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
} from "@xyflow/react";
import { createContext, memo, type ReactNode, useContext, useEffect, useMemo, useRef, useState } from "react";
import { Icon, type IconName } from "../ui/icons.tsx";
import { isDrawn, layOut, MAX_SUMMARY, type PathLayout } from "./path-layout.ts";
import { HOP_ICON } from "./steps-table.tsx";

interface PathGraphProps {
  readonly path: FlowPath;
  readonly selected: string | null;
  readonly onSelect: (hop: string) => void;
}

interface Selection {
  readonly selected: string | null;
  readonly onSelect: (hop: string) => void;
}
const SelectionContext = createContext<Selection>({ selected: null, onSelect: () => undefined });

/** The packet's way: hosts as boxes, devices in them, tunnels between them. */
export function PathGraph(props: PathGraphProps): ReactNode {
  const selection = useMemo(
    () => ({ selected: props.selected, onSelect: props.onSelect }),
    [props.selected, props.onSelect],
  );
  return (
    <SelectionContext.Provider value={selection}>
      <ReactFlowProvider>
        <Drawing path={props.path} />
      </ReactFlowProvider>
    </SelectionContext.Provider>
  );
}

const NODE_TYPES = { hop: HopNode, host: HostNode };
/** Smaller, and names are not to be read. */
const MIN_ZOOM = 0.62;
const MARGIN = 12;

function Drawing({ path }: { readonly path: FlowPath }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 560, room: 600 });
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = (): void => setSize({ width: element.clientWidth, room: Math.round(window.innerHeight * 0.76) });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);
  const plan = useMemo(() => layOut(path, size.width < 500), [path, size.width < 500]);
  const nodes = useMemo(() => nodesOf(plan), [plan]);
  const edges = useMemo(() => edgesOf(path, plan), [path, plan]);
  const zoom = Math.max(MIN_ZOOM, Math.min(1, (size.width - 2 * MARGIN) / Math.max(1, plan.width)));
  const whole = plan.height * zoom + 2 * MARGIN;
  const height = Math.max(180, Math.min(whole, size.room));
  const fits = whole <= height + 1 && plan.width * zoom <= size.width;
  const flow = useReactFlow();
  const home = (): { x: number; y: number; zoom: number } => {
    const x = Math.max(MARGIN, (size.width - plan.width * zoom) / 2);
    const failing = path.failing === null ? undefined : plan.hops.get(path.failing.hop.id);
    if (failing === undefined || whole <= height) return { x, y: MARGIN, zoom };
    const middle = height / 2 - (failing.y + failing.height / 2) * zoom;
    return { x, y: Math.min(MARGIN, Math.max(height - whole + MARGIN, middle)), zoom };
  };
  useEffect(() => {
    void flow.setViewport(home());
    // The drawing goes home when there is another one or another size; not when somebody has moved it.
  }, [plan, size.width, height]);
  return (
    <>
      <div className="path-bar">
        <h2>Path</h2>
        <span className="path-tools">
          <Tool icon="minus" label="Smaller" onClick={() => void flow.zoomOut()} />
          <Tool icon="plus" label="Bigger" onClick={() => void flow.zoomIn()} />
          <Tool icon="fit" label="Back to the beginning" onClick={() => void flow.setViewport(home())} />
        </span>
      </div>
      <div ref={box} className="path-box" style={{ height }}>
        <ReactFlow
          nodes={nodes}
          edges={edges}
          nodeTypes={NODE_TYPES}
          defaultViewport={home()}
          minZoom={0.3}
          maxZoom={1.6}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          panOnDrag={!fits}
          zoomOnScroll={false}
          zoomOnDoubleClick={false}
          preventScrolling={false}
          proOptions={{ hideAttribution: true }}
        />
      </div>
    </>
  );
}

function Tool(props: { readonly icon: IconName; readonly label: string; readonly onClick: () => void }): ReactNode {
  return (
    <button
      type="button"
      className="button button-quiet"
      aria-label={props.label}
      title={props.label}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}

type HopData = { readonly hop: Hop };
type HostData = { readonly group: HopGroup };

function nodesOf(plan: PathLayout): Node[] {
  const hosts = plan.hosts.map(
    (h): Node => ({
      id: `host ${h.group.index}`,
      type: "host",
      position: { x: h.x, y: h.y },
      width: h.width,
      height: h.height,
      zIndex: 0,
      data: { group: h.group } satisfies HostData,
    }),
  );
  const hops = [...plan.hops.values()].map(
    (h): Node => ({
      id: h.hop.id,
      type: "hop",
      position: { x: h.x, y: h.y },
      width: h.width,
      height: h.height,
      zIndex: 2,
      data: { hop: h.hop } satisfies HopData,
    }),
  );
  return [...hosts, ...hops];
}

const ARROW = { type: MarkerType.ArrowClosed, width: 14, height: 14, color: "var(--line-strong)" } as const;

function edgesOf(path: FlowPath, plan: PathLayout): Edge[] {
  const edges: Edge[] = [];
  for (const { hops } of path.groups) {
    for (const hop of hops) {
      if (hop.parent === null || !plan.hops.has(hop.id) || !plan.hops.has(hop.parent)) continue;
      const data = { source: hop.parent, target: hop.id, sourceHandle: "b", targetHandle: "t" };
      edges.push({ id: `${hop.parent} ${hop.id}`, ...data, markerEnd: ARROW, zIndex: 1 });
    }
  }
  for (const tunnel of path.tunnels) {
    const from = tunnel.from ?? path.groups[tunnel.fromSegment]?.hops.findLast(isDrawn)?.id;
    const to = path.groups[tunnel.toSegment]?.hops.find(isDrawn)?.id;
    if (from === undefined || to === undefined) continue;
    const a = plan.hops.get(from);
    const b = plan.hops.get(to);
    const beside = a !== undefined && b !== undefined && b.x > a.x + a.width;
    edges.push({
      id: `tunnel ${tunnel.toSegment}`,
      source: from,
      target: to,
      sourceHandle: beside ? "r" : "b",
      targetHandle: beside ? "l" : "t",
      type: "smoothstep",
      className: "tunnel",
      markerEnd: ARROW,
      zIndex: 1,
      ...(tunnel.label === null ? {} : { label: tunnel.label }),
    });
  }
  return edges;
}

function HostNode({ data }: NodeProps): ReactNode {
  const { segment } = (data as HostData).group;
  return (
    <div className={`host-node${hasFailed(segment.verdict) ? " is-failed" : ""}`}>
      <Icon name="host" />
      <b className="cut">{segment.hostName}</b>
      <span className="muted">{segment.duplicate ? "duplicate" : segment.role}</span>
    </div>
  );
}

function HopNode({ data }: NodeProps): ReactNode {
  const { hop } = data as HopData;
  const { selected, onSelect } = useContext(SelectionContext);
  return <HopButton hop={hop} selected={selected === hop.id} onSelect={onSelect} />;
}

interface HopButtonProps {
  readonly hop: Hop;
  readonly selected: boolean;
  readonly onSelect: (hop: string) => void;
}

const HopButton = memo(function HopButton({ hop, selected, onSelect }: HopButtonProps): ReactNode {
  const flow = useReactFlow();
  const name = hop.device === null || hop.device.name === "" ? hop.device?.id : hop.device.name;
  const title = hop.kind === "withheld" ? "withheld" : name;
  /** What the icon says to who sees it. */
  const what = hop.kind === "device" ? `${hop.device?.type} ` : hop.kind === "withheld" ? "" : `${hop.kind} at port `;
  /** What has the keyboard's focus is to be seen. */
  const show = (): void => {
    const node = flow.getNode(hop.id);
    if (node === undefined) return;
    const { x, y, zoom } = flow.getViewport();
    const rect = document.querySelector(".path-box")?.getBoundingClientRect();
    const top = node.position.y * zoom + y;
    const left = node.position.x * zoom + x;
    if (rect !== undefined && (top < 0 || left < 0 || top + 60 > rect.height || left + 120 > rect.width))
      void flow.setCenter(node.position.x + 110, node.position.y + 30, { zoom });
  };
  return (
    <>
      <Handle type="target" id="t" position={Position.Top} isConnectable={false} />
      <Handle type="target" id="l" position={Position.Left} isConnectable={false} />
      <button
        type="button"
        className={`hop-node hop-node-${hop.kind}${hop.failed ? " is-failed" : ""}${selected ? " is-selected" : ""}`}
        aria-pressed={selected}
        onFocus={show}
        onClick={() => onSelect(hop.id)}
      >
        <span className="hop-name">
          <Icon name={hop.failed ? "cross" : HOP_ICON(hop)} />
          <span className="cut">
            <span className="sr">
              {hop.failed ? "failing hop: " : ""}
              {what}
            </span>
            {title}
          </span>
          {hop.matched && (
            <span className="hop-matched" title="the trace matched here">
              traced
            </span>
          )}
        </span>
        {(hop.inPort !== null || hop.outPorts.length > 0) && (
          <span className="hop-line muted">
            {hop.inPort ?? ""} → {hop.outPorts.length === 0 ? "∅" : hop.outPorts.join(", ")}
          </span>
        )}
        {hop.summary.slice(-MAX_SUMMARY).map((line, i) => (
          <span key={i} className="hop-line">
            {line}
          </span>
        ))}
        {hop.changes.length > 0 && <span className="hop-line muted">rewrites {changesInShort(hop.changes)}</span>}
      </button>
      <Handle type="source" id="b" position={Position.Bottom} isConnectable={false} />
      <Handle type="source" id="r" position={Position.Right} isConnectable={false} />
    </>
  );
});

import { ago, countText, fullTime, plural, wayOf } from "#apps/web/model";
import { Fragment, type ReactNode } from "react";
import { type FlowPathCount, listPaths, type Trace } from "../api/resources.ts";
import { Icon, type IconName } from "../ui/icons.tsx";
import { Empty, Loading, Notice, Problem, useNow, VerdictMark } from "../ui/parts.tsx";
import { Link } from "../ui/router.tsx";
import { useResource } from "../ui/use-resource.ts";

/** Thousands of flows as the few ways they took: same devices, same decisions, same verdict. */
export function PathsTab({ trace }: { readonly trace: Trace }): ReactNode {
  const paths = useResource(`paths ${trace.id}`, (signal) => listPaths(trace.id, { limit: "200" }, signal), 5_000);
  const now = useNow();
  const { value, error } = paths;
  if (value === undefined)
    return error === null ? (
      <Loading what="paths" />
    ) : (
      <Problem error={error} what="list of paths" retry={paths.reload} />
    );
  if (value === null)
    return <Empty title="This server does not group flows into paths">The list of flows has all of them.</Empty>;
  if (value.paths.length === 0)
    return (
      <Empty title="No paths yet">
        <p>When flows have come, each way they took stands here once, with how many took it.</p>
      </Empty>
    );
  const most = Math.max(...value.paths.map((p) => p.count));
  return (
    <section aria-label="Paths">
      {error !== null && <Notice tone="unsure">The server does not answer; it is asked again.</Notice>}
      <ol className="paths">
        {value.paths.map((p) => (
          <PathItem key={p.pathId} path={p} traceId={trace.id} most={most} now={now} />
        ))}
      </ol>
      {value.more && <p className="muted">There are more; the ones that most flows took are shown.</p>}
    </section>
  );
}

interface PathItemProps {
  readonly path: FlowPathCount;
  readonly traceId: string;
  readonly most: number;
  readonly now: number;
}

function PathItem({ path, traceId, most, now }: PathItemProps): ReactNode {
  return (
    <li className="path-item">
      <div className="path-count">
        <b>{countText(path.count)}</b>
        <span className="muted">{path.count === 1 ? "flow" : "flows"}</span>
        <svg viewBox={`0 0 ${most} 1`} preserveAspectRatio="none" aria-hidden="true">
          <rect width={path.count} height="1" />
        </svg>
      </div>
      <div className="path-what">
        <p>
          <VerdictMark verdict={path.verdict} />{" "}
          <Link to={`/traces/${traceId}/flows/${path.sample}`} className="row-link">
            {path.why}
          </Link>
        </p>
        <p className="path-way">
          {path.hops.map((hop, i) => (
            <Fragment key={`${hop.hostId} ${hop.role} ${i}`}>
              {i > 0 && (
                <span className="path-tunnel" aria-label="through the tunnel to">
                  ⇢
                </span>
              )}
              <span className="path-host">
                <span className="path-host-name">{hop.hostName}</span>
                {wayOf(hop.devices).map((device, j) => (
                  <Fragment key={j}>
                    {j > 0 && <span className="muted"> → </span>}
                    {device.withheld === true ? (
                      <span className="path-withheld">withheld</span>
                    ) : (
                      <span className="path-device">
                        <Icon
                          name={(["bridge", "router", "port"].includes(device.type) ? device.type : "host") as IconName}
                        />
                        {device.name === "" ? device.id : device.name}
                      </span>
                    )}
                  </Fragment>
                ))}
              </span>
            </Fragment>
          ))}
        </p>
        <p className="muted">
          first <time title={fullTime(path.firstSeenMs)}>{ago(path.firstSeenMs, now)}</time>, last{" "}
          <time title={fullTime(path.lastSeenMs)}>{ago(path.lastSeenMs, now)}</time>
          <span className="sr">, {plural(path.hops.length, "host")}</span>
        </p>
      </div>
    </li>
  );
}
